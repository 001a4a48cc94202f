//! The noise scale of a population, estimated from a sample.

use super::ratio::{Interval, fieller};
use crate::vector::dot;

/// B_simple of the population and its interval, by the jackknife: the estimate is repeated without
/// each block in turn.
///
/// The jackknife treats tr Σ and |G|² together. The ratio's interval follows from their
/// pseudo-values by Fieller's theorem.
pub(super) fn jackknife(
    sums: &[Vec<f64>],
    squares: &[(f64, usize)],
    gradient: &[f64],
) -> (Option<f64>, Option<Interval>) {
    let n: usize = squares.iter().map(|s| s.1).sum();
    let total: f64 = squares.iter().map(|s| s.0).sum();
    let mean_square = dot(gradient, gradient);
    let estimate = |count: f64, square: f64, mean_square: f64| {
        let trace = (square - count * mean_square) / (count - 1.0);
        (trace, mean_square - trace / count)
    };
    let (trace, gradient_square) = estimate(n as f64, total, mean_square);
    let value = (gradient_square > 0.0).then(|| trace / gradient_square);
    if sums.len() < 3 || squares.iter().any(|s| n - s.1 < 2) {
        return (value, None);
    }
    let blocks = sums.len() as f64;
    let pseudo: Vec<(f64, f64)> = sums
        .iter()
        .zip(squares)
        .map(|(sum, (square, members))| {
            let left = (n - members) as f64;
            // |Σ − Σ_block|² of the gradients' sums.
            let rest = (n as f64).powi(2) * mean_square - 2.0 * n as f64 * dot(gradient, sum)
                + dot(sum, sum);
            let (t, g) = estimate(left, total - square, rest / left.powi(2));
            (
                blocks * trace - (blocks - 1.0) * t,
                blocks * gradient_square - (blocks - 1.0) * g,
            )
        })
        .collect();
    (value, fieller(&pseudo))
}
