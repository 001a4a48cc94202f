//! The learning rates that a range test's curve suggests.

/// The bias-corrected moving average of the losses: s_t = Σ β^(t−i) ℓ_i / Σ β^(t−i).
pub fn smoothed(losses: &[f64], beta: f64) -> Vec<f64> {
    let (mut sum, mut weight) = (0.0, 0.0);
    losses
        .iter()
        .map(|loss| {
            sum = beta * sum + (1.0 - beta) * loss;
            weight = beta * weight + 1.0 - beta;
            sum / weight
        })
        .collect()
}

/// The index at which the smoothed loss falls most steeply over log η, by central differences.
/// `None` if it never falls.
pub fn steepest(smoothed: &[f64]) -> Option<usize> {
    let n = smoothed.len();
    // The rates grow by a constant factor, so equal steps of the index are equal steps of log η.
    let slope = |i: usize| match i {
        0 => smoothed[1] - smoothed[0],
        _ if i + 1 == n => smoothed[i] - smoothed[i - 1],
        _ => (smoothed[i + 1] - smoothed[i - 1]) / 2.0,
    };
    let best = (0..n)
        .filter(|_| n >= 2)
        .min_by(|&i, &j| slope(i).total_cmp(&slope(j)))?;
    (slope(best) < 0.0).then_some(best)
}

/// The start of the descent of a curve that ends at its minimum: the last index at which less than
/// a twentieth of the total fall is done. A curve without noise falls before it too, but by very
/// little over many orders of magnitude of the rate, which would shift the middle of the valley.
pub fn descent(smoothed: &[f64]) -> usize {
    let (Some(first), Some(last)) = (smoothed.first(), smoothed.last()) else {
        return 0;
    };
    smoothed
        .iter()
        .rposition(|s| *s >= first - 0.05 * (first - last))
        .unwrap_or(0)
}

/// A point in the longest valley: in the longest decreasing subsequence of the smoothed losses, one
/// half of a third after its first third, as in fastai's `valley`. `None` if nothing falls.
pub fn valley(smoothed: &[f64]) -> Option<usize> {
    // lengths[i] is the length of the longest decreasing subsequence that ends at i.
    let mut lengths = vec![1usize; smoothed.len()];
    for i in 1..smoothed.len() {
        let before = (0..i)
            .filter(|&j| smoothed[i] < smoothed[j])
            .map(|j| lengths[j])
            .max();
        lengths[i] = before.unwrap_or(0) + 1;
    }
    let length = *lengths.iter().max()?;
    let end = lengths.iter().position(|l| *l == length)?;
    let start = (end + 1).saturating_sub(length);
    let third = (end - start) / 3;
    (length > 1).then_some(start + third + third / 2)
}
