//! The fully connected layer, optionally with ReLU.

use burn::backend::Flex;
use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::checkpoint::strategy::NoCheckpointing;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::flex::FlexTensor;
use burn::tensor::{DType, Tensor};
use rayon::prelude::*;

use crate::layers::flex::{Tracked, contiguous, numbers, plain, rectified, tensor, tracked};
use crate::layers::level::Level;
use crate::layers::product::{Matrix, Product, product};

/// The number of rows that are summed as one group.
const ROWS_TOGETHER: usize = 64;
/// With fewer values than this, waking a thread does not pay.
const WORTH_SHARING: usize = 1 << 16;

/// y = x W + bias, with sizes `[batch, inputs, outputs]`.
pub(crate) fn forward<'a>(
    [batch, inputs, outputs]: [usize; 3],
    x: &'a [f32],
    weight: &'a [f32],
    bias: Option<&'a [f32]>,
    relu: bool,
) -> Product<'a> {
    Product {
        sizes: [batch, outputs, inputs],
        a: Matrix::rows(x, inputs),
        b: Matrix::rows(weight, outputs),
        bias,
        relu,
    }
}

/// The gradient with respect to x, g Wᵀ.
pub(crate) fn by_input<'a>(
    [batch, inputs, outputs]: [usize; 3],
    g: &'a [f32],
    weight: &'a [f32],
) -> Product<'a> {
    Product {
        sizes: [batch, inputs, outputs],
        a: Matrix::rows(g, outputs),
        b: Matrix::rows(weight, outputs).transposed(),
        bias: None,
        relu: false,
    }
}

/// The gradient with respect to W, xᵀ g.
pub(crate) fn by_weight<'a>(
    [batch, inputs, outputs]: [usize; 3],
    g: &'a [f32],
    x: &'a [f32],
) -> Product<'a> {
    Product {
        sizes: [inputs, outputs, batch],
        a: Matrix::rows(x, inputs).transposed(),
        b: Matrix::rows(g, outputs),
        bias: None,
        relu: false,
    }
}

#[derive(Clone, Debug)]
struct State {
    /// `[batch, inputs, outputs]`.
    sizes: [usize; 3],
    x: FlexTensor,
    weight: FlexTensor,
    /// y if ReLU was applied.
    y: Option<FlexTensor>,
}

pub(crate) fn linear(
    x: &Tensor<2>,
    weight: &Tensor<2>,
    bias: Option<&Tensor<1>>,
    relu: bool,
) -> Option<Tensor<2>> {
    let ([batch, inputs], [depth, outputs]) = (x.dims(), weight.dims());
    let dtypes = [
        x.dtype(),
        weight.dtype(),
        bias.map_or(DType::F32, Tensor::dtype),
    ];
    let fits = depth == inputs
        && bias.is_none_or(|b| b.dims() == [outputs])
        && batch * inputs * outputs > 0;
    if dtypes != [DType::F32; 3] || !fits {
        return None;
    }
    let run = |x: &FlexTensor, weight: &FlexTensor, bias: Option<&FlexTensor>| {
        let sizes = [batch, inputs, outputs];
        let what = forward(sizes, numbers(x), numbers(weight), bias.map(numbers), relu);
        tensor(product(Level::best(), what), [batch, outputs])
    };
    if !(x.is_autodiff() || weight.is_autodiff() || bias.is_some_and(Tensor::is_autodiff)) {
        let bias = match bias {
            Some(bias) => Some(plain(bias)?),
            None => None,
        };
        return Some(Tensor::from_primitive::<Flex>(run(
            &plain(x)?,
            &plain(weight)?,
            bias.as_ref(),
        )));
    }
    let (x, weight) = (tracked(x)?, tracked(weight)?);
    let (node_x, node_weight) = (x.node(), weight.node());
    let (x, weight) = (
        contiguous(x.into_primitive()),
        contiguous(weight.into_primitive()),
    );
    let sizes = [batch, inputs, outputs];
    let state = |y: &FlexTensor| State {
        sizes,
        x: x.clone(),
        weight: weight.clone(),
        y: relu.then(|| y.clone()),
    };
    Some(Tensor::from_primitive::<Tracked>(match bias {
        Some(bias) => {
            let bias = tracked(bias)?;
            let nodes = [node_x, node_weight, bias.node()];
            let y = run(&x, &weight, Some(&contiguous(bias.into_primitive())));
            match Linear
                .prepare::<NoCheckpointing>(nodes)
                .compute_bound()
                .stateful()
            {
                OpsKind::Tracked(p) => p.finish(state(&y), y),
                OpsKind::UnTracked(p) => p.finish(y),
            }
        }
        None => {
            let y = run(&x, &weight, None);
            match Linear
                .prepare::<NoCheckpointing>([node_x, node_weight])
                .compute_bound()
                .stateful()
            {
                OpsKind::Tracked(p) => p.finish(state(&y), y),
                OpsKind::UnTracked(p) => p.finish(y),
            }
        }
    }))
}

/// The parents are x, weight and, if N = 3, bias.
#[derive(Debug)]
struct Linear;

impl<const N: usize> Backward<Flex, N> for Linear {
    type State = State;

    fn backward(self, ops: Ops<Self::State, N>, grads: &mut Gradients, _: &mut Checkpointer) {
        let State {
            sizes,
            x,
            weight,
            y,
        } = ops.state;
        let [batch, inputs, outputs] = sizes;
        let level = Level::best();
        let gradient = contiguous(grads.consume::<Flex>(&ops.node));
        let gradient = match y {
            Some(y) => tensor(
                rectified(level, numbers(&gradient), numbers(&y)),
                [batch, outputs],
            ),
            None => gradient,
        };
        let g = numbers(&gradient);
        let mut parents = ops.parents.into_iter();
        if let Some(Some(node)) = parents.next() {
            let what = by_input(sizes, g, numbers(&weight));
            grads.register::<Flex>(node.id, tensor(product(level, what), [batch, inputs]));
        }
        if let Some(Some(node)) = parents.next() {
            let what = by_weight(sizes, g, numbers(&x));
            grads.register::<Flex>(node.id, tensor(product(level, what), [inputs, outputs]));
        }
        if let Some(Some(node)) = parents.next() {
            let mut sums = vec![0.0; outputs];
            column_sums(g, outputs, &mut sums);
            grads.register::<Flex>(node.id, tensor(sums, [outputs]));
        }
    }
}

/// The sums of each column, into `sums`: sums parts of a fixed number of rows, then adds them in
/// order.
pub(crate) fn column_sums(values: &[f32], columns: usize, sums: &mut [f32]) {
    /// The number of columns that are summed together.
    const TOGETHER: usize = 64;
    let run = |(block, sums): (usize, &mut [f32])| {
        sums.fill(0.0);
        for part in values.chunks(ROWS_TOGETHER * columns) {
            let mut acc = [0.0f32; TOGETHER];
            let acc = &mut acc[..sums.len()];
            for row in part.chunks_exact(columns) {
                let row = &row[block * TOGETHER..][..acc.len()];
                acc.iter_mut().zip(row).for_each(|(sum, v)| *sum += v);
            }
            sums.iter_mut().zip(acc).for_each(|(sum, v)| *sum += *v);
        }
    };
    if values.len() < WORTH_SHARING {
        sums.chunks_mut(TOGETHER).enumerate().for_each(run);
    } else {
        sums.par_chunks_mut(TOGETHER).enumerate().for_each(run);
    }
}
