use crate::outline::Probed;

/// What a report shows besides the results: how they were made, and the results of probes.
/// Everything may be empty.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Context {
    /// The exact command that repeats the study, such as `largebatch study run gap --out gap`.
    pub command: String,
    /// What the study is about: the `about` of its file, which the study's folder does not store.
    pub about: String,
    /// More about the environment, by name, beyond the trials' provenance (the commit, the features
    /// of the build).
    pub environment: Vec<(String, String)>,
    /// What probes measured on the study's runs.
    pub probed: Probed,
}

/// Our results next to a paper's.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct PaperTable {
    /// What is compared, such as `Keskar et al. 2017, table 2: F1 on MNIST`.
    pub title: String,
    /// What differs between the paper's experiment and this one.
    pub note: String,
    /// The comparisons. Empty if the study's settings differ from the paper's; the note then says
    /// which.
    pub rows: Vec<PaperRow>,
}

/// A row of a [`PaperTable`].
#[derive(Clone, PartialEq, Debug, Default)]
pub struct PaperRow {
    /// The measured quantity: `test accuracy, batch 256`.
    pub what: String,
    /// The paper's value, as printed there.
    pub paper: String,
    /// Our value, with n and interval; empty if it was not measured.
    pub ours: String,
}
