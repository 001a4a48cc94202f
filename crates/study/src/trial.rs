//! Trials: their settings, ids and names.

use std::fmt;

use serde::{Deserialize, Serialize};
use toml::{Table, Value};

use crate::rules::StopRules;
use largebatch_component::settings::number;

/// The configuration keys that a study itself reads or writes; every other key is passed through.
pub mod key {
    /// Examples per step.
    pub const BATCH: &str = "batch_size";
    /// The peak learning rate, written by `rate`.
    pub const RATE: &str = "lr";
    /// The warm-up, written by `rate.warmup` with `start` = base rate / scaled rate.
    pub const WARMUP: &str = "schedule.warmup";
    /// The length of training in epochs, written by `budget`. If it is not whole, the fraction is
    /// that part of the last epoch's steps.
    pub const EPOCHS: &str = "epochs";
    /// The length of training in steps, written by `budget`.
    pub const STEPS: &str = "steps";
    /// A budget that becomes steps only with the data; it is kept below this key as it was written:
    /// [`EXAMPLES`], or [`EQUAL_EPOCHS`] and [`AT_BATCH`].
    pub const BUDGET: &str = "budget";
    /// The length of training in examples: the smallest number of steps that train on at least this
    /// many.
    pub const EXAMPLES: &str = "budget.examples";
    /// The length of training in epochs of another batch size: the number of steps that they have
    /// there.
    pub const EQUAL_EPOCHS: &str = "budget.epochs";
    /// The batch size of [`EQUAL_EPOCHS`].
    pub const AT_BATCH: &str = "budget.at_batch";
    /// The seed of initial weights, order, augmentation and dropout.
    pub const SEED: &str = "seed";
    /// The data set: a name, or a table, with `labels = "real"` for real targets.
    pub const DATASET: &str = "dataset";
    /// The keys of a data set's table that name files.
    pub const DATA_FILES: [&str; 6] = [
        "train",
        "test",
        "train_images",
        "train_labels",
        "test_images",
        "test_labels",
    ];
    /// Examples held out for validation.
    pub const VALIDATION: &str = "data.validation";
    /// Normalisation and augmentation.
    pub const PREPROCESS: &str = "data.preprocess";
    /// How values are scaled.
    pub const NORMALISE: &str = "data.preprocess.normalise";
    /// How real targets are scaled.
    pub const TARGETS: &str = "data.preprocess.targets";
    /// The rate's schedule; its lengths may be in epochs.
    pub const SCHEDULE: &str = "schedule";
    /// The batch size's schedule.
    pub const BATCH_SCHEDULE: &str = "batch_schedule";
    /// How an epoch draws its examples.
    pub const SAMPLING: &str = "data.sampling";
    /// Whether an epoch's smaller last batch is dropped.
    pub const DROP_LAST: &str = "data.drop_last";
    /// The seed of the validation split.
    pub const SPLIT_SEED: &str = "split_seed";
}

/// The identity of a trial: 32 hexadecimal digits, the first half of a BLAKE3 hash.
///
/// It hashes everything that decides the trial's result: configuration, stage, stop rules, threads
/// and seed, as JSON with sorted keys, without spaces, and with whole numbers without a fraction.
/// Labels and the program's version are not included, so renaming an arm or upgrading the program
/// repeats nothing.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Serialize, Deserialize)]
pub struct RunId(pub String);

impl fmt::Display for RunId {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The stage of a study that a trial belongs to.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Stage {
    /// Chooses settings on the validation part; never reads the test part.
    Tune,
    /// Runs the chosen settings with fresh seeds; only these trials read the test part and are
    /// reported.
    Confirm,
}

/// What distinguishes a group of trials: its arm, if the study has arms, then its value on every
/// axis, in alphabetical order.
///
/// If two values of an axis would have the same name, such as two tables of one optimizer, each is
/// replaced by a text: its name and the options in which they differ, `momentum 0.5` and
/// `momentum 0.99`. No two groups of a study have the same [`title`].
pub type Labels = Table;

/// One training run, as data.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Trial {
    /// Its identity.
    pub id: RunId,
    /// Its stage; a runner evaluates the test part in [`Stage::Confirm`] only.
    pub stage: Stage,
    /// Its group's labels.
    pub labels: Labels,
    /// The seed; also in `config`.
    pub seed: u64,
    /// Threads that the trial may use.
    pub threads: u32,
    /// When to stop before the end of the budget.
    pub stop: StopRules,
    /// The whole configuration of the training run.
    pub config: Table,
}

