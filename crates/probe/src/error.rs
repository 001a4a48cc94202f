//! The errors of the probes.

use std::path::PathBuf;

use largebatch_component::ComponentError;
use largebatch_train::TrainError;

/// An error of a probe. Each names the value, its place and the remedy.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ProbeError {
    /// The run, its data or its weights cannot be opened.
    #[error(transparent)]
    Train(#[from] TrainError),
    /// An unknown probe, or an option that it does not take.
    #[error(transparent)]
    Component(#[from] ComponentError),
    /// An argument with an invalid value.
    #[error("{key} = {value}: {why}")]
    Value {
        /// The argument.
        key: &'static str,
        /// Its value.
        value: String,
        /// Why it is invalid, and which values are valid.
        why: String,
    },
    /// Weights that are NaN or infinite, as a diverged run leaves them.
    #[error(
        "{path}: weight {index} of {layer} is {value}, so the run has diverged; probe another run or an earlier checkpoint"
    )]
    Weights {
        /// The file or run that the weights come from.
        path: PathBuf,
        /// The parameter's path.
        layer: String,
        /// The index in the parameter, from 0.
        index: usize,
        /// The value.
        value: f64,
    },
    /// A computed number, such as a loss or gradient, that is NaN or infinite.
    #[error(
        "the {what} is {value}: the loss is not finite at these weights; take a smaller step or radius"
    )]
    NotFinite {
        /// What was computed.
        what: &'static str,
        /// The value.
        value: f64,
    },
    /// An optimizer's state that does not fit the run.
    #[error("optimizer state: {name} {why}; use a checkpoint of this run")]
    State {
        /// The entry of the state.
        name: String,
        /// What is wrong with it.
        why: String,
    },
    /// A vector of the wrong length.
    #[error("the vector has {found} numbers, but the model has {expected} parameters")]
    Length {
        /// The number of parameters.
        expected: usize,
        /// The vector's length.
        found: usize,
    },
    /// Single precision in a probe that takes differences of gradients.
    #[error(
        "device '{device}' computes in single precision, in which rounding hides differences of gradients; use --device flex"
    )]
    Precision {
        /// The device's name.
        device: String,
    },
}

impl ProbeError {
    /// Whether the arguments caused the error, rather than the machine, the run or the data.
    pub fn is_usage(&self) -> bool {
        match self {
            ProbeError::Train(error) => error.is_usage(),
            ProbeError::Component(_)
            | ProbeError::Value { .. }
            | ProbeError::Length { .. }
            | ProbeError::Precision { .. } => true,
            ProbeError::Weights { .. }
            | ProbeError::NotFinite { .. }
            | ProbeError::State { .. } => false,
        }
    }

    pub(crate) fn value(key: &'static str, value: impl ToString, why: impl Into<String>) -> Self {
        ProbeError::Value {
            key,
            value: value.to_string(),
            why: why.into(),
        }
    }
}
