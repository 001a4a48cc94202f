//! Probes: diagnostics of a run at a point of its training, which show why a network trains as it
//! does.
//!
//! Every probe is algebra on the flat vector of parameters and needs only first-order gradients. It
//! takes an [`Objective`]: usually a [`Subject`] (a network and some examples), in the tests a
//! closed form. The trait [`Probe`] makes such a function a probe: options, cost, record, figures, and
//! a section of a study's report. [`standard`] lists them.
//!
//! ```
//! use largebatch_train::Lab;
//! use largebatch_probe::noise::{NoiseOptions, noise};
//! use largebatch_probe::{Subject, Subset, unwatched};
//! use largebatch_train::{Choice, Experiment, RunConfig, Split};
//!
//! let config = RunConfig { dataset: Choice::plain("digits"), model: Choice::plain("softmax"), lr: Some(0.5), ..RunConfig::default() };
//! let experiment = Experiment::open(config, &Lab::standard(), &Default::default())?;
//! let network = experiment.initial_model()?.network;
//! let mut subject = Subject::new(&experiment, &network, Split::Train, Subset { size: Some(100), seed: 0 })?;
//! let (w, layers) = (subject.weights().to_vec(), subject.layers().to_vec());
//! let (found, _complete) = noise(&mut subject, &w, &layers, &NoiseOptions::default(), &mut unwatched)?;
//! assert!(found.b_simple.unwrap() > 0.0);
//! # Ok::<(), largebatch_probe::ProbeError>(())
//! ```

pub mod batch_find;
mod cost;
pub mod curvature;
mod dry_run;
mod error;
mod flat;
mod found;
pub mod landscape;
pub mod layers;
mod lbfgsb;
pub mod line;
mod line_search;
pub mod lr_find;
mod lu;
mod memory;
pub mod noise;
mod objective;
pub mod plane;
mod point;
mod probe;
mod quasi_newton;
pub mod rates;
mod record;
mod registry;
mod run;
pub mod scale;
pub mod sharpness;
mod subject;
mod subset;
mod subspace;
pub mod surface;
pub mod vector;

/// What nearly every probe uses.
mod prelude {
    pub use std::fmt::Write as _;

    pub use largebatch_component::Facts;
    pub use largebatch_plot::{Figure, Plot, Scale, Section, Table, fixed, significant};
    pub use largebatch_train::{Experiment, RunConfig};
    pub use schemars::JsonSchema;
    pub use serde::{Deserialize, Serialize};

    pub(crate) use crate::cost;
    pub(crate) use crate::found::{or_dash, table};
    pub use crate::probe::{AtStep, Cost, Probe, Target};
    pub use crate::{Found, FoundRun, Point, ProbeError, Record, Watch};
}

pub use error::ProbeError;
pub use flat::Layer;
pub use found::{Found, FoundRun};
pub use objective::{Examples, Objective, Watch, unwatched};
pub use point::{OptimizerState, Point, Sample, Size, Steps};
pub use probe::{AtStep, Cost, Probe, Target};
pub use record::{Record, SCHEMA};
pub use registry::{Asked, DynProbe, Measured, Registry, entry, probed, probed_runs, standard};
pub use run::{Run, rate_at};
pub use subject::Subject;
pub use subset::Subset;
