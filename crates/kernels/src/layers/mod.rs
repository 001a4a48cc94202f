//! Layers on the CPU for Burn: convolution, pooling, batch norm and the fully connected layer, each with the rectifier that follows.
//!
//! Burn 0.22 computes the weight gradient of a convolution as many small products, rearranges images in scalar loops, and makes several
//! passes over memory in batch norm and pooling. Here every product runs as a register tile over a small panel in the nearest cache, and the
//! rest in one or two passes, in parallel over images, planes or blocks, with the same bits for any number of threads. AVX-512, AVX2 or
//! portable code is chosen at run time; the levels differ in rounding.
//!
//! All of it applies to the backend flex in f32, to plain tensors and to those of a graph without gradient checkpointing; everything else
//! goes to Burn's own operations. So does everything if the environment variable `LARGEBATCH_KERNELS` is `off`.

#![allow(
    clippy::too_many_arguments,
    clippy::needless_range_loop,
    reason = "kernels take sizes and pointers, and index registers"
)]

mod batch_norm;
mod correlate;
mod flex;
mod level;
mod linear;
mod loss;
mod max_pool;
mod moments;
mod operation;
mod product;
mod shape;
mod subsample;
#[cfg(test)]
mod tests;
mod weight_gradient;

pub use batch_norm::BatchNorm;
use burn::tensor::ops::{AvgPoolOptions, ConvOptions, MaxPoolOptions};
use burn::tensor::{Tensor, activation, module};

pub(crate) fn vectors() -> Option<&'static str> {
    level::Level::best().name()
}

/// y = weight ⋆ x + bias, the cross-correlation that every framework calls convolution.
///
/// x `[batch, in, h, w]`, weight `[out, in, kernel_h, kernel_w]`, bias `[out]`; y `[batch, out, h', w']`, h' = ⌊(h + 2 padding − kernel) / stride⌋ + 1.
/// Equal to `burn::tensor::module::conv2d` without dilation and groups up to rounding, with its gradients. On flex in f32 without
/// gradient checkpointing the kernels of this crate run, unless the environment variable `LARGEBATCH_KERNELS` is `off`; otherwise Burn's.
///
/// # Panics
/// Where Burn's own panics: if sizes do not fit together.
pub fn conv2d(
    x: Tensor<4>,
    weight: Tensor<4>,
    bias: Option<Tensor<1>>,
    stride: [usize; 2],
    padding: [usize; 2],
) -> Tensor<4> {
    if crate::enabled()
        && let Some(y) = operation::conv2d(&x, &weight, bias.as_ref(), stride, padding)
    {
        return y;
    }
    module::conv2d(
        x,
        weight,
        bias,
        ConvOptions::new(stride, padding, [1, 1], 1),
    )
}

/// max(0, the largest number of each field), a field of `kernel` pixels every `stride` pixels; padding counts as −∞, or as 0 after the maximum.
///
/// x `[batch, channels, h, w]`. `ceil` keeps a last field that lies partly outside. Equal to the rectifier after (or, as both are
/// monotonic, before) `burn::tensor::module::max_pool2d`, in one pass. The gradient goes to the first of equal numbers, and NaN wins, as in
/// PyTorch. On flex in f32 without gradient checkpointing this crate's kernel runs, unless `LARGEBATCH_KERNELS` is `off`; otherwise Burn's.
pub fn max_pool2d_relu(
    x: Tensor<4>,
    kernel: [usize; 2],
    stride: [usize; 2],
    padding: [usize; 2],
    ceil: bool,
) -> Tensor<4> {
    if crate::enabled()
        && let Some(y) = max_pool::max_pool2d_relu(&x, kernel, stride, padding, ceil)
    {
        return y;
    }
    let options = MaxPoolOptions::new(kernel)
        .with_stride(stride)
        .with_padding(padding)
        .with_ceil_mode(ceil);
    activation::relu(module::max_pool2d(x, options))
}