/// Trials that differ only in their seed.
pub(crate) struct Template {
    /// Without identity and seed.
    trial: Trial,
    hasher: blake3::Hasher,
}

impl Template {
    /// `config` has no seed yet.
    pub(crate) fn new(
        stage: Stage,
        labels: Labels,
        threads: u32,
        stop: StopRules,
        config: Table,
    ) -> Self {
        let mut text = String::from("{\"config\":");
        canonical_table(&config, &mut text);
        text += &format!(
            ",\"stage\":\"{stage:?}\",\"stop\":{},\"threads\":{threads},\"seed\":",
            canonical_stop(&stop)
        );
        let mut hasher = blake3::Hasher::new();
        hasher.update(text.as_bytes());
        let trial = Trial {
            id: RunId(String::new()),
            stage,
            labels,
            seed: 0,
            threads,
            stop,
            config,
        };
        Template { trial, hasher }
    }

    pub(crate) fn id(&self, seed: u64) -> RunId {
        let mut hasher = self.hasher.clone();
        hasher.update(format!("{seed}}}").as_bytes());
        RunId(hasher.finalize().to_hex()[..32].to_string())
    }

    pub(crate) fn trial(&self, seed: u64) -> Trial {
        let mut trial = self.trial.clone();
        (trial.id, trial.seed) = (self.id(seed), seed);
        // The seeds in a study file are u32.
        let value = Value::Integer(seed as i64);
        trial.config.insert(key::SEED.into(), value);
        trial
    }
}

pub(crate) fn without_seed(config: &Table) -> Table {
    config
        .iter()
        .filter(|(k, _)| *k != key::SEED)
        .map(|(k, v)| (k.clone(), v.clone()))
        .collect()
}

/// Canonical JSON of a table: sorted keys, no spaces, whole floats below 2⁵³ as integers (1.0 and 1
/// are the same setting).
fn canonical_table(table: &Table, out: &mut String) {
    let mut keys: Vec<&String> = table.keys().collect();
    keys.sort();
    out.push('{');
    for (i, k) in keys.into_iter().enumerate() {
        if i > 0 {
            out.push(',');
        }
        canonical_string(k, out);
        out.push(':');
        canonical(&table[k], out);
    }
    out.push('}');
}

fn canonical(value: &Value, out: &mut String) {
    match value {
        Value::String(s) => canonical_string(s, out),
        Value::Integer(i) => out.push_str(&i.to_string()),
        Value::Float(x) => out.push_str(&canonical_number(*x)),
        Value::Boolean(b) => out.push_str(if *b { "true" } else { "false" }),
        Value::Datetime(d) => canonical_string(&d.to_string(), out),
        Value::Array(items) => {
            out.push('[');
            for (i, item) in items.iter().enumerate() {
                if i > 0 {
                    out.push(',');
                }
                canonical(item, out);
            }
            out.push(']');
        }
        Value::Table(t) => canonical_table(t, out),
    }
}

fn canonical_string(text: &str, out: &mut String) {
    out.push_str(&serde_json::Value::from(text).to_string());
}

fn canonical_number(x: f64) -> String {
    if x == x.trunc() && x.abs() < 9_007_199_254_740_992.0 {
        format!("{}", x as i64)
    } else {
        format!("{x:e}")
    }
}

fn canonical_stop(stop: &StopRules) -> String {
    let number = |x: Option<f64>| x.map_or("null".into(), canonical_number);
    format!(
        "[{},{},{},{},{}]",
        number(stop.target),
        number(stop.plateau.map(|p| p.epochs)),
        number(stop.plateau.map(|p| p.improvement)),
        number(stop.prune.map(|p| p.after)),
        number(stop.prune.and_then(|p| p.loss_above))
    )
}

/// Labels on one line: `arm=linear batch_size=1024`.
pub fn describe(labels: &Table) -> String {
    let text = |v: &Value| {
        named(v)
            .as_str()
            .map_or_else(|| v.to_string(), str::to_string)
    };
    labels
        .iter()
        .map(|(k, v)| format!("{k}={}", text(v)))
        .collect::<Vec<_>>()
        .join(" ")
}

