//! Largest eigenvalues of a Hessian from differences of gradients, checked against kinks in the
//! loss.

use largebatch_random::Key;

use super::lanczos::{Eigen, largest};
use super::operator::{Hessian, Operator};
use crate::vector::{dot, gaussian};
use crate::{Objective, ProbeError, Watch};

/// Maximum number of attempts.
const ATTEMPTS: u64 = 3;

/// The `k` largest eigenvalues of a Hessian, by [`largest`], with a check.
///
/// Each vᵀHv is computed again with a tenth of the step (one product each) and must agree with the
/// eigenvalue to a thousandth of the largest. If it does not, a kink of the loss (ReLU,
/// max-pooling) was within the step and made a spurious eigenvalue: its jump divided by the step.
/// The search is then repeated with the shorter step from another start, up to three attempts in
/// all. If the last one does not agree either, the result is marked as not converged.
///
/// `watch` receives the number of products.
///
/// # Errors
/// As for [`largest`].
pub fn top<O: Objective + ?Sized>(
    hessian: &mut Hessian<'_, O>,
    k: usize,
    key: Key,
    tolerance: f64,
    iterations: usize,
    watch: Watch,
) -> Result<Eigen, ProbeError> {
    let (d, mut spent) = (hessian.dim(), 0);
    let mut attempt = 0;
    loop {
        let key = match attempt {
            0 => key,
            n => key.number(n),
        };
        let start = gaussian(d, key);
        let mut proceed = true;
        let mut found = largest(
            hessian,
            k,
            start,
            tolerance,
            iterations,
            &mut |done, all| {
                proceed = watch(spent + done, spent + all + k as u64);
                proceed
            },
        )?;
        spent += found.products;
        let step = hessian.step;
        hessian.step = step / 10.0;
        // With the shorter step, the error of a product is about a millionth of the largest |λ|.
        let size = found
            .values
            .first()
            .map_or(0.0, |v| v.abs())
            .max(1e-3 * found.least.abs());
        let mut agrees = true;
        for (value, vector) in found.values.iter().zip(&found.vectors) {
            if !proceed {
                break;
            }
            let again = dot(vector, &hessian.apply(vector)?);
            agrees &= (again - value).abs() <= 1e-3 * size;
            spent += 1;
            proceed = watch(spent, spent.max(1));
        }
        attempt += 1;
        if agrees {
            hessian.step = step;
        }
        if agrees || !proceed || attempt == ATTEMPTS {
            found.products = spent;
            found.converged &= agrees;
            return Ok(found);
        }
    }
}
