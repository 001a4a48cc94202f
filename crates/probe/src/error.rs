//! What can go wrong.

use std::path::PathBuf;

use largebatch_train::TrainError;

/// An error of a probe. Each names the value, its place and the remedy.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ProbeError {
    /// The run, its data or its weights cannot be had.
    #[error(transparent)]
    Train(#[from] TrainError),
    /// An argument that cannot be.
    #[error("{key} = {value}: {why}")]
    Value {
        /// The argument.
        key: &'static str,
        /// The value given.
        value: String,
        /// Why it cannot be, and what can.
        why: String,
    },
    /// Weights that are NaN or infinite, as a diverged run leaves them.
    #[error(
        "{path}: weight {index} of {layer} is {value}: the run has diverged; probe one that has not, or an earlier checkpoint"
    )]
    Weights {
        /// The file or run that the weights come from.
        path: PathBuf,
        /// The parameter's path.
        layer: String,
        /// The place in the parameter, from 0.
        index: usize,
        /// The value.
        value: f64,
    },
    /// A loss or gradient that is NaN or infinite.
    #[error(
        "the {what} is {value}: the weights have left the region where the model can be evaluated; take a smaller step or radius"
    )]
    NotFinite {
        /// What was computed.
        what: &'static str,
        /// What came out.
        value: f64,
    },
    /// An optimizer's state that does not fit the run.
    #[error("the optimizer's state: {name} {why}; take a checkpoint of this run")]
    State {
        /// The entry.
        name: String,
        /// What is wrong with it.
        why: String,
    },
    /// A vector of the wrong length.
    #[error("a vector of {found} numbers was given for {expected} parameters")]
    Length {
        /// The number of parameters.
        expected: usize,
        /// The length given.
        found: usize,
    },
    /// Single precision where differences of gradients are taken.
    #[error(
        "device '{device}' computes in single precision, in which differences of gradients are lost in rounding; take --device flex"
    )]
    Precision {
        /// The device's name.
        device: String,
    },
}

impl ProbeError {
    /// Whether the arguments were at fault, rather than the machine, the run or the data.
    pub fn is_usage(&self) -> bool {
        match self {
            ProbeError::Train(error) => error.is_usage(),
            ProbeError::Value { .. } | ProbeError::Length { .. } | ProbeError::Precision { .. } => {
                true
            }
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
