//! Delimited text tables with a label column.

use largebatch_component::{Facts, shortened};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::cache::Content;
use crate::columns::{
    Column, by_name, by_place, header, in_words, is_number, label, unique, unnamed,
};
use crate::delimited::{self, Delimiter, Record};
use crate::files::Files;
use crate::spec::{Known, Reader, Unlabelled};
use crate::table::{LabelKind, Rows, is_missing, line, number, some, text};
use crate::{DataError, Dataset};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// A CSV file, or two.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CsvSpec {
    /// The set's name in reports; by default the training file's name up to the first dot.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The file to train on.
    pub train: PathBuf,
    /// The file to test on. Without it, a stratified fifth of `train` is held out, the same for
    /// every seed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub test: Option<PathBuf>,
    /// The label's column; all others are features.
    #[schemars(extend("values" = "a name, or a number from 0"))]
    pub label: Column,
    /// Whether the first line holds column names. By default it does if `label` is a name, or if
    /// the features of that line are words. A line that may be either, such as `0,1,2`, is refused
    /// until this says what it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub header: Option<bool>,
    /// The separator of the fields; by default the one in the first line. A first line that
    /// contains two of them is refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("values" = "\",\", \";\", \"tab\", \"|\""))]
    pub delimiter: Option<Delimiter>,
    /// How to treat missing values: empty fields, `?`, `NA`, `N/A`, `#N/A`, `<NA>`, `NaN`, `NULL`.
    /// By default they are refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub missing: Option<Missing>,
    /// What the labels are; by default classes. More than 20 classes that do not count from 0 or 1
    /// are refused until this says what they are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub labels: Option<LabelKind>,
}

/// How to treat missing values.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Missing {
    /// A missing feature becomes the mean of the training part, without the validation examples. A
    /// missing label is refused.
    Mean,
    /// Rows with a missing feature or label are left out.
    Drop,
}

impl Reader for CsvSpec {
    const FACTS: Facts = Facts::new(
        "csv",
        "a text table with `,`, `;`, tabs or `|` between its fields",
    );

    fn open(&self, files: &Files<'_>) -> Result<Dataset, DataError> {
        let (train, test) = (files.content(&self.train)?, files.optional(&self.test)?);
        let rows = read(&train.path, &train.bytes, self)?;
        let tests = test
            .as_ref()
            .map(|t| read(&t.path, &t.bytes, self))
            .transpose()?;
        if let Some(tests) = tests.as_ref().filter(|t| t.size != rows.size) {
            return Err(DataError::format(
                &tests.path,
                "the number of features",
                tests.size,
                format!("{}, as in {}", rows.size, rows.path.display()),
            ));
        }
        // With columns in another order, a feature would be trained as one thing and tested as
        // another.
        if let Some(tests) = tests.as_ref().filter(|t| t.names != rows.names) {
            let differ = tests.names.iter().zip(&rows.names).find(|(a, b)| a != b);
            let (found, expected) = differ
                .map_or(("none".into(), "the training file's".into()), |(a, b)| {
                    (format!("`{a}`"), format!("`{b}`"))
                });
            return Err(DataError::format(
                &tests.path,
                "the name of a column",
                found,
                expected,
            ));
        }
        files.table(&self.name, rows, tests, self.labels)
    }

    fn features(&self, file: &Content, known: &Known<'_>) -> Result<Unlabelled, DataError> {
        read_features(&file.path, &file.bytes, Some(self), known)?.unlabelled()
    }
}

/// Reads a file: every column except the label is a feature.
pub(crate) fn read(path: &Path, bytes: &[u8], spec: &CsvSpec) -> Result<Rows, DataError> {
    let text = text(path, bytes)?;
    let records = delimited::records(path, &text, spec.delimiter)?;
    let first = &records[0];
    let width = first.fields.len();
    if width < 2 {
        let expected = "features and a label, separated by `,`, `;`, tabs or `|`";
        return Err(DataError::format(
            path,
            "the number of columns",
            "1",
            expected,
        ));
    }
    let header = match spec.header {
        Some(header) => header,
        None => header(path, &records, &spec.label, spec.labels)?,
    };
    let body = &records[header as usize..];
    if header {
        unique(path, first, |_| true)?;
    }
    let at = label(path, header.then_some(first), width, &spec.label)?;
    let mut warnings = Vec::new();
    if header && spec.header.is_none() && first.fields.iter().all(|f| is_number(f)) {
        warnings.push(format!(
            "{}, line {}: all its fields are numbers, but it was read as column names; if it is a row of data, write dataset.header = false and dataset.label = {at}",
            path.display(),
            first.line
        ));
    }
    let mut kept: Vec<usize> = (0..width).filter(|&i| i != at).collect();
    if header {
        let unnamed = unnamed(path, first, body, at, &mut warnings)?;
        kept.retain(|i| !unnamed.contains(i));
        if kept.is_empty() {
            let problem = "the label is the only column with a name; give at least one feature";
            return Err(line(path, first.line, None, problem));
        }
    }
    let names = in_words(first, header);
    let mut rows = Rows {
        path: path.to_path_buf(),
        values: Vec::with_capacity(body.len() * kept.len()),
        size: kept.len(),
        warnings,
        ..Rows::default()
    };
    if header {
        rows.names = kept.iter().map(|&i| first.fields[i].to_string()).collect();
    }
    let (mut dropped, mut filled) = (Vec::new(), BTreeMap::<usize, usize>::new());
    for Record { line: here, fields } in body {
        let label = &fields[at];
        if spec.missing == Some(Missing::Drop)
            && kept.iter().chain([&at]).any(|&i| is_missing(&fields[i]))
        {
            dropped.push(here.to_string());
            continue;
        }
        if is_missing(label) {
            let class = if label.is_empty() {
                String::new()
            } else {
                format!("; if `{label}` is a class, give it another name")
            };
            let problem = format!(
                "the label is missing{}; fill it in, remove the line, or set dataset.missing = \"drop\"{class}",
                shown(label)
            );
            let column = format!("column {}", names[at]);
            return Err(line(path, *here, Some(column), problem));
        }
        for (column, &i) in kept.iter().enumerate() {
            let remedy =
                "fill it in, remove the line, or set dataset.missing = \"mean\" or \"drop\"";
            let value = value(
                path,
                *here,
                &names[i],
                &fields[i],
                spec.missing.is_none().then_some(remedy),
            )?;
            if value.is_nan() {
                *filled.entry(column).or_default() += 1;
            }
            rows.values.push(value);
        }
        rows.labels.push((*here, label.to_string()));
    }
    if !dropped.is_empty() {
        let (n, all, lines) = (dropped.len(), body.len(), shortened(&dropped, 5));
        rows.warnings.push(format!(
            "{}: {n} of {all} rows were dropped because a value is missing (line {lines})",
            path.display()
        ));
    }
    if let Some((&column, _)) = filled.iter().find(|(_, n)| **n == rows.labels.len()) {
        let column = format!("column {}", names[kept[column]]);
        let problem = "the column has no values; remove it";
        return Err(line(path, body[0].line, Some(column), problem));
    }
    rows.warnings
        .extend(told(path, &filled, |column| &names[kept[column]]));
    some(rows)
}

