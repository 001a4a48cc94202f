//! What a probe is: options, what it looks at, a record, and what is drawn and said of it.

use std::fmt::Debug;

use largebatch_component::{Config, Facts};
use largebatch_plot::{Figure, Plot, Section};
use largebatch_train::{Experiment, RunConfig};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::{Found, Point, ProbeError, Watch};

/// A probe, as its options describe it. One file each.
///
/// The type derives what a [`Config`] needs: each field is an option of the command line. With
/// [`Lab::probe`](https://docs.rs/largebatch) it works as `largebatch probe NAME`, as `train --probe`
/// and in a study's `confirm.probe`.
pub trait Probe: Config + Default {
    /// Name, summary and paper.
    const FACTS: Facts;
    /// What it looks at.
    const TARGET: Target;
    /// More for its help page: examples, formulas, caveats.
    const HELP: &'static str = "";
    /// Its result as it is saved.
    type Record: Serialize + DeserializeOwned;

    /// The options with which it measures during a training; `None` if it cannot.
    fn in_training() -> Option<Self> {
        None
    }

    /// Whether it needs [`Steps::before`](crate::Steps::before).
    fn needs_before(&self) -> bool {
        false
    }

    /// Refuses a run that it cannot measure; asked before anything is computed or written.
    ///
    /// # Errors
    /// What is wrong, and the remedy.
    fn check(&self, _experiment: &Experiment) -> Result<(), ProbeError> {
        Ok(())
    }

    /// What a measurement costs. The points are as many as the [target](Probe::TARGET) says.
    ///
    /// # Errors
    /// As for [`Probe::measure`].
    fn cost(&self, at: &[Point<'_>]) -> Result<Cost, ProbeError>;

    /// Measures. If `watch` returns `false`, returns the results so far and `false`.
    ///
    /// # Errors
    /// Options that do not fit the run; errors of the model and of the file system.
    fn measure(&self, at: &[Point<'_>], watch: Watch) -> Result<(Self::Record, bool), ProbeError>;

    /// The figures of a record.
    fn figures(&self, _record: &Self::Record, _at: &[Point<'_>]) -> Vec<Figure> {
        Vec::new()
    }

    /// A record in a few lines of text.
    fn summary(&self, record: &Self::Record, at: &[Point<'_>]) -> String;

    /// Charts of the records of a training, whose caption is added.
    fn course(_records: &[AtStep<Self::Record>], _config: &RunConfig) -> Vec<Plot> {
        Vec::new()
    }

    /// Its section of the report of a study, whose runs it measured.
    fn section(_found: &Found<'_, Self::Record>) -> Option<Section> {
        None
    }

    /// Numbers of a record by name, for the report's comparison with a paper.
    fn numbers(_record: &Self::Record) -> Vec<(String, f64)> {
        Vec::new()
    }
}

/// What a probe looks at.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Target {
    /// The network of a run, on some examples.
    Network,
    /// The networks of two runs.
    TwoRuns,
    /// The networks of any number of runs.
    Runs,
    /// The settings of a run, which it trains itself; the network has its initial weights.
    Settings,
    /// The steps of a training, with [their norms](crate::Steps::norms); never a finished run.
    Steps,
}

/// What a measurement costs.
#[derive(Clone, PartialEq, Debug)]
pub struct Cost {
    /// The work in words, such as `at most 86 gradient evaluations over 2000 examples`.
    pub work: String,
    /// What its progress counts, such as `gradients`.
    pub unit: &'static str,
    /// The largest number of gradient evaluations that a [`Record`](crate::Record) can count.
    pub gradients: u64,
    /// The estimated time in seconds.
    pub seconds: f64,
}

impl Cost {
    /// The cost of work without gradients.
    pub fn new(work: impl Into<String>, unit: &'static str, seconds: f64) -> Self {
        Cost {
            work: work.into(),
            unit,
            gradients: 0,
            seconds,
        }
    }
}

/// A record of a training.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct AtStep<R> {
    /// The record.
    #[serde(flatten)]
    pub record: R,
    /// Steps so far.
    pub step: u64,
    /// The learning rate of the last step.
    pub lr: f64,
}
