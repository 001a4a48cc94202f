//! Softmax regression.

use largebatch_component::Facts;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::layers::Linear;
use crate::{Builder, ConfigError, Init, Io, ModelConfig};

/// Softmax (multinomial logistic) regression: o = x W + b, loss −log softmax(o)_y.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct SoftmaxConfig {
    /// Whether to add a bias b.
    pub bias: bool,
    /// How W and b are drawn.
    pub init: Init,
}

impl Default for SoftmaxConfig {
    fn default() -> Self {
        SoftmaxConfig {
            bias: true,
            init: Init::default(),
        }
    }
}

impl ModelConfig for SoftmaxConfig {
    type Net = Linear;
    const FACTS: Facts = Facts::new(
        "softmax",
        "softmax regression: one linear layer, cross-entropy",
    )
    .paper("Bishop 2006, Pattern Recognition and Machine Learning, 4.3.4")
    .input("any shape; 2 or more classes");

    fn check(&self, io: &Io) -> Result<(), ConfigError> {
        io.classes_for(Self::FACTS.name).map(drop)
    }

    fn init(&self) -> Init {
        self.init
    }

    fn build(&self, io: &Io, b: &mut Builder) -> Linear {
        Linear::new(b, io.features(), io.classes.unwrap_or(1), self.bias)
    }
}
