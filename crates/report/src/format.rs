use std::str::FromStr;

use crate::ReportError;

/// A format in which a study can be written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Format {
    /// `index.html`: the report in one file.
    Html,
    /// `figures/*.svg`.
    Svg,
    /// `figures/*.png`, at twice the size for print and slides.
    Png,
    /// `summary.csv`, `trials.csv` and `curves.csv`.
    Csv,
    /// `trials.jsonl`: the records in the plan's order.
    Jsonl,
    /// `trials.parquet` and `curves.parquet`.
    Parquet,
    /// `tensorboard/`: a run folder with an event file for each trial.
    TensorBoard,
}

impl Format {
    /// Every format, in the order in which [`Report::write`](crate::Report::write) makes them.
    pub const ALL: [Format; 7] = [
        Format::Html,
        Format::Svg,
        Format::Png,
        Format::Csv,
        Format::Jsonl,
        Format::Parquet,
        Format::TensorBoard,
    ];
    /// The formats of a report's folder: all except those that only repeat the trials for other
    /// programs (JSON lines, TensorBoard).
    pub const REPORT: [Format; 5] = [
        Format::Html,
        Format::Svg,
        Format::Png,
        Format::Csv,
        Format::Parquet,
    ];

    /// The name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Format::Html => "html",
            Format::Svg => "svg",
            Format::Png => "png",
            Format::Csv => "csv",
            Format::Jsonl => "jsonl",
            Format::Parquet => "parquet",
            Format::TensorBoard => "tensorboard",
        }
    }
}

impl FromStr for Format {
    type Err = ReportError;

    fn from_str(name: &str) -> Result<Self, ReportError> {
        Format::ALL
            .into_iter()
            .find(|f| f.name() == name)
            .ok_or_else(|| ReportError::Format(name.into()))
    }
}
