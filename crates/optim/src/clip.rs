//! Gradient clipping, by the global norm or by value.

use crate::norm::{norm, norm_of_slice};
use burn::module::{Module, ModuleVisitor, Param};
use burn::optim::GradientsParams;
use burn::tensor::{DType, Tensor};
use serde::{Deserialize, Serialize};

/// Clipping by the global norm n = √(Σ‖gᵢ‖²) over all parameters.
#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize)]
pub struct GlobalClip {
    /// Upper bound c of the global norm, above 0.
    pub max_norm: f64,
    /// How the gradients are scaled.
    pub form: ClipForm,
}

/// How gradients of global norm n are scaled for a bound c. `Exact` and `Torch` differ from about
/// the seventh digit on; `Normalize` also scales up gradients below the bound.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ClipForm {
    /// g / max(1, n/c): timm's and apex's LAMB.
    Exact,
    /// g · min(1, c/(n + 1e-6)): PyTorch's `clip_grad_norm_`.
    Torch,
    /// g · c/n, above the bound and below it: pre-normalization. Zero gradients stay zero.
    Normalize,
}

impl GlobalClip {
    /// Clips as PyTorch's `clip_grad_norm_` does.
    pub fn torch(max_norm: f64) -> Self {
        GlobalClip {
            max_norm,
            form: ClipForm::Torch,
        }
    }

    /// The factor by which gradients of global norm `n` are multiplied.
    pub fn factor(&self, n: f64) -> f64 {
        match self.form {
            ClipForm::Exact if n > self.max_norm => self.max_norm / n,
            ClipForm::Normalize if n > 0.0 => self.max_norm / n,
            ClipForm::Torch => (self.max_norm / (n + 1e-6)).min(1.0),
            ClipForm::Exact | ClipForm::Normalize => 1.0,
        }
    }
}

/// Returns the gradients, clipped by their global norm, and that norm before clipping. Reading the
/// norm waits for the device once.
pub fn clip_by_global_norm<M: Module>(
    mut grads: GradientsParams,
    module: &M,
    clip: GlobalClip,
) -> (GradientsParams, f64) {
    let mut norms = Norms {
        grads: &grads,
        norms: Vec::new(),
    };
    module.visit(&mut norms);
    let n = global_norm(norms.norms);
    let factor = clip.factor(n);
    if factor != 1.0 {
        module.visit(&mut Each {
            grads: &mut grads,
            change: Change::Scale(factor),
        });
    }
    (grads, n)
}

/// Returns the gradients with every element clamped to \[−limit, limit\].
pub fn clip_by_value<M: Module>(
    mut grads: GradientsParams,
    module: &M,
    limit: f64,
) -> GradientsParams {
    module.visit(&mut Each {
        grads: &mut grads,
        change: Change::Cut(limit),
    });
    grads
}

/// As [`clip_by_global_norm`], on gradients of f32 in the module's order, where an empty one
/// stands for none; returns the norm before clipping. `norms` and `squares` are memory that is
/// overwritten.
pub fn clip_slices_by_global_norm(
    gradients: &mut [Vec<f32>],
    clip: GlobalClip,
    [norms, squares]: [&mut Vec<f32>; 2],
) -> f64 {
    let some = gradients.iter().filter(|g| !g.is_empty());
    norms.clear();
    norms.extend(some.map(|g| norm_of_slice(g, squares)));
    let n = root_of_squares(norms.iter().map(|n| f64::from(*n)));
    let factor = clip.factor(n);
    if factor != 1.0 {
        let factor = factor as f32;
        let each = gradients.iter_mut().flatten();
        each.for_each(|g| *g *= factor);
    }
    n
}

/// √(Σ nᵢ²): one read from the device, then a sum on the host in f64, in the order given.
pub(crate) fn global_norm(norms: Vec<Tensor<1>>) -> f64 {
    if norms.is_empty() {
        return 0.0;
    }
    let dtype = if norms.iter().any(|n| n.dtype() == DType::F64) {
        DType::F64
    } else {
        DType::F32
    };
    let device = norms[0].device();
    let all = Tensor::cat(
        norms
            .into_iter()
            .map(|n| n.to_device(&device).cast(dtype))
            .collect(),
        0,
    );
    let all = all
        .try_into_vec_as::<f64>()
        .unwrap_or_else(|_| vec![f64::NAN]);
    root_of_squares(all.iter().copied())
}

fn root_of_squares(norms: impl Iterator<Item = f64> + Clone) -> f64 {
    // Scaled by the largest norm, because the square of 1e200 would overflow.
    let largest = norms.clone().fold(0.0, f64::max);
    if largest > 0.0 && largest.is_finite() {
        let squares = norms.map(|n| (n / largest) * (n / largest));
        largest * squares.sum::<f64>().sqrt()
    } else {
        norms.map(|n| n * n).sum::<f64>().sqrt()
    }
}

struct Norms<'a> {
    grads: &'a GradientsParams,
    norms: Vec<Tensor<1>>,
}

impl ModuleVisitor for Norms<'_> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        self.norms
            .extend(self.grads.get::<D>(param.id).map(|g| norm(&g)));
    }
}

enum Change {
    Scale(f64),
    Cut(f64),
}

struct Each<'a> {
    grads: &'a mut GradientsParams,
    change: Change,
}

impl ModuleVisitor for Each<'_> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        if let Some(g) = self.grads.remove::<D>(param.id) {
            let g = match self.change {
                Change::Scale(factor) => g.mul_scalar(factor),
                Change::Cut(limit) => g.clamp(-limit, limit),
            };
            self.grads.register(param.id, g);
        }
    }
}
