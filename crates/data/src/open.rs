//! Opening a data set by name or by description.

use crate::{DataError, DataSpec, Dataset, Files, Search, catalogued, embedded};
use largebatch_datasets::{BUILT_IN, catalogue};

/// The names of all sets, the built-in ones first.
pub fn names() -> Vec<String> {
    BUILT_IN
        .iter()
        .map(|s| s.name.to_string())
        .chain(catalogue().iter().map(|e| e.name.clone()))
        .collect()
}

/// Opens a data set of the catalogue, such as `digits` (built in) or `mnist` (from files).
///
/// # Errors
/// If no set has this name, or its files are missing or damaged.
pub fn open(name: &str, search: &Search) -> Result<Dataset, DataError> {
    if let Some(set) = BUILT_IN.iter().find(|s| s.name == name) {
        return embedded::open(set);
    }
    if let Some(entry) = catalogue().iter().find(|e| e.name == name) {
        return catalogued::open(entry, search);
    }
    Err(unknown(name))
}

/// The error for a name that no set has.
pub(crate) fn unknown(name: &str) -> DataError {
    DataError::UnknownSet {
        name: name.into(),
        known: names(),
    }
}

/// Opens the user's own files. A relative path is looked up in the data folder first, if one is
/// named, and then in the working directory.
///
/// # Errors
/// If a file cannot be read or its content is wrong; the error names the line or the example.
pub fn open_spec(spec: &DataSpec, search: &Search) -> Result<Dataset, DataError> {
    spec.open(&Files::new(search))
}
