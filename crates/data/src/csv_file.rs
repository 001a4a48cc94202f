//! Comma-separated values with a label column.

use crate::DataError;
use crate::spec::Column;
use crate::table::{Rows, line, number, some, text};
use std::path::Path;

/// Reads a CSV file: every column but the label's is a feature.
pub(crate) fn read(path: &Path, bytes: &[u8], label: &Column, header: Option<bool>) -> Result<Rows, DataError> {
    let text = text(path, bytes)?;
    let mut reader = csv::ReaderBuilder::new().has_headers(false).flexible(true).trim(csv::Trim::All).from_reader(text.as_bytes());
    let mut records = Vec::new();
    for record in reader.records() {
        let record = record.map_err(|e| {
            let at = e.position().map_or(0, |p| p.line());
            line(path, at, None, format!("{e}; mend the line"))
        })?;
        // A blank line is skipped by the reader; one of blanks only is one empty field.
        if !(record.len() == 1 && record[0].is_empty()) {
            records.push(record);
        }
    }
    let Some(first) = records.first() else { return Err(DataError::Empty { path: path.to_path_buf() }) };
    let width = first.len();
    let header = header.unwrap_or_else(|| match label {
        Column::Name(_) => true,
        Column::Index(at) => first.iter().enumerate().any(|(i, w)| i != *at && !w.is_empty() && w.parse::<f64>().is_err()),
    });
    let names: Vec<String> =
        if header { first.iter().map(|n| format!("`{n}`")).collect() } else { (0..width).map(|i| i.to_string()).collect() };
    let at = match label {
        Column::Index(at) if *at < width => *at,
        Column::Index(at) => return Err(DataError::setting("label", at, format!("{} has columns 0 to {}", path.display(), width - 1))),
        Column::Name(name) if !header => {
            return Err(DataError::setting("label", name, "without a line of names, give the column's number, from 0"));
        }
        Column::Name(name) => first.iter().position(|n| n == name).ok_or_else(|| {
            let near =
                first.iter().max_by(|a, b| strsim::jaro_winkler(a, name).total_cmp(&strsim::jaro_winkler(b, name))).unwrap_or_default();
            DataError::setting("label", name, format!("{} has no such column; the nearest is `{near}`", path.display()))
        })?,
    };
    if width < 2 {
        return Err(DataError::Format {
            path: path.to_path_buf(),
            what: "the number of columns".into(),
            found: "1".into(),
            expected: "features and a label, with commas between".into(),
        });
    }
    let others = || first.iter().enumerate().filter(|(i, _)| *i != at).map(|(_, n)| n.to_string()).collect();
    let mut rows = Rows {
        path: path.to_path_buf(),
        values: Vec::with_capacity(records.len() * (width - 1)),
        size: width - 1,
        names: if header { others() } else { Vec::new() },
        labels: Vec::new(),
    };
    for record in &records[header as usize..] {
        let here = record.position().map_or(0, |p| p.line());
        if record.len() != width {
            return Err(line(
                path,
                here,
                None,
                format!("it has {} fields, but the first line has {width}; mend or remove the line", record.len()),
            ));
        }
        for (i, word) in record.iter().enumerate() {
            if i != at {
                rows.values.push(number(path, here, &names[i], word)?);
            } else if word.is_empty() {
                return Err(line(
                    path,
                    here,
                    Some(format!("column {}", names[i])),
                    "the label is missing; fill it in or remove the line".into(),
                ));
            } else {
                rows.labels.push((here, word.to_string()));
            }
        }
    }
    some(rows)
}
