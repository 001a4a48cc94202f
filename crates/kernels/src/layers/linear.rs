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
        let (a, b) = (
            Matrix::rows(numbers(x), inputs),
            Matrix::rows(numbers(weight), outputs),
        );
        let what = Product {
            sizes: [batch, outputs, inputs],
            a,
            b,
            bias: bias.map(numbers),
            relu,
        };
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
            sizes: [batch, inputs, outputs],
            x,
            weight,
            y,
        } = ops.state;
        let level = Level::best();
        let gradient = contiguous(grads.consume::<Flex>(&ops.node));
        let gradient = match y {
            Some(y) => tensor(
                rectified(level, numbers(&gradient), numbers(&y)),
                [batch, outputs],
            ),
            None => gradient,
        };
        let g = Matrix::rows(numbers(&gradient), outputs);
        let mut parents = ops.parents.into_iter();
        if let Some(Some(node)) = parents.next() {
            let weight = Matrix::rows(numbers(&weight), outputs).transposed();
            let what = Product {
                sizes: [batch, inputs, outputs],
                a: g,
                b: weight,
                bias: None,
                relu: false,
            };
            grads.register::<Flex>(node.id, tensor(product(level, what), [batch, inputs]));
        }
        if let Some(Some(node)) = parents.next() {
            let x = Matrix::rows(numbers(&x), inputs).transposed();
            let what = Product {
                sizes: [inputs, outputs, batch],
                a: x,
                b: g,
                bias: None,
                relu: false,
            };
            grads.register::<Flex>(node.id, tensor(product(level, what), [inputs, outputs]));
        }
        if let Some(Some(node)) = parents.next() {
            grads.register::<Flex>(
                node.id,
                tensor(column_sums(numbers(&gradient), outputs), [outputs]),
            );
        }
    }
}

/// Sums parts of a fixed size, then adds them in order.
fn column_sums(values: &[f32], columns: usize) -> Vec<f32> {
    let sum_rows = |mut sum: Vec<f32>, row: &[f32]| {
        sum.iter_mut()
            .zip(row)
            .for_each(|(sum, value)| *sum += value);
        sum
    };
    let parts: Vec<Vec<f32>> = values
        .par_chunks(ROWS_TOGETHER * columns)
        .map(|part| {
            part.chunks_exact(columns)
                .fold(vec![0.0; columns], sum_rows)
        })
        .collect();
    parts
        .iter()
        .fold(vec![0.0; columns], |sum, part| sum_rows(sum, part))
}
