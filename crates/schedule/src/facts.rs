//! What is known about the batch schedules; a test compares it with the enum and its defaults.

/// Facts about a batch schedule.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Facts {
    /// The name in configurations and on the command line.
    pub name: &'static str,
    /// A one-line summary.
    pub summary: &'static str,
    /// The batch size.
    pub formula: &'static str,
    /// The paper that introduced it.
    pub paper: &'static str,
    /// Its parameters.
    pub parameters: &'static [Parameter],
}

/// A parameter of a batch schedule.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Parameter {
    /// The key.
    pub name: &'static str,
    /// The default as TOML; empty if there is none.
    pub default: &'static str,
    /// What it is for.
    pub purpose: &'static str,
    /// The allowed values.
    pub range: &'static str,
}

const fn parameter(
    name: &'static str,
    default: &'static str,
    purpose: &'static str,
    range: &'static str,
) -> Parameter {
    Parameter {
        name,
        default,
        purpose,
        range,
    }
}

const BATCH: &[Facts] = &[
    Facts {
        name: "constant",
        summary: "The same batch size throughout",
        formula: "size",
        paper: "",
        parameters: &[],
    },
    Facts {
        name: "multi-step",
        summary: "Grows the batch instead of dropping the rate",
        formula: "min(max, size factor^(milestones at or before the examples seen))",
        paper: "Smith et al. 2018, arXiv 1711.00489",
        parameters: &[
            parameter(
                "factor",
                "2.0",
                "what each milestone multiplies the size by",
                "1 or more",
            ),
            parameter(
                "at",
                "{ fraction = [0.5, 0.75] }",
                "the milestones",
                "{ fraction = [..] } | { epochs = [..] }",
            ),
            parameter(
                "max",
                "",
                "the largest batch, beyond which the rate drops instead; the training set if absent",
                "batch_size or more",
            ),
        ],
    },
];

/// Every batch-size schedule.
pub fn batch_facts() -> &'static [Facts] {
    BATCH
}
