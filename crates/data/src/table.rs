//! Common parts of CSV and LIBSVM reading: rows of numbers with labels as text, and the encoding of
//! those labels.

use crate::cache::Content;
use crate::{DataError, Labels, Part, Task, Unlabelled};
use largebatch_component::shortened;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
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

/// A text file's examples, with their labels as written.
#[derive(Default)]
#[non_exhaustive]
pub struct Rows {
    /// The file.
    pub path: PathBuf,
    /// Values, row by row; NaN marks a missing one.
    pub values: Vec<f64>,
    /// Number of values per row.
    pub size: usize,
    /// The features' names, as in the file; empty if it has none.
    pub names: Vec<String>,
    /// Each row's line number, from 1, and its label as written.
    pub labels: Vec<(u64, String)>,
    /// What was left out or looks wrong.
    pub warnings: Vec<String>,
}

impl Rows {
    /// No rows yet; `names` are the features' names, empty if they have none.
    pub fn new(file: &Content, names: Vec<String>) -> Self {
        Rows {
            path: file.path.clone(),
            size: names.len(),
            names,
            ..Rows::default()
        }
    }

    /// Adds the row of a line, counted from 1, with its label as written. NaN is a missing value.
    pub fn push(&mut self, line: u64, values: Vec<f64>, label: String) {
        self.size = values.len();
        self.values.extend(values);
        self.labels.push((line, label));
    }

    /// The examples without labels (all of class 0), and what was left out or looks wrong.
    ///
    /// # Errors
    /// Rows of different lengths.
    pub fn unlabelled(mut self) -> Result<Unlabelled, DataError> {
        let notes = std::mem::take(&mut self.warnings);
        let labels = Labels::Classes(vec![0; self.labels.len()]);
        Ok((self.part(labels)?, notes))
    }

    /// The examples with numeric labels.
    pub(crate) fn part(self, labels: Labels) -> Result<Part, DataError> {
        Ok(Part::with_missing(self.values, vec![self.size], labels)?.named(self.names))
    }
}

/// How label texts become numbers; learned from the training file and applied to the test file.
pub(crate) enum Encoding {
    Real,
    /// The classes' names, in the order of their numbers; each with its value, if all are whole
    /// numbers.
    Classes(Vec<(Option<i64>, String)>),
}

/// More whole-number labels than this, unless they count from 0 or 1, may be a real target.
const MANY: usize = 20;

impl Encoding {
    pub(crate) fn learn(rows: &Rows, kind: Option<LabelKind>) -> Result<Encoding, DataError> {
        if kind == Some(LabelKind::Real) {
            return Ok(Encoding::Real);
        }
        let numbers: Option<Vec<f64>> = rows.labels.iter().map(|(_, l)| l.parse().ok()).collect();
        let mut classes: Vec<(Option<i64>, String)> = match numbers {
            Some(numbers) => {
                if let Some(i) = numbers
                    .iter()
                    .position(|x| x.fract() != 0.0 || x.abs() > 1e15)
                {
                    let problem = format!(
                        "the label `{}` is not a class; set labels = \"real\" for a real target",
                        rows.labels[i].1
                    );
                    return Err(line(&rows.path, rows.labels[i].0, None, problem));
                }
                numbers
                    .iter()
                    .map(|&x| (Some(x as i64), (x as i64).to_string()))
                    .collect()
            }
            None => rows.labels.iter().map(|(_, l)| (None, l.clone())).collect(),
        };
        classes.sort();
        classes.dedup();
        if classes.len() < 2 {
            let found = format!("only `{}`", classes[0].1);
            return Err(DataError::format(
                &rows.path,
                "the label column",
                found,
                "at least two classes",
            ));
        }
        let (k, n) = (classes.len(), rows.labels.len());
        let counts = |from: i64| classes.iter().zip(from..).all(|(c, i)| c.0 == Some(i));
        // Names and free text also give almost one class per row. Whole numbers that count up are
        // taken as classes, not as a price, if each occurs several times.
        let real = k > MANY
            && (n < 2 * k || classes[0].0.is_some() && (n < 5 * k || !counts(0) && !counts(1)));
        if kind.is_none() && real {
            let range = format!("`{}` to `{}`", classes[0].1, classes[k - 1].1);
            let why = format!(
                "{} has {k} different labels in {n} rows, {range}: set labels = \"real\" for a real target, or \"classes\" if each label is a class",
                rows.path.display()
            );
            return Err(DataError::setting("dataset.labels", "(none)", why));
        }
        Ok(Encoding::Classes(classes))
    }

    pub(crate) fn task(&self) -> Task {
        match self {
            Encoding::Real => Task::Real,
            Encoding::Classes(classes) => Task::Classes(classes.len()),
        }
    }

    pub(crate) fn names(&self) -> Vec<String> {
        match self {
            Encoding::Real => Vec::new(),
            Encoding::Classes(classes) => classes.iter().map(|(_, name)| name.clone()).collect(),
        }
    }

    /// The encoding for classes with these names; for a real target if there are none.
    pub(crate) fn named(names: &[String]) -> Encoding {
        let number = |name: &String| name.parse::<i64>().ok().filter(|x| x.to_string() == *name);
        let all = names.iter().all(|name| number(name).is_some());
        match names {
            [] => Encoding::Real,
            _ => Encoding::Classes(
                names
                    .iter()
                    .map(|name| (number(name).filter(|_| all), name.clone()))
                    .collect(),
            ),
        }
    }

    /// The first classes, for messages.
    pub(crate) fn listed(&self) -> String {
        shortened(&self.names(), 20)
    }

