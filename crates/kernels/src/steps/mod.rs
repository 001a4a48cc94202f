//! The optimizers' steps in one pass over memory, in place, for f32 on flex and on GPUs. LARS and
//! LAMB need norms first, so they take two passes. In all other cases a step is composed of tensor
//! operations.
//!
//! On flex a kernel performs the operations on each element in the same order as the composed step,
//! so elementwise steps give the same bits either way; a GPU's compiler may fuse operations.

mod adadelta;
mod adagrad;
mod adam;
mod adamax;
#[cfg(feature = "cube")]
mod cube;
mod flex;
mod kernel;
mod lamb;
mod lars;
mod lion;
mod sgd;
mod velocity;

use kernel::{Kernel, Step};

use burn::tensor::{DType, Tensor};

pub use adadelta::Adadelta;
pub use adagrad::Adagrad;
pub use adam::Adam;
pub use adamax::Adamax;
pub use lamb::Lamb;
pub use lars::Trust;
pub use lion::Lion;
pub use sgd::Sgd;
pub use velocity::Velocity;

/// Weight decay (l₂, s): adds l₂w to the gradient, and multiplies the weights by s before the step.
/// (0, 1) is no decay.
pub type Decay = (f32, f32);

/// The changed tensors after a step of a kernel, whose documentation says what it reads and changes:
/// [`Sgd`], [`Velocity`], [`Adagrad`], [`Adadelta`], [`Adam`], [`Adamax`] or [`Lion`]. Gives all tensors back if the kernels cannot run
/// on them.
pub fn step<const D: usize, const I: usize, const M: usize>(
    kernel: &impl Step<I, M>,
    read: [Tensor<D>; I],
    changed: [Tensor<D>; M],
) -> Result<[Tensor<D>; M], ([Tensor<D>; I], [Tensor<D>; M])> {
    match place(read.iter().chain(&changed)) {
        Some(Place::Flex) => {
            let (read, mut changed) = (read.map(flex::array), changed.map(flex::array));
            let from = read.each_ref().map(flex::slice);
            step_slices(kernel, from, changed.each_mut().map(flex::slice_mut));
            Ok(changed.map(flex::tensor))
        }
        #[cfg(feature = "cube")]
        Some(Place::Cube) => {
            let (read, changed) = (
                read.map(cube::array),
                changed.map(cube::array).map(cube::own),
            );
            kernel.launch(
                &cube::Launch::over(&changed[0]),
                read.each_ref().map(cube::arg),
                changed.each_ref().map(cube::arg),
            );
            Ok(changed.map(cube::tensor))
        }
        None => Err((read, changed)),
    }
}

/// As [`step`], on the elements of each array. All slices have one length, at least 1.
pub fn step_slices<const I: usize, const M: usize>(
    kernel: &impl Step<I, M>,
    read: [&[f32]; I],
    changed: [&mut [f32]; M],
) {
    flex::run(flex::Order::Rising, kernel, read, changed);
}

/// Where the kernels run.
enum Place {
    Flex,
    #[cfg(feature = "cube")]
    Cube,
}

/// The backend of these tensors if all have one shape; `None` if the kernels cannot run on them or
/// are switched off by `LARGEBATCH_KERNELS=off`.
fn place<'a, const D: usize>(
    tensors: impl Iterator<Item = &'a Tensor<D>> + Clone,
) -> Option<Place> {
    let shape = tensors.clone().next()?.shape();
    if shape.num_elements() == 0
        || !crate::enabled()
        || !tensors
            .clone()
            .all(|t| t.dtype() == DType::F32 && t.shape() == shape && !t.is_autodiff())
    {
        return None;
    }
    if tensors.clone().all(flex::holds) {
        return Some(Place::Flex);
    }
    #[cfg(feature = "cube")]
    if tensors.clone().all(cube::holds) {
        return Some(Place::Cube);
    }
    None
}

/// √v + eps, or √v raised to at least the smallest normal number if eps is 0; NaN is propagated.
#[inline(always)]
fn root_plus_eps(v: f32, eps: f32) -> f32 {
    let root = v.sqrt();
    if eps > 0.0 {
        root + eps
    } else if root < f32::MIN_POSITIVE {
        f32::MIN_POSITIVE
    } else {
        root
    }
}

/// The weight and gradient after weight decay.
#[inline(always)]
fn decayed(w: f32, g: f32, (l2, shrink): Decay) -> (f32, f32) {
    (w * shrink, if l2 == 0.0 { g } else { g + w * l2 })
}
