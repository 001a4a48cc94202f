//! What can be wrong with a model's name, parameters, data shape or saved weights.

/// A model that cannot be built as asked. The message names the value, the place and the remedy.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// No model has this name.
    #[error("unknown model `{name}`{}; the models are {known}", suggest(.nearest))]
    UnknownModel {
        /// The name that was asked for.
        name: String,
        /// The most similar model name, if one is close.
        nearest: Option<String>,
        /// All model names.
        known: String,
    },
    /// The model has no parameter of this name.
    #[error("model `{model}` has no parameter `{name}`{}; it has {known}", suggest(.nearest))]
    UnknownParameter {
        /// The model's name.
        model: &'static str,
        /// The parameter that was given.
        name: String,
        /// The most similar parameter name, if one is close.
        nearest: Option<String>,
        /// All parameters of the model.
        known: String,
    },
    /// A parameter's value has the wrong type.
    #[error("model `{model}`: {message}")]
    Type {
        /// The model's name.
        model: &'static str,
        /// serde's message: what was found and what was expected.
        message: String,
    },
    /// A parameter's value is out of range.
    #[error("model `{model}`: {parameter} = {value} is refused: {reason}")]
    Range {
        /// The model's name.
        model: &'static str,
        /// The parameter.
        parameter: &'static str,
        /// Its value.
        value: String,
        /// The allowed range, or why the value is refused.
        reason: String,
    },
    /// The model does not fit the data set.
    #[error("model `{model}` does not fit this data: {reason}")]
    Data {
        /// The model's name.
        model: &'static str,
        /// What is wrong with the data, and what to use instead.
        reason: String,
    },
    /// The loss cannot take a label.
    #[error("label {label} of example {position} of the batch is refused: {reason}")]
    Label {
        /// The label.
        label: String,
        /// Its position in the batch, from 0.
        position: usize,
        /// Which labels are allowed.
        reason: String,
    },
}

/// Saved weights do not belong to this network.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum StateError {
    /// Weights are missing or superfluous.
    #[error(
        "the weights do not belong to this model: {}; train or load with the configuration that made them",
        paths(.missing, .extra)
    )]
    Paths {
        /// Paths of the model's parameters that are missing from the weights.
        missing: Vec<String>,
        /// Paths of weights that match no parameter of the model.
        extra: Vec<String>,
    },
    /// A weight's shape differs from the parameter's (both in PyTorch's layout).
    #[error(
        "weight `{path}` has shape {found:?}, but the model needs {expected:?}; check the model's widths and the data's shape"
    )]
    Shape {
        /// The parameter's path.
        path: String,
        /// The shape in the model.
        expected: Vec<usize>,
        /// The shape that was given.
        found: Vec<usize>,
    },
    /// A weight is not made of floating-point numbers.
    #[error("weight `{path}` holds {found}, but floating-point numbers are needed")]
    Type {
        /// The parameter's path.
        path: String,
        /// The element type that was given.
        found: String,
    },
}

fn suggest(nearest: &Option<String>) -> String {
    nearest
        .as_ref()
        .map(|n| format!(" (did you mean `{n}`?)"))
        .unwrap_or_default()
}

fn paths(missing: &[String], extra: &[String]) -> String {
    let list = |what: &str, paths: &[String]| match paths.len() {
        0 => None,
        n => Some(format!(
            "{what} {}{}",
            paths[..n.min(5)].join(", "),
            if n > 5 {
                format!(" and {} more", n - 5)
            } else {
                String::new()
            }
        )),
    };
    [list("missing", missing), list("unknown", extra)]
        .into_iter()
        .flatten()
        .collect::<Vec<_>>()
        .join("; ")
}

/// The known word most similar to `word`, if it is close enough to be meant.
pub(crate) fn nearest<'a>(word: &str, known: impl Iterator<Item = &'a str>) -> Option<String> {
    let word = word.to_lowercase().replace('_', "-");
    known
        .map(|k| (strsim::damerau_levenshtein(&word, &k.replace('_', "-")), k))
        .min()
        .filter(|(distance, k)| *distance <= 1 + k.len() / 3)
        .map(|(_, k)| k.to_string())
}
