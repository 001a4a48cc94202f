//! The probe `noise-pairs`.

use largebatch_train::TrainError;

use super::probe::{scale_over_training, scale_section};
use super::{PairNoise, Pairs};
use crate::prelude::*;

/// The probe `noise-pairs`, which has no options.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NoisePairs {}

impl Probe for NoisePairs {
    const FACTS: Facts = Facts::new(
        "noise-pairs",
        "Measure the noise scale during a training, from the micro-batches of its steps",
    )
    .paper("McCandlish et al. 2018, arXiv 1812.06162");
    const TARGET: Target = Target::Steps;
    type Record = Record<PairNoise>;

    fn in_training() -> Option<Self> {
        Some(NoisePairs {})
    }

    fn check(&self, experiment: &Experiment) -> Result<(), ProbeError> {
        let config = &experiment.config;
        if config.parts() > 1 {
            return Ok(());
        }
        let why = "it compares the gradients of a batch and of its micro-batches, and this run does not cut its batch: add \
                   --set accumulate=4, or use the probe noise, which needs no micro-batches";
        Err(TrainError::value("probe", Self::FACTS.name, why).into())
    }

    fn cost(&self, _at: &[Point<'_>]) -> Result<Cost, ProbeError> {
        Ok(Cost::new("no gradients", "steps", 0.0))
    }

    fn measure(&self, at: &[Point<'_>], _: Watch) -> Result<(Self::Record, bool), ProbeError> {
        let mut pairs = Pairs::default();
        let steps = at[0].steps.map_or(&[][..], |steps| steps.norms);
        steps.iter().for_each(|norms| pairs.add(norms));
        let result = pairs.noise().ok_or_else(|| {
            ProbeError::value(
                "steps",
                0,
                "it needs steps of a training that cuts its batch",
            )
        })?;
        let examples = at[0].steps.map_or(0, |steps| steps.examples);
        let name = Self::FACTS.name;
        let record = Record::without_gradients(name, &at[0], examples, true, result);
        Ok((record, true))
    }

    fn summary(&self, record: &Self::Record, _at: &[Point<'_>]) -> String {
        let b_simple = record.result.b_simple;
        b_simple.map_or_else(
            || "B_simple undefined".into(),
            |b| format!("B_simple {b:.1}"),
        )
    }

    fn course(records: &[AtStep<Self::Record>], config: &RunConfig) -> Vec<Plot> {
        let points = records.iter();
        let points = points.map(|at| {
            (
                at.step,
                at.record.result.b_simple,
                at.record.result.interval,
            )
        });
        let labels = ["B_simple of the steps since the previous point", "95 %"];
        vec![scale_over_training(
            "noise-pairs-course",
            labels,
            points,
            config,
        )]
    }

    fn section(found: &Found<'_, Self::Record>) -> Option<Section> {
        let title = "Gradient noise of the training steps";
        scale_section(found, title, "noise-pairs-scale", |pairs| pairs.b_simple)
    }
}
