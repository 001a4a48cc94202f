//! The summary for a terminal.

use std::collections::BTreeSet;
use std::fmt::Write;

use crate::report::Report;

impl Report<'_> {
    /// The summary as a table for a terminal of `width` columns, with the same numbers as
    /// [`html`](Report::html).
    pub fn terminal(&self, width: usize) -> String {
        let (a, summary) = (&self.analysis, &self.summary);
        let mut out = String::new();
        // Writing to a String cannot fail.
        for warning in &a.warnings {
            let _ = writeln!(out, "warning: {warning}");
        }
        if !a.warnings.is_empty() {
            out.push('\n');
        }
        let (heads, mut rows) = (&summary.heads, summary.rows.clone());
        let different = |rows: &[Vec<String>]| {
            rows.iter()
                .map(|r| r[..2].to_vec())
                .collect::<BTreeSet<_>>()
                .len()
        };
        let short: Vec<Vec<String>> = rows
            .iter()
            .map(|r| [vec![shortened(&r[0])], r[1..].to_vec()].concat())
            .collect();
        if different(&short) == different(&rows) {
            rows = short;
        }
        let cells = |i: usize| {
            std::iter::once(&heads[i])
                .chain(rows.iter().map(move |r| &r[i]))
                .map(|c| c.chars().count())
                .max()
                .unwrap_or(0)
        };
        let widths: Vec<usize> = (0..heads.len()).map(cells).collect();
        // Columns that do not fit continue below. Each block repeats what identifies a row: the groups'
        // names, and batch sizes if names repeat.
        let names: BTreeSet<&String> = rows.iter().map(|r| &r[0]).collect();
        let lead = if names.len() < rows.len() { 2 } else { 1 };
        let mut from = lead;
        while from < heads.len() {
            let (mut to, mut used) = (
                from,
                widths[0] + widths[1..lead].iter().map(|w| w + 2).sum::<usize>(),
            );
            while to < heads.len() && (to == from || used + 2 + widths[to] <= width) {
                used += 2 + widths[to];
                to += 1;
            }
            for row in std::iter::once(heads).chain(&rows) {
                let mut line = pad(&row[0], widths[0], false);
                (1..lead)
                    .chain(from..to)
                    .for_each(|i| line = format!("{line}  {}", pad(&row[i], widths[i], true)));
                let _ = writeln!(out, "{}", line.trim_end());
                if std::ptr::eq(row, heads) {
                    let _ = writeln!(out, "{}", "─".repeat(used.min(width.max(widths[0]))));
                }
            }
            from = to;
            if from < heads.len() {
                out.push('\n');
            }
        }
        let _ = writeln!(out, "{}.", a.small_print());
        summary.notes.iter().for_each(|note| {
            let _ = writeln!(out, "{note}");
        });
        if let Some(text) = &summary.headline {
            let _ = writeln!(out, "\n{text}");
        }
        if !summary.sentences.is_empty() {
            out.push('\n');
            summary.sentences.iter().for_each(|(sign, text)| {
                let _ = writeln!(out, "{sign} {text}");
            });
        }
        out
    }
}

/// Shortens a long name to its beginning and end, because other columns need room too.
fn shortened(name: &str) -> String {
    let length = name.chars().count();
    if length <= LONGEST {
        return name.into();
    }
    let (head, tail) = (LONGEST * 3 / 5, LONGEST * 2 / 5 - 1);
    name.chars()
        .take(head)
        .chain(['…'])
        .chain(name.chars().skip(length - tail))
        .collect()
}

/// Maximum number of characters of a name in the table.
const LONGEST: usize = 60;

fn pad(text: &str, width: usize, right: bool) -> String {
    let room = " ".repeat(width.saturating_sub(text.chars().count()));
    if right {
        room + text
    } else {
        text.to_string() + &room
    }
}
