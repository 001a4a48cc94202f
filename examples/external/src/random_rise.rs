//! A probe of your own: its options with its facts, its record, its figure and its section of a
//! report.

use largebatch::component::Facts;
use largebatch::plot::{Figure, Plot, Scale, Section, Table};
use largebatch::probe::vector::{gaussian, norm};
use largebatch::probe::{Cost, Found, Objective, Point, Probe, ProbeError, Record, Target, Watch};
use largebatch::random::Key;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How far the loss rises in random directions: f(x + ρ ‖x‖ u) − f(x) for unit vectors u.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RandomRise {
    /// Length of the step ρ, relative to the weights.
    #[schemars(extend("exclusiveMinimum" = 0.0))]
    pub radius: f64,
    /// Number of directions.
    #[schemars(range(min = 1))]
    pub directions: usize,
}

impl Default for RandomRise {
    fn default() -> Self {
        RandomRise {
            radius: 0.05,
            directions: 20,
        }
    }
}

/// The rise of the loss in each direction.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Rises {
    /// f(x).
    pub loss: f64,
    /// f(x + ρ ‖x‖ u) − f(x), a number for each direction.
    pub rises: Vec<f64>,
}

impl Rises {
    fn mean(&self) -> f64 {
        self.rises.iter().sum::<f64>() / self.rises.len().max(1) as f64
    }
}

impl Probe for RandomRise {
    const FACTS: Facts = Facts::new(
        "random-rise",
        "Measure how far the loss rises in random directions",
    );
    const TARGET: Target = Target::Network;
    type Record = Record<Rises>;

    fn in_training() -> Option<Self> {
        Some(RandomRise {
            directions: 5,
            ..RandomRise::default()
        })
    }

    fn cost(&self, at: &[Point<'_>]) -> Result<Cost, ProbeError> {
        let mut subject = at[0].subject()?;
        let (w, started) = (subject.weights().to_vec(), std::time::Instant::now());
        subject.loss(&w)?;
        let evaluations = 1 + self.directions;
        let examples = subject.examples().len();
        let work = format!("{evaluations} losses over {examples} examples");
        let seconds = evaluations as f64 * started.elapsed().as_secs_f64();
        Ok(Cost::new(work, "directions", seconds))
    }

    fn measure(&self, at: &[Point<'_>], watch: Watch) -> Result<(Self::Record, bool), ProbeError> {
        let at = &at[0];
        let mut subject = at.subject()?;
        let w = subject.weights().to_vec();
        let (loss, length) = (subject.loss(&w)?, self.radius * norm(&w));
        let (mut rises, mut complete) = (Vec::new(), true);
        for i in 0..self.directions {
            complete = watch(i as u64, self.directions as u64);
            if !complete {
                break;
            }
            let key = Key::new(at.sample.seed).word("random rise");
            let u = gaussian(w.len(), key.number(i as u64));
            let scale = length / norm(&u);
            let there: Vec<f64> = w.iter().zip(&u).map(|(w, u)| w + scale * u).collect();
            rises.push(subject.loss(&there)? - loss);
        }
        let found = Rises { loss, rises };
        let record = Record::new(Self::FACTS.name, at, &subject, complete, found);
        Ok((record, complete))
    }

    fn figures(&self, record: &Self::Record, at: &[Point<'_>]) -> Vec<Figure> {
        let mut rises = record.result.rises.clone();
        rises.sort_by(f64::total_cmp);
        let rises = rises.into_iter().enumerate();
        let plot = Plot::new("random-rise", "Rise of the loss in random directions")
            .x("rank", Scale::Linear)
            .y("rise of the loss", Scale::Linear)
            .points("a direction", rises.map(|(i, rise)| (i as f64 + 1.0, rise)));
        let caption = format!("{}, ρ = {}.", at[0].what(), self.radius);
        vec![plot.caption(&caption).figure()]
    }

    fn summary(&self, record: &Self::Record, _at: &[Point<'_>]) -> String {
        let Rises { loss, rises } = &record.result;
        let mean = record.result.mean();
        format!(
            "loss {loss:.6}; it rises by {mean:.6}, the mean over {} directions",
            rises.len()
        )
    }

    fn section(found: &Found<'_, Self::Record>) -> Option<Section> {
        let rows = found.groups().into_iter().map(|g| {
            let mean = found.mean(g, |run| Some(run.last()?.result.mean()));
            vec![found.study.groups[g].label.clone(), mean]
        });
        Some(Section {
            title: "Rise in random directions".into(),
            tables: vec![Table {
                heads: vec![String::new(), "rise of the loss".into()],
                rows: rows.collect(),
                note: format!("{}.", found.small_print()),
            }],
            ..Section::default()
        })
    }
}
