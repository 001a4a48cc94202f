//! Means with their intervals, and paired differences.

use largebatch_random::{Key, below};
use statrs::distribution::{ContinuousCDF, Normal, StudentsT};

use super::mean;

/// How an interval was computed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Method {
    /// mean ± t · s / √n, for normal data; used below 10 values.
    StudentT,
    /// Bias-corrected and accelerated bootstrap (Efron 1987) of the mean with 10,000 resamples from
    /// a fixed seed; used from 10 values on.
    Bootstrap,
}

/// A mean with its 95 % interval.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Estimate {
    /// The mean.
    pub mean: f64,
    /// The standard deviation with n − 1; NaN for one value.
    pub sd: f64,
    /// The ends of the interval; `None` for one value, which has no spread.
    pub interval: Option<(f64, f64)>,
    /// The number of values.
    pub n: usize,
    /// How the interval was computed.
    pub method: Method,
}

/// The mean of `values` with its 95 % interval: Student's t below 10 values, the bootstrap from 10
/// on. `None` without values, or if one is not finite.
///
/// `scipy.stats.t.interval` and `scipy.stats.bootstrap(method="BCa")` give the same, the latter up
/// to its own resampling.
pub fn estimate(values: &[f64]) -> Option<Estimate> {
    let n = values.len();
    if n == 0 || values.iter().any(|v| !v.is_finite()) {
        return None;
    }
    let mean = mean(values);
    let sd = (values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / (n as f64 - 1.0)).sqrt();
    let (method, interval) = match n {
        1 => (Method::StudentT, None),
        2..10 => {
            let half = t_quantile(0.975, n as f64 - 1.0) * sd / (n as f64).sqrt();
            (Method::StudentT, Some((mean - half, mean + half)))
        }
        _ => (Method::Bootstrap, Some(bca(values, mean))),
    };
    Some(Estimate {
        mean,
        sd,
        interval,
        n,
        method,
    })
}

/// The quantile of Student's t with `freedom` degrees of freedom, above 0.
pub(crate) fn t_quantile(p: f64, freedom: f64) -> f64 {
    StudentsT::new(0.0, 1.0, freedom).map_or(f64::NAN, |t| t.inverse_cdf(p))
}

const RESAMPLES: usize = 10_000;

fn bca(values: &[f64], theta: f64) -> (f64, f64) {
    let n = values.len();
    if values.iter().all(|v| v == &values[0]) {
        return (theta, theta);
    }
    let deviations: Vec<f64> = values.iter().map(|v| v - theta).collect();
    let (squares, cubes) = deviations
        .iter()
        .fold((0.0, 0.0), |(s, c), d| (s + d * d, c + d * d * d));
    let mut rng = Key::new(0).word("bootstrap").rng();
    let resample = |_| {
        (0..n)
            .map(|_| deviations[below(&mut rng, n as u32) as usize])
            .sum::<f64>()
            / n as f64
    };
    let mut means: Vec<f64> = (0..RESAMPLES).map(resample).collect();
    means.sort_by(f64::total_cmp);
    // A resampled mean that equals the mean counts half, even if rounding separates them.
    let tie = 1e-9 * (squares / n as f64).sqrt();
    let (less, upto) = (
        means.partition_point(|m| *m < -tie),
        means.partition_point(|m| *m <= tie),
    );
    // A share of 0 or 1 would give an infinite bias.
    let share = ((less + upto) as f64 / (2 * RESAMPLES) as f64).clamp(1e-4, 1.0 - 1e-4);
    let normal = Normal::standard();
    let bias = normal.inverse_cdf(share);
    // The jackknife's acceleration; for a mean it is Σ d³ / (6 (Σ d²)^1.5) with d the deviations.
    let acceleration = cubes / (6.0 * squares.powf(1.5));
    let end = |p: f64| {
        let z = bias + normal.inverse_cdf(p);
        theta + quantile(&means, normal.cdf(bias + z / (1.0 - acceleration * z)))
    };
    (end(0.025), end(0.975))
}

