//! Linear regression.

use largebatch_component::Facts;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::layers::Linear;
use crate::{Builder, ConfigError, Init, Io, Loss, ModelConfig};

/// Linear regression: o = w·x + b, loss (o − y)².
///
/// The root mean square error and R² can be computed from [`Loss::sum`], the sum of squared errors.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct LinearConfig {
    /// Whether to add a bias b.
    pub bias: bool,
    /// How w and b are drawn.
    pub init: Init,
}

impl Default for LinearConfig {
    fn default() -> Self {
        LinearConfig {
            bias: true,
            init: Init::default(),
        }
    }
}

impl ModelConfig for LinearConfig {
    type Net = Linear;
    const FACTS: Facts = Facts::new("linear", "linear regression: squared loss (o - y)^2")
        .paper("Legendre 1805; Bishop 2006, 3.1")
        .input("any shape; a real target");

    fn check(&self, io: &Io) -> Result<(), ConfigError> {
        match io.classes {
            None => Ok(()),
            Some(n) => Err(ConfigError::Data {
                model: Self::FACTS.name,
                reason: format!(
                    "its target is one of {n} classes, but `linear` predicts a real number; use {}`softmax` or `mlp`",
                    if n == 2 { "`logistic`, " } else { "" }
                ),
            }),
        }
    }

    fn init(&self) -> Init {
        self.init
    }

    fn build(&self, io: &Io, b: &mut Builder) -> Linear {
        Linear::new(b, io.features(), 1, self.bias)
    }

    fn loss(&self) -> Loss {
        Loss::Squared
    }
}
