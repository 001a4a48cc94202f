//! A network at a point of its training, and the examples to measure it on.

use std::borrow::Cow;
use std::path::Path;

use largebatch_models::Network;
use largebatch_optim::Driver;
use largebatch_train::{Experiment, Split, SquaredNorms};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{ProbeError, Subject, Subset};

/// A network at a point of its training, from the disk or live.
#[derive(Clone, Copy)]
pub struct Point<'a> {
    /// Data, model and configuration.
    pub experiment: &'a Experiment,
    /// The network.
    pub network: &'a Network,
    /// Where the weights are from: a run, a checkpoint, a file, or a step.
    pub source: &'a Path,
    /// The run's folder.
    pub folder: &'a Path,
    /// The learning rate: of the next step or, during a training and at its end, of the last one.
    pub rate: f64,
    /// The optimizer's state.
    pub optimizer: OptimizerState<'a>,
    /// The examples to measure on.
    pub sample: Sample,
    /// The steps since the last measurement; only during a training.
    pub steps: Option<Steps<'a>>,
}

/// The state of an optimizer.
#[derive(Clone, Copy)]
pub enum OptimizerState<'a> {
    /// There is none: before the first step, and in a finished run, which does not keep it.
    Absent,
    /// As [`Driver::save`] writes it.
    Saved(&'a [u8]),
    /// In memory.
    Live(&'a Driver),
}

/// The steps of a training since the last measurement.
#[derive(Clone, Copy)]
pub struct Steps<'a> {
    /// The network before the last step, if [it is needed](crate::Probe::needs_before) and there was
    /// a step.
    pub before: Option<&'a Network>,
    /// The squared norms of the gradients of each step, for a probe of
    /// [steps](crate::Target::Steps).
    pub norms: &'a [SquaredNorms],
    /// The number of examples in these steps.
    pub examples: usize,
}

/// Which examples a network is measured on.
#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Sample {
    /// Part of the data.
    pub part: Split,
    /// Number of examples, sampled with the part's class proportions, or `all`.
    pub subset: Size,
    /// Seed of the subset and of the probe's random draws.
    pub seed: u64,
}

impl Default for Sample {
    fn default() -> Self {
        Sample {
            part: Split::Train,
            subset: Size(Some(2000)),
            seed: 0,
        }
    }
}

/// A number of examples; `None` for all, which a configuration writes `all`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "toml::Value", into = "toml::Value")]
#[schemars(with = "u64", extend("type" = ["integer", "string"], "values" = "a whole number, at least 1, or \"all\""))]
pub struct Size(pub Option<usize>);

impl TryFrom<toml::Value> for Size {
    type Error = &'static str;

    fn try_from(value: toml::Value) -> Result<Self, Self::Error> {
        match value {
            toml::Value::Integer(n) if n >= 1 => Ok(Size(Some(n as usize))),
            toml::Value::String(word) if word == "all" => Ok(Size(None)),
            _ => Err("it must be a number of examples, at least 1, or `all`"),
        }
    }
}

impl From<Size> for toml::Value {
    fn from(size: Size) -> Self {
        size.0
            .map_or_else(|| "all".into(), |n| toml::Value::Integer(n as i64))
    }
}

impl<'a> Point<'a> {
    /// The loss at this point as a function of the weights, over the sample.
    ///
    /// # Errors
    /// As for [`Subject::new`], and weights that are not finite.
    pub fn subject(&self) -> Result<Subject<'a>, ProbeError> {
        let subset = Subset {
            size: self.sample.subset.0,
            seed: self.sample.seed,
        };
        let subject = Subject::new(self.experiment, self.network, self.sample.part, subset)?;
        subject.check(self.source)?;
        Ok(subject)
    }

    /// The optimizer's state, as [`Driver::save`] writes it.
    pub fn state(&self) -> Option<Cow<'a, [u8]>> {
        match self.optimizer {
            OptimizerState::Absent => None,
            OptimizerState::Saved(bytes) => Some(Cow::Borrowed(bytes)),
            OptimizerState::Live(driver) => Some(Cow::Owned(driver.save())),
        }
    }

    /// Model and data set, for titles.
    pub fn what(&self) -> String {
        let config = &self.experiment.config;
        format!("{} on {}", config.model.name, config.dataset.name)
    }
}
