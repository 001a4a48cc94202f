//! Layers on the CPU for Burn: convolution, pooling, batch norm and the fully connected layer, each
//! with the ReLU that follows; activations and losses.
//!
//! Burn 0.22 computes the weight gradient of a convolution as many small products, rearranges
//! images in scalar loops, and makes several passes over memory in batch norm and pooling. Here
//! every product runs as a register tile over a small panel in the L1 cache, and everything else
//! takes one or two passes. The work is parallel over images, planes or blocks, and gives the same
//! bits for any number of threads. AVX-512, AVX2 or portable code is chosen at run time; these
//! differ in rounding, except in activations and losses.
//!
//! All of this applies to Burn's CPU backend flex in f32, to plain tensors and to those in a graph
//! without gradient checkpointing. In all other cases, and always if the environment variable
//! `LARGEBATCH_KERNELS` is `off`, Burn's own operations run.

#![allow(
    clippy::too_many_arguments,
    clippy::needless_range_loop,
    reason = "kernels take many sizes and pointers, and index registers"
)]

mod activate;
pub(crate) mod batch_norm;
mod correlate;
mod few_rows;
pub(crate) mod flex;
pub(crate) mod level;
pub(crate) mod linear;
pub(crate) mod loss;
mod math;
mod max_pool;
pub(crate) mod moments;
mod operation;
pub(crate) mod product;
mod shape;
mod subsample;
pub(crate) mod sum;
#[cfg(test)]
mod tests;
mod tile;
mod together;
mod weight_gradient;

pub use activate::Activation;
pub use batch_norm::BatchNorm;
use burn::tensor::ops::{AvgPoolOptions, ConvOptions, MaxPoolOptions};
use burn::tensor::{Tensor, activation, module};
pub use together::{AllSum, Together};

pub(crate) fn vectors() -> Option<&'static str> {
    level::Level::best().name()
}

/// y = weight ⋆ x + bias, the cross-correlation that every framework calls convolution.
///
/// x `[batch, in, h, w]`, weight `[out, in, kernel_h, kernel_w]`, bias `[out]`; y
/// `[batch, out, h', w']`, h' = ⌊(h + 2 padding − kernel) / stride⌋ + 1. Equal to
/// `burn::tensor::module::conv2d` without dilation and groups up to rounding, with its gradients.
/// On flex in f32 without gradient checkpointing this crate's kernels run, unless the environment
/// variable `LARGEBATCH_KERNELS` is `off`; otherwise Burn's.
///
/// # Panics
/// If sizes do not match, like Burn's own operation.
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

/// max(0, the largest element of each window), with windows of `kernel` pixels every `stride`
/// pixels; padding counts as −∞ (and so as 0 after the maximum with 0).
///
/// x `[batch, channels, h, w]`. `ceil` keeps a last window that is partly outside. Equal to ReLU
/// after `burn::tensor::module::max_pool2d` (or before it, as both are monotonic), in one pass. The
/// gradient goes to the first of equal elements, and NaN is propagated, as in PyTorch. On flex in
/// f32 without gradient checkpointing this crate's kernel runs, unless `LARGEBATCH_KERNELS` is
/// `off`; otherwise Burn's.
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

