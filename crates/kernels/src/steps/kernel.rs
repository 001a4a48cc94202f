//! The traits that every kernel implements.

#[cfg(feature = "cube")]
use super::cube;

/// The operation on each element: reads `I` arrays, changes `M` arrays, and gives `S` terms, each
/// of which is summed over all elements.
pub trait Kernel<const I: usize, const M: usize, const S: usize>: Sync {
    /// The changed elements, and the terms to sum.
    fn one(&self, read: [f32; I], changed: [f32; M]) -> ([f32; M], [f32; S]);
}

/// A whole optimizer step in one pass.
pub trait Step<const I: usize, const M: usize>: Kernel<I, M, 0> {
    /// The same on a GPU.
    #[cfg(feature = "cube")]
    fn launch(&self, on: &cube::Launch, read: [cube::Arg; I], changed: [cube::Arg; M]);
}
