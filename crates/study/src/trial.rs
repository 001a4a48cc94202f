use std::fmt;

use serde::{Deserialize, Serialize};
use toml::{Table, Value};

use crate::rules::StopRules;

/// The configuration keys of a training run that a study itself reads or writes; every other key is passed through.
pub mod key {
    /// Examples a step.
    pub const BATCH: &str = "batch_size";
    /// The peak learning rate, written by `rate`.
    pub const RATE: &str = "lr";
    /// The warm-up, written by `rate.warmup` with `start` = base rate / scaled rate.
    pub const WARMUP: &str = "schedule.warmup";
    /// The length of training in epochs, written by `budget`.
    pub const EPOCHS: &str = "epochs";
    /// The length of training in steps, written by `budget`.
    pub const STEPS: &str = "steps";
    /// Drives initial weights, order, augmentation and dropout.
    pub const SEED: &str = "seed";
    /// Drives the validation split.
    pub const SPLIT_SEED: &str = "split_seed";
}

/// The identity of a trial: 32 hexadecimal digits, the first half of a BLAKE3 hash.
///
/// Hashed is what decides the trial's result: its configuration (seed included), stage, stop rules and threads, as JSON with sorted keys and without
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

impl Trial {
    pub(crate) fn new(stage: Stage, labels: Labels, threads: u32, stop: StopRules, config: Table, seed: u64) -> Self {
        let mut config = config;
        // Seeds above i64::MAX are refused when the study is read.
        config.insert(key::SEED.into(), Value::Integer(seed as i64));
        let mut text = String::from("{\"config\":");
        canonical_table(&config, &mut text);
        text += &format!(",\"stage\":\"{stage:?}\",\"stop\":{},\"threads\":{threads}}}", stop.canonical());
        let id = RunId(blake3::hash(text.as_bytes()).to_hex()[..32].to_string());
        Trial { id, stage, labels, seed, threads, stop, config }
    }
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
    if x == x.trunc() && x.abs() < 9_007_199_254_740_992.0 { format!("{}", x as i64) } else { format!("{x:e}") }
}

/// Labels in one line: `arm=linear batch_size=1024`.
pub fn describe(labels: &Table) -> String {
    let text = |v: &Value| match v {
        Value::String(s) => s.clone(),
        Value::Table(t) => t.get("name").and_then(Value::as_str).map_or_else(|| v.to_string(), str::to_string),
        v => v.to_string(),
    };
    labels.iter().map(|(k, v)| format!("{k}={}", text(v))).collect::<Vec<_>>().join(" ")
}
