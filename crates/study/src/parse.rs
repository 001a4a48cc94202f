//! From the text of a study file, and overrides, to a [`Study`].

use std::num::IntErrorKind;
use std::path::Path;

use serde::Deserialize;
use toml::de::DeTable;
use toml::{Table, Value};

use crate::error::StudyError;
use crate::file::Study;
use crate::places::Places;
use crate::renamed;
use largebatch_component::settings::{get, insert, remove};
use largebatch_component::{schema, suggestion};

impl Study {
    /// Parses a study file's text. `file` names it in errors. Each override is `key=value`: a key
    /// that begins with a section of study files (`confirm.seeds=3`, `budget.epochs=2`,
    /// `axes.batch_size=[32, 64]`) changes that section; any other key is a setting
    /// (`dataset=mnist` means `set.dataset`). A value that is not valid TOML is taken as a string.
    /// An override also replaces what conditions say about the same key, except conditions on arms,
    /// which, like arms, define a case.
    ///
    /// # Errors
    /// [`StudyError::Invalid`] with the line, and [`StudyError::Override`].
    pub fn parse(text: &str, file: &str, overrides: &[String]) -> Result<Study, StudyError> {
        let (study, written) = Self::read(text, file, overrides)?;
        written.check_asked(&study.places)?;
        Ok(study)
    }

    /// Reads a study file; see [`Study::parse`].
    ///
    /// # Errors
    /// As [`Study::parse`]; also [`StudyError::Io`], and [`StudyError::Invalid`] with the line of
    /// the first byte that is not UTF-8.
    pub fn open(path: &Path, overrides: &[String]) -> Result<Study, StudyError> {
        Self::parse(&text(path)?, &path.display().to_string(), overrides)
    }

    /// Reads the study of a folder, which was checked when it began: a file that an older version
    /// accepted, or that overrides narrowed, opens.
    pub(crate) fn resume(text: &str, file: &str) -> Result<Study, StudyError> {
        Self::read(text, file, &[]).map(|(study, _)| study)
    }

    /// Reads the study, and also what its file says without overrides.
    fn read(text: &str, file: &str, overrides: &[String]) -> Result<(Study, Study), StudyError> {
        let invalid = |e: toml::de::Error| {
            let line = e
                .span()
                .map(|span| text[..span.start.min(text.len())].matches('\n').count() + 1);
            let message = match e
                .span()
                .and_then(|span| text.get(span))
                .filter(|value| beyond(value.trim()))
            {
                Some(value) => too_large(value),
                None => suggest(e.message()),
            };
            StudyError::Invalid {
                file: file.into(),
                line,
                message,
            }
        };
        let parsed = DeTable::parse(text).map_err(invalid)?;
        let mut places = Places::of(parsed.get_ref(), text, file);
        let written =
            Study::deserialize(toml::Deserializer::from(parsed.clone())).map_err(invalid)?;
        let mut study = written.clone();
        let mut document = Table::deserialize(toml::Deserializer::from(parsed)).map_err(invalid)?;
        renamed::document(&mut document);
        let mut paths = Vec::new();
        for text in overrides {
            let wrong = |message: String| StudyError::Override {
                text: text.clone(),
                message,
            };
            let (key, value) = text
                .split_once('=')
                .ok_or_else(|| wrong("write key=value".into()))?;
            let (key, value) = (key.trim(), value.trim());
            if key.is_empty()
                || key
                    .split('.')
                    .any(|part| part.is_empty() || part.contains(char::is_whitespace))
            {
                return Err(wrong(format!("`{key}` is not a dotted key")));
            }
            let parsed = format!("v = {value}")
                .parse::<Table>()
                .ok()
                .and_then(|mut t| t.remove("v"));
            if parsed.is_none() && beyond(value) {
                return Err(wrong(too_large(value)));
            }
            let value = parsed.unwrap_or_else(|| Value::String(value.into()));
            let head = key.split('.').next().unwrap_or(key);
            let path = if schema::<Study>()["properties"].get(head).is_some() {
                renamed::path(key)
            } else {
                format!("set.{key}")
            };
            if matches!(head, "arm" | "when") {
                return Err(wrong(
                    "arms and conditions can be changed only in the file".into(),
                ));
            }
            insert(&mut document, &path, value);
            renamed::document(&mut document);
            overrule(&mut document, if head == "budget" { head } else { &path });
            paths.push((path, text.clone()));
            study = Study::deserialize(Value::Table(document.clone()))
                .map_err(|e| wrong(suggest(e.message())))?;
        }
        document.remove("about");
        study.document = document;
        places.overrides = paths;
        study.places = places;
        study.check()?;
        Ok((study, written))
    }
}

/// Reads the text of a study file.
pub(crate) fn text(path: &Path) -> Result<String, StudyError> {
    String::from_utf8(std::fs::read(path).map_err(StudyError::io("reading", path))?).map_err(|e| {
        let (at, bytes) = (e.utf8_error().valid_up_to(), e.as_bytes());
        let before = &bytes[..at];
        let column = before.iter().rev().take_while(|b| **b != b'\n').count() + 1;
        let line = before.iter().filter(|b| **b == b'\n').count() + 1;
        let message = format!(
            "the byte {:#04x} at column {column} is not UTF-8: save the file in that encoding",
            bytes[at]
        );
        StudyError::Invalid {
            file: path.display().to_string(),
            line: Some(line),
            message,
        }
    })
}

/// Whether a text is a whole number that TOML cannot hold.
fn too_large(value: &str) -> String {
    let most = i64::MAX;
    format!("{value} is too large: whole numbers in TOML end at {most}")
}

fn beyond(text: &str) -> bool {
    text.parse::<i64>().is_err_and(|e| {
        matches!(
            e.kind(),
            IntErrorKind::PosOverflow | IntErrorKind::NegOverflow
        )
    })
}

/// Removes what conditions, except those on arms, say about `path`, so that an override holds for
/// every data set and batch size.
fn overrule(document: &mut Table, path: &str) {
    let whens = document
        .get_mut("when")
        .and_then(Value::as_array_mut)
        .into_iter()
        .flatten()
        .filter_map(Value::as_table_mut);
    for when in whens.filter(|when| get(when, "if.arm").is_none()) {
        remove(when, path);
    }
}

/// Adds the nearest known name to serde's message about an unknown one.
fn suggest(message: &str) -> String {
    if message == "duplicate field `prune`" {
        return "`hopeless` is the old name of `prune`: give one of them".into();
    }
    let message = &message.replace("`hopeless`, ", "");
    let mut quoted = message.split('`').skip(1).step_by(2);
    if !(message.starts_with("unknown field") || message.starts_with("unknown variant")) {
        return message.to_string();
    }
    let wrong = quoted.next().unwrap_or_default();
    match suggestion(wrong, quoted) {
        none if none.is_empty() && message.starts_with("unknown field") => {
            format!("{message}; settings of the training run belong in `set`")
        }
        meant => format!("{message}{meant}"),
    }
}
