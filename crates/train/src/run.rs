//! The training loop.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use burn::tensor::Tensor;
use largebatch_data::Position;
use largebatch_models::Network;
use largebatch_optim::{
    ClipForm, Driver, GlobalClip, LayerTrace, clip_by_global_norm, clip_by_value,
};
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::checkpoint::{self, Checkpoint, SCHEMA};
use crate::divergence::Divergence;
use crate::experiment::{Experiment, Split, scalar};
use crate::folder::{Log, RunFolder};
use crate::gradients::StepKeys;
use crate::observer::{Evaluation, Observer, Start, Step};
use crate::{Metrics, TrainError, device, from_safetensors, nullable, to_safetensors};

/// Why training ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stop {
    /// The budget of epochs or steps is used up.
    Finished,
    /// Validation reached the target.
    TargetReached,
    /// Validation has not improved for `stop.patience` evaluations.
    NoImprovement,
    /// An observer asked to stop.
    Observer,
    /// The loss was NaN or infinite, or exceeded the bound of
    /// [`stop.divergence`](crate::StopConfig::divergence) for a number of steps.
    Diverged,
    /// An interrupt was requested; a checkpoint is on the disk.
    Interrupted,
}

/// The result of a run.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Outcome {
    /// The layout version of the file.
    pub schema: u32,
    /// The data set's name.
    pub dataset: String,
    /// The model's name.
    pub model: String,
    /// The optimizer's name.
    pub optimizer: String,
    /// The device's name.
    pub device: String,
    /// The seed.
    pub seed: u64,
    /// Examples per step at the start.
    pub batch_size: usize,
    /// The base learning rate.
    pub lr: f64,
    /// The learning rate after scaling with the batch size: the rate that the schedule multiplies.
    #[serde(default)]
    pub peak_lr: f64,
    /// Optimizer steps done.
    pub steps: u64,
    /// Whole epochs done.
    pub epochs: u64,
    /// Why training ended.
    pub stop: Stop,
    /// Mean loss over the last whole epoch, or over all steps if there was none; `null` if it is
    /// not finite.
    pub train_loss: Option<f64>,
    /// Training accuracy over the same steps.
    pub train_accuracy: Option<f64>,
    /// Validation accuracy at the end; `null` for real targets, after divergence, and if nothing is
    /// held out.
    pub validation_accuracy: Option<f64>,
    /// Test accuracy at the end, the only use of the test part; `null` if [`Controls::test`] is
    /// off.
    pub test_accuracy: Option<f64>,
    /// The majority-class baseline on the validation part: the accuracy of always predicting the
    /// training part's most frequent class. `null` for real targets and if nothing is held out.
    #[serde(default)]
    pub validation_majority_accuracy: Option<f64>,
    /// The majority-class baseline on the test part; also `null` if the test part was not
    /// evaluated.
    #[serde(default)]
    pub test_majority_accuracy: Option<f64>,
    /// All validation metrics at the end.
    pub validation: Option<Metrics>,
    /// All test metrics at the end.
    pub test: Option<Metrics>,
    /// Training examples per second, without the time of evaluations and checkpoints.
    pub examples_per_second: f64,
    /// Seconds of training, without evaluations and checkpoints.
    pub seconds: f64,
    /// The run's folder.
    pub out: Option<String>,
}

/// Counters and sums with which a resumed run continues.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct Counters {
    /// Optimizer steps.
    pub step: u64,
    /// Examples seen.
    pub examples: u64,
    /// The position of the next batch.
    pub position: Position,
    /// The divergence verdict so far; absent before the first step.
    #[serde(default)]
    divergence: Option<Divergence>,
    /// Sums over this epoch so far.
    epoch: Sums,
    last_epoch: Option<Sums>,
    best_validation: Option<f64>,
    evaluations_since_best: u64,
    /// Sums since the last line of `events.jsonl`.
    logged: Sums,
    /// Sums since the last evaluation.
    #[serde(default)]
    recent: Sums,
    seconds: f64,
    events_length: u64,
    layers_length: u64,
}

/// Sums over steps.
#[derive(Clone, Copy, PartialEq, Debug, Default, Serialize, Deserialize)]
struct Sums {
    #[serde(with = "nullable")]
    loss: f64,
    correct: Option<f64>,
    examples: u64,
}

impl Sums {
    fn mean_loss(&self) -> f64 {
        self.loss / self.examples as f64
    }

    fn accuracy(&self) -> Option<f64> {
        self.correct.map(|c| c / self.examples as f64)
    }
}

/// Losses and counts of correct examples that are still on the device.
#[derive(Default)]
struct Pending(Vec<(usize, Vec<Tensor<1>>, Vec<Tensor<1>>)>);

