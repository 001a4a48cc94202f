//! What can go wrong with a study.

use std::path::{Path, PathBuf};

/// Errors of studies; each names the value, the place and the remedy.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StudyError {
    /// The file does not describe a study: a syntax error, an unknown key or a contradiction.
    #[error("{file}{}: {message}", line.map(|l| format!(", line {l}")).unwrap_or_default())]
    Invalid {
        /// The file, as the user named it.
        file: String,
        /// The line, counted from 1, if it is known.
        line: Option<usize>,
        /// What is wrong, and what would be right.
        message: String,
    },
    /// An override `key=value` that cannot be read or does not fit.
    #[error("--set {text}: {message}")]
    Override {
        /// The override as given.
        text: String,
        /// What is wrong, and what would be right.
        message: String,
    },
    /// The folder was begun with another study.
    #[error(
        "{} was begun with another study; the difference (- in the folder, + here):\n{diff}\nUse another folder for the changed study; \
         copy this folder's trials*.jsonl into it to keep the trials that both share",
        folder.display()
    )]
    Changed {
        /// The study's folder.
        folder: PathBuf,
        /// The differing lines of the two resolved studies.
        diff: String,
    },
    /// The data have changed since trials of the folder ran.
    #[error(
        "{}: the data have changed since its trials ran:{differs}\nRestore the old data; or run these trials again on the data as they are \
         now with --accept-data (their records then move to {}); or use another folder with --out",
        folder.display(), crate::record::ASIDE
    )]
    OtherData {
        /// The study's folder.
        folder: PathBuf,
        /// A line for each state of the data: files with both hashes, and the trials.
        differs: String,
    },
    /// Trials of one data set ran on different files.
    #[error(
        "{}: its trials ran on different data and must not be compared:{kinds}\n`study run` of this study with --accept-data keeps those on the data \
         as they are now and runs the others again",
        folder.display()
    )]
    MixedData {
        /// The study's folder.
        folder: PathBuf,
        /// A line for each state of the data: files with their hashes, and the trials.
        kinds: String,
    },
    /// Trials of an old version whose settings have another meaning now, together with new or
    /// remaining trials.
    #[error(
        "{}: {trials} of its trials ran in a version before 0.3, in which the same settings had another meaning: {what}. Trials of both must not be \
         compared.\n`study run` of this study with --accept-data runs the old ones again (their records then move to {}); or use another folder with --out, or continue \
         with the old version",
        folder.display(), crate::record::ASIDE
    )]
    OlderTrials {
        /// The study's folder.
        folder: PathBuf,
        /// The number of old trials.
        trials: usize,
        /// What has changed, in words.
        what: String,
    },
    /// The data changed while the study ran.
    #[error(
        "the data changed while the study ran, as the trial {trial} shows: {differs}\nIts record was discarded, those before it are kept; restore the old data \
         and run the same command again, or add --accept-data"
    )]
    DataChanged {
        /// The trial that showed it.
        trial: String,
        /// The files, with both hashes.
        differs: String,
    },
    /// A folder without a study.
    #[error("{} has no study.toml: name the folder that `study run … --out` wrote", .0.display())]
    NoStudy(PathBuf),
    /// Another process is writing to this folder.
    #[error("{} is being written by {by} (which holds {}): wait for it or stop it; shards (--shard i/n) may share a folder", folder.display(), lock.display())]
    Locked {
        /// The study's folder.
        folder: PathBuf,
        /// The lock file.
        lock: PathBuf,
        /// The process that holds it.
        by: String,
    },
    /// A complete line of a journal that is not a trial record.
    #[error("{}, line {line}: {message}; the line is complete, so it was changed after it was written: restore it or delete it (its trial then runs again)", file.display())]
    Journal {
        /// The journal.
        file: PathBuf,
        /// The line, counted from 1.
        line: usize,
        /// What is wrong.
        message: String,
    },
    /// Reading or writing failed; everything reported as done is on disk.
    #[error("{action} {}: {source}", path.display())]
    Io {
        /// What was attempted.
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// The system's error.
        source: std::io::Error,
    },
    /// No worker process could be started.
    #[error("starting the worker {program}: {source}")]
    Worker {
        /// The program.
        program: String,
        /// The system's error.
        source: std::io::Error,
    },
    /// An invalid argument.
    #[error("{0}")]
    Argument(String),
}

impl StudyError {
    pub(crate) fn io(
        action: &'static str,
        path: &Path,
    ) -> impl FnOnce(std::io::Error) -> StudyError {
        let path = path.to_path_buf();
        move |source| StudyError::Io {
            action,
            path,
            source,
        }
    }
}
