//! One step of a training.

use largebatch_data::{Order, Position};
use largebatch_models::Network;
use largebatch_optim::{
    ClipForm, Driver, GlobalClip, LayerTrace, OptimError, clip_by_global_norm, clip_by_value,
};

use crate::counters::{Counters, Unread};
use crate::gradients::StepKeys;
use crate::{Experiment, SquaredNorms, TrainError, Wants};

/// Does one step at a time, network in, network out: takes the next batch and computes its
/// gradient, which is clipped and handed to the optimizer.
pub(crate) struct Trainer<'a> {
    experiment: &'a Experiment,
    driver: Driver,
    order: Order,
    step: u64,
}

/// A step that was done.
pub(crate) struct Trained {
    /// The epoch of this step, from 0.
    pub epoch: u64,
    /// The number of examples.
    pub batch: usize,
    /// The learning rate.
    pub lr: f64,
    /// The squared norms of the gradients, if they were wanted and the batch was cut.
    pub norms: Option<SquaredNorms>,
    /// What the step did to each layer, if that was wanted.
    pub layers: Option<Vec<LayerTrace>>,
}

impl<'a> Trainer<'a> {
    pub fn new(experiment: &'a Experiment, network: &Network) -> Result<Self, TrainError> {
        Ok(Trainer {
            experiment,
            driver: Driver::new(&*experiment.optimizer, network)?,
            order: experiment.order()?,
            step: 0,
        })
    }

    /// Continues where the counters are, with the optimizer's saved state.
    pub fn seek(&mut self, counters: &Counters, optimizer: &[u8]) -> Result<(), OptimError> {
        self.driver.load(optimizer)?;
        self.order.seek(counters.position);
        self.step = counters.step;
        Ok(())
    }

    /// The optimizer with its state.
    pub fn driver(&self) -> &Driver {
        &self.driver
    }

    /// The position of the next batch.
    pub fn position(&self) -> Position {
        self.order.position()
    }

    /// One step; `wants` says what to measure. The losses may still be on the device.
    pub fn step(
        &mut self,
        network: Network,
        wants: Wants,
    ) -> Result<(Network, Trained, Unread), TrainError> {
        let experiment = self.experiment;
        let planned = experiment.next_batch(self.order.position());
        let (epoch, indices) = self.order.next(planned.size);
        let lr = experiment.lr(self.step, &planned);
        let keys = StepKeys {
            augment: experiment.key("augment").number(epoch),
            dropout: experiment.key("dropout").number(self.step),
        };
        let ahead = self.driver.ahead(&network);
        let at = ahead.as_ref().unwrap_or(&network);
        let (mut gradient, norms) = if wants.norms {
            experiment.gradient_with_norms(at, &indices, keys)?
        } else {
            (experiment.gradient(at, &indices, keys)?, None)
        };
        drop(ahead);
        let config = &experiment.config;
        if let Some(bound) = config.clip_value {
            gradient.gradients = clip_by_value(gradient.gradients, &network, bound);
        }
        let clip = config.clip_norm.map(|max_norm| GlobalClip {
            max_norm,
            form: ClipForm::Torch,
        });
        for clip in clip.into_iter().chain(self.driver.global_clip()) {
            gradient.gradients = clip_by_global_norm(gradient.gradients, &network, clip).0;
        }
        let (network, layers) = if wants.layers {
            let (network, layers) = self.driver.step_traced(lr, network, gradient.gradients);
            (network, Some(layers))
        } else {
            (self.driver.step(lr, network, gradient.gradients), None)
        };
        self.step += 1;
        let trained = Trained {
            epoch,
            batch: indices.len(),
            lr,
            norms,
            layers,
        };
        let unread = Unread {
            examples: indices.len(),
            loss: gradient.loss,
            correct: gradient.correct,
        };
        Ok((network.update_running(gradient.statistics), trained, unread))
    }
}