/// What a training needs besides the experiment.
pub struct Controls<'a> {
    /// The run's folder; without it, nothing is written.
    pub folder: Option<&'a RunFolder>,
    /// Observers to call.
    pub observers: Vec<&'a mut dyn Observer>,
    /// Set by a signal handler: training then writes a checkpoint and returns.
    pub interrupt: &'a AtomicBool,
    /// Whether to evaluate the test part at the end; a trial that only tunes must not see it.
    pub test: bool,
    /// How many training examples, spread evenly over the training part, each evaluation also
    /// measures with the current weights. (The mean loss of the training steps comes from weights
    /// that have changed since.)
    pub fitted: usize,
}

impl Default for Controls<'_> {
    fn default() -> Self {
        static NEVER: AtomicBool = AtomicBool::new(false);
        Controls {
            folder: None,
            observers: Vec::new(),
            interrupt: &NEVER,
            test: true,
            fitted: 0,
        }
    }
}

/// Trains from the start, or from the folder's newest checkpoint, and evaluates at the end.
///
/// Returns the run's outcome and the trained network.
///
/// # Errors
/// Errors of the data, the model and the file system. Divergence is an outcome, not an error.
pub fn train<'a>(
    experiment: &'a Experiment,
    controls: Controls<'a>,
) -> Result<(Outcome, Network), TrainError> {
    Training::start(experiment, controls)?.run()
}

struct Training<'a> {
    experiment: &'a Experiment,
    controls: Controls<'a>,
    network: Option<Network>,
    driver: Driver,
    order: largebatch_data::Order,
    progress: Counters,
    pending: Pending,
    last_step_loss: Option<f64>,
    last_evaluation: Option<Evaluation>,
    events: Option<Log>,
    layers: Option<Log>,
    last_checkpoint: Instant,
    /// Keeps the folder's lock.
    _locked: Option<RunFolder>,
}

impl<'a> Training<'a> {
    fn start(experiment: &'a Experiment, controls: Controls<'a>) -> Result<Self, TrainError> {
        let locked = controls
            .folder
            .map(|folder| folder.clone().locked())
            .transpose()?;
        let mut network = experiment.initial_model()?.network;
        let config = &experiment.config;
        let mut driver = Driver::new(&*experiment.optimizer, &network)?;
        let mut order = experiment.order()?;
        let mut progress = Counters::default();
        if let Some(folder) = controls.folder
            && let Some(checkpoint) = Checkpoint::newest(&folder.checkpoints())?
        {
            network = from_safetensors(network, &checkpoint.model, &folder.checkpoints())?;
            checkpoint::tidy(&folder.checkpoints(), config.checkpoint.keep)?;
            driver
                .load(&checkpoint.optimizer)
                .map_err(|e| TrainError::folder(&folder.checkpoints(), e.to_string()))?;
            order.seek(checkpoint.progress.position);
            progress = checkpoint.progress;
        }
        if progress.divergence.is_none() {
            progress.divergence = Some(Divergence::new(experiment.divergence_unit(&network)?));
        }
        let traced = experiment.config.log.layers_every_steps.is_some();
        let events = controls
            .folder
            .map(|f| f.log("events.jsonl", progress.events_length))
            .transpose()?;
        let mut layers = controls
            .folder
            .filter(|_| traced)
            .map(|f| f.log("layers.csv", progress.layers_length))
            .transpose()?;
        if let (Some(layers), 0) = (&mut layers, progress.layers_length) {
            layers.line(
                "step,path,weight_norm,gradient_norm,update_norm,trust_ratio,effective_rate",
            )?;
        }
        let mut training = Training {
            experiment,
            controls,
            driver,
            order,
            progress,
            pending: Pending::default(),
            last_step_loss: None,
            last_evaluation: None,
            events,
            layers,
            last_checkpoint: Instant::now(),
            _locked: locked,
            network: None,
        };
        let start = Start {
            experiment,
            step: training.progress.step,
            parameters: network.parameter_count(),
            network: &network,
        };
        training
            .controls
            .observers
            .iter_mut()
            .for_each(|o| o.on_start(&start));
        training.network = Some(network);
        Ok(training)
    }

    fn network(&self) -> &Network {
        self.network
            .as_ref()
            .expect("the network is absent only while the optimizer updates it")
    }

    fn weights(&self) -> Result<Vec<u8>, TrainError> {
        to_safetensors(self.network(), Some(&self.experiment.model_data()))
    }

