//! The table of schedules that `largebatch schedules` prints; a test compares it with the enum and
//! its defaults.

/// Facts about a schedule.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Facts {
    /// The name in configurations and on the command line.
    pub name: &'static str,
    /// A one-line summary.
    pub summary: &'static str,
    /// The rate, as a fraction of the peak, at t steps after the warm-up (for `step` and
    /// `multi-step`: since the start of training); for batch schedules the batch size.
    pub formula: &'static str,
    /// The paper that introduced it.
    pub paper: &'static str,
    /// Its own parameters, without those of [`common_parameters`].
    pub parameters: &'static [Parameter],
}

/// A parameter of a schedule.
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

const LENGTH: &str = "{ fraction = x in (0, 1] } | { epochs = x > 0 } | { steps = n > 0 }";
const MARKS: &str = "{ fraction = [..] } | { epochs = [..] } | { steps = [..] }";
const WHOLE: &str = "{ fraction = 1.0 }";
const PART: &str = "0 to 1, of the peak";

pub(crate) const CONSTANT: Facts = Facts {
    name: "constant",
    summary: "The peak rate throughout",
    formula: "1",
    paper: "",
    parameters: &[],
};

pub(crate) const POWER_LAW: Facts = Facts {
    name: "power-law",
    summary: "Falls with a power of time",
    formula: "max(floor, (1 + t/every)^-exponent)",
    paper: "Robbins and Monro 1951",
    parameters: &[
        parameter(
            "exponent",
            "0.5",
            "how fast it falls; SGD converges for 1/2 < a <= 1 (Robbins and Monro), and the default is the slow end of that interval",
            "0 or more",
        ),
        parameter(
            "every",
            "{ steps = 1 }",
            "the unit in which time counts",
            LENGTH,
        ),
    ],
};

pub(crate) const POLYNOMIAL: Facts = Facts {
    name: "polynomial",
    summary: "Falls to the floor with a power of the remaining time; used with LARS",
    formula: "floor + (1 - floor) (1 - t/length)^power",
    paper: "You et al. 2017, arXiv 1708.03888",
    parameters: &[
        parameter("power", "2.0", "the power; 1 is linear", "above 0"),
        parameter("length", WHOLE, "when the floor is reached", LENGTH),
    ],
};

pub(crate) const STEP: Facts = Facts {
    name: "step",
    summary: "Drops by a factor at equal intervals",
    formula: "max(floor, factor^floor(t/every))",
    paper: "He et al. 2015, arXiv 1512.03385",
    parameters: &[
        parameter(
            "factor",
            "0.1",
            "what each drop multiplies the rate by",
            "above 0, at most 1",
        ),
        parameter(
            "every",
            "{ fraction = 0.3333333333333333 }",
            "the length between two drops, from the start of training",
            LENGTH,
        ),
    ],
};

pub(crate) const MULTI_STEP: Facts = Facts {
    name: "multi-step",
    summary: "Drops by a factor at each milestone",
    formula: "max(floor, factor^(milestones at or before t))",
    paper: "Goyal et al. 2017, arXiv 1706.02677",
    parameters: &[
        parameter(
            "factor",
            "0.1",
            "what each drop multiplies the rate by",
            "above 0, at most 1",
        ),
        parameter(
            "at",
            "{ fraction = [0.5, 0.75] }",
            "the milestones, from the start of training",
            MARKS,
        ),
    ],
};

pub(crate) const EXPONENTIAL: Facts = Facts {
    name: "exponential",
    summary: "Falls smoothly, by a factor over each length",
    formula: "max(floor, factor^(t/every))",
    paper: "",
    parameters: &[
        parameter(
            "factor",
            "0.01",
            "what each length multiplies the rate by",
            "above 0, at most 1",
        ),
        parameter("every", WHOLE, "that length", LENGTH),
    ],
};