    /// The class number of this label.
    fn class(classes: &[(Option<i64>, String)], word: &str) -> Option<u32> {
        let number = classes[0]
            .0
            .and(word.parse::<f64>().ok())
            .filter(|x| x.fract() == 0.0)
            .map(|x| x as i64);
        let found = match number {
            Some(x) => classes.binary_search_by_key(&Some(x), |c| c.0),
            None => classes.binary_search_by(|c| c.1.as_str().cmp(word)),
        };
        found.ok().map(|c| c as u32)
    }

    /// Whether this can be a label.
    pub(crate) fn holds(&self, word: &str) -> bool {
        match self {
            Encoding::Real => word.parse::<f64>().is_ok(),
            Encoding::Classes(classes) => Self::class(classes, word).is_some(),
        }
    }

    pub(crate) fn apply(&self, rows: &Rows) -> Result<Labels, DataError> {
        match self {
            Encoding::Real => {
                let target = |(at, word): &(u64, String)| match word.parse::<f64>() {
                    Ok(x) if x.is_finite() => Ok(x),
                    _ => {
                        let problem = format!(
                            "the target `{word}` is not a finite number; correct or remove the line"
                        );
                        Err(line(&rows.path, *at, None, problem))
                    }
                };
                Ok(Labels::Targets(
                    rows.labels.iter().map(target).collect::<Result<_, _>>()?,
                ))
            }
            Encoding::Classes(classes) => {
                let class = |(at, word): &(u64, String)| {
                    Self::class(classes, word).ok_or_else(|| {
                        let from = "correct the label, or move such rows to the training file";
                        let problem = format!(
                            "the label `{word}` is not one of the training file's classes, {}; {from}",
                            self.listed()
                        );
                        line(&rows.path, *at, None, problem)
                    })
                };
                Ok(Labels::Classes(
                    rows.labels.iter().map(class).collect::<Result<_, _>>()?,
                ))
            }
        }
    }
}

/// Whether a field marks a missing value: empty, or one of the words that spreadsheets, R, pandas,
/// databases and the UCI repository use.
pub(crate) fn is_missing(word: &str) -> bool {
    const WORDS: [&str; 8] = ["?", "na", "n/a", "#n/a", "<na>", "nan", "-nan", "null"];
    word.is_empty() || WORDS.iter().any(|w| w.eq_ignore_ascii_case(word))
}

/// The number in a field.
pub fn number(path: &Path, at: u64, column: &str, word: &str) -> Result<f64, DataError> {
    let digits = || {
        word.split(['e', 'E'])
            .next()
            .unwrap_or_default()
            .bytes()
            .any(|b| (b'1'..=b'9').contains(&b))
    };
    let problem = match word.parse::<f64>() {
        Ok(0.0) if digits() => {
            format!(
                "the value `{word}` is too small to distinguish from 0; scale the column, or write 0"
            )
        }
        Ok(x) if x.is_finite() => return Ok(x),
        Ok(_) => format!("the value `{word}` is not finite; correct or remove the line"),
        Err(_) if word.is_empty() => "the value is missing; fill it in or remove the line".into(),
        Err(_)
            if word.contains(',')
                && word
                    .bytes()
                    .all(|b| b.is_ascii_digit() || b"+-.,eE".contains(&b)) =>
        {
            format!(
                "`{word}` is not a number; write a decimal comma as a point, and leave out commas between thousands"
            )
        }
        Err(_) => {
            format!("`{word}` is not a number; write categories as numbers, or remove the column")
        }
    };
    Err(line(path, at, Some(format!("column {column}")), problem))
}

/// An error at a line of a file, counted from 1.
pub fn line(
    path: &Path,
    line: u64,
    column: Option<String>,
    problem: impl Into<String>,
) -> DataError {
    DataError::Line {
        path: path.into(),
        line,
        column,
        problem: problem.into(),
    }
}

impl Content {
    /// The text, without a byte order mark.
    ///
    /// # Errors
    /// An empty file, and bytes that are not UTF-8.
    pub fn text(&self) -> Result<String, DataError> {
        text(&self.path, &self.bytes)
    }
}

/// The text of a file, without a byte order mark.
pub(crate) fn text(path: &Path, bytes: &[u8]) -> Result<String, DataError> {
    if bytes.is_empty() {
        return Err(DataError::empty(path));
    }
    let bad = |from: usize, problem: &str| {
        let at = bytes[..from].iter().filter(|&&b| b == b'\n').count() as u64 + 1;
        Err(line(path, at, None, problem))
    };
    if bytes.starts_with(b"\xff\xfe") || bytes.starts_with(b"\xfe\xff") {
        return bad(0, "it is UTF-16 text; save the file as UTF-8");
    }
    if let Some(at) = bytes.iter().position(|&b| b == 0) {
        return bad(
            at,
            "it contains a zero byte, so it is UTF-16, binary or damaged; save the file as UTF-8 text",
        );
    }
    match std::str::from_utf8(bytes) {
        Ok(text) => Ok(text.trim_start_matches('\u{feff}').to_string()),
        Err(e) => bad(
            e.valid_up_to(),
            "it is not UTF-8 text; convert the file to UTF-8",
        ),
    }
}

/// Refuses a file without examples.
pub(crate) fn some(rows: Rows) -> Result<Rows, DataError> {
    if rows.labels.is_empty() {
        return Err(DataError::format(
            &rows.path,
            "the number of examples",
            "0",
            "at least 1",
        ));
    }
    Ok(rows)
}
