//! What the columns of a delimited file are: names, label, features.

use crate::DataError;
use crate::delimited::Record;
use crate::table::{Encoding, LabelKind, is_missing, line};
use largebatch_component::{closest, shortened};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::Path;

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

/// Whether the first line holds names. A line that may be either names or data is refused: one
/// guess would lose a row, the other would invent one.
pub(crate) fn header(
    path: &Path,
    records: &[Record],
    label: &Column,
    labels: Option<LabelKind>,
) -> Result<bool, DataError> {
    let (first, rest) = (&records[0], &records[1..]);
    let at = match *label {
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
    if labels != Some(LabelKind::Real) && rest.len() >= 10 {
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
pub(crate) fn unique(
    path: &Path,
    first: &Record,
    counts: impl Fn(&str) -> bool,
) -> Result<(), DataError> {
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
pub(crate) fn label(
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
                let remedy = format!(
                    "write \"{at}\" in quotes for the second, or \"{other}\" for the first"
                );
                Err(DataError::setting(
                    "dataset.label",
                    at,
                    format!("{why}; {remedy}"),
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
            let (path, all) = (path.display(), shortened(&first.fields, 20));
            let why = format!("{path} has no such column; the most similar is `{near}`, of {all}");
            DataError::setting("dataset.label", name, why)
        }),
    }
}

/// Columns without a name that are left out: empty ones, and row numbers such as the index that
/// pandas writes. Others are refused. A row number reveals the class if the rows are sorted by
/// class.
pub(crate) fn unnamed(
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
            let problem = "it has no name; name it, or remove the column";
            return Err(line(path, first.line, Some(format!("column {i}")), problem));
        }
        left_out.insert(i);
    }
    Ok(left_out)
}

/// The positions of the columns with these names.
pub(crate) fn by_name(
    path: &Path,
    first: &Record,
    names: &[String],
) -> Result<Vec<usize>, DataError> {
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
pub(crate) fn by_place(
    path: &Path,
    records: &[Record],
    column: Option<&Column>,
    classes: &[String],
    size: usize,
) -> Result<Vec<usize>, DataError> {
    let first = &records[0];
    let width = first.fields.len();
    let at = match column {
        Some(column) if width == size + 1 => Some(label(path, None, width, column)?),
        _ if width == size => None,
        _ => {
            let expected = format!(
                "{size} features as in the training file, or {} with the label",
                size + 1
            );
            return Err(DataError::format(
                path,
                "the number of columns",
                width,
                expected,
            ));
        }
    };
    let kept: Vec<usize> = (0..width).filter(|i| Some(*i) != at).collect();
    if kept
        .iter()
        .all(|&i| !is_number(&first.fields[i]) && !is_missing(&first.fields[i]))
    {
        let problem = "it is a line of column names, but the training file has none, so columns are matched by position; remove the line";
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
pub(crate) fn in_words(first: &Record, header: bool) -> Vec<String> {
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

pub(crate) fn is_number(word: &str) -> bool {
    word.parse::<f64>().is_ok() && !is_missing(word)
}
