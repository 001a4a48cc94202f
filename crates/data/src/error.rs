//! What can go wrong with data: each error names the value, the place and the remedy.

use std::path::{Path, PathBuf};

use largebatch_component::{ComponentError, unknown};

/// An error of this crate.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DataError {
    /// An unknown format or key, a value of the wrong type or out of range.
    #[error(transparent)]
    Component(#[from] ComponentError),
    /// No data set has this name.
    #[error("{}; to read your own files, give --set dataset.format=csv --set dataset.train=FILE --set dataset.label=COLUMN", unknown("data set", name, known.iter().map(String::as_str)))]
    UnknownSet {
        /// The name asked for.
        name: String,
        /// All known names.
        known: Vec<String>,
    },
    /// The set is known, but its files are not in any of the searched folders.
    #[error(
        "the files of `{name}` were not found; looked in {}. Put {} (plain or .gz) into one of these folders, \
         or run `largebatch data fetch {name}` on a machine with a network",
        places(searched), files.join(", ")
    )]
    Missing {
        /// The set.
        name: String,
        /// The folders that were searched.
        searched: Vec<PathBuf>,
        /// The files that the set needs.
        files: Vec<String>,
    },
    /// A relative path does not lead to a file.
    #[error(
        "cannot find {}; looked in {}. Check its spelling, give an absolute path, or name its folder with --data-dir",
        path.display(), places(searched)
    )]
    NotFound {
        /// The path as given.
        path: PathBuf,
        /// The folders that were searched.
        searched: Vec<PathBuf>,
    },
    /// A file or folder could not be read.
    #[error("cannot read {}: {source}; check that it exists and may be read", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The operating system's error.
        source: std::io::Error,
    },
    /// A file or folder could not be written.
    #[error(
        "cannot write {}: {source}; free some space, or name another cache folder in the environment variable LARGEBATCH_CACHE_DIR",
        path.display()
    )]
    Write {
        /// The file or folder.
        path: PathBuf,
        /// The operating system's error.
        source: std::io::Error,
    },
    /// A compressed file ends early or is damaged.
    #[error("{} is not a complete gzip file ({source}); copy or fetch it again", path.display())]
    Compressed {
        /// The file.
        path: PathBuf,
        /// The decoder's error.
        source: std::io::Error,
    },
    /// A file is empty.
    #[error("{} is empty; copy or fetch it again", path.display())]
    Empty {
        /// The file.
        path: PathBuf,
    },
    /// A binary file does not have the expected format or length.
    #[error("{}: {what} is {found}, but {expected} was expected; is it the right file?", path.display())]
    Format {
        /// The file.
        path: PathBuf,
        /// The part of the file that is wrong, such as "the magic number".
        what: String,
        /// The value found.
        found: String,
        /// The value expected.
        expected: String,
    },
    /// There are more or fewer labels than examples.
    #[error(
        "{} holds {examples} examples, but {} holds {labels} labels; they do not belong together",
        examples_file.display(), labels_file.display()
    )]
    Counts {
        /// The file of the examples.
        examples_file: PathBuf,
        /// The number of examples in it.
        examples: usize,
        /// The file of the labels.
        labels_file: PathBuf,
        /// The number of labels in it.
        labels: usize,
    },
    /// A label is not one of the classes.
    #[error("{}: the label of example {index} (counted from 0) is {label}, but the classes are {classes}", path.display())]
    Label {
        /// The file.
        path: PathBuf,
        /// The example, counted from 0.
        index: usize,
        /// The label found.
        label: String,
        /// The classes, in words.
        classes: String,
    },
    /// A line of a text file cannot be used.
    #[error("{}, line {line}{}: {problem}", path.display(), column.as_ref().map(|c| format!(", {c}")).unwrap_or_default())]
    Line {
        /// The file.
        path: PathBuf,
        /// The line, counted from 1.
        line: u64,
        /// The column, by name or number.
        column: Option<String>,
        /// The wrong value and what to do.
        problem: String,
    },
    /// A column of a table, or the target, cannot be used as it is.
    #[error("{column}: {problem}")]
    Column {
        /// The column, by its name or number, or `the target`.
        column: String,
        /// The wrong value and what to do.
        problem: String,
    },
    /// A setting has a value that is out of range or does not suit the data.
    #[error("{key} = {value}: {why}")]
    Setting {
        /// The setting's name.
        key: String,
        /// Its value.
        value: String,
        /// The allowed range, or why the value does not fit.
        why: String,
    },
    /// No mirror delivered the file.
    #[error("could not fetch {file} of `{name}`:{}\nFetch it by hand from one of these addresses and put it into {}", list(attempts), folder.display())]
    Fetch {
        /// The set.
        name: String,
        /// The file.
        file: String,
        /// Each address that was tried, with what went wrong.
        attempts: Vec<String>,
        /// Where to put the file.
        folder: PathBuf,
    },
    /// Verification found a file whose content is not in the catalogue.
    #[error(
        "{file} is not the published content of `{name}`: training on it gives a warning, and the results cannot be compared digit by digit with those on the published data"
    )]
    Unpublished {
        /// The set.
        name: String,
        /// The file.
        file: String,
    },
    /// A file differs from the catalogue.
    #[error("{}: SHA-256 is {found}, but the catalogue says {expected}; delete the file and fetch it again", path.display())]
    Checksum {
        /// The file.
        path: PathBuf,
        /// Its SHA-256.
        found: String,
        /// The SHA-256 in the catalogue.
        expected: String,
    },
}

fn places(folders: &[PathBuf]) -> String {
    folders
        .iter()
        .map(|f| f.display().to_string())
        .collect::<Vec<_>>()
        .join(", ")
}

fn list(attempts: &[String]) -> String {
    attempts.iter().map(|a| format!("\n  {a}")).collect()
}

impl DataError {
    /// Whether the settings are wrong, rather than the machine or a file.
    pub fn is_usage(&self) -> bool {
        matches!(
            self,
            DataError::Component(_) | DataError::UnknownSet { .. } | DataError::Setting { .. }
        )
    }

    pub(crate) fn read(path: &Path) -> impl FnOnce(std::io::Error) -> DataError {
        let path = path.to_path_buf();
        move |source| DataError::Read { path, source }
    }

    pub(crate) fn write(path: &Path) -> impl FnOnce(std::io::Error) -> DataError {
        let path = path.to_path_buf();
        move |source| DataError::Write { path, source }
    }

    pub(crate) fn compressed(path: &Path) -> impl FnOnce(std::io::Error) -> DataError {
        let path = path.to_path_buf();
        move |source| DataError::Compressed { path, source }
    }

    pub(crate) fn empty(path: &Path) -> DataError {
        DataError::Empty { path: path.into() }
    }

    pub(crate) fn format(
        path: &Path,
        what: &str,
        found: impl ToString,
        expected: impl Into<String>,
    ) -> DataError {
        DataError::Format {
            path: path.into(),
            what: what.into(),
            found: found.to_string(),
            expected: expected.into(),
        }
    }

    pub(crate) fn setting(key: &str, value: impl ToString, why: impl Into<String>) -> DataError {
        DataError::Setting {
            key: key.into(),
            value: value.to_string(),
            why: why.into(),
        }
    }
}
