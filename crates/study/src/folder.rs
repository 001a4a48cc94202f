//! The study file in a study's folder.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use largebatch_store::{Seal, clear_leftovers, seal_text, unseal_text, write_new};
use toml::{Table, Value};

use crate::error::StudyError;
use crate::file::Study;
use crate::parse::text;
use crate::renamed;

/// The name of the resolved study file in a study's folder.
const STUDY_FILE: &str = "study.toml";

/// Begins a study in a folder or continues it: writes the resolved study, or compares it with the
/// one there.
pub(crate) fn begin(folder: &Path, study: &Study) -> Result<(), StudyError> {
    let path = folder.join(STUDY_FILE);
    // Shards may begin at the same moment: the first file stays.
    match write_new(&path, seal_text(&study.resolved()).as_bytes()) {
        Err(e) if !path.exists() => return Err(StudyError::io("writing", &path)(e)),
        _ => {}
    }
    // What a killed writer left, or another shard is writing, is no longer needed.
    clear_leftovers(&path);
    let there = std::fs::read_to_string(&path).map_err(StudyError::io("reading", &path))?;
    check_digest(&there, &path)?;
    let mut there: Table = there.parse().map_err(|_| damaged(&path))?;
    renamed::document(&mut there);
    let (there, here) = (lines(&there), lines(&study.document));
    if there == here {
        Ok(())
    } else {
        Err(StudyError::Changed {
            folder: folder.into(),
            diff: diff(&there, &here),
        })
    }
}

/// The study that began in a folder. Everything was checked then.
pub(crate) fn resume(folder: &Path) -> Result<Study, StudyError> {
    let path = folder.join(STUDY_FILE);
    let text = text(&path).map_err(|e| match e {
        StudyError::Io { source, .. } if source.kind() == std::io::ErrorKind::NotFound => {
            StudyError::NoStudy(folder.into())
        }
        e => e,
    })?;
    check_digest(&text, &path)?;
    Study::resume(&text, &path.display().to_string())
}

/// Refuses a study file in which a byte has changed since it was written. Files from versions
/// before 0.3 have no digest.
fn check_digest(text: &str, path: &Path) -> Result<(), StudyError> {
    if unseal_text(text) == Seal::Broken {
        Err(damaged(path))
    } else {
        Ok(())
    }
}

fn damaged(path: &Path) -> StudyError {
    let message = "has changed since it was written: restore it, or delete it and run the same `study run` again".into();
    StudyError::Invalid {
        file: path.display().to_string(),
        line: None,
        message,
    }
}

/// A document's values by path, such as `arm.sqrt.axes.batch_size`.
fn lines(document: &Table) -> BTreeMap<String, String> {
    fn walk(prefix: &str, value: &Value, out: &mut BTreeMap<String, String>) {
        let below = |k: &str| {
            if prefix.is_empty() {
                k.to_string()
            } else {
                format!("{prefix}.{k}")
            }
        };
        match value {
            Value::Table(t) => t.iter().for_each(|(k, v)| walk(&below(k), v, out)),
            Value::Array(items) if items.iter().any(Value::is_table) => {
                for (i, item) in items.iter().enumerate() {
                    let name = item
                        .get("name")
                        .and_then(Value::as_str)
                        .map_or_else(|| (i + 1).to_string(), str::to_string);
                    walk(&below(&name), item, out);
                }
            }
            value => {
                out.insert(prefix.into(), value.to_string());
            }
        }
    }
    let mut out = BTreeMap::new();
    walk("", &Value::Table(document.clone()), &mut out);
    out
}

/// The values that differ, marked with `- ` and `+ `.
fn diff(old: &BTreeMap<String, String>, new: &BTreeMap<String, String>) -> String {
    let paths: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
    let line = |sign: char, path: &String, value: Option<&String>| {
        value.map(|v| format!("{sign} {path} = {v}"))
    };
    let changed = paths.into_iter().filter(|p| old.get(*p) != new.get(*p));
    changed
        .flat_map(|p| [line('-', p, old.get(p)), line('+', p, new.get(p))])
        .flatten()
        .collect::<Vec<_>>()
        .join("\n")
}
