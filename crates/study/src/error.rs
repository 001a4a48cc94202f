use std::path::{Path, PathBuf};

/// What can go wrong with a study; each message names the value, the place and the remedy.
#[derive(Debug, thiserror::Error)]
pub enum StudyError {
    /// The study file does not say a study: a syntax error, an unknown key, a contradiction.
    #[error("{file}{}: {message}", line.map(|l| format!(", line {l}")).unwrap_or_default())]
    Invalid {
        /// The file as the user named it.
        file: String,
        /// The line, counted from 1, where it is known.
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
        "{} was begun with another study; the difference (- there, + here):\n{diff}\nUse another folder for the changed study; \
         a copy of this folder's trials*.jsonl in it keeps the trials that both share",
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
        "{}: the data are no longer those that its trials were made from:{differs}\nBring the old data back; or run these trials anew from the data as they are \
         now by --accept-data (their records then move to {}); or use another folder by --out",
        folder.display(), crate::journal::ASIDE
    )]
    OtherData {
        /// The study's folder.
        folder: PathBuf,
        /// A line for each state of the data: files with both hashes, and the trials.
        differs: String,
    },
    /// Trials of one data set were made from different files.
    #[error(
        "{}: its trials were made from different data and must not be compared:{kinds}\n`study run` of this study with --accept-data keeps those of the data \
         as they are now and runs the others anew",
        folder.display()
    )]
    MixedData {
        /// The study's folder.
        folder: PathBuf,
        /// A line for each state of the data: files with their hashes, and the trials.
        kinds: String,
    },
    /// Trials of an old version, by settings that mean something else now, with others to come or to be compared with.
    #[error(
        "{}: {trials} of its trials were made by a version before 0.3, and the same settings mean something else now: {what}. Trials of both must not be \
         compared.\n`study run` of this study with --accept-data runs the old ones anew (their records then move to {}); or use another folder by --out, or go on \
         with the old version",
        folder.display(), crate::journal::ASIDE
    )]
    OlderTrials {
        /// The study's folder.
        folder: PathBuf,
        /// How many there are.
        trials: usize,
        /// What has changed.
        what: String,
    },
    /// The data changed while the study ran.
    #[error(
        "the data changed while the study ran, as the trial {trial} shows: {differs}\nIts record was thrown away, those before it are kept; bring the old data \
         back and give the same command again, or add --accept-data"
    )]
    DataChanged {
        /// The trial.
        trial: String,
        /// The files with both hashes.
        differs: String,
    },
    /// A folder without a study.
    #[error("{} holds no study.toml: name the folder that `study run … --out` wrote", .0.display())]
    NoStudy(PathBuf),
    /// Another process works on this folder.
    #[error("{} is being written by {by} (it holds {}): wait for it or stop it; shards (--shard i/n) may share a folder", folder.display(), lock.display())]
    Locked {
        /// The study's folder.
        folder: PathBuf,
        /// The lock file.
        lock: PathBuf,
        /// Who holds it.
        by: String,
    },
    /// A complete line of a journal that is no trial record.
    #[error("{}, line {line}: {message}; the line is complete, so it was changed after it was written: restore it or delete it (its trial then runs again)", file.display())]
    Journal {
        /// The journal.
        file: PathBuf,
        /// The line, counted from 1.
        line: usize,
        /// What is wrong.
        message: String,
    },
    /// Reading or writing failed; what was reported done before is on disk.
    #[error("{action} {}: {source}", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// Where.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// No worker process could be started.
    #[error("starting the worker {program}: {source}")]
    Worker {
        /// The program.
        program: String,
        /// Why not.
        source: std::io::Error,
    },
    /// Wrong use of an argument.
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
