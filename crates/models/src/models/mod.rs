//! One file per model: configuration, facts, checks and network.

use largebatch_component::Kind;
use schemars::JsonSchema;

use crate::{ConfigError, Init, Registry, entry};

mod c1;
mod f1;
mod lenet5;
mod linear;
mod logistic;
mod mlp;
mod perceptron;
mod resnet;
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
pub use simple_cnn::*;
pub use softmax::*;

/// The models of this crate. A new one is a file here, and its lines in this list.
pub fn standard() -> Registry {
    Registry::new(Kind::Model)
        .with(entry::<LinearConfig>())
        .with(entry::<LogisticConfig>())
        .with(entry::<SoftmaxConfig>())
        .with(entry::<PerceptronConfig>())
        .with(entry::<MlpConfig>())
        .with(entry::<F1Config>())
        .with(entry::<LeNet5Config>())
        .with(entry::<SimpleCnnConfig>())
        .with(entry::<C1Config>())
        .with(entry::<ResNetConfig>())
}

/// The most units of a layer.
pub(crate) const WIDEST: usize = 65536;

/// The schema of [`Init`] for models with hidden layers, which cannot start from zero.
#[derive(JsonSchema)]
#[schemars(rename_all = "kebab-case")]
#[allow(dead_code, reason = "only its schema is used")]
pub(crate) enum HiddenInit {
    KaimingUniform,
    KaimingNormal,
    XavierUniform,
}

pub(crate) fn check_hidden_init(model: &'static str, init: Init) -> Result<(), ConfigError> {
    if init != Init::Zero {
        return Ok(());
    }
    Err(ConfigError::Option {
        model,
        option: "init",
        value: "zero".into(),
        reason: "starting from zero, all units of a hidden layer get equal gradients and stay equal; use kaiming-uniform, kaiming-normal or xavier-uniform".into(),
    })
}
