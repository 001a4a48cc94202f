//! Delimited text: splits lines into fields.

use crate::DataError;
use crate::table::line;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::path::Path;

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

/// A non-blank line.
pub(crate) struct Record<'a> {
    /// The line number, from 1.
    pub line: u64,
    /// The fields, without surrounding blanks and quotes.
    pub fields: Vec<Cow<'a, str>>,
}

impl Delimiter {
    pub(crate) fn char(self) -> char {
        match self {
            Delimiter::Comma => ',',
            Delimiter::Semicolon => ';',
            Delimiter::Tab => '\t',
            Delimiter::Bar => '|',
        }
    }
}

/// All lines except blank ones, which count if each line is a single field. Each line must have as
/// many fields as the first. A field never extends beyond its line, even in quotes: otherwise an
/// unclosed quote would swallow everything up to the next quote.
pub(crate) fn records<'a>(
    path: &Path,
    text: &'a str,
    delimiter: Option<Delimiter>,
) -> Result<Vec<Record<'a>>, DataError> {
    // Old Macs ended lines with a carriage return only.
    let end = if text.contains('\n') { '\n' } else { '\r' };
    let mut delimiter = delimiter.map(Delimiter::char);
    let mut records: Vec<Record> = Vec::new();
    let mut blank = Vec::new();
    for (at, content) in (1..).zip(text.split(end)) {
        let content = content.trim_end_matches('\r');
        // If tabs separate the columns, a line of only tabs is a row without values.
        if content
            .trim_matches(|c: char| c.is_whitespace() && Some(c) != delimiter)
            .is_empty()
        {
            blank.push(at);
            continue;
        }
        if content.contains('\r') {
            let problem =
                "it contains a carriage return in the middle; use the same line ending everywhere";
            return Err(line(path, at, None, problem));
        }
        let delimiter = match delimiter {
            Some(delimiter) => delimiter,
            None => *delimiter.insert(detect(path, at, content)?),
        };
        let fields = fields(path, at, content, delimiter)?;
        if let Some(first) = records
            .first()
            .filter(|first| first.fields.len() != fields.len())
        {
            let problem = format!(
                "it has {} fields, but the first line has {}; correct or remove the line",
                fields.len(),
                first.fields.len()
            );
            return Err(line(path, at, None, problem));
        }
        // If lines have a single field, a blank line is a row with a missing value.
        if fields.len() == 1 && !records.is_empty() {
            records.extend(blank.iter().map(|&line| Record {
                line,
                fields: vec!["".into()],
            }));
        }
        blank.clear();
        records.push(Record { line: at, fields });
    }
    if records.is_empty() {
        return Err(DataError::empty(path));
    }
    Ok(records)
}

/// The delimiter that a line contains outside quotes; a bar only counts if there is no other.
fn detect(path: &Path, at: u64, content: &str) -> Result<char, DataError> {
    let mut quoted = false;
    let bare: String = content
        .chars()
        .filter(|&c| {
            quoted ^= c == '"';
            !quoted
        })
        .collect();
    let found: Vec<char> = [',', ';', '\t']
        .into_iter()
        .filter(|&c| bare.contains(c))
        .collect();
    match found[..] {
        [one] => Ok(one),
        [] => Ok(if bare.contains('|') { '|' } else { ',' }),
        _ => {
            let name = |c: &char| {
                if *c == '\t' {
                    "tabs".to_owned()
                } else {
                    format!("`{c}`")
                }
            };
            let found = found.iter().map(name).collect::<Vec<_>>().join(" and ");
            let problem = format!(
                "it contains {found}; say which of them separates the columns: dataset.delimiter = \",\", \";\" or \"tab\" (a number needs a point, not a decimal comma)"
            );
            Err(line(path, at, None, problem))
        }
    }
}

fn fields<'a>(
    path: &Path,
    at: u64,
    content: &'a str,
    delimiter: char,
) -> Result<Vec<Cow<'a, str>>, DataError> {
    let blank = |c: char| c.is_whitespace() && c != delimiter;
    let mut fields = Vec::new();
    let mut rest = content;
    loop {
        let start = rest.trim_start_matches(blank);
        let bad =
            |problem: String| line(path, at, Some(format!("column {}", fields.len())), problem);
        let (field, after) = match start.strip_prefix('"') {
            Some(inner) => {
                let end = closing(inner).ok_or_else(|| {
                    bad("a quote opens here and is not closed on this line; close or remove it (double a quote inside quotes)"
                        .into())
                })?;
                let after = inner[end + 1..].trim_start_matches(blank);
                if !after.is_empty() && !after.starts_with(delimiter) {
                    let next: String = after.chars().take(20).collect();
                    return Err(bad(format!(
                        "`{next}` follows a closing quote; double a quote inside quotes"
                    )));
                }
                let text = inner[..end].trim();
                (
                    if text.contains('"') {
                        Cow::Owned(text.replace("\"\"", "\""))
                    } else {
                        Cow::Borrowed(text)
                    },
                    after,
                )
            }
            None => {
                let end = start.find(delimiter).unwrap_or(start.len());
                let text = start[..end].trim_end();
                if text.contains('"') {
                    return Err(bad(format!(
                        "`{text}` contains a quote; put the whole field in quotes, and double the quote inside it"
                    )));
                }
                (Cow::Borrowed(text), &start[end..])
            }
        };
        fields.push(field);
        match after.strip_prefix(delimiter) {
            Some(next) => rest = next,
            None => return Ok(fields),
        }
    }
}

/// The position of the closing quote; doubled quotes are skipped.
fn closing(text: &str) -> Option<usize> {
    let mut from = 0;
    loop {
        let at = from + text[from..].find('"')?;
        if !text[at + 1..].starts_with('"') {
            return Some(at);
        }
        from = at + 2;
    }
}
