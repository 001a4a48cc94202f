use burn::tensor::{DType, Tensor};

/// ‖x‖₂ as a tensor of one element: no read, so no wait for the device. Half precision is summed in f32.
pub fn norm<const D: usize>(x: &Tensor<D>) -> Tensor<1> {
    let x = match x.dtype() {
        DType::F16 | DType::BF16 => x.clone().cast(DType::F32),
        _ => x.clone(),
    };
    x.square().sum().sqrt()
}

/// `numerator / denominator` where both `guards` are above 0, and 1 elsewhere. All are of shape \[1\].
///
/// The rule of every published LARS and LAMB for a layer whose weights or gradients are all zero.
pub fn finite_ratio(numerator: Tensor<1>, denominator: Tensor<1>, guards: [Tensor<1>; 2]) -> Tensor<1> {
    let [a, b] = guards;
    let unfit = a.greater_scalar(0.0).bool_and(b.greater_scalar(0.0)).bool_not();
    // Filled before the division, so that 0/0 never comes up.
    numerator.mask_fill(unfit.clone(), 1.0) / denominator.mask_fill(unfit, 1.0)
}

/// `x · scale`, the scale of shape \[1\].
pub(crate) fn scaled<const D: usize>(x: Tensor<D>, scale: Tensor<1>) -> Tensor<D> {
    let scale = if scale.dtype() == x.dtype() { scale } else { scale.cast(x.dtype()) };
    x * scale.reshape([1; D])
}

/// √v + eps; with eps = 0 a zero is lifted to the smallest normal number, so that 0/√0 is 0.
pub(crate) fn root_plus_eps<const D: usize>(v: Tensor<D>, eps: f64) -> Tensor<D> {
    if eps > 0.0 { v.sqrt().add_scalar(eps) } else { lifted(v.sqrt()) }
}

pub(crate) fn lifted<const D: usize>(x: Tensor<D>) -> Tensor<D> {
    let least = if x.dtype() == DType::F64 { f64::MIN_POSITIVE } else { f64::from(f32::MIN_POSITIVE) };
    x.clamp_min(least)
}
