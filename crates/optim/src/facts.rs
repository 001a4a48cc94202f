/// What one ought to know of an optimizer; listings, help and documentation are made from it.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Facts {
    /// The name in configurations and on the command line; also the stem of the optimizer's file.
    pub name: &'static str,
    /// One line.
    pub summary: &'static str,
    /// The update rule, in one or a few lines of plain text.
    pub formula: &'static str,
    /// The paper, with its arXiv number or journal.
    pub paper: &'static str,
    /// Every option, in the order of the configuration.
    pub parameters: &'static [Parameter],
    /// Every preset; the first one is the default.
    pub presets: &'static [Preset],
}

/// An option of an optimizer. Its default stands in the configuration itself (see [`Entry::defaults`](crate::Entry::defaults)).
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Parameter {
    /// The key in TOML and in `--set key=value`.
    pub name: &'static str,
    /// What it does.
    pub purpose: &'static str,
    /// The values it takes.
    pub range: &'static str,
}

/// A named set of options: what a paper or a framework means by this optimizer.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Preset {
    /// The name.
    pub name: &'static str,
    /// Whose definition it is.
    pub summary: &'static str,
}
