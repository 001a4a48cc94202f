//! Studies: many training runs as one experiment.

mod axis;
mod check;
mod choice;
mod error;
mod file;
#[cfg(test)]
mod fixture;
mod plan;
mod record;
mod rules;
mod runner;
mod sequence;
mod settings;
pub mod statistics;
mod trial;

pub use axis::{Axes, Axis, Spread};
pub use choice::Choice;
pub use error::StudyError;
pub use file::{Budget, Confirm, Goal, Part, Rate, Scaling, Seeds, Study, Tune};
pub use plan::{Check, Derived, Group, Plan, Problem};
pub use record::{Curves, Provenance, SCHEMA, StopReason, TrialRecord};
pub use rules::{Hopeless, Plateau, StopRules};
pub use runner::{Event, Outcome, Runner, Started, execute};
pub use sequence::{MAX_DIMENSIONS, Method};
pub use settings::{get, number};
pub use trial::{Labels, RunId, Stage, Trial, describe, key};
