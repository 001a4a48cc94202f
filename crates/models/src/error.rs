//! What can be wrong with a model's name, parameters, data shape or saved weights.

use largebatch_component::ComponentError;

/// A model that cannot be built as asked. The message names the value, the place and the remedy.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// An unknown model or option, a value of the wrong type or out of range.
    #[error(transparent)]
    Component(#[from] ComponentError),
    /// A value that contradicts another, or that the model cannot be trained with.
    #[error("model `{model}`: {option} = {value} is refused: {reason}")]
    Option {
        /// The model's name.
        model: &'static str,
        /// The option.
        option: &'static str,
        /// Its value.
        value: String,
        /// Why the value is refused, and what to use instead.
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
