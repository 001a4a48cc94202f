//! Algebra on flat vectors. Sums are in a fixed order, so they give the same bits on every machine.

use largebatch_random::{Key, normal, unit};

/// Numbers summed in one block. The block sums are then summed, so that rounding errors grow with
/// the logarithm of the length.
const ROW: usize = 256;

/// Σ xᵢ yᵢ. Both vectors have the same length.
pub fn dot(x: &[f64], y: &[f64]) -> f64 {
    debug_assert_eq!(x.len(), y.len());
    if x.len() <= ROW {
        return x.iter().zip(y).map(|(a, b)| a * b).sum();
    }
    let half = (x.len() / 2).next_multiple_of(ROW);
    dot(&x[..half], &y[..half]) + dot(&x[half..], &y[half..])
}

/// ‖x‖₂.
pub fn norm(x: &[f64]) -> f64 {
    dot(x, x).sqrt()
}

/// y ← y + a x.
pub fn axpy(a: f64, x: &[f64], y: &mut [f64]) {
    y.iter_mut().zip(x).for_each(|(y, x)| *y += a * x);
}

/// x ← a x.
pub fn scale(a: f64, x: &mut [f64]) {
    x.iter_mut().for_each(|x| *x *= a);
}

/// x + a y, as a new vector.
pub fn plus(x: &[f64], a: f64, y: &[f64]) -> Vec<f64> {
    x.iter().zip(y).map(|(x, y)| x + a * y).collect()
}

/// The smallest and the largest of some numbers.
pub(crate) fn extent(values: impl IntoIterator<Item = f64>) -> (f64, f64) {
    let ends = (f64::INFINITY, f64::NEG_INFINITY);
    let values = values.into_iter();
    values.fold(ends, |(low, high), x| (low.min(x), high.max(x)))
}

/// The random key for a purpose of a probe, from its seed.
pub fn key(seed: u64, purpose: &str) -> Key {
    Key::new(seed).word("probe").word(purpose)
}

/// d independent draws from N(0, 1).
pub fn gaussian(d: usize, key: Key) -> Vec<f64> {
    let mut rng = key.rng();
    (0..d).map(|_| normal(&mut rng)).collect()
}

/// d independent signs, ±1 with equal probability.
pub fn signs(d: usize, key: Key) -> Vec<f64> {
    let mut rng = key.rng();
    (0..d)
        .map(|_| if unit(&mut rng) < 0.5 { -1.0 } else { 1.0 })
        .collect()
}
