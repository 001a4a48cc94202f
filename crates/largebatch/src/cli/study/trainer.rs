//! The training side of a study: checks a trial's configuration and runs it.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::{Mutex, PoisonError};

use largebatch_component::settings::flatten;
use largebatch_data::{Dataset, Holdout, Labels, Search, hold_out};
use largebatch_probe::ProbeError;
use largebatch_study::{
    DataFile, Event, FAILED_PROBES, Problem, Runner, Stage, Started, Trial, TrialResult, key,
};
use largebatch_train::{
    Controls, Experiment, Observer, RunConfig, Split, Stop, TrainError, compute_here, open, train,
};
use serde_json::json;
use toml::{Table, Value};

use super::super::{Global, tell_data};
use super::keep::KeptRuns;
use super::length::Length;
use super::problem::problem;
use super::provenance::provenance;
use super::relay::{Relay, headline};
use super::speed::{TIMED_BATCH, speed};
use crate::Lab;
use crate::cli::probe::training::Probing;

/// Trains the trials of a study.
pub(super) struct Trainer<'a> {
    lab: &'a Lab,
    search: Search,
    /// The data set opened last: most studies use only one.
    opened: Mutex<Option<(toml::Value, Dataset)>>,
    /// Examples per second of each configuration, regardless of rate, seed and length.
    speeds: Mutex<BTreeMap<String, Option<f64>>>,
    /// The data sets read, by name, each to be reported to the user once.
    read: Mutex<BTreeMap<String, (Dataset, Holdout)>>,
    /// Where reported trials keep their runs, if they do.
    keep: Option<KeptRuns>,
}

impl<'a> Trainer<'a> {
    pub(super) fn new(lab: &'a Lab, search: Search) -> Self {
        Trainer {
            lab,
            search,
            opened: Mutex::default(),
            speeds: Mutex::default(),
            read: Mutex::default(),
            keep: None,
        }
    }

    pub(super) fn keeping(self, keep: Option<KeptRuns>) -> Self {
        Trainer { keep, ..self }
    }

    /// Checks a trial of a plan: training must know every setting, and the data must be there.
    pub(super) fn check(&self, config: &Table) -> Result<(), Problem> {
        let reserved = [
            (
                "stop.target",
                "set it in the study's `stop`, so that the trial's record says why it ended",
            ),
            ("stop.patience", "use the study's `stop.plateau`"),
            (
                "threads",
                "set it at the top of the study: it is the same for all trials",
            ),
        ];
        for (key, why) in reserved {
            if largebatch_study::get(config, key).is_some() {
                return Err(Problem {
                    key: Some(key.into()),
                    message: format!("{key} cannot be set for a trial: {why}"),
                });
            }
        }
        let experiment = self.open(config).map_err(|error| problem(&error, config))?;
        let mut read = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        read.entry(experiment.config.dataset.table().to_string())
            .or_insert((experiment.dataset, experiment.holdout));
        Ok(())
    }

    /// Reports what was read, once for each data set.
    pub(super) fn tell(&self, global: &Global) {
        let read = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        read.values()
            .for_each(|(dataset, split)| tell_data(dataset, split, global));
    }

    fn dataset(&self, config: &RunConfig) -> Result<Dataset, TrainError> {
        let asked = Value::Table(config.dataset.table());
        let mut opened = self.opened.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, dataset)) = opened.as_ref().filter(|(last, _)| *last == asked) {
            return Ok(dataset.clone());
        }
        let dataset = open(self.lab, &config.dataset, &self.search)?;
        *opened = Some((asked, dataset.clone()));
        Ok(dataset)
    }

    /// The files that a trial reads now; `None` if they cannot be read.
    pub(super) fn files(&self, config: &Table) -> Option<Vec<DataFile>> {
        let setting = config.get(key::DATASET)?.clone();
        let config = RunConfig::layered(None, &[(key::DATASET.to_owned(), setting)]).ok()?;
        let sources = self.dataset(&config).ok()?.sources;
        Some(
            sources
                .into_iter()
                .map(|s| DataFile {
                    file: s.file,
                    sha256: s.sha256,
                })
                .collect(),
        )
    }

    fn open(&self, config: &Table) -> Result<Experiment, TrainError> {
        let mut config = config.clone();
        let length = Length::take(&mut config);
        let settings: Vec<_> = flatten(&config).into_iter().collect();
        let mut config = RunConfig::layered(None, &settings)?;
        let dataset = self.dataset(&config)?;
        let held = config
            .data
            .validation
            .unwrap_or_else(|| dataset.default_validation());
        let holdout = hold_out(dataset.train.labels(), held, config.split_seed)?;
        if let Some(length) = length {
            config.steps = Some(length.steps(&config, holdout.train.len())?);
        }
        Experiment::with(config, dataset, holdout, self.lab)
    }

    /// The seconds that a trial takes, estimated from a few steps here; `None` if it cannot run.
    pub(super) fn seconds(&self, config: &Table) -> Option<f64> {
        let experiment = self.open(config).ok()?;
        let (batch, steps) = (experiment.config.batch_size?, experiment.total_steps);
        // Above this size the time per example hardly changes, and one step of a large batch would
        // take too long for a plan.
        let timed = batch.min(TIMED_BATCH);
        let mut few = config.clone();
        few.insert(key::BATCH.into(), Value::Integer(timed as i64));
        [
            key::RATE,
            key::SEED,
            key::EPOCHS,
            key::STEPS,
            key::BUDGET,
            "schedule",
        ]
        .into_iter()
        .for_each(|key| drop(few.remove(key)));
        let mut speeds = self.speeds.lock().unwrap_or_else(PoisonError::into_inner);
        let speed = *speeds
            .entry(few.to_string())
            .or_insert_with(|| speed(&self.open(&few).ok()?, 2.max(512 / timed as u64)));
        Some(steps as f64 * batch as f64 / speed?)
    }
}

