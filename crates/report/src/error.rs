use std::path::{Path, PathBuf};

/// Why a report could not be written.
#[derive(Debug, thiserror::Error)]
pub enum ReportError {
    /// A file or folder could not be written.
    #[error("{doing} {path}: {source}; check the folder's permissions and free space")]
    Io {
        /// The action that failed, such as `writing`.
        doing: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// The system's error.
        source: std::io::Error,
    },
    /// The folder contains something that is not part of a report.
    #[error(
        "{folder} contains `{entry}`, which is not part of a report and would be lost: name a new or an empty folder"
    )]
    Foreign {
        /// The folder.
        folder: PathBuf,
        /// The entry that is not part of a report.
        entry: String,
    },
    /// Another process has been writing the report for ten minutes.
    #[error("{folder} is being written by {by}: wait for it, or name another folder")]
    Busy {
        /// The folder.
        folder: PathBuf,
        /// The process that writes it.
        by: String,
    },
    /// Unknown name of a format.
    #[error(
        "unknown export format `{0}`; known are html, svg, png, csv, jsonl, parquet and tensorboard"
    )]
    Format(String),
    /// A figure could not be drawn.
    #[error(transparent)]
    Figure(#[from] largebatch_plot::PlotError),
    /// A table could not be encoded.
    #[error(
        "cannot encode {what}: {message}; this is a bug in largebatch-report, please report it"
    )]
    Encode {
        /// The table.
        what: String,
        /// What is wrong with it.
        message: String,
    },
}

impl ReportError {
    pub(crate) fn io(
        doing: &'static str,
        path: &Path,
    ) -> impl FnOnce(std::io::Error) -> ReportError + use<> {
        let path = path.to_path_buf();
        move |source| ReportError::Io {
            doing,
            path,
            source,
        }
    }

    pub(crate) fn encode(what: &str, error: impl std::fmt::Display) -> ReportError {
        ReportError::Encode {
            what: what.into(),
            message: error.to_string(),
        }
    }
}
