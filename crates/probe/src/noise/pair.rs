//! The noise scale from gradients at two batch sizes.

use largebatch_train::{SquaredNorms, nullable};
use serde::{Deserialize, Serialize};

use super::ratio::{Interval, fieller};

/// |G|² and tr Σ from the squared norms of a gradient over b examples and of one over B > b: both are unbiased (McCandlish et al. 2018, arXiv
/// 1812.06162, appendix A.1).
///
/// |G|² = (B |g_B|² − b |g_b|²)/(B − b), tr Σ = (|g_b|² − |g_B|²)/(1/b − 1/B). Single pairs are noisy, and |G|² may come out negative: average
/// each over many, then divide.
pub fn pair(small: f64, small_square: f64, big: f64, big_square: f64) -> (f64, f64) {
    let gradient_square = (big * big_square - small * small_square) / (big - small);
    let trace = (small_square - big_square) / (1.0 / small - 1.0 / big);
    (gradient_square, trace)
}

/// B_simple from the gradients that accumulation computes anyway: of each step, the mean squared norm of its micro-batches' gradients and the
/// squared norm of their mean.
///
/// Where the examples of a batch are drawn with replacement, what it estimates is tr Σ/|G|² of the data set. A training draws without: tr Σ is the same
/// then, with the divisor N − 1, and |G|² comes out less tr Σ/N, which is that of the population that the set is a sample of. The steps count as
/// independent. While the weights move, numerator and denominator are means over the steps.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct Pairs {
    /// tr Σ and |G|² of each step.
    samples: Vec<(f64, f64)>,
}

/// What [`Pairs`] come to.
#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize)]
pub struct PairNoise {
    /// How many steps.
    pub steps: usize,
    /// |G|², unbiased.
    #[serde(with = "nullable")]
    pub gradient_square: f64,
    /// tr Σ, unbiased.
    #[serde(with = "nullable")]
    pub trace: f64,
    /// tr Σ / |G|²; absent where |G|² came out at 0 or below: too few steps for so much noise.
    pub b_simple: Option<f64>,
    /// Its 95 % interval by Fieller's theorem; absent with fewer than 3 steps.
    pub interval: Option<Interval>,
}

impl Pairs {
    /// Adds a step: `small_square` is the mean of |g|² over its micro-batches of `small` examples each (their harmonic mean, where they differ),
    /// `big_square` that of the gradient over all `big` of them.
    pub fn push(&mut self, small: f64, small_square: f64, big: f64, big_square: f64) {
        let (gradient_square, trace) = pair(small, small_square, big, big_square);
        self.samples.push((trace, gradient_square));
    }

    /// Adds a step of a training that accumulates.
    pub fn add(&mut self, norms: &SquaredNorms) {
        let count = norms.parts.len() as f64;
        // E|g_b|² = |G|² + tr Σ/b: the mean over micro-batches of different sizes has the mean of 1/b.
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
