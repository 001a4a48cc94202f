use crate::findings::Findings;

/// What a report says beside the results: how they were made, and what instruments found. All of it may be empty.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Context {
    /// The exact command that repeats the study, such as `largebatch study run gap --out gap`.
    pub command: String,
    /// What the study is about: the `about` of its file, which the study's folder does not keep.
    pub about: String,
    /// More of the environment, by name: what the trials' provenance does not tell (the commit, the features of the build).
    pub environment: Vec<(String, String)>,
    /// What instruments found in the study's runs.
    pub findings: Findings,
}

/// Our figures beside a paper's.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct PaperTable {
    /// What is compared, such as `Keskar et al. 2017, table 2: F1 on MNIST`.
    pub title: String,
    /// What differs between the paper's experiment and this one.
    pub note: String,
    /// The comparisons; none where the study's settings are not the paper's, and the note then says which.
    pub rows: Vec<PaperRow>,
}

/// A row of a [`PaperTable`].
#[derive(Clone, PartialEq, Debug, Default)]
pub struct PaperRow {
    /// What was measured: `test accuracy, batch 256`.
    pub what: String,
    /// The paper's figure, as the paper prints it.
    pub paper: String,
    /// Ours, with n and interval; empty if it was not measured.
    pub ours: String,
}