/// The most training examples on which each evaluation of a reported trial measures the loss.
const FITTED: usize = 10_000;

impl Runner for Trainer<'_> {
    fn run(
        &self,
        trial: &Trial,
        emit: &mut dyn FnMut(Event) -> ControlFlow<()>,
    ) -> Result<TrialResult, String> {
        self.train(trial, emit).map_err(|e| e.to_string())
    }
}

impl Trainer<'_> {
    fn train(
        &self,
        trial: &Trial,
        emit: &mut dyn FnMut(Event) -> ControlFlow<()>,
    ) -> Result<TrialResult, ProbeError> {
        compute_here(Some(trial.threads as usize));
        let experiment = self.open(&trial.config)?;
        let classes = matches!(experiment.dataset.train.labels(), Labels::Classes(_));
        let metric = match (experiment.holdout.validation.is_empty(), classes) {
            // Nothing is held out, so only the training loss may be used.
            (true, _) => "train_loss",
            (false, true) => "validation_accuracy",
            (false, false) => "validation_rmse",
        };
        let _ = emit(Event::Started(Started {
            train_examples: experiment.holdout.train.len() as u64,
            epochs: Some(experiment.epochs.clone()),
            budget_steps: experiment.total_steps,
            metric: metric.into(),
            higher_is_better: metric == "validation_accuracy",
            constant_loss: experiment.constant_loss(),
        }));
        let kept = match &self.keep {
            Some(keep) => keep.begin(trial, &experiment)?,
            None => None,
        };
        let mut probes = match (&self.keep, &kept) {
            (Some(keep), Some(folder)) => keep.probes(&experiment, folder)?,
            _ => Vec::new(),
        };
        let mut relay = Relay::new(emit);
        let mut observers: Vec<&mut dyn Observer> = vec![&mut relay];
        observers.extend(probes.iter_mut().map(|probe| probe as &mut dyn Observer));
        // Reported groups are compared by validation at equal training loss.
        let reported = trial.stage == Stage::Confirm;
        let fitted = if reported && !experiment.holdout.validation.is_empty() {
            FITTED
        } else {
            0
        };
        let controls = Controls {
            observers,
            folder: kept.as_ref(),
            test: reported,
            fitted,
            ..Controls::default()
        };
        let (end, network) = train(&experiment, controls)?;
        let diverged = end.stop == Stop::Diverged;
        if diverged {
            relay.diverged();
        }
        let unseen: Vec<String> = probes.iter_mut().filter_map(Probing::failure).collect();
        let mut metrics = BTreeMap::new();
        // Measured with the trained weights; the running means of an epoch come from changing
        // weights.
        let seen = match diverged {
            true => None,
            false => experiment.evaluate(&network, Split::Train)?,
        };
        for (part, means) in [
            ("train", seen),
            ("validation", end.validation),
            ("test", end.test),
        ] {
            let Some(means) = means else { continue };
            let (name, value) = headline(&means);
            metrics.insert(format!("{part}_{name}"), value);
            metrics.insert(format!("{part}_loss"), means.loss);
            if part == "test" {
                metrics.insert("test_examples".into(), means.n as f64);
            }
        }
        for (part, share) in [
            ("validation", end.validation_majority_accuracy),
            ("test", end.test_majority_accuracy),
        ] {
            metrics.extend(share.map(|share| (format!("{part}_majority_accuracy"), share)));
        }
        let mut provenance = provenance(&experiment, end.examples_per_second);
        if !unseen.is_empty() {
            provenance.insert(FAILED_PROBES.into(), json!(unseen));
        }
        Ok(TrialResult {
            diverged,
            metrics,
            steps: end.steps,
            examples: relay.examples,
            provenance,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trainer(lab: &Lab) -> Trainer<'_> {
        Trainer::new(lab, Search::default())
    }

    #[test]
    fn errors_name_the_key() {
        let lab = Lab::standard();
        let trainer = trainer(&lab);
        for (text, key, part) in [
            ("batch_size = 0", "batch_size", "at least 1"),
            ("batchsize = 1", "batchsize", "did you mean `batch_size`"),
            (
                "data.validatio = 1",
                "data.validatio",
                "did you mean `validation`",
            ),
            ("optimizer = 'lasr'", "optimizer", "lars"),
            ("model = 'mpl'", "model", "mlp"),
            (
                "optimizer = { name = 'sgd', nesterov = true }",
                "optimizer",
                "nesterov",
            ),
            (
                "optimizer = { name = 'sgd', groups = [{ parameters = '^outptu' }] }",
                "optimizer",
                "matches no parameter",
            ),
            ("stop.target = 0.9", "stop.target", "study's `stop`"),
            ("threads = 2", "threads", "top of the study"),
        ] {
            let base: Table = "dataset = 'digits'\nmodel = 'softmax'".parse().unwrap();
            let mut config = base.clone();
            config.extend(text.parse::<Table>().unwrap());
            let problem = trainer.check(&config).unwrap_err();
            assert!(
                problem.key.as_deref() == Some(key) && problem.message.contains(part),
                "{text}: {problem:?}"
            );
            trainer.check(&base).unwrap();
        }
    }

    #[test]
    fn fractions_of_epochs_are_steps() {
        let lab = Lab::standard();
        let config = "dataset = 'digits'\nmodel = 'softmax'\nbatch_size = 64\nepochs = 2.5\ndata.validation = 0".parse().unwrap();
        let experiment = trainer(&lab).open(&config).unwrap();
        // 1,437 examples: 23 steps an epoch.
        assert_eq!(
            (experiment.holdout.train.len(), experiment.total_steps),
            (1437, 58)
        );
    }

    /// 1,150 examples are 72 steps of 16 and 3 of 512: equal steps are equal, and examples are
    /// counted with the smaller last batches.
    #[test]
    fn lengths_of_a_budget_are_those_of_the_real_epochs() {
        let lab = Lab::standard();
        let steps = |budget: &str| {
            let config =
                format!("dataset = 'digits'\nmodel = 'softmax'\nbatch_size = 512\n{budget}")
                    .parse()
                    .unwrap();
            trainer(&lab)
                .open(&config)
                .map(|e| (e.holdout.train.len(), e.total_steps))
                .map_err(|e| e.to_string())
        };
        for (budget, wanted) in [
            ("budget = { epochs = 20, at_batch = 16 }", 1440),
            ("budget = { epochs = 0.5, at_batch = 16 }", 36),
            ("epochs = 2.5", 8),
            ("epochs = 1e-9", 1),
            // 512 + 512 + 126, and again.
            ("budget.examples = 2300", 6),
            ("budget.examples = 2301", 7),
            ("budget.examples = 1149", 3),
            // 512 + 512, and again.
            ("budget.examples = 2048\ndata.drop_last = true", 4),
            ("budget.examples = 2049\ndata.drop_last = true", 5),
        ] {
            assert_eq!(steps(budget), Ok((1150, wanted)), "{budget}");
        }
        for (budget, part) in [
            ("budget = { epochs = 20, at_batch = 2048 }", "epochs = 20"),
            ("epochs = 1e300", "epochs = 1000"),
            (
                "budget.examples = 9223372036854775807\ndata.drop_last = true\nbatch_schedule.name = 'multi-step'",
                "batch_schedule.at",
            ),
            (
                "batch_schedule = { name = 'multi-step', at.epochs = [1] }\nepochs = 9223372036854775807",
                "epochs = 9223372036854775807",
            ),
            (
                "epochs = 9223372036854775807",
                "epochs = 9223372036854775807",
            ),
            ("steps = 9223372036854775807", "steps = 9223372036854775807"),
        ] {
            let message = steps(budget).unwrap_err();
            assert!(message.contains(part), "{budget}: {message}");
        }
    }
}
