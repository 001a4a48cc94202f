//! The loss along the straight line through the weights of two runs.

mod probe;

use largebatch_train::{Experiment, RunConfig, nullable};
use serde::{Deserialize, Serialize};

use crate::landscape::{Height, Landscape, State, Statistics};
use crate::vector::{dot, norm, plus};
use crate::{ProbeError, Watch};

pub use probe::LineOptions;

/// A point on the line.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct LinePoint {
    /// α: 0 at the first run's weights, 1 at the second's.
    pub alpha: f64,
    /// Loss and accuracy over the training examples.
    pub train: Height,
    /// Loss and accuracy over the test part, if requested.
    pub test: Option<Height>,
}

/// Distances between the initial and final weights of two runs.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Distances {
    /// ‖x_S − x_0‖ between the first run's weights and its initial weights.
    #[serde(with = "nullable")]
    pub small: f64,
    /// ‖x_L − x_0‖, the same for the second run.
    #[serde(with = "nullable")]
    pub large: f64,
    /// ‖x_S − x_0‖ / ‖x_L − x_0‖.
    #[serde(with = "nullable")]
    pub ratio: f64,
    /// ‖x_L − x_S‖, the distance between the two runs' weights.
    #[serde(with = "nullable")]
    pub between: f64,
    /// The cosine of the angle between x_S − x_0 and x_L − x_0, if both runs started at the same
    /// weights.
    pub cosine_of_paths: Option<f64>,
    /// The cosine of the angle between x_S and x_L.
    #[serde(with = "nullable")]
    pub cosine_of_weights: f64,
}

/// The points on the line, and the runs' distances.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Line {
    /// The first run, at α = 0.
    pub small: String,
    /// The second run, at α = 1.
    pub large: String,
    /// Where batch norm's statistics come from; `null` without batch norm.
    pub batch_norm: Option<Statistics>,
    /// The measured points, with increasing α.
    pub points: Vec<LinePoint>,
    /// The distances between the runs' weights.
    pub distances: Distances,
}

impl Distances {
    /// The distances of two runs, each given as its initial and final state. Batch norm's
    /// statistics are not included.
    pub fn of(small: [&State; 2], large: [&State; 2]) -> Self {
        let minus = |a: &State, b: &State| plus(&a.parameters, -1.0, &b.parameters);
        let (s, l) = (minus(small[1], small[0]), minus(large[1], large[0]));
        let cosine = |a: &[f64], b: &[f64]| dot(a, b) / (norm(a) * norm(b));
        Distances {
            small: norm(&s),
            large: norm(&l),
            ratio: norm(&s) / norm(&l),
            between: norm(&minus(large[1], small[1])),
            cosine_of_paths: (small[0].parameters == large[0].parameters).then(|| cosine(&s, &l)),
            cosine_of_weights: cosine(&small[1].parameters, &large[1].parameters),
        }
    }
}

/// Refuses two runs whose weights or losses cannot be compared: they need the same model, data,
/// preprocessing and training part.
///
/// # Errors
/// The first setting that differs.
pub fn comparable(small: &Experiment, large: &Experiment) -> Result<(), ProbeError> {
    type Setting = fn(&RunConfig) -> String;
    let settings: [(&str, Setting); 5] = [
        ("model", |c| c.model.table().to_string()),
        ("dataset", |c| c.dataset.table().to_string()),
        ("data.preprocess", |c| format!("{:?}", c.data.preprocess)),
        ("data.validation", |c| format!("{:?}", c.data.validation)),
        ("split_seed", |c| c.split_seed.to_string()),
    ];
    let both = |(key, of): (_, Setting)| (key, of(&small.config), of(&large.config));
    match settings.map(both).into_iter().find(|(_, s, l)| s != l) {
        Some((key, s, l)) => Err(ProbeError::value(
            key,
            l.trim(),
            format!(
                "the other run has {}; choose two runs with the same value",
                s.trim()
            ),
        )),
        None => Ok(()),
    }
}

/// `count` equally spaced values of α from `from` to `to`, both included. Keskar's figure has 25
/// from −1 to 2.
///
/// # Errors
/// Fewer than two or more than a million values, or a range that is not finite or not increasing.
pub fn alphas(from: f64, to: f64, count: usize) -> Result<Vec<f64>, ProbeError> {
    if count < 2 {
        let why = "a line needs at least 2 points; 25 is usual";
        return Err(ProbeError::value("points", count, why));
    }
    if count > 1_000_000 {
        let why = "a line can have at most 1,000,000 points";
        return Err(ProbeError::value("points", count, why));
    }
    if !(from < to && (to - from).is_finite()) {
        let why = "α must increase, for example from -1 to 2";
        return Err(ProbeError::value("from", format!("{from} to {to}"), why));
    }
    Ok((0..count)
        .map(|i| from + (to - from) * i as f64 / (count - 1) as f64)
        .collect())
}

/// Loss and accuracy at α x_L + (1 − α) x_S (Goodfellow, Vinyals and Saxe 2015, arXiv 1412.6544; Keskar et al. 2017, figure 3).
///
/// `watch` is called before each point; if it returns `false`, the points so far are returned. The
/// batch-norm statistics of the two networks do not fit weights between them, so they are
/// recomputed at each point, unless the landscape interpolates them, which exaggerates the barrier
/// between the runs.
///
/// Caveat: this is one line among many. A barrier on it does not exclude a flat path elsewhere, and
/// Dinh's caveat applies to a wide valley on it (see [`sharpness`](crate::sharpness)).
///
/// Cost: a forward pass over the examples for each point (two if batch norm is recomputed), and one
/// over the test part if requested. No gradients.
///
/// # Errors
/// States of a model other than the landscape's.
pub fn line(
    landscape: &Landscape<'_>,
    small: &State,
    large: &State,
    alphas: &[f64],
    test: bool,
    watch: Watch<'_>,
) -> Result<Vec<LinePoint>, ProbeError> {
    let mut points = Vec::new();
    for (done, &alpha) in alphas.iter().enumerate() {
        if !watch(done as u64, alphas.len() as u64) {
            break;
        }
        let network = landscape.network(&small.towards(large, alpha))?;
        let test = if test {
            Some(landscape.test(&network)?)
        } else {
            None
        };
        points.push(LinePoint {
            alpha,
            train: landscape.train(&network)?,
            test,
        });
    }
    Ok(points)
}
