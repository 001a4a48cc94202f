//! The two-dimensional convolution.

use burn::module::{Module, Param};
use burn::tensor::Tensor;

use crate::Builder;

/// Cross-correlation with square kernels, which every framework calls "convolution": x
/// `[batch, in, h, w]`.
#[derive(Module, Debug)]
pub struct Conv2d {
    /// The weights, `[out, in, kernel, kernel]`.
    pub weight: Param<Tensor<4>>,
    /// The bias, `[out]`.
    pub bias: Option<Param<Tensor<1>>>,
    #[module(skip)]
    stride: usize,
    #[module(skip)]
    padding: usize,
}

impl Conv2d {
    /// A convolution from `inputs` to `outputs` channels with stride 1 and a bias, padded so that
    /// the size stays the same ("same" padding).
    pub fn same(b: &mut Builder, inputs: usize, outputs: usize, kernel: usize) -> Self {
        Self::new(b, inputs, outputs, kernel, 1, kernel / 2, true)
    }

    /// A convolution with all its options.
    pub fn new(
        b: &mut Builder,
        inputs: usize,
        outputs: usize,
        kernel: usize,
        stride: usize,
        padding: usize,
        bias: bool,
    ) -> Self {
        let area = kernel * kernel;
        let fan_in = inputs.saturating_mul(area);
        Conv2d {
            weight: b.weight(
                "weight",
                [outputs, inputs, kernel, kernel],
                (fan_in, outputs.saturating_mul(area)),
            ),
            bias: bias.then(|| b.bias("bias", outputs, fan_in)),
            stride,
            padding,
        }
    }

    /// Maps `[batch, in, h, w]` to `[batch, out, h', w']`, where h' = ⌊(h + 2 padding − kernel) /
    /// stride⌋ + 1.
    pub fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        largebatch_kernels::layers::conv2d(
            x,
            self.weight.val(),
            self.bias.as_ref().map(Param::val),
            [self.stride; 2],
            [self.padding; 2],
        )
    }
}
