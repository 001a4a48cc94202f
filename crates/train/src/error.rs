//! Errors of this crate.

use std::path::{Path, PathBuf};

use largebatch_component::ComponentError;
use largebatch_data::DataError;
use largebatch_optim::OptimError;

/// A training error. Each names the value, its place and the remedy. Divergence is not an error but
/// an [`Outcome`](crate::Outcome).
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TrainError {
    /// A configuration that does not parse.
    #[error("{place}: {message}")]
    Config {
        /// The file, or the command line.
        place: String,
        /// What is wrong, with line and remedy.
        message: String,
    },
    /// A value out of range, or one that contradicts another.
    #[error("{key} = {value}: {why}")]
    Value {
        /// The dotted key.
        key: String,
        /// The value given.
        value: String,
        /// Why the value is refused, and what is allowed.
        why: String,
    },
    /// A name that is not in the table.
    #[error("{message}")]
    Unknown {
        /// What the name was for.
        kind: &'static str,
        /// The name, the nearest known one, and all of them.
        message: String,
    },
    /// An unknown component.
    #[error(transparent)]
    Component(#[from] ComponentError),
    /// A backend that this build lacks.
    #[error(
        "device '{device}' is not compiled into this program: `cargo build --release --features {feature}` adds it"
    )]
    NotCompiled {
        /// The device asked for.
        device: &'static str,
        /// The cargo feature that adds it.
        feature: &'static str,
    },
    /// A backend without hardware or driver.
    #[error(
        "device '{device}': this machine offers no adapter for it; {remedy}, or take --device flex"
    )]
    NoAdapter {
        /// The device asked for.
        device: &'static str,
        /// What to install.
        remedy: &'static str,
    },
    /// A data set that cannot be found, read or used.
    #[error(transparent)]
    Data(#[from] DataError),
    /// A model that cannot be built, or whose weights do not fit.
    #[error(transparent)]
    Model(#[from] largebatch_models::ConfigError),
    /// An optimizer that cannot be built, or whose state does not fit.
    #[error(transparent)]
    Optim(#[from] OptimError),
    /// A schedule that cannot be built.
    #[error(transparent)]
    Schedule(#[from] largebatch_schedule::ConfigError),
    /// An error of the file system.
    #[error("{}: cannot {action}: {source}", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What was attempted.
        action: &'static str,
        /// The system's error.
        source: std::io::Error,
    },
    /// The run's data have changed since it was trained.
    #[error(
        "{}: the data have changed since this run was trained: {differs}. Restore the old data, or name the folder that holds them by --data-dir; \
         --accept-data uses the data as they are now, but some of their test examples may have been training examples of the run",
        path.display()
    )]
    OtherData {
        /// The run's folder.
        path: PathBuf,
        /// The files that differ, with both hashes.
        differs: String,
    },
    /// Another process is writing to the run's folder.
    #[error("{}: is being written by {by}: wait for it, stop it, or give another --out", path.display())]
    Locked {
        /// The folder.
        path: PathBuf,
        /// The process that writes to it.
        by: String,
    },
    /// A process of a shared training that would not give the bits of the others.
    #[error(
        "rank {rank} and rank 0 differ in {what}: all machines need the same program, arguments and data, and the same kind of processor"
    )]
    Rank {
        /// The process.
        rank: usize,
        /// What differs, with both values.
        what: String,
    },
    /// A folder that is not a run's folder, or belongs to another run.
    #[error("{}: {message}", path.display())]
    Folder {
        /// The folder, or the file in it.
        path: PathBuf,
        /// What is wrong, and the remedy.
        message: String,
    },
}

impl From<largebatch_optim::ConfigError> for TrainError {
    fn from(error: largebatch_optim::ConfigError) -> Self {
        TrainError::Optim(error.into())
    }
}

impl TrainError {
    /// An unknown name, with the nearest known one.
    pub fn unknown<'a>(
        kind: &'static str,
        name: &str,
        known: impl Iterator<Item = &'a str>,
    ) -> Self {
        TrainError::Unknown {
            kind,
            message: largebatch_component::unknown(kind, name, known),
        }
    }

    /// Whether the arguments are at fault, rather than the machine or the data.
    pub fn is_usage(&self) -> bool {
        match self {
            TrainError::Data(error) => error.is_usage(),
            TrainError::Optim(error) => matches!(error, OptimError::Config(_)),
            TrainError::Io { .. }
            | TrainError::Folder { .. }
            | TrainError::Locked { .. }
            | TrainError::OtherData { .. }
            | TrainError::Rank { .. }
            | TrainError::NoAdapter { .. } => false,
            _ => true,
        }
    }

    /// Wraps an error of the file system.
    pub fn io(path: &Path, action: &'static str) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.to_owned();
        move |source| TrainError::Io {
            path,
            action,
            source,
        }
    }

    /// A folder that is not what it should be.
    pub fn folder(path: &Path, message: impl Into<String>) -> Self {
        TrainError::Folder {
            path: path.to_owned(),
            message: message.into(),
        }
    }

    /// A value that is not taken.
    pub fn value(key: impl Into<String>, value: impl ToString, why: impl Into<String>) -> Self {
        TrainError::Value {
            key: key.into(),
            value: value.to_string(),
            why: why.into(),
        }
    }
}
