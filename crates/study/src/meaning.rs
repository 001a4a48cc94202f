//! Settings that had another meaning before version 0.3. Their trials keep their identities, but
//! must not be compared with today's.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::path::Path;

use toml::Value;

use crate::error::StudyError;
use crate::plan::Plan;
use crate::record::TrialRecord;
use crate::trial::{RunId, key, named};
use largebatch_component::settings::{get, number};

/// The trials of a study for which an old version and this one do different things with the same
/// settings.
#[derive(Clone, Default, Debug)]
pub(crate) struct Older {
    /// Trials that an old version ran.
    old: usize,
    /// Trials that a newer version ran.
    new: usize,
    /// Whether any of them still have to run.
    left: bool,
    /// What changed, in words.
    what: BTreeSet<&'static str>,
}

impl Older {
    pub(crate) fn of(plan: &Plan, records: &HashMap<RunId, TrialRecord>) -> Self {
        let mut older = Older::default();
        if !records.values().any(is_older) {
            return older;
        }
        let choices = plan.choices(records);
        let ids = |g| {
            plan.tune_ids(g)
                .into_iter()
                .chain(plan.confirm_ids(g, &choices))
        };
        for id in (0..plan.groups.len()).flat_map(ids).collect::<HashSet<_>>() {
            let Some(record) = records.get(&id) else {
                older.left = true;
                continue;
            };
            let Some(what) = changed(record) else {
                continue;
            };
            if is_older(record) {
                older.old += 1;
                older.what.insert(what);
            } else {
                older.new += 1;
            }
        }
        older
    }

    /// Refuses to compare old and new trials.
    pub(crate) fn unmixed(&self, folder: &Path) -> Result<(), StudyError> {
        if self.old > 0 && self.new > 0 {
            Err(self.error(folder))
        } else {
            Ok(())
        }
    }

    /// Refuses to continue if remaining trials would be compared with old ones.
    pub(crate) fn complete(&self, folder: &Path) -> Result<(), StudyError> {
        if self.old > 0 && self.left {
            Err(self.error(folder))
        } else {
            self.unmixed(folder)
        }
    }

    fn error(&self, folder: &Path) -> StudyError {
        let what = self.what.iter().copied().collect::<Vec<_>>().join("; ");
        StudyError::OlderTrials {
            folder: folder.into(),
            trials: self.old,
            what,
        }
    }
}

/// Whether an old version ran a record with settings that have another meaning today.
pub(crate) fn is_older(record: &TrialRecord) -> bool {
    let version = record
        .provenance
        .other
        .get("version")
        .and_then(|v| v.as_str());
    version.is_some_and(|v| v.starts_with("0.1.") || v.starts_with("0.2."))
        && changed(record).is_some()
}

/// How version 0.3 changed the meaning of a trial's settings, in words.
fn changed(record: &TrialRecord) -> Option<&'static str> {
    let setting = |k: &str| get(&record.config, k);
    let real = record.metric == "validation_rmse" || record.metrics.contains_key("train_rmse");
    if real && setting(key::TARGETS).is_none() {
        return Some("real targets are standardised, which changes the rates for them");
    }
    if setting(key::PREPROCESS).is_some() && setting(key::NORMALISE).is_none() {
        return Some("`data.preprocess` without `normalise` uses the data set's normalisation");
    }
    moved(record).then_some("a schedule's lengths in epochs count the actual steps of an epoch")
}

/// Whether a schedule's length in epochs has changed by a step or more: an epoch used to have
/// examples / batch steps, and now has whole steps.
fn moved(record: &TrialRecord) -> bool {
    let setting = |k: &str| get(&record.config, k);
    let word = |k: &str| setting(k).map(named).and_then(Value::as_str);
    let longest = setting(key::SCHEDULE).map_or(0.0, |schedule| {
        longest(schedule, record.budget_epochs().unwrap_or(0.0))
    });
    let Some(batch) = setting(key::BATCH)
        .and_then(number)
        .filter(|_| longest > 0.0)
    else {
        return false;
    };
    if word(key::SAMPLING).is_some_and(|w| w == "full" || w == "one") {
        return false;
    }
    let before = record.train_examples as f64 / batch;
    let now = if setting(key::DROP_LAST) == Some(&Value::Boolean(true)) {
        before.floor()
    } else {
        before.ceil()
    };
    // While the batch grew, an epoch kept its initial number of steps.
    word(key::BATCH_SCHEDULE).is_some_and(|w| w != "constant")
        || longest * (now - before).abs() >= 1.0
}

