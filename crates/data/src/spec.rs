//! The user's own data sets, described in a configuration, and the open table of formats.

use std::fmt::{self, Debug};
use std::sync::Arc;

use largebatch_component::{Config, Entry, Facts, Kind};
use serde::{Serialize, Serializer};
use toml::Table;

use crate::cache::Content;
use crate::files::Files;
use crate::{DataError, Dataset, Part};

/// A file format, as the keys of `dataset` describe it. One file each.
///
/// The type derives what a [`Config`] needs. Files are named by the keys in [`DataSpec::FILES`], so that a run finds them again
/// from another folder.
pub trait Reader: Config {
    /// Name, as in `format = "csv"`, and summary.
    const FACTS: Facts;

    /// Opens the files, training and test.
    ///
    /// # Errors
    /// If a file cannot be read or its content is wrong; the error names the line or the example.
    fn open(&self, files: &Files<'_>) -> Result<Dataset, DataError>;

    /// Reads a file to predict: its features, as in training. Labels are not read, if there are any:
    /// every example has class 0. Also returns a sentence for everything that was left out or filled
    /// in.
    ///
    /// # Errors
    /// If the file has another format or lacks a feature.
    fn features(&self, file: &Content, known: &Known<'_>) -> Result<Unlabelled, DataError>;
}

/// Examples without labels, and a sentence for everything that was left out or filled in.
pub type Unlabelled = (Part, Vec<String>);

/// What is known of the training data when a file is read to predict.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Known<'a> {
    /// The features' names; empty if the training file had none.
    pub names: &'a [String],
    /// The classes' names; empty for real targets.
    pub classes: &'a [String],
    /// The shape of an example.
    pub shape: &'a [usize],
    /// The value of a white pixel; `None` if the examples are not images of bytes.
    pub white: Option<u8>,
}

impl Known<'_> {
    /// The number of values of an example.
    pub fn size(&self) -> usize {
        self.shape.iter().product()
    }
}

/// The user's own files, as a table of a TOML file:
///
/// ```toml
/// name = "iris"             # optional
/// format = "csv"            # or "libsvm", "idx"
/// train = "iris.csv"        # plain or .gz
/// label = "species"         # the label's column: its name, or its number from 0
/// ```
///
/// Reading by serde knows the formats of this crate; [`DataSpec::read`] takes a table of your own.
#[derive(Clone)]
pub struct DataSpec(pub(crate) Arc<dyn DynReader>);

impl DataSpec {
    /// The keys that name files.
    pub const FILES: [&str; 6] = [
        "train",
        "test",
        "train_images",
        "train_labels",
        "test_images",
        "test_labels",
    ];

    /// The description in a table with the key `format`.
    ///
    /// # Errors
    /// An unknown format, an unknown or a missing key, or a value of the wrong type.
    pub fn read(registry: &Registry, mut table: Table) -> Result<Self, DataError> {
        let example = "name the files' format, as in dataset.format = \"csv\"";
        let name = match table.remove("format") {
            None => return Err(DataError::setting("dataset.format", "(none)", example)),
            Some(toml::Value::String(name)) => name,
            Some(other) => return Err(DataError::setting("dataset.format", other, example)),
        };
        // TOML reads a name such as 2024-01-01 as a date where it has no quotes.
        if let Some((key, value)) = table.iter().find(|(_, value)| value.is_datetime()) {
            let why = "this is a date; for a column, give its name in quotes";
            return Err(DataError::setting(&format!("dataset.{key}"), value, why));
        }
        registry.configure(&name, table)
    }

    fn table(&self) -> Table {
        let mut table = Table::new();
        table.insert("format".into(), self.0.facts().name.into());
        table.extend(self.0.table());
        table
    }
}

impl<R: Reader> From<R> for DataSpec {
    fn from(reader: R) -> Self {
        DataSpec(Arc::new(reader))
    }
}

impl PartialEq for DataSpec {
    fn eq(&self, other: &Self) -> bool {
        self.table() == other.table()
    }
}

impl Debug for DataSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Serialize for DataSpec {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.table().serialize(serializer)
    }
}

pub(crate) trait DynReader: Debug + Send + Sync {
    fn facts(&self) -> Facts;
    fn table(&self) -> Table;
    fn open(&self, files: &Files<'_>) -> Result<Dataset, DataError>;
    fn features(&self, file: &Content, known: &Known<'_>) -> Result<Unlabelled, DataError>;
}

impl<R: Reader> DynReader for R {
    fn facts(&self) -> Facts {
        R::FACTS
    }
    fn table(&self) -> Table {
        // Keys are paths, words and numbers, which TOML can write if the paths are UTF-8.
        Table::try_from(self).unwrap_or_default()
    }
    fn open(&self, files: &Files<'_>) -> Result<Dataset, DataError> {
        Reader::open(self, files)
    }
    fn features(&self, file: &Content, known: &Known<'_>) -> Result<Unlabelled, DataError> {
        Reader::features(self, file, known)
    }
}

/// The table of formats. It is open: [`Registry::with`](largebatch_component::Registry::with) adds
/// one.
pub type Registry = largebatch_component::Registry<DataSpec, DataError>;

/// The entry of a format in the [`Registry`].
pub fn format_entry<R: Reader>() -> Entry<DataSpec, DataError> {
    Entry::new(
        Kind::Format,
        R::FACTS,
        |_| None,
        |reader: R| Ok(reader.into()),
    )
}
