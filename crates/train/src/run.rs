//! The training loop.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use largebatch_models::Network;

use crate::Controls;
use crate::checkpoint::{self, Checkpoint, SCHEMA};
use crate::counters::{Counters, Unread};
use crate::divergence::Divergence;
use crate::folder::RunFolder;
use crate::observer::{End, Evaluation, Observer, Snapshot, Start, Step, Wants};
use crate::ranks::Ranks;
use crate::trainer::{Trained, Trainer};
use crate::writer::Writer;
use crate::{Experiment, Outcome, Split, Stop, TrainError, device, from_safetensors};

/// Trains from the start, or from the folder's newest checkpoint, and evaluates at the end.
///
/// Returns the run's outcome and the trained network.
///
/// # Errors
/// Errors of the data, the model, the file system and the observers. Divergence is an outcome, not
/// an error.
pub fn train(
    experiment: &Experiment,
    controls: Controls<'_>,
) -> Result<(Outcome, Network), TrainError> {
    let folder = controls
        .folder
        .cloned()
        .map(RunFolder::locked)
        .transpose()?;
    let peers = controls.peers.filter(|peers| peers.count() > 1);
    let ranks = peers.map(|peers| Ranks::new(peers, experiment));
    let ranks = ranks.transpose()?;
    let checkpoints = folder.as_ref().map(RunFolder::checkpoints);
    let mut newest = match &checkpoints {
        Some(checkpoints) => Checkpoint::newest(checkpoints)?,
        None => None,
    };
    if let Some(ranks) = &ranks {
        newest = ranks.checkpoint(newest)?;
    }
    let mut network = experiment.initial_model()?.network;
    let mut trainer = Trainer::new(experiment, &network, controls.on_graph)?;
    trainer = trainer.shared(ranks, &network);
    let mut counters = Counters::default();
    if let Some(checkpoint) = newest {
        if let Some(checkpoints) = &checkpoints {
            checkpoint::tidy(checkpoints, experiment.config.checkpoint.keep)?;
        }
        let checkpoints = checkpoints.unwrap_or_else(|| "the checkpoints of rank 0".into());
        network = from_safetensors(network, &checkpoint.model, &checkpoints)?;
        counters = checkpoint.progress;
        trainer
            .seek(&counters, &checkpoint.optimizer)
            .map_err(|e| TrainError::folder(&checkpoints, e.to_string()))?;
    }
    if counters.divergence.is_none() {
        counters.divergence = Some(Divergence::new(experiment.divergence_unit(&network)?));
    }
    let out = folder.as_ref().map(|f| f.path().display().to_string());
    let mut writer = folder
        .map(|folder| Writer::open(experiment, folder, &counters))
        .transpose()?;
    let mut observers: Vec<&mut dyn Observer> = Vec::new();
    // First, so that the others find on the disk what it has written.
    observers.extend(writer.as_mut().map(|writer| writer as &mut dyn Observer));
    for observer in controls.observers {
        observers.push(observer);
    }
    let mut training = Training {
        experiment,
        observers,
        fitted: controls.fitted,
        trainer,
        counters,
        seeing: Vec::new(),
        since: None,
        unread: Vec::new(),
        last_loss: None,
        last_evaluation: None,
    };
    let (network, stop) = training.run(network, controls.interrupt)?;
    let outcome = training.outcome(&network, stop, controls.test, out)?;
    let state_bytes = training.trainer.state_bytes();
    training.trainer.make_whole()?;
    let Training {
        mut observers,
        trainer,
        ..
    } = training;
    let end = End {
        outcome: &outcome,
        network: &network,
        driver: trainer.driver(),
        state_bytes,
    };
    observers.iter_mut().try_for_each(|o| o.on_end(&end))?;
    Ok((outcome, network))
}

struct Training<'a> {
    experiment: &'a Experiment,
    observers: Vec<&'a mut dyn Observer>,
    fitted: usize,
    trainer: Trainer<'a>,
    counters: Counters,
    /// Which observers see the step.
    seeing: Vec<bool>,
    /// The start of the steps whose time is not counted yet.
    since: Option<Instant>,
    /// Steps whose losses are still on the device.
    unread: Vec<Unread>,
    /// The mean loss of the last step, once it has been read.
    last_loss: Option<f64>,
    last_evaluation: Option<Evaluation>,
}

/// What is due after a step.
struct Due {
    log: bool,
    evaluation: bool,
    epoch_end: bool,
}

