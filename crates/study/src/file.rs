//! The study file, as types.

use std::borrow::Cow;
use std::collections::HashSet;

use largebatch_schedule::Scaling;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer};
use toml::{Table, Value};

use crate::axis::Axes;
use crate::error::StudyError;
use crate::places::Places;
use crate::rules::StopRules;
use crate::sequence::Method;

/// A study file. The crate's documentation describes the format with examples.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Study {
    /// The study's name.
    pub name: String,
    /// What the paper did, what differs here and how long it takes. Not part of the study's
    /// identity.
    #[serde(default)]
    pub about: String,
    /// Threads of each trial, independent of the number of jobs.
    #[serde(default = "one")]
    pub threads: u32,
    /// The seed of every trial's validation split; separate from the other seeds, so that all
    /// trials hold out the same examples.
    #[serde(default)]
    pub split_seed: u32,
    /// Settings of every trial.
    #[serde(default)]
    #[schemars(with = "serde_json::Map<String, serde_json::Value>")]
    pub set: Table,
    /// Settings that are compared: each combination is a group.
    #[serde(default)]
    pub axes: Axes,
    /// Settings that are tuned within each group.
    #[serde(default)]
    pub search: Axes,
    /// The rule that derives the rate.
    pub rate: Option<Rate>,
    /// How long trials train.
    pub budget: Option<Budget>,
    /// When trials end early.
    #[serde(default)]
    pub stop: StopRules,
    /// How the tuned settings are searched and chosen.
    #[serde(default)]
    pub tune: Tune,
    /// The reported trials.
    pub confirm: Option<Confirm>,
    /// Named cases, each overriding the keys above.
    #[serde(default, rename = "arm")]
    pub arms: Vec<Overlay>,
    /// Conditions, each overriding the keys above.
    #[serde(default, rename = "when")]
    pub whens: Vec<Overlay>,
    /// The file with overrides applied and without `about`, for the study's folder.
    #[serde(skip)]
    pub(crate) document: Table,
    /// The position of each key in the text.
    #[serde(skip)]
    pub(crate) places: Places,
}

fn one() -> u32 {
    1
}

/// An arm (with `name`) or a condition (with `if`), and what it changes. Later parts win: the top
/// level, then the arm, then the conditions in order. A setting, an axis, a search and a rate of
/// the same key replace each other.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Overlay {
    /// The arm's name.
    pub name: Option<String>,
    /// The settings, axis values or arm that the condition requires; a list means any of these.
    #[serde(rename = "if")]
    #[schemars(with = "Option<serde_json::Map<String, serde_json::Value>>")]
    pub condition: Option<Table>,
    /// As [`Study::set`].
    #[serde(default)]
    #[schemars(with = "serde_json::Map<String, serde_json::Value>")]
    pub set: Table,
    /// As [`Study::axes`].
    #[serde(default)]
    pub axes: Axes,
    /// As [`Study::search`].
    #[serde(default)]
    pub search: Axes,
    /// As [`Study::rate`].
    pub rate: Option<Rate>,
    /// As [`Study::budget`], replaced as a whole.
    pub budget: Option<Budget>,
    /// As [`Study::stop`], rule by rule.
    #[serde(default)]
    pub stop: StopRules,
}

/// A rate derived from the rate at a base batch size, which is given here or tuned by another arm.
#[derive(Clone, PartialEq, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Rate {
    /// The scaling rule.
    #[serde(default)]
    pub scaling: Scaling,
    /// The arm whose chosen settings are used, with its rate scaled from its batch size.
    pub from: Option<String>,
    /// The rate at the base batch size.
    pub base_rate: Option<f64>,
    /// The base batch size.
    pub base_batch: Option<u64>,
    /// A warm-up with its length, `{ epochs = 5 }`. It starts at `start` times the peak; by default
    /// (and for `start = "base"`) at the base rate.
    #[schemars(with = "Option<serde_json::Map<String, serde_json::Value>>")]
    pub warmup: Option<Table>,
}

/// How long a trial trains: one of epochs, steps and examples.
#[derive(Clone, PartialEq, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Budget {
    /// Passes over the training part.
    pub epochs: Option<f64>,
    /// Optimizer steps.
    pub steps: Option<u64>,
    /// Training examples, rounded up to whole steps.
    pub examples: Option<u64>,
    /// Counts the epochs at this batch size and gives other batch sizes the same number of steps
    /// ("regime adaptation" of Hoffer et al.): epochs × batch / `at_batch`.
    pub at_batch: Option<u64>,
}

