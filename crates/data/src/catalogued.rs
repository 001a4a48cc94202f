//! Opening a set of the catalogue from the files of a folder.

use crate::cache::{self, Content};
use crate::{DataError, Dataset, Normalise, Part, Preprocess, Search, Source, Statistics, Task, archive, cifar, idx};
use largebatch_datasets::{Entry, FileFormat, Role, catalogue};
use std::path::{Path, PathBuf};

/// Finds and reads the files of a set.
pub(crate) fn open(entry: &Entry, search: &Search) -> Result<Dataset, DataError> {
    let found = find(entry, search)?;
    let mut known = Vec::new();
    let (mut train, mut test) = (Vec::new(), Vec::new());
    for (file, path) in entry.file.iter().zip(&found.files) {
        let content = cache::content(path, &search.cache_dir())?;
        if let Some(other) =
            catalogue().iter().find(|e| e.name != entry.name && e.file.iter().any(|f| f.sha256.as_ref() == Some(&content.sha256)))
        {
            return Err(DataError::Format {
                path: path.clone(),
                what: "the content".into(),
                found: format!("{}'s", other.name),
                expected: format!("{}'s; put each set into a subfolder of its name", entry.name),
            });
        }
        known.push(file.sha256.as_ref() == Some(&content.sha256) || archive::vouches(entry, &found.folder, &file.name, &content.sha256));
        if file.role == Role::Train { train.push(content) } else { test.push(content) }
    }
    let classes = entry.classes.len();
    let read = |files: &[Content]| -> Result<Part, DataError> {
        let part = match (entry.format, files) {
            (FileFormat::Idx, [images, labels]) => idx::pair(images, labels, Some(classes))?.0,
            (FileFormat::Idx, _) => unreachable!("a test of the catalogue counts two IDX files a part"),
            (FileFormat::Cifar, files) => cifar::part(files, if classes == 10 { 1 } else { 2 }, classes)?,
        };
        if part.shape() != entry.shape {
            let (found, expected) = (format!("{:?}", part.shape()), format!("{:?}", entry.shape));
            return Err(DataError::Format { path: files[0].path.clone(), what: "the shape of an image".into(), found, expected });
        }
        Ok(part)
    };
    let (mut train_part, test_part) = (read(&train)?, read(&test)?);
    if !entry.mean.is_empty() && known[..train.len()].iter().all(|&k| k) {
        train_part.statistics = Some(Statistics { mean: entry.mean.clone(), std: entry.std.clone() });
    }
    let source = |(c, known): (Content, bool)| Source { file: c.path.display().to_string(), sha256: c.sha256, known };
    Ok(Dataset {
        name: entry.name.clone(),
        task: Task::Classes(classes),
        shape: entry.shape.to_vec(),
        train: train_part,
        test: test_part,
        sources: train.into_iter().chain(test).zip(known).map(source).collect(),
        class_names: entry.classes.clone(),
        preprocess: Preprocess { normalise: Normalise::Channel, ..Preprocess::default() },
    })
}

/// The files of a set, in the catalogue's order.
pub(crate) struct Found {
    pub folder: PathBuf,
    pub files: Vec<PathBuf>,
}

/// The first folder that holds all files, plain or .gz, or the archive (which is then expanded into the cache).
pub(crate) fn find(entry: &Entry, search: &Search) -> Result<Found, DataError> {
    let cache = search.cache_dir();
    let roots: Vec<PathBuf> = search.data_dir().into_iter().chain([cache.join("data")]).collect();
    for root in &roots {
        for folder in folders(entry, root) {
            if let Some(files) = all_files(entry, &folder) {
                return Ok(Found { folder, files });
            }
            if let Some(archive) = entry.archive.as_ref().map(|a| folder.join(&a.name)).filter(|a| a.is_file()) {
                let folder = cache.join("expanded").join(cache::stamp(&archive)?);
                if !folder.is_dir() {
                    archive::expand(entry, &archive, &folder)?;
                }
                let files = all_files(entry, &folder).ok_or_else(|| missing(entry, vec![folder.clone()]))?;
                return Ok(Found { folder, files });
            }
        }
    }
    Err(missing(entry, roots))
}

fn missing(entry: &Entry, searched: Vec<PathBuf>) -> DataError {
    let files = entry.file.iter().map(|f| f.name.clone());
    let archive = entry.archive.as_ref().map(|a| a.name.clone());
    DataError::Missing { name: entry.name.clone(), searched, files: archive.map_or_else(|| files.collect(), |a| vec![a]) }
}

/// A root's folders that may hold the set: that of the set's name before the root itself, since sets share file names.
fn folders(entry: &Entry, root: &Path) -> Vec<PathBuf> {
    let own = root.join(&entry.name);
    let within = entry.archive.as_ref().map(|a| [own.join(&a.folder), root.join(&a.folder)]);
    std::iter::once(own).chain(within.into_iter().flatten()).chain([root.to_path_buf()]).collect()
}

fn all_files(entry: &Entry, folder: &Path) -> Option<Vec<PathBuf>> {
    let file = |name: &str| [folder.join(name), folder.join(format!("{name}.gz"))].into_iter().find(|p| p.is_file());
    entry.file.iter().map(|f| file(&f.name)).collect()
}