    fn run(mut self) -> Result<(Outcome, Network), TrainError> {
        let stop = loop {
            if self.progress.step >= self.experiment.total_steps {
                break Stop::Finished;
            }
            if self.controls.interrupt.load(Ordering::Relaxed) {
                self.checkpoint()?;
                break Stop::Interrupted;
            }
            if let Some(stop) = self.step()? {
                break stop;
            }
        };
        self.end(stop)
    }

    fn step(&mut self) -> Result<Option<Stop>, TrainError> {
        let started = Instant::now();
        let (experiment, config) = (self.experiment, &self.experiment.config);
        let planned = experiment.next_batch(self.progress.position);
        let (epoch, indices) = self.order.next(planned.size);
        let lr = experiment.lr(self.progress.step, &planned);
        let keys = StepKeys {
            augment: experiment.key("augment").number(epoch),
            dropout: experiment.key("dropout").number(self.progress.step),
        };
        let network = self
            .network
            .take()
            .expect("the network is absent only while the optimizer updates it");
        let ahead = self.driver.ahead(&network);
        let at = ahead.as_ref().unwrap_or(&network);
        let (gradient, norms) = if self.controls.observers.iter().any(|o| o.wants_norms()) {
            experiment.gradient_with_norms(at, &indices, keys)?
        } else {
            (experiment.gradient(at, &indices, keys)?, None)
        };
        drop(ahead);
        let mut gradients = gradient.gradients;
        if let Some(bound) = config.clip_value {
            gradients = clip_by_value(gradients, &network, bound);
        }
        for clip in config
            .clip_norm
            .map(|max_norm| GlobalClip {
                max_norm,
                form: ClipForm::Torch,
            })
            .into_iter()
            .chain(self.driver.global_clip())
        {
            gradients = clip_by_global_norm(gradients, &network, clip).0;
        }
        let step = self.progress.step + 1;
        let traced = config
            .log
            .layers_every_steps
            .is_some_and(|every| (step - 1).is_multiple_of(every));
        let network = if traced {
            let (network, rows) = self.driver.step_traced(lr, network, gradients);
            self.write_layers(step, &rows)?;
            network
        } else {
            self.driver.step(lr, network, gradients)
        };
        self.network = Some(network.update_running(gradient.statistics));
        self.pending
            .0
            .push((indices.len(), gradient.loss, gradient.correct));
        self.progress.step = step;
        self.progress.examples += indices.len() as u64;
        self.progress.position = self.order.position();

        let epoch_ends = self.at_epoch_end();
        let last = step >= experiment.total_steps;
        let log_due = step.is_multiple_of(config.log.every_steps);
        let evaluate = match config.log.evaluate_every_steps {
            Some(every) => step.is_multiple_of(every) || last,
            None => epoch_ends || last,
        };
        let free = device::reads_are_free(&config.device);
        let mut diverged = false;
        if free || log_due || evaluate || epoch_ends {
            diverged = self.read_losses();
        }
        self.progress.seconds += started.elapsed().as_secs_f64();
        let report = Step {
            step,
            epoch,
            examples: self.progress.examples,
            batch: indices.len(),
            lr,
            loss: self.last_step_loss.filter(|_| free || log_due),
            network: self.network.as_ref().expect("just set"),
            driver: &self.driver,
            norms: norms.as_ref(),
        };
        self.controls
            .observers
            .iter_mut()
            .for_each(|o| o.on_step(&report));
        if log_due || diverged {
            self.write_step(lr)?;
        }
        if diverged {
            return Ok(Some(Stop::Diverged));
        }
        let stop = if evaluate || epoch_ends {
            self.evaluate(evaluate)?
        } else {
            None
        };
        if epoch_ends {
            self.progress.last_epoch = Some(std::mem::take(&mut self.progress.epoch));
        }
        if stop.is_none() && !last && self.checkpoint_due() {
            self.checkpoint()?;
        }
        Ok(stop)
    }

    /// Whether the next batch belongs to a new epoch.
    fn at_epoch_end(&self) -> bool {
        let position = self.progress.position;
        self.experiment.next_batch(position).epoch as u64 > position.epoch
    }

    fn whole_epochs(&self) -> u64 {
        self.progress.position.epoch + u64::from(self.at_epoch_end())
    }