/// A quantile of sorted values, with linear interpolation (NumPy's default).
pub(crate) fn quantile(sorted: &[f64], p: f64) -> f64 {
    let at = p * (sorted.len() - 1) as f64;
    let (low, high) = (at.floor() as usize, at.ceil() as usize);
    sorted[low] + (sorted[high] - sorted[low]) * (at - low as f64)
}

/// A mean difference over the seeds that two groups share.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Paired {
    /// The mean of first − second with its interval.
    pub difference: Estimate,
    /// Values of either group without a partner.
    pub unmatched: usize,
}

/// first − second, seed by seed: what the groups share (initial weights, order, held-out examples)
/// cancels out. `None` without a shared seed.
pub fn paired(first: &[(u64, f64)], second: &[(u64, f64)]) -> Option<Paired> {
    let differences: Vec<f64> = first
        .iter()
        .filter_map(|(seed, a)| Some(a - second.iter().find(|(s, _)| s == seed)?.1))
        .collect();
    let unmatched = first.len() + second.len() - 2 * differences.len();
    Some(Paired {
        difference: estimate(&differences)?,
        unmatched,
    })
}

/// √(p (1 − p) / n): the standard error of an accuracy `p` measured on a test part of `n` examples,
/// which more seeds do not reduce. NaN for a `p` outside [0, 1].
pub fn binomial_error(p: f64, n: usize) -> f64 {
    (p * (1.0 - p) / n as f64).sqrt()
}

/// The smallest difference that a comparison resolves: half the 95 % interval of the mean
/// difference, t · s / √n with s the standard deviation of the `n` paired differences. A smaller
/// difference is statistically indistinguishable from none. `None` with fewer than two pairs.
pub fn smallest_difference(paired: &Paired) -> Option<f64> {
    let Estimate { sd, n, .. } = paired.difference;
    (n > 1).then(|| t_quantile(0.975, n as f64 - 1.0) * sd / (n as f64).sqrt())
}

/// The smallest difference of two accuracies, or errors, that a test part of `examples` can show
/// with any number of seeds: 6 of its examples.
///
/// Two networks on the same examples differ in those that exactly one of them has right. If the
/// networks are equally good, each such example is equally likely to be either's (McNemar 1947; for
/// networks Dietterich 1998, "Approximate statistical tests for comparing supervised classification
/// learning algorithms"). The difference can be smallest if all of them are on one side: 2 · 2⁻⁶ =
/// 0.031 is below 5 %, and 2 · 2⁻⁵ = 0.063 is not. Seeds share the test part, so they do not
/// average this away. With fewer than 6 examples it is 1, the largest possible difference.
fn smallest_shown(examples: usize) -> f64 {
    (6.0 / examples as f64).min(1.0)
}

/// The smallest difference of accuracies, or errors, that a comparison resolves: the larger of
/// [`smallest_difference`], from the seeds, and `smallest_shown`, from a test part of `examples`,
/// if its size is known. Seeds that agree closely do not make a small test part larger.
pub fn smallest_resolved(paired: &Paired, examples: Option<usize>) -> Option<f64> {
    smallest_difference(paired)
        .map(|seeds| examples.map_or(seeds, |n| seeds.max(smallest_shown(n))))
}