impl Training<'_> {
    fn run(
        &mut self,
        mut network: Network,
        interrupt: &AtomicBool,
    ) -> Result<(Network, Stop), TrainError> {
        let start = Start {
            experiment: self.experiment,
            step: self.counters.step,
            parameters: network.parameter_count(),
            network: &network,
            graph: self.trainer.graph(),
        };
        self.tell(|o| o.on_start(&start))?;
        let mut stop = None;
        while stop.is_none() && !self.is_over() {
            self.since.get_or_insert_with(Instant::now);
            let (wants, interrupted) = self.agreed(interrupt.load(Ordering::Relaxed));
            if interrupted {
                network = self.trainer.up_to_date(network);
                self.checkpoint(&network)?;
                stop = Some(Stop::Interrupted);
            } else {
                (network, stop) = self.step(network, wants)?;
            }
        }
        self.stop_clock();
        let network = self.trainer.up_to_date(network);
        Ok((network, stop.unwrap_or(Stop::Finished)))
    }

    fn step(
        &mut self,
        network: Network,
        wants: Wants,
    ) -> Result<(Network, Option<Stop>), TrainError> {
        let (network, trained, unread) = self.trainer.step(network, wants)?;
        let due = self.count(unread);
        self.show(wants.network.then_some(&network), &trained, &due)?;
        let stop = self.judge(&network, &due)?;
        if wants.checkpoint && stop.is_none() && !self.is_over() {
            self.checkpoint(&network)?;
        }
        Ok((network, stop))
    }

    /// Whether the budget is used up.
    fn is_over(&self) -> bool {
        self.counters.step >= self.experiment.total_steps
    }

    /// What the observers together want of the next step, and whether the training is interrupted:
    /// the same in all processes.
    fn agreed(&mut self, mut interrupted: bool) -> (Wants, bool) {
        let step = self.counters.step + 1;
        self.seeing.clear();
        let mut wants = self.observers.iter().fold(Wants::NOTHING, |all, o| {
            let wants = o.wants(step);
            self.seeing.push(wants.step);
            all.or(wants)
        });
        if let Some(ranks) = self.trainer.ranks() {
            ranks.agree([
                &mut interrupted,
                &mut wants.network,
                &mut wants.norms,
                &mut wants.layers,
                &mut wants.checkpoint,
            ]);
        }
        (wants, interrupted)
    }

    /// Counts a step, and reads its loss if that is free or due.
    fn count(&mut self, unread: Unread) -> Due {
        let (experiment, log) = (self.experiment, &self.experiment.config.log);
        let counters = &mut self.counters;
        counters.step += 1;
        counters.examples += unread.examples as u64;
        counters.position = self.trainer.position();
        let epoch_end = counters.at_epoch_end(experiment);
        let step = counters.step;
        let due = Due {
            log: step.is_multiple_of(log.every_steps),
            evaluation: self.is_over()
                || match log.evaluate_every_steps {
                    Some(every) => step.is_multiple_of(every),
                    None => epoch_end,
                },
            epoch_end,
        };
        if device::reads_are_free(&experiment.config.device) {
            self.last_loss = Some(self.counters.add(unread, experiment));
            return due;
        }
        self.unread.push(unread);
        self.last_loss = None;
        if due.log || due.evaluation || due.epoch_end {
            self.read_losses();
        }
        due
    }

    /// Counts the time of the steps since the clock started, before something else is done.
    fn stop_clock(&mut self) {
        if let Some(since) = self.since.take() {
            self.counters.seconds += since.elapsed().as_secs_f64();
        }
    }

    /// Reads the losses that are still on the device into the sums, in order.
    fn read_losses(&mut self) {
        for unread in self.unread.drain(..) {
            self.last_loss = Some(self.counters.add(unread, self.experiment));
        }
    }

    /// Shows the step to the observers that want it, and to all if the training diverges here.
    fn show(&mut self, of: Option<&Network>, done: &Trained, due: &Due) -> Result<(), TrainError> {
        let diverged = self.counters.diverged();
        let logged = due.log || diverged;
        let mean_loss = logged.then(|| std::mem::take(&mut self.counters.logged).mean_loss());
        if !diverged && !self.seeing.contains(&true) {
            return Ok(());
        }
        self.stop_clock();
        let step = Step {
            step: self.counters.step,
            epoch: done.epoch,
            examples: self.counters.examples,
            batch: done.batch,
            lr: done.lr,
            loss: self.last_loss,
            mean_loss,
            network: of,
            driver: of.map(|_| self.trainer.driver()),
            norms: done.norms.as_ref(),
            layers: done.layers.as_deref(),
        };
        let each = self.observers.iter_mut().zip(&self.seeing);
        each.filter(|(_, sees)| **sees || diverged)
            .try_for_each(|(o, _)| o.on_step(&step))
    }

    /// Evaluates if that is due, and says whether training ends here.
    fn judge(&mut self, network: &Network, due: &Due) -> Result<Option<Stop>, TrainError> {
        if self.counters.diverged() {
            return Ok(Some(Stop::Diverged));
        }
        let stop = if due.evaluation || due.epoch_end {
            self.evaluate(network, due.evaluation)?
        } else {
            None
        };
        if due.epoch_end {
            self.counters.last_epoch = Some(std::mem::take(&mut self.counters.epoch));
        }
        Ok(stop)
    }

    fn evaluate(&mut self, network: &Network, validate: bool) -> Result<Option<Stop>, TrainError> {
        self.stop_clock();
        let (experiment, counters) = (self.experiment, &mut self.counters);
        let (mut validation, mut fitted) = (None, None);
        if validate {
            validation = self.trainer.evaluate(network, Split::Validation)?;
            fitted = self.trainer.fitted(network, self.fitted)?;
        }
        let evaluation = Evaluation {
            step: counters.step,
            epoch: counters.whole_epochs(experiment),
            examples: counters.examples,
            train_loss: counters.epoch.mean_loss(),
            recent_loss: std::mem::take(&mut counters.recent).mean_loss(),
            train_accuracy: counters.epoch.accuracy(),
            fitted,
            validation,
        };
        self.tell(|o| o.on_evaluation(&evaluation))?;
        self.last_evaluation = Some(evaluation);
        if validation.is_some_and(|v| !v.loss.is_finite()) {
            return Ok(Some(Stop::Diverged));
        }
        let mut stop = self.observers.iter().any(|o| o.stop());
        if let Some(ranks) = self.trainer.ranks() {
            ranks.agree([&mut stop]);
        }
        if stop {
            return Ok(Some(Stop::Observer));
        }
        let Some(validation) = validation else {
            return Ok(None);
        };
        let stop = &experiment.config.stop;
        if stop.target.is_some_and(|target| validation.reaches(target)) {
            return Ok(Some(Stop::TargetReached));
        }
        let counters = &mut self.counters;
        if counters
            .best_validation
            .is_none_or(|best| validation.loss < best)
        {
            counters.best_validation = Some(validation.loss);
            counters.evaluations_since_best = 0;
        } else {
            counters.evaluations_since_best += 1;
        }
        let stale = stop
            .patience
            .is_some_and(|patience| counters.evaluations_since_best >= patience);
        Ok(stale.then_some(Stop::NoImprovement))
    }

    fn checkpoint(&mut self, network: &Network) -> Result<(), TrainError> {
        self.stop_clock();
        self.read_losses();
        if let Some(ranks) = self.trainer.ranks() {
            ranks.compare(network)?;
        }
        self.trainer.make_whole()?;
        let at = Snapshot {
            counters: &self.counters,
            network,
            driver: self.trainer.driver(),
        };
        self.observers
            .iter_mut()
            .try_for_each(|o| o.on_checkpoint(&at))
    }

    fn tell(
        &mut self,
        mut event: impl FnMut(&mut dyn Observer) -> Result<(), TrainError>,
    ) -> Result<(), TrainError> {
        self.observers.iter_mut().try_for_each(|o| event(*o))
    }

    /// Evaluates the trained network, unless the training diverged or was interrupted.
    fn outcome(
        &mut self,
        network: &Network,
        stop: Stop,
        test: bool,
        out: Option<String>,
    ) -> Result<Outcome, TrainError> {
        let (experiment, counters) = (self.experiment, &self.counters);
        let config = &experiment.config;
        let whole = !matches!(stop, Stop::Diverged | Stop::Interrupted);
        let (mut validation, mut tested) = (None, None);
        if whole {
            validation = match &self.last_evaluation {
                Some(e) if e.step == counters.step && e.validation.is_some() => e.validation,
                _ => self.trainer.evaluate(network, Split::Validation)?,
            };
            if test {
                tested = self.trainer.evaluate(network, Split::Test)?;
            }
        }
        let sums = counters
            .last_epoch
            .filter(|_| whole)
            .unwrap_or(counters.epoch);
        let [validation_majority, test_majority] =
            experiment.dataset.majority_accuracy(&experiment.holdout);
        Ok(Outcome {
            schema: SCHEMA,
            dataset: config.dataset.name.clone(),
            model: config.model.name.clone(),
            optimizer: config.optimizer.name.clone(),
            device: config.device.clone(),
            seed: config.seed,
            batch_size: config.batch_size.unwrap_or_default(),
            lr: config.lr.unwrap_or_default(),
            peak_lr: config.peak_lr().unwrap_or_default(),
            steps: counters.step,
            epochs: counters.whole_epochs(experiment),
            stop,
            train_loss: Some(sums.mean_loss()).filter(|loss| loss.is_finite()),
            train_accuracy: sums.accuracy(),
            validation_accuracy: validation.and_then(|m| m.accuracy),
            test_accuracy: tested.and_then(|m| m.accuracy),
            validation_majority_accuracy: validation_majority,
            test_majority_accuracy: test_majority.filter(|_| tested.is_some()),
            validation,
            test: tested,
            examples_per_second: if counters.seconds > 0.0 {
                counters.examples as f64 / counters.seconds
            } else {
                0.0
            },
            seconds: counters.seconds,
            out,
        })
    }
}
