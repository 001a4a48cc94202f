//! The optimizers, one file each.

mod adagrad;
mod adam;
mod adamw;
mod lamb;
mod lars;
mod momentum;
mod nesterov;
mod sgd;

pub use adagrad::*;
pub use adam::*;
pub use adamw::*;
pub use lamb::*;
pub use lars::*;
pub use momentum::*;
pub use nesterov::*;
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
        .with(entry::<AdamConfig>())
        .with(entry::<AdamWConfig>())
        .with(entry::<LarsConfig>())
        .with(entry::<LambConfig>())
}

/// Why weight decay has its range.
pub(crate) const DECAYS: &str = "with a negative value the weights would grow without bound";

/// Why the decay rate of an average has its range.
pub(crate) const FORGETS: &str =
    "at 1 or more the average would never forget and would grow without bound";

/// Why ε has its range.
pub(crate) const DIVIDES: &str = "it keeps a denominator above 0";
