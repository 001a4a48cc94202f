//! The multi-layer perceptron.

use burn::module::Module;
use burn::tensor::Tensor;
use largebatch_component::Facts;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{HiddenInit, WIDEST, check_hidden_init};
use crate::layers::{Activation, BatchNorm, Dropout, Linear};
use crate::links::{self, Link};
use crate::{Builder, ConfigError, Forward, ForwardPass, Init, Io, ModelConfig};

/// A multi-layer perceptron: hidden layers, each of linear, batch norm (optional), activation and
/// dropout (optional), then a linear output layer.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct MlpConfig {
    /// The number of units of each hidden layer.
    #[schemars(length(min = 1, max = 64), inner(range(min = 1, max = WIDEST)), extend("why" = "without a hidden layer, use model `softmax`"))]
    pub widths: Vec<usize>,
    /// The activation after each hidden layer.
    pub activation: Activation,
    /// Whether to normalise each hidden layer before the activation.
    pub batch_norm: bool,
    /// Probability that a hidden unit is dropped.
    #[schemars(range(min = 0.0), extend("exclusiveMaximum" = 1.0, "why" = "0 turns it off"))]
    pub dropout: f64,
    /// How weights are drawn.
    #[schemars(with = "HiddenInit")]
    pub init: Init,
}

impl Default for MlpConfig {
    fn default() -> Self {
        MlpConfig {
            widths: vec![512, 512],
            activation: Activation::Relu,
            batch_norm: false,
            dropout: 0.0,
            init: Init::default(),
        }
    }
}

impl ModelConfig for MlpConfig {
    type Net = Mlp;
    const FACTS: Facts = Facts::new("mlp", "multi-layer perceptron")
        .paper("Rumelhart, Hinton and Williams 1986, Nature 323")
        .input("any shape; 2 or more classes");

    fn check(&self, io: &Io) -> Result<(), ConfigError> {
        let model = Self::FACTS.name;
        io.classes_for(model)?;
        check_hidden_init(model, self.init)
    }

    fn init(&self) -> Init {
        self.init
    }

    fn build(&self, io: &Io, b: &mut Builder) -> Mlp {
        let mut inputs = io.features();
        let mut hidden = Vec::with_capacity(self.widths.len());
        b.part("hidden", |b| {
            for (i, width) in self.widths.iter().enumerate() {
                hidden.push(b.part(i, |b| {
                    Dense::new(
                        b,
                        inputs,
                        *width,
                        self.batch_norm,
                        self.activation,
                        self.dropout,
                    )
                }));
                inputs = *width;
            }
        });
        Mlp {
            hidden,
            output: b.part("output", |b| {
                Linear::new(b, inputs, io.classes.unwrap_or(1), true)
            }),
        }
    }
}

/// The network of [`MlpConfig`].
#[derive(Module, Debug)]
pub struct Mlp {
    hidden: Vec<Dense>,
    output: Linear,
}

impl Mlp {
    fn chain(&self) -> Vec<Link<'_>> {
        let hidden = self.hidden.iter().flat_map(Dense::links);
        hidden.chain([Link::Linear(&self.output)]).collect()
    }
}

impl Forward for Mlp {
    fn forward(&self, x: Tensor<2>, pass: &mut ForwardPass) -> Tensor<2> {
        links::forward(&self.chain(), x, pass)
    }

    fn links(&self) -> Option<Vec<Link<'_>>> {
        Some(self.chain())
    }
}

/// Linear, batch norm, activation, dropout.
#[derive(Module, Debug)]
pub struct Dense {
    linear: Linear,
    norm: Option<BatchNorm>,
    #[module(skip)]
    activation: Activation,
    #[module(skip)]
    dropout: Dropout,
}

impl Dense {
    /// A layer from `inputs` to `width` units.
    pub fn new(
        b: &mut Builder,
        inputs: usize,
        width: usize,
        batch_norm: bool,
        activation: Activation,
        dropout: f64,
    ) -> Self {
        Dense {
            linear: b.part("linear", |b| Linear::new(b, inputs, width, true)),
            norm: batch_norm.then(|| b.part("norm", |b| BatchNorm::new(b, width))),
            activation,
            dropout: Dropout::new(b, "dropout", dropout),
        }
    }

    /// Maps `[batch, inputs]` to `[batch, width]`.
    pub fn forward(&self, x: Tensor<2>, pass: &mut ForwardPass) -> Tensor<2> {
        let links: Vec<Link<'_>> = self.links().collect();
        links::forward(&links, x, pass)
    }

    fn links(&self) -> impl Iterator<Item = Link<'_>> {
        [Link::Linear(&self.linear)]
            .into_iter()
            .chain(self.norm.as_ref().map(Link::BatchNorm))
            .chain([
                Link::Activation(self.activation),
                Link::Dropout(&self.dropout),
            ])
    }
}