/// Reads a file whose labels are optional: the columns called `names`, or, if the training file has
/// no names, the `size` columns by position. Other columns are left out, with a note. A column in
/// the label's position must hold one of `classes`, if they are known.
pub(crate) fn read_features(
    path: &Path,
    bytes: &[u8],
    spec: Option<&CsvSpec>,
    known: &Known<'_>,
) -> Result<Rows, DataError> {
    let (names, classes, size) = (known.names, known.classes, known.size());
    let text = text(path, bytes)?;
    let records = delimited::records(path, &text, spec.and_then(|spec| spec.delimiter))?;
    let first = &records[0];
    let header = !names.is_empty();
    let kept = if header {
        by_name(path, first, names)?
    } else {
        by_place(path, &records, spec.map(|spec| &spec.label), classes, size)?
    };
    let words = in_words(first, header);
    let remedy = match spec.and_then(|spec| spec.missing) {
        Some(Missing::Mean) => None,
        Some(Missing::Drop) => Some(
            "fill it in or remove the line: training dropped such rows, but every row here gets a prediction",
        ),
        None => Some(
            "fill it in, remove the line, or train with dataset.missing = \"mean\", which fills in the training mean",
        ),
    };
    let mut rows = Rows {
        path: path.to_path_buf(),
        size,
        names: names.to_vec(),
        ..Rows::default()
    };
    let mut filled = BTreeMap::<usize, usize>::new();
    for Record { line: here, fields } in &records[header as usize..] {
        for &i in &kept {
            let value = value(path, *here, &words[i], &fields[i], remedy)?;
            if value.is_nan() {
                *filled.entry(i).or_default() += 1;
            }
            rows.values.push(value);
        }
        rows.labels.push((*here, String::new()));
    }
    let others: Vec<&str> = (0..words.len())
        .filter(|i| !kept.contains(i))
        .map(|i| words[i].as_str())
        .collect();
    if !others.is_empty() {
        let what = if others.len() == 1 {
            "column"
        } else {
            "columns"
        };
        rows.warnings.push(format!(
            "{}: ignored because not a feature: {what} {}",
            path.display(),
            shortened(&others, 5)
        ));
    }
    rows.warnings.extend(told(path, &filled, |i| &words[i]));
    let count = || {
        records
            .iter()
            .map(|r| r.fields[0].parse::<i64>().ok())
            .collect::<Option<Vec<_>>>()
    };
    if !header
        && words.len() > size
        && kept[0] == 0
        && records.len() > 2
        && count().is_some_and(|n| n.windows(2).all(|w| w[1] == w[0] + 1))
    {
        let path = path.display();
        rows.warnings.push(format!(
            "{path}: column 0 numbers the rows and was read as the first feature; remove it if the training file had no such column"
        ));
    }
    some(rows)
}

/// A feature's value. A missing value is refused with `remedy`, or becomes NaN if there is none.
fn value(
    path: &Path,
    at: u64,
    column: &str,
    word: &str,
    remedy: Option<&str>,
) -> Result<f64, DataError> {
    match (is_missing(word), remedy) {
        (false, _) => number(path, at, column, word),
        (true, None) => Ok(f64::NAN),
        (true, Some(remedy)) => Err(line(
            path,
            at,
            Some(format!("column {column}")),
            format!("the value is missing{}; {remedy}", shown(word)),
        )),
    }
}

/// A sentence with the numbers of missing values, by column, that are replaced by means.
fn told<'a>(
    path: &Path,
    filled: &BTreeMap<usize, usize>,
    name: impl Fn(usize) -> &'a String,
) -> Option<String> {
    let columns = filled
        .iter()
        .map(|(&i, n)| format!("{n} in column {}", name(i)));
    let columns = shortened(&columns.collect::<Vec<_>>(), 5);
    let n = filled.values().sum::<usize>();
    let values = if n == 1 { "value is" } else { "values are" };
    (n > 0).then(|| {
        format!(
            "{}: {n} missing {values} replaced by the training part's means ({columns})",
            path.display()
        )
    })
}

/// How a missing value is written in the file; empty for an empty field.
fn shown(word: &str) -> String {
    if word.is_empty() {
        String::new()
    } else {
        format!(" (`{word}`)")
    }
}
