//! Activation functions, element by element.

use std::f64::consts::FRAC_1_SQRT_2;

use burn::backend::Flex;
use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::checkpoint::strategy::NoCheckpointing;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::flex::FlexTensor;
use burn::tensor::{DType, Tensor, TensorData, activation};
use rayon::prelude::*;

use crate::layers::flex::{Tracked, contiguous, numbers, plain, tracked};
use crate::layers::level::{Level, Vector, leveled};
use crate::layers::math::{normal, sigmoid, tanh};

/// An activation function.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Activation {
    /// max(0, x).
    Relu,
    /// tanh x.
    Tanh,
    /// x Φ(x), where Φ is the normal distribution function.
    Gelu,
    /// 1 / (1 + e⁻ˣ).
    Sigmoid,
}

impl Activation {
    /// Applies the function to every element.
    ///
    /// Equal to Burn's operations up to rounding (Burn's own gradient of GELU is approximate on
    /// every backend except flex, and not used). On flex in f32 without gradient checkpointing this
    /// crate's kernel runs, unless the environment variable `LARGEBATCH_KERNELS` is `off`; otherwise
    /// Burn's.
    pub fn forward<const D: usize>(self, x: Tensor<D>) -> Tensor<D> {
        if crate::enabled()
            && let Some(y) = self.kernel(&x)
        {
            return y;
        }
        match self {
            Activation::Relu => activation::relu(x),
            Activation::Tanh => activation::tanh(x),
            Activation::Gelu => x.clone() * ((x * FRAC_1_SQRT_2).erf() + 1.0) * 0.5,
            Activation::Sigmoid => activation::sigmoid(x),
        }
    }

    fn kernel<const D: usize>(self, x: &Tensor<D>) -> Option<Tensor<D>> {
        if x.dtype() != DType::F32 {
            return None;
        }
        let dims = x.dims();
        let run = |x: &FlexTensor| {
            let x = numbers(x);
            let mut y = vec![0.0; x.len()];
            self.apply(x, &mut y);
            FlexTensor::from_data(TensorData::new(y, dims))
        };
        if !x.is_autodiff() {
            return Some(Tensor::from_primitive::<Flex>(run(&plain(x)?)));
        }
        let x = tracked(x)?;
        let node = x.node();
        let x = contiguous(x.into_primitive());
        let y = run(&x);
        let state = |y: &FlexTensor| match self {
            Activation::Gelu => x,
            _ => y.clone(),
        };
        Some(Tensor::from_primitive::<Tracked>(
            match self
                .prepare::<NoCheckpointing>([node])
                .compute_bound()
                .stateful()
            {
                OpsKind::Tracked(p) => p.finish((state(&y), dims.to_vec()), y),
                OpsKind::UnTracked(p) => p.finish(y),
            },
        ))
    }

    /// y = f(x).
    pub(crate) fn apply(self, x: &[f32], y: &mut [f32]) {
        let level = Level::best();
        if x.len() <= EACH {
            return apply(level, self, x, y);
        }
        y.par_chunks_mut(EACH)
            .zip(x.par_chunks(EACH))
            .for_each(|(y, x)| apply(level, self, x, y));
    }

    /// The gradient with respect to x, given that with respect to y = f(x). `seen` is x for GELU, and
    /// y for the others.
    pub(crate) fn gradient(self, seen: &[f32], by_y: &[f32], by_x: &mut [f32]) {
        let level = Level::best();
        if seen.len() <= EACH {
            return gradient(level, self, seen, by_y, by_x);
        }
        by_x.par_chunks_mut(EACH)
            .zip(seen.par_chunks(EACH).zip(by_y.par_chunks(EACH)))
            .for_each(|(by_x, (seen, by_y))| gradient(level, self, seen, by_y, by_x));
    }
}

/// The number of elements of a task.
const EACH: usize = 1 << 14;

leveled! {
    pub(crate) apply = apply_body(f: Activation, x: &[f32], y: &mut [f32])
}

#[inline(always)]
fn apply_body<V: Vector, const ROWS: usize>(f: Activation, x: &[f32], y: &mut [f32]) {
    match f {
        // NaN is propagated.
        Activation::Relu => map(x, y, |x| if x <= 0.0 { 0.0 } else { x }),
        Activation::Tanh => map(x, y, tanh),
        Activation::Gelu => map(x, y, |x| x * normal(x)[0]),
        Activation::Sigmoid => map(x, y, sigmoid),
    }
}

#[inline(always)]
fn map(x: &[f32], y: &mut [f32], f: impl Fn(f32) -> f32) {
    for (y, x) in y.iter_mut().zip(x) {
        *y = f(*x);
    }
}

leveled! {
    pub(crate) gradient = gradient_body(
        f: Activation, seen: &[f32], by_y: &[f32], by_x: &mut [f32],
    )
}

#[inline(always)]
fn gradient_body<V: Vector, const ROWS: usize>(
    f: Activation,
    seen: &[f32],
    by_y: &[f32],
    by_x: &mut [f32],
) {
    match f {
        Activation::Relu => zip(seen, by_y, by_x, |y, g| if y == 0.0 { 0.0 } else { g }),
        Activation::Tanh => zip(seen, by_y, by_x, |y, g| g * (1.0 - y * y)),
        Activation::Gelu => zip(seen, by_y, by_x, |x, g| {
            let [cdf, density] = normal(x);
            g * (cdf + x * density)
        }),
        Activation::Sigmoid => zip(seen, by_y, by_x, |y, g| g * (y * (1.0 - y))),
    }
}

#[inline(always)]
fn zip(a: &[f32], b: &[f32], to: &mut [f32], f: impl Fn(f32, f32) -> f32) {
    for ((to, a), b) in to.iter_mut().zip(a).zip(b) {
        *to = f(*a, *b);
    }
}

impl Backward<Flex, 1> for Activation {
    /// As `Activation::gradient` needs, and its sizes.
    type State = (FlexTensor, Vec<usize>);

    fn backward(self, ops: Ops<Self::State, 1>, grads: &mut Gradients, _: &mut Checkpointer) {
        let (seen, dims) = ops.state;
        let by_y = contiguous(grads.consume::<Flex>(&ops.node));
        if let [Some(node)] = ops.parents {
            let (seen, by_y) = (numbers(&seen), numbers(&by_y));
            let mut by_x = vec![0.0; seen.len()];
            self.gradient(seen, by_y, &mut by_x);
            let by_x = FlexTensor::from_data(TensorData::new(by_x, dims));
            grads.register::<Flex>(node.id, by_x);
        }
    }
}
