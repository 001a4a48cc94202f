//! Delimited text tables with a label column.

use largebatch_component::{Facts, closest};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::cache::Content;
use crate::delimited::{self, Record};
use crate::files::Files;
use crate::spec::{Known, Reader};
use crate::table::{Encoding, Rows, is_missing, line, number, some, text};
use crate::{DataError, Dataset, Part};
use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::{Path, PathBuf};

/// What the labels of a text file are.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum LabelKind {
    /// Classes: whole numbers or words. They are numbered from 0 in ascending order, so −1 becomes
    /// 0 and +1 becomes 1.
    #[default]
    Classes,
    /// Real numbers.
    Real,
}

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

/// The separator of the fields of a line, written as the character itself or as its name.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
pub enum Delimiter {
    /// `,` or `comma`.
    Comma,
    /// `;` or `semicolon`.
    Semicolon,
    /// `tab` or the character itself.
    Tab,
    /// `|` or `bar`.
    Bar,
}

impl TryFrom<String> for Delimiter {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        match text.as_str() {
            "," | "comma" => Ok(Delimiter::Comma),
            ";" | "semicolon" => Ok(Delimiter::Semicolon),
            "\t" | "tab" => Ok(Delimiter::Tab),
            "|" | "bar" => Ok(Delimiter::Bar),
            _ => Err(format!(
                "delimiter = \"{text}\": use \",\", \";\", \"tab\" or \"|\""
            )),
        }
    }
}

impl From<Delimiter> for String {
    fn from(delimiter: Delimiter) -> String {
        delimiter.char().to_string()
    }
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

/// A column by name or by number, counted from 0. A number may also be the name of a column; if it
/// could mean two different columns, it is refused.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(
    untagged,
    expecting = "the label is a column's number, from 0, or its name in quotes, such as \"species\" or \"1.5\""
)]
pub enum Column {
    /// By number, from 0.
    Index(usize),
    /// By name.
    Name(String),
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
        files.table(&self.name, rows, tests, self.labels)
    }

    fn features(
        &self,
        file: &Content,
        known: &Known<'_>,
    ) -> Result<(Part, Vec<String>), DataError> {
        read_features(&file.path, &file.bytes, Some(self), known)?.unlabelled()
    }
}