    /// Reads the pending losses from the device into the sums, in order; returns whether training
    /// has diverged.
    fn read_losses(&mut self) -> bool {
        let (epoch, factor) = (
            self.experiment.holdout.train.len(),
            self.experiment.config.stop.divergence,
        );
        let divergence = self
            .progress
            .divergence
            .get_or_insert_with(|| Divergence::new(None));
        for (n, losses, correct) in self.pending.0.drain(..) {
            let sum: f64 = losses.into_iter().map(scalar).sum();
            self.progress.epoch.loss += sum;
            self.progress.epoch.examples += n as u64;
            if !correct.is_empty() {
                *self.progress.epoch.correct.get_or_insert(0.0) +=
                    correct.into_iter().map(scalar).sum::<f64>();
            }
            for sums in [&mut self.progress.logged, &mut self.progress.recent] {
                sums.loss += sum;
                sums.examples += n as u64;
            }
            let mean = sum / n as f64;
            self.last_step_loss = Some(mean);
            divergence.see(mean, n, epoch, factor);
        }
        divergence.found()
    }

    fn evaluate(&mut self, validate: bool) -> Result<Option<Stop>, TrainError> {
        let validation = if validate {
            self.experiment
                .evaluate(self.network(), Split::Validation)?
        } else {
            None
        };
        let fitted = if validate {
            self.experiment
                .fitted(self.network(), self.controls.fitted)?
        } else {
            None
        };
        let evaluation = Evaluation {
            step: self.progress.step,
            epoch: self.whole_epochs(),
            examples: self.progress.examples,
            train_loss: self.progress.epoch.mean_loss(),
            recent_loss: std::mem::take(&mut self.progress.recent).mean_loss(),
            train_accuracy: self.progress.epoch.accuracy(),
            fitted,
            validation,
        };
        self.controls
            .observers
            .iter_mut()
            .for_each(|o| o.on_evaluation(&evaluation));
        if let Some(events) = &mut self.events {
            let mut line = json!({ "schema": SCHEMA, "event": "evaluation" });
            if let (Some(line), Ok(serde_json::Value::Object(fields))) =
                (line.as_object_mut(), serde_json::to_value(&evaluation))
            {
                line.extend(fields);
            }
            events.line(&line.to_string())?;
            events.flush()?;
        }
        self.last_evaluation = Some(evaluation);
        if validation.is_some_and(|v| !v.loss.is_finite()) {
            return Ok(Some(Stop::Diverged));
        }
        if self.controls.observers.iter().any(|o| o.stop()) {
            return Ok(Some(Stop::Observer));
        }
        let Some(validation) = validation else {
            return Ok(None);
        };
        let stop = &self.experiment.config.stop;
        if stop.target.is_some_and(|target| validation.reaches(target)) {
            return Ok(Some(Stop::TargetReached));
        }
        if self
            .progress
            .best_validation
            .is_none_or(|best| validation.loss < best)
        {
            self.progress.best_validation = Some(validation.loss);
            self.progress.evaluations_since_best = 0;
        } else {
            self.progress.evaluations_since_best += 1;
        }
        let stale = stop
            .patience
            .is_some_and(|patience| self.progress.evaluations_since_best >= patience);
        Ok(stale.then_some(Stop::NoImprovement))
    }

    fn write_step(&mut self, lr: f64) -> Result<(), TrainError> {
        let logged = std::mem::take(&mut self.progress.logged);
        if let Some(events) = &mut self.events {
            let loss = logged.mean_loss();
            let line = json!({
                "schema": SCHEMA, "event": "step", "step": self.progress.step, "examples": self.progress.examples,
                "lr": lr, "loss": loss.is_finite().then_some(loss),
            });
            events.line(&line.to_string())?;
        }
        Ok(())
    }

    fn write_layers(&mut self, step: u64, rows: &[LayerTrace]) -> Result<(), TrainError> {
        if let Some(events) = &mut self.events {
            let rows: Vec<_> = rows
                .iter()
                .map(|r| json!({"path": r.path, "w": r.w, "g": r.g, "delta": r.delta, "trust_ratio": r.trust_ratio, "rate": r.rate}))
                .collect();
            events.line(
                &json!({ "schema": SCHEMA, "event": "layers", "step": step, "layers": rows })
                    .to_string(),
            )?;
        }
        if let Some(layers) = &mut self.layers {
            for r in rows {
                let ratio = r
                    .trust_ratio
                    .map_or(String::new(), |ratio| ratio.to_string());
                layers.line(&format!(
                    "{step},{},{},{},{},{ratio},{}",
                    r.path, r.w, r.g, r.delta, r.rate
                ))?;
            }
        }
        Ok(())
    }

    fn checkpoint_due(&self) -> bool {
        let config = &self.experiment.config.checkpoint;
        config
            .every_steps
            .is_some_and(|every| self.progress.step.is_multiple_of(every))
            || config.every_minutes.is_some_and(|minutes| {
                self.last_checkpoint.elapsed().as_secs_f64() > 60.0 * minutes
            })
    }

