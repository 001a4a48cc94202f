//! Reports of studies: pure functions of [`Results`](largebatch_study::Results).
//!
//! A [`Report`] is computed once. It is written as one file that opens without a network
//! ([`html`](Report::html)), as a table of the same numbers ([`terminal`](Report::terminal)), or as
//! a folder with everything ([`write`](Report::write)).
//!
//! ```no_run
//! use largebatch_report::{Context, Format, Report};
//! use largebatch_study::Results;
//!
//! let results = Results::open("gap".as_ref())?;
//! let context = Context { command: "largebatch study run gap --out gap".into(), ..Context::default() };
//! let report = Report::new(&results, &context);
//! report.write("gap/report".as_ref(), &Format::REPORT)?;
//! print!("{}", report.terminal(120));
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
mod compare;
mod comparison;
mod context;
mod data;
mod error;
mod export;
mod facts;
mod fastest;
mod figures;
mod following;
mod format;
mod html;
mod measure;
mod outline;
mod published;
mod report;
mod sentences;
mod setting;
mod summary;
mod terminal;
mod time;
mod trials;
mod write;

pub use compare::{list, side_by_side};
pub use context::{Context, PaperRow, PaperTable};
pub use error::ReportError;
pub use export::csv::quote;
pub use following::state;
pub use format::Format;
pub use html::page;
pub use largebatch_plot::draw::escape;
pub use largebatch_study::statistics::median_interval;
pub use measure::{estimated, times};
pub use outline::{CriticalBatch, Outline, OutlineGroup, Probed};
pub use report::Report;
pub use write::Written;
