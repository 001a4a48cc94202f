//! Keskar's F1.

use largebatch_component::Facts;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{HiddenInit, Mlp, MlpConfig, WIDEST, check_hidden_init};
use crate::layers::Activation;
use crate::{Builder, ConfigError, Init, Io, ModelConfig};

/// F1 of Keskar et al.: five hidden layers of 512 units, each linear, batch norm, ReLU.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct F1Config {
    /// Units of each of the five hidden layers.
    #[schemars(range(min = 1, max = WIDEST))]
    pub width: usize,
    /// How weights are drawn.
    #[schemars(with = "HiddenInit")]
    pub init: Init,
}

impl Default for F1Config {
    fn default() -> Self {
        F1Config {
            width: 512,
            init: Init::default(),
        }
    }
}

impl ModelConfig for F1Config {
    type Net = Mlp;
    const FACTS: Facts = Facts::new(
        "f1",
        "Keskar's F1: five hidden layers of 512 with batch norm and ReLU",
    )
    .paper("Keskar et al. 2017, arXiv 1609.04836, B.1")
    .input("any shape (MNIST in the paper); 2 or more classes");

    fn check(&self, io: &Io) -> Result<(), ConfigError> {
        let model = Self::FACTS.name;
        io.classes_for(model)?;
        check_hidden_init(model, self.init)
    }

    fn init(&self) -> Init {
        self.init
    }

    fn build(&self, io: &Io, b: &mut Builder) -> Mlp {
        MlpConfig {
            widths: vec![self.width; 5],
            activation: Activation::Relu,
            batch_norm: true,
            dropout: 0.0,
            init: self.init,
        }
        .build(io, b)
    }
}
