//! Between Burn's tensors and flex's numbers.

use std::mem::MaybeUninit;
use std::sync::LazyLock;

use burn::backend::autodiff::checkpoint::strategy::NoCheckpointing;
use burn::backend::flex::FlexTensor;
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, Flex};
use burn::tensor::{Tensor, TensorData};

pub(crate) type Tracked = Autodiff<Flex, NoCheckpointing>;

/// Whether the user wants this crate's kernels.
pub(crate) fn enabled() -> bool {
    static ENABLED: LazyLock<bool> = LazyLock::new(|| std::env::var_os("LARGEBATCH_KERNELS").is_none_or(|v| v != "off"));
    *ENABLED
}

/// A vector whose `length` numbers are all written by `write`.
///
/// # Safety
/// `write` must initialise every number.
pub(crate) unsafe fn written<T>(length: usize, write: impl FnOnce(&mut [MaybeUninit<T>])) -> Vec<T> {
    let mut values = Vec::with_capacity(length);
    write(&mut values.spare_capacity_mut()[..length]);
    // SAFETY: by the caller's promise.
    unsafe { values.set_len(length) };
    values
}

pub(crate) fn plain<const D: usize>(t: &Tensor<D>) -> Option<FlexTensor> {
    t.clone().try_into_primitive::<Flex>().ok().map(contiguous)
}

/// A plain tensor becomes a constant of the graph.
pub(crate) fn tracked<const D: usize>(t: &Tensor<D>) -> Option<FloatTensor<Tracked>> {
    let t = if t.is_autodiff() { t.clone() } else { Tensor::from_inner(t.clone()) };
    t.try_into_primitive::<Tracked>().ok()
}

pub(crate) fn contiguous(t: FlexTensor) -> FlexTensor {
    if t.is_contiguous() { t } else { t.to_contiguous() }
}

pub(crate) fn numbers(t: &FlexTensor) -> &[f32] {
    t.as_slice::<f32>().expect("checked to be f32, and made contiguous")
}

pub(crate) fn tensor<const D: usize>(values: Vec<f32>, dims: [usize; D]) -> FlexTensor {
    FlexTensor::from_data(TensorData::new(values, dims))
}
