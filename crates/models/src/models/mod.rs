//! One file per model: configuration, facts, checks and network.

use crate::{ConfigError, Init, Parameter};

mod c1;
mod f1;
mod lenet5;
mod linear;
mod logistic;
mod mlp;
mod perceptron;
mod resnet;
mod resnet20;
mod resnet8;
mod simple_cnn;
mod softmax;

pub use c1::*;
pub use f1::*;
pub use lenet5::*;
pub use linear::*;
pub use logistic::*;
pub use mlp::*;
pub use perceptron::*;
pub use resnet::*;
pub use resnet8::*;
pub use resnet20::*;
pub use simple_cnn::*;
pub use softmax::*;

/// The parameter `bias` of linear models.
pub(crate) const BIAS: Parameter = Parameter::new("bias", "add a bias b: w·x + b", "true or false");

/// The parameter `init` of models without hidden layers.
pub(crate) const INIT_LINEAR: Parameter = Parameter::new(
    "init",
    "how weights are drawn",
    "kaiming-uniform, kaiming-normal, xavier-uniform or zero",
);

/// The parameter `init` of models with hidden layers.
pub(crate) const INIT_HIDDEN: Parameter = Parameter::new(
    "init",
    "how weights are drawn",
    "kaiming-uniform, kaiming-normal or xavier-uniform",
);

pub(crate) fn range(
    model: &'static str,
    parameter: &'static str,
    value: impl ToString,
    reason: &str,
) -> ConfigError {
    ConfigError::Range {
        model,
        parameter,
        value: value.to_string(),
        reason: reason.into(),
    }
}

pub(crate) fn check_width(
    model: &'static str,
    parameter: &'static str,
    width: usize,
) -> Result<(), ConfigError> {
    if (1..=65536).contains(&width) {
        Ok(())
    } else {
        Err(range(model, parameter, width, "1 to 65536 is allowed"))
    }
}

pub(crate) fn check_dropout(model: &'static str, p: f64) -> Result<(), ConfigError> {
    if (0.0..1.0).contains(&p) {
        Ok(())
    } else {
        Err(range(
            model,
            "dropout",
            p,
            "0 <= dropout < 1 is needed; 0 turns it off",
        ))
    }
}

pub(crate) fn check_hidden_init(model: &'static str, init: Init) -> Result<(), ConfigError> {
    if init != Init::Zero {
        return Ok(());
    }
    let why = "starting from zero, all units of a hidden layer get equal gradients and stay equal; use kaiming-uniform, kaiming-normal or xavier-uniform";
    Err(range(model, "init", "zero", why))
}
