//! Lists, locates, verifies and fetches data sets: the library behind `largebatch data`.

use crate::catalogued::{self, Found};
use crate::fetch::{Download, Fetcher};
use crate::open::unknown;
use crate::{DataError, Datasets, Search, Source, cache};
use largebatch_component::Facts;
use largebatch_datasets::{BUILT_IN, Entry, catalogue};
use std::path::PathBuf;
use std::time::Duration;

/// A data set in the list of all.
#[derive(Clone, Debug, serde::Serialize)]
#[non_exhaustive]
pub struct Listing {
    /// Its name.
    pub name: String,
    /// One line about it.
    pub summary: String,
    /// Source and licence.
    pub licence: String,
    /// The size in bytes of the download (of the uncompressed files if each is fetched separately),
    /// or of the built-in data; 0 for a set that the program makes.
    pub bytes: u64,
    /// Where it is; `None` if it has to be fetched first.
    pub place: Option<String>,
}

/// All data sets of a table, in its order.
pub fn list(datasets: &Datasets, search: &Search) -> Vec<Listing> {
    let listing = |facts: &Facts| {
        let own = Listing {
            name: facts.name.into(),
            summary: facts.summary.into(),
            licence: facts.paper.into(),
            bytes: 0,
            place: Some("made by this program".into()),
        };
        if let Some(set) = BUILT_IN.iter().find(|s| s.name == facts.name) {
            return Listing {
                bytes: set.data.len() as u64,
                place: Some("built in".into()),
                ..own
            };
        }
        match catalogue().iter().find(|e| e.name == facts.name) {
            None => own,
            Some(e) => Listing {
                licence: format!("{}; licence: {}", e.citation, e.licence),
                bytes: match &e.archive {
                    Some(archive) => archive.size,
                    None => e.file.iter().map(|f| f.size).sum(),
                },
                place: catalogued::locate(e, search).map(|p| p.display().to_string()),
                ..own
            },
        }
    };
    datasets
        .iter()
        .map(|entry| listing(entry.facts()))
        .collect()
}

/// The folder (or archive) that a run reads the set from; `None` for a built-in set.
///
/// # Errors
/// If there is no such set, or its files are not found.
pub fn path(name: &str, search: &Search) -> Result<Option<PathBuf>, DataError> {
    match entry(name)? {
        None => Ok(None),
        Some(entry) => catalogued::locate(entry, search)
            .map(Some)
            .ok_or_else(|| catalogued::missing(entry, search)),
    }
}

/// Hashes the files of a set anew, even if they were hashed before.
///
/// # Errors
/// If there is no such set, its files are not found, or one cannot be read. A hash that differs
/// from the catalogue is not an error here: it gives a [`Source`] that is not `known`.
pub fn verify(name: &str, search: &Search) -> Result<Vec<Source>, DataError> {
    let Some(entry) = entry(name)? else {
        return crate::open(name, search).map(|set| set.sources);
    };
    let Found { folder, files } = catalogued::find(entry, search)?;
    let check = |(file, path): (&largebatch_datasets::File, &PathBuf)| {
        let sha256 = cache::hash_content(path)?;
        let known = catalogued::is_known(entry, file, &folder, &sha256);
        Ok(Source {
            file: path.display().to_string(),
            sha256,
            known,
        })
    };
    entry.file.iter().zip(&files).map(check).collect()
}

/// Fetches a set into the cache folder unless it is already there, and returns the folder; `None`
/// for a built-in set. `progress` is called for every piece received.
///
/// # Errors
/// If there is no such set, no mirror delivers it, or the cache cannot be written. What was
/// downloaded is kept, and the next call continues from there.
pub fn fetch(
    name: &str,
    search: &Search,
    progress: &mut dyn FnMut(Download),
) -> Result<Option<PathBuf>, DataError> {
    let Some(entry) = entry(name)? else {
        return Ok(None);
    };
    let folder = search.cache_dir().join("data").join(&entry.name);
    Fetcher::new(Duration::from_secs(30)).fetch(entry, &folder, progress)?;
    Ok(Some(folder))
}

/// The catalogue's entry; `None` for a built-in set.
fn entry(name: &str) -> Result<Option<&'static Entry>, DataError> {
    if BUILT_IN.iter().any(|s| s.name == name) {
        return Ok(None);
    }
    catalogue()
        .iter()
        .find(|e| e.name == name)
        .map(Some)
        .ok_or_else(|| unknown(name))
}
