//! Residual networks for small images.

use burn::module::Module;
use burn::tensor::Tensor;
use largebatch_component::Facts;
use largebatch_kernels::layers::subsample_and_widen;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{HiddenInit, check_hidden_init};
use crate::layers::{BatchNorm, Conv2d, Linear, global_average};
use crate::{Builder, ConfigError, Forward, ForwardPass, Init, Io, ModelConfig};

/// The shortcut where the image halves and the channels double (He et al. 2016, 3.3).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Shortcut {
    /// Option A, the paper's choice for CIFAR: every second pixel, and zeros for the new channels;
    /// no parameters.
    #[default]
    Pad,
    /// Option B: a 1×1 convolution with stride 2 and batch norm.
    Projection,
}

/// He et al.'s residual network for CIFAR, of 6n + 2 layers: n blocks in each of three stages.
///
/// ResNet-8 (n = 1, Shallue et al. 2019) has 75,290 parameters on CIFAR-10, and ResNet-20 (n = 3)
/// with shortcuts of option A has 269,722 ("0.27 M" in He et al.).
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ResNetConfig {
    /// The number of layers, 6n + 2 with n blocks per stage.
    #[schemars(range(min = 8, max = 1202), extend("values" = "8, 14, 20, …, 1202"))]
    pub depth: usize,
    /// Channels of the first stage; the next two have twice and four times as many.
    #[schemars(range(min = 1, max = WIDEST_STAGE))]
    pub width: usize,
    /// How shortcuts handle a change of size.
    pub shortcut: Shortcut,
    /// How weights are drawn; He's rule by default, as in the paper.
    #[schemars(with = "HiddenInit")]
    pub init: Init,
}

/// The most channels of the first stage; the last has four times as many.
const WIDEST_STAGE: usize = super::WIDEST / 4;

impl Default for ResNetConfig {
    fn default() -> Self {
        ResNetConfig {
            depth: 8,
            width: 16,
            shortcut: Shortcut::default(),
            init: Init::KaimingNormal,
        }
    }
}

impl ModelConfig for ResNetConfig {
    type Net = ResNet;
    const FACTS: Facts = Facts::new(
        "resnet",
        "residual network of 6n + 2 layers: n blocks in each of three stages",
    )
    .paper("He et al. 2016, arXiv 1512.03385, 4.2; 8 layers: Shallue et al. 2019, arXiv 1811.03600")
    .input("images (CIFAR in the paper); 2 or more classes")
    .aliases(&[("resnet8", "depth = 8"), ("resnet20", "depth = 20")]);

    fn check(&self, io: &Io) -> Result<(), ConfigError> {
        let model = Self::FACTS.name;
        io.classes_for(model)?;
        io.image(model, 1)?;
        if self.depth % 6 != 2 {
            let below = self.depth - (self.depth - 2) % 6;
            return Err(ConfigError::Option {
                model,
                option: "depth",
                value: self.depth.to_string(),
                reason: format!(
                    "the depth is 6n + 2 for n blocks per stage; the nearest are {below} and {}",
                    below + 6
                ),
            });
        }
        check_hidden_init(model, self.init)
    }

    fn init(&self) -> Init {
        self.init
    }

    fn build(&self, io: &Io, b: &mut Builder) -> ResNet {
        let (shape, width, per_stage) = (io.sides(), self.width, (self.depth - 2) / 6);
        let mut blocks = Vec::with_capacity(3 * per_stage);
        let conv = b.part("conv", |b| Conv2d::new(b, shape[0], width, 3, 1, 1, false));
        let norm = b.part("norm", |b| BatchNorm::new(b, width));
        b.part("blocks", |b| {
            let mut channels = width;
            for (stage, outputs) in [width, 2 * width, 4 * width].into_iter().enumerate() {
                for i in 0..per_stage {
                    let halve = stage > 0 && i == 0;
                    blocks.push(b.part(blocks.len(), |b| {
                        Block::new(b, channels, outputs, halve, self.shortcut)
                    }));
                    channels = outputs;
                }
            }
        });
        ResNet {
            conv,
            norm,
            blocks,
            output: b.part("output", |b| {
                Linear::new(b, 4 * width, io.classes.unwrap_or(1), true)
            }),
            shape,
        }
    }
}

/// A residual network: conv 3×3, three stages of blocks (the second and third halve the image and
/// double the channels), global average pooling, and a linear layer. Version 1 of He et al.: batch
/// norm after each convolution, ReLU after the sum.
#[derive(Module, Debug)]
pub struct ResNet {
    conv: Conv2d,
    norm: BatchNorm,
    blocks: Vec<Block>,
    output: Linear,
    #[module(skip)]
    shape: [usize; 3],
}

impl Forward for ResNet {
    fn forward(&self, x: Tensor<2>, pass: &mut ForwardPass) -> Tensor<2> {
        let (batch, [c, h, w]) = (x.dims()[0], self.shape);
        let x = self.conv.forward(x.reshape([batch, c, h, w]));
        let x = self.norm.forward_relu(x, pass);
        let x = self
            .blocks
            .iter()
            .fold(x, |x, block| block.forward(x, pass));
        self.output.forward(global_average(x), pass)
    }
}

/// relu(norm(conv(relu(norm(conv(x))))) + shortcut(x)).
#[derive(Module, Debug)]
pub struct Block {
    conv1: Conv2d,
    norm1: BatchNorm,
    conv2: Conv2d,
    norm2: BatchNorm,
    projection: Option<Projection>,
    #[module(skip)]
    halve: bool,
}

/// A 1×1 convolution with stride 2 and batch norm.
#[derive(Module, Debug)]
pub struct Projection {
    conv: Conv2d,
    norm: BatchNorm,
}

impl Block {
    fn new(
        b: &mut Builder,
        inputs: usize,
        outputs: usize,
        halve: bool,
        shortcut: Shortcut,
    ) -> Self {
        let stride = if halve { 2 } else { 1 };
        Block {
            conv1: b.part("conv1", |b| {
                Conv2d::new(b, inputs, outputs, 3, stride, 1, false)
            }),
            norm1: b.part("norm1", |b| BatchNorm::new(b, outputs)),
            conv2: b.part("conv2", |b| {
                Conv2d::new(b, outputs, outputs, 3, 1, 1, false)
            }),
            norm2: b.part("norm2", |b| BatchNorm::new(b, outputs)),
            projection: (halve && shortcut == Shortcut::Projection).then(|| {
                b.part("projection", |b| Projection {
                    conv: b.part("conv", |b| Conv2d::new(b, inputs, outputs, 1, 2, 0, false)),
                    norm: b.part("norm", |b| BatchNorm::new(b, outputs)),
                })
            }),
            halve,
        }
    }

    fn forward(&self, x: Tensor<4>, pass: &mut ForwardPass) -> Tensor<4> {
        let y = self.norm1.forward_relu(self.conv1.forward(x.clone()), pass);
        let y = self.conv2.forward(y);
        let x = match &self.projection {
            Some(projection) => projection.norm.forward(projection.conv.forward(x), pass),
            None if self.halve => subsample_and_widen(x),
            None => x,
        };
        self.norm2.forward_plus_relu(y, x, pass)
    }
}
