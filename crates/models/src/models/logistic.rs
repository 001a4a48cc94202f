//! Logistic regression.

use largebatch_component::Facts;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::layers::Linear;
use crate::{Builder, ConfigError, Init, Io, Loss, ModelConfig};

/// Logistic regression with ±1 labels: o = w·x + b, loss log(1 + e^(−y o)); class 1 is +1, class 0 is −1.
///
/// The optional L2 penalty λ/2 ‖w‖² is set only by the training's `weight_decay` λ: plain SGD and
/// momentum add its gradient λ w. scikit-learn's C is 1/(λ n) for n examples, and its penalty does
/// not include the bias.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct LogisticConfig {
    /// Whether to add a bias b.
    pub bias: bool,
    /// How w and b are drawn.
    pub init: Init,
}

impl Default for LogisticConfig {
    fn default() -> Self {
        LogisticConfig {
            bias: true,
            init: Init::default(),
        }
    }
}

impl ModelConfig for LogisticConfig {
    type Net = Linear;
    const FACTS: Facts = Facts::new(
        "logistic",
        "logistic regression with labels -1 and +1: loss log(1 + e^(-y w.x)); L2 by weight_decay",
    )
    .paper("Cox 1958, J. R. Stat. Soc. B 20; Bishop 2006, 4.3.2")
    .input("any shape; 2 classes");

    fn check(&self, io: &Io) -> Result<(), ConfigError> {
        io.two_classes(Self::FACTS.name)
    }

    fn init(&self) -> Init {
        self.init
    }

    fn build(&self, io: &Io, b: &mut Builder) -> Linear {
        Linear::new(b, io.features(), 1, self.bias)
    }

    fn loss(&self) -> Loss {
        Loss::Logistic
    }
}
