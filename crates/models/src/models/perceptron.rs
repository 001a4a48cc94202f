//! Rosenblatt's perceptron.

use largebatch_component::Facts;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::layers::Linear;
use crate::{Builder, ConfigError, Init, Io, Loss, ModelConfig};

/// The perceptron: o = w·x + b, loss max(0, −y o), labels ±1.
///
/// A step of plain SGD on one example is exactly the perceptron rule: w ← w + η y x if y o < 0,
/// else w stays. With zero weights every o is 0 and the weights never change, so a zero start is
/// refused unless `update_on_tie` counts an example with o = 0 as wrong (Rosenblatt's and
/// scikit-learn's rule).
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct PerceptronConfig {
    /// Whether to add a bias b.
    pub bias: bool,
    /// How w and b are drawn.
    pub init: Init,
    /// Whether an example with w·x + b = 0 counts as wrong and so moves the weights.
    pub update_on_tie: bool,
}

impl Default for PerceptronConfig {
    fn default() -> Self {
        PerceptronConfig {
            bias: true,
            init: Init::default(),
            update_on_tie: false,
        }
    }
}

impl ModelConfig for PerceptronConfig {
    type Net = Linear;
    const FACTS: Facts = Facts::new(
        "perceptron",
        "perceptron: loss max(0, -y w.x); its SGD step with batch 1 is the perceptron rule",
    )
    .paper("Rosenblatt 1958, Psychological Review 65")
    .input("any shape; 2 classes");

    fn check(&self, io: &Io) -> Result<(), ConfigError> {
        let model = Self::FACTS.name;
        io.two_classes(model)?;
        if self.init == Init::Zero && !self.update_on_tie {
            let why = "with zero weights w·x = 0 for every example, which the rule counts as correct, so the weights never change; start from random weights \
                       (kaiming-uniform) or set update_on_tie = true";
            return Err(ConfigError::Option {
                model,
                option: "init",
                value: "zero".into(),
                reason: why.into(),
            });
        }
        Ok(())
    }

    fn init(&self) -> Init {
        self.init
    }

    fn build(&self, io: &Io, b: &mut Builder) -> Linear {
        Linear::new(b, io.features(), 1, self.bias)
    }

    fn loss(&self) -> Loss {
        Loss::Perceptron {
            update_on_tie: self.update_on_tie,
        }
    }
}
