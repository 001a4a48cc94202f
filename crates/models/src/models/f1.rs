//! Keskar's F1.

use serde::{Deserialize, Serialize};

use super::{INIT_HIDDEN, Mlp, MlpConfig, check_hidden_init, check_width};
use crate::layers::Activation;
use crate::{Builder, ConfigError, Facts, Init, Io, Parameter, Recipe};

/// F1 of Keskar et al.: five hidden layers of 512 units, each linear, batch norm, ReLU.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct F1Config {
    /// Units of each of the five hidden layers.
    pub width: usize,
    /// How weights are drawn.
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

impl Recipe for F1Config {
    type Net = Mlp;
    const FACTS: Facts = Facts {
        name: "f1",
        summary: "Keskar's F1: five hidden layers of 512 with batch norm and ReLU",
        input: "any shape (MNIST in the paper); 2 or more classes",
        parameters: &[
            Parameter::new("width", "units of each hidden layer", "1 to 65536"),
            INIT_HIDDEN,
        ],
        paper: "Keskar et al. 2017, arXiv 1609.04836, B.1",
    };

    fn check(&self, io: &Io) -> Result<(), ConfigError> {
        let model = Self::FACTS.name;
        io.classes(model)?;
        check_width(model, "width", self.width)?;
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
