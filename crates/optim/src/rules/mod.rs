//! The optimizers, one file each.

pub mod adagrad;
pub mod adam;
pub mod adamw;
pub mod lamb;
pub mod lars;
pub mod momentum;
pub mod nesterov;
pub mod sgd;

use crate::{ConfigError, Parameter, within};

pub(crate) const WEIGHT_DECAY: Parameter = Parameter {
    name: "weight_decay",
    purpose: "weight decay λ; 0 for none",
    range: "0 or more",
};
pub(crate) const DECAY: Parameter = Parameter {
    name: "decay",
    purpose: "l2: add λw to the gradient; decoupled: w ← w − ηλw before the step",
    range: "\"l2\", \"decoupled\"",
};
pub(crate) const EXCLUDE_DECAY: Parameter = Parameter {
    name: "exclude_from_weight_decay",
    purpose: "parameters without weight decay",
    range: "\"none\", \"vectors\" (rank 1 or less), \"layer:NAME\", a regular expression on paths, or a list of these",
};
pub(crate) const EXCLUDE_ADAPTATION: Parameter = Parameter {
    name: "exclude_from_layer_adaptation",
    purpose: "parameters without layer adaptation; they move as under the base optimizer",
    range: "as for exclude_from_weight_decay",
};
pub(crate) const NESTEROV: Parameter = Parameter {
    name: "nesterov",
    purpose: "step along momentum · velocity + gradient instead of the velocity",
    range: "true, false",
};

pub(crate) fn check_decay(rate: f64) -> Result<(), ConfigError> {
    within(
        "weight_decay",
        rate,
        0.0..f64::INFINITY,
        "with a negative value the weights would grow without bound",
    )
}

pub(crate) fn check_beta(option: &'static str, beta: f64) -> Result<(), ConfigError> {
    within(
        option,
        beta,
        0.0..1.0,
        "at 1 or more the average would never forget and would grow without bound",
    )
}

pub(crate) fn check_eps(eps: f64) -> Result<(), ConfigError> {
    within(
        "eps",
        eps,
        0.0..f64::INFINITY,
        "it keeps a denominator above 0",
    )
}
