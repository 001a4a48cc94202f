//! What a training has counted and summed so far.

use burn::tensor::Tensor;
use largebatch_data::Position;
use serde::{Deserialize, Serialize};

use crate::divergence::Divergence;
use crate::evaluate::scalar;
use crate::{Experiment, nullable};

/// Counters and sums with which a resumed run continues.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct Counters {
    /// Optimizer steps.
    pub step: u64,
    /// Examples seen.
    pub examples: u64,
    /// The position of the next batch.
    pub position: Position,
    /// The divergence verdict so far; absent before the first step.
    #[serde(default)]
    pub(crate) divergence: Option<Divergence>,
    /// Sums over this epoch so far.
    pub(crate) epoch: Sums,
    pub(crate) last_epoch: Option<Sums>,
    pub(crate) best_validation: Option<f64>,
    pub(crate) evaluations_since_best: u64,
    /// Sums since the last line of `events.jsonl`.
    pub(crate) logged: Sums,
    /// Sums since the last evaluation.
    #[serde(default)]
    pub(crate) recent: Sums,
    pub(crate) seconds: f64,
    pub(crate) events_length: u64,
    pub(crate) layers_length: u64,
}

/// Sums over steps.
#[derive(Clone, Copy, PartialEq, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Sums {
    #[serde(with = "nullable")]
    loss: f64,
    correct: Option<f64>,
    examples: u64,
}

impl Sums {
    pub(crate) fn mean_loss(&self) -> f64 {
        self.loss / self.examples as f64
    }

    pub(crate) fn accuracy(&self) -> Option<f64> {
        self.correct.map(|c| c / self.examples as f64)
    }
}

impl Counters {
    /// Adds a step's losses and counts, read from the device, in order; returns its mean loss.
    #[inline]
    pub(crate) fn add(&mut self, step: Unread, experiment: &Experiment) -> f64 {
        let sum = step.loss.read();
        if let Some(correct) = step.correct {
            *self.epoch.correct.get_or_insert(0.0) += correct.read();
        }
        for sums in [&mut self.epoch, &mut self.logged, &mut self.recent] {
            sums.loss += sum;
            sums.examples += step.examples as u64;
        }
        let mean = sum / step.examples as f64;
        self.divergence
            .get_or_insert_with(|| Divergence::new(None))
            .see(
                mean,
                step.examples,
                experiment.holdout.train.len(),
                experiment.config.stop.divergence,
            );
        mean
    }

    /// Whether the losses read so far show divergence.
    pub(crate) fn diverged(&self) -> bool {
        self.divergence.as_ref().is_some_and(Divergence::found)
    }

    /// Whether the next batch belongs to a new epoch.
    pub(crate) fn at_epoch_end(&self, experiment: &Experiment) -> bool {
        experiment.next_batch(self.position).epoch as u64 > self.position.epoch
    }

    /// The number of whole epochs.
    pub(crate) fn whole_epochs(&self, experiment: &Experiment) -> u64 {
        self.position.epoch + u64::from(self.at_epoch_end(experiment))
    }
}

/// A step's loss and count of correct examples, which may still be on the device.
pub(crate) struct Unread {
    pub(crate) examples: usize,
    pub(crate) loss: Sum,
    /// `None` for real targets.
    pub(crate) correct: Option<Sum>,
}

/// A sum over the parts of a batch.
pub(crate) enum Sum {
    /// Terms on the device.
    Device(Vec<Tensor<1>>),
    Host(f64),
}

impl Sum {
    /// Waits for the device.
    pub(crate) fn read(self) -> f64 {
        match self {
            Sum::Device(terms) => terms.into_iter().map(scalar).sum(),
            Sum::Host(sum) => sum,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A loss beyond f32 that was read for a checkpoint is in the checkpoint's sums.
    #[test]
    fn progress_with_a_loss_that_is_not_finite_is_read() {
        let beyond = Sums {
            loss: f64::INFINITY,
            correct: None,
            examples: 4,
        };
        let progress = Counters {
            step: 3,
            epoch: beyond,
            last_epoch: Some(beyond),
            logged: beyond,
            recent: beyond,
            ..Counters::default()
        };
        let read: Counters =
            serde_json::from_str(&serde_json::to_string(&progress).unwrap()).unwrap();
        assert!(
            read.step == 3
                && read.epoch.loss.is_nan()
                && read.last_epoch.is_some_and(|sums| sums.loss.is_nan()),
            "{read:?}"
        );
    }
}
