//! The curves of the schedules, one file each.

use std::f64::consts::PI;

use largebatch_component::Kind;

use crate::shape::{Registry, entry};

mod constant;
mod cosine;
mod cosine_restarts;
mod cyclic;
mod exponential;
mod linear;
mod multi_step;
mod one_cycle;
mod polynomial;
mod power_law;
mod step;

pub use constant::Constant;
pub use cosine::Cosine;
pub use cosine_restarts::CosineRestarts;
pub use cyclic::{CycleMode, Cyclic};
pub use exponential::Exponential;
pub use linear::Linear;
pub use multi_step::MultiStep;
pub use one_cycle::{Anneal, OneCycle};
pub use polynomial::Polynomial;
pub use power_law::PowerLaw;
pub use step::Step;

/// What nearly every curve uses.
mod prelude {
    pub use std::sync::Arc;

    pub use crate::{ConfigError, Curve, Floor, ShapeConfig, Span, Training};
    pub use largebatch_component::Facts;
    pub use schemars::JsonSchema;
    pub use serde::{Deserialize, Serialize};
}

/// The schedules of this crate. A new one is a file here, and its lines in this list.
pub fn standard() -> Registry {
    Registry::new(Kind::Schedule)
        .with(entry::<Constant>())
        .with(entry::<PowerLaw>())
        .with(entry::<Polynomial>())
        .with(entry::<Linear>())
        .with(entry::<Step>())
        .with(entry::<MultiStep>())
        .with(entry::<Exponential>())
        .with(entry::<Cosine>())
        .with(entry::<CosineRestarts>())
        .with(entry::<Cyclic>())
        .with(entry::<OneCycle>())
}

/// From 1 at u = 0 down to 0 at u = 1 along a cosine.
fn half_wave(u: f64) -> f64 {
    0.5 * (1.0 + (PI * u).cos())
}

/// ⌊x⌋, but an x that is only just below a whole number, within rounding error, counts as that
/// number.
fn whole(x: f64) -> f64 {
    (x + 1e-9 * x.max(1.0)).floor()
}
