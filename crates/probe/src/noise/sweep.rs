//! How the gradient's variance falls with the batch size.

use largebatch_random::{Key, below};
use largebatch_train::nullable;
use serde::{Deserialize, Serialize};

use super::ratio::t95;
use crate::vector::dot;
use crate::{Examples, ProbeError, Watch};

/// The batches of one size.
#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize)]
pub struct BatchPoint {
    /// The batch size B.
    pub batch: usize,
    /// The mean of |g_B − G|² over the batches drawn.
    #[serde(with = "nullable")]
    pub variance: f64,
    /// Its standard error.
    #[serde(with = "nullable")]
    pub error: f64,
    /// The theoretical value: σ²/B, times (N − B)/(N − 1) without replacement, with σ² = (1/N) Σ
    /// |gᵢ − G|².
    #[serde(with = "nullable")]
    pub predicted: f64,
}

/// The variance at several batch sizes, and the power law fitted to it.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct Sweep {
    /// One point for each batch size.
    pub points: Vec<BatchPoint>,
    /// Exponent p of the fit variance ∝ Bᵖ; in theory −1. Without replacement, the variance is
    /// first divided by (N − B)/(N − 1).
    pub exponent: Option<f64>,
    /// Its standard error.
    pub exponent_error: Option<f64>,
}

/// How far the mean of mini-batch gradients is from the full gradient.
#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize)]
pub struct Bias {
    /// Number of mini-batches, of all sizes, drawn with replacement.
    pub batches: usize,
    /// Mean of ⟨g_B, G⟩/|G|² − 1: 0 for an unbiased gradient.
    #[serde(with = "nullable")]
    pub along: f64,
    /// Its standard error.
    #[serde(with = "nullable")]
    pub along_error: f64,
    /// Whether the 95 % interval of the bias contains 0.
    pub is_consistent: bool,
}

/// The exact mean and variance of the population from which batches are drawn.
pub(super) struct Population<'a> {
    pub w: &'a [f64],
    pub gradient: &'a [f64],
    /// σ² = (1/N) Σ |gᵢ − G|².
    pub variance: f64,
}

/// The cost of a sweep, in passes of single examples.
pub(super) fn cost(n: usize, sizes: &[usize], replicates: usize) -> u64 {
    sizes
        .iter()
        .map(|b| (b * draws(n, *b, replicates)) as u64)
        .sum()
}

/// The examples of one batch.
fn draw(n: usize, batch: usize, replace: bool, key: Key) -> Vec<usize> {
    if replace {
        let mut rng = key.rng();
        return (0..batch)
            .map(|_| below(&mut rng, n as u32) as usize)
            .collect();
    }
    key.permutation(n)[..batch]
        .iter()
        .map(|&i| i as usize)
        .collect()
}

/// The number of batches drawn of one size: at least `replicates`, and for small batches enough to
/// contain as many examples as the data set. The noise has heavy tails (a few hard examples cause
/// most of it), which too few small batches would miss.
pub(super) fn draws(n: usize, batch: usize, replicates: usize) -> usize {
    replicates.max(n / batch)
}

/// Measures batches of each size. Also returns their biases along the gradient, and false if it was
/// interrupted.
pub(super) fn sweep(
    objective: &mut impl Examples,
    population: &Population<'_>,
    sizes: &[usize],
    replicates: usize,
    replace: bool,
    key: Key,
    watch: Watch,
) -> Result<(Sweep, Vec<f64>, bool), ProbeError> {
    let n = objective.count();
    let square = dot(population.gradient, population.gradient);
    let all = cost(n, sizes, replicates);
    let (mut found, mut along) = (Sweep::default(), Vec::new());
    let (mut done, mut proceed) = (0, true);
    'sizes: for &batch in sizes {
        let count = draws(n, batch, replicates);
        let mut samples = Vec::new();
        for i in 0..count {
            let places = draw(n, batch, replace, key.number(batch as u64).number(i as u64));
            let (_, mut g) = objective.batch_gradient(population.w, &places)?;
            along.push(dot(&g, population.gradient) / square - 1.0);
            g.iter_mut()
                .zip(population.gradient)
                .for_each(|(g, m)| *g -= m);
            samples.push(dot(&g, &g));
            done += batch as u64;
            proceed = watch(done, all);
            if !proceed {
                break 'sizes;
            }
        }
        let m = samples.len() as f64;
        let mean = samples.iter().sum::<f64>() / m;
        let spread = samples.iter().map(|s| (s - mean).powi(2)).sum::<f64>() / (m - 1.0) / m;
        let predicted = population.variance / batch as f64 * correction(n, batch, replace);
        found.points.push(BatchPoint {
            batch,
            variance: mean,
            error: spread.sqrt(),
            predicted,
        });
    }
    if let Some((exponent, error)) = power(&found.points, |p| correction(n, p.batch, replace)) {
        (found.exponent, found.exponent_error) = (Some(exponent), Some(error));
    }
    Ok((found, along, proceed))
}

/// (N − B)/(N − 1) without replacement, else 1.
fn correction(n: usize, batch: usize, replace: bool) -> f64 {
    if replace {
        1.0
    } else {
        (n - batch) as f64 / (n as f64 - 1.0)
    }
}

/// The slope of ln(variance/correction) over ln(batch), and its standard error, from the errors of
/// the points.
///
/// All points have the same weight. In a heavy-tailed sample, a variance that is too low comes with
/// a standard error that is too low, so weights from the errors would favor such points.
fn power(points: &[BatchPoint], correction: impl Fn(&BatchPoint) -> f64) -> Option<(f64, f64)> {
    let rows: Vec<(f64, f64, f64)> = points
        .iter()
        .filter(|p| p.variance > 0.0 && p.error > 0.0)
        .map(|p| {
            (
                (p.batch as f64).ln(),
                (p.variance / correction(p)).ln(),
                p.error / p.variance,
            )
        })
        .collect();
    if rows.len() < 3 {
        return None;
    }
    let count = rows.len() as f64;
    let mx = rows.iter().map(|r| r.0).sum::<f64>() / count;
    let xx: f64 = rows.iter().map(|r| (r.0 - mx).powi(2)).sum();
    let slope = rows.iter().map(|r| (r.0 - mx) * r.1).sum::<f64>() / xx;
    let error = rows
        .iter()
        .map(|r| ((r.0 - mx) / xx * r.2).powi(2))
        .sum::<f64>()
        .sqrt();
    Some((slope, error))
}

/// Estimates the bias from its samples.
pub(super) fn bias(along: &[f64]) -> Option<Bias> {
    if along.len() < 2 {
        return None;
    }
    let n = along.len() as f64;
    let mean = along.iter().sum::<f64>() / n;
    let error = (along.iter().map(|a| (a - mean).powi(2)).sum::<f64>() / (n - 1.0) / n).sqrt();
    Some(Bias {
        batches: along.len(),
        along: mean,
        along_error: error,
        is_consistent: mean.abs() <= t95(n - 1.0) * error,
    })
}
