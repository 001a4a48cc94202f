use std::borrow::Cow;
use std::collections::HashMap;
use std::num::IntErrorKind;
use std::path::Path;

use largebatch_schedule::Scaling;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer};
use toml::de::{DeTable, DeValue};
use toml::{Table, Value};

use crate::axis::Axes;
use crate::error::StudyError;
use crate::renamed;
use crate::rules::StopRules;
use crate::sequence::Method;
use largebatch_component::settings::{get, insert, remove};
use largebatch_component::suggestion;

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
                let seeds: Vec<u32> = items
                    .iter()
                    .map(|v| {
                        v.as_integer()
                            .and_then(|i| u32::try_from(i).ok())
                            .ok_or_else(wrong)
                    })
                    .collect::<Result<_, _>>()?;
                let mut sorted = seeds.clone();
                sorted.sort_unstable();
                sorted.dedup();
                if sorted.len() == seeds.len() {
                    Ok(Seeds::List(seeds))
                } else {
                    Err(wrong())
                }
            }
            _ => Err(wrong()),
        }
    }
}

impl Study {
    /// Parses a study file's text. `file` names it in errors. Each override is `key=value`: a key
    /// that begins with a section of study files (`confirm.seeds=3`, `budget.epochs=2`,
    /// `axes.batch_size=[32, 64]`) changes that section; any other key is a setting
    /// (`dataset=mnist` means `set.dataset`). A value that is not valid TOML is taken as a string.
    /// An override also replaces what conditions say about the same key, except conditions on arms,
    /// which, like arms, define a case.
    ///
    /// # Errors
    /// [`StudyError::Invalid`] with the line, and [`StudyError::Override`].
    pub fn parse(text: &str, file: &str, overrides: &[String]) -> Result<Study, StudyError> {
        let (study, written) = Self::read(text, file, overrides)?;
        written.check_asked(&study.places)?;
        Ok(study)
    }

    /// Reads a study file; see [`Study::parse`].
    ///
    /// # Errors
    /// As [`Study::parse`]; also [`StudyError::Io`], and [`StudyError::Invalid`] with the line of
    /// the first byte that is not UTF-8.
    pub fn open(path: &Path, overrides: &[String]) -> Result<Study, StudyError> {
        Self::parse(&text(path)?, &path.display().to_string(), overrides)
    }

    /// Reads the study of a folder, which was checked when it began: a file that an older version
    /// accepted, or that overrides narrowed, opens.
    pub(crate) fn resume(text: &str, file: &str) -> Result<Study, StudyError> {
        Self::read(text, file, &[]).map(|(study, _)| study)
    }

    /// Reads the study, and also what its file says without overrides.
    fn read(text: &str, file: &str, overrides: &[String]) -> Result<(Study, Study), StudyError> {
        let invalid = |e: toml::de::Error| {
            let line = e
                .span()
                .map(|span| text[..span.start.min(text.len())].matches('\n').count() + 1);
            let message = match e
                .span()
                .and_then(|span| text.get(span))
                .filter(|value| beyond(value.trim()))
            {
                Some(value) => format!(
                    "{value} is too large: whole numbers in TOML end at {}",
                    i64::MAX
                ),
                None => suggest(e.message()),
            };
            StudyError::Invalid {
                file: file.into(),
                line,
                message,
            }
        };
        let parsed = DeTable::parse(text).map_err(invalid)?;
        let mut places = Places::of(parsed.get_ref(), text, file);
        let written =
            Study::deserialize(toml::Deserializer::from(parsed.clone())).map_err(invalid)?;
        let mut study = written.clone();
        let mut document = Table::deserialize(toml::Deserializer::from(parsed)).map_err(invalid)?;
        renamed::document(&mut document);
        let mut paths = Vec::new();
        for text in overrides {
            let wrong = |message: String| StudyError::Override {
                text: text.clone(),
                message,
            };
            let (key, value) = text
                .split_once('=')
                .ok_or_else(|| wrong("write key=value".into()))?;
            let (key, value) = (key.trim(), value.trim());
            if key.is_empty()
                || key
                    .split('.')
                    .any(|part| part.is_empty() || part.contains(char::is_whitespace))
            {
                return Err(wrong(format!("`{key}` is not a dotted key")));
            }
            let parsed = format!("v = {value}")
                .parse::<Table>()
                .ok()
                .and_then(|mut t| t.remove("v"));
            if parsed.is_none() && beyond(value) {
                return Err(wrong(format!(
                    "{value} is too large: whole numbers in TOML end at {}",
                    i64::MAX
                )));
            }
            let value = parsed.unwrap_or_else(|| Value::String(value.into()));
            let head = key.split('.').next().unwrap_or(key);
            let path = if SECTIONS.contains(&head) {
                renamed::path(key)
            } else {
                format!("set.{key}")
            };
            if matches!(head, "arm" | "when") {
                return Err(wrong(
                    "arms and conditions can be changed only in the file".into(),
                ));
            }
            insert(&mut document, &path, value);
            renamed::document(&mut document);
            overrule(&mut document, if head == "budget" { head } else { &path });
            paths.push((path, text.clone()));
            study = Study::deserialize(Value::Table(document.clone()))
                .map_err(|e| wrong(suggest(e.message())))?;
        }
        document.remove("about");
        study.document = document;
        places.overrides = paths;
        study.places = places;
        study.check()?;
        Ok((study, written))
    }

    /// An error that a runner reports about a key of the file, such as `confirm.probe.0`: it names
    /// the line, or the override that set it.
    pub fn error(&self, key: &str, message: impl Into<String>) -> StudyError {
        self.places.error(key, message)
    }

