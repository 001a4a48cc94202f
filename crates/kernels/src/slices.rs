//! Layers and losses on slices of f32, for a training step without a graph.
//!
//! The operations of [`layers`](crate::layers) call the same code, so both give the same bits. All
//! matrices are stored row by row. Results are written to memory that the caller gives.
//!
//! All functions panic if the length of a slice does not match the sizes.

use crate::layers::level::Level;
use crate::layers::product::product_into;
use crate::layers::{flex, linear as dense, loss};

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

/// Multiplies every element by `by`.
pub fn scale(values: &mut [f32], by: f32) {
    loss::scale(values, by);
}
