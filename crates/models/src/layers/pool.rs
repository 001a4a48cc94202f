//! Pooling.

use burn::tensor::ops::{AvgPoolOptions, MaxPoolOptions};
use burn::tensor::{Tensor, module};
use largebatch_kernels::layers::max_pool2d_relu;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Activation;

/// Which value represents a 2×2 window.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Pool {
    /// The largest value.
    #[default]
    Max,
    /// The mean.
    Average,
}

impl Pool {
    /// Halves the sides (rounding down) with 2×2 windows and stride 2.
    pub fn halve(self, x: Tensor<4>) -> Tensor<4> {
        match self {
            Pool::Max => module::max_pool2d(x, MaxPoolOptions::new([2, 2])),
            Pool::Average => module::avg_pool2d(x, AvgPoolOptions::new([2, 2])),
        }
    }

    /// An activation followed by [`Pool::halve`]. A monotonic activation and the maximum commute,
    /// so it is applied to the pooled image, which is a quarter of the work.
    pub fn activate_and_halve(self, activation: Activation, x: Tensor<4>) -> Tensor<4> {
        match (self, activation) {
            (Pool::Max, Activation::Relu) => max_pool2d_relu(x, [2, 2], [2, 2], [0, 0], false),
            (Pool::Max, Activation::Tanh | Activation::Sigmoid) => {
                activation.forward(self.halve(x))
            }
            _ => self.halve(activation.forward(x)),
        }
    }
}

/// ReLU, and the maximum over 3×3 windows with stride 2 and TensorFlow's padding "same": the sides
/// are halved, rounding up.
///
/// "Same" pads an odd side by one at both ends, and an even side by one at its end only; ceiling
/// mode does the latter without a copy.
pub fn max_pool_same_relu(x: Tensor<4>) -> Tensor<4> {
    let [_, _, h, w] = x.dims();
    max_pool2d_relu(x, [3, 3], [2, 2], [h % 2, w % 2], true)
}

/// The mean over the image: `[batch, channels, h, w]` to `[batch, channels]`.
pub fn global_average(x: Tensor<4>) -> Tensor<2> {
    let [batch, channels, h, w] = x.dims();
    x.reshape([batch, channels, h * w])
        .mean_dim(2)
        .reshape([batch, channels])
}
