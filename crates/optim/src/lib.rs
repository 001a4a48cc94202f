//! Large-batch optimizers for [Burn](https://burn.dev): LARS, LAMB, LANS, NovoGrad and Muon in every
//! published variant, the SGD and Adam families, Lion, Adagrad, RMSprop, Adadelta and Adafactor.
//!
//! Each optimizer is one file with one configuration and an entry in the [`Registry`]. Add an
//! optimizer of your own with `Registry::with`: it then works on the command line, in studies and
//! in the [`conformance`] suite.
//!
//! In an ordinary Burn project a rule is a [`burn::optim::Optimizer`]:
//!
//! ```
//! use burn::optim::ModuleOptimizer;
//! use largebatch_optim::{LarsConfig, OptimizerConfig};
//!
//! let lars = LarsConfig { weight_decay: 1e-4, ..Default::default() };
//! let optimizer = ModuleOptimizer::from(lars.rule()?);
//! # Ok::<(), largebatch_optim::ConfigError>(())
//! ```
//!
//! Use the [`Driver`] instead of Burn's `ModuleOptimizer` to exclude parameters from decay or
//! adaptation, to save the state with the same bytes on every machine, to trace the trust ratios,
//! or for a rule that takes its gradient at shifted weights.

pub mod clip;
mod config;
pub mod conformance;
mod decay;
mod driver;
mod error;
mod exclude;
mod groups;
mod norm;
mod owned;
mod replay;
mod rules;
mod saved;
mod slices;
mod state;
mod table;
mod trajectory;

#[doc(hidden)]
pub use burn;
pub use largebatch_component as component;

pub use clip::{
    ClipForm, GlobalClip, clip_by_global_norm, clip_by_value, clip_slices_by_global_norm,
};
pub use config::{
    DynOptimizerConfig, DynRule, OptimizerConfig, ParameterGroup, Preconditioner, Rule, Stability,
};
pub use decay::{Decay, WeightDecay};
pub use driver::{Driver, LayerTrace};
pub use error::{ConfigError, OptimError};
pub use exclude::{Exclude, Exclusions};
pub use groups::{ConfiguredGroup, Group, Grouped};
pub use replay::{Replayed, ReplayedStep, replay};
pub use rules::*;
pub use slices::{SliceState, Slices, StepSlices};
pub use state::Field;
pub use table::{Registry, entry};
pub use trajectory::{Named, Trajectory};
