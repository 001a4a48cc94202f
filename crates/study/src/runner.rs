//! Running one trial to its record.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use crate::event::{Curves, Event, Started, StopReason};
use crate::record::{Provenance, SCHEMA, TrialRecord};
use crate::trial::{Trial, without_seed};

/// How a runner's training ended.
#[derive(Clone, PartialEq, Debug)]
pub struct TrialResult {
    /// Whether the loss was not finite, or exceeded the trainer's bound.
    pub diverged: bool,
    /// Final metrics by name: `train_loss`, the validation metric under its name, `train_accuracy`,
    /// and only in stage confirm `test_accuracy` and `test_examples`, the size of the test part,
    /// which the binomial error of the accuracy needs.
    pub metrics: BTreeMap<String, f64>,
    /// Steps done.
    pub steps: u64,
    /// Examples seen.
    pub examples: u64,
    /// Host, device name, versions, memory, paths. `version` is the program's; the report warns if
    /// it varies. Under [`SOURCES`](crate::SOURCES) it lists the files that the trial read: trials
    /// on different data are not compared.
    pub provenance: BTreeMap<String, serde_json::Value>,
}

/// The trainer's side of a study.
///
/// Emit [`Event::Started`] first, then an [`Event::Point`] at every evaluation. On
/// [`ControlFlow::Break`], end training at once, evaluate, and return as usual. Only a trial of
/// [`Stage::Confirm`](crate::Stage::Confirm) may read the test part.
///
/// # Errors
/// A message that is the same for every repetition of the trial; it becomes [`StopReason::Failed`].
pub trait Runner {
    /// Runs one trial to its end.
    fn run(
        &self,
        trial: &Trial,
        emit: &mut dyn FnMut(Event) -> ControlFlow<()>,
    ) -> Result<TrialResult, String>;
}

/// Runs a trial in this process: collects its curves, applies its stop rules, and makes its record.
/// `watch` receives every event.
pub(crate) fn execute(
    runner: &dyn Runner,
    trial: &Trial,
    watch: &mut dyn FnMut(&Event),
) -> TrialRecord {
    let (clock, mut started, mut curves, mut stop) =
        (Instant::now(), None::<Started>, Curves::default(), None);
    let outcome = runner.run(trial, &mut |event| {
        watch(&event);
        match event {
            Event::Started(s) => started = Some(s),
            Event::Point {
                step,
                examples,
                train_loss,
                validation,
                fitted_loss,
            } => {
                curves.step.push(step);
                curves.examples.push(examples);
                // As the journal stores them, so that a record is the same before and after writing
                // it to disk.
                curves.train_loss.push(if train_loss.is_finite() {
                    train_loss
                } else {
                    f64::NAN
                });
                curves
                    .validation
                    .push(validation.filter(|v| v.is_finite()).unwrap_or(f64::NAN));
                if fitted_loss.is_some() || !curves.fitted_loss.is_empty() {
                    curves.fitted_loss.resize(curves.step.len(), f64::NAN);
                    curves.fitted_loss[curves.step.len() - 1] =
                        fitted_loss.filter(|v| v.is_finite()).unwrap_or(f64::NAN);
                }
                if stop.is_none()
                    && let Some(started) = &started
                {
                    stop = trial.stop.judge(started, &curves);
                }
            }
        }
        if stop.is_some() {
            ControlFlow::Break(())
        } else {
            ControlFlow::Continue(())
        }
    });
    let (stop, outcome) = match outcome {
        Ok(outcome) if outcome.diverged => (StopReason::Diverged, Some(outcome)),
        Ok(outcome) => (stop.unwrap_or(StopReason::Finished), Some(outcome)),
        Err(message) => (StopReason::Failed { message }, None),
    };
    let mut record = TrialRecord {
        curves,
        stop,
        ..unstarted(trial)
    };
    if let Some(started) = started {
        record.train_examples = started.train_examples;
        record.epochs = started.epochs;
        record.budget_steps = started.budget_steps;
        record.metric = started.metric;
        record.higher_is_better = started.higher_is_better;
    }
    if let Some(outcome) = outcome {
        (record.steps, record.examples, record.metrics) =
            (outcome.steps, outcome.examples, outcome.metrics);
        record.provenance.other = outcome.provenance;
    } else {
        record.steps = record.curves.step.last().copied().unwrap_or(0);
        record.examples = record.curves.examples.last().copied().unwrap_or(0);
    }
    record.provenance.seconds = clock.elapsed().as_secs_f64();
    record
}

/// The record of a trial about which nothing is known except that it begins now.
pub(crate) fn unstarted(trial: &Trial) -> TrialRecord {
    TrialRecord {
        schema: SCHEMA,
        id: trial.id.clone(),
        labels: Arc::new(trial.labels.clone()),
        stage: trial.stage,
        seed: trial.seed,
        stop: StopReason::Failed {
            message: String::new(),
        },
        steps: 0,
        examples: 0,
        train_examples: 0,
        epochs: None,
        budget_steps: 0,
        metric: String::new(),
        higher_is_better: true,
        metrics: BTreeMap::new(),
        curves: Curves::default(),
        threads: trial.threads,
        config: Arc::new(without_seed(&trial.config)),
        provenance: Provenance {
            started: SystemTime::now()
                .duration_since(UNIX_EPOCH)
                .map_or(0, |d| d.as_secs()),
            ..Provenance::default()
        },
    }
}
