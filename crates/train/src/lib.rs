//! Training: the configuration of a run, the loop, observers, checkpoints and the run's folder.
//!
//! ```
//! use largebatch_train::Lab;
//! use largebatch_train::{Choice, Controls, Experiment, RunConfig, train};
//!
//! let config = RunConfig { dataset: Choice::plain("digits"), model: Choice::plain("softmax"), lr: Some(0.5), epochs: Some(3), ..RunConfig::default() };
//! let experiment = Experiment::open(config, &Lab::standard(), &Default::default())?;
//! let (outcome, _network) = train(&experiment, Controls::default())?;
//! assert!(outcome.validation_accuracy.unwrap() > 0.8);
//! # Ok::<(), largebatch_train::TrainError>(())
//! ```

mod agree;
mod chain;
mod checkpoint;
mod choice;
mod config;
mod confusion;
mod controls;
mod counters;
mod cross_validation;
pub mod defaults;
mod device;
mod divergence;
mod error;
mod evaluate;
mod experiment;
mod folder;
mod gradients;
mod lab;
mod layer;
mod meeting;
mod metrics;
pub mod nullable;
mod observer;
mod outcome;
mod overlay;
mod packed;
mod passes;
mod predict;
mod ranks;
mod reopen;
mod run;
mod trainer;
mod weights;
mod worker;
mod writer;

pub use agree::{Facts, differences, same, same_training};
pub use checkpoint::{Checkpoint, SCHEMA};
pub use choice::Choice;
pub use config::{CheckpointConfig, DataConfig, LogConfig, RunConfig, StopConfig};
pub use confusion::{ClassScore, Confusion, Scores};
pub use controls::Controls;
pub use counters::Counters;
pub use cross_validation::{CrossValidation, cross_validate};
pub use device::{
    BACKENDS, Backend, MAX_THREADS, adapters, compute_here, device, processor, threads,
};
pub use error::TrainError;
pub use evaluate::Outputs;
pub use experiment::{Experiment, Split, batch_schedule, open};
pub use folder::{Environment, RunFile, RunFolder};
pub use gradients::{BatchGradient, SquaredNorms, StepKeys};
pub use lab::Lab;
pub use largebatch_parallel::Peers;
pub use largebatch_random::Key;
pub use metrics::Metrics;
pub use observer::{End, Evaluation, Observer, Snapshot, Start, Step, Wants};
pub use outcome::{Outcome, Stop};
pub use predict::{Prediction, Predictor};
pub use reopen::OtherData;
pub use run::train;
pub use trainer::Trainer;
pub use weights::{ModelData, from_safetensors, load_network, model_data, to_safetensors};
