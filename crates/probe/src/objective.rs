//! A function of a flat vector and its gradient, which is all that the probes need.

use crate::ProbeError;

/// A loss L(w) of d parameters and its gradient, on the host.
///
/// The probes use only this trait, so that tests can use closed forms. [`Subject`](crate::Subject)
/// implements it for a network and data.
pub trait Objective {
    /// The number of parameters d.
    fn dim(&self) -> usize;
    /// The loss L(w).
    ///
    /// # Errors
    /// A vector of the wrong length; errors of the model or the device.
    fn loss(&mut self, w: &[f64]) -> Result<f64, ProbeError>;
    /// The loss L(w) and its gradient ∇L(w), of length d. One gradient evaluation.
    ///
    /// # Errors
    /// As for [`Objective::loss`].
    fn gradient(&mut self, w: &[f64]) -> Result<(f64, Vec<f64>), ProbeError>;
}

/// An objective that is the mean of single examples' losses, L = (1/N) Σ ℓᵢ, with gradients of any
/// batch.
pub trait Examples: Objective {
    /// The number of examples N.
    fn count(&self) -> usize;
    /// The mean loss over the examples with the indices `places` (0 to N − 1, repetitions allowed)
    /// and its gradient.
    ///
    /// # Errors
    /// An empty batch; otherwise as for [`Objective::loss`].
    fn batch_gradient(
        &mut self,
        w: &[f64],
        places: &[usize],
    ) -> Result<(f64, Vec<f64>), ProbeError>;
}

/// A callback for progress and interruption. It receives `(done, all)` in gradient evaluations or
/// rounds; if it returns `false`, the probe ends with the results so far.
pub type Watch<'a> = &'a mut dyn FnMut(u64, u64) -> bool;

/// A [`Watch`] that never interrupts.
pub fn unwatched(_done: u64, _all: u64) -> bool {
    true
}
