/// What a report says beside the results: how they were made, and panels of others. All of it may be empty.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Context {
    /// The exact command that repeats the study, such as `largebatch study run gap --out gap`.
    pub command: String,
    /// What the study is about: the `about` of its file, which the study's folder does not keep.
    pub about: String,
    /// More of the environment, by name: what the trials' provenance does not tell (the commit, the features of the build).
    pub environment: Vec<(String, String)>,
    /// Panels after the figures, such as diagnostics.
    pub panels: Vec<Panel>,
    /// Comparisons with published figures, after those that the crate makes by itself (see [`published`](crate::published)).
    pub papers: Vec<PaperTable>,
}

/// An extra panel of a report: a heading, and HTML or SVG that is put in as it is.
///
/// The HTML may use the report's classes: `class="figures"` around several `<figure>`s, `class="note"` for small print.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Panel {
    /// The heading, as text.
    pub title: String,
    /// The body, as HTML or SVG. It must not load anything from a network.
    pub html: String,
}

/// Our figures beside a paper's.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct PaperTable {
    /// What is compared, such as `Keskar et al. 2017, table 2: F1 on MNIST`.
    pub title: String,
    /// What differs between the paper's experiment and this one.
    pub note: String,
    /// The comparisons.
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