    /// The study as its folder stores it: with overrides applied, without `about`.
    pub fn resolved(&self) -> String {
        self.document.to_string()
    }
}

/// Reads the text of a study file.
pub(crate) fn text(path: &Path) -> Result<String, StudyError> {
    String::from_utf8(std::fs::read(path).map_err(StudyError::io("reading", path))?).map_err(|e| {
        let (at, bytes) = (e.utf8_error().valid_up_to(), e.as_bytes());
        let before = &bytes[..at];
        let column = before.iter().rev().take_while(|b| **b != b'\n').count() + 1;
        let line = before.iter().filter(|b| **b == b'\n').count() + 1;
        let message = format!(
            "the byte {:#04x} at column {column} is not UTF-8: save the file in that encoding",
            bytes[at]
        );
        StudyError::Invalid {
            file: path.display().to_string(),
            line: Some(line),
            message,
        }
    })
}

/// Whether a text is a whole number that TOML cannot hold.
fn beyond(text: &str) -> bool {
    text.parse::<i64>().is_err_and(|e| {
        matches!(
            e.kind(),
            IntErrorKind::PosOverflow | IntErrorKind::NegOverflow
        )
    })
}

/// The keys of a study file.
const SECTIONS: [&str; 14] = [
    "name",
    "about",
    "threads",
    "split_seed",
    "set",
    "axes",
    "search",
    "rate",
    "budget",
    "stop",
    "tune",
    "confirm",
    "arm",
    "when",
];

/// Removes what conditions, except those on arms, say about `path`, so that an override holds for
/// every data set and batch size.
fn overrule(document: &mut Table, path: &str) {
    let whens = document
        .get_mut("when")
        .and_then(Value::as_array_mut)
        .into_iter()
        .flatten()
        .filter_map(Value::as_table_mut);
    for when in whens.filter(|when| get(when, "if.arm").is_none()) {
        remove(when, path);
    }
}

/// Adds the nearest known name to serde's message about an unknown one.
fn suggest(message: &str) -> String {
    if message == "duplicate field `prune`" {
        return "`hopeless` is the old name of `prune`: give one of them".into();
    }
    let message = &message.replace("`hopeless`, ", "");
    let mut quoted = message.split('`').skip(1).step_by(2);
    if !(message.starts_with("unknown field") || message.starts_with("unknown variant")) {
        return message.to_string();
    }
    let wrong = quoted.next().unwrap_or_default();
    match suggestion(wrong, quoted) {
        none if none.is_empty() && message.starts_with("unknown field") => {
            format!("{message}; settings of the training run belong in `set`")
        }
        meant => format!("{message}{meant}"),
    }
}

/// The lines of a file's keys, by paths such as `arm.2.rate.from`.
#[derive(Clone, Debug, Default)]
pub(crate) struct Places {
    file: String,
    lines: HashMap<String, usize>,
    /// Paths that an override set, with its text: errors about them name the override, not the
    /// file.
    overrides: Vec<(String, String)>,
}

impl Places {
    fn of(document: &DeTable, text: &str, file: &str) -> Self {
        fn walk(
            prefix: &str,
            table: &DeTable,
            line: &dyn Fn(usize) -> usize,
            lines: &mut HashMap<String, usize>,
        ) {
            for (k, v) in table {
                let path = format!("{prefix}{}", k.get_ref());
                lines.insert(renamed::path(&path), line(k.span().start));
                match v.get_ref() {
                    DeValue::Table(t) => walk(&format!("{path}."), t, line, lines),
                    DeValue::Array(items) => {
                        for (i, item) in items.iter().enumerate() {
                            lines.insert(format!("{path}.{i}"), line(item.span().start));
                            if let DeValue::Table(t) = item.get_ref() {
                                walk(&format!("{path}.{i}."), t, line, lines);
                            }
                        }
                    }
                    _ => {}
                }
            }
        }
        let starts: Vec<usize> = std::iter::once(0)
            .chain(text.match_indices('\n').map(|(i, _)| i + 1))
            .collect();
        let mut lines = HashMap::new();
        let line = |at| starts.partition_point(|&s| s <= at);
        walk("", document, &line, &mut lines);
        Places {
            file: file.into(),
            lines,
            overrides: Vec::new(),
        }
    }

    /// An error at the first of several paths that an override set, or else at the first path.
    pub(crate) fn error_among(&self, paths: &[String], message: String) -> StudyError {
        self.error(
            paths
                .iter()
                .find(|p| self.overriding(p).is_some())
                .or(paths.first())
                .map_or("", |p| p),
            message,
        )
    }

    /// The override that set a path, or a part of it.
    fn overriding(&self, path: &str) -> Option<&String> {
        let within = |inner: &str, outer: &str| {
            inner
                .strip_prefix(outer)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
        };
        let sets = |set: &str| within(path, set) || (path.contains('.') && within(set, path));
        self.overrides
            .iter()
            .rev()
            .find(|(set, _)| sets(set))
            .map(|(_, text)| text)
    }

    /// An error at the line of `path`, or of the nearest enclosing key in the file; or at the
    /// override that set the path or a part of it.
    pub(crate) fn error(&self, path: &str, message: impl Into<String>) -> StudyError {
        if let Some(text) = self.overriding(path) {
            return StudyError::Override {
                text: text.clone(),
                message: message.into(),
            };
        }
        let (mut path, mut line) = (path, None);
        while line.is_none() {
            line = self.lines.get(path).copied();
            match path.rsplit_once('.') {
                Some((parent, _)) => path = parent,
                None => break,
            }
        }
        StudyError::Invalid {
            file: self.file.clone(),
            line: line.or_else(|| self.lines.get(path).copied()),
            message: message.into(),
        }
    }
}
