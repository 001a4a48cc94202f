//! Writes a run's folder: the log lines, checkpoints, and at the end the result and the weights.

use std::cell::Cell;
use std::time::Instant;

use serde::Serialize;
use serde_json::json;

use crate::checkpoint::{Checkpoint, SCHEMA};
use crate::counters::Counters;
use crate::folder::{Log, RunFolder};
use crate::observer::{End, Evaluation, Observer, Snapshot, Step, Wants};
use crate::{Experiment, Stop, TrainError, to_safetensors};

pub(crate) struct Writer<'a> {
    experiment: &'a Experiment,
    /// The folder, with its lock.
    folder: RunFolder,
    events: Log,
    layers: Option<Log>,
    last_checkpoint: Instant,
    /// The step and the time at which the clock was read last, and the step to read it next.
    clock: Cell<(u64, Instant, u64)>,
}

/// Between two readings of the clock there are this many steps, if one takes less than `QUICK`
/// seconds: reading it would slow the steps of a small model by a tenth.
const UNTIMED: u64 = 64;
const QUICK: f64 = 1e-5;

impl<'a> Writer<'a> {
    /// Opens the folder's logs at the lengths that a resumed run's counters give.
    pub fn open(
        experiment: &'a Experiment,
        folder: RunFolder,
        counters: &Counters,
    ) -> Result<Self, TrainError> {
        let events = folder.log("events.jsonl", counters.events_length)?;
        let traced = experiment.config.log.layers_every_steps.is_some();
        let mut layers = traced
            .then(|| folder.log("layers.csv", counters.layers_length))
            .transpose()?;
        if let (Some(layers), 0) = (&mut layers, counters.layers_length) {
            layers.line(
                "step,path,weight_norm,gradient_norm,update_norm,trust_ratio,effective_rate",
            )?;
        }
        Ok(Writer {
            experiment,
            folder,
            events,
            layers,
            last_checkpoint: Instant::now(),
            clock: Cell::new((counters.step, Instant::now(), 0)),
        })
    }

    /// Whether a checkpoint is due by the clock.
    fn is_time(&self, step: u64) -> bool {
        let Some(minutes) = self.experiment.config.checkpoint.every_minutes else {
            return false;
        };
        let (before, then, next) = self.clock.get();
        if step < next {
            return false;
        }
        let now = Instant::now();
        let each = (now - then).as_secs_f64() / step.saturating_sub(before).max(1) as f64;
        let pause = if each < QUICK { UNTIMED } else { 1 };
        self.clock.set((step, now, step + pause));
        (now - self.last_checkpoint).as_secs_f64() / 60.0 > minutes
    }

    /// Writes a line of `events.jsonl`.
    fn event(&mut self, event: &str, fields: impl Serialize) -> Result<(), TrainError> {
        let mut line = json!({ "schema": SCHEMA, "event": event });
        if let (Some(line), Ok(serde_json::Value::Object(fields))) =
            (line.as_object_mut(), serde_json::to_value(fields))
        {
            line.extend(fields);
        }
        self.events.line(&line.to_string())
    }
}

impl Observer for Writer<'_> {
    fn wants(&self, step: u64) -> Wants {
        let config = &self.experiment.config;
        let checkpoint = &config.checkpoint;
        let every = |n: Option<u64>| n.is_some_and(|n| step.is_multiple_of(n));
        let log = &config.log;
        let layers = log.layers_every_steps;
        let layers = layers.is_some_and(|n| (step - 1).is_multiple_of(n));
        Wants {
            step: layers || step.is_multiple_of(log.every_steps),
            layers,
            checkpoint: every(checkpoint.every_steps) || self.is_time(step),
            ..Wants::NOTHING
        }
    }

    fn on_step(&mut self, step: &Step<'_>) -> Result<(), TrainError> {
        if let Some(rows) = step.layers {
            self.event("layers", json!({ "step": step.step, "layers": rows }))?;
        }
        if let (Some(layers), Some(rows)) = (&mut self.layers, step.layers) {
            for r in rows {
                let ratio = r.trust_ratio.map_or(String::new(), |r| r.to_string());
                layers.line(&format!(
                    "{},{},{},{},{},{ratio},{}",
                    step.step, r.path, r.w, r.g, r.delta, r.rate
                ))?;
            }
        }
        if let Some(loss) = step.mean_loss {
            self.event(
                "step",
                json!({
                    "step": step.step, "examples": step.examples, "lr": step.lr,
                    "loss": loss.is_finite().then_some(loss),
                }),
            )?;
        }
        Ok(())
    }

    fn on_evaluation(&mut self, evaluation: &Evaluation) -> Result<(), TrainError> {
        self.event("evaluation", evaluation)?;
        self.events.flush().map(drop)
    }

    fn on_checkpoint(&mut self, at: &Snapshot<'_>) -> Result<(), TrainError> {
        self.last_checkpoint = Instant::now();
        // After a power loss a checkpoint must find the log lines that it counts.
        let mut progress = at.counters.clone();
        progress.events_length = self.events.sync()?;
        if let Some(layers) = &mut self.layers {
            progress.layers_length = layers.sync()?;
        }
        let checkpoint = Checkpoint {
            model: to_safetensors(at.network, Some(&self.experiment.model_data()))?,
            optimizer: at.driver.save(),
            progress,
        };
        checkpoint
            .save(
                &self.folder.checkpoints(),
                self.experiment.config.checkpoint.keep,
            )
            .map(drop)
    }

    fn on_end(&mut self, end: &End<'_>) -> Result<(), TrainError> {
        self.events.flush()?;
        if let Some(layers) = &mut self.layers {
            layers.flush()?;
        }
        if end.outcome.stop == Stop::Interrupted {
            return Ok(());
        }
        let weights = to_safetensors(end.network, Some(&self.experiment.model_data()))?;
        self.folder.finish(end.outcome, &weights)
    }
}
