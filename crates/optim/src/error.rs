use std::fmt::Debug;
use std::ops::RangeBounds;

/// A configuration that cannot be used.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum ConfigError {
    /// The registry has no optimizer with this name.
    #[error("unknown optimizer `{name}`{}; known are {known}", suggestion(.nearest))]
    UnknownOptimizer {
        /// The unknown name.
        name: String,
        /// The most similar known name.
        nearest: Option<String>,
        /// All known names.
        known: String,
    },
    /// The optimizer has no preset with this name.
    #[error("optimizer `{optimizer}` has no preset `{preset}`{}; it has {known}", suggestion(.nearest))]
    UnknownPreset {
        /// The optimizer.
        optimizer: &'static str,
        /// The unknown preset.
        preset: String,
        /// The most similar known preset.
        nearest: Option<String>,
        /// All known presets.
        known: String,
    },
    /// The optimizer has no option with this name.
    #[error("optimizer `{optimizer}` has no option `{option}`{}; it has {known}", suggestion(.nearest))]
    UnknownOption {
        /// The optimizer.
        optimizer: &'static str,
        /// The unknown option.
        option: String,
        /// The most similar known option.
        nearest: Option<String>,
        /// All known options.
        known: String,
    },
    /// A value is outside its range.
    #[error("option `{option}` is {value}, but it must be within {range}: {why}")]
    OutOfRange {
        /// The option.
        option: &'static str,
        /// Its value.
        value: f64,
        /// The range of valid values.
        range: String,
        /// Why the value is refused.
        why: &'static str,
    },
    /// Two options contradict each other.
    #[error("option `{option}` cannot be combined with {with}: {why}")]
    Contradiction {
        /// The option.
        option: &'static str,
        /// The option or value that it contradicts.
        with: &'static str,
        /// Why the two exclude each other.
        why: &'static str,
    },
    /// A value is of the wrong type.
    #[error("optimizer `{optimizer}`: {message}")]
    Value {
        /// The optimizer.
        optimizer: &'static str,
        /// Which option is wrong, and why.
        message: String,
    },
    /// A pattern of an exclusion is not a regular expression.
    #[error(
        "exclusion `{pattern}` is not a usable regular expression ({message}); give `none`, `vectors`, `layer:NAME`, or a regular expression on parameter paths"
    )]
    Pattern {
        /// The pattern.
        pattern: String,
        /// What is wrong with it, in one line.
        message: String,
    },
    /// An exclusion by path that matches no parameter of the model.
    #[error("exclusion `{pattern}` matches no parameter (the model has {}){}", paths.join(", "), suggestion(nearest))]
    Unmatched {
        /// The patterns.
        pattern: String,
        /// A keyword with a similar spelling.
        nearest: Option<String>,
        /// The paths of the model's parameters.
        paths: Vec<String>,
    },
}

fn suggestion(nearest: &Option<String>) -> String {
    nearest
        .as_ref()
        .map(|n| format!(", did you mean `{n}`?"))
        .unwrap_or_default()
}

/// An error of this crate: a bad configuration, a state that does not fit, an unusable trajectory.
#[derive(Debug, thiserror::Error)]
pub enum OptimError {
    /// A configuration that cannot be used.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The bytes are not an optimizer state.
    #[error(
        "this is not an optimizer state of largebatch: {0}; choose a file that `Driver::save` or a checkpoint wrote"
    )]
    NotAState(String),
    /// The state was written by a newer version of the program.
    #[error(
        "the optimizer state has schema version {found}, but this program reads versions up to {known}: use a newer program"
    )]
    NewerState {
        /// Version in the file.
        found: u64,
        /// Newest version that this program knows.
        known: u64,
    },
    /// The state belongs to another optimizer.
    #[error(
        "the state belongs to optimizer `{found}`, but the run uses `{expected}`: resume with the same optimizer, or start without the state"
    )]
    OtherOptimizer {
        /// Name in the file.
        found: String,
        /// Name of this driver's optimizer.
        expected: &'static str,
    },
    /// The state belongs to another model.
    #[error(
        "the state does not fit the model at parameter `{path}`: {what}; load a state that was saved with this model"
    )]
    OtherModel {
        /// The parameter's path.
        path: String,
        /// The difference.
        what: String,
    },
    /// The state was saved with other options: its fields differ from those that the rule keeps.
    #[error(
        "the state of parameter `{path}` does not fit the optimizer's options ({what}): resume with the options it was saved with"
    )]
    OtherOptions {
        /// The parameter's path.
        path: String,
        /// The difference.
        what: String,
    },
    /// A trajectory that cannot be replayed.
    #[error("{place}: {what}; {remedy}")]
    Trajectory {
        /// The file, and the entry in it.
        place: String,
        /// What is wrong with the entry.
        what: String,
        /// What to do about it.
        remedy: String,
    },
    /// Reading or writing failed.
    #[error("cannot {action} {path}: {source}")]
    Io {
        /// `read` or `write`.
        action: &'static str,
        /// The path of the file.
        path: String,
        /// The system's error.
        source: std::io::Error,
    },
}

/// Ok if `value` is in `range`, else an error that names the option, the value, the range and
/// `why`. NaN is always refused.
///
/// ```
/// assert!(largebatch_optim::within("momentum", 0.9, 0.0..1.0, "the velocity would grow without bound").is_ok());
/// assert!(largebatch_optim::within("momentum", f64::NAN, 0.0..1.0, "the velocity would grow without bound").is_err());
/// ```
pub fn within(
    option: &'static str,
    value: f64,
    range: impl RangeBounds<f64> + Debug,
    why: &'static str,
) -> Result<(), ConfigError> {
    if range.contains(&value) {
        Ok(())
    } else {
        Err(ConfigError::OutOfRange {
            option,
            value,
            range: format!("{range:?}"),
            why,
        })
    }
}

/// The known name that is most similar to `name`, if one is similar enough.
pub(crate) fn nearest<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> Option<String> {
    known
        .map(|k| (strsim::jaro_winkler(name, k), k))
        .filter(|(score, _)| *score > 0.7)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, k)| k.to_string())
}

pub(crate) fn listing<'a>(known: impl Iterator<Item = &'a str>) -> String {
    known
        .map(|k| format!("`{k}`"))
        .collect::<Vec<_>>()
        .join(", ")
}
