//! The Lanczos method, with full reorthogonalization.

use super::operator::Operator;
use super::tridiagonal::eigen;
use crate::vector::{axpy, dot, norm, scale};
use crate::{ProbeError, Watch};

/// The projection of an operator onto a Krylov space: V A Vᵀ = T, with T tridiagonal.
pub(crate) struct Krylov {
    /// T's diagonal.
    pub alpha: Vec<f64>,
    /// T's off-diagonal; the last entry is the norm of the part outside the space.
    pub beta: Vec<f64>,
    /// The rows of V, orthonormal.
    pub basis: Vec<Vec<f64>>,
}

impl Krylov {
    /// The space spanned by one vector.
    pub fn new(mut start: Vec<f64>) -> Self {
        let length = norm(&start);
        scale(1.0 / length, &mut start);
        Krylov {
            alpha: Vec::new(),
            beta: Vec::new(),
            basis: vec![start],
        }
    }

    /// One product with the operator. Returns false once the space is invariant: T's eigenvalues are then the operator's.
    ///
    /// Each new vector is made orthogonal to all earlier ones, twice ("twice is enough", Parlett
    /// 1980). Otherwise copies of the largest eigenvalues would appear again and again.
    pub fn step(&mut self, operator: &mut impl Operator) -> Result<bool, ProbeError> {
        let last = self
            .basis
            .last()
            .expect("a Krylov space contains at least its start");
        let mut next = operator.apply(last)?;
        let a = dot(&next, last);
        self.alpha.push(a);
        for _ in 0..2 {
            for v in &self.basis {
                let c = dot(&next, v);
                axpy(-c, v, &mut next);
            }
        }
        let b = norm(&next);
        self.beta.push(b);
        let size = self
            .alpha
            .iter()
            .chain(&self.beta)
            .fold(0.0f64, |m, x| m.max(x.abs()));
        if self.basis.len() == operator.dim() || b <= 1e-9 * size {
            return Ok(false);
        }
        scale(1.0 / b, &mut next);
        self.basis.push(next);
        Ok(true)
    }

    /// T's eigenvalues in decreasing order, with their eigenvectors in T's coordinates.
    pub fn ritz(&self) -> (Vec<f64>, Vec<Vec<f64>>) {
        let m = self.alpha.len();
        eigen(&self.alpha, &self.beta[..m.saturating_sub(1)])
    }
}

/// Eigenvalues of an operator and their eigenvectors.
#[derive(Clone, Debug, PartialEq)]
pub struct Eigen {
    /// The k largest eigenvalues, in decreasing order.
    pub values: Vec<f64>,
    /// Their unit eigenvectors.
    pub vectors: Vec<Vec<f64>>,
    /// The residual ‖A v − λ v‖ of each. The error of the eigenvalue is at most this, and usually
    /// about its square divided by the gap.
    pub residuals: Vec<f64>,
    /// The smallest eigenvalue met: an upper bound of the operator's smallest.
    pub least: f64,
    /// Number of products with the operator.
    pub products: u64,
    /// Whether all k residuals are below the tolerance.
    pub converged: bool,
}

/// The `k` algebraically largest eigenvalues and their eigenvectors, by the Lanczos method from
/// `start`.
///
/// Each iteration takes one product and 8·d bytes of memory. The method ends when each of the k
/// residuals is at most `tolerance` times λ₁ (or a millionth of the largest |λ|, below which
/// rounding dominates), or after all `iterations`. A multiple eigenvalue is found only once,
/// because a Krylov space contains only one vector of its eigenspace.
///
/// # Errors
/// `k` is 0 or above d; errors of the operator.
pub fn largest(
    operator: &mut impl Operator,
    k: usize,
    start: Vec<f64>,
    tolerance: f64,
    iterations: usize,
    watch: Watch,
) -> Result<Eigen, ProbeError> {
    if k == 0 || k > operator.dim() {
        let why = format!(
            "must be from 1 to {}, the number of eigenvalues",
            operator.dim()
        );
        return Err(ProbeError::value("top", k, why));
    }
    let iterations = iterations.clamp(k, operator.dim());
    let mut space = Krylov::new(start);
    for step in 1..=iterations {
        let proceed = space.step(operator)?;
        let interrupted = !watch(step as u64, iterations as u64);
        let (values, vectors) = space.ritz();
        let outside = if proceed {
            *space.beta.last().expect("at least one step is done")
        } else {
            0.0
        };
        let found = k.min(values.len());
        let residuals: Vec<f64> = vectors[..found]
            .iter()
            .map(|s| outside * s.last().map_or(0.0, |x| x.abs()))
            .collect();
        // Relative to λ₁, not to the largest |λ|: with an eigenvalue far below 0, any value would
        // pass as the largest.
        let ends = [values.first(), values.last()].map(|v| v.map_or(0.0, |v| v.abs()));
        let size = ends[0].max(1e-6 * ends[1]);
        let converged =
            !proceed || (found == k && residuals.iter().all(|r| *r <= tolerance * size));
        if converged || interrupted || step == iterations {
            let d = operator.dim();
            let vectors = vectors[..found]
                .iter()
                .map(|s| {
                    let mut v = vec![0.0; d];
                    s.iter()
                        .zip(&space.basis)
                        .for_each(|(c, b)| axpy(*c, b, &mut v));
                    v
                })
                .collect();
            let least = values.last().copied().unwrap_or(f64::NAN);
            return Ok(Eigen {
                values: values[..found].to_vec(),
                vectors,
                residuals,
                least,
                products: step as u64,
                converged,
            });
        }
    }
    unreachable!("the last iteration returns")
}
