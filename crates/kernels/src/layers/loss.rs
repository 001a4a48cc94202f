//! Losses: the sum over the examples and, in the same pass, its gradient.

use burn::backend::Flex;
use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::checkpoint::strategy::NoCheckpointing;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::flex::FlexTensor;
use burn::tensor::{DType, Tensor};
use rayon::prelude::*;

use crate::layers::flex::{Tracked, contiguous, numbers, plain, tensor, tracked};

/// The number of examples that are summed as one group, in f64.
const ROWS_TOGETHER: usize = 64;

/// With fewer values than this, waking a thread does not pay.
const WORTH_SHARING: usize = 1 << 12;

/// The loss of an example from its outputs and targets; the gradient is written to the third
/// argument.
type Row = fn(&[f32], &[f32], &mut [f32]) -> f64;

/// −Σ t log softmax(o).
pub(crate) fn cross_entropy(o: &[f32], t: &[f32], gradient: &mut [f32]) -> f64 {
    let greatest = o.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let (mut sum, mut weight) = (0.0, 0.0);
    for ((g, o), t) in gradient.iter_mut().zip(o).zip(t) {
        *g = (o - greatest).exp();
        sum += *g;
        weight += t;
    }
    let (log, scale) = (sum.ln(), weight / sum);
    let mut loss = 0.0;
    for ((g, o), t) in gradient.iter_mut().zip(o).zip(t) {
        loss += f64::from(t * (log - (o - greatest)));
        *g = *g * scale - t;
    }
    loss
}

/// Σ log(1 + e^(−t o)).
pub(crate) fn logistic(o: &[f32], t: &[f32], gradient: &mut [f32]) -> f64 {
    let mut loss = 0.0;
    for ((g, o), t) in gradient.iter_mut().zip(o).zip(t) {
        let margin = o * t;
        let e = (-margin.abs()).exp();
        // Not `max`, which would drop a NaN.
        let linear = if margin > 0.0 { 0.0 } else { -margin };
        loss += f64::from(linear + e.ln_1p());
        *g = -t * if margin > 0.0 { e } else { 1.0 } / (1.0 + e);
    }
    loss
}

/// The sum over rows of `n` outputs and targets; writes its gradient. Parts of a fixed number of rows
/// are summed in f64, then added in order.
pub(crate) fn sum_of_rows(
    row: impl Fn(&[f32], &[f32], &mut [f32]) -> f64 + Sync,
    outputs: &[f32],
    targets: &[f32],
    n: usize,
    gradient: &mut [f32],
) -> f32 {
    let part = |(g, (o, t)): (&mut [f32], (&[f32], &[f32]))| -> f64 {
        g.chunks_exact_mut(n)
            .zip(o.chunks_exact(n).zip(t.chunks_exact(n)))
            .map(|(g, (o, t))| row(o, t, g))
            .sum()
    };
    let each = ROWS_TOGETHER * n;
    let sum: f64 = if gradient.len() < WORTH_SHARING {
        let parts = outputs.chunks(each).zip(targets.chunks(each));
        gradient.chunks_mut(each).zip(parts).map(part).sum()
    } else {
        let parts = outputs.par_chunks(each).zip(targets.par_chunks(each));
        let sums: Vec<f64> = gradient.par_chunks_mut(each).zip(parts).map(part).collect();
        sums.iter().sum()
    };
    sum as f32
}

/// `outputs` and `targets` are `[batch, n]`; the targets are constants.
pub(crate) fn sum_of(row: Row, outputs: &Tensor<2>, targets: &Tensor<2>) -> Option<Tensor<1>> {
    let [batch, n] = outputs.dims();
    if [outputs.dtype(), targets.dtype()] != [DType::F32; 2]
        || targets.dims() != [batch, n]
        || batch * n == 0
        || targets.is_autodiff()
    {
        return None;
    }
    let targets = plain(targets)?;
    let run = |outputs: &FlexTensor| {
        let mut gradient = vec![0.0; batch * n];
        let sum = sum_of_rows(row, numbers(outputs), numbers(&targets), n, &mut gradient);
        (tensor(vec![sum], [1]), gradient)
    };
    if !outputs.is_autodiff() {
        return Some(Tensor::from_primitive::<Flex>(run(&plain(outputs)?).0));
    }
    let outputs = tracked(outputs)?;
    let node = outputs.node();
    let (loss, gradient) = run(&contiguous(outputs.into_primitive()));
    Some(Tensor::from_primitive::<Tracked>(
        match SumOfLosses
            .prepare::<NoCheckpointing>([node])
            .compute_bound()
            .stateful()
        {
            OpsKind::Tracked(p) => p.finish((gradient, [batch, n]), loss),
            OpsKind::UnTracked(p) => p.finish(loss),
        },
    ))
}

/// The number of rows whose largest output, the first one in a tie, is where the largest target is.
/// For rows of a single element: the number of rows whose output and target are both above 0 or
/// both not.
pub(crate) fn correct(outputs: &Tensor<2>, targets: &Tensor<2>) -> Option<Tensor<1>> {
    let [batch, n] = outputs.dims();
    if [outputs.dtype(), targets.dtype()] != [DType::F32; 2]
        || targets.dims() != [batch, n]
        || batch * n == 0
    {
        return None;
    }
    let (outputs, targets) = (plain(outputs)?, plain(targets)?);
    let count = hits(numbers(&outputs), numbers(&targets), n);
    Some(Tensor::from_primitive::<Flex>(tensor(
        vec![count as f32],
        [1],
    )))
}

/// As [`correct`], of rows of `n` outputs and targets.
pub(crate) fn hits(outputs: &[f32], targets: &[f32], n: usize) -> usize {
    let greatest =
        |row: &[f32]| (1..n).fold(0, |best, i| if row[i] > row[best] { i } else { best });
    let hit = |(o, t): &(&[f32], &[f32])| {
        if n == 1 {
            (o[0] > 0.0) == (t[0] > 0.0)
        } else {
            greatest(o) == greatest(t)
        }
    };
    let rows = outputs.chunks_exact(n).zip(targets.chunks_exact(n));
    rows.filter(hit).count()
}

/// Multiplies every element by `by`.
pub(crate) fn scale(values: &mut [f32], by: f32) {
    const EACH: usize = 1 << 15;
    let run = |part: &mut [f32]| part.iter_mut().for_each(|v| *v *= by);
    match values.len() {
        _ if by == 1.0 => (),
        0..=EACH => run(values),
        _ => values.par_chunks_mut(EACH).for_each(run),
    }
}

#[derive(Debug)]
struct SumOfLosses;

impl Backward<Flex, 1> for SumOfLosses {
    type State = (Vec<f32>, [usize; 2]);

    fn backward(self, ops: Ops<Self::State, 1>, grads: &mut Gradients, _: &mut Checkpointer) {
        let (mut gradient, dims) = ops.state;
        let by = numbers(&contiguous(grads.consume::<Flex>(&ops.node)))[0];
        if let [Some(node)] = ops.parents {
            scale(&mut gradient, by);
            grads.register::<Flex>(node.id, tensor(gradient, dims));
        }
    }
}
