//! A model of your own: its options, its facts, its network and the forward pass.

use burn::module::Module;
use burn::tensor::Tensor;
use largebatch::component::Facts;
use largebatch::models::layers::{Activation, Linear};
use largebatch::models::{Builder, ConfigError, Forward, ForwardPass, Init, Io, ModelConfig};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A perceptron of many layers with shortcuts: h ← h + tanh(h W + b) in each block.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ResidualConfig {
    /// Units of each layer.
    #[schemars(range(min = 1, max = 65536))]
    pub width: usize,
    /// Blocks with a shortcut.
    #[schemars(range(min = 1, max = 100))]
    pub blocks: usize,
}

impl Default for ResidualConfig {
    fn default() -> Self {
        ResidualConfig {
            width: 64,
            blocks: 2,
        }
    }
}

impl ModelConfig for ResidualConfig {
    type Net = Residual;
    const FACTS: Facts = Facts::new("residual-mlp", "multi-layer perceptron with shortcuts")
        .formula("h ← h + tanh(h W + b)")
        .paper("He et al. 2016, arXiv 1512.03385")
        .input("any shape; 2 or more classes");

    fn check(&self, io: &Io) -> Result<(), ConfigError> {
        io.classes_for(Self::FACTS.name).map(drop)
    }

    fn init(&self) -> Init {
        Init::default()
    }

    fn build(&self, io: &Io, b: &mut Builder) -> Residual {
        let width = self.width;
        let block = |b: &mut Builder, i| b.part(i, |b| Linear::new(b, width, width, true));
        Residual {
            input: b.part("input", |b| Linear::new(b, io.features(), width, true)),
            blocks: b.part("blocks", |b| {
                (0..self.blocks).map(|i| block(b, i)).collect()
            }),
            output: b.part("output", |b| {
                Linear::new(b, width, io.classes.unwrap_or(1), true)
            }),
        }
    }
}

/// The network of [`ResidualConfig`].
#[derive(Module, Debug)]
pub struct Residual {
    input: Linear,
    blocks: Vec<Linear>,
    output: Linear,
}

impl Forward for Residual {
    fn forward(&self, x: Tensor<2>, pass: &mut ForwardPass) -> Tensor<2> {
        let h = self.input.forward_activated(x, Activation::Tanh);
        let h = self.blocks.iter().fold(h, |h, block| {
            h.clone() + block.forward_activated(h, Activation::Tanh)
        });
        self.output.forward(h, pass)
    }
}
