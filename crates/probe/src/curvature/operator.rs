//! Symmetric operators, and the Hessian from differences of gradients.

use crate::vector::{axpy, norm, scale};
use crate::{Objective, ProbeError};

/// A symmetric d × d matrix that can be multiplied with a vector.
pub trait Operator {
    /// The dimension d.
    fn dim(&self) -> usize;
    /// The product A v.
    ///
    /// # Errors
    /// Errors of the model or the device.
    fn apply(&mut self, v: &[f64]) -> Result<Vec<f64>, ProbeError>;
}

/// The distance from w, on either side along a unit vector, at which the gradient is taken.
///
/// In f64 the relative error of a product is about 1e-7, mostly from rounding. A larger step would
/// be better for a smooth loss. With ReLU or max-pooling, however, an example so close to a kink
/// that the step crosses it adds its whole jump divided by the step: at 1e-5 this made a spurious
/// eigenvalue of 130 beside true ones of 3. A smaller step crosses fewer kinks.
/// [`top`](fn@super::top) detects such a crossing and takes a smaller step.
pub const STEP: f64 = 1e-7;

/// The Hessian of an objective at w: H v = ‖v‖ (∇L(w + h u) − ∇L(w − h u)) / 2h with u = v/‖v‖ and
/// h = [`STEP`]. A product takes two gradient evaluations.
///
/// With a `diagonal` p it is P^{−1/2} H P^{−1/2} with P = diag(p): the Hessian as seen by an
/// adaptive optimizer, which divides the gradient by p.
pub struct Hessian<'a, O: Objective + ?Sized> {
    objective: &'a mut O,
    w: &'a [f64],
    /// The scaling p^{−1/2} of each coordinate, if preconditioned.
    factors: Option<Vec<f64>>,
    decay: f64,
    /// [`STEP`], or less after a kink was met.
    pub(super) step: f64,
}

impl<'a, O: Objective + ?Sized> Hessian<'a, O> {
    /// The Hessian at w.
    pub fn new(objective: &'a mut O, w: &'a [f64]) -> Self {
        Hessian {
            objective,
            w,
            factors: None,
            decay: 0.0,
            step: STEP,
        }
    }

    /// The preconditioned Hessian at w; every entry of `diagonal` is above 0.
    ///
    /// # Errors
    /// An entry that is not above 0, or a diagonal of the wrong length.
    pub fn preconditioned(
        objective: &'a mut O,
        w: &'a [f64],
        diagonal: &[f64],
    ) -> Result<Self, ProbeError> {
        if diagonal.len() != w.len() {
            return Err(ProbeError::Length {
                expected: w.len(),
                found: diagonal.len(),
            });
        }
        if let Some(p) = diagonal.iter().find(|p| !(**p > 0.0 && p.is_finite())) {
            let why = "each entry must be above 0";
            return Err(ProbeError::value("preconditioner", p, why));
        }
        let mut hessian = Hessian::new(objective, w);
        hessian.factors = Some(diagonal.iter().map(|p| p.sqrt().recip()).collect());
        Ok(hessian)
    }

    /// The Hessian with L2 weight decay, that is of L + ½ `rate` ‖w‖²: H + rate · I, preconditioned
    /// as a whole.
    pub fn with_decay(mut self, rate: f64) -> Self {
        self.decay = rate;
        self
    }
}

impl<O: Objective + ?Sized> Operator for Hessian<'_, O> {
    fn dim(&self) -> usize {
        self.w.len()
    }

    fn apply(&mut self, v: &[f64]) -> Result<Vec<f64>, ProbeError> {
        let mut u = v.to_vec();
        if let Some(factors) = &self.factors {
            u.iter_mut().zip(factors).for_each(|(u, f)| *u *= f);
        }
        let length = norm(&u);
        if length == 0.0 {
            return Ok(vec![0.0; v.len()]);
        }
        let at = |side: f64| -> Vec<f64> {
            self.w
                .iter()
                .zip(&u)
                .map(|(w, u)| w + side * self.step * u / length)
                .collect()
        };
        let (_, mut product) = self.objective.gradient(&at(1.0))?;
        let (_, below) = self.objective.gradient(&at(-1.0))?;
        product.iter_mut().zip(&below).for_each(|(a, b)| *a -= b);
        scale(length / (2.0 * self.step), &mut product);
        axpy(self.decay, &u, &mut product);
        if let Some(factors) = &self.factors {
            product.iter_mut().zip(factors).for_each(|(u, f)| *u *= f);
        }
        match product.iter().find(|x| !x.is_finite()) {
            Some(&value) => Err(ProbeError::NotFinite {
                what: "Hessian-vector product",
                value,
            }),
            None => Ok(product),
        }
    }
}
