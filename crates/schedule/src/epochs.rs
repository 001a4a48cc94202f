//! The steps at which epochs begin.

use serde::{Deserialize, Serialize};

use crate::error::{ConfigError, require};

/// The step at which each epoch of a training run begins: the meaning of a length in epochs.
///
/// Batches never cross the end of an epoch, so an epoch has a whole number of steps, at least one:
/// ⌈examples / batch⌉, or ⌊examples / batch⌋ if the last batch is dropped, and fewer once the batch
/// has grown. A fraction of an epoch is that fraction of its steps: at 3 steps per epoch, 1.5
/// epochs are 4.5 steps. [`BatchSchedule::epochs`](crate::BatchSchedule::epochs) gives the epochs
/// of a training run.
///
/// ```
/// use largebatch_schedule::{BatchConfig, LastBatch};
///
/// let batches = BatchConfig::Constant.resolve(512, 1150, None).unwrap();
/// let epochs = batches.epochs(LastBatch::Keep);  // 512 + 512 + 126 examples
/// assert_eq!((epochs.step(5.0), epochs.step(5.5), epochs.epoch(15.0)), (15.0, 16.5, 5.0));
/// ```
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(try_from = "Vec<[u64; 3]>", into = "Vec<[u64; 3]>")]
pub struct Epochs(Vec<Stretch>);

/// Epochs with the same number of steps, up to the next stretch; the last stretch never ends.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Stretch {
    /// The first of these epochs.
    pub epoch: u64,
    /// The step at which it begins.
    pub step: u64,
    /// The number of steps of each, at least 1.
    pub each: u64,
}

impl Epochs {
    /// The largest number of steps in a training run: larger step numbers are not exact in `f64`.
    pub const MOST_STEPS: u64 = 1 << f64::MANTISSA_DIGITS;

    /// Epochs that all have `steps` steps; 0 counts as 1.
    pub fn even(steps: u64) -> Self {
        Epochs(vec![Stretch {
            epoch: 0,
            step: 0,
            each: steps.max(1),
        }])
    }

    /// Stretches that begin at these epochs, with the steps of each; the first epoch is 0, and they
    /// rise.
    pub(crate) fn stretches(epochs: impl IntoIterator<Item = (u64, u64)>) -> Self {
        let mut all: Vec<Stretch> = Vec::new();
        for (epoch, each) in epochs {
            match all.last() {
                Some(last) if last.each == each => {}
                Some(last) => all.push(Stretch {
                    epoch,
                    step: last
                        .step
                        .saturating_add((epoch - last.epoch).saturating_mul(last.each)),
                    each,
                }),
                None => all.push(Stretch {
                    epoch,
                    step: 0,
                    each,
                }),
            }
        }
        Epochs(all)
    }

    /// Whether all epochs have the same number of steps.
    pub(crate) fn are_even(&self) -> bool {
        self.0.len() == 1
    }

    /// The step at a time in epochs; neither needs to be a whole number. Defined for every `epoch`
    /// of at least 0, also beyond the end of training.
    pub fn step(&self, epoch: f64) -> f64 {
        let from = self.0[self
            .0
            .partition_point(|s| s.epoch as f64 <= epoch)
            .saturating_sub(1)];
        settled(from.step as f64 + (epoch - from.epoch as f64) * from.each as f64)
    }

    /// The time of a step in epochs, the inverse of [`Epochs::step`].
    pub fn epoch(&self, step: f64) -> f64 {
        let from = self.0[self
            .0
            .partition_point(|s| s.step as f64 <= step)
            .saturating_sub(1)];
        from.epoch as f64 + (step - from.step as f64) / from.each as f64
    }

    /// The number of steps that `epochs` epochs take from the step `from` on.
    pub(crate) fn steps(&self, epochs: f64, from: f64) -> f64 {
        match self.0[..] {
            [Stretch { each, .. }] => settled(epochs * each as f64),
            _ => settled(self.step(self.epoch(from) + epochs) - from),
        }
    }
}

impl TryFrom<Vec<[u64; 3]>> for Epochs {
    type Error = ConfigError;
    fn try_from(rows: Vec<[u64; 3]>) -> Result<Self, ConfigError> {
        let sound = rows.first().is_some_and(|row| row[0] == 0)
            && rows.iter().all(|row| row[2] > 0)
            && rows.is_sorted_by(|a, b| a[0] < b[0]);
        let wanted = "rows of [first epoch, its first step, steps of each], from epoch 0 on";
        require(sound, "epochs", format!("{rows:?}"), wanted)?;
        Ok(Epochs::stretches(
            rows.into_iter().map(|[epoch, _, each]| (epoch, each)),
        ))
    }
}

impl From<Epochs> for Vec<[u64; 3]> {
    fn from(epochs: Epochs) -> Self {
        epochs.0.iter().map(|s| [s.epoch, s.step, s.each]).collect()
    }
}

/// Rounds a number that is within rounding error of a whole number (0.07 · 100 is 7, not
/// 7.000000000000001); else a milestone would come one step late.
pub(crate) fn settled(x: f64) -> f64 {
    if (x - x.round()).abs() <= 1e-9 * x.max(1.0) {
        x.round()
    } else {
        x
    }
}
