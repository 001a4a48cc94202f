//! What can be wrong with a schedule.

use largebatch_component::ComponentError;
use thiserror::Error;

/// What can be wrong with a schedule; each message names the value, the place and the remedy.
#[derive(Clone, PartialEq, Debug, Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// An unknown schedule or option, a value of the wrong type or out of range.
    #[error(transparent)]
    Component(#[from] ComponentError),
    /// A value is out of range.
    #[error("{key} = {value} is out of range: {wanted}")]
    Range {
        /// The key's full path, such as `schedule.warmup.start`.
        key: String,
        /// The value, as written.
        value: String,
        /// The allowed range, and what to do.
        wanted: &'static str,
    },
    /// A length with no unit or with several.
    #[error(
        "a length needs exactly one of `fraction`, `epochs` and `steps`, such as {{ epochs = 5 }}, but this one {found}"
    )]
    Unit {
        /// Which units were given.
        found: String,
    },
    /// A warm-up that is at least as long as the training run: the peak would never be reached.
    #[error(
        "schedule.warmup of {warmup} steps ({span}) does not fit into a training of {total} steps: shorten it, give it as a fraction \
         (schedule.warmup.fraction = 0.05), or train longer"
    )]
    WarmupTooLong {
        /// The warm-up as written.
        span: String,
        /// Its length in steps.
        warmup: f64,
        /// The number of steps of the training run.
        total: usize,
    },
    /// A drop of the rate during the warm-up.
    #[error(
        "{key}: the drop at step {at} is inside the warm-up of {warmup} steps (milestones count from the start of training): move it \
         after the warm-up, or shorten schedule.warmup"
    )]
    DropInWarmup {
        /// The key of the milestone.
        key: &'static str,
        /// The step of the drop.
        at: f64,
        /// The warm-up's length in steps.
        warmup: f64,
    },
}

/// `Ok` if `good`, else the range error for `key = value`.
pub(crate) fn require(
    good: bool,
    key: &str,
    value: impl ToString,
    wanted: &'static str,
) -> Result<(), ConfigError> {
    if good {
        Ok(())
    } else {
        Err(ConfigError::Range {
            key: key.into(),
            value: value.to_string(),
            wanted,
        })
    }
}
