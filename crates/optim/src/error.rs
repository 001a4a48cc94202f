use largebatch_component::ComponentError;

/// A configuration that cannot be used.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// An unknown optimizer, preset or option, a value of the wrong type or out of range.
    #[error(transparent)]
    Component(#[from] ComponentError),
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
    /// A pattern of an exclusion or a group is not a regular expression.
    #[error(
        "pattern `{pattern}` is not a usable regular expression ({message}); give `none`, `vectors`, `layer:NAME`, or a regular expression on parameter paths"
    )]
    Pattern {
        /// The pattern.
        pattern: String,
        /// What is wrong with it, in one line.
        message: String,
    },
    /// A pattern of an exclusion or a group that matches no parameter of the model.
    #[error("pattern `{pattern}` matches no parameter (the model has {}){}", paths.join(", "), suggestion(nearest))]
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
#[non_exhaustive]
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

impl From<ComponentError> for OptimError {
    fn from(error: ComponentError) -> Self {
        OptimError::Config(error.into())
    }
}
