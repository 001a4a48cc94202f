//! Conversions between Burn's tensors and flex's slices. (flex is Burn's CPU backend.)

use std::mem::MaybeUninit;

use burn::backend::autodiff::checkpoint::strategy::NoCheckpointing;
use burn::backend::flex::FlexTensor;
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, Flex};
use burn::tensor::{Tensor, TensorData};
use rayon::prelude::*;

use crate::layers::level::{Level, Vector, leveled};

pub(crate) type Tracked = Autodiff<Flex, NoCheckpointing>;

/// A vector of `length` elements, all written by `write`.
///
/// # Safety
/// `write` must initialise every element.
pub(crate) unsafe fn written<T>(
    length: usize,
    write: impl FnOnce(&mut [MaybeUninit<T>]),
) -> Vec<T> {
    let mut values = Vec::with_capacity(length);
    write(&mut values.spare_capacity_mut()[..length]);
    // SAFETY: by the caller's promise.
    unsafe { values.set_len(length) };
    values
}

/// The elements as memory to be written by `write`.
///
/// # Safety
/// `write` must leave every element initialised.
pub(crate) unsafe fn overwritten(values: &mut [f32], write: impl FnOnce(&mut [MaybeUninit<f32>])) {
    // SAFETY: the same memory; by the caller's promise it holds numbers again afterwards.
    write(unsafe { std::slice::from_raw_parts_mut(values.as_mut_ptr().cast(), values.len()) });
}

pub(crate) fn plain<const D: usize>(t: &Tensor<D>) -> Option<FlexTensor> {
    t.clone().try_into_primitive::<Flex>().ok().map(contiguous)
}

/// A plain tensor becomes a constant of the graph.
pub(crate) fn tracked<const D: usize>(t: &Tensor<D>) -> Option<FloatTensor<Tracked>> {
    let t = if t.is_autodiff() {
        t.clone()
    } else {
        Tensor::from_inner(t.clone())
    };
    t.try_into_primitive::<Tracked>().ok()
}

pub(crate) fn contiguous(t: FlexTensor) -> FlexTensor {
    if t.is_contiguous() {
        t
    } else {
        t.to_contiguous()
    }
}

pub(crate) fn numbers(t: &FlexTensor) -> &[f32] {
    t.as_slice::<f32>()
        .expect("checked to be f32, and made contiguous")
}

pub(crate) fn tensor<const D: usize>(values: Vec<f32>, dims: [usize; D]) -> FlexTensor {
    FlexTensor::from_data(TensorData::new(values, dims))
}

/// The gradient before a ReLU, given the gradient after it and its output y: kept where y is not 0.
pub(crate) fn rectified(level: Level, gradient: &[f32], y: &[f32]) -> Vec<f32> {
    const EACH: usize = 32_768;
    // SAFETY: `masked` writes every element of its part.
    unsafe {
        written(y.len(), |out| {
            out.par_chunks_mut(EACH)
                .zip(gradient.par_chunks(EACH).zip(y.par_chunks(EACH)))
                .for_each(|(out, (g, y))| masked(level, g, y, out));
        })
    }
}

/// As [`rectified`], in place.
pub(crate) fn rectify(level: Level, gradient: &mut [f32], y: &[f32]) {
    const EACH: usize = 32_768;
    if y.len() <= EACH {
        return mask(level, gradient, y);
    }
    gradient
        .par_chunks_mut(EACH)
        .zip(y.par_chunks(EACH))
        .for_each(|(g, y)| mask(level, g, y));
}

leveled! {
    mask = mask_body(gradient: &mut [f32], y: &[f32])
}

#[inline(always)]
fn mask_body<V: Vector, const ROWS: usize>(gradient: &mut [f32], y: &[f32]) {
    for (g, y) in gradient.iter_mut().zip(y) {
        *g = if *y == 0.0 { 0.0 } else { *g };
    }
}

leveled! {
    masked = masked_body(gradient: &[f32], y: &[f32], out: &mut [MaybeUninit<f32>])
}

#[inline(always)]
fn masked_body<V: Vector, const ROWS: usize>(
    gradient: &[f32],
    y: &[f32],
    out: &mut [MaybeUninit<f32>],
) {
    for ((out, g), y) in out.iter_mut().zip(gradient).zip(y) {
        out.write(if *y == 0.0 { 0.0 } else { *g });
    }
}
