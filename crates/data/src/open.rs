//! Opening a data set by name or by description.

use crate::cache::{self, Content};
use crate::spec::LabelKind;
use crate::table::{Encoding, Rows};
use crate::{
    DataError, DataSpec, Dataset, Normalise, Part, Preprocess, Search, Source, TargetScale, Task,
    catalogued, csv_file, embedded, idx, libsvm, split, suspicion,
};
use largebatch_datasets::{BUILT_IN, catalogue};
use std::path::{Path, PathBuf};

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
    let content = |path: &Path| cache::content(&find(path, search)?, &search.cache_dir());
    let optional = |path: &Option<PathBuf>| path.as_deref().map(content).transpose();
    match spec {
        DataSpec::Csv(csv) => {
            let (train, test) = (content(&csv.train)?, optional(&csv.test)?);
            let rows = csv_file::read(&train.path, &train.bytes, csv)?;
            let tests = test
                .as_ref()
                .map(|t| csv_file::read(&t.path, &t.bytes, csv))
                .transpose()?;
            if let Some(tests) = tests.as_ref().filter(|t| t.size != rows.size) {
                return Err(DataError::Format {
                    path: tests.path.clone(),
                    what: "the number of features".into(),
                    found: tests.size.to_string(),
                    expected: format!("{}, as in {}", rows.size, rows.path.display()),
                });
            }
            // With columns in another order, a feature would be trained as one thing and tested as
            // another.
            if let Some(tests) = tests.as_ref().filter(|t| t.names != rows.names) {
                let differ = tests.names.iter().zip(&rows.names).find(|(a, b)| a != b);
                let (found, expected) = differ
                    .map_or(("none".into(), "the training file's".into()), |(a, b)| {
                        (format!("`{a}`"), format!("`{b}`"))
                    });
                return Err(DataError::Format {
                    path: tests.path.clone(),
                    what: "the name of a column".into(),
                    found,
                    expected,
                });
            }
            table(&csv.name, rows, tests, csv.labels, [Some(train), test])
        }
        DataSpec::Libsvm(svm) => {
            let (train, test) = (content(&svm.train)?, optional(&svm.test)?);
            let mut rows = libsvm::read(&train.path, &train.bytes, svm.features)?;
            let mut tests = test
                .as_ref()
                .map(|t| libsvm::read(&t.path, &t.bytes, svm.features))
                .transpose()?;
            if let Some(tests) = tests.as_mut().filter(|t| t.size > rows.size) {
                let (path, from, to) = (tests.path.display(), rows.size + 1, tests.size);
                let message = if from == to {
                    format!("{path}: no training example has feature {to}, so it is not learned")
                } else {
                    format!(
                        "{path}: no training example has the features {from} to {to}, so they are not learned"
                    )
                };
                tests.warnings.push(message);
            }
            let size = tests.as_ref().map_or(rows.size, |t| t.size.max(rows.size));
            rows.widen(size);
            tests.iter_mut().for_each(|t| t.widen(size));
            table(&svm.name, rows, tests, svm.labels, [Some(train), test])
        }
        DataSpec::Idx(idx) => {
            let (images, labels) = (content(&idx.train_images)?, content(&idx.train_labels)?);
            let tests = match (&idx.test_images, &idx.test_labels) {
                (Some(images), Some(labels)) => Some((content(images)?, content(labels)?)),
                (None, None) => None,
                (Some(path), None) => {
                    return Err(DataError::setting(
                        "dataset.test_images",
                        path.display(),
                        "test_labels is missing; give both or none",
                    ));
                }
                (None, Some(path)) => {
                    return Err(DataError::setting(
                        "dataset.test_labels",
                        path.display(),
                        "test_images is missing; give both or none",
                    ));
                }
            };
            let (part, classes) = idx::pair(&images, &labels, idx.classes)?;
            let test = tests
                .as_ref()
                .map(|(i, l)| Ok(idx::pair(i, l, Some(classes))?.0))
                .transpose()?;
            if let Some(test) = test.as_ref().filter(|t| t.shape() != part.shape()) {
                let path = idx.test_images.clone().unwrap_or_default();
                let (found, expected) = (
                    format!("{:?}", test.shape()),
                    format!("{:?}, as in the training file", part.shape()),
                );
                return Err(DataError::Format {
                    path,
                    what: "the shape of an example".into(),
                    found,
                    expected,
                });
            }
            let preprocess = Preprocess {
                normalise: Some(Normalise::Channel),
                ..Preprocess::default()
            };
            let (test_images, test_labels) = tests.unzip();
            let files = [Some(images), Some(labels), test_images, test_labels];
            finish(
                &idx.name,
                part,
                test,
                Task::Classes(classes),
                (0..classes).map(|c| c.to_string()).collect(),
                preprocess,
                files,
            )
        }
    }
}

