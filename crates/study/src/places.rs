//! The lines of a study file, for errors.

use std::collections::HashMap;

use toml::de::{DeTable, DeValue};

use crate::error::StudyError;
use crate::renamed;

/// The lines of a file's keys, by paths such as `arm.2.rate.from`.
#[derive(Clone, Debug, Default)]
pub(crate) struct Places {
    file: String,
    lines: HashMap<String, usize>,
    /// Paths that an override set, with its text: errors about them name the override, not the
    /// file.
    pub overrides: Vec<(String, String)>,
}

impl Places {
    pub(crate) fn of(document: &DeTable, text: &str, file: &str) -> Self {
        fn walk(
            prefix: &str,
            table: &DeTable,
            line: &dyn Fn(usize) -> usize,
            lines: &mut HashMap<String, usize>,
        ) {
            for (k, v) in table {
                let path = format!("{prefix}{}", k.get_ref());
                lines.insert(renamed::path(&path), line(k.span().start));
                match v.get_ref() {
                    DeValue::Table(t) => walk(&format!("{path}."), t, line, lines),
                    DeValue::Array(items) => {
                        for (i, item) in items.iter().enumerate() {
                            lines.insert(format!("{path}.{i}"), line(item.span().start));
                            if let DeValue::Table(t) = item.get_ref() {
                                walk(&format!("{path}.{i}."), t, line, lines);
                            }
                        }
                    }
                    _ => {}
                }
            }
        }
        let starts: Vec<usize> = std::iter::once(0)
            .chain(text.match_indices('\n').map(|(i, _)| i + 1))
            .collect();
        let mut lines = HashMap::new();
        let line = |at| starts.partition_point(|&s| s <= at);
        walk("", document, &line, &mut lines);
        Places {
            file: file.into(),
            lines,
            overrides: Vec::new(),
        }
    }

    /// An error at the first of several paths that an override set, or else at the first path.
    pub(crate) fn error_among(&self, paths: &[String], message: String) -> StudyError {
        self.error(
            paths
                .iter()
                .find(|p| self.overriding(p).is_some())
                .or(paths.first())
                .map_or("", |p| p),
            message,
        )
    }

    /// The override that set a path, or a part of it.
    fn overriding(&self, path: &str) -> Option<&String> {
        let within = |inner: &str, outer: &str| {
            inner
                .strip_prefix(outer)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
        };
        let sets = |set: &str| within(path, set) || (path.contains('.') && within(set, path));
        self.overrides
            .iter()
            .rev()
            .find(|(set, _)| sets(set))
            .map(|(_, text)| text)
    }

    /// An error at the line of `path`, or of the nearest enclosing key in the file; or at the
    /// override that set the path or a part of it.
    pub(crate) fn error(&self, path: &str, message: impl Into<String>) -> StudyError {
        if let Some(text) = self.overriding(path) {
            return StudyError::Override {
                text: text.clone(),
                message: message.into(),
            };
        }
        let (mut path, mut line) = (path, None);
        while line.is_none() {
            line = self.lines.get(path).copied();
            match path.rsplit_once('.') {
                Some((parent, _)) => path = parent,
                None => break,
            }
        }
        StudyError::Invalid {
            file: self.file.clone(),
            line: line.or_else(|| self.lines.get(path).copied()),
            message: message.into(),
        }
    }
}