pub(crate) const COSINE: Facts = Facts {
    name: "cosine",
    summary: "Falls to the floor along half a cosine wave",
    formula: "floor + (1 - floor) (1 + cos(pi t/length)) / 2",
    paper: "Loshchilov and Hutter 2017, arXiv 1608.03983",
    parameters: &[parameter(
        "length",
        WHOLE,
        "when the floor is reached",
        LENGTH,
    )],
};

pub(crate) const COSINE_RESTARTS: Facts = Facts {
    name: "cosine-restarts",
    summary: "Cosine that jumps back to the peak after each cycle (SGDR)",
    formula: "floor + (1 - floor) (1 + cos(pi u/T_i)) / 2, u since the restart, T_i = first growth^i",
    paper: "Loshchilov and Hutter 2017, arXiv 1608.03983",
    parameters: &[
        parameter(
            "first",
            "{ fraction = 0.14285714285714285 }",
            "the first cycle; 1/7 growing by 2 makes three cycles",
            LENGTH,
        ),
        parameter(
            "growth",
            "2.0",
            "how much longer each cycle is than the last",
            "1 or more",
        ),
    ],
};

pub(crate) const CYCLIC: Facts = Facts {
    name: "cyclic",
    summary: "Up and down between a low rate and the peak",
    formula: "max(floor, low + (1 - low) tri(t) s), s = 1 or 2^-cycle",
    paper: "Smith 2017, arXiv 1506.01186",
    parameters: &[
        parameter(
            "mode",
            "\"triangular\"",
            "whether each cycle is half as high as the last",
            "triangular | triangular2",
        ),
        parameter("rise", "{ fraction = 0.125 }", "from low to high", LENGTH),
        parameter(
            "fall",
            "",
            "from high to low; the same as rise if absent",
            LENGTH,
        ),
        parameter("low", "0.25", "the low rate", PART),
    ],
};

pub(crate) const ONE_CYCLE: Facts = Facts {
    name: "one-cycle",
    summary: "Up to the peak once, then down to almost nothing",
    formula: "start to 1 over rise, then 1 to end; at least floor",
    paper: "Smith and Topin 2018, arXiv 1708.07120",
    parameters: &[
        parameter("rise", "{ fraction = 0.3 }", "up to the peak", LENGTH),
        parameter("start", "0.04", "the first rate", PART),
        parameter("end", "0.000004", "the last rate", PART),
        parameter(
            "anneal",
            "\"cosine\"",
            "the shape of both phases",
            "cosine | linear",
        ),
    ],
};

pub(crate) const LINEAR: Facts = Facts {
    name: "linear",
    summary: "Falls to the floor along a straight line; used with LAMB",
    formula: "floor + (1 - floor) (1 - t/length)",
    paper: "You et al. 2020, arXiv 1904.00962",
    parameters: &[parameter(
        "length",
        WHOLE,
        "when the floor is reached",
        LENGTH,
    )],
};

/// Every learning-rate schedule.
pub fn facts() -> &'static [Facts] {
    &[
        CONSTANT,
        POWER_LAW,
        POLYNOMIAL,
        LINEAR,
        STEP,
        MULTI_STEP,
        EXPONENTIAL,
        COSINE,
        COSINE_RESTARTS,
        CYCLIC,
        ONE_CYCLE,
    ]
}

const COMMON: &[Parameter] = &[
    parameter("floor", "0.0", "the lowest rate after the warm-up", PART),
    parameter(
        "warmup",
        "{ name = \"none\" }",
        "the warm-up before the curve",
        "{ name = none | linear | constant, start = 0 to 1, fraction | epochs | steps = length }; { epochs = 5 } is linear from 0",
    ),
];

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

/// The parameters that every learning-rate schedule has.
pub fn common_parameters() -> &'static [Parameter] {
    COMMON
}

/// Every batch-size schedule.
pub fn batch_facts() -> &'static [Facts] {
    BATCH
}
