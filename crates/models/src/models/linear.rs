//! Linear regression.

use serde::{Deserialize, Serialize};

use super::{BIAS, INIT_LINEAR};
use crate::layers::Linear;
use crate::{Builder, ConfigError, Facts, Init, Io, Loss, Recipe};

/// Linear regression: o = w·x + b, loss (o − y)².
///
/// The root mean square error and R² can be computed from [`Loss::sum`], the sum of squared errors.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
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

impl Recipe for LinearConfig {
    type Net = Linear;
    const FACTS: Facts = Facts {
        name: "linear",
        summary: "linear regression: squared loss (o - y)^2",
        input: "any shape; a real target",
        parameters: &[BIAS, INIT_LINEAR],
        paper: "Legendre 1805; Bishop 2006, 3.1",
    };

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
