//! What can watch a run: the writer of its folder, progress bars, probes.

use largebatch_models::Network;
use largebatch_optim::{Driver, LayerTrace};
use serde::{Deserialize, Serialize};

use crate::{Counters, Experiment, Metrics, Outcome, SquaredNorms, TrainError, nullable};

/// Watches a run. Every method is optional, and an error ends the training.
pub trait Observer {
    /// What the observer needs of step number `step`, from 1; asked before the step. By default it
    /// sees each step, and nothing is measured for it.
    fn wants(&self, _step: u64) -> Wants {
        Wants::STEP
    }
    /// Called before the first step.
    ///
    /// # Errors
    /// Whatever should end the training, as in the other methods.
    fn on_start(&mut self, _start: &Start<'_>) -> Result<(), TrainError> {
        Ok(())
    }
    /// Called after each step that the observer [wants](Observer::wants) to see, and after the step
    /// at which the training diverges.
    ///
    /// # Errors
    /// See [`on_start`](Observer::on_start).
    fn on_step(&mut self, _step: &Step<'_>) -> Result<(), TrainError> {
        Ok(())
    }
    /// Called after each evaluation on the validation part, and at the end of each epoch.
    ///
    /// # Errors
    /// See [`on_start`](Observer::on_start).
    fn on_evaluation(&mut self, _evaluation: &Evaluation) -> Result<(), TrainError> {
        Ok(())
    }
    /// Whether training should stop here; asked after each evaluation.
    fn stop(&self) -> bool {
        false
    }
    /// Called after a step for which an observer [wanted a checkpoint](Wants::checkpoint), and when
    /// the training is interrupted.
    ///
    /// # Errors
    /// See [`on_start`](Observer::on_start).
    fn on_checkpoint(&mut self, _at: &Snapshot<'_>) -> Result<(), TrainError> {
        Ok(())
    }
    /// Called after the last step, or at divergence or interruption.
    ///
    /// # Errors
    /// See [`on_start`](Observer::on_start).
    fn on_end(&mut self, _end: &End<'_>) -> Result<(), TrainError> {
        Ok(())
    }
}

/// What an observer needs of a step; what none needs is not computed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Wants {
    /// To see the step.
    pub step: bool,
    /// [`Step::network`] and [`Step::driver`]. Without a graph they need a copy of the weights and
    /// of the optimizer's state.
    pub network: bool,
    /// [`Step::norms`]. They need no extra gradient, but a pass over each micro-batch's gradient
    /// and a wait for the device.
    pub norms: bool,
    /// [`Step::layers`]. They need a wait for the device.
    pub layers: bool,
    /// A checkpoint after the step, unless it is the last one.
    pub checkpoint: bool,
}

impl Wants {
    /// Not even to see the step.
    pub const NOTHING: Wants = Wants {
        step: false,
        network: false,
        norms: false,
        layers: false,
        checkpoint: false,
    };
    /// To see the step, with nothing measured for it.
    pub const STEP: Wants = Wants {
        step: true,
        ..Wants::NOTHING
    };

    pub(crate) fn or(self, other: Wants) -> Wants {
        Wants {
            step: self.step || other.step,
            network: self.network || other.network,
            norms: self.norms || other.norms,
            layers: self.layers || other.layers,
            checkpoint: self.checkpoint || other.checkpoint,
        }
    }
}

/// What is known before the first step.
pub struct Start<'a> {
    /// The run's data, model and settings.
    pub experiment: &'a Experiment,
    /// The steps so far: above 0 for a resumed run.
    pub step: u64,
    /// The number of trainable parameters.
    pub parameters: usize,
    /// The model at this step.
    pub network: &'a Network,
    /// Why steps use Burn's graph; `None` if the training does without, which is faster for small
    /// models and gives the same bits.
    pub graph: Option<&'static str>,
}

/// One optimizer step.
pub struct Step<'a> {
    /// Steps so far, including this one.
    pub step: u64,
    /// The epoch of this step, from 0.
    pub epoch: u64,
    /// Examples seen so far.
    pub examples: u64,
    /// Examples in this step.
    pub batch: usize,
    /// The learning rate of this step.
    pub lr: f64,
    /// The mean loss over the batch, before the step; absent if reading it would have to wait for
    /// the device.
    pub loss: Option<f64>,
    /// The mean loss over the steps since it was last present. It is present every
    /// [`log.every_steps`](crate::LogConfig::every_steps), and at divergence.
    pub mean_loss: Option<f64>,
    /// The model after the step; absent unless an observer [wants it](Wants::network).
    pub network: Option<&'a Network>,
    /// The optimizer after the step: its trust ratios and, by [`Driver::save`], its state; absent
    /// unless an observer [wants the network](Wants::network).
    pub driver: Option<&'a Driver>,
    /// The squared norms of the step's gradients; absent unless an observer [wants
    /// them](Wants::norms) and the batch was cut.
    pub norms: Option<&'a SquaredNorms>,
    /// What the step did to each layer; absent unless an observer [wants it](Wants::layers).
    pub layers: Option<&'a [LayerTrace]>,
}

/// A training between two steps: everything needed to resume it.
pub struct Snapshot<'a> {
    /// Counters and running sums.
    pub counters: &'a Counters,
    /// The model.
    pub network: &'a Network,
    /// The optimizer, with its state.
    pub driver: &'a Driver,
}

/// The end of a training.
pub struct End<'a> {
    /// The outcome.
    pub outcome: &'a Outcome,
    /// The model.
    pub network: &'a Network,
    /// The optimizer, with its state.
    pub driver: &'a Driver,
    /// The size in bytes of the optimizer's state, as each process kept it.
    pub state_bytes: Vec<u64>,
}

/// The training so far, and the metrics of the validation part.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Evaluation {
    /// Steps so far.
    pub step: u64,
    /// Whole epochs so far.
    pub epoch: u64,
    /// Examples seen so far.
    pub examples: u64,
    /// Mean loss over this epoch's steps so far, each measured before its step.
    #[serde(with = "nullable")]
    pub train_loss: f64,
    /// Mean loss over the steps since the previous evaluation.
    #[serde(with = "nullable")]
    pub recent_loss: f64,
    /// The share of this epoch's examples that were classified correctly before their step; absent
    /// for real targets.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub train_accuracy: Option<f64>,
    /// Metrics on some training examples, always the same ones: see
    /// [`Controls::fitted`](crate::Controls::fitted).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fitted: Option<Metrics>,
    /// Metrics of the validation part; absent if nothing is held out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub validation: Option<Metrics>,
}
