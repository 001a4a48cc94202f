//! Why a network trains as it does: diagnostics of a run at a point of its training.
//!
//! Every instrument is algebra on the flat vector of parameters, with first-order gradients alone: it takes an [`Objective`], which is a closed form
//! in the tests and a [`Subject`] (a network and some examples) in earnest.

pub mod curvature;
mod error;
pub mod layers;
pub mod noise;
mod objective;
mod record;
mod subject;
pub mod vector;

pub use error::ProbeError;
pub use objective::{Examples, Objective, Watch, unwatched};
pub use record::{Record, SCHEMA};
pub use subject::{Layer, Run, Subject, Subset};
