//! The sum of a slice, with the bits of Burn's CPU backend.

use macerator::{Scalar, Simd, vload_unaligned};

/// Σ x in the order of flex's `sum_dim`, with the same vectors: eight sums of vectors, then the rest
/// by vectors, then the rest by numbers.
#[macerator::with_simd]
pub(crate) fn sum<S: Simd>(x: &[f32]) -> f32 {
    let lanes = f32::lanes::<S>();
    let (wide, rest) = x.split_at(x.len() - x.len() % (8 * lanes));
    let mut sums = [0.0f32.splat::<S>(); 8];
    for x in wide.chunks_exact(8 * lanes) {
        for (i, sum) in sums.iter_mut().enumerate() {
            // SAFETY: `x` has 8 × `lanes` numbers.
            *sum += unsafe { vload_unaligned(x.as_ptr().add(i * lanes)) };
        }
    }
    let [a, b, c, d, e, f, g, h] = sums;
    let mut sum = ((a + b) + (c + d)) + ((e + f) + (g + h));
    let rest = rest.chunks_exact(lanes);
    let last = rest.remainder();
    for x in rest {
        // SAFETY: `x` has `lanes` numbers.
        sum += unsafe { vload_unaligned(x.as_ptr()) };
    }
    sum.reduce_add() + last.iter().sum::<f32>()
}