/// y = γ (x − μ) / √(σ² + ε) + β for every channel, with the mean and the biased variance of this
/// batch, x `[batch, channels, ..]`; then adds `plus`, then applies max(0, ·) if `relu`.
///
/// Equal to `burn::tensor::module::batch_norm_train` and the operations that follow, up to
/// rounding: statistics are combined in f64. On flex in f32 without gradient checkpointing this
/// crate's kernels run, unless `LARGEBATCH_KERNELS` is `off`; otherwise Burn's.
///
/// # Panics
/// If sizes do not match, like Burn's own operation.
pub fn batch_norm_train<const D: usize>(
    x: Tensor<D>,
    gamma: Tensor<1>,
    beta: Tensor<1>,
    epsilon: f64,
    plus: Option<Tensor<D>>,
    relu: bool,
) -> BatchNorm<D> {
    let by = [&gamma, &beta];
    if crate::enabled()
        && let Some(done) = batch_norm::batch_norm(&x, by, epsilon, plus.as_ref(), relu, None)
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

/// [`batch_norm_train`] with mean and variance of the whole batch, of which x is a part: synchronised
/// batch norm. The gradient with respect to x has the terms of the other parts, those with respect
/// to γ and β are of this part.
///
/// # Panics
/// Unless kernels are on and x is on flex in f32, without gradient checkpointing.
pub fn batch_norm_together<const D: usize>(
    x: Tensor<D>,
    [gamma, beta]: [Tensor<1>; 2],
    epsilon: f64,
    plus: Option<Tensor<D>>,
    relu: bool,
    together: &Together,
) -> BatchNorm<D> {
    let by = [&gamma, &beta];
    let done = batch_norm::batch_norm(&x, by, epsilon, plus.as_ref(), relu, Some(together));
    done.filter(|_| crate::enabled())
        .expect("synchronised batch norm has a kernel on flex only")
}

/// Every second pixel, followed by as many zero channels as x has channels: the parameter-free
/// shortcut of He et al. 2016 (option A).
///
/// x `[batch, channels, h, w]`, result `[batch, 2 channels, ⌈h/2⌉, ⌈w/2⌉]`.
pub fn subsample_and_widen(x: Tensor<4>) -> Tensor<4> {
    if crate::enabled()
        && let Some(y) = subsample::subsample_and_widen(&x)
    {
        return y;
    }
    // Mean pooling over 1×1 windows with stride 2 picks every second pixel.
    let x = module::avg_pool2d(x, AvgPoolOptions::new([1, 1]).with_stride([2, 2]));
    let zeros = x.zeros_like();
    Tensor::cat(vec![x, zeros], 1)
}

/// y = x W + b, then max(0, ·) if `relu`: x `[batch, in]`, weight `[in, out]`, bias `[out]`.
///
/// Equal to `burn::tensor::module::linear` followed by ReLU, up to rounding. On flex in f32 without
/// gradient checkpointing this crate's kernels run, unless `LARGEBATCH_KERNELS` is `off`; otherwise
/// Burn's.
///
/// # Panics
/// If sizes do not match, like Burn's own operation.
pub fn linear(x: Tensor<2>, weight: Tensor<2>, bias: Option<Tensor<1>>, relu: bool) -> Tensor<2> {
    if crate::enabled()
        && let Some(y) = linear::linear(&x, &weight, bias.as_ref(), relu)
    {
        return y;
    }
    let y = module::linear(x, weight, bias);
    if relu { activation::relu(y) } else { y }
}

/// −Σ t log softmax(o) over all examples and classes, `[1]`: outputs o and constant targets t, both
/// `[batch, classes]`; each row of t sums to 1.
///
/// Equal to the sum of `burn::tensor::activation::log_softmax(o, 1) * -t` up to rounding. Its
/// gradient, softmax(o) − t, is computed in the same pass, and the examples are added in f64. On
/// flex in f32 without gradient checkpointing this crate's kernel runs, unless `LARGEBATCH_KERNELS`
/// is `off`; otherwise Burn's.
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
/// Exact for large margins of either sign. Otherwise like [`cross_entropy`].
pub fn logistic(outputs: Tensor<2>, targets: Tensor<2>) -> Tensor<1> {
    if crate::enabled()
        && let Some(sum) = loss::sum_of(loss::logistic, &outputs, &targets)
    {
        return sum;
    }
    total(activation::log_sigmoid(outputs * targets).reshape([-1])).neg()
}

/// The number of examples whose largest output, the first one in a tie, is where the largest target
/// is, `[1]`. For outputs `[batch, 1]`: the number whose output and target are both above 0 or both
/// not. `None` if this crate's kernel does not run; it needs both on flex in f32,
/// `[batch, classes]`, outside a graph.
pub fn correct(outputs: &Tensor<2>, targets: &Tensor<2>) -> Option<Tensor<1>> {
    if crate::enabled() {
        loss::correct(outputs, targets)
    } else {
        None
    }
}

/// The sum of a vector, computed along its dimension instead of over all elements: flex adds 4 Mi
/// elements or more in an order that varies, and the sum over all elements crashes the software
/// adapter of Mesa 22.
pub fn total(values: Tensor<1>) -> Tensor<1> {
    let n = values.dims()[0];
    values.reshape([1, n]).sum_dim(1).reshape([1])
}
