//! Timed training steps.

use std::time::Instant;

use largebatch_data::Order;
use largebatch_models::Network;
use largebatch_optim::Driver;
use largebatch_train::{Experiment, StepKeys, TrainError};

/// Training steps (data, gradient, update) at learning rate 0: they take the time of training but
/// cannot diverge.
pub(crate) struct DryRun<'a> {
    experiment: &'a Experiment,
    /// `None` only while the optimizer holds it.
    network: Option<Network>,
    driver: Driver,
    order: Order,
    steps: u64,
}

impl<'a> DryRun<'a> {
    pub fn new(experiment: &'a Experiment) -> Result<Self, TrainError> {
        let network = experiment.initial_model()?.network;
        let driver = Driver::new(&*experiment.optimizer, &network)?;
        Ok(DryRun {
            experiment,
            network: Some(network),
            driver,
            order: experiment.order()?,
            steps: 0,
        })
    }

    /// The duration of a step with `batch` examples, in seconds.
    pub fn step(&mut self, batch: usize) -> Result<f64, TrainError> {
        let started = Instant::now();
        let (epoch, mut indices) = self.order.next(batch);
        // The last batch of an epoch is filled up, so that all steps have the same size.
        while indices.len() < batch {
            indices.extend(self.order.next(batch - indices.len()).1);
        }
        let (experiment, step) = (self.experiment, self.steps);
        self.steps += 1;
        let keys = StepKeys {
            augment: experiment.key("augment").number(epoch),
            dropout: experiment.key("dropout").number(step),
        };
        let network = self
            .network
            .take()
            .expect("the network is absent only while the optimizer holds it");
        let gradient = experiment.gradient(&network, &indices, keys)?;
        self.network = Some(
            self.driver
                .step(0.0, network, gradient.gradients)
                .update_running(gradient.statistics),
        );
        // Reading the loss waits for the device.
        gradient
            .loss
            .into_iter()
            .for_each(|loss| drop(loss.into_data()));
        Ok(started.elapsed().as_secs_f64())
    }

    /// Estimates the seconds per example in training from three steps of at most 256 examples. It
    /// takes the fastest, because the first is slower and other work may disturb another.
    pub fn example_seconds(&mut self, batch: usize) -> Result<f64, TrainError> {
        let config = &self.experiment.config;
        // Batch norm needs two examples in each part.
        let some = batch.min(256.max(2 * config.parts()));
        let least = self.step(some)?.min(self.step(some)?).min(self.step(some)?);
        Ok(least / some as f64)
    }
}