/// Reads a file: every column except the label is a feature.
pub(crate) fn read(path: &Path, bytes: &[u8], spec: &CsvSpec) -> Result<Rows, DataError> {
    let text = text(path, bytes)?;
    let records = delimited::records(path, &text, spec.delimiter)?;
    let Some(first) = records.first() else {
        return Err(DataError::Empty {
            path: path.to_path_buf(),
        });
    };
    let width = first.fields.len();
    if width < 2 {
        return Err(DataError::Format {
            path: path.to_path_buf(),
            what: "the number of columns".into(),
            found: "1".into(),
            expected: "features and a label, separated by `,`, `;`, tabs or `|`".into(),
        });
    }
    let header = header(path, &records, spec)?;
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
            return Err(line(
                path,
                first.line,
                None,
                "the label is the only column with a name; give at least one feature".into(),
            ));
        }
    }
    let names = in_words(first, header);
    let mut rows = Rows {
        path: path.to_path_buf(),
        values: Vec::with_capacity(body.len() * kept.len()),
        size: kept.len(),
        names: if header {
            kept.iter().map(|&i| first.fields[i].to_string()).collect()
        } else {
            Vec::new()
        },
        labels: Vec::new(),
        warnings,
    };
    let (mut dropped, mut filled) = (Vec::new(), BTreeMap::<usize, usize>::new());
    for Record { line: here, fields } in body {
        let label = &fields[at];
        if spec.missing == Some(Missing::Drop)
            && kept.iter().chain([&at]).any(|&i| is_missing(&fields[i]))
        {
            dropped.push(*here);
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
            return Err(line(
                path,
                *here,
                Some(format!("column {}", names[at])),
                problem,
            ));
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
        let lines = dropped
            .iter()
            .take(5)
            .map(u64::to_string)
            .collect::<Vec<_>>()
            .join(", ");
        let more = if dropped.len() > 5 { ", …" } else { "" };
        let message = format!(
            "{}: {} of {} rows were dropped because a value is missing (line {lines}{more})",
            path.display(),
            dropped.len(),
            body.len()
        );
        rows.warnings.push(message);
    }
    if let Some((&column, _)) = filled.iter().find(|(_, n)| **n == rows.labels.len()) {
        let problem = "the column has no values; remove it".into();
        return Err(line(
            path,
            body[0].line,
            Some(format!("column {}", names[kept[column]])),
            problem,
        ));
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
    let Some(first) = records.first() else {
        return Err(DataError::Empty {
            path: path.to_path_buf(),
        });
    };
    let header = !names.is_empty();
    let kept = if header {
        by_name(path, first, names)?
    } else {
        by_place(path, &records, spec, classes, size)?
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
        values: Vec::new(),
        size,
        names: names.to_vec(),
        labels: Vec::new(),
        warnings: Vec::new(),
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
        let more = if others.len() > 5 { ", …" } else { "" };
        let what = if others.len() == 1 {
            "column"
        } else {
            "columns"
        };
        let others = others[..others.len().min(5)].join(", ");
        rows.warnings.push(format!(
            "{}: ignored because not a feature: {what} {others}{more}",
            path.display()
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

/// The positions of the columns with these names.
fn by_name(path: &Path, first: &Record, names: &[String]) -> Result<Vec<usize>, DataError> {
    unique(path, first, |name| names.iter().any(|n| n == name))?;
    let places: HashMap<&str, usize> = first
        .fields
        .iter()
        .enumerate()
        .map(|(i, f)| (f.as_ref(), i))
        .collect();
    let missing: Vec<&String> = names
        .iter()
        .filter(|name| !places.contains_key(name.as_str()))
        .collect();
    let Some(lacks) = missing.first() else {
        return Ok(names.iter().map(|name| places[name.as_str()]).collect());
    };
    let all = missing
        .iter()
        .take(5)
        .map(|name| format!("`{name}`"))
        .collect::<Vec<_>>()
        .join(", ");
    let more = if missing.len() > 5 {
        format!(", and {} more", missing.len() - 5)
    } else {
        String::new()
    };
    let problem = match first.fields.iter().find(|f| is_number(f)) {
        Some(figure) if missing.len() == names.len() => {
            format!(
                "`{figure}` is not a name; the first line must name the features as in the training file: {all}{more}"
            )
        }
        _ => {
            let near = nearest(first, lacks).unwrap_or_default();
            let (columns, them) = if missing.len() == 1 {
                ("column", "it")
            } else {
                ("columns", "them")
            };
            format!(
                "it lacks the {columns} {all}{more} of the training file; the name most similar to `{lacks}` is `{near}`; add or rename {them}"
            )
        }
    };
    Err(line(path, first.line, None, problem))
}

/// The positions of the features in a file without column names: all columns except the label's, if
/// it is there. A file without the label but with some other extra column, such as row numbers, has
/// the same width as one with the label; the values show which it is.
fn by_place(
    path: &Path,
    records: &[Record],
    spec: Option<&CsvSpec>,
    classes: &[String],
    size: usize,
) -> Result<Vec<usize>, DataError> {
    let first = &records[0];
    let width = first.fields.len();
    let at = match spec {
        Some(spec) if width == size + 1 => Some(label(path, None, width, &spec.label)?),
        _ if width == size => None,
        _ => {
            return Err(DataError::Format {
                path: path.to_path_buf(),
                what: "the number of columns".into(),
                found: width.to_string(),
                expected: format!(
                    "{size} features as in the training file, or {} with the label",
                    size + 1
                ),
            });
        }
    };
    let kept: Vec<usize> = (0..width).filter(|i| Some(*i) != at).collect();
    if kept
        .iter()
        .all(|&i| !is_number(&first.fields[i]) && !is_missing(&first.fields[i]))
    {
        let problem = "it is a line of column names, but the training file has none, so columns are matched by position; remove the line".into();
        return Err(line(path, first.line, None, problem));
    }
    let (known, label) = (Encoding::named(classes), |at: usize| {
        records.iter().map(move |r| (r.line, r.fields[at].as_ref()))
    });
    if let Some((here, other)) =
        at.and_then(|at| label(at).find(|(_, word)| !is_missing(word) && !known.holds(word)))
    {
        let problem = format!(
            "the file is as wide as the training file with its label, and `{other}`, in the label's column, is not one of its classes, {}; give only the \
             {size} features, without the label or other columns such as row numbers",
            known.listed()
        );
        return Err(line(
            path,
            here,
            at.map(|at| format!("column {at}")),
            problem,
        ));
    }
    Ok(kept)
}

/// How messages refer to the columns: by name, or by number from 0.
fn in_words(first: &Record, header: bool) -> Vec<String> {
    first
        .fields
        .iter()
        .enumerate()
        .map(|(i, name)| {
            if header {
                format!("`{name}`")
            } else {
                i.to_string()
            }
        })
        .collect()
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
    let columns: Vec<String> = filled
        .iter()
        .take(5)
        .map(|(&i, n)| format!("{n} in column {}", name(i)))
        .collect();
    let more = if filled.len() > 5 { ", …" } else { "" };
    let (n, columns) = (filled.values().sum::<usize>(), columns.join(", "));
    let values = if n == 1 { "value is" } else { "values are" };
    (n > 0).then(|| {
        format!(
            "{}: {n} missing {values} replaced by the training part's means ({columns}{more})",
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

fn is_number(word: &str) -> bool {
    word.parse::<f64>().is_ok() && !is_missing(word)
}

/// Whether the first line holds names. A line that may be either names or data is refused: one
/// guess would lose a row, the other would invent one.
fn header(path: &Path, records: &[Record], spec: &CsvSpec) -> Result<bool, DataError> {
    if let Some(header) = spec.header {
        return Ok(header);
    }
    let (first, rest) = (&records[0], &records[1..]);
    let at = match spec.label {
        Column::Index(at) if at < first.fields.len() => at,
        _ => return Ok(true),
    };
    let unclear = |why: String| {
        let problem = format!(
            "{why}; set dataset.header = true if the line names the columns, or false if it is a row of data"
        );
        Err(line(path, first.line, None, problem))
    };
    let features = || {
        first
            .fields
            .iter()
            .enumerate()
            .filter(|(i, _)| *i != at)
            .map(|(_, f)| f)
    };
    let word = features().find(|f| !is_missing(f) && !is_number(f));
    let figure = features().find(|f| is_number(f));
    match (word, figure) {
        (Some(_), None) => return Ok(true),
        (Some(word), Some(figure)) => {
            return unclear(format!(
                "its features include words (`{word}`) and numbers (`{figure}`)"
            ));
        }
        (None, None) => return Ok(false),
        (None, Some(_)) => {}
    }
    let counts = |from: usize| {
        first
            .fields
            .iter()
            .enumerate()
            .all(|(i, f)| **f == (i + from).to_string())
    };
    if counts(0) || counts(1) {
        return unclear("its fields may be column numbers".into());
    }
    let label = &first.fields[at];
    if is_missing(label) {
        return Ok(false);
    }
    if !rest.is_empty()
        && !is_number(label)
        && rest
            .iter()
            .all(|r| is_number(&r.fields[at]) || is_missing(&r.fields[at]))
    {
        return unclear(format!(
            "its label `{label}` is a word, and all others are numbers"
        ));
    }
    // A class that occurs only in the first line, while all others are frequent, may be the name of
    // the label's column.
    if spec.labels != Some(LabelKind::Real) && rest.len() >= 10 {
        let value = |word: &str| {
            word.parse::<f64>()
                .map_or(word.to_owned(), |x| x.to_string())
        };
        let mut counts = BTreeMap::<String, usize>::new();
        rest.iter()
            .for_each(|r| *counts.entry(value(&r.fields[at])).or_default() += 1);
        if counts.values().all(|&n| n > 1) && !counts.contains_key(&value(label)) {
            return unclear(format!("no other line has the same label, `{label}`"));
        }
    }
    Ok(false)
}

/// Refuses two columns with the same name, among those that matter: one of them may be a copy of
/// the label.
fn unique(path: &Path, first: &Record, counts: impl Fn(&str) -> bool) -> Result<(), DataError> {
    let mut seen = BTreeMap::new();
    for (i, name) in first
        .fields
        .iter()
        .enumerate()
        .filter(|(_, name)| !name.is_empty() && counts(name))
    {
        if let Some(before) = seen.insert(name, i) {
            let problem = format!(
                "columns {before} and {i} are both named `{name}`; rename one, or remove it if it is a copy"
            );
            return Err(line(path, first.line, None, problem));
        }
    }
    Ok(())
}

/// The column whose name is most similar.
fn nearest<'a>(first: &'a Record, name: &str) -> Option<&'a str> {
    closest(name, first.fields.iter().map(AsRef::as_ref))
}

/// The label's column.
fn label(
    path: &Path,
    names: Option<&Record>,
    width: usize,
    label: &Column,
) -> Result<usize, DataError> {
    let called = |name: &str| names.and_then(|r| r.fields.iter().position(|f| f == name));
    match (label, names) {
        (Column::Index(at), _) => match called(&at.to_string()) {
            Some(named) if *at >= width || named == *at => Ok(named),
            Some(named) => {
                let other = names.map_or("", |r| &*r.fields[*at]);
                let why = format!(
                    "column {at} of {} is `{other}`, and column {named} is named `{at}`",
                    path.display()
                );
                Err(DataError::setting(
                    "dataset.label",
                    at,
                    format!(
                        "{why}; write \"{at}\" in quotes for the second, or \"{other}\" for the first"
                    ),
                ))
            }
            None if *at < width => Ok(*at),
            None => Err(DataError::setting(
                "dataset.label",
                at,
                format!("{} has columns 0 to {}", path.display(), width - 1),
            )),
        },
        // Without column names, a number in quotes can only be a position.
        (Column::Name(name), None) => match name.parse::<usize>() {
            Ok(at) => self::label(path, None, width, &Column::Index(at)),
            Err(_) => Err(DataError::setting(
                "dataset.label",
                name,
                "the file has no line of column names; give the column's number, from 0",
            )),
        },
        (Column::Name(name), Some(first)) => called(name).ok_or_else(|| {
            let near = nearest(first, name).unwrap_or_default();
            let all: Vec<&str> = first.fields.iter().take(20).map(AsRef::as_ref).collect();
            let more = if first.fields.len() > all.len() {
                ", …"
            } else {
                ""
            };
            let all = all.join(", ");
            DataError::setting(
                "dataset.label",
                name,
                format!(
                    "{} has no such column; the most similar is `{near}`, of {all}{more}",
                    path.display()
                ),
            )
        }),
    }
}

/// Columns without a name that are left out: empty ones, and row numbers such as the index that
/// pandas writes. Others are refused. A row number reveals the class if the rows are sorted by
/// class.
fn unnamed(
    path: &Path,
    first: &Record,
    body: &[Record],
    label: usize,
    warnings: &mut Vec<String>,
) -> Result<HashSet<usize>, DataError> {
    let mut left_out = HashSet::new();
    for (i, name) in first.fields.iter().enumerate() {
        // pandas writes the second name after reading a file with such a column.
        if i == label || !(name.is_empty() || name.starts_with("Unnamed: ")) {
            continue;
        }
        let column = || body.iter().map(|r| r.fields[i].as_ref());
        let place = format!("{}: column {i} has no name", path.display());
        if column().all(str::is_empty) {
            warnings.push(format!("{place} and no values; it was left out"));
        } else if column()
            .map(|f| f.parse::<i64>().ok())
            .collect::<Option<HashSet<_>>>()
            .is_some_and(|n| n.len() == body.len())
        {
            warnings.push(format!(
                "{place} and numbers the rows, as pandas' index does; it was left out (pandas' `to_csv(index=False)` does not write it)"
            ));
        } else {
            return Err(line(
                path,
                first.line,
                Some(format!("column {i}")),
                "it has no name; name it, or remove the column".into(),
            ));
        }
        left_out.insert(i);
    }
    Ok(left_out)
}
