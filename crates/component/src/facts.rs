//! What a component says about itself.

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

/// What is known about a component besides its code and its options. Listings, help and
/// documentation are made from it.
///
/// ```
/// use largebatch_component::Facts;
///
/// const FACTS: Facts = Facts::new("cosine", "Falls to the floor along half a cosine wave")
///     .formula("(1 + cos(pi t/length)) / 2")
///     .paper("Loshchilov and Hutter 2017, arXiv 1608.03983");
/// ```
#[derive(Clone, Copy, PartialEq, Debug)]
#[non_exhaustive]
#[must_use]
pub struct Facts {
    /// The name in configurations and on the command line.
    pub name: &'static str,
    /// One line.
    pub summary: &'static str,
    /// The formula, in one or a few lines of plain text; empty if there is none.
    pub formula: &'static str,
    /// What one use costs, in words; empty if it is not stated.
    pub cost: &'static str,
    /// The paper, with its arXiv number or journal; empty if there is none.
    pub paper: &'static str,
    /// Which data a model takes, in words; empty for other kinds.
    pub input: &'static str,
    /// The presets, each with whose definition of the component it is; the first one is the default.
    /// Empty if there are none.
    pub presets: &'static [(&'static str, &'static str)],
    /// Other names, each with the options that it sets, as TOML.
    pub aliases: &'static [(&'static str, &'static str)],
}

impl Facts {
    /// A name and a summary of one line, and nothing else.
    pub const fn new(name: &'static str, summary: &'static str) -> Self {
        Facts {
            name,
            summary,
            formula: "",
            cost: "",
            paper: "",
            input: "",
            presets: &[],
            aliases: &[],
        }
    }

    /// With a formula.
    pub const fn formula(self, formula: &'static str) -> Self {
        Facts { formula, ..self }
    }

    /// With what one use costs.
    pub const fn cost(self, cost: &'static str) -> Self {
        Facts { cost, ..self }
    }

    /// With a paper.
    pub const fn paper(self, paper: &'static str) -> Self {
        Facts { paper, ..self }
    }

    /// With the data that a model takes.
    pub const fn input(self, input: &'static str) -> Self {
        Facts { input, ..self }
    }

    /// With presets and whose definitions they are, the default first.
    pub const fn presets(self, presets: &'static [(&'static str, &'static str)]) -> Self {
        Facts { presets, ..self }
    }

    /// With other names, each with the options that it sets, as TOML.
    pub const fn aliases(self, aliases: &'static [(&'static str, &'static str)]) -> Self {
        Facts { aliases, ..self }
    }

    /// The name and the aliases.
    pub fn names(&self) -> impl Iterator<Item = String> {
        let aliases = self.aliases.iter().map(|(alias, _)| *alias);
        std::iter::once(self.name).chain(aliases).map(String::from)
    }

    /// The options that a name sets; none, except for an alias.
    pub fn alias(&self, name: &str) -> toml::Table {
        let alias = self.aliases.iter().find(|(alias, _)| *alias == name);
        // A test reads every alias.
        alias
            .and_then(|(_, options)| options.parse().ok())
            .unwrap_or_default()
    }
}