/// Labels for readers: `linear, warm-up · batch 512`. Numbers are written in full.
pub fn title(labels: &Labels) -> String {
    let part = |(k, v): (&String, &Value)| match named(v) {
        Value::String(name) => name.clone(),
        _ => format!("{} {}", if k == key::BATCH { "batch" } else { k }, word(v)),
    };
    let (batch, others): (Vec<_>, Vec<_>) = labels.iter().partition(|(k, _)| *k == key::BATCH);
    others
        .into_iter()
        .chain(batch)
        .map(part)
        .collect::<Vec<_>>()
        .join(" · ")
}

/// A value in a title: a table with a `name` is shown by its name.
pub(crate) fn word(value: &Value) -> String {
    match named(value) {
        Value::String(s) => s.clone(),
        _ => number(value).map_or_else(|| value.to_string(), digits),
    }
}

/// The name of a choice with options; of any other value, itself.
pub(crate) fn named(value: &Value) -> &Value {
    value.get("name").unwrap_or(value)
}

/// The shortest decimal that reads back as the same number.
fn digits(x: f64) -> String {
    if x == 0.0 || (1e-4..1e7).contains(&x.abs()) {
        x.to_string().replacen('-', "−", 1)
    } else {
        format!("{x:e}")
    }
}

/// The name of the folder in which a study keeps a trial's run, such as
/// `batch-size-256-seed-0-1f2e3d4c`; it ends with the first eight digits of its identity.
pub fn run_folder(labels: &Table, seed: u64, id: &RunId) -> String {
    // Long labels are cut, since file names have a maximum length; the identity distinguishes the
    // trials.
    let text = format!(
        "{:.120} seed {seed} {}",
        describe(labels),
        id.0.get(..8).unwrap_or(&id.0)
    );
    let words = text
        .split(|c: char| !c.is_ascii_alphanumeric() && c != '.')
        .filter(|word| !word.is_empty());
    words
        .map(str::to_ascii_lowercase)
        .collect::<Vec<_>>()
        .join("-")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(text: &str) -> RunId {
        Template::new(
            Stage::Tune,
            Table::new(),
            1,
            StopRules::default(),
            text.parse().unwrap(),
        )
        .id(7)
    }

    /// Pinned: a change here would orphan every recorded trial. The expected value was computed
    /// with another BLAKE3 implementation (PyPI's) from the JSON in the comment.
    #[test]
    fn identities_are_pinned() {
        // {"config":{"batch_size":32,"lr":1e-1,"o":{"eps":1e-8,"name":"adam"}},"stage":"Tune","stop":[null,null,null,null,null],"threads":1,"seed":7}
        assert_eq!(
            id("lr = 0.1\nbatch_size = 32\no = { name = 'adam', eps = 1e-8 }").0,
            PINNED
        );
    }
    const PINNED: &str = "f95cdc3c70b23a1f9826fa0f874eefc5";

    #[test]
    fn a_folder_is_named_for_reading() {
        let labels: Table =
            "batch_size = 256\noptimizer = { name = 'lars', momentum = 0.9 }\narm = '+ sqrt rate'"
                .parse()
                .unwrap();
        assert_eq!(
            run_folder(&labels, 3, &RunId(PINNED.into())),
            "arm-sqrt-rate-batch-size-256-optimizer-lars-seed-3-f95cdc3c"
        );
    }

    #[test]
    fn identities_follow_the_settings_and_not_their_writing() {
        let one = id("a = 1\nb.c = [1.0, 'x']");
        assert_eq!(one, id("b = { c = [1, 'x'] }\na = 1.0"));
        assert_ne!(one, id("a = 2\nb.c = [1.0, 'x']"));
        let template = |stage, threads, target| {
            Template::new(
                stage,
                Table::new(),
                threads,
                StopRules {
                    target,
                    ..Default::default()
                },
                Table::new(),
            )
        };
        let plain = template(Stage::Tune, 1, None);
        let others = [
            template(Stage::Confirm, 1, None).id(0),
            template(Stage::Tune, 2, None).id(0),
            template(Stage::Tune, 1, Some(0.5)).id(0),
            plain.id(1),
        ];
        assert!(others.iter().all(|o| *o != plain.id(0)));
    }
}
