//! The parameter-free shortcut of the residual network, where the image halves.

use burn::backend::Flex;
use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::checkpoint::strategy::NoCheckpointing;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::tensor::{DType, Tensor};
use rayon::prelude::*;

use crate::layers::flex::{Tracked, contiguous, numbers, plain, tensor, tracked};

pub(crate) fn subsample_and_widen(x: &Tensor<4>) -> Option<Tensor<4>> {
    let dims = x.dims();
    let [batch, channels, height, width] = dims;
    if x.dtype() != DType::F32 || dims.contains(&0) {
        return None;
    }
    let out = [batch, 2 * channels, height.div_ceil(2), width.div_ceil(2)];
    if !x.is_autodiff() {
        return Some(Tensor::from_primitive::<Flex>(tensor(
            forward(dims, numbers(&plain(x)?)),
            out,
        )));
    }
    let x = tracked(x)?;
    let node = x.node();
    let y = tensor(forward(dims, numbers(&contiguous(x.into_primitive()))), out);
    Some(Tensor::from_primitive::<Tracked>(
        match Subsample
            .prepare::<NoCheckpointing>([node])
            .compute_bound()
            .stateful()
        {
            OpsKind::Tracked(p) => p.finish(dims, y),
            OpsKind::UnTracked(p) => p.finish(y),
        },
    ))
}

#[derive(Debug)]
struct Subsample;

impl Backward<Flex, 1> for Subsample {
    type State = [usize; 4];

    fn backward(self, ops: Ops<Self::State, 1>, grads: &mut Gradients, _: &mut Checkpointer) {
        let gradient = contiguous(grads.consume::<Flex>(&ops.node));
        if let [Some(node)] = ops.parents {
            grads.register::<Flex>(
                node.id,
                tensor(backward(ops.state, numbers(&gradient)), ops.state),
            );
        }
    }
}

fn forward([batch, channels, height, width]: [usize; 4], x: &[f32]) -> Vec<f32> {
    let small = height.div_ceil(2) * width.div_ceil(2);
    let mut y = vec![0.0; batch * 2 * channels * small];
    y.par_chunks_mut(2 * channels * small)
        .zip(x.par_chunks(channels * height * width))
        .for_each(|(y, x)| {
            let rows = x
                .chunks_exact(height * width)
                .flat_map(|plane| plane.chunks_exact(width).step_by(2));
            for (y, x) in y.chunks_exact_mut(width.div_ceil(2)).zip(rows) {
                y.iter_mut()
                    .zip(x.iter().step_by(2))
                    .for_each(|(y, x)| *y = *x);
            }
        });
    y
}

fn backward([batch, channels, height, width]: [usize; 4], gradient: &[f32]) -> Vec<f32> {
    let small = height.div_ceil(2) * width.div_ceil(2);
    let mut sums = vec![0.0; batch * channels * height * width];
    sums.par_chunks_mut(channels * height * width)
        .zip(gradient.par_chunks(2 * channels * small))
        .for_each(|(sums, gradient)| {
            let rows = sums
                .chunks_exact_mut(height * width)
                .flat_map(|plane| plane.chunks_exact_mut(width).step_by(2));
            for (sums, gradient) in rows.zip(gradient.chunks_exact(width.div_ceil(2))) {
                sums.iter_mut()
                    .step_by(2)
                    .zip(gradient)
                    .for_each(|(sum, g)| *sum = *g);
            }
        });
    sums
}
