//! Text with delimiters: lines into fields.

use crate::DataError;
use crate::spec::Delimiter;
use crate::table::line;
use std::borrow::Cow;
use std::path::Path;

/// A line that is not blank.
pub(crate) struct Record<'a> {
    /// From 1.
    pub line: u64,
    /// Without the blanks around them, and without quotes.
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

/// All lines but blank ones, which count where each line is a single field. Each has as many fields as the first. A field does not go over the end of its line, even in quotes: a quote that
/// is not closed would else swallow lines up to the next quote.
pub(crate) fn records<'a>(
    path: &Path,
    text: &'a str,
    delimiter: Option<Delimiter>,
) -> Result<Vec<Record<'a>>, DataError> {
    // Macs once ended lines by a carriage return alone.
    let end = if text.contains('\n') { '\n' } else { '\r' };
    let mut delimiter = delimiter.map(Delimiter::char);
    let mut records: Vec<Record> = Vec::new();
    let mut blank = Vec::new();
    for (at, content) in (1..).zip(text.split(end)) {
        let content = content.trim_end_matches('\r');
        // A line of tabs alone is a row without values where tabs divide the columns.
        if content
            .trim_matches(|c: char| c.is_whitespace() && Some(c) != delimiter)
            .is_empty()
        {
            blank.push(at);
            continue;
        }
        if content.contains('\r') {
            let problem =
                "a carriage return stands in its middle; end all lines in the same way".into();
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
                "it has {} fields, but the first line has {}; mend or remove the line",
                fields.len(),
                first.fields.len()
            );
            return Err(line(path, at, None, problem));
        }
        // Among lines of a single field a blank one is a row whose value is missing.
        if fields.len() == 1 && !records.is_empty() {
            records.extend(blank.iter().map(|&line| Record {
                line,
                fields: vec!["".into()],
            }));
        }
        blank.clear();
        records.push(Record { line: at, fields });
    }
    Ok(records)
}

/// The delimiter that a line holds outside quotes; a bar counts where there is no other.
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
                "it holds {found}; say which of them divides the columns: dataset.delimiter = \",\", \";\" or \"tab\" (a number needs a point, not a decimal comma)"
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
                    bad("a quote opens here and is not closed on this line; close it, or remove it (a quote within quotes is doubled)"
                        .into())
                })?;
                let after = inner[end + 1..].trim_start_matches(blank);
                if !after.is_empty() && !after.starts_with(delimiter) {
                    let next: String = after.chars().take(20).collect();
                    return Err(bad(format!(
                        "`{next}` follows a closing quote; a quote within quotes is doubled"
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
                        "`{text}` holds a quote; put the whole field into quotes, and double the quote within"
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

/// Where the quote stands that ends a text, doubled ones left out.
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
