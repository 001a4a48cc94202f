//! What a kernel says of itself.

#[cfg(feature = "cube")]
use super::cube;

/// What is done to each number: those of `I` arrays are read, those of `M` are changed; of the `S` terms the sums are formed.
pub trait Kernel<const I: usize, const M: usize, const S: usize>: Sync {
    /// The changed numbers, and the terms.
    fn one(&self, read: [f32; I], changed: [f32; M]) -> ([f32; M], [f32; S]);
}

/// A whole step in one pass.
pub trait Step<const I: usize, const M: usize>: Kernel<I, M, 0> {
    /// The same on a GPU.
    #[cfg(feature = "cube")]
    fn launch(&self, on: &cube::Launch, read: [cube::Arg; I], changed: [cube::Arg; M]);
}
