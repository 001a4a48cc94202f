/// The description of an optimizer, from which listings, help and documentation are made.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Facts {
    /// The name in configurations and on the command line; also the name of its source file.
    pub name: &'static str,
    /// A summary in one line.
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

/// An option of an optimizer. [`Entry::defaults`](crate::Entry::defaults) gives its default, which
/// comes from the configuration type.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Parameter {
    /// The key in TOML and in `--set key=value`.
    pub name: &'static str,
    /// What the option does.
    pub purpose: &'static str,
    /// The valid values.
    pub range: &'static str,
}

/// A named set of options: the optimizer as a paper or a framework defines it.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Preset {
    /// The name in configurations and on the command line.
    pub name: &'static str,
    /// Whose definition it is, in one line.
    pub summary: &'static str,
}
