//! Timed training steps.

use std::time::Instant;

use largebatch_data::Order;
use largebatch_models::Network;
use largebatch_parallel::Peers;
use largebatch_train::{Experiment, TrainError, Trainer};

/// Training steps (data, gradient, update) at learning rate 0: they take the time of training but
/// cannot diverge.
pub(crate) struct DryRun<'a> {
    experiment: &'a Experiment,
    /// `None` only while the trainer holds it.
    network: Option<Network>,
    trainer: Trainer<'a>,
    order: Order,
}

impl<'a> DryRun<'a> {
    pub fn new(experiment: &'a Experiment) -> Result<Self, TrainError> {
        Self::shared(experiment, None)
    }

    /// Those of a process that shares each batch with others.
    pub fn shared(
        experiment: &'a Experiment,
        peers: Option<&'a dyn Peers>,
    ) -> Result<Self, TrainError> {
        let network = experiment.initial_model()?.network;
        let mut trainer = Trainer::new(experiment, &network, false)?;
        if let Some(peers) = peers {
            trainer = trainer.with_peers(peers, &network)?;
        }
        Ok(DryRun {
            experiment,
            network: Some(network),
            trainer,
            order: experiment.order()?,
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
        let network = self
            .network
            .take()
            .expect("the network is absent only while the trainer holds it");
        let (network, _) = self.trainer.step_on(network, (epoch, &indices), 0.0)?;
        self.network = Some(network);
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