    fn checkpoint(&mut self) -> Result<(), TrainError> {
        self.last_checkpoint = Instant::now();
        let Some(folder) = self.controls.folder else {
            return Ok(());
        };
        self.read_losses();
        // After a power loss a checkpoint must find the log lines that it counts.
        if let Some(events) = &mut self.events {
            self.progress.events_length = events.sync()?;
        }
        if let Some(layers) = &mut self.layers {
            self.progress.layers_length = layers.sync()?;
        }
        let checkpoint = Checkpoint {
            model: self.weights()?,
            optimizer: self.driver.save(),
            progress: self.progress.clone(),
        };
        let place = checkpoint.save(
            &folder.checkpoints(),
            self.experiment.config.checkpoint.keep,
        )?;
        let step = self.progress.step;
        self.controls
            .observers
            .iter_mut()
            .for_each(|o| o.on_checkpoint(step, &place));
        Ok(())
    }

    fn end(mut self, stop: Stop) -> Result<(Outcome, Network), TrainError> {
        let config = &self.experiment.config;
        let whole = matches!(
            stop,
            Stop::Finished | Stop::TargetReached | Stop::NoImprovement | Stop::Observer
        );
        let (mut validation, mut test) = (None, None);
        if whole {
            validation = self
                .last_evaluation
                .as_ref()
                .filter(|e| e.step == self.progress.step)
                .and_then(|e| e.validation);
            if validation.is_none() {
                validation = self
                    .experiment
                    .evaluate(self.network(), Split::Validation)?;
            }
            if self.controls.test {
                test = self.experiment.evaluate(self.network(), Split::Test)?;
            }
        }
        let sums = self
            .progress
            .last_epoch
            .filter(|_| whole)
            .unwrap_or(self.progress.epoch);
        let seconds = self.progress.seconds;
        let [validation_majority, test_majority] = self
            .experiment
            .dataset
            .majority_accuracy(&self.experiment.holdout);
        let outcome = Outcome {
            schema: SCHEMA,
            dataset: config.dataset.name.clone(),
            model: config.model.name.clone(),
            optimizer: config.optimizer.name.clone(),
            device: config.device.clone(),
            seed: config.seed,
            batch_size: config.batch_size.unwrap_or_default(),
            lr: config.lr.unwrap_or_default(),
            peak_lr: config.peak_lr().unwrap_or_default(),
            steps: self.progress.step,
            epochs: self.whole_epochs(),
            stop,
            train_loss: Some(sums.mean_loss()).filter(|loss| loss.is_finite()),
            train_accuracy: sums.accuracy(),
            validation_accuracy: validation.and_then(|m| m.accuracy),
            test_accuracy: test.and_then(|m| m.accuracy),
            validation_majority_accuracy: validation_majority,
            test_majority_accuracy: test_majority.filter(|_| test.is_some()),
            validation,
            test,
            examples_per_second: if seconds > 0.0 {
                self.progress.examples as f64 / seconds
            } else {
                0.0
            },
            seconds,
            out: self.controls.folder.map(|f| f.path().display().to_string()),
        };
        if let Some(events) = &mut self.events {
            events.flush()?;
        }
        if let Some(layers) = &mut self.layers {
            layers.flush()?;
        }
        if let (Some(folder), true) = (self.controls.folder, stop != Stop::Interrupted) {
            folder.finish(&outcome, &self.weights()?)?;
        }
        self.controls
            .observers
            .iter_mut()
            .for_each(|o| o.on_end(&outcome));
        let network = self
            .network
            .take()
            .expect("the network is absent only while the optimizer updates it");
        Ok((outcome, network))
    }
}

/// Loads a network from a run's folder or a safetensors file, for evaluation and probes.
///
/// # Errors
/// Weights of another model, and file system errors.
pub fn load_network(
    experiment: &Experiment,
    weights: &[u8],
    place: &Path,
) -> Result<Network, TrainError> {
    from_safetensors(experiment.initial_model()?.network, weights, place)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A loss beyond f32 that was read for a checkpoint is in the checkpoint's sums.
    #[test]
    fn progress_with_a_loss_that_is_not_finite_is_read() {
        let beyond = Sums {
            loss: f64::INFINITY,
            correct: None,
            examples: 4,
        };
        let progress = Counters {
            step: 3,
            epoch: beyond,
            last_epoch: Some(beyond),
            logged: beyond,
            recent: beyond,
            ..Counters::default()
        };
        let read: Counters =
            serde_json::from_str(&serde_json::to_string(&progress).unwrap()).unwrap();
        assert!(
            read.step == 3
                && read.epoch.loss.is_nan()
                && read.last_epoch.is_some_and(|sums| sums.loss.is_nan()),
            "{read:?}"
        );
    }
}
