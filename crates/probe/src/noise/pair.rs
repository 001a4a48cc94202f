//! The noise scale from gradients at two batch sizes.

use largebatch_train::{SquaredNorms, nullable};
use serde::{Deserialize, Serialize};

use super::ratio::{Interval, fieller};

/// Unbiased estimates of |G|² and tr Σ from the squared norms of a gradient over b examples and of
/// one over B > b (McCandlish et al. 2018, arXiv 1812.06162, appendix A.1).
///
/// |G|² = (B |g_B|² − b |g_b|²)/(B − b), tr Σ = (|g_b|² − |g_B|²)/(1/b − 1/B). A single pair is
/// noisy, and its |G|² may be negative: average both over many pairs, then divide.
pub fn pair(small: f64, small_square: f64, big: f64, big_square: f64) -> (f64, f64) {
    let gradient_square = (big * big_square - small * small_square) / (big - small);
    let trace = (small_square - big_square) / (1.0 / small - 1.0 / big);
    (gradient_square, trace)
}

/// B_simple from the gradients that accumulation computes anyway: for each step, the mean squared
/// norm of its micro-batches' gradients, and the squared norm of their mean.
///
/// If batches are drawn with replacement, this estimates tr Σ/|G|² of the data set. Training draws
/// without replacement: tr Σ is then the same, with the divisor N − 1, and |G|² is smaller by tr
/// Σ/N, so the estimate is that of the population from which the data set is a sample. The steps
/// count as independent. While the weights move, numerator and denominator are means over the
/// steps.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct Pairs {
    /// tr Σ and |G|² of each step.
    samples: Vec<(f64, f64)>,
}

/// The result of [`Pairs`].
#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize)]
pub struct PairNoise {
    /// Number of steps.
    pub steps: usize,
    /// Unbiased estimate of |G|².
    #[serde(with = "nullable")]
    pub gradient_square: f64,
    /// Unbiased estimate of tr Σ.
    #[serde(with = "nullable")]
    pub trace: f64,
    /// Noise scale tr Σ / |G|²; absent if the estimate of |G|² is 0 or below: there are too few
    /// steps for this much noise.
    pub b_simple: Option<f64>,
    /// Its 95 % interval by Fieller's theorem; absent with fewer than 3 steps.
    pub interval: Option<Interval>,
}

impl Pairs {
    /// Adds a step: `small_square` is the mean of |g|² over its micro-batches of `small` examples
    /// each (the harmonic mean of their sizes if they differ), and `big_square` is |g|² over all
    /// its `big` examples.
    pub fn push(&mut self, small: f64, small_square: f64, big: f64, big_square: f64) {
        let (gradient_square, trace) = pair(small, small_square, big, big_square);
        self.samples.push((trace, gradient_square));
    }

    /// Adds a step of a training run that accumulates gradients.
    pub fn add(&mut self, norms: &SquaredNorms) {
        let count = norms.parts.len() as f64;
        // E|g_b|² = |G|² + tr Σ/b: for micro-batches of different sizes, the mean of 1/b matters.
        let small = count
            / norms
                .parts
                .iter()
                .map(|(b, _)| 1.0 / *b as f64)
                .sum::<f64>();
        let square = norms.parts.iter().map(|p| p.1).sum::<f64>() / count;
        self.push(
            small,
            square,
            norms.parts.iter().map(|p| p.0 as f64).sum(),
            norms.whole,
        );
    }

    /// B_simple over the steps so far; `None` before the first.
    pub fn noise(&self) -> Option<PairNoise> {
        if self.samples.is_empty() {
            return None;
        }
        let n = self.samples.len() as f64;
        let trace = self.samples.iter().map(|s| s.0).sum::<f64>() / n;
        let gradient_square = self.samples.iter().map(|s| s.1).sum::<f64>() / n;
        let b_simple = (gradient_square > 0.0).then(|| trace / gradient_square);
        Some(PairNoise {
            steps: self.samples.len(),
            gradient_square,
            trace,
            b_simple,
            interval: fieller(&self.samples),
        })
    }
}
