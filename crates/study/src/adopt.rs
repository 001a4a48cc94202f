//! Folders from versions before 0.3, which converted `budget.at_batch` and `budget.examples` to
//! epochs and steps without knowing the data.

use std::path::Path;
use std::sync::Arc;

use largebatch_schedule::{BatchConfig, LastBatch};
use toml::{Table, Value};

use crate::error::StudyError;
use crate::meaning::Older;
use crate::plan::Plan;
use crate::record::TrialRecord;
use crate::records::{Records, read_folder};
use crate::trial::{Labels, RunId, Template, key, named};
use largebatch_component::settings::{get, number};

impl Plan {
    /// Reads the records of a folder. A record from an old version is stored under today's identity
    /// if it trained for the number of steps that its budget requires.
    pub(crate) fn records(&self, folder: &Path) -> Result<Records, StudyError> {
        let mut records = read_folder(folder)?;
        for group in &self.groups {
            let Some(budget) = group.config.get(key::BUDGET) else {
                continue;
            };
            let old = |r: &&TrialRecord| {
                r.epochs.is_none()
                    && *r.labels == group.labels
                    && steps(r, &group.config) == Some(r.budget_steps)
            };
            let old: Vec<RunId> = records
                .by_id
                .values()
                .filter(old)
                .map(|r| r.id.clone())
                .collect();
            for mut record in old
                .iter()
                .filter_map(|id| records.by_id.remove(id))
                .collect::<Vec<_>>()
            {
                let mut config = Table::clone(&record.config);
                config.retain(|k, _| k != key::EPOCHS && k != key::STEPS);
                config.insert(key::BUDGET.into(), budget.clone());
                record.id = Template::new(
                    record.stage,
                    Labels::new(),
                    record.threads,
                    group.stop,
                    config.clone(),
                )
                .id(record.seed);
                record.config = Arc::new(config);
                records.by_id.entry(record.id.clone()).or_insert(record);
            }
        }
        records.data.older = Older::of(self, &records.by_id);
        Ok(records)
    }
}

/// The steps that a budget requires on the data of a record; `None` unless all batches but the last
/// have the same size.
fn steps(record: &TrialRecord, config: &Table) -> Option<u64> {
    let setting = |k: &str| get(config, k).and_then(number);
    let word = |k: &str| get(config, k).map(named).and_then(Value::as_str);
    let simple = get(config, key::DROP_LAST).is_none_or(|v| *v == Value::Boolean(false))
        && word(key::SAMPLING).is_none_or(|w| w == "shuffled" || w == "replacement")
        && word(key::BATCH_SCHEDULE).is_none_or(|w| w == "constant");
    let batches = |size: f64| {
        BatchConfig::Constant
            .resolve(size as usize, record.train_examples as usize, None)
            .ok()
    };
    let steps = match setting(key::EXAMPLES) {
        Some(examples) => {
            batches(setting(key::BATCH)?)?.steps_for(examples as u64, LastBatch::Keep)
        }
        None => batches(setting(key::AT_BATCH)?)?
            .epochs(LastBatch::Keep)
            .step(setting(key::EQUAL_EPOCHS)?)
            .ceil() as u64,
    };
    simple.then_some(steps)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::file::Study;
    use crate::fixture::record;
    use crate::trial::Stage;

    /// A record as 0.2.0 wrote it: it converted 20 epochs of batch 16 to 640 epochs of batch 512,
    /// whatever the number of examples.
    fn old(examples: u64, steps: u64) -> TrialRecord {
        let labels: Labels = "arm = 'longer'".parse().unwrap();
        let config: Table = "batch_size = 512\nlr = 1\nepochs = 640\nsplit_seed = 0"
            .parse()
            .unwrap();
        let id = Template::new(
            Stage::Confirm,
            labels.clone(),
            1,
            Default::default(),
            config.clone(),
        )
        .id(0);
        let (config, labels) = (Arc::new(config), Arc::new(labels));
        TrialRecord {
            schema: 2,
            id,
            labels,
            config,
            stage: Stage::Confirm,
            seed: 0,
            train_examples: examples,
            budget_steps: steps,
            epochs: None,
            ..record(&[])
        }
    }

    #[test]
    fn an_old_record_counts_where_its_steps_are_those_of_its_budget() {
        let text = "name='x'\nset.lr=1\nconfirm.seeds=1\n[[arm]]\nname='longer'\nset.batch_size=512\nbudget={epochs=20, at_batch=16}";
        let plan = Plan::expand(Study::parse(text, "x.toml", &[]).unwrap()).unwrap();
        let planned = &plan.confirm_ids(0, &[None])[0];
        for (record, counts) in [(old(1024, 1280), true), (old(1150, 1920), false)] {
            let folder = tempfile::tempdir().unwrap();
            std::fs::write(
                folder.path().join("trials.jsonl"),
                serde_json::to_string(&record).unwrap() + "\n",
            )
            .unwrap();
            let records = plan.records(folder.path()).unwrap().by_id;
            assert_eq!(
                (records.len(), records.contains_key(planned)),
                (1, counts),
                "{} examples",
                record.train_examples
            );
        }
    }
}
