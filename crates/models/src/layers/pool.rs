//! Pooling.

use burn::tensor::ops::{AvgPoolOptions, MaxPoolOptions};
use burn::tensor::{Tensor, module};
use serde::{Deserialize, Serialize};

/// Which number stands for a 2×2 field.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Pool {
    /// The largest.
    #[default]
    Max,
    /// The mean.
    Average,
}

impl Pool {
    /// Halve the sides (rounded down) by 2×2 fields with stride 2.
    pub fn halve(self, x: Tensor<4>) -> Tensor<4> {
        match self {
            Pool::Max => module::max_pool2d(x, MaxPoolOptions::new([2, 2])),
            Pool::Average => module::avg_pool2d(x, AvgPoolOptions::new([2, 2])),
        }
    }
}

/// Maximum over 3×3 fields with stride 2 and TensorFlow's padding "same": the sides are halved, rounded up.
///
/// "Same" pads an odd side by one at both ends and an even one by one at its end; ceiling mode does the latter without a copy.
pub fn max_pool_same(x: Tensor<4>) -> Tensor<4> {
    let [_, _, h, w] = x.dims();
    module::max_pool2d(x, MaxPoolOptions::new([3, 3]).with_stride([2, 2]).with_padding([h % 2, w % 2]).with_ceil_mode(true))
}

/// The mean over the image: `[batch, channels, h, w]` to `[batch, channels]`.
pub fn global_average(x: Tensor<4>) -> Tensor<2> {
    let [batch, channels, h, w] = x.dims();
    x.reshape([batch, channels, h * w]).mean_dim(2).reshape([batch, channels])
}
