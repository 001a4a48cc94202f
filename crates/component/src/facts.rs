use std::fmt;

/// What a component is.
#[derive(Clone, Copy, PartialEq, Eq, Debug, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Kind {
    /// An optimizer.
    Optimizer,
    /// A learning-rate schedule.
    Schedule,
    /// A schedule of the batch size.
    BatchSchedule,
    /// A model.
    Model,
    /// A data set.
    DataSet,
    /// A file format of data.
    Format,
    /// A probe.
    Probe,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Kind::Optimizer => "optimizer",
            Kind::Schedule => "schedule",
            Kind::BatchSchedule => "batch schedule",
            Kind::Model => "model",
            Kind::DataSet => "data set",
            Kind::Format => "format",
            Kind::Probe => "probe",
        })
    }
}

/// What is known about a component besides its code and its options. Listings, help and documentation are made from it.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Facts {
    /// The name in configurations and on the command line.
    pub name: &'static str,
    /// One line.
    pub summary: &'static str,
    /// The formula, in one or a few lines of plain text; empty if there is none.
    pub formula: &'static str,
    /// The paper, with its arXiv number or journal; empty if there is none.
    pub paper: &'static str,
    /// The presets; the first one is the default. Empty if there are none.
    pub presets: &'static [Preset],
}

/// A named set of options: what a paper or a framework means by this component.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Preset {
    /// The name.
    pub name: &'static str,
    /// Whose definition it is.
    pub summary: &'static str,
}
