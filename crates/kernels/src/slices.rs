//! Layers, activations and losses on slices of f32, for a training step without a graph.
//!
//! The operations of [`layers`](crate::layers) call the same code, so both give the same bits. All
//! matrices are stored row by row. Results are written to memory that the caller gives.
//!
//! All functions panic if the length of a slice does not match the sizes.

use crate::layers::level::Level;
use crate::layers::moments::{self, Layout};
use crate::layers::product::product_into;
use crate::layers::{Activation, batch_norm as norm, flex, linear as dense, loss, sum as total};
use crate::scratch::Scratch;

/// y = x W + b, then max(0, ·) if `relu`: sizes `[batch, inputs, outputs]`, x `[batch, inputs]`,
/// weight `[inputs, outputs]`, bias `[outputs]`, y `[batch, outputs]`.
pub fn linear(
    sizes: [usize; 3],
    x: &[f32],
    weight: &[f32],
    bias: Option<&[f32]>,
    relu: bool,
    y: &mut [f32],
) {
    let what = dense::forward(sizes, x, weight, bias, relu);
    product_into(Level::best(), what, y);
}

/// The gradient of [`linear`] without ReLU with respect to x, given that with respect to y.
pub fn linear_by_input(sizes: [usize; 3], by_y: &[f32], weight: &[f32], by_x: &mut [f32]) {
    product_into(Level::best(), dense::by_input(sizes, by_y, weight), by_x);
}

/// The gradient of [`linear`] without ReLU with respect to the weight.
pub fn linear_by_weight(sizes: [usize; 3], by_y: &[f32], x: &[f32], by_weight: &mut [f32]) {
    product_into(Level::best(), dense::by_weight(sizes, by_y, x), by_weight);
}

/// The gradient of [`linear`] without ReLU with respect to the bias.
pub fn linear_by_bias(by_y: &[f32], by_bias: &mut [f32]) {
    dense::column_sums(by_y, by_bias.len(), by_bias);
}

/// Turns the gradient after a ReLU, whose result is y, into that before it.
pub fn relu_gradient(gradient: &mut [f32], y: &[f32]) {
    assert_eq!(gradient.len(), y.len());
    flex::rectify(Level::best(), gradient, y);
}

/// y = f(x).
pub fn activation(f: Activation, x: &[f32], y: &mut [f32]) {
    assert_eq!(x.len(), y.len());
    f.apply(x, y);
}

/// The gradient of y = f(x) with respect to x, given that with respect to y.
pub fn activation_gradient(f: Activation, [x, y]: [&[f32]; 2], by_y: &[f32], by_x: &mut [f32]) {
    assert!([x.len(), y.len(), by_y.len()] == [by_x.len(); 3]);
    let seen = if f == Activation::Gelu { x } else { y };
    f.gradient(seen, by_y, by_x);
}

/// The moments of a batch, for its gradient.
#[derive(Default)]
pub struct Moments(moments::Moments);

impl Moments {
    /// The means of the batch, by channel.
    pub fn mean(&self) -> &[f32] {
        &self.0.mean
    }

    /// The biased variances of the batch, by channel.
    pub fn variance(&self) -> &[f32] {
        &self.0.variance
    }
}

/// Whether [`batch_norm`] has a kernel for rows of so many channels.
pub fn normalises(channels: usize) -> bool {
    Layout::of(&[1, channels]).is_some()
}

/// y = γ (x − μ) / √(σ² + ε) + β with the mean and the biased variance of each channel, then
/// max(0, ·) if `relu`. γ and β are `[channels]`, x and y rows of as many. Writes the moments to `seen`.
pub fn batch_norm(
    x: &[f32],
    [gamma, beta]: [&[f32]; 2],
    epsilon: f64,
    relu: bool,
    y: &mut [f32],
    Moments(seen): &mut Moments,
) {
    let (level, layout) = (Level::best(), rows(x, gamma));
    assert!(beta.len() == gamma.len() && y.len() == x.len());
    moments::moments(level, &layout, x, epsilon, seen);
    // SAFETY: `forward` writes every element.
    unsafe {
        flex::overwritten(y, |y| {
            norm::forward(level, &layout, x, seen, gamma, beta, None, relu, y);
        });
    }
}

/// The gradients of [`batch_norm`] without ReLU with respect to x, γ and β.
pub fn batch_norm_gradient(
    x: &[f32],
    gamma: &[f32],
    Moments(seen): &Moments,
    by_y: &[f32],
    by_x: &mut [f32],
    [by_gamma, by_beta]: [&mut [f32]; 2],
) {
    let (level, layout) = (Level::best(), rows(x, gamma));
    assert!(by_y.len() == x.len() && by_x.len() == x.len());
    let sums = [&mut *by_beta, &mut *by_gamma];
    moments::products(level, &layout, by_y, x, seen, sums);
    // SAFETY: `by_input` writes every element.
    unsafe {
        flex::overwritten(by_x, |by_x| {
            let sums = (layout.values(), &*by_beta, &*by_gamma);
            norm::by_input(level, &layout, by_y, x, gamma, seen, sums, by_x);
        });
    }
}

/// [`batch_norm`] with given means and variances, after γ and β: the operations of Burn's
/// `module::batch_norm`, which divides by the root.
pub fn batch_norm_eval(
    x: &[f32],
    [gamma, beta, mean, variance]: [&[f32]; 4],
    epsilon: f64,
    relu: bool,
    y: &mut [f32],
) {
    let channels = gamma.len();
    assert!(y.len() == x.len() && x.len().is_multiple_of(channels));
    assert!([beta, mean, variance].iter().all(|v| v.len() == channels));
    let root: Scratch<f32> = variance
        .iter()
        .map(|v| (v + epsilon as f32).sqrt())
        .collect();
    for (y, x) in y.chunks_exact_mut(channels).zip(x.chunks_exact(channels)) {
        for (i, (y, x)) in y.iter_mut().zip(x).enumerate() {
            let value = (x - mean[i]) / root[i] * gamma[i] + beta[i];
            // NaN is propagated.
            *y = if relu && value <= 0.0 { 0.0 } else { value };
        }
    }
}

fn rows(x: &[f32], gamma: &[f32]) -> Layout {
    let channels = gamma.len();
    assert!(x.len().is_multiple_of(channels));
    Layout::of(&[x.len() / channels, channels]).expect("`normalises`, and at least one row")
}

/// −Σ t log softmax(o) over rows of `classes` outputs and targets; writes its gradient.
pub fn cross_entropy(o: &[f32], t: &[f32], classes: usize, gradient: &mut [f32]) -> f32 {
    assert!(o.len() == t.len() && o.len() == gradient.len());
    loss::sum_of_rows(loss::cross_entropy, o, t, classes, gradient)
}

/// Σ log(1 + e^(−t o)) over outputs o and targets t = ±1; writes its gradient.
pub fn logistic(o: &[f32], t: &[f32], gradient: &mut [f32]) -> f32 {
    assert!(o.len() == t.len() && o.len() == gradient.len());
    loss::sum_of_rows(loss::logistic, o, t, 1, gradient)
}

/// [`layers::correct`](crate::layers::correct), of rows of `classes` outputs and targets.
pub fn correct(o: &[f32], t: &[f32], classes: usize) -> usize {
    assert_eq!(o.len(), t.len());
    loss::hits(o, t, classes)
}

/// Σ x, with the bits of `sum_dim` of Burn's CPU backend.
pub fn sum(x: &[f32]) -> f32 {
    total::sum(x)
}

/// Multiplies every element by `by`.
pub fn scale(values: &mut [f32], by: f32) {
    loss::scale(values, by);
}
