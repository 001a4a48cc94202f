use burn::tensor::{Bool, DType, Tensor};
use largebatch_kernels::slices;

/// Elements that are summed in one call.
const ROW: usize = 1 << 12;

/// ‖x‖₂ as a tensor of one element. It reads nothing, so it does not wait for the device. Half
/// precision is summed in f32.
pub(crate) fn norm<const D: usize>(x: &Tensor<D>) -> Tensor<1> {
    let x = match x.dtype() {
        DType::F16 | DType::BF16 => x.clone().cast(DType::F32),
        _ => x.clone(),
    };
    let n = x.shape().num_elements();
    sum(x.square().reshape([n])).sqrt()
}

/// Sums row by row, then over the rows. Burn's `sum` is not used: on flex its order depends on the
/// number of threads from 4 Mi elements on, in f32 a plain sum of millions loses digits, and with
/// Mesa 22's software Vulkan it crashes.
pub(crate) fn sum(x: Tensor<1>) -> Tensor<1> {
    let n = x.dims()[0];
    if n <= ROW {
        return x.reshape([1, n]).sum_dim(1).reshape([1]);
    }
    let (rows, rest) = (n / ROW, n % ROW);
    let sums = x
        .clone()
        .narrow(0, 0, rows * ROW)
        .reshape([rows, ROW])
        .sum_dim(1)
        .reshape([rows]);
    if rest == 0 {
        sum(sums)
    } else {
        sum(sums) + sum(x.narrow(0, rows * ROW, rest))
    }
}

/// As [`norm`] on flex, of f32; `squares` is memory that is overwritten.
pub(crate) fn norm_of_slice(x: &[f32], squares: &mut Vec<f32>) -> f32 {
    squares.clear();
    squares.extend(x.iter().map(|x| x * x));
    sum_of_slice(squares).sqrt()
}

/// As [`sum`]; overwrites the numbers.
fn sum_of_slice(x: &mut [f32]) -> f32 {
    let n = x.len();
    if n <= ROW {
        return slices::sum(x);
    }
    let rows = n / ROW;
    for row in 0..rows {
        x[row] = slices::sum(&x[row * ROW..][..ROW]);
    }
    let (sums, rest) = (sum_of_slice(&mut x[..rows]), &mut x[rows * ROW..]);
    match rest {
        [] => sums,
        rest => sums + sum_of_slice(rest),
    }
}

/// `numerator / denominator` if both `guards` are above 0, else 1. All have shape \[1\].
///
/// Every published LARS and LAMB treats a layer whose weights or gradients are all zero in this
/// way.
pub(crate) fn finite_ratio(
    numerator: Tensor<1>,
    denominator: Tensor<1>,
    guards: [Tensor<1>; 2],
) -> Tensor<1> {
    let unfit = either_zero(&guards);
    // Filled before the division, so that 0/0 never occurs.
    numerator.mask_fill(unfit.clone(), 1.0) / denominator.mask_fill(unfit, 1.0)
}

/// Whether one of two norms is not above 0.
pub(crate) fn either_zero(norms: &[Tensor<1>; 2]) -> Tensor<1, Bool> {
    let [a, b] = norms.each_ref().map(|x| x.clone().greater_scalar(0.0));
    a.bool_and(b).bool_not()
}

/// `x · scale`; the scale has shape \[1\].
pub(crate) fn scaled<const D: usize>(x: Tensor<D>, scale: Tensor<1>) -> Tensor<D> {
    let scale = if scale.dtype() == x.dtype() {
        scale
    } else {
        scale.cast(x.dtype())
    };
    x * scale.reshape([1; D])
}

/// Keeps the update in coordinates in which it has the gradient's sign and sets it to 0 elsewhere,
/// then divides by the fraction of coordinates kept, at least 1e-3 (Liang et al. 2024, arXiv
/// 2411.16085).
pub(crate) fn cautious<const D: usize>(update: Tensor<D>, g: Tensor<D>) -> Tensor<D> {
    let agree = (update.clone() * g).greater_scalar(0.0);
    let n = update.shape().num_elements();
    let mask = update.zeros_like().mask_fill(agree, 1.0);
    let part = sum(mask.clone().reshape([n]))
        .div_scalar(n as f64)
        .clamp_min(1e-3);
    scaled(update * mask, part.recip())
}

/// √v + eps. With eps = 0, a zero becomes the smallest normal number, so that 0/√0 is 0.
pub(crate) fn root_plus_eps<const D: usize>(v: Tensor<D>, eps: f64) -> Tensor<D> {
    if eps > 0.0 {
        v.sqrt().add_scalar(eps)
    } else {
        lifted(v.sqrt())
    }
}

pub(crate) fn lifted<const D: usize>(x: Tensor<D>) -> Tensor<D> {
    let least = if x.dtype() == DType::F64 {
        f64::MIN_POSITIVE
    } else {
        f64::from(f32::MIN_POSITIVE)
    };
    x.clamp_min(least)
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::{Device, TensorData};

    /// Sizes around `ROW`, and a sum that is wrong in the fourth digit if summed plainly in f32.
    #[test]
    fn long_sums_keep_their_digits() {
        for n in [1, 5, ROW - 1, ROW, ROW + 1, 3 * ROW, 900 * ROW + 17] {
            let values: Vec<f32> = (0..n)
                .map(|i| 1.0 + 0.5 * ((i * 7 % 13) as f32 / 13.0))
                .collect();
            let exact = values
                .iter()
                .map(|v| f64::from(*v).powi(2))
                .sum::<f64>()
                .sqrt();
            let x = Tensor::<1>::from_data(TensorData::new(values.clone(), [n]), &Device::flex());
            let found = norm(&x).into_scalar::<f64>();
            let slice = norm_of_slice(&values, &mut Vec::new());
            assert!(f64::from(slice) == found, "{n}: {slice} {found}");
            assert!((found / exact - 1.0).abs() < 4e-7, "{n}: {found} {exact}");
            if n % 5 == 0 {
                assert_eq!(norm(&x.reshape([n / 5, 5]).transpose()).dims(), [1]);
            }
        }
    }
}
