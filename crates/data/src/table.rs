//! What CSV and LIBSVM files have in common: rows of numbers with a label in words, and the meaning of those labels.

use crate::spec::LabelKind;
use crate::{DataError, Labels, Task};
use std::path::{Path, PathBuf};

/// A text file's examples.
pub(crate) struct Rows {
    pub path: PathBuf,
    /// Row by row.
    pub values: Vec<f64>,
    /// Values a row.
    pub size: usize,
    /// The features' names, as they stand in the file; empty if it gives none.
    pub names: Vec<String>,
    /// Each row's line, from 1, and its label as it stands there.
    pub labels: Vec<(u64, String)>,
}

/// How label words become numbers; learned from the training file and applied to the test file.
pub(crate) enum Encoding {
    Real,
    /// The classes' names, in the order of their numbers; with each its value, if all are whole numbers.
    Classes(Vec<(Option<i64>, String)>),
}

impl Encoding {
    pub(crate) fn learn(rows: &Rows, kind: LabelKind) -> Result<Encoding, DataError> {
        if kind == LabelKind::Real {
            return Ok(Encoding::Real);
        }
        let numbers: Option<Vec<f64>> = rows.labels.iter().map(|(_, l)| l.parse().ok()).collect();
        let mut classes: Vec<(Option<i64>, String)> = match numbers {
            Some(numbers) => {
                if let Some(i) = numbers.iter().position(|x| x.fract() != 0.0 || x.abs() > 1e15) {
                    let problem = format!("the label `{}` is no class; write labels = \"real\" for a real target", rows.labels[i].1);
                    return Err(line(&rows.path, rows.labels[i].0, None, problem));
                }
                numbers.iter().map(|&x| (Some(x as i64), (x as i64).to_string())).collect()
            }
            None => rows.labels.iter().map(|(_, l)| (None, l.clone())).collect(),
        };
        classes.sort();
        classes.dedup();
        if classes.len() < 2 {
            let found = format!("only `{}`", classes[0].1);
            return Err(DataError::Format {
                path: rows.path.clone(),
                what: "the label column".into(),
                found,
                expected: "at least two classes".into(),
            });
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

    pub(crate) fn apply(&self, rows: &Rows) -> Result<Labels, DataError> {
        match self {
            Encoding::Real => {
                let target = |(at, word): &(u64, String)| match word.parse::<f64>() {
                    Ok(x) if x.is_finite() => Ok(x),
                    _ => Err(line(&rows.path, *at, None, format!("the target `{word}` is not a finite number; mend or remove the line"))),
                };
                Ok(Labels::Targets(rows.labels.iter().map(target).collect::<Result<_, _>>()?))
            }
            Encoding::Classes(classes) => {
                let class = |(index, (_, word)): (usize, &(u64, String))| {
                    let number = classes[0].0.and(word.parse::<f64>().ok()).filter(|x| x.fract() == 0.0).map(|x| x as i64);
                    let found = match number {
                        Some(x) => classes.binary_search_by_key(&Some(x), |c| c.0),
                        None => classes.binary_search_by(|c| c.1.as_str().cmp(word)),
                    };
                    found.map(|c| c as u32).map_err(|_| DataError::Label {
                        path: rows.path.clone(),
                        index,
                        label: word.clone(),
                        classes: classes.iter().map(|c| c.1.as_str()).collect::<Vec<_>>().join(", "),
                    })
                };
                Ok(Labels::Classes(rows.labels.iter().enumerate().map(class).collect::<Result<_, _>>()?))
            }
        }
    }
}

/// A cell's number.
pub(crate) fn number(path: &Path, at: u64, column: &str, word: &str) -> Result<f64, DataError> {
    let problem = match word.parse::<f64>() {
        Ok(x) if x.is_finite() => return Ok(x),
        Ok(_) => format!("the value `{word}` is not finite; mend or remove the line"),
        Err(_) if word.is_empty() => "the value is missing; fill it in or remove the line".into(),
        Err(_) => format!("`{word}` is not a number; write categories as numbers, or remove the column"),
    };
    Err(line(path, at, Some(format!("column {column}")), problem))
}

pub(crate) fn line(path: &Path, line: u64, column: Option<String>, problem: String) -> DataError {
    DataError::Line { path: path.to_path_buf(), line, column, problem }
}

/// The text of a file, without a byte order mark.
pub(crate) fn text(path: &Path, bytes: &[u8]) -> Result<String, DataError> {
    if bytes.is_empty() {
        return Err(DataError::Empty { path: path.to_path_buf() });
    }
    let text = std::str::from_utf8(bytes).map_err(|e| {
        let at = bytes[..e.valid_up_to()].iter().filter(|&&b| b == b'\n').count() as u64 + 1;
        line(path, at, None, "it is not text in UTF-8; convert the file".into())
    })?;
    Ok(text.trim_start_matches('\u{feff}').to_string())
}

/// Refuses a file without any example.
pub(crate) fn some(rows: Rows) -> Result<Rows, DataError> {
    if rows.labels.is_empty() {
        return Err(DataError::Format {
            path: rows.path,
            what: "the number of examples".into(),
            found: "0".into(),
            expected: "at least 1".into(),
        });
    }
    Ok(rows)
}