/// Looks a path up in the data folder, or else in the working directory.
fn find(path: &Path, search: &Search) -> Result<PathBuf, DataError> {
    if let Some(within) = search
        .data_dir()
        .map(|d| d.join(path))
        .filter(|p| p.is_file())
    {
        return Ok(within);
    }
    if path.is_relative() && !path.exists() {
        let searched = search
            .data_dir()
            .into_iter()
            .chain(std::env::current_dir().ok());
        return Err(DataError::NotFound {
            path: path.to_path_buf(),
            searched: searched
                .map(|d| std::path::absolute(&d).unwrap_or(d))
                .collect(),
        });
    }
    Ok(path.to_path_buf())
}

fn table<const N: usize>(
    name: &Option<String>,
    rows: Rows,
    tests: Option<Rows>,
    kind: Option<LabelKind>,
    files: [Option<Content>; N],
) -> Result<Dataset, DataError> {
    let encoding = Encoding::learn(&rows, kind)?;
    let mut warnings = rows.warnings.clone();
    warnings.extend(tests.iter().flat_map(|t| t.warnings.clone()));
    let labels = encoding.apply(&rows)?;
    warnings.extend(suspicion::of_rows(&rows, &labels, &encoding));
    let test = tests
        .map(|rows| encoding.apply(&rows).and_then(|labels| rows.part(labels)))
        .transpose()?;
    let train = rows.part(labels)?;
    let preprocess = Preprocess {
        normalise: Some(Normalise::Feature),
        targets: TargetScale::of(encoding.task()),
        ..Preprocess::default()
    };
    let mut set = finish(
        name,
        train,
        test,
        encoding.task(),
        encoding.names(),
        preprocess,
        files,
    )?;
    warnings.append(&mut set.warnings);
    Ok(Dataset { warnings, ..set })
}

/// Without a test file, a stratified fifth is held out, the same for every seed.
fn finish<const N: usize>(
    name: &Option<String>,
    part: Part,
    test: Option<Part>,
    task: Task,
    class_names: Vec<String>,
    preprocess: Preprocess,
    files: [Option<Content>; N],
) -> Result<Dataset, DataError> {
    let sources: Vec<Source> = files
        .into_iter()
        .flatten()
        // No catalogue says what the user's own files should contain, so they always count as
        // known.
        .map(|c| Source {
            file: c.path.display().to_string(),
            sha256: c.sha256,
            known: true,
        })
        .collect();
    let (train, test) = match test {
        Some(test) => (part, test),
        None if part.len() < 5 => {
            return Err(DataError::setting(
                "dataset.train",
                part.len(),
                "fewer than 5 examples leave none to test on; give a test file or more examples",
            ));
        }
        None => {
            let held = split(part.labels(), part.len() / 5, 0)?;
            (part.select(&held.train), part.select(&held.validation))
        }
    };
    let file = sources
        .first()
        .map(|s| {
            Path::new(&s.file)
                .file_name()
                .unwrap_or_default()
                .to_string_lossy()
                .into_owned()
        })
        .unwrap_or_default();
    // "iris.csv.gz" is the set "iris".
    let name = name
        .clone()
        .unwrap_or_else(|| file.split('.').next().unwrap_or_default().to_string());
    let mut warnings = suspicion::of_parts(&train, &test, &class_names);
    if let Some(twin) =
        (1..sources.len()).find(|&i| sources[..i].iter().any(|s| s.sha256 == sources[i].sha256))
    {
        warnings.push(format!(
            "{} has the same content as another of the files: the model is tested on examples that it was trained on",
            sources[twin].file
        ));
    }
    Ok(Dataset {
        name,
        task,
        shape: train.shape().to_vec(),
        train,
        test,
        sources,
        class_names,
        preprocess,
        warnings,
    })
}
