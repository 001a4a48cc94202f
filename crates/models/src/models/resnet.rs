//! Residual networks for small images; `resnet8` and `resnet20` are its sizes.

use burn::module::Module;
use burn::tensor::Tensor;
use largebatch_kernels::layers::subsample_and_widen;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::check_hidden_init;
use crate::layers::{BatchNorm, Conv2d, Linear, global_average};
use crate::{Builder, ConfigError, Forward, ForwardPass, Init, Io};

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

/// The common part of `resnet8` and `resnet20`.
pub(crate) struct Size<'a> {
    pub model: &'static str,
    pub blocks: usize,
    pub width: usize,
    pub shortcut: Shortcut,
    pub init: Init,
    pub io: &'a Io,
}

/// The most channels of the first stage; the last has four times as many.
pub(crate) const WIDEST_STAGE: usize = super::WIDEST / 4;

impl Size<'_> {
    pub(crate) fn check(&self) -> Result<(), ConfigError> {
        self.io.classes_for(self.model)?;
        self.io.image(self.model, 1)?;
        check_hidden_init(self.model, self.init)
    }

    pub(crate) fn build(&self, b: &mut Builder) -> ResNet {
        let (shape, width) = (self.io.sides(), self.width);
        let mut blocks = Vec::with_capacity(3 * self.blocks);
        let conv = b.part("conv", |b| Conv2d::new(b, shape[0], width, 3, 1, 1, false));
        let norm = b.part("norm", |b| BatchNorm::new(b, width));
        b.part("blocks", |b| {
            let mut channels = width;
            for (stage, outputs) in [width, 2 * width, 4 * width].into_iter().enumerate() {
                for i in 0..self.blocks {
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
                Linear::new(b, 4 * width, self.io.classes.unwrap_or(1), true)
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
