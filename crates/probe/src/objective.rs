//! A function of a flat vector with its gradient: all that the instruments need.

use crate::ProbeError;

/// A loss L(w) of d parameters, on the host, with its gradient.
///
/// The instruments are written against this, so that they are tested on closed forms; [`Subject`](crate::Subject) is the one of a network and data.
pub trait Objective {
    /// d.
    fn dim(&self) -> usize;
    /// L(w).
    ///
    /// # Errors
    /// A vector of another length; what the model or the device refuses.
    fn loss(&mut self, w: &[f64]) -> Result<f64, ProbeError>;
    /// L(w) and ∇L(w), of length d. One gradient evaluation.
    ///
    /// # Errors
    /// Those of [`Objective::loss`].
    fn gradient(&mut self, w: &[f64]) -> Result<(f64, Vec<f64>), ProbeError>;
}

/// An objective that is a mean of losses of single examples, L = (1/N) Σ ℓᵢ: gradients of any batch of them.
pub trait Examples: Objective {
    /// N.
    fn count(&self) -> usize;
    /// The mean loss over the examples at `places` (0 to N − 1, repetitions allowed) and its gradient.
    ///
    /// # Errors
    /// An empty batch, and those of [`Objective::loss`].
    fn batch_gradient(
        &mut self,
        w: &[f64],
        places: &[usize],
    ) -> Result<(f64, Vec<f64>), ProbeError>;
}

/// Hears how far an instrument is, and says whether it goes on: `(done, all)` gradient evaluations or rounds, `false` ends it with what it has.
pub type Watch<'a> = &'a mut dyn FnMut(u64, u64) -> bool;

/// A [`Watch`] that never interrupts.
pub fn unwatched(_done: u64, _all: u64) -> bool {
    true
}
