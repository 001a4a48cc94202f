//! The components that a program knows.

use largebatch_models::ModelConfig;
use largebatch_optim::OptimizerConfig;
use largebatch_schedule::ShapeConfig;

/// The open tables of components: names in configurations are looked up here.
///
/// ```
/// use largebatch_train::Lab;
///
/// let lab = Lab::standard(); // .optimizer::<MyOptimizer>().model::<MyModel>().schedule::<MySchedule>()
/// assert!(lab.models.named("mlp").is_ok());
/// ```
#[derive(Clone, Debug)]
pub struct Lab {
    /// The optimizers.
    pub optimizers: largebatch_optim::Registry,
    /// The models.
    pub models: largebatch_models::Registry,
    /// The learning-rate schedules.
    pub schedules: largebatch_schedule::Registry,
}

impl Lab {
    /// The components of this project.
    pub fn standard() -> Self {
        Lab {
            optimizers: largebatch_optim::standard(),
            models: largebatch_models::standard(),
            schedules: largebatch_schedule::standard(),
        }
    }

    /// The lab with one more optimizer. One of the same name is replaced.
    pub fn optimizer<C: OptimizerConfig>(mut self) -> Self {
        self.optimizers = self.optimizers.with(largebatch_optim::Entry::of::<C>());
        self
    }

    /// The lab with one more schedule. One of the same name is replaced.
    pub fn schedule<S: ShapeConfig>(mut self) -> Self {
        self.schedules = self.schedules.with(largebatch_schedule::Entry::of::<S>());
        self
    }

    /// The lab with one more model. One of the same name is replaced.
    pub fn model<C: ModelConfig>(mut self) -> Self {
        self.models = self.models.with(largebatch_models::Entry::of::<C>());
        self
    }
}
