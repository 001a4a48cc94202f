//! Archives (.tar.gz) that hold all files of a set.

use crate::{DataError, cache};
use flate2::read::MultiGzDecoder;
use largebatch_datasets::Entry;
use largebatch_store::Folder;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, BufReader};
use std::path::Path;

/// A file next to the extracted files; it records which archive they came from.
const NOTE: &str = "archive.json";

#[derive(Serialize, Deserialize)]
struct Note {
    schema: u32,
    /// The SHA-256 of the archive.
    archive: String,
    /// Each file's SHA-256.
    files: BTreeMap<String, String>,
}

/// Extracts the set's files from an archive into `folder`, which appears only when it is complete.
/// Only these files are written, whatever paths the archive contains.
pub(crate) fn expand(entry: &Entry, archive: &Path, folder: &Path) -> Result<(), DataError> {
    let (_, hash) = cache::hash_file(archive)?;
    let part = Folder::beside(folder).map_err(DataError::write(folder))?;
    let damaged = |source| DataError::compressed(archive)(source);
    let file = File::open(archive).map_err(DataError::read(archive))?;
    let mut tar = tar::Archive::new(MultiGzDecoder::new(BufReader::with_capacity(1 << 16, file)));
    let mut files = BTreeMap::new();
    for member in tar.entries().map_err(damaged)? {
        let mut member = member.map_err(damaged)?;
        let name = member
            .path()
            .ok()
            .and_then(|p| p.file_name().map(|n| n.to_string_lossy().into_owned()))
            .unwrap_or_default();
        if member.header().entry_type().is_file() && entry.file.iter().any(|f| f.name == name) {
            let to = part.path().join(&name);
            let mut out = File::create(&to).map_err(DataError::write(&to))?;
            files.insert(
                name,
                cache::copy(&mut member, &mut out, damaged, DataError::write(&to))?.1,
            );
        }
    }
    if let Some(file) = entry.file.iter().find(|f| !files.contains_key(&f.name)) {
        return Err(damaged(io::Error::other(format!(
            "it does not contain {}",
            file.name
        ))));
    }
    let text = serde_json::to_string_pretty(&Note {
        schema: 1,
        archive: hash,
        files,
    })
    .map_err(io::Error::from);
    text.and_then(|text| part.write(NOTE, text.as_bytes()))
        .map_err(DataError::write(&folder.join(NOTE)))?;
    match part.place() {
        // Another process was faster; its files are the same.
        Err(_) if folder.join(NOTE).is_file() => Ok(()),
        result => result.map_err(DataError::write(folder)),
    }
}

/// Whether a file came unchanged from the archive that the catalogue lists.
pub(crate) fn is_in_archive(entry: &Entry, folder: &Path, file: &str, sha256: &str) -> bool {
    let note = fs::read_to_string(folder.join(NOTE))
        .ok()
        .and_then(|t| serde_json::from_str::<Note>(&t).ok());
    match (&entry.archive, note) {
        (Some(archive), Some(note)) => {
            note.archive == archive.sha256 && note.files.get(file).is_some_and(|h| h == sha256)
        }
        _ => false,
    }
}
