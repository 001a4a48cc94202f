//! Writes a run's folder: the log lines, checkpoints, and at the end the result and the weights.

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
}

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
        })
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
        let minutes = || self.last_checkpoint.elapsed().as_secs_f64() / 60.0;
        let log = &config.log;
        let layers = log.layers_every_steps;
        let layers = layers.is_some_and(|n| (step - 1).is_multiple_of(n));
        Wants {
            step: layers || step.is_multiple_of(log.every_steps),
            layers,
            checkpoint: every(checkpoint.every_steps)
                || checkpoint.every_minutes.is_some_and(|n| minutes() > n),
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