/// The median of some values and an interval of it: the smallest one between two order statistics
/// that holds the median with at least 95 %, or, of fewer than six values, from the smallest to the
/// largest. Unlike a mean with Student's t it suits any monotonic function of the values, such as
/// 1/x. `None` of no values.
pub fn median_interval(values: &[f64]) -> Option<(f64, f64, f64)> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let n = sorted.len();
    let median = (sorted.get(n.checked_sub(1)? / 2)? + sorted[n / 2]) / 2.0;
    // The median is below the (k + 1)-th value with probability Σ_{i ≤ k} C(n, i) / 2ⁿ.
    let (mut k, mut term) = (0, 0.5f64.powi(n as i32));
    let mut below = term;
    loop {
        term *= (n - k) as f64 / (k + 1) as f64;
        below += term;
        if 2.0 * below > 0.05 || 2 * (k + 2) > n {
            return Some((median, sorted[k], sorted[n - 1 - k]));
        }
        k += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn golden() -> serde_json::Value {
        serde_json::from_str(include_str!("../../tests/golden.json")).unwrap()
    }

    #[test]
    fn intervals_are_scipys() {
        let golden = golden();
        let data: Vec<f64> = serde_json::from_value(golden["data"].clone()).unwrap();
        for (n, ends) in golden["t_interval"].as_object().unwrap() {
            let ours = estimate(&data[..n.parse::<usize>().unwrap()]).unwrap();
            let (low, high) = ours.interval.unwrap();
            assert!(
                (low - ends[0].as_f64().unwrap()).abs() < 1e-10
                    && (high - ends[1].as_f64().unwrap()).abs() < 1e-10,
                "n = {n}: {low} {high}"
            );
            assert_eq!(ours.method, Method::StudentT);
        }
        let ours = estimate(&data).unwrap();
        let (low, high) = ours.interval.unwrap();
        // With 10,000 resamples a 2.5 % quantile is accurate to about 2 % of the width of the
        // interval.
        let (a, b) = (
            golden["bca"][0].as_f64().unwrap(),
            golden["bca"][1].as_f64().unwrap(),
        );
        assert!(
            (low - a).abs() < 0.03 * (b - a) && (high - b).abs() < 0.03 * (b - a),
            "{low} {high} against {a} {b}"
        );
        assert_eq!(
            (ours.method, ours),
            (Method::Bootstrap, estimate(&data).unwrap())
        );
    }

    #[test]
    fn few_values_and_equal_values() {
        assert_eq!(estimate(&[]), None);
        assert_eq!(estimate(&[1.0, f64::NAN]), None);
        assert_eq!(estimate(&[3.0]).unwrap().interval, None);
        assert_eq!(estimate(&[2.0; 12]).unwrap().interval, Some((2.0, 2.0)));
        assert_eq!(estimate(&[2.0; 3]).unwrap().interval, Some((2.0, 2.0)));
    }

    /// A t interval covers the true mean in 95 % of samples of 5 normal values; the bootstrap of 12
    /// values covers it slightly less often, as is known.
    #[test]
    fn intervals_cover() {
        for (n, least, most) in [(5, 0.935, 0.965), (12, 0.89, 0.96)] {
            let runs = if n < 10 { 4000 } else { 300 };
            let covered = (0..runs)
                .filter(|i| {
                    let mut rng = Key::new(*i).rng();
                    let sample: Vec<f64> = (0..n)
                        .map(|_| largebatch_random::normal(&mut rng))
                        .collect();
                    let (low, high) = estimate(&sample).unwrap().interval.unwrap();
                    low <= 0.0 && 0.0 <= high
                })
                .count() as f64
                / runs as f64;
            assert!((least..most).contains(&covered), "n = {n}: {covered}");
        }
    }

    #[test]
    fn pairs_cancel_what_they_share() {
        let noise = [0.3, -0.5, 0.2, 0.9];
        let a: Vec<(u64, f64)> = noise
            .iter()
            .enumerate()
            .map(|(i, x)| (i as u64, x + 1.0))
            .collect();
        let b: Vec<(u64, f64)> = noise
            .iter()
            .enumerate()
            .rev()
            .map(|(i, x)| (i as u64, *x))
            .chain([(9, 5.0)])
            .collect();
        let p = paired(&a, &b).unwrap();
        assert!(
            (p.difference.mean - 1.0).abs() < 1e-15 && p.difference.sd < 1e-15 && p.unmatched == 1
        );
        assert!(smallest_difference(&p).unwrap() < 1e-14);
        assert_eq!(paired(&a, &[(77, 1.0)]), None);
        // t(0.975, 3) = 3.182446; s = 1 for the differences -1, -1, 1, 1 is √(4/3).
        let zero: Vec<(u64, f64)> = (0..4).map(|i| (i, 0.0)).collect();
        let p = paired(&[(0, -1.0), (1, -1.0), (2, 1.0), (3, 1.0)], &zero).unwrap();
        assert!(
            (smallest_difference(&p).unwrap() - 3.182446305284263 * (4.0f64 / 3.0).sqrt() / 2.0)
                .abs()
                < 1e-9
        );
        assert!((binomial_error(0.98, 10_000) - 0.0014).abs() < 1e-15);
    }

    /// McNemar's exact binomial test on discordant examples that are all on one side: 6 is the
    /// first number that it distinguishes from chance.
    #[test]
    fn a_test_part_shows_no_less_than_six_examples() {
        let p = |discordant: i32| 2.0 * 0.5f64.powi(discordant);
        assert!(p(6) < 0.05 && p(5) > 0.05);
        assert_eq!(
            (
                smallest_shown(360),
                smallest_shown(10_000),
                smallest_shown(3),
                smallest_shown(0)
            ),
            (6.0 / 360.0, 6e-4, 1.0, 1.0)
        );
        let equal: Vec<(u64, f64)> = (0..5).map(|i| (i, 0.95)).collect();
        let p = paired(&equal, &equal).unwrap();
        assert_eq!(
            (
                smallest_difference(&p),
                smallest_resolved(&p, Some(20)),
                smallest_resolved(&p, None)
            ),
            (Some(0.0), Some(0.3), Some(0.0))
        );
        let spread: Vec<(u64, f64)> = (0..4).map(|i| (i, 0.9 + 0.1 * (i % 2) as f64)).collect();
        let p = paired(&spread, &equal).unwrap();
        assert_eq!(
            smallest_resolved(&p, Some(10_000)),
            smallest_difference(&p),
            "noisy seeds resolve less than the test part"
        );
        assert_eq!(
            smallest_resolved(&paired(&equal[..1], &equal).unwrap(), Some(20)),
            None
        );
    }

    /// Two equally good networks, on 20 examples, each of which separates them with probability
    /// 0.1, and with the same difference for every seed. By the seeds most such differences count
    /// as resolved, by the test part at most 5 %.
    #[test]
    fn equal_networks_seldom_differ_by_what_a_test_part_can_show() {
        let mut rng = Key::new(3).rng();
        let mut difference = || {
            let sides = (0..20).map(|_| i64::from(below(&mut rng, 20)));
            sides
                .map(|side| i64::from(side == 0) - i64::from(side == 1))
                .sum::<i64>() as f64
                / 20.0
        };
        let (mut by_seeds, mut by_both) = (0, 0);
        for _ in 0..2000 {
            let d = difference();
            let zero: Vec<(u64, f64)> = (0..3).map(|i| (i, 0.0)).collect();
            let p = paired(
                &zero.iter().map(|(i, _)| (*i, d)).collect::<Vec<_>>(),
                &zero,
            )
            .unwrap();
            by_seeds += usize::from(d != 0.0 && d.abs() >= smallest_difference(&p).unwrap());
            by_both += usize::from(d.abs() >= smallest_resolved(&p, Some(20)).unwrap());
        }
        assert!(by_seeds > 1000 && by_both < 100, "{by_seeds} {by_both}");
    }

    /// The ranks of the textbook table for the median's 95 % interval.
    #[test]
    fn a_median_lies_between_two_of_its_values() {
        for (n, low) in [
            (1, 1),
            (3, 1),
            (6, 1),
            (8, 1),
            (9, 2),
            (11, 2),
            (12, 3),
            (20, 6),
            (30, 10),
        ] {
            let values: Vec<f64> = (1..=n).rev().map(f64::from).collect();
            let high = f64::from(n + 1 - low);
            let median = f64::from(n + 1) / 2.0;
            assert_eq!(
                median_interval(&values),
                Some((median, f64::from(low), high)),
                "n = {n}"
            );
        }
        assert_eq!(median_interval(&[]), None);
    }
}
