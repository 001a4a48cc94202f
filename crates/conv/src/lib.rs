//! Two-dimensional convolution on the CPU for Burn.
//!
//! Burn 0.22 computes the weight gradient of a convolution as many small products, and rearranges images in scalar loops. Here all three
//! products run as register tiles over small panels in the nearest cache, in parallel over the images, with the same bits for any number of
//! threads. It applies to the backend flex in f32; everything else goes to Burn's own convolution.

mod correlate;
mod level;
mod operation;
mod shape;
#[cfg(test)]
mod tests;
mod weight_gradient;

use std::sync::LazyLock;

use burn::tensor::{Tensor, module, ops::ConvOptions};

/// y = weight ⋆ x + bias, the cross-correlation that every framework calls convolution.
///
/// x `[batch, in, h, w]`, weight `[out, in, kernel_h, kernel_w]`, bias `[out]`; y `[batch, out, h', w']`, h' = ⌊(h + 2 padding − kernel) / stride⌋ + 1.
/// Equal to `burn::tensor::module::conv2d` without dilation and groups up to rounding, with its gradients. On flex in f32 without
/// gradient checkpointing the kernels of this crate run, unless the environment variable `LARGEBATCH_KERNELS` is `off`; otherwise Burn's.
///
/// # Panics
/// Where Burn's own panics: if sizes do not fit together.
pub fn conv2d(x: Tensor<4>, weight: Tensor<4>, bias: Option<Tensor<1>>, stride: [usize; 2], padding: [usize; 2]) -> Tensor<4> {
    static KERNELS: LazyLock<bool> = LazyLock::new(|| std::env::var_os("LARGEBATCH_KERNELS").is_none_or(|v| v != "off"));
    if *KERNELS && let Some(y) = operation::conv2d(&x, &weight, bias.as_ref(), stride, padding) {
        return y;
    }
    module::conv2d(x, weight, bias, ConvOptions::new(stride, padding, [1, 1], 1))
}
