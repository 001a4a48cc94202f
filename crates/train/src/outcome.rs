//! How a run ended.

use serde::{Deserialize, Serialize};

use crate::Metrics;

/// Why training ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stop {
    /// The budget of epochs or steps is used up.
    Finished,
    /// Validation reached the target.
    TargetReached,
    /// Validation has not improved for `stop.patience` evaluations.
    NoImprovement,
    /// An observer asked to stop.
    Observer,
    /// The loss was NaN or infinite, or exceeded the bound of
    /// [`stop.divergence`](crate::StopConfig::divergence) for a number of steps.
    Diverged,
    /// An interrupt was requested; a checkpoint is on the disk.
    Interrupted,
}

/// The result of a run.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Outcome {
    /// The layout version of the file.
    pub schema: u32,
    /// The data set's name.
    pub dataset: String,
    /// The model's name.
    pub model: String,
    /// The optimizer's name.
    pub optimizer: String,
    /// The device's name.
    pub device: String,
    /// The seed.
    pub seed: u64,
    /// Examples per step at the start.
    pub batch_size: usize,
    /// The base learning rate.
    pub lr: f64,
    /// The learning rate after scaling with the batch size: the rate that the schedule multiplies.
    #[serde(default)]
    pub peak_lr: f64,
    /// Optimizer steps done.
    pub steps: u64,
    /// Whole epochs done.
    pub epochs: u64,
    /// Why training ended.
    pub stop: Stop,
    /// Mean loss over the last whole epoch, or over all steps if there was none; `null` if it is
    /// not finite.
    pub train_loss: Option<f64>,
    /// Training accuracy over the same steps.
    pub train_accuracy: Option<f64>,
    /// Validation accuracy at the end; `null` for real targets, after divergence, and if nothing is
    /// held out.
    pub validation_accuracy: Option<f64>,
    /// Test accuracy at the end, the only use of the test part; `null` if [`Controls::test`](crate::Controls::test) is
    /// off.
    pub test_accuracy: Option<f64>,
    /// The majority-class baseline on the validation part: the accuracy of always predicting the
    /// training part's most frequent class. `null` for real targets and if nothing is held out.
    #[serde(default)]
    pub validation_majority_accuracy: Option<f64>,
    /// The majority-class baseline on the test part; also `null` if the test part was not
    /// evaluated.
    #[serde(default)]
    pub test_majority_accuracy: Option<f64>,
    /// All validation metrics at the end.
    pub validation: Option<Metrics>,
    /// All test metrics at the end.
    pub test: Option<Metrics>,
    /// Training examples per second, without the time of evaluations and checkpoints.
    pub examples_per_second: f64,
    /// Seconds of training, without evaluations and checkpoints.
    pub seconds: f64,
    /// The run's folder.
    pub out: Option<String>,
}
