//! Opening a data set by name or by description.

use crate::{DataError, DataSpec, Dataset, Search, catalogued, embedded};
use largebatch_datasets::{BUILT_IN, catalogue};

/// The names of all sets, the built-in ones first.
pub fn names() -> Vec<String> {
    BUILT_IN.iter().map(|s| s.name.to_string()).chain(catalogue().iter().map(|e| e.name.clone())).collect()
}

/// Opens a data set of the catalogue, such as `digits` (built in) or `mnist` (from files).
///
/// # Errors
/// If there is no set of this name, its files are in none of the places, or they are damaged.
pub fn open(name: &str, search: &Search) -> Result<Dataset, DataError> {
    if let Some(set) = BUILT_IN.iter().find(|s| s.name == name) {
        return embedded::open(set);
    }
    if let Some(entry) = catalogue().iter().find(|e| e.name == name) {
        return catalogued::open(entry, search);
    }
    let known = names();
    let nearest = known.iter().map(|k| (strsim::jaro_winkler(k, name), k)).filter(|(s, _)| *s > 0.7).max_by(|a, b| a.0.total_cmp(&b.0));
    Err(DataError::UnknownSet { name: name.into(), nearest: nearest.map(|(_, k)| k.clone()), known })
}

/// Opens files of one's own.
///
/// # Errors
/// If a file cannot be read, or its content is at fault: the error names the line or the example.
pub fn open_spec(spec: &DataSpec, search: &Search) -> Result<Dataset, DataError> {
    let _ = (spec, search);
    Err(DataError::setting("format", "?", "not yet"))
}
