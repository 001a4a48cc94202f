use std::path::{Path, PathBuf};

/// Why a report could not be written.
#[derive(Debug, thiserror::Error)]
pub enum ReportError {
    /// A file or folder could not be written.
    #[error("{doing} {path}: {source}; check the folder's permissions and free space")]
    Io {
        /// What was being done.
        doing: &'static str,
        /// To what.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// The folder holds something that no report wrote.
    #[error(
        "{folder} holds `{entry}`, which does not belong to a report and would be lost: name a new or an empty folder"
    )]
    Foreign {
        /// The folder.
        folder: PathBuf,
        /// What it holds.
        entry: String,
    },
    /// Another process has been writing the report for ten minutes.
    #[error("{folder} is being written by {by}: wait for it, or name another folder")]
    Busy {
        /// The folder.
        folder: PathBuf,
        /// Who writes it.
        by: String,
    },
    /// A format's name is unknown.
    #[error(
        "no export format `{0}`; there are html, svg, png, csv, jsonl, parquet and tensorboard"
    )]
    Format(String),
    /// A figure's file has a name that says no format.
    #[error("a figure cannot be written to {0}: let its name end in .svg or .png")]
    Extension(PathBuf),
    /// A figure or table could not be encoded.
    #[error("encoding {what}: {message}; this is a defect of largebatch-report, please report it")]
    Encode {
        /// What was encoded.
        what: String,
        /// What went wrong.
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
