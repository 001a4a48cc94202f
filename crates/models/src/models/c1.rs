//! Keskar's C1.

use burn::module::Module;
use burn::tensor::Tensor;
use largebatch_component::Facts;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::mlp::Dense;
use super::{HiddenInit, WIDEST, check_hidden_init};
use crate::layers::{Activation, BatchNorm, Conv2d, Linear, max_pool_same_relu};
use crate::{Builder, ConfigError, Forward, ForwardPass, Init, Io, ModelConfig};

/// C1 of Keskar et al., a small AlexNet: two blocks of conv 64 5×5, batch norm, ReLU and 3×3 max
/// pooling with stride 2; then two hidden layers of 384 and 192 units with batch norm, ReLU and
/// dropout 0.5; then the output layer. Convolutions and pooling use "same" padding.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct C1Config {
    /// Filters of each convolution.
    #[schemars(range(min = 1, max = WIDEST))]
    pub filters: usize,
    /// Units of the two hidden layers.
    #[schemars(inner(range(min = 1, max = WIDEST)))]
    pub widths: [usize; 2],
    /// Probability that a unit of a hidden layer is dropped.
    #[schemars(range(min = 0.0), extend("exclusiveMaximum" = 1.0, "why" = "0 turns it off"))]
    pub dropout: f64,
    /// How weights are drawn.
    #[schemars(with = "HiddenInit")]
    pub init: Init,
}

impl Default for C1Config {
    fn default() -> Self {
        C1Config {
            filters: 64,
            widths: [384, 192],
            dropout: 0.5,
            init: Init::default(),
        }
    }
}

impl ModelConfig for C1Config {
    type Net = C1;
    const FACTS: Facts = Facts::new(
        "c1",
        "Keskar's C1: two 5×5 convolutions and two hidden layers with batch norm and dropout",
    )
    .paper("Keskar et al. 2017, arXiv 1609.04836, B.3")
    .input("images (CIFAR-10 in the paper); 2 or more classes");

    fn check(&self, io: &Io) -> Result<(), ConfigError> {
        let model = Self::FACTS.name;
        io.classes_for(model)?;
        io.image(model, 1)?;
        check_hidden_init(model, self.init)
    }

    fn init(&self) -> Init {
        self.init
    }

    fn build(&self, io: &Io, b: &mut Builder) -> C1 {
        let ([channels, h, w], [first, second]) = (io.sides(), self.widths);
        let left = |side: usize| side.div_ceil(2).div_ceil(2);
        let dense = |b: &mut Builder, inputs, width| {
            Dense::new(b, inputs, width, true, Activation::Relu, self.dropout)
        };
        C1 {
            conv1: b.part("conv1", |b| Conv2d::same(b, channels, self.filters, 5)),
            norm1: b.part("norm1", |b| BatchNorm::new(b, self.filters)),
            conv2: b.part("conv2", |b| Conv2d::same(b, self.filters, self.filters, 5)),
            norm2: b.part("norm2", |b| BatchNorm::new(b, self.filters)),
            fc1: b.part("fc1", |b| dense(b, self.filters * left(h) * left(w), first)),
            fc2: b.part("fc2", |b| dense(b, first, second)),
            output: b.part("output", |b| {
                Linear::new(b, second, io.classes.unwrap_or(1), true)
            }),
            shape: [channels, h, w],
        }
    }
}

/// The network of [`C1Config`].
#[derive(Module, Debug)]
pub struct C1 {
    conv1: Conv2d,
    norm1: BatchNorm,
    conv2: Conv2d,
    norm2: BatchNorm,
    fc1: Dense,
    fc2: Dense,
    output: Linear,
    #[module(skip)]
    shape: [usize; 3],
}

impl Forward for C1 {
    fn forward(&self, x: Tensor<2>, pass: &mut ForwardPass) -> Tensor<2> {
        let (batch, [c, h, w]) = (x.dims()[0], self.shape);
        let x = self
            .norm1
            .forward(self.conv1.forward(x.reshape([batch, c, h, w])), pass);
        let x = max_pool_same_relu(x);
        let x = self.norm2.forward(self.conv2.forward(x), pass);
        let x = max_pool_same_relu(x);
        let x = self.fc1.forward(x.flatten(1, 3), pass);
        let x = self.fc2.forward(x, pass);
        self.output.forward(x, pass)
    }
}
