//! Opening a set of the catalogue from the files of a folder.

use crate::cache::{self, Content};
use crate::part::Statistics;
use crate::{
    DataError, Dataset, Normalise, Part, Preprocess, Search, Source, Task, archive, cifar,
    formats::idx,
};
use largebatch_datasets::{Entry, File, FileFormat, Role, catalogue};
use std::path::{Path, PathBuf};

/// Finds and reads the files of a set.
pub(crate) fn open(entry: &Entry, search: &Search) -> Result<Dataset, DataError> {
    let found = find(entry, search)?;
    let mut known = Vec::new();
    let (mut train, mut test) = (Vec::new(), Vec::new());
    for (file, path) in entry.file.iter().zip(&found.files) {
        let content = cache::content(path, &search.cache_dir())?;
        let same = |f: &File| f.sha256.as_ref() == Some(&content.sha256);
        let mut others = catalogue().iter().filter(|e| e.name != entry.name);
        if let Some(other) = others.find(|e| e.file.iter().any(same)) {
            return Err(DataError::format(
                path,
                "the content",
                format!("{}'s", other.name),
                format!(
                    "{}'s (each set belongs in a subfolder of its own name)",
                    entry.name
                ),
            ));
        }
        known.push(is_known(entry, file, &found.folder, &content.sha256));
        match file.role {
            Role::Train => train.push(content),
            _ => test.push(content),
        }
    }
    let classes = entry.classes.len();
    let read = |files: &[Content]| -> Result<Part, DataError> {
        let part = match (entry.format, files) {
            (FileFormat::Idx, [images, labels]) => idx::pair(images, labels, Some(classes))?.0,
            (FileFormat::Idx, _) => {
                unreachable!("the catalogue's tests check that each part has two IDX files")
            }
            (FileFormat::Cifar, files) => {
                cifar::part(files, if classes == 10 { 1 } else { 2 }, classes)?
            }
        };
        if part.shape() != entry.shape {
            let (found, expected) = (format!("{:?}", part.shape()), format!("{:?}", entry.shape));
            return Err(DataError::format(
                &files[0].path,
                "the shape of an image",
                found,
                expected,
            ));
        }
        Ok(part)
    };
    let (mut train_part, test_part) = (read(&train)?, read(&test)?);
    if !entry.mean.is_empty() && known[..train.len()].iter().all(|&k| k) {
        train_part.statistics = Some(Statistics {
            mean: entry.mean.clone(),
            std: entry.std.clone(),
        });
    }
    let source = |(c, known): (Content, bool)| Source {
        file: c.path.display().to_string(),
        sha256: c.sha256,
        known,
    };
    Ok(Dataset {
        name: entry.name.clone(),
        task: Task::Classes(classes),
        shape: entry.shape.to_vec(),
        train: train_part,
        test: test_part,
        sources: train
            .into_iter()
            .chain(test)
            .zip(known)
            .map(source)
            .collect(),
        class_names: entry.classes.clone(),
        preprocess: Preprocess {
            normalise: Some(Normalise::Channel),
            ..Preprocess::default()
        },
        warnings: Vec::new(),
    })
}

/// The files of a set, in the catalogue's order.
pub(crate) struct Found {
    pub folder: PathBuf,
    pub files: Vec<PathBuf>,
}

/// Whether the catalogue lists this hash, or the file came unchanged from the archive in the
/// catalogue.
pub(crate) fn is_known(entry: &Entry, file: &File, folder: &Path, sha256: &str) -> bool {
    file.sha256.as_deref() == Some(sha256)
        || archive::is_in_archive(entry, folder, &file.name, sha256)
}

/// The files of a set. An archive is expanded into the cache.
pub(crate) fn find(entry: &Entry, search: &Search) -> Result<Found, DataError> {
    let place = locate(entry, search).ok_or_else(|| missing(entry, search))?;
    let folder = if place.is_dir() {
        place.clone()
    } else {
        search
            .cache_dir()
            .join("expanded")
            .join(cache::stamp(&place)?)
    };
    if !folder.is_dir() {
        archive::expand(entry, &place, &folder)?;
    }
    let files = all_files(entry, &folder).ok_or_else(|| missing(entry, search))?;
    Ok(Found { folder, files })
}

/// The first folder that contains all files, plain or .gz, or the first archive.
pub(crate) fn locate(entry: &Entry, search: &Search) -> Option<PathBuf> {
    let archive = |folder: &Path| {
        entry
            .archive
            .as_ref()
            .map(|a| folder.join(&a.name))
            .filter(|a| a.is_file())
    };
    let mut folders = roots(search)
        .into_iter()
        .flat_map(|root| folders(entry, &root));
    folders.find_map(|folder| {
        if all_files(entry, &folder).is_some() {
            Some(folder)
        } else {
            archive(&folder)
        }
    })
}

fn roots(search: &Search) -> Vec<PathBuf> {
    search
        .data_dir()
        .into_iter()
        .chain([search.cache_dir().join("data")])
        .collect()
}

pub(crate) fn missing(entry: &Entry, search: &Search) -> DataError {
    let files = match &entry.archive {
        Some(archive) => vec![archive.name.clone()],
        None => entry.file.iter().map(|f| f.name.clone()).collect(),
    };
    DataError::Missing {
        name: entry.name.clone(),
        searched: roots(search),
        files,
    }
}

/// The subfolders of a root that may hold the set: those named after the set or as in torchvision
/// come before the root itself, since different sets use the same file names.
fn folders(entry: &Entry, root: &Path) -> Vec<PathBuf> {
    let own = root.join(&entry.name);
    let within = entry
        .archive
        .as_ref()
        .map(|a| &a.folder)
        .into_iter()
        .chain(&entry.torchvision)
        .map(|folder| [own.join(folder), root.join(folder)]);
    std::iter::once(root.join(&entry.name))
        .chain(within.flatten())
        .chain([root.to_path_buf()])
        .collect()
}

fn all_files(entry: &Entry, folder: &Path) -> Option<Vec<PathBuf>> {
    // In Kaggle's copies the name has a dot in place of the hyphen.
    let file = |name: &str| {
        let names = [name.to_owned(), name.replace("-idx", ".idx")];
        names
            .iter()
            .flat_map(|n| [folder.join(n), folder.join(format!("{n}.gz"))])
            .find(|p| p.is_file())
    };
    entry.file.iter().map(|f| file(&f.name)).collect()
}
