//! Sharpness: how much the loss can grow near a point, in Keskar's box, SAM's ball and the adaptive
//! ball.
//!
//! **Caveat** (Dinh, Pascanu, Bengio and Bengio 2017, arXiv 1703.04933): the box and the plain ball
//! measure a parametrization, not a function. A ReLU network computes the same function if one
//! layer is multiplied by α > 0 and the next divided by it, but its sharpness by [`keskar`] and
//! [`ball`] can then take almost any value. Use them to compare runs of the same model, trained in
//! the same way. [`adaptive`] does not change under such a rescaling.

mod probe;

use largebatch_random::Key;
use serde::{Deserialize, Serialize};

use crate::lbfgsb::{Ended, LbfgsB};
use crate::subspace::Signs;
use crate::vector::norm;
use crate::{Objective, ProbeError, Watch};

pub use probe::{BatchNorm, SharpnessOptions};

/// The space in which the loss is maximized.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Space {
    /// All parameters: A = I.
    Full,
    /// The span of `directions` linearly independent random directions, drawn from the seed of the
    /// measurement.
    Random {
        /// p, the number of directions.
        directions: usize,
    },
}

/// Keskar's sharpness and the numbers it was computed from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Keskar {
    /// The space.
    pub space: Space,
    /// Size ε of the box, above 0.
    pub epsilon: f64,
    /// The loss f(x) at the point itself.
    pub loss: f64,
    /// The largest loss found in the box.
    pub highest: f64,
    /// Sharpness φ = 100 (highest − f(x)) / (1 + f(x)).
    pub sharpness: f64,
    /// Iterations of L-BFGS-B.
    pub iterations: usize,
    /// Evaluations of loss and gradient.
    pub evaluations: usize,
    /// Why the maximization ended.
    pub ended: Ended,
}

impl Keskar {
    /// Whether the caller stopped it before the last iteration.
    pub fn interrupted(&self) -> bool {
        self.ended == Ended::Interrupted
    }
}

/// All sharpness measures of a run; those that were not measured are absent.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Sharpness {
    /// Whether batch norm used the statistics of each batch, as in training, or frozen ones; `null`
    /// without batch norm.
    pub batch_statistics: Option<bool>,
    /// Keskar's sharpness, for each ε and space.
    pub boxes: Vec<Keskar>,
    /// The rise of the loss in SAM's ball.
    pub ball: Option<Ball>,
    /// The rise of the loss in the adaptive ball.
    pub adaptive: Option<Ball>,
}

/// The number of iterations of L-BFGS-B in the paper.
pub const ITERATIONS: usize = 10;

/// Keskar's sharpness (Keskar, Mudigere, Nocedal, Smelyanskiy and Tang 2017, arXiv 1609.04836, equation 3):
///
/// φ(ε, A) = 100 · (max_{y ∈ C} f(x + A y) − f(x)) / (1 + f(x)), C = {y : |y_i| ≤ ε (|(A⁺x)_i| + 1)},
///
/// with A = I for [`Space::Full`], or an n × p matrix of random signs. As in the paper, the maximum
/// is the result of `iterations` = 10 iterations of L-BFGS-B from y = 0: a lower bound, which rises
/// with more iterations. The search ends earlier at a corner of the box, at a gradient of zero (the
/// sharpness is then 0), or after three evaluations per iteration on average. The paper does not
/// say how the entries of A are drawn. With signs, A y moves each weight by up to p ε (|y_j| + 1),
/// so the random box is not part of the full one, and the two numbers cannot be compared with each
/// other.
///
/// Cost: one gradient evaluation, and one to three for each iteration.
///
/// # Errors
/// ε that is not positive and finite, no directions or more than there are parameters, a loss that
/// is not finite, and the objective's own errors.
pub fn keskar(
    objective: &mut dyn Objective,
    x: &[f64],
    space: Space,
    epsilon: f64,
    iterations: usize,
    seed: u64,
    watch: Watch<'_>,
) -> Result<Keskar, ProbeError> {
    if !(epsilon > 0.0 && epsilon.is_finite()) {
        let why = "the box's size must be a positive number, such as 1e-3";
        return Err(ProbeError::value("epsilon", epsilon, why));
    }
    finite(x)?;
    let signs = match space {
        Space::Full => None,
        Space::Random { directions } if directions == 0 || directions > x.len() => {
            let why = format!(
                "a subspace of {} parameters can have 1 to {} directions",
                x.len(),
                x.len()
            );
            return Err(ProbeError::value("directions", directions, why));
        }
        Space::Random { directions } => Some(Signs::new(
            x.len(),
            directions,
            Key::new(seed).word("sharpness"),
        )),
    };
    let centre = match &signs {
        None => x.to_vec(),
        Some(signs) => signs.pseudo_inverse(x),
    };
    let upper: Vec<f64> = centre.iter().map(|c| epsilon * (c.abs() + 1.0)).collect();
    let lower: Vec<f64> = upper.iter().map(|u| -u).collect();
    let mut base = None;
    let negated = |y: &[f64]| {
        let at: Vec<f64> = match &signs {
            None => x.iter().zip(y).map(|(x, y)| x + y).collect(),
            Some(signs) => signs.shift(x, y),
        };
        let (loss, gradient) = objective.gradient(&at)?;
        if base.is_none() && !(loss.is_finite() && gradient.iter().all(|g| g.is_finite())) {
            let what = "loss or its gradient";
            return Err(ProbeError::NotFinite { what, value: loss });
        }
        base.get_or_insert(loss);
        let gradient = match &signs {
            None => gradient,
            Some(signs) => signs.transposed(&gradient),
        };
        Ok((-loss, gradient.into_iter().map(|g| -g).collect()))
    };
    let method = LbfgsB {
        iterations,
        evaluations: 3 * iterations,
        gradient: 0.0,
        decrease: 0.0,
        ..LbfgsB::default()
    };
    let start = vec![0.0; upper.len()];
    let minimum = method.minimize(negated, &start, [&lower, &upper], watch)?;
    let (loss, highest) = (base.unwrap_or(-minimum.value), -minimum.value);
    Ok(Keskar {
        space,
        epsilon,
        loss,
        highest,
        sharpness: 100.0 * (highest - loss) / (1.0 + loss),
        iterations: minimum.iterations,
        evaluations: minimum.evaluations,
        ended: minimum.ended,
    })
}

