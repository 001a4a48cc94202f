//! LeNet-5.

use burn::module::Module;
use burn::tensor::Tensor;
use largebatch_component::Facts;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{HiddenInit, check_hidden_init};
use crate::layers::{Activation, Conv2d, Linear, Pool};
use crate::{Builder, ConfigError, Forward, ForwardPass, Init, Io, ModelConfig};

/// LeNet-5: conv 6 5×5, pooling, conv 16 5×5, pooling, hidden layers of 120 and 84 units, output
/// layer.
///
/// The default is the form used in recent papers, with ReLU and max pooling. `activation = "tanh"`
/// with `pool = "average"` is closest to the original, whose scaled tanh, trained subsampling,
/// partial connections and RBF outputs no framework's version includes. Images smaller than 32
/// pixels are padded by 2, as LeCun padded MNIST's 28 to 32: 61,706 parameters on MNIST.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct LeNet5Config {
    /// The activation after each layer except the last.
    pub activation: Activation,
    /// The pooling after each convolution.
    pub pool: Pool,
    /// How weights are drawn.
    #[schemars(with = "HiddenInit")]
    pub init: Init,
}

impl LeNet5Config {
    /// The first convolution's padding.
    fn padding(io: &Io) -> usize {
        let [_, h, w] = io.sides();
        if h.min(w) < 32 { 2 } else { 0 }
    }
}

impl ModelConfig for LeNet5Config {
    type Net = LeNet5;
    const FACTS: Facts = Facts::new(
        "lenet5",
        "LeNet-5 with ReLU and max pooling, or tanh and average pooling",
    )
    .paper("LeCun et al. 1998, Proc. IEEE 86; on MNIST in You et al. 2020, arXiv 1904.00962")
    .input("images of at least 12×12; 2 or more classes");

    fn check(&self, io: &Io) -> Result<(), ConfigError> {
        let model = Self::FACTS.name;
        io.classes_for(model)?;
        // Sizes: 12 + 4 → 12 → 6 → 2 → 1. A smaller image would vanish.
        io.image(model, 12)?;
        check_hidden_init(model, self.init)
    }

    fn init(&self) -> Init {
        self.init
    }

    fn build(&self, io: &Io, b: &mut Builder) -> LeNet5 {
        let [channels, h, w] = io.sides();
        let padding = Self::padding(io);
        let left = |side: usize| ((side + 2 * padding - 4) / 2 - 4) / 2;
        LeNet5 {
            conv1: b.part("conv1", |b| {
                Conv2d::new(b, channels, 6, 5, 1, padding, true)
            }),
            conv2: b.part("conv2", |b| Conv2d::new(b, 6, 16, 5, 1, 0, true)),
            fc1: b.part("fc1", |b| Linear::new(b, 16 * left(h) * left(w), 120, true)),
            fc2: b.part("fc2", |b| Linear::new(b, 120, 84, true)),
            fc3: b.part("fc3", |b| Linear::new(b, 84, io.classes.unwrap_or(1), true)),
            shape: [channels, h, w],
            activation: self.activation,
            pool: self.pool,
        }
    }
}

/// The network of [`LeNet5Config`].
#[derive(Module, Debug)]
pub struct LeNet5 {
    conv1: Conv2d,
    conv2: Conv2d,
    fc1: Linear,
    fc2: Linear,
    fc3: Linear,
    #[module(skip)]
    shape: [usize; 3],
    #[module(skip)]
    activation: Activation,
    #[module(skip)]
    pool: Pool,
}

impl Forward for LeNet5 {
    fn forward(&self, x: Tensor<2>, pass: &mut ForwardPass) -> Tensor<2> {
        let (batch, [c, h, w]) = (x.dims()[0], self.shape);
        let x = self.pool.activate_and_halve(
            self.activation,
            self.conv1.forward(x.reshape([batch, c, h, w])),
        );
        let x = self
            .pool
            .activate_and_halve(self.activation, self.conv2.forward(x));
        let x = self.fc1.forward_activated(x.flatten(1, 3), self.activation);
        let x = self.fc2.forward_activated(x, self.activation);
        self.fc3.forward(x, pass)
    }
}
