//! Batch normalisation in training, with the operations that often follow: a residual addition and
//! ReLU.
//!
//! Two passes forward (statistics; result) and two backward (sums; gradient), compared with ten for
//! the composed operations.

use std::mem::MaybeUninit;

use burn::backend::Flex;
use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::checkpoint::strategy::NoCheckpointing;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::flex::FlexTensor;
use burn::tensor::{DType, Tensor};
use rayon::prelude::*;

use crate::layers::flex::{
    Tracked, contiguous, numbers, plain, rectified, tensor, tracked, written,
};
use crate::layers::level::{Level, Vector, leveled};
use crate::layers::moments::{Layout, Moments, moments, products};
use crate::layers::together::Together;
use crate::scratch::Scratch;

/// The result of a training pass.
pub struct BatchNorm<const D: usize> {
    /// y, the shape of x.
    pub output: Tensor<D>,
    /// The batch's mean, `[channels]`, outside the graph.
    pub mean: Tensor<1>,
    /// The batch's variance (biased), `[channels]`, outside the graph.
    pub variance: Tensor<1>,
}

#[derive(Clone, Debug)]
struct State<const D: usize> {
    layout: Layout,
    dims: [usize; D],
    x: FlexTensor,
    gamma: FlexTensor,
    moments: Moments,
    /// y if ReLU was applied: zero where no gradient passes.
    y: Option<FlexTensor>,
    /// If x is a part of a batch that has common statistics.
    together: Option<Together>,
}

pub(crate) fn batch_norm<const D: usize>(
    x: &Tensor<D>,
    [gamma, beta]: [&Tensor<1>; 2],
    epsilon: f64,
    plus: Option<&Tensor<D>>,
    relu: bool,
    together: Option<&Together>,
) -> Option<BatchNorm<D>> {
    let dims = x.dims();
    let layout = match together {
        Some(_) => Layout::any(&dims),
        None => Layout::of(&dims)?,
    };
    let dtypes = [
        x.dtype(),
        gamma.dtype(),
        beta.dtype(),
        plus.map_or(DType::F32, Tensor::dtype),
    ];
    let shapes = gamma.dims() == [layout.channels]
        && beta.dims() == [layout.channels]
        && plus.is_none_or(|p| p.dims() == dims);
    if dtypes != [DType::F32; 4] || !shapes || dims.contains(&0) {
        return None;
    }
    let level = Level::best();
    let run = |x: &FlexTensor, gamma: &FlexTensor, beta: &FlexTensor, plus: Option<&FlexTensor>| {
        let mut seen = Moments::default();
        moments(level, &layout, numbers(x), epsilon, &mut seen);
        if let Some(together) = together {
            together.moments(&layout, epsilon, &mut seen);
        }
        let (x, gamma, beta) = (numbers(x), numbers(gamma), numbers(beta));
        let plus = plus.map(numbers);
        // SAFETY: `forward` writes every element.
        let y = unsafe {
            written(x.len(), |y| {
                forward(level, &layout, x, &seen, gamma, beta, plus, relu, y);
            })
        };
        (seen, tensor(y, dims))
    };
    let done = |output: Tensor<D>, moments: &Moments| BatchNorm {
        output,
        mean: Tensor::from_primitive::<Flex>(tensor(moments.mean.clone(), [layout.channels])),
        variance: Tensor::from_primitive::<Flex>(tensor(
            moments.variance.clone(),
            [layout.channels],
        )),
    };
    if !(x.is_autodiff()
        || gamma.is_autodiff()
        || beta.is_autodiff()
        || plus.is_some_and(Tensor::is_autodiff))
    {
        let plus = match plus {
            Some(plus) => Some(plain(plus)?),
            None => None,
        };
        let (moments, y) = run(&plain(x)?, &plain(gamma)?, &plain(beta)?, plus.as_ref());
        return Some(done(Tensor::from_primitive::<Flex>(y), &moments));
    }
    let (x, gamma, beta) = (tracked(x)?, tracked(gamma)?, tracked(beta)?);
    let nodes = [x.node(), gamma.node(), beta.node()];
    let (x, gamma, beta) = (
        contiguous(x.into_primitive()),
        contiguous(gamma.into_primitive()),
        contiguous(beta.into_primitive()),
    );
    let (moments, y) = match plus {
        Some(plus) => {
            let plus = tracked(plus)?;
            let [a, b, c] = nodes;
            let nodes = [a, b, c, plus.node()];
            let (moments, y) = run(&x, &gamma, &beta, Some(&contiguous(plus.into_primitive())));
            let state = State {
                layout,
                dims,
                x,
                gamma,
                moments: moments.clone(),
                y: relu.then(|| y.clone()),
                together: together.cloned(),
            };
            let y = match Normalise::<D>
                .prepare::<NoCheckpointing>(nodes)
                .compute_bound()
                .stateful()
            {
                OpsKind::Tracked(p) => p.finish(state, y),
                OpsKind::UnTracked(p) => p.finish(y),
            };
            (moments, y)
        }
        None => {
            let (moments, y) = run(&x, &gamma, &beta, None);
            let state = State {
                layout,
                dims,
                x,
                gamma,
                moments: moments.clone(),
                y: relu.then(|| y.clone()),
                together: together.cloned(),
            };
            let y = match Normalise::<D>
                .prepare::<NoCheckpointing>(nodes)
                .compute_bound()
                .stateful()
            {
                OpsKind::Tracked(p) => p.finish(state, y),
                OpsKind::UnTracked(p) => p.finish(y),
            };
            (moments, y)
        }
    };
    Some(done(Tensor::from_primitive::<Tracked>(y), &moments))
}

