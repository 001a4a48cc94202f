use thiserror::Error;

/// What can be wrong with a schedule; each message names the value, its place and the remedy.
#[derive(Clone, PartialEq, Debug, Error)]
pub enum ConfigError {
    /// No schedule, warm-up or rule of that name.
    #[error("unknown {what} `{name}`; there are: {}", known.join(", "))]
    UnknownName {
        /// What was looked up: `schedule`, `batch schedule`, `scaling`.
        what: &'static str,
        /// The name that was given.
        name: String,
        /// The names that exist.
        known: Vec<&'static str>,
    },
    /// A parameter that this schedule does not have, although another one does.
    #[error("unknown field `{key}` of {what} `{name}`, expected one of {}", known.iter().map(|k| format!("`{k}`")).collect::<Vec<_>>().join(", "))]
    UnknownKey {
        /// `schedule` or `batch schedule`.
        what: &'static str,
        /// The schedule's name.
        name: &'static str,
        /// The parameter that was given.
        key: &'static str,
        /// The parameters that it has.
        known: Vec<&'static str>,
    },
    /// A value out of its range.
    #[error("{key} = {value} is out of range: {wanted}")]
    Range {
        /// Where: the key's full path, such as `schedule.warmup.start`.
        key: String,
        /// The value, as written.
        value: String,
        /// The range, and what to do.
        wanted: &'static str,
    },
    /// A length given in no unit, or in two.
    #[error(
        "a length needs exactly one of `fraction`, `epochs` and `steps`, such as {{ epochs = 5 }}, but {found}"
    )]
    Unit {
        /// Which units were given.
        found: String,
    },
    /// A warm-up as long as the training, or longer: the peak would never be reached.
    #[error(
        "schedule.warmup of {warmup} steps ({span}) does not fit into a training of {total} steps: shorten it, give it as a fraction \
         (schedule.warmup.fraction = 0.05), or train longer"
    )]
    WarmupTooLong {
        /// The warm-up as written.
        span: String,
        /// Its steps.
        warmup: f64,
        /// The steps of training.
        total: usize,
    },
    /// A drop of the rate inside the warm-up.
    #[error(
        "{key}: the drop at step {at} lies inside the warm-up of {warmup} steps (milestones count from the start of training): move it \
         behind the warm-up, or shorten schedule.warmup"
    )]
    DropInWarmup {
        /// Where the milestone was given.
        key: &'static str,
        /// Its step.
        at: f64,
        /// The warm-up's steps.
        warmup: f64,
    },
}

/// `Ok` if `good`, else the error for `key = value`.
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