/// y = γ (x − μ) / √(σ² + ε) + β for every channel, with the mean and the biased variance of this batch, x `[batch, channels, ..]`;
/// then + `plus`, then max(0, ·) if `relu`.
///
/// Equal to `burn::tensor::module::batch_norm_train` and what follows, up to rounding: statistics are combined in f64. On flex in f32 without
/// gradient checkpointing this crate's kernels run, unless `LARGEBATCH_KERNELS` is `off`; otherwise Burn's.
///
/// # Panics
/// Where Burn's own panics: if sizes do not fit together.
pub fn batch_norm_train<const D: usize>(
    x: Tensor<D>,
    gamma: Tensor<1>,
    beta: Tensor<1>,
    epsilon: f64,
    plus: Option<Tensor<D>>,
    relu: bool,
) -> BatchNorm<D> {
    if crate::enabled()
        && let Some(done) = batch_norm::batch_norm(&x, &gamma, &beta, epsilon, plus.as_ref(), relu)
    {
        return done;
    }
    let seen = module::batch_norm_train(x, gamma, beta, epsilon);
    let output = match plus {
        Some(plus) => seen.output + plus,
        None => seen.output,
    };
    let output = if relu {
        activation::relu(output)
    } else {
        output
    };
    BatchNorm {
        output,
        mean: seen.mean.inner(),
        variance: seen.variance.inner(),
    }
}

/// Every second pixel, and as many zero channels behind as there are: the shortcut without parameters of He et al. 2016 (option A).
///
/// x `[batch, channels, h, w]`, result `[batch, 2 channels, ⌈h/2⌉, ⌈w/2⌉]`.
pub fn subsample_and_widen(x: Tensor<4>) -> Tensor<4> {
    if crate::enabled()
        && let Some(y) = subsample::subsample_and_widen(&x)
    {
        return y;
    }
    // A mean over 1×1 fields with stride 2 picks every second pixel.
    let x = module::avg_pool2d(x, AvgPoolOptions::new([1, 1]).with_stride([2, 2]));
    let zeros = x.zeros_like();
    Tensor::cat(vec![x, zeros], 1)
}

/// y = x W + b, then max(0, ·) if `relu`: x `[batch, in]`, weight `[in, out]`, bias `[out]`.
///
/// Equal to `burn::tensor::module::linear` and the rectifier up to rounding. On flex in f32 without gradient checkpointing this crate's
/// kernels run, unless `LARGEBATCH_KERNELS` is `off`; otherwise Burn's.
///
/// # Panics
/// Where Burn's own panics: if sizes do not fit together.
pub fn linear(x: Tensor<2>, weight: Tensor<2>, bias: Option<Tensor<1>>, relu: bool) -> Tensor<2> {
    if crate::enabled()
        && let Some(y) = linear::linear(&x, &weight, bias.as_ref(), relu)
    {
        return y;
    }
    let y = module::linear(x, weight, bias);
    if relu { activation::relu(y) } else { y }
}

/// −Σ t log softmax(o) over all examples and classes, `[1]`: outputs o and constant targets t, whose rows add to 1, `[batch, classes]`.
///
/// Equal to the sum of `burn::tensor::activation::log_softmax(o, 1) * -t` up to rounding, with its gradient softmax(o) − t, which is computed in the same pass; the
/// examples are added in f64. On flex in f32 without gradient checkpointing this crate's kernel runs, unless `LARGEBATCH_KERNELS` is `off`; otherwise Burn's.
pub fn cross_entropy(outputs: Tensor<2>, targets: Tensor<2>) -> Tensor<1> {
    if crate::enabled()
        && let Some(sum) = loss::sum_of(loss::cross_entropy, &outputs, &targets)
    {
        return sum;
    }
    total(
        (activation::log_softmax(outputs, 1) * targets)
            .sum_dim(1)
            .reshape([-1]),
    )
    .neg()
}

/// Σ log(1 + e^(−t o)) over all examples, `[1]`: outputs o `[batch, 1]`, constant targets t = ±1.
///
/// Exact for large margins of both signs. Otherwise as [`cross_entropy`].
pub fn logistic(outputs: Tensor<2>, targets: Tensor<2>) -> Tensor<1> {
    if crate::enabled()
        && let Some(sum) = loss::sum_of(loss::logistic, &outputs, &targets)
    {
        return sum;
    }
    total(activation::log_sigmoid(outputs * targets).reshape([-1])).neg()
}

/// How many examples have their greatest output, the first of equal ones, where the targets have it, `[1]`; of outputs `[batch, 1]`, how many are above 0
/// where the targets are. `None` where this crate's kernel does not run; both on flex in f32, `[batch, classes]`, outside a graph.
pub fn hits(outputs: &Tensor<2>, targets: &Tensor<2>) -> Option<Tensor<1>> {
    if crate::enabled() {
        loss::hits(outputs, targets)
    } else {
        None
    }
}

/// The sum of a vector. Along a dimension, not over everything: flex adds 4 Mi numbers or more at once in an order that varies, and the sum over
/// everything crashes the software adapter of Mesa 22.
pub fn total(values: Tensor<1>) -> Tensor<1> {
    let n = values.dims()[0];
    values.reshape([1, n]).sum_dim(1).reshape([1])
}