/// The parents are x, γ, β and, if N = 4, the added tensor. `D` is x's rank.
#[derive(Debug)]
struct Normalise<const D: usize>;

impl<const D: usize, const N: usize> Backward<Flex, N> for Normalise<D> {
    type State = State<D>;

    fn backward(self, ops: Ops<Self::State, N>, grads: &mut Gradients, _: &mut Checkpointer) {
        let State {
            layout,
            dims,
            x,
            gamma,
            moments,
            y,
            together,
        } = ops.state;
        let gradient = contiguous(grads.consume::<Flex>(&ops.node));
        let level = Level::best();
        let gradient = match y {
            Some(y) => tensor(rectified(level, numbers(&gradient), numbers(&y)), dims),
            None => gradient,
        };
        let (x, gamma) = (numbers(&x), numbers(&gamma));
        let [mut sums, mut by_gamma] = [(); 2].map(|()| vec![0.0; layout.channels]);
        let to = [&mut sums[..], &mut by_gamma];
        products(level, &layout, numbers(&gradient), x, &moments, to);
        let mut parents = ops.parents.into_iter();
        if let Some(Some(node)) = parents.next() {
            let g = numbers(&gradient);
            let mut whole = [&sums[..], &by_gamma].concat();
            let mut values = layout.values();
            if let Some(together) = &together {
                together.sums.sum(together.part, &mut whole);
                values = together.values(&layout);
            }
            let whole = whole.split_at(layout.channels);
            // SAFETY: `by_input` writes every element.
            let by_x = unsafe {
                written(x.len(), |by_x| {
                    by_input(
                        level,
                        &layout,
                        g,
                        x,
                        gamma,
                        &moments,
                        (values, whole.0, whole.1),
                        by_x,
                    );
                })
            };
            grads.register::<Flex>(node.id, tensor(by_x, dims));
        }
        for values in [by_gamma, sums] {
            if let Some(Some(node)) = parents.next() {
                grads.register::<Flex>(node.id, tensor(values, [layout.channels]));
            }
        }
        if let Some(Some(node)) = parents.next() {
            grads.register::<Flex>(node.id, gradient);
        }
    }
}

/// The gradient with respect to x, from the number of values per channel, the sums of the gradient and
/// the gradient with respect to γ.
pub(crate) fn by_input(
    level: Level,
    layout: &Layout,
    gradient: &[f32],
    x: &[f32],
    gamma: &[f32],
    moments: &Moments,
    (values, sums, by_gamma): (usize, &[f32], &[f32]),
    by_x: &mut [MaybeUninit<f32>],
) {
    let values = values as f32;
    // dx = γ/σ (g − mean g − x̂ mean(g x̂)) as scale (g − offset) + slope (x − mean).
    let scale: Scratch<f32> = gamma
        .iter()
        .zip(&moments.inverse)
        .map(|(gamma, inverse)| gamma * inverse)
        .collect();
    let slope: Scratch<f32> = (0..layout.channels)
        .map(|c| -scale[c] * moments.inverse[c] * by_gamma[c] / values)
        .collect();
    let offset: Scratch<f32> = sums.iter().map(|s| s / values).collect();
    let by = [&scale[..], &offset, &slope, &moments.mean];
    let each = layout.chunk();
    by_x.par_chunks_mut(each)
        .zip(gradient.par_chunks(each).zip(x.par_chunks(each)))
        .for_each(|(out, (g, x))| combined(level, layout, g, x, by, out));
}

