//! The optimizers, one file each.

mod adadelta;
mod adafactor;
mod adagrad;
mod adam;
mod adamax;
mod adamw;
mod lamb;
mod lans;
mod lars;
mod lion;
mod momentum;
mod muon;
mod nadam;
mod nadamw;
mod nesterov;
mod novograd;
mod rmsprop;
mod sgd;

pub use adadelta::*;
pub use adafactor::*;
pub use adagrad::*;
pub use adam::*;
pub use adamax::*;
pub use adamw::*;
pub use lamb::*;
pub use lans::*;
pub use lars::*;
pub use lion::*;
pub use momentum::*;
pub use muon::*;
pub use nadam::*;
pub use nadamw::*;
pub use nesterov::*;
pub use novograd::*;
pub use rmsprop::*;
pub use sgd::*;

use crate::{Registry, entry};
use largebatch_component::Kind;

/// The optimizers of this crate. A new one is a file here, and its lines in this list.
pub fn standard() -> Registry {
    Registry::new(Kind::Optimizer)
        .with(entry::<SgdConfig>())
        .with(entry::<MomentumConfig>())
        .with(entry::<NesterovConfig>())
        .with(entry::<AdagradConfig>())
        .with(entry::<RmspropConfig>())
        .with(entry::<AdadeltaConfig>())
        .with(entry::<AdamConfig>())
        .with(entry::<AdamWConfig>())
        .with(entry::<AdamaxConfig>())
        .with(entry::<AdafactorConfig>())
        .with(entry::<NadamConfig>())
        .with(entry::<NadamWConfig>())
        .with(entry::<LionConfig>())
        .with(entry::<LarsConfig>())
        .with(entry::<NovogradConfig>())
        .with(entry::<LambConfig>())
        .with(entry::<LansConfig>())
        .with(entry::<MuonConfig>())
}

/// What nearly every rule uses.
mod prelude {
    pub(crate) use super::{DECAYS, DIVIDES, FORGETS};
    pub use crate::{
        Decay, Exclude, Exclusions, OptimizerConfig, ParameterGroup, Preconditioner, Rule,
        SliceState, Stability, StepSlices, WeightDecay,
    };
    pub use burn::optim::Optimizer;
    pub use burn::tensor::{Device, Tensor};
    pub use getset::WithSetters;
    pub use largebatch_component::Facts;
    pub use largebatch_kernels::steps;
    pub use schemars::JsonSchema;
    pub use serde::{Deserialize, Serialize};
}

/// Why weight decay has its range.
pub(crate) const DECAYS: &str = "with a negative value the weights would grow without bound";

/// Why the decay rate of an average has its range.
pub(crate) const FORGETS: &str =
    "at 1 or more the average would never forget and would grow without bound";

/// Why ε has its range.
pub(crate) const DIVIDES: &str = "it keeps a denominator above 0";
