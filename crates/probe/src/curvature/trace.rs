//! Estimates of the trace from random vectors.

use largebatch_random::Key;
use largebatch_train::nullable;
use serde::{Deserialize, Serialize};

use super::operator::Operator;
use crate::vector::{axpy, dot, norm, scale, signs};
use crate::{ProbeError, Watch};

/// An estimate and its standard error.
#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize)]
pub struct Estimate {
    /// The estimate.
    #[serde(with = "nullable")]
    pub value: f64,
    /// Its standard error; absent for a single sample.
    pub error: Option<f64>,
    /// Number of products with the operator.
    pub products: u64,
}

fn mean(samples: &[f64], offset: f64, products: u64) -> Estimate {
    let n = samples.len() as f64;
    let mean = samples.iter().sum::<f64>() / n;
    let square = samples.iter().map(|x| (x - mean).powi(2)).sum::<f64>();
    Estimate {
        value: offset + mean,
        error: (samples.len() > 1).then(|| (square / (n - 1.0) / n).sqrt()),
        products,
    }
}

/// Estimates tr A as the mean of zᵀAz over `samples` vectors z of random signs (Hutchinson 1990).
/// The variance of one sample is 2 (‖A‖²_F − Σ aᵢᵢ²). An interruption keeps the samples so far.
///
/// # Errors
/// No samples; errors of the operator.
pub fn hutchinson(
    operator: &mut impl Operator,
    samples: usize,
    key: Key,
    watch: Watch,
) -> Result<Estimate, ProbeError> {
    if samples == 0 {
        let why = "a trace needs at least one sample";
        return Err(ProbeError::value("samples", 0, why));
    }
    let mut found = Vec::new();
    for i in 0..samples {
        let z = signs(operator.dim(), key.number(i as u64));
        found.push(dot(&z, &operator.apply(&z)?));
        if !watch(i as u64 + 1, samples as u64) {
            break;
        }
    }
    Ok(mean(&found, 0.0, found.len() as u64))
}

/// Estimates tr A by Hutch++ (Meyer, Musco, Musco and Woodruff 2021, arXiv 2010.09649, algorithm
/// 1). The first third of the `products` finds a basis Q of the large eigenvectors, the second
/// computes their part tr QᵀAQ exactly, and the last samples the rest as [`hutchinson`] does. For a
/// spectrum with a few large eigenvalues, as a network has, the error falls as 1/m instead of 1/√m.
/// The memory is 8·d·m/3 bytes.
///
/// `None` if it is interrupted before the last third, because a part of the trace is not an
/// estimate of it.
///
/// # Errors
/// Fewer than 3 products; errors of the operator.
pub fn hutch_plus_plus(
    operator: &mut impl Operator,
    products: usize,
    key: Key,
    watch: Watch,
) -> Result<Option<Estimate>, ProbeError> {
    if products < 3 {
        let why = "Hutch++ needs at least 3 products";
        return Err(ProbeError::value("samples", products, why));
    }
    let third = products / 3;
    let d = operator.dim();
    let (mut done, all) = (0, 3 * third as u64);
    let mut tick = || {
        done += 1;
        watch(done, all)
    };
    let mut q: Vec<Vec<f64>> = Vec::new();
    for i in 0..third.min(d) {
        let mut v = operator.apply(&signs(d, key.word("sketch").number(i as u64)))?;
        let before = norm(&v);
        for _ in 0..2 {
            project_out(&q, &mut v);
        }
        let length = norm(&v);
        // A vector that is already in the space adds nothing.
        if length > 1e-10 * before {
            scale(1.0 / length, &mut v);
            q.push(v);
        }
        if !tick() {
            return Ok(None);
        }
    }
    let mut large = 0.0;
    for v in &q {
        large += dot(v, &operator.apply(v)?);
        if !tick() {
            return Ok(None);
        }
    }
    if q.len() == d {
        return Ok(Some(Estimate {
            value: large,
            error: Some(0.0),
            products: done,
        }));
    }
    let mut rest = Vec::new();
    for i in 0..third {
        let mut z = signs(d, key.word("rest").number(i as u64));
        project_out(&q, &mut z);
        rest.push(dot(&z, &operator.apply(&z)?));
        if !tick() {
            break;
        }
    }
    Ok(Some(mean(&rest, large, done)))
}

fn project_out(basis: &[Vec<f64>], v: &mut [f64]) {
    for b in basis {
        let c = dot(b, v);
        axpy(-c, b, v);
    }
}
