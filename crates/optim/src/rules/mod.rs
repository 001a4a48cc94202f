//! The optimizers, one file each.

pub mod adagrad;
pub mod adam;
pub mod adamw;
pub mod lamb;
pub mod lars;
pub mod momentum;
pub mod nesterov;
pub mod sgd;

/// Why weight decay has its range.
pub(crate) const DECAYS: &str = "with a negative value the weights would grow without bound";

/// Why the decay rate of an average has its range.
pub(crate) const FORGETS: &str =
    "at 1 or more the average would never forget and would grow without bound";

/// Why ε has its range.
pub(crate) const DIVIDES: &str = "it keeps a denominator above 0";
