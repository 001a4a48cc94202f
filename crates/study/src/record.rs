//! The record of a finished trial.

use std::collections::BTreeMap;
use std::sync::Arc;

use largebatch_schedule::Epochs;
use largebatch_store::seal;
use serde::{Deserialize, Deserializer, Serialize};
use toml::Table;

use crate::event::{Curves, StopReason};
use crate::trial::{Labels, RunId, Stage, describe, key};
use largebatch_component::settings::number;

/// The version of the record lines that this program writes; it reads this and all earlier ones.
///
/// Version 3 has a digest at the end of each line. Version 2 has `labels`, and no seed in `config`.
/// Version 1 has no labels, and the seed also in `config`.
pub const SCHEMA: u32 = 3;

/// The first version whose lines carry a digest.
pub(crate) const SEALED: u32 = 3;

/// The file in a study's folder for the records of trials whose data have changed.
pub(crate) const ASIDE: &str = "other-data.jsonl";

/// The file in a study's folder for the records of failed trials that ran again.
pub(crate) const FAILED: &str = "failed.jsonl";

/// One finished trial: a line of `trials.jsonl`.
///
/// Two runs of the same trial on the same kind of machine give the same bits in everything but `provenance`.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct TrialRecord {
    /// The line's version, [`SCHEMA`] when written.
    pub schema: u32,
    /// The trial's identity.
    pub id: RunId,
    /// The labels of the first group that has the trial, for readers of the file only; several
    /// groups may share a trial.
    #[serde(
        default,
        serialize_with = "Table::serialize",
        deserialize_with = "shared"
    )]
    pub labels: Arc<Labels>,
    /// The trial's stage.
    pub stage: Stage,
    /// The trial's seed.
    pub seed: u64,
    /// Why the trial ended.
    pub stop: StopReason,
    /// Steps done.
    pub steps: u64,
    /// Examples seen.
    pub examples: u64,
    /// Size of the training part; 0 if the trial never began.
    pub train_examples: u64,
    /// The step at which each epoch begins; absent in records of versions before 0.3.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub epochs: Option<Epochs>,
    /// The budget in steps; 0 if the trial never began.
    pub budget_steps: u64,
    /// The validation metric's name.
    pub metric: String,
    /// Whether a higher metric is better.
    pub higher_is_better: bool,
    /// Final metrics by name, such as `train_loss`, `validation_accuracy`, and in stage confirm
    /// `test_accuracy`.
    #[serde(deserialize_with = "nullable")]
    pub metrics: BTreeMap<String, f64>,
    /// The curves of the training.
    pub curves: Curves,
    /// Threads used.
    pub threads: u32,
    /// The configuration without the seed; trials that differ only in the seed share it in memory.
    #[serde(serialize_with = "Table::serialize", deserialize_with = "shared")]
    pub config: Arc<Table>,
    /// Everything that may differ between two runs of this trial.
    pub provenance: Provenance,
}

/// The provenance key under which a runner lists the probes that failed in an otherwise successful
/// trial, one sentence each.
pub const FAILED_PROBES: &str = "failed_probes";

impl TrialRecord {
    /// The trial in words: its group, its rate if it was tuned, and its seed.
    pub fn name(&self) -> String {
        let group = describe(&self.labels);
        let rate = self
            .config
            .get(key::RATE)
            .filter(|_| self.stage == Stage::Tune)
            .map(|rate| format!("lr={rate}"));
        let words = [
            Some(group).filter(|group| !group.is_empty()),
            rate,
            Some(format!("seed {}", self.seed)),
        ];
        words.into_iter().flatten().collect::<Vec<_>>().join(" ")
    }

    /// The final value of the validation metric: from the final metrics, else the last point of the
    /// curve.
    pub fn validation(&self) -> Option<f64> {
        let value = self.metrics.get(&self.metric).copied().or_else(|| {
            self.curves
                .validation
                .iter()
                .rev()
                .copied()
                .find(|v| v.is_finite())
        });
        value.filter(|v| v.is_finite())
    }

    /// What failed, if anything: the trial, or a probe that measured it.
    pub fn failure(&self) -> Option<String> {
        if let StopReason::Failed { message } = &self.stop {
            return Some(message.clone());
        }
        let probes = self.provenance.other.get(FAILED_PROBES)?.as_array()?;
        let probes: Vec<&str> = probes
            .iter()
            .filter_map(serde_json::Value::as_str)
            .collect();
        (!probes.is_empty()).then(|| format!("probe {}", probes.join("; probe ")))
    }

    /// The position in epochs after this many steps and examples; `None` if the trial never began.
    pub fn epoch(&self, steps: u64, examples: u64) -> Option<f64> {
        let by_examples =
            || (self.train_examples > 0).then(|| examples as f64 / self.train_examples as f64);
        self.epochs
            .as_ref()
            .map(|epochs| epochs.epoch(steps as f64))
            .or_else(by_examples)
    }

    /// The budget in epochs, if it is known.
    pub fn budget_epochs(&self) -> Option<f64> {
        let setting = |k: &str| self.config.get(k).and_then(number);
        // Without epochs, steps × batch counts a last partial batch as a whole one, but the setting
        // does not.
        let by_batch =
            || Some(self.budget_steps as f64 * setting(key::BATCH)? / self.train_examples as f64);
        let known = || Some(self.epochs.as_ref()?.epoch(self.budget_steps as f64));
        known()
            .or_else(|| setting(key::EPOCHS))
            .or_else(by_batch)
            .filter(|epochs| epochs.is_finite() && *epochs > 0.0)
    }
}

/// What may differ between two runs of one trial.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct Provenance {
    /// Wall-clock seconds.
    pub seconds: f64,
    /// When the trial began, in seconds since 1970.
    pub started: u64,
    /// How often the worker died before this attempt.
    #[serde(default)]
    pub retries: u32,
    /// The last error output of a failed worker.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub stderr: String,
    /// What the runner adds: host, device name, versions, memory, paths.
    #[serde(flatten)]
    pub other: BTreeMap<String, serde_json::Value>,
}

/// A record's line, with a digest; see [`seal`].
pub(crate) fn line(record: &TrialRecord) -> Vec<u8> {
    let json = serde_json::to_string(&TrialRecord {
        schema: SCHEMA,
        ..record.clone()
    });
    let mut line =
        seal(&json.expect("a record has string keys and no number that JSON lacks")).into_bytes();
    line.push(b'\n');
    line
}

fn shared<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Arc<Table>, D::Error> {
    Table::deserialize(deserializer).map(Arc::new)
}

/// NaN and infinities are `null` in JSON.
fn nullable<'de, D: Deserializer<'de>>(deserializer: D) -> Result<BTreeMap<String, f64>, D::Error> {
    let map = BTreeMap::<String, Option<f64>>::deserialize(deserializer)?.into_iter();
    Ok(map.map(|(k, x)| (k, x.unwrap_or(f64::NAN))).collect())
}