/// Normalises x with these moments.
#[allow(clippy::too_many_arguments, reason = "the formula has this many terms")]
pub(crate) fn forward(
    level: Level,
    layout: &Layout,
    x: &[f32],
    moments: &Moments,
    gamma: &[f32],
    beta: &[f32],
    plus: Option<&[f32]>,
    relu: bool,
    y: &mut [MaybeUninit<f32>],
) {
    let scale: Scratch<f32> = gamma
        .iter()
        .zip(&moments.inverse)
        .map(|(gamma, inverse)| gamma * inverse)
        .collect();
    let each = layout.chunk();
    y.par_chunks_mut(each)
        .zip(x.par_chunks(each))
        .enumerate()
        .for_each(|(i, (y, x))| {
            let plus = plus.map(|plus| &plus[i * each..][..x.len()]);
            scaled(
                level,
                layout,
                x,
                [&moments.mean, &scale, beta],
                plus,
                relu,
                y,
            );
        });
}

leveled! {
    /// (x − mean) scale + β, then plus `plus`, then ReLU.
    scaled = scaled_body(layout: &Layout, x: &[f32], by: [&[f32]; 3], plus: Option<&[f32]>, relu: bool, y: &mut [MaybeUninit<f32>])
}

#[inline(always)]
fn scaled_body<V: Vector, const ROWS: usize>(
    layout: &Layout,
    x: &[f32],
    [mean, scale, beta]: [&[f32]; 3],
    plus: Option<&[f32]>,
    relu: bool,
    y: &mut [MaybeUninit<f32>],
) {
    // NaN is propagated.
    let rectify = |value: f32| if relu && value <= 0.0 { 0.0 } else { value };
    let length = layout.row();
    for (row, (y, x)) in y
        .chunks_exact_mut(length)
        .zip(x.chunks_exact(length))
        .enumerate()
    {
        let plus = plus.map(|plus| &plus[row * length..][..length]);
        if layout.length == 1 {
            match plus {
                Some(plus) => (0..length).for_each(|i| {
                    _ = y[i].write(rectify((x[i] - mean[i]) * scale[i] + beta[i] + plus[i]))
                }),
                None => (0..length)
                    .for_each(|i| _ = y[i].write(rectify((x[i] - mean[i]) * scale[i] + beta[i]))),
            }
        } else {
            let c = row % layout.channels;
            let (mean, scale, beta) = (mean[c], scale[c], beta[c]);
            match plus {
                Some(plus) => (0..length)
                    .for_each(|i| _ = y[i].write(rectify((x[i] - mean) * scale + beta + plus[i]))),
                None => {
                    (0..length).for_each(|i| _ = y[i].write(rectify((x[i] - mean) * scale + beta)))
                }
            }
        }
    }
}

leveled! {
    /// scale (g − offset) + slope (x − mean), by channel.
    combined = combined_body(layout: &Layout, gradient: &[f32], x: &[f32], by: [&[f32]; 4], out: &mut [MaybeUninit<f32>])
}

#[inline(always)]
fn combined_body<V: Vector, const ROWS: usize>(
    layout: &Layout,
    gradient: &[f32],
    x: &[f32],
    [scale, offset, slope, mean]: [&[f32]; 4],
    out: &mut [MaybeUninit<f32>],
) {
    let length = layout.row();
    let rows = out
        .chunks_exact_mut(length)
        .zip(gradient.chunks_exact(length).zip(x.chunks_exact(length)));
    for (row, (out, (g, x))) in rows.enumerate() {
        if layout.length == 1 {
            (0..length).for_each(|i| {
                _ = out[i].write(scale[i] * (g[i] - offset[i]) + slope[i] * (x[i] - mean[i]))
            });
        } else {
            let c = row % layout.channels;
            let (scale, offset, slope, mean) = (scale[c], offset[c], slope[c], mean[c]);
            (0..length)
                .for_each(|i| _ = out[i].write(scale * (g[i] - offset) + slope * (x[i] - mean)));
        }
    }
}
