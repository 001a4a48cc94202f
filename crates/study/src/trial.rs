use std::fmt;

use serde::{Deserialize, Serialize};
use toml::{Table, Value};

use crate::rules::StopRules;
use crate::settings::number;

/// The configuration keys of a training run that a study itself reads or writes; every other key is passed through.
pub mod key {
    /// Examples a step.
    pub const BATCH: &str = "batch_size";
    /// The peak learning rate, written by `rate`.
    pub const RATE: &str = "lr";
    /// The warm-up, written by `rate.warmup` with `start` = base rate / scaled rate.
    pub const WARMUP: &str = "schedule.warmup";
    /// The length of training in epochs, written by `budget`; not whole, it is that fraction of the last epoch's steps.
    pub const EPOCHS: &str = "epochs";
    /// The length of training in steps, written by `budget`.
    pub const STEPS: &str = "steps";
    /// A budget that only the data turn into steps stands below this key, as it was written: [`EXAMPLES`], or [`EQUAL_EPOCHS`] and [`AT_BATCH`].
    pub const BUDGET: &str = "budget";
    /// The length of training in examples: the least number of steps that train on so many.
    pub const EXAMPLES: &str = "budget.examples";
    /// The length of training in epochs of another batch size: as many steps as they have there.
    pub const EQUAL_EPOCHS: &str = "budget.epochs";
    /// That batch size.
    pub const AT_BATCH: &str = "budget.at_batch";
    /// Drives initial weights, order, augmentation and dropout.
    pub const SEED: &str = "seed";
    /// The data set: a name, or a table with `labels = "real"` where targets are real.
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
    /// The rate over training; its lengths may be in epochs.
    pub const SCHEDULE: &str = "schedule";
    /// The batch size over training.
    pub const BATCH_SCHEDULE: &str = "batch_schedule";
    /// How an epoch takes its examples.
    pub const SAMPLING: &str = "data.sampling";
    /// Whether an epoch's smaller last batch is left out.
    pub const DROP_LAST: &str = "data.drop_last";
    /// Drives the validation split.
    pub const SPLIT_SEED: &str = "split_seed";
}

/// The identity of a trial: 32 hexadecimal digits, the first half of a BLAKE3 hash.
///
/// Hashed is what decides the trial's result: its configuration, stage, stop rules, threads and seed, as JSON with sorted keys and without
/// spaces, whole numbers without a fraction. Labels and the program's version are left out: renaming an arm or upgrading repeats nothing.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Serialize, Deserialize)]
pub struct RunId(pub String);

impl fmt::Display for RunId {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Which part of a study a trial belongs to.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Stage {
    /// Chooses settings on the validation part; never reads the test part.
    Tune,
    /// Runs the chosen settings with fresh seeds; these alone read the test part and are reported.
    Confirm,
}

/// What distinguishes a group of trials: its arm, if the study has arms, then its value on every axis, in alphabetical order.
///
/// Where two values of an axis would have the same name, such as two tables of one optimizer, a text takes each one's place: its name and the options in which
/// they differ, `momentum 0.5` and `momentum 0.99`. No two groups of a study have the same [`title`].
pub type Labels = Table;

/// One training run as data.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Trial {
    /// Its identity.
    pub id: RunId,
    /// Its stage; a runner evaluates the test part in [`Stage::Confirm`] only.
    pub stage: Stage,
    /// Its group's labels.
    pub labels: Labels,
    /// The seed, also in `config`.
    pub seed: u64,
    /// Threads the trial may use.
    pub threads: u32,
    /// When to stop before the budget's end.
    pub stop: StopRules,
    /// The whole configuration of the training run.
    pub config: Table,
}

/// Trials that differ in their seed alone.
pub(crate) struct Template {
    stage: Stage,
    labels: Labels,
    threads: u32,
    stop: StopRules,
    config: Table,
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
            stop.canonical()
        );
        let mut hasher = blake3::Hasher::new();
        hasher.update(text.as_bytes());
        Template {
            stage,
            labels,
            threads,
            stop,
            config,
            hasher,
        }
    }

    pub(crate) fn id(&self, seed: u64) -> RunId {
        let mut hasher = self.hasher.clone();
        RunId(
            hasher
                .update(format!("{seed}}}").as_bytes())
                .finalize()
                .to_hex()[..32]
                .to_string(),
        )
    }

    pub(crate) fn trial(&self, seed: u64) -> Trial {
        let mut config = self.config.clone();
        // Seeds are u32 in a study file.
        config.insert(key::SEED.into(), Value::Integer(seed as i64));
        let Template {
            stage,
            threads,
            stop,
            ..
        } = *self;
        Trial {
            id: self.id(seed),
            stage,
            labels: self.labels.clone(),
            seed,
            threads,
            stop,
            config,
        }
    }
}

pub(crate) fn without_seed(config: &Table) -> Table {
    config
        .iter()
        .filter(|(k, _)| *k != key::SEED)
        .map(|(k, v)| (k.clone(), v.clone()))
        .collect()
}

/// Canonical JSON of a table: keys sorted, no spaces, whole floats below 2⁵³ as integers (1.0 and 1 are the same setting).
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

pub(crate) fn canonical_number(x: f64) -> String {
    if x == x.trunc() && x.abs() < 9_007_199_254_740_992.0 {
        format!("{}", x as i64)
    } else {
        format!("{x:e}")
    }
}

/// Labels in one line: `arm=linear batch_size=1024`.
pub fn describe(labels: &Table) -> String {
    let text = |v: &Value| match v {
        Value::String(s) => s.clone(),
        Value::Table(t) => t
            .get("name")
            .and_then(Value::as_str)
            .map_or_else(|| v.to_string(), str::to_string),
        v => v.to_string(),
    };
    labels
        .iter()
        .map(|(k, v)| format!("{k}={}", text(v)))
        .collect::<Vec<_>>()
        .join(" ")
}

/// Labels for a reader: `linear, warm-up · batch 512`. Numbers are written in full.
pub fn title(labels: &Labels) -> String {
    let part = |(k, v): (&String, &Value)| match v {
        Value::String(_) => word(v),
        Value::Table(t) if t.get("name").is_some_and(Value::is_str) => word(v),
        v => format!("{} {}", if k == key::BATCH { "batch" } else { k }, word(v)),
    };
    let (batch, others): (Vec<_>, Vec<_>) = labels.iter().partition(|(k, _)| *k == key::BATCH);
    others
        .into_iter()
        .chain(batch)
        .map(part)
        .collect::<Vec<_>>()
        .join(" · ")
}

/// A value in a title: the name of a table that has one.
pub(crate) fn word(value: &Value) -> String {
    match value {
        Value::String(s) => s.clone(),
        Value::Table(t) if t.get("name").is_some_and(Value::is_str) => {
            t["name"].as_str().unwrap_or_default().into()
        }
        v => number(v).map_or_else(|| v.to_string(), digits),
    }
}

/// The shortest decimals that read back as the same number.
fn digits(x: f64) -> String {
    if x == 0.0 || (1e-4..1e7).contains(&x.abs()) {
        x.to_string().replacen('-', "−", 1)
    } else {
        format!("{x:e}")
    }
}

/// The name of the folder in which a study keeps a trial's run: `batch-size-256-seed-0-1f2e3d4c`, which ends with the first eight digits of its identity.
pub fn run_folder(labels: &Table, seed: u64, id: &RunId) -> String {
    // Long labels are cut: a file's name has its limit, and the identity tells trials apart.
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

    /// Pinned: a change here would orphan every trial that was ever recorded. The value is that of another BLAKE3 (PyPI's) of the JSON in the comment.
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
