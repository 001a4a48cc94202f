//! What can watch a run: progress bars, logs, probes.

use std::path::Path;

use largebatch_models::Network;
use largebatch_optim::Driver;
use serde::{Deserialize, Serialize};

use crate::{Experiment, Metrics, Outcome, SquaredNorms, nullable};

/// Watches a run; every method is optional.
pub trait Observer {
    /// Whether each [`Step`] should include the squared norms of its gradients; asked before each
    /// step. They need no extra gradient, but a pass over each micro-batch's gradient and a wait
    /// for the device.
    fn wants_norms(&self) -> bool {
        false
    }
    /// Called before the first step.
    fn on_start(&mut self, _start: &Start<'_>) {}
    /// Called after each step.
    fn on_step(&mut self, _step: &Step<'_>) {}
    /// Called after each evaluation on the validation part, and at the end of each epoch.
    fn on_evaluation(&mut self, _evaluation: &Evaluation) {}
    /// Whether training should stop here; asked after each evaluation.
    fn stop(&self) -> bool {
        false
    }
    /// Called when a checkpoint is on the disk.
    fn on_checkpoint(&mut self, _step: u64, _place: &Path) {}
    /// Called after the last step, or at divergence or interruption.
    fn on_end(&mut self, _outcome: &Outcome) {}
}

/// What is known before the first step.
pub struct Start<'a> {
    /// The run's data, model and settings.
    pub experiment: &'a Experiment,
    /// The first step: above 0 for a resumed run.
    pub step: u64,
    /// The number of trainable parameters.
    pub parameters: usize,
    /// The model at this step.
    pub network: &'a Network,
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
    /// The model after the step.
    pub network: &'a Network,
    /// The optimizer after the step: its trust ratios and, by [`Driver::save`], its state. Nothing
    /// is copied unless the observer asks.
    pub driver: &'a Driver,
    /// The squared norms of the step's gradients; absent unless an [observer wants
    /// them](Observer::wants_norms) and the batch was cut.
    pub norms: Option<&'a SquaredNorms>,
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