/// How settings are searched and chosen.
#[derive(Clone, PartialEq, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Tune {
    /// Seeds of the tuning trials; one by default.
    pub seeds: Option<Seeds>,
    /// The search method.
    #[serde(default)]
    pub method: Method,
    /// Number of points, unless the search is a grid.
    pub trials: Option<usize>,
    /// The seed of the search's points.
    #[serde(default)]
    pub search_seed: u32,
    /// How the best point is determined.
    #[serde(default)]
    pub goal: Goal,
}

/// How the best point is determined.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Goal {
    /// The best mean of the final validation metric.
    #[default]
    BestValidation,
    /// The fewest steps to `stop.target`.
    FewestSteps,
}

/// The reported trials.
#[derive(Clone, PartialEq, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Confirm {
    /// The seeds.
    pub seeds: Seeds,
    /// Probes that measure the networks of these trials, in the trainer's syntax. They do not
    /// change a trial. If there are any, the study keeps each trial's run.
    #[serde(default)]
    pub probe: Vec<String>,
}

/// Seeds: a list, or their number. Counted seeds are 0, 1, … in stage confirm and 1,000,000,
/// 1,000,001, … in stage tune.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Seeds {
    /// This many seeds.
    Count(u32),
    /// These seeds.
    List(Vec<u32>),
}

impl Seeds {
    pub(crate) const TUNE: u32 = 1_000_000;

    pub(crate) fn len(&self) -> usize {
        match self {
            Seeds::Count(n) => *n as usize,
            Seeds::List(seeds) => seeds.len(),
        }
    }

    pub(crate) fn all(&self, first: u32) -> Vec<u64> {
        match self {
            Seeds::Count(n) => (0..*n).map(|i| u64::from(first + i)).collect(),
            Seeds::List(seeds) => seeds.iter().map(|&s| s.into()).collect(),
        }
    }
}

impl JsonSchema for Seeds {
    fn schema_name() -> Cow<'static, str> {
        "Seeds".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "anyOf": [
            { "type": "integer", "minimum": 1, "maximum": 1_000_000 },
            { "type": "array", "minItems": 1, "uniqueItems": true,
              "items": { "type": "integer", "minimum": 0, "maximum": u32::MAX } }
        ] })
    }
}

impl<'de> Deserialize<'de> for Seeds {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let wrong = || {
            D::Error::custom(
                "seeds must be a count from 1 to 1,000,000, or a list of different numbers from 0 to 4294967295",
            )
        };
        match Value::deserialize(deserializer)? {
            Value::Integer(n) if (1..=1_000_000).contains(&n) => Ok(Seeds::Count(n as u32)),
            Value::Array(items) if !items.is_empty() => {
                let seed = |v: &Value| u32::try_from(v.as_integer()?).ok();
                let seeds: Option<Vec<u32>> = items.iter().map(seed).collect();
                let differ = |s: &Vec<u32>| HashSet::<&u32>::from_iter(s).len() == s.len();
                seeds.filter(differ).map(Seeds::List).ok_or_else(wrong)
            }
            _ => Err(wrong()),
        }
    }
}

impl Study {
    /// An error that a runner reports about a key of the file, such as `confirm.probe.0`: it names
    /// the line, or the override that set it.
    pub fn error(&self, key: &str, message: impl Into<String>) -> StudyError {
        self.places.error(key, message)
    }

    /// The study as its folder stores it: with overrides applied, without `about`.
    pub fn resolved(&self) -> String {
        self.document.to_string()
    }

    /// The parts with their paths in the file: the top level, the arms, the conditions.
    pub(crate) fn parts(&self) -> Vec<(String, Overlay)> {
        let top = Overlay {
            name: None,
            condition: None,
            set: self.set.clone(),
            axes: self.axes.clone(),
            search: self.search.clone(),
            rate: self.rate.clone(),
            budget: self.budget.clone(),
            stop: self.stop,
        };
        let mut parts = vec![(String::new(), top)];
        for (name, list) in [("arm", &self.arms), ("when", &self.whens)] {
            let list = list.iter().cloned().enumerate();
            parts.extend(list.map(|(i, part)| (format!("{name}.{i}."), part)));
        }
        parts
    }

    /// The number of tuning seeds.
    pub(crate) fn tune_seed_count(&self) -> usize {
        self.tune.seeds.as_ref().map_or(1, Seeds::len)
    }

    /// The number of seeds of stage confirm.
    pub(crate) fn confirm_seed_count(&self) -> usize {
        self.confirm.as_ref().map_or(0, |c| c.seeds.len())
    }

    pub(crate) fn tune_seeds(&self) -> Vec<u64> {
        let seeds = self.tune.seeds.as_ref().unwrap_or(&Seeds::Count(1));
        seeds.all(Seeds::TUNE)
    }
}
