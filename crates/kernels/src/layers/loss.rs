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
use crate::layers::level::{Level, Vector, leveled};
use crate::layers::math::{exp, ln_1p};
use crate::scratch::Scratch;

/// The number of examples that are summed as one group, in f64.
const ROWS_TOGETHER: usize = 64;

/// With fewer values than this, waking a thread does not pay.
const WORTH_SHARING: usize = 1 << 15;

/// Adds the losses of up to 64 rows of n outputs and targets to the last argument, and writes their
/// gradient to the one before it.
type Part = fn(Level, usize, &[f32], &[f32], &mut [f32], &mut f64);

leveled! {
    pub(crate) cross_entropy = cross_entropy_body(
        n: usize, o: &[f32], t: &[f32], gradient: &mut [f32], loss: &mut f64,
    )
}

/// −Σ t log softmax(o).
#[inline(always)]
fn cross_entropy_body<V: Vector, const ROWS: usize>(
    n: usize,
    o: &[f32],
    t: &[f32],
    gradient: &mut [f32],
    loss: &mut f64,
) {
    let rows = o.len() / n;
    let (mut greatest, mut sums) = ([0.0f32; ROWS_TOGETHER], [1.0f32; ROWS_TOGETHER]);
    for (r, greatest) in greatest[..rows].iter_mut().enumerate() {
        let row = r * n..(r + 1) * n;
        *greatest = o[row.clone()]
            .iter()
            .fold(f32::NEG_INFINITY, |m, &o| if o > m { o } else { m });
        for (g, o) in gradient[row.clone()].iter_mut().zip(&o[row]) {
            *g = o - *greatest;
        }
    }
    gradient.iter_mut().for_each(|g| *g = exp(*g));
    for (sum, e) in sums.iter_mut().zip(gradient.chunks_exact(n)) {
        *sum = e.iter().sum();
    }
    let logs = sums.map(|sum| ln_1p(sum - 1.0));
    for r in 0..rows {
        let row = r * n..(r + 1) * n;
        let (o, t, mut weight, mut sum) = (&o[row.clone()], &t[row.clone()], 0.0, 0.0);
        for (o, t) in o.iter().zip(t) {
            weight += t;
            sum += f64::from(t * (logs[r] - (o - greatest[r])));
        }
        *loss += sum;
        let scale = weight / sums[r];
        for (g, t) in gradient[row].iter_mut().zip(t) {
            *g = *g * scale - t;
        }
    }
}

leveled! {
    pub(crate) logistic = logistic_body(
        n: usize, o: &[f32], t: &[f32], gradient: &mut [f32], sum: &mut f64,
    )
}

/// Σ log(1 + e^(−t o)).
#[inline(always)]
fn logistic_body<V: Vector, const ROWS: usize>(
    _: usize,
    o: &[f32],
    t: &[f32],
    gradient: &mut [f32],
    sum: &mut f64,
) {
    let mut losses = [0.0f32; ROWS_TOGETHER];
    let parts = o.chunks(ROWS_TOGETHER).zip(t.chunks(ROWS_TOGETHER));
    for (g, (o, t)) in gradient.chunks_mut(ROWS_TOGETHER).zip(parts) {
        for (((g, loss), o), t) in g.iter_mut().zip(&mut losses).zip(o).zip(t) {
            let margin = o * t;
            let e = exp(-margin.abs());
            // Not `max`, which would drop a NaN.
            let linear = if margin > 0.0 { 0.0 } else { -margin };
            *loss = linear + ln_1p(e);
            *g = -t * (if margin > 0.0 { e } else { 1.0 } / (1.0 + e));
        }
        for loss in &losses[..o.len()] {
            *sum += f64::from(*loss);
        }
    }
}

/// The sum over rows of `n` outputs and targets; writes its gradient. Parts of a fixed number of rows
/// are summed in f64, then added in order.
pub(crate) fn sum_of_rows(
    part: Part,
    outputs: &[f32],
    targets: &[f32],
    n: usize,
    gradient: &mut [f32],
) -> f32 {
    let level = Level::best();
    let part = |(g, (o, t)): (&mut [f32], (&[f32], &[f32]))| -> f64 {
        let mut sum = 0.0;
        part(level, n, o, t, g, &mut sum);
        sum
    };
    let each = ROWS_TOGETHER * n;
    let sum: f64 = if gradient.len() < WORTH_SHARING {
        let parts = outputs.chunks(each).zip(targets.chunks(each));
        gradient.chunks_mut(each).zip(parts).map(part).sum()
    } else {
        let parts = outputs.par_chunks(each).zip(targets.par_chunks(each));
        let mut sums = Scratch::<f64>::zeros(gradient.len().div_ceil(each));
        let parts = gradient.par_chunks_mut(each).zip(parts).map(part);
        parts.zip(&mut sums[..]).for_each(|(part, sum)| *sum = part);
        sums.iter().sum()
    };
    sum as f32
}

/// `outputs` and `targets` are `[batch, n]`; the targets are constants.
pub(crate) fn sum_of(part: Part, outputs: &Tensor<2>, targets: &Tensor<2>) -> Option<Tensor<1>> {
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
        let sum = sum_of_rows(part, numbers(outputs), numbers(&targets), n, &mut gradient);
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
    let hit = |(o, t): &(&[f32], &[f32])| {
        if n == 1 {
            return (o[0] > 0.0) == (t[0] > 0.0);
        }
        // The place and the value of the greatest so far of both rows, without branches.
        let (mut places, mut greatest) = ([0; 2], [o[0], t[0]]);
        for (i, both) in o.iter().zip(*t).enumerate() {
            for (r, value) in [*both.0, *both.1].into_iter().enumerate() {
                let better = value > greatest[r];
                greatest[r] = if better { value } else { greatest[r] };
                places[r] = if better { i } else { places[r] };
            }
        }
        places[0] == places[1]
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
