//! The spectral density by stochastic Lanczos quadrature.

use largebatch_random::Key;
use largebatch_train::nullable;
use serde::{Deserialize, Serialize};

use super::lanczos::Krylov;
use super::operator::Operator;
use crate::vector::gaussian;
use crate::{ProbeError, Watch};

/// The spectral density φ(t) = (1/d) Σ δ(t − λᵢ), as point masses.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct Density {
    /// The positions of the masses, in increasing order.
    #[serde(with = "nullable")]
    pub nodes: Vec<f64>,
    /// The masses; they sum to 1.
    #[serde(with = "nullable")]
    pub weights: Vec<f64>,
    /// Number of random vectors used.
    #[serde(rename = "probes")]
    pub vectors: usize,
    /// Number of Lanczos steps for each.
    pub steps: usize,
}

impl Density {
    /// ∫ f dφ = tr f(A) / d.
    pub fn integral(&self, f: impl Fn(f64) -> f64) -> f64 {
        self.nodes
            .iter()
            .zip(&self.weights)
            .map(|(t, w)| w * f(*t))
            .sum()
    }

    /// The density smoothed by a Gaussian of standard deviation `sigma`, at each of `at`.
    pub fn smoothed(&self, sigma: f64, at: &[f64]) -> Vec<f64> {
        let bell = |x: f64| {
            (-0.5 * (x / sigma).powi(2)).exp() / (sigma * (2.0 * std::f64::consts::PI).sqrt())
        };
        at.iter()
            .map(|&t| self.integral(|node| bell(t - node)))
            .collect()
    }
}

/// Estimates the spectral density: the mean over `vectors` Gaussian vectors v of the measure with
/// moments vᵀAᵖv / vᵀv (Golub and Welsch 1969; Lin, Saad and Yang 2016, arXiv 1308.5467; for
/// networks Ghorbani, Krishnan and Xiao 2019, arXiv 1901.10159). `steps` Lanczos steps give the
/// first 2·steps − 1 moments of each measure exactly, so only the choice of v is random.
///
/// Cost: `vectors · steps` products.
///
/// # Errors
/// No vectors or no steps; errors of the operator.
pub fn density(
    operator: &mut impl Operator,
    vectors: usize,
    steps: usize,
    key: Key,
    watch: Watch,
) -> Result<Density, ProbeError> {
    let d = operator.dim();
    quadrature(
        operator,
        (0..vectors).map(|i| gaussian(d, key.number(i as u64))),
        steps,
        watch,
    )
}

/// The same for given vectors: for a complete orthonormal basis, the density is exact.
///
/// # Errors
/// No vectors or no steps; errors of the operator.
pub fn quadrature(
    operator: &mut impl Operator,
    starts: impl ExactSizeIterator<Item = Vec<f64>>,
    steps: usize,
    watch: Watch,
) -> Result<Density, ProbeError> {
    if starts.len() == 0 || steps == 0 {
        let why = "the density needs at least one vector and one step";
        return Err(ProbeError::value("density", starts.len().min(steps), why));
    }
    let steps = steps.min(operator.dim());
    let all = (starts.len() * steps) as u64;
    let (mut masses, mut used, mut done) = (Vec::new(), 0, 0);
    'vectors: for start in starts {
        let mut space = Krylov::new(start);
        loop {
            let proceed = space.step(operator)?;
            done += 1;
            if !watch(done, all) {
                // A measure from fewer steps would be a different one, so only finished ones are
                // kept.
                if used == 0 {
                    break;
                }
                break 'vectors;
            }
            if !proceed || space.alpha.len() == steps {
                break;
            }
        }
        let (values, vectors) = space.ritz();
        masses.extend(
            values
                .into_iter()
                .zip(vectors)
                .map(|(t, s)| (t, s[0] * s[0])),
        );
        used += 1;
    }
    masses.sort_by(|a, b| a.0.total_cmp(&b.0));
    Ok(Density {
        nodes: masses.iter().map(|m| m.0).collect(),
        weights: masses.iter().map(|m| m.1 / used as f64).collect(),
        vectors: used,
        steps,
    })
}