/// The longest length in epochs in a schedule's setting; a repeated one counts over the whole
/// budget.
fn longest(value: &Value, budget: f64) -> f64 {
    let most = |lengths: &mut dyn Iterator<Item = f64>| lengths.fold(0.0, f64::max);
    match value {
        Value::Table(table) => most(&mut table.iter().map(|(k, v)| match (k.as_str(), v) {
            ("epochs", Value::Array(all)) => most(&mut all.iter().filter_map(number)),
            ("epochs", v) => number(v).unwrap_or(0.0),
            ("every" | "first" | "rise" | "fall", v) if longest(v, budget) > 0.0 => {
                longest(v, budget).max(budget)
            }
            (_, v) => longest(v, budget),
        })),
        _ => 0.0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::file::Study;
    use crate::fixture;
    use crate::trial::without_seed;

    const STUDY: &str = "name='x'\nset.dataset='diabetes'\naxes.batch_size=[8,16]\nsearch.lr=[1,2]\ntune.seeds=1\nconfirm.seeds=1";

    /// A record of each trial, tuning first, by these versions in order.
    fn records(plan: &Plan, metric: &str, versions: &[&str]) -> HashMap<RunId, TrialRecord> {
        let mut records = HashMap::new();
        for (i, version) in versions.iter().enumerate() {
            let mut all: Vec<_> = (0..2).flat_map(|g| plan.tune_trials(g)).collect();
            let choices = plan.choices(&records);
            all.extend((0..2).flat_map(|g| plan.confirm_trials(g, &choices)));
            let trial = &all[i];
            let mut record = TrialRecord {
                stage: trial.stage,
                metric: metric.into(),
                ..fixture::record(&[(1, 1.0, 0.5)])
            };
            record.metrics = [(metric.to_string(), 0.5)].into();
            record.config = without_seed(&trial.config).into();
            record.id = trial.id.clone();
            record
                .provenance
                .other
                .insert("version".into(), (*version).into());
            records.insert(trial.id.clone(), record);
        }
        records
    }

    #[test]
    fn old_trials_are_compared_with_each_other_alone() {
        let (old, new) = ("0.2.0", "0.3.0");
        let plan = |set: &str| {
            Plan::expand(Study::parse(&(STUDY.to_owned() + set), "x.toml", &[]).unwrap()).unwrap()
        };
        let folder = Path::new("x");
        let (plain, partly) = ("", "\nset.data.preprocess.translate=1");
        let growing = "\nset.schedule={name='cosine', warmup={epochs=1}}\nset.batch_schedule={name='multi-step'}";
        for (set, metric, versions, compares, proceed) in [
            (plain, "validation_rmse", &[old; 6][..], true, true),
            (plain, "validation_rmse", &[old; 2], true, false),
            (plain, "validation_rmse", &[old; 4], true, false),
            (plain, "validation_rmse", &[old, old, new], false, false),
            (plain, "validation_rmse", &[new; 2], true, true),
            (
                "\nset.data.preprocess.targets='none'\nset.data.preprocess.normalise='feature'",
                "validation_rmse",
                &[old, new],
                true,
                true,
            ),
            (plain, "validation_accuracy", &[old, new], true, true),
            (partly, "validation_accuracy", &[old, new], false, false),
            (partly, "validation_accuracy", &[old; 3], true, false),
            (growing, "validation_accuracy", &[old; 3], true, false),
        ] {
            let plan = plan(set);
            let older = Older::of(&plan, &records(&plan, metric, versions));
            let ended = (
                older.unmixed(folder).is_ok(),
                older.complete(folder).is_ok(),
            );
            assert_eq!(ended, (compares, proceed), "{set} {metric} {versions:?}");
        }
    }

    /// 1,150 examples are 2.25 batches of 512, and 3 steps; 320 are 10 batches of 32.
    #[test]
    fn lengths_in_epochs_move_by_steps() {
        for (config, examples, wanted) in [
            (
                "batch_size=512\nschedule={name='cosine', warmup={epochs=2}}",
                1150,
                true,
            ),
            (
                "batch_size=512\nschedule={name='cosine', warmup={epochs=1}}",
                1150,
                false,
            ),
            (
                "batch_size=512\nschedule={name='cosine', warmup={steps=9}}",
                1150,
                false,
            ),
            (
                "batch_size=32\nschedule={name='cosine', warmup={epochs=9}}",
                320,
                false,
            ),
            (
                "batch_size=32\nschedule={name='cosine', warmup={epochs=9}}",
                1150,
                false,
            ),
            (
                "batch_size=32\nschedule={name='multi-step', at={epochs=[1, 20]}}",
                1150,
                true,
            ),
            (
                "batch_size=512\nepochs=20\nschedule={name='step', every={epochs=1}}",
                1150,
                true,
            ),
            (
                "batch_size=512\nschedule={name='multi-step', at={epochs=[2]}}\ndata.drop_last=true",
                1150,
                false,
            ),
            (
                "batch_size=512\nschedule={name='multi-step', at={epochs=[5]}}\ndata.drop_last=true",
                1150,
                true,
            ),
            (
                "batch_size=512\nschedule={name='multi-step', at={epochs=[5]}}\ndata.sampling='full'",
                1150,
                false,
            ),
            ("batch_size=512\nschedule='cosine'", 1150, false),
        ] {
            let table: toml::Table = config.parse().unwrap();
            let record = TrialRecord {
                config: table.into(),
                train_examples: examples,
                ..fixture::record(&[(1, 1.0, 0.5)])
            };
            assert_eq!(moved(&record), wanted, "{config}");
        }
    }
}
