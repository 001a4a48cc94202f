//! Reports of studies: pure functions of [`Results`](largebatch_study::Results).
//!
//! [`html`] makes one file that opens without a network, [`terminal`] a table of the same figures, [`figures`] the charts alone, and [`write()`] a folder with
//! everything.

mod analysis;
mod context;
mod error;
mod export;
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
mod write;

use largebatch_study::Results;

pub use context::{Context, Panel, PaperRow, PaperTable};
pub use error::ReportError;
pub use figure::Figure;
pub use format::Format;
pub use write::write;

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
