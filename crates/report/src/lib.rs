//! Reports of studies: pure functions of [`Results`].
//!
//! [`html`] makes one file that opens without a network, [`terminal`] a table of the same numbers,
//! [`figures`] only the charts, and [`write()`] a folder with everything.
//!
//! ```no_run
//! use largebatch_report::{Context, Format, write};
//! use largebatch_study::Results;
//!
//! let results = Results::open("gap".as_ref())?;
//! let context = Context { command: "largebatch study run gap --out gap".into(), ..Context::default() };
//! write(&results, &context, "gap/report".as_ref(), &Format::REPORT)?;
//! print!("{}", largebatch_report::terminal(&results, 120));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! All of them use the statistics of [`largebatch_study::statistics`] and show the same numbers.
//! The reported quantity is the test metric, or the validation metric in a study without stage
//! confirm. In a study that derives rates, a group is compared with the group from which its rate
//! is derived; else with the smallest batch size of its own series; else with the first group of
//! the smallest batch size. Differences and gaps have a sign such that above 0 is worse. Intervals
//! of fractions are limited to possible values: 0 to 100 %, and −100 to 100 points for gaps and
//! differences.
//!
//! Files: `index.html`; `figures/*.svg` (light or dark by the reader's preference) and
//! `figures/*.png` (light, twice the size); `summary.csv` (a row for each group), `trials.csv` and
//! `trials.parquet` (a row for each ended trial of each group, settings as `config.*`),
//! `curves.csv` and `curves.parquet` (a row for each point); `trials.jsonl` (the records);
//! `tensorboard/GROUP/TRIAL/` (event files). A group has the same, unique name in all of them. A
//! column contains numbers, booleans or texts, in CSV as in Parquet; a missing value is empty in
//! CSV and null in Parquet.

mod analysis;
mod context;
mod error;
mod export;
mod figures;
mod format;
mod html;
mod measure;
mod outline;
mod published;
mod setting;
mod summary;
mod terminal;
mod time;
mod trials;
mod write;

use largebatch_plot::Figure;
use largebatch_study::Results;

pub use context::{Context, PaperRow, PaperTable};
pub use error::ReportError;
pub use export::csv::quote;
pub use figures::capital;
pub use format::Format;
pub use measure::{estimated, times};
pub use outline::{CriticalBatch, Outline, OutlineGroup, Probed};
pub use write::{Written, write};

use analysis::Analysis;

/// The report as one HTML file that loads nothing from the network.
pub fn html(results: &Results, context: &Context) -> String {
    html::page(&Analysis::new(results), context)
}

/// Every chart for which the results have data, except those of probes.
pub fn figures(results: &Results) -> Vec<Figure> {
    figures::sections(&Analysis::new(results))
        .into_iter()
        .flat_map(|s| s.figures)
        .collect()
}

/// The summary as a table for a terminal of `width` columns, with the same numbers as [`html`].
pub fn terminal(results: &Results, width: usize) -> String {
    terminal::table(&Analysis::new(results), width)
}

/// Comparisons with the published results of the study's paper, for the recipes `keskar-f1`,
/// `keskar-c1` and `hoffer-f1`; empty for other studies. If the dataset, model or optimizer differs
/// from the paper's, the table has no rows and its note says so.
pub fn published(results: &Results, probed: &Probed) -> Vec<PaperTable> {
    published::tables(&Analysis::new(results), probed)
}
