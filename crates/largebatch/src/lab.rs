//! The open table of everything.

use std::ops::Deref;

use largebatch_data::{NamedDataset, Reader};
use largebatch_models::ModelConfig;
use largebatch_optim::OptimizerConfig;
use largebatch_probe::Probe;
use largebatch_schedule::ShapeConfig;

/// The components that a program knows: those that a training is made of, and the probes.
///
/// ```
/// use largebatch::Lab;
///
/// let lab = Lab::standard(); // .optimizer::<MyOptimizer>().probe::<MyProbe>() and so on
/// assert!(lab.models.named("mlp").is_ok() && lab.probes.named("noise").is_ok());
/// ```
#[derive(Clone, Debug)]
pub struct Lab {
    training: largebatch_train::Lab,
    /// The probes.
    pub probes: largebatch_probe::Registry,
}

impl Deref for Lab {
    type Target = largebatch_train::Lab;

    fn deref(&self) -> &Self::Target {
        &self.training
    }
}

/// Each of these adds a component to its table. One of the same name is replaced.
impl Lab {
    /// The components of this project.
    pub fn standard() -> Self {
        Lab {
            training: largebatch_train::Lab::standard(),
            probes: largebatch_probe::standard(),
        }
    }

    /// The lab with one more optimizer.
    pub fn optimizer<C: OptimizerConfig>(self) -> Self {
        self.with(|lab| lab.optimizer::<C>())
    }

    /// The lab with one more model.
    pub fn model<C: ModelConfig>(self) -> Self {
        self.with(|lab| lab.model::<C>())
    }

    /// The lab with one more schedule.
    pub fn schedule<S: ShapeConfig>(self) -> Self {
        self.with(|lab| lab.schedule::<S>())
    }

    /// The lab with one more data set.
    pub fn dataset<D: NamedDataset>(self) -> Self {
        self.with(|lab| lab.dataset::<D>())
    }

    /// The lab with one more file format.
    pub fn format<R: Reader>(self) -> Self {
        self.with(|lab| lab.format::<R>())
    }

    /// The lab with one more probe.
    pub fn probe<P: Probe>(self) -> Self {
        Lab {
            probes: self.probes.with(largebatch_probe::entry::<P>()),
            ..self
        }
    }

    fn with(self, add: impl FnOnce(largebatch_train::Lab) -> largebatch_train::Lab) -> Self {
        Lab {
            training: add(self.training),
            ..self
        }
    }
}
