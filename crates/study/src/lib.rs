//! Studies: many training runs as one experiment.

mod axis;
mod check;
mod choice;
mod error;
mod expand;
mod file;
#[cfg(test)]
mod fixture;
mod journal;
mod plan;
mod progress;
mod record;
mod results;
mod rules;
mod run;
mod runner;
mod sequence;
mod settings;
pub mod statistics;
mod trial;
mod worker;

pub use axis::{Axes, Axis, Spread};
pub use choice::Choice;
pub use error::StudyError;
pub use file::{Budget, Confirm, Goal, Part, Rate, Scaling, Seeds, Study, Tune};
pub use journal::Shard;
pub use plan::{Check, Derived, Group, Plan, Problem};
pub use progress::{Best, Notice, Progress};
pub use record::{Curves, Provenance, SCHEMA, StopReason, TrialRecord};
pub use results::{Results, Row, Series};
pub use rules::{Hopeless, Plateau, StopRules};
pub use run::{RunOptions, Summary, Workers, run};
pub use runner::{Event, Outcome, Runner, Started, execute};
pub use sequence::{MAX_DIMENSIONS, Method};
pub use settings::{get, number};
pub use trial::{Labels, RunId, Stage, Trial, describe, key};
pub use worker::{Start, serve};
