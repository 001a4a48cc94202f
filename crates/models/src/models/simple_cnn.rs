//! The "Simple CNN" of Shallue et al.

use burn::module::Module;
use burn::tensor::Tensor;
use largebatch_component::Facts;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{HiddenInit, WIDEST, check_hidden_init};
use crate::layers::{Activation, Conv2d, Dropout, Linear, Pool};
use crate::{Builder, ConfigError, Forward, ForwardPass, Init, Io, ModelConfig};

/// The Simple CNN: conv 32 5×5, pooling, conv 64 5×5, pooling, 1024 units with dropout 0.4, output
/// layer; with ReLU, "same" padding and 2×2 max pooling.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct SimpleCnnConfig {
    /// Filters of the two convolutions.
    #[schemars(inner(range(min = 1, max = WIDEST)))]
    pub filters: [usize; 2],
    /// Units of the hidden layer.
    #[schemars(range(min = 1, max = WIDEST))]
    pub width: usize,
    /// Probability that a unit of the hidden layer is dropped.
    #[schemars(range(min = 0.0), extend("exclusiveMaximum" = 1.0, "why" = "0 turns it off"))]
    pub dropout: f64,
    /// How weights are drawn.
    #[schemars(with = "HiddenInit")]
    pub init: Init,
}

impl Default for SimpleCnnConfig {
    fn default() -> Self {
        SimpleCnnConfig {
            filters: [32, 64],
            width: 1024,
            dropout: 0.4,
            init: Init::default(),
        }
    }
}

impl ModelConfig for SimpleCnnConfig {
    type Net = SimpleCnn;
    const FACTS: Facts = Facts::new(
        "simple-cnn",
        "two 5×5 convolutions with pooling and a hidden layer of 1024 with dropout",
    )
    .paper("Shallue et al. 2019, arXiv 1811.03600")
    .input("images of at least 4×4 (MNIST in the paper); 2 or more classes");

    fn check(&self, io: &Io) -> Result<(), ConfigError> {
        let model = Self::FACTS.name;
        io.classes_for(model)?;
        io.image(model, 4)?;
        check_hidden_init(model, self.init)
    }

    fn init(&self) -> Init {
        self.init
    }

    fn build(&self, io: &Io, b: &mut Builder) -> SimpleCnn {
        let ([channels, h, w], [first, second]) = (io.sides(), self.filters);
        SimpleCnn {
            conv1: b.part("conv1", |b| Conv2d::same(b, channels, first, 5)),
            conv2: b.part("conv2", |b| Conv2d::same(b, first, second, 5)),
            fc1: b.part("fc1", |b| {
                Linear::new(b, second * (h / 4) * (w / 4), self.width, true)
            }),
            fc2: b.part("fc2", |b| {
                Linear::new(b, self.width, io.classes.unwrap_or(1), true)
            }),
            dropout: Dropout::new(b, "dropout", self.dropout),
            shape: [channels, h, w],
        }
    }
}

/// The network of [`SimpleCnnConfig`].
#[derive(Module, Debug)]
pub struct SimpleCnn {
    conv1: Conv2d,
    conv2: Conv2d,
    fc1: Linear,
    fc2: Linear,
    #[module(skip)]
    dropout: Dropout,
    #[module(skip)]
    shape: [usize; 3],
}

impl Forward for SimpleCnn {
    fn forward(&self, x: Tensor<2>, pass: &mut ForwardPass) -> Tensor<2> {
        let (batch, [c, h, w]) = (x.dims()[0], self.shape);
        let x = Pool::Max.activate_and_halve(
            Activation::Relu,
            self.conv1.forward(x.reshape([batch, c, h, w])),
        );
        let x = Pool::Max.activate_and_halve(Activation::Relu, self.conv2.forward(x));
        let x = self
            .fc1
            .forward_activated(x.flatten(1, 3), Activation::Relu);
        self.fc2.forward(self.dropout.forward(x, pass), pass)
    }
}