/// The rise of the loss within a ball.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Ball {
    /// Radius ρ of the ball, above 0.
    pub radius: f64,
    /// The loss f(x) at the point itself.
    pub loss: f64,
    /// The loss after the first step only, at x + ρ T² g / ‖T g‖, as in one step of SAM.
    pub first: f64,
    /// The largest loss found in the ball.
    pub highest: f64,
    /// The rise of the loss, `highest` − f(x).
    pub rise: f64,
    /// Evaluations of loss and gradient.
    pub evaluations: usize,
    /// Whether the caller stopped it before the last step.
    pub interrupted: bool,
}

/// The sharpness that SAM minimizes (Foret, Kleiner, Mobahi and Neyshabur 2021, arXiv 2010.01412):
/// max f(x + y) − f(x) over ‖y‖₂ ≤ ρ.
///
/// SAM takes y = ρ g/‖g‖, whose loss is reported as `first`. From there this function repeats y ← ρ
/// g(x + y)/‖g(x + y)‖, `steps` steps in all (Journée, Nesterov, Richtárik and Sepulchre 2010: each
/// step raises a convex f), and reports the highest loss it meets: a lower bound of the maximum.
///
/// Cost: `steps` + 1 gradient evaluations.
///
/// # Errors
/// A radius that is not positive and finite, no steps, a loss that is not finite, and the objective's own errors.
pub fn ball(
    objective: &mut dyn Objective,
    x: &[f64],
    radius: f64,
    steps: usize,
    watch: Watch<'_>,
) -> Result<Ball, ProbeError> {
    ascend(objective, x, None, radius, steps, watch)
}

/// Adaptive sharpness (Kwon, Kim, Park and Choi 2021, arXiv 2102.11600): max f(x + y) − f(x) over ‖T⁻¹ y‖₂ ≤ ρ with T = diag(|x|).
///
/// Each weight moves in proportion to its size. Multiplying one layer of a ReLU network and
/// dividing the next, which does not change its function, therefore does not change this sharpness
/// either. A weight of 0 does not move. The paper's programs leave biases unscaled and add 0.01 to
/// T, which breaks the invariance; this function does neither.
///
/// Cost: `steps` + 1 gradient evaluations, with the steps of [`ball`]: y ← ρ T² g / ‖T g‖.
///
/// # Errors
/// As for [`ball`].
pub fn adaptive(
    objective: &mut dyn Objective,
    x: &[f64],
    radius: f64,
    steps: usize,
    watch: Watch<'_>,
) -> Result<Ball, ProbeError> {
    let scale: Vec<f64> = x.iter().map(|x| x.abs()).collect();
    ascend(objective, x, Some(&scale), radius, steps, watch)
}

fn ascend(
    objective: &mut dyn Objective,
    x: &[f64],
    scale: Option<&[f64]>,
    radius: f64,
    steps: usize,
    watch: Watch<'_>,
) -> Result<Ball, ProbeError> {
    if !(radius > 0.0 && radius.is_finite()) {
        let why = "the ball's radius must be a positive number, such as 0.05";
        return Err(ProbeError::value("radius", radius, why));
    }
    finite(x)?;
    if steps == 0 {
        let why = "the ascent needs at least 1 step";
        return Err(ProbeError::value("steps", 0, why));
    }
    let (loss, mut gradient) = objective.gradient(x)?;
    if !loss.is_finite() {
        return Err(ProbeError::NotFinite {
            what: "loss",
            value: loss,
        });
    }
    let mut result = Ball {
        radius,
        loss,
        first: loss,
        highest: loss,
        rise: 0.0,
        evaluations: 1,
        interrupted: false,
    };
    for step in 0..steps {
        if !watch(step as u64, steps as u64) {
            result.interrupted = true;
            break;
        }
        let scaled: Vec<f64> = match scale {
            None => gradient,
            Some(scale) => gradient.iter().zip(scale).map(|(g, t)| g * t).collect(),
        };
        let length = norm(&scaled);
        if !(length > 0.0 && length.is_finite()) {
            break;
        }
        let shift = |i: usize| radius / length * scaled[i] * scale.map_or(1.0, |t| t[i]);
        let at: Vec<f64> = x.iter().enumerate().map(|(i, x)| x + shift(i)).collect();
        let value;
        (value, gradient) = objective.gradient(&at)?;
        result.evaluations += 1;
        if !value.is_finite() {
            break;
        }
        if step == 0 {
            result.first = value;
        }
        result.highest = result.highest.max(value);
    }
    result.rise = result.highest - loss;
    Ok(result)
}

fn finite(x: &[f64]) -> Result<(), ProbeError> {
    match x.iter().find(|x| !x.is_finite()) {
        Some(&value) => Err(ProbeError::NotFinite {
            what: "weight at the point to measure",
            value,
        }),
        None => Ok(()),
    }
}
