//! What can go wrong with data: each error names the value, the place and the remedy.

use std::path::PathBuf;

/// An error of this crate.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DataError {
    /// No data set has this name.
    #[error("there is no data set `{name}`{}; the names are {}; files of your own are a table: --set dataset.format=csv --set dataset.train=FILE --set dataset.label=COLUMN", hint(nearest), known.join(", "))]
    UnknownSet {
        /// The name asked for.
        name: String,
        /// The nearest known name, if one is near.
        nearest: Option<String>,
        /// All known names.
        known: Vec<String>,
    },
    /// The set is known, but its files are in none of the places.
    #[error(
        "the files of `{name}` are not here; looked in {}. Put {} (plain or .gz) into one of these folders, \
         or run `largebatch data fetch {name}` where there is a network",
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
    /// A relative path leads to no file.
    #[error(
        "cannot find {}; looked in {}. Check its spelling, give an absolute path, or name the folder that holds it by --data-dir",
        path.display(), places(searched)
    )]
    NotFound {
        /// The path as given.
        path: PathBuf,
        /// The folders that it was looked for in.
        searched: Vec<PathBuf>,
    },
    /// A file or folder could not be read.
    #[error("cannot read {}: {source}; check that it exists and may be read", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The system's word on it.
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
        /// The system's word on it.
        source: std::io::Error,
    },
    /// A compressed file ends early or is damaged.
    #[error("{} is not a whole gzip file ({source}); copy or fetch it again", path.display())]
    Compressed {
        /// The file.
        path: PathBuf,
        /// The decoder's word on it.
        source: std::io::Error,
    },
    /// A file holds nothing.
    #[error("{} is empty; copy or fetch it again", path.display())]
    Empty {
        /// The file.
        path: PathBuf,
    },
    /// A binary file is not of the expected format or length.
    #[error("{}: {what} is {found}, but {expected} was expected; is it the right file?", path.display())]
    Format {
        /// The file.
        path: PathBuf,
        /// The part of the file at fault, such as "the magic number".
        what: String,
        /// What stands there.
        found: String,
        /// What should.
        expected: String,
    },
    /// As many labels as examples are needed.
    #[error(
        "{} holds {examples} examples, but {} holds {labels} labels; they do not belong together",
        examples_file.display(), labels_file.display()
    )]
    Counts {
        /// The file of the examples.
        examples_file: PathBuf,
        /// How many it holds.
        examples: usize,
        /// The file of the labels.
        labels_file: PathBuf,
        /// How many it holds.
        labels: usize,
    },
    /// A label is none of the classes.
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
        /// The value at fault and what to do.
        problem: String,
    },
    /// A column of a table, or the target, cannot be used as it is.
    #[error("{column}: {problem}")]
    Column {
        /// The column, by its name or number, or `the target`.
        column: String,
        /// The value at fault and what to do.
        problem: String,
    },
    /// A setting has a value out of range, or one that does not go with the data.
    #[error("{key} = {value}: {why}")]
    Setting {
        /// The setting's name.
        key: String,
        /// Its value.
        value: String,
        /// The range, or why it does not fit.
        why: String,
    },
    /// No mirror gave the file.
    #[error("could not fetch {file} of `{name}`:{}\nFetch it by hand from one of these addresses and put it into {}", list(attempts), folder.display())]
    Fetch {
        /// The set.
        name: String,
        /// The file.
        file: String,
        /// Each mirror with what went wrong.
        attempts: Vec<String>,
        /// Where to put the file.
        folder: PathBuf,
    },
    /// A verification found content that the catalogue does not know.
    #[error(
        "{file} is not the published content of `{name}`: it trains with a warning, and results do not compare digit by digit with others'"
    )]
    Unpublished {
        /// The set.
        name: String,
        /// The file.
        file: String,
    },
    /// Files differ from the catalogue.
    #[error("{}: SHA-256 is {found}, but the catalogue says {expected}; delete the file and fetch it again", path.display())]
    Checksum {
        /// The file.
        path: PathBuf,
        /// Its hash.
        found: String,
        /// The catalogue's.
        expected: String,
    },
}

fn hint(nearest: &Option<String>) -> String {
    nearest
        .as_ref()
        .map(|n| format!(" (did you mean `{n}`?)"))
        .unwrap_or_default()
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
    /// Whether the settings were at fault, rather than the machine or a file.
    pub fn is_usage(&self) -> bool {
        matches!(
            self,
            DataError::UnknownSet { .. } | DataError::Setting { .. }
        )
    }

    pub(crate) fn read(path: &std::path::Path) -> impl FnOnce(std::io::Error) -> DataError {
        let path = path.to_path_buf();
        move |source| DataError::Read { path, source }
    }

    pub(crate) fn write(path: &std::path::Path) -> impl FnOnce(std::io::Error) -> DataError {
        let path = path.to_path_buf();
        move |source| DataError::Write { path, source }
    }

    pub(crate) fn setting(key: &str, value: impl ToString, why: impl Into<String>) -> DataError {
        DataError::Setting {
            key: key.into(),
            value: value.to_string(),
            why: why.into(),
        }
    }
}
