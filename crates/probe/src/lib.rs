//! Why a network trains as it does: diagnostics of a run at a point of its training.
//!
//! Every instrument is algebra on the flat vector of parameters, with first-order gradients alone: it takes an [`Objective`], which is a closed form
//! in the tests and a [`Subject`] (a network and some examples) in earnest.

pub mod batch_find;
pub mod curvature;
mod error;
pub mod landscape;
pub mod layers;
pub mod lbfgsb;
pub mod line;
mod line_search;
pub mod lr_find;
mod lu;
mod memory;
pub mod noise;
mod objective;
pub mod plane;
mod quasi_newton;
pub mod rates;
mod record;
pub mod sharpness;
mod subject;
mod subspace;
pub mod surface;
pub mod vector;

pub use error::ProbeError;
pub use objective::{Examples, Objective, Watch, unwatched};
pub use record::{Record, SCHEMA};
pub use subject::{Layer, Run, Subject, Subset};
