//! The files of a data set that is being opened, and what is made of them.

use std::cell::RefCell;
use std::path::{Path, PathBuf};

use crate::cache::{self, Content};
use crate::set::{Dataset, Source};
use crate::table::{Encoding, LabelKind, Rows};
use crate::{
    DataError, Normalise, Part, Preprocess, Search, TargetScale, Task, hold_out, suspicion,
};

/// The files of a data set that is being opened. Each is found, expanded if it is compressed, and
/// noted with its hash.
pub struct Files<'a> {
    search: &'a Search,
    sources: RefCell<Vec<Source>>,
}

impl<'a> Files<'a> {
    pub(crate) fn new(search: &'a Search) -> Self {
        Files {
            search,
            sources: RefCell::default(),
        }
    }

    /// A file's content. A relative path is looked up in the data folder first, if one is named, and
    /// then in the working directory.
    ///
    /// # Errors
    /// If the file cannot be found, read or expanded.
    pub fn content(&self, path: &Path) -> Result<Content, DataError> {
        let content = cache::content(&find(path, self.search)?, &self.search.cache_dir())?;
        // No catalogue says what the user's own files should contain, so they always count as known.
        self.sources.borrow_mut().push(Source {
            file: content.path.display().to_string(),
            sha256: content.sha256.clone(),
            known: true,
        });
        Ok(content)
    }

    /// The content of a file that may be left out.
    ///
    /// # Errors
    /// As [`Files::content`].
    pub fn optional(&self, path: &Option<PathBuf>) -> Result<Option<Content>, DataError> {
        path.as_deref().map(|path| self.content(path)).transpose()
    }

    /// The data set of a table: labels become classes or real targets, and each feature is
    /// standardised. Without `tests`, a stratified fifth of the rows is held out.
    ///
    /// # Errors
    /// A label that is not a class, and fewer than 5 rows without `tests`.
    pub fn table(
        &self,
        name: &Option<String>,
        rows: Rows,
        tests: Option<Rows>,
        kind: Option<LabelKind>,
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
        let mut set = self.dataset(
            name,
            train,
            test,
            encoding.task(),
            encoding.names(),
            preprocess,
        )?;
        warnings.append(&mut set.warnings);
        Ok(Dataset { warnings, ..set })
    }

    /// The data set of parts that are read. Without `test`, a stratified fifth is held out, the same
    /// for every seed.
    ///
    /// # Errors
    /// Fewer than 5 examples without `test`.
    pub fn dataset(
        &self,
        name: &Option<String>,
        part: Part,
        test: Option<Part>,
        task: Task,
        class_names: Vec<String>,
        preprocess: Preprocess,
    ) -> Result<Dataset, DataError> {
        let sources = self.sources.take();
        let (train, test) = match test {
            Some(test) => (part, test),
            None if part.len() < 5 => {
                let why = "fewer than 5 examples leave none to test on; give a test file or more examples";
                return Err(DataError::setting("dataset.train", part.len(), why));
            }
            None => {
                let held = hold_out(part.labels(), part.len() / 5, 0)?;
                (part.select(&held.train), part.select(&held.validation))
            }
        };
        // "iris.csv.gz" is the set "iris".
        let stem = || {
            let file = Path::new(&sources.first()?.file).file_name()?;
            Some(file.to_string_lossy().split('.').next()?.to_owned())
        };
        let name = name.clone().or_else(stem).unwrap_or_default();
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
