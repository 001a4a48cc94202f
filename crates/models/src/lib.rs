//! Models of the large-batch literature on Burn, and their losses.
//!
//! ```no_run
//! use burn::tensor::{Device, Tensor};
//! use largebatch_models::{Forward, Io, Labels, ForwardPass, standard};
//!
//! # fn main() -> Result<(), largebatch_models::ConfigError> {
//! let device = Device::flex();
//! let io = Io { shape: vec![1, 8, 8], classes: Some(10) };
//! let model = standard().configure("mlp", toml::toml! { widths = [32] })?.build(&io, 0, &device)?;
//! let outputs = model.network.forward(Tensor::zeros([2, 64], &device), &mut ForwardPass::eval());
//! let targets = model.loss.targets(Labels::Classes(&[3, 7]), io.classes, &device)?;
//! let mean = model.loss.sum(outputs, &targets, 0.0) / 2.0;
//! # Ok(()) }
//! ```
//!
//! To add a model, write one file under `models/` with a [`ModelConfig`], and its lines in the list there.

mod builder;
mod error;
mod io;
pub mod layers;
mod links;
mod loss;
pub mod models;
mod network;
mod pass;
mod running;
mod state;
mod table;

pub use builder::{Builder, Init, id};
pub use error::{ConfigError, StateError};
pub use io::Io;
pub use largebatch_random::Key;
pub use links::Link;
pub use loss::{Labels, Loss, Targets};
pub use models::standard;
pub use network::{Forward, Network};
pub use pass::{ForwardPass, Statistic};
pub use running::RUNNING_MOMENTUM;
pub use state::{is_buffer, load_state_dict, state_dict};
pub use table::{DynModelConfig, Model, ModelConfig, Registry, entry};
