//! LIBSVM's text format: `label index:value index:value ...`; indices count from 1 and rise, and
//! omitted values are 0.

use largebatch_component::Facts;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::cache::Content;
use crate::files::Files;
use crate::spec::{Known, Reader, Unlabelled};
use crate::table::{Rows, is_missing, line, number, some, text};
use crate::{DataError, Dataset, LabelKind};
use std::path::{Path, PathBuf};

/// A LIBSVM file, or two. Omitted values are 0; the table is dense after reading.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LibsvmSpec {
    /// The set's name in reports; by default the training file's name up to the first dot.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The file to train on.
    pub train: PathBuf,
    /// The file to test on. Without it, a stratified fifth of `train` is held out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub test: Option<PathBuf>,
    /// What the labels are; by default classes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub labels: Option<LabelKind>,
    /// The number of features; by default the largest index in the files.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub features: Option<usize>,
}

impl Reader for LibsvmSpec {
    const FACTS: Facts = Facts::new(
        "libsvm",
        "LIBSVM's text format: `label index:value ...`, indices from 1",
    )
    .paper("Chang and Lin 2011, ACM TIST 2(3)");

    fn open(&self, files: &Files<'_>) -> Result<Dataset, DataError> {
        let (train, test) = (files.content(&self.train)?, files.optional(&self.test)?);
        let mut rows = read(&train.path, &train.bytes, self.features)?;
        let mut tests = test
            .as_ref()
            .map(|t| read(&t.path, &t.bytes, self.features))
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
        files.table(&self.name, rows, tests, self.labels)
    }

    fn features(&self, file: &Content, known: &Known<'_>) -> Result<Unlabelled, DataError> {
        read_features(&file.path, &file.bytes, known.size())?.unlabelled()
    }
}

/// Reads a LIBSVM file as a dense table of at least `features` columns.
pub(crate) fn read(path: &Path, bytes: &[u8], features: Option<usize>) -> Result<Rows, DataError> {
    table(path, bytes, features, true)
}

/// Reads a file as a table of `features` columns; labels are ignored if there are any.
pub(crate) fn read_features(path: &Path, bytes: &[u8], features: usize) -> Result<Rows, DataError> {
    table(path, bytes, Some(features), false)
}

fn table(
    path: &Path,
    bytes: &[u8],
    features: Option<usize>,
    labelled: bool,
) -> Result<Rows, DataError> {
    let text = text(path, bytes)?;
    let mut labels = Vec::new();
    let mut entries = Vec::new();
    let mut size = 0;
    let (mut blank, mut bare) = (None, false);
    for (at, content) in (1..).zip(text.lines()) {
        let mut words = content
            .split('#')
            .next()
            .unwrap_or_default()
            .split_ascii_whitespace()
            .peekable();
        let Some(&label) = words.peek() else {
            blank = blank.or(content.trim().is_empty().then_some(at));
            continue;
        };
        if labelled && label.contains(':') {
            let problem =
                format!("it begins with `{label}`, not with a label; put the label first");
            return Err(line(path, at, None, problem));
        }
        if labelled && label.contains(',') {
            let problem = format!(
                "`{label}` is more than one label; keep one label per line (a table with commas is read by format = \"csv\")"
            );
            return Err(line(path, at, None, problem));
        }
        if labelled && is_missing(label) {
            let problem =
                format!("the label is missing (`{label}`); fill it in or remove the line");
            return Err(line(path, at, None, problem));
        }
        if label.contains(':') {
            bare = true;
        } else {
            words.next();
        }
        let mut last = 0;
        for word in words {
            let bad = |why: &str| {
                let problem =
                    format!("`{word}` {why}; write index:value with rising indices from 1");
                Err(line(path, at, None, problem))
            };
            let Some((index, value)) = word.split_once(':') else {
                return bad("has no colon");
            };
            let Ok(index) = index.parse::<usize>() else {
                return bad("has no whole number before the colon");
            };
            if index == 0 {
                return bad("has index 0");
            }
            if index <= last {
                return bad(&format!("comes after index {last}"));
            }
            if let Some(limit) = features.filter(|&limit| index > limit) {
                let of = if labelled {
                    "asked for"
                } else {
                    "of the training data"
                };
                return bad(&format!("is beyond the {limit} features {of}"));
            }
            last = index;
            let value = number(path, at, &index.to_string(), value)?;
            entries.push((labels.len(), index - 1, value));
        }
        size = size.max(last);
        labels.push((at, label.to_string()));
    }
    if let Some(at) = blank.filter(|_| bare) {
        let problem = "it is blank, which in a file without labels may mean a row of zeros; write 1:0 for such a row, or remove the line";
        return Err(line(path, at, None, problem));
    }
    let size = features.unwrap_or(size);
    let values = size.checked_mul(labels.len()).filter(|&n| n <= 1 << 31);
    let Some(values) = values else {
        let found = format!("{} rows of {size} features", labels.len());
        let expected = "at most 2^31 values";
        return Err(DataError::format(path, "the dense table", found, expected));
    };
    if size == 0 && !labels.is_empty() {
        let problem = "no line has a feature; write index:value";
        return Err(line(path, labels[0].0, None, problem));
    }
    let mut rows = Rows {
        path: path.to_path_buf(),
        values: vec![0.0; values],
        size,
        labels,
        ..Rows::default()
    };
    entries
        .into_iter()
        .for_each(|(row, column, x)| rows.values[row * size + column] = x);
    some(rows)
}

impl Rows {
    /// Adds columns of zeros: a test file may lack the last features of its training file, or vice
    /// versa.
    pub(crate) fn widen(&mut self, size: usize) {
        if size > self.size {
            let rows = self.values.chunks_exact(self.size);
            self.values = rows
                .flat_map(|row| {
                    row.iter()
                        .copied()
                        .chain(std::iter::repeat_n(0.0, size - row.len()))
                })
                .collect();
            self.size = size;
        }
    }
}
