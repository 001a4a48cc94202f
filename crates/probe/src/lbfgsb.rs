//! L-BFGS-B: a limited-memory quasi-Newton method for a smooth function with a lower and an upper bound on every variable.
//!
//! Written from Byrd, Lu, Nocedal and Zhu, "A limited memory algorithm for bound constrained
//! optimization" (SIAM J. Sci. Comput. 16, 1995), with the step of Morales and Nocedal (ACM TOMS
//! 38, 2011) after the subspace minimization, as in SciPy's `L-BFGS-B`.
//!
//! Each iteration uses the model m(z) = f + gᵀ(z − x) + ½ (z − x)ᵀ B (z − x) with B = θI − W M Wᵀ,
//! W = [Y θS] of the last `memory` pairs. It finds the first local minimum of m along the projected
//! gradient path (the generalized Cauchy point), minimizes m over the variables that are free
//! there, projects that minimizer onto the box, and searches along the line to it for a point that
//! satisfies the strong Wolfe conditions (Moré and Thuente).

use crate::Watch;
use crate::line_search::{Next, Search, Trial};
use crate::quasi_newton::Model;
use crate::vector::{dot, norm};

/// The method's limits and tolerances; the defaults are SciPy's.
///
/// | field | default | meaning |
/// | --- | --- | --- |
/// | `memory` | 10 | pairs of steps and gradient differences to keep, 1 or more |
/// | `iterations` | 15,000 | maximum number of iterations, 0 or more |
/// | `evaluations` | 15,000 | maximum number of evaluations of function and gradient; a line search under way is finished |
/// | `gradient` | 1e-5 | stop when the projected gradient's largest entry is at most this |
/// | `decrease` | 2.2e-9 | stop when an iteration's decrease is at most this, relative to max(\|f\|, 1) |
#[derive(Debug, Clone, PartialEq)]
pub struct LbfgsB {
    /// Pairs of steps and gradient differences to keep, 1 or more.
    pub memory: usize,
    /// Maximum number of iterations.
    pub iterations: usize,
    /// Maximum number of evaluations of function and gradient.
    pub evaluations: usize,
    /// The tolerance on the largest entry of the projected gradient.
    pub gradient: f64,
    /// The tolerance on the relative decrease of an iteration.
    pub decrease: f64,
}

impl Default for LbfgsB {
    fn default() -> Self {
        LbfgsB {
            memory: 10,
            iterations: 15_000,
            evaluations: 15_000,
            gradient: 1e-5,
            decrease: 1e7 * f64::EPSILON,
        }
    }
}

/// Why a minimization ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Ended {
    /// The projected gradient is within its tolerance.
    Gradient,
    /// An iteration decreased the function by no more than the tolerance.
    Decrease,
    /// The maximum number of iterations was reached.
    Iterations,
    /// The maximum number of evaluations was reached.
    Evaluations,
    /// The line search found no better point, because of rounding or because the gradient is not
    /// the function's.
    LineSearch,
    /// The caller stopped it.
    Interrupted,
}

/// The best point found.
#[derive(Debug, Clone, PartialEq)]
pub struct Minimum {
    /// The point, inside the bounds.
    pub x: Vec<f64>,
    /// The function's value there.
    pub value: f64,
    /// The projected gradient's largest entry there.
    pub gradient: f64,
    /// Iterations done.
    pub iterations: usize,
    /// Evaluations of function and gradient.
    pub evaluations: usize,
    /// Why the minimization ended.
    pub ended: Ended,
}

/// An error in a minimization's input, or the function's own error.
#[derive(Debug, thiserror::Error)]
pub enum LbfgsBError<E> {
    /// Start and bounds differ in length.
    #[error(
        "the start has {start} entries, the lower bounds {lower} and the upper bounds {upper}; all three need the same length"
    )]
    Lengths {
        /// Number of entries in the start.
        start: usize,
        /// Number of lower bounds.
        lower: usize,
        /// Number of upper bounds.
        upper: usize,
    },
    /// A lower bound above the upper one, or a bound that is NaN.
    #[error(
        "variable {index} has the bounds [{lower}, {upper}]; the lower must not exceed the upper, and neither may be NaN"
    )]
    Bounds {
        /// The variable, from 0.
        index: usize,
        /// Its lower bound.
        lower: f64,
        /// Its upper bound.
        upper: f64,
    },
    /// `memory` is 0.
    #[error("memory = 0: L-BFGS-B needs one pair or more; 10 is usual")]
    Memory,
    /// The function or its gradient is not finite at the start.
    #[error(
        "the function or its gradient is not finite at the start (value {value}); start at a point where both are finite"
    )]
    Start {
        /// The function's value there.
        value: f64,
    },
    /// The function's own error.
    #[error(transparent)]
    Function(E),
}

impl LbfgsB {
    /// Minimizes a function over lower ≤ x ≤ upper (bounds may be infinite), from `start`, which is
    /// first projected onto the box.
    ///
    /// `function` returns the value and the gradient. The line search treats a trial point where
    /// they are not finite as an end of its range. `watch` is called with the number of iterations
    /// before each evaluation; if it returns `false`, the best point so far is returned.
    ///
    /// # Errors
    /// Lengths that differ, a lower bound above the upper one, a start where the function is not
    /// finite, and errors of `function`.
    pub fn minimize<E>(
        &self,
        mut function: impl FnMut(&[f64]) -> Result<(f64, Vec<f64>), E>,
        start: &[f64],
        [lower, upper]: [&[f64]; 2],
        watch: Watch<'_>,
    ) -> Result<Minimum, LbfgsBError<E>> {
        self.check(start, lower, upper)?;
        let bounded = lower.iter().chain(upper).any(|b| b.is_finite());
        let boxed = lower.iter().chain(upper).all(|b| b.is_finite());
        let mut x: Vec<f64> = start
            .iter()
            .zip(lower)
            .zip(upper)
            .map(|((x, l), u)| x.clamp(*l, *u))
            .collect();
        let (mut value, mut gradient) = function(&x).map_err(LbfgsBError::Function)?;
        if !value.is_finite() || gradient.iter().any(|g| !g.is_finite()) {
            return Err(LbfgsBError::Start { value });
        }
        let mut model = Model::new(self.memory);
        let (mut iterations, mut evaluations) = (0, 1);
        loop {
            let projected = projected_gradient(&x, &gradient, lower, upper);
            let end = |ended, x, value| Minimum {
                x,
                value,
                gradient: projected,
                iterations,
                evaluations,
                ended,
            };
            if projected <= self.gradient {
                return Ok(end(Ended::Gradient, x, value));
            }
            if iterations >= self.iterations {
                return Ok(end(Ended::Iterations, x, value));
            }
            if evaluations >= self.evaluations {
                return Ok(end(Ended::Evaluations, x, value));
            }
            let Some(target) = model.target(&x, &gradient, lower, upper) else {
                model.forget();
                continue;
            };
            let direction: Vec<f64> = target.iter().zip(&x).map(|(t, x)| t - x).collect();
            let slope = dot(&gradient, &direction);
            if slope >= 0.0 {
                if model.is_empty() {
                    return Ok(end(Ended::LineSearch, x, value));
                }
                model.forget();
                continue;
            }
            let largest = if !bounded {
                1e10
            } else if iterations == 0 {
                1.0
            } else {
                room(&x, &direction, lower, upper)
            };
            let first = if iterations == 0 && !boxed {
                (1.0 / norm(&direction)).min(largest)
            } else {
                1f64.min(largest)
            };
            let mut search = Search::new(value, slope, first, largest);
            let mut step = first;
            let mut best: Option<(f64, Vec<f64>, Vec<f64>)> = None;
            let mut proceed = true;
            for _ in 0..20 {
                proceed = watch(iterations as u64, self.iterations as u64);
                if !proceed {
                    break;
                }
                let at: Vec<f64> = (0..x.len())
                    .map(|i| along(x[i], step, direction[i], target[i]).clamp(lower[i], upper[i]))
                    .collect();
                let (v, g) = function(&at).map_err(LbfgsBError::Function)?;
                evaluations += 1;
                if !v.is_finite() || g.iter().any(|g| !g.is_finite()) {
                    step *= 0.1;
                    search = Search::new(value, slope, step, step);
                    continue;
                }
                let next = search.next(Trial {
                    step,
                    value: v,
                    slope: dot(&g, &direction),
                });
                if v < best.as_ref().map_or(value, |b| b.0) {
                    best = Some((v, at, g));
                }
                match next {
                    Next::Try(s) => step = s,
                    Next::Done | Next::Stuck => break,
                }
            }
            if !proceed {
                let (value, x, gradient) = best.unwrap_or((value, x, gradient));
                let gradient = projected_gradient(&x, &gradient, lower, upper);
                return Ok(Minimum {
                    x,
                    value,
                    gradient,
                    iterations,
                    evaluations,
                    ended: Ended::Interrupted,
                });
            }
            let Some((new_value, new_x, new_gradient)) = best else {
                if model.is_empty() {
                    return Ok(Minimum {
                        x,
                        value,
                        gradient: projected,
                        iterations,
                        evaluations,
                        ended: Ended::LineSearch,
                    });
                }
                model.forget();
                continue;
            };
            let s: Vec<f64> = new_x.iter().zip(&x).map(|(a, b)| a - b).collect();
            let y: Vec<f64> = new_gradient
                .iter()
                .zip(&gradient)
                .map(|(a, b)| a - b)
                .collect();
            model.learn(s, y);
            let decrease = (value - new_value) / value.abs().max(new_value.abs()).max(1.0);
            (x, value, gradient) = (new_x, new_value, new_gradient);
            iterations += 1;
            if decrease <= self.decrease {
                let projected = projected_gradient(&x, &gradient, lower, upper);
                let ended = if projected <= self.gradient {
                    Ended::Gradient
                } else {
                    Ended::Decrease
                };
                return Ok(Minimum {
                    x,
                    value,
                    gradient: projected,
                    iterations,
                    evaluations,
                    ended,
                });
            }
        }
    }

    fn check<E>(&self, start: &[f64], lower: &[f64], upper: &[f64]) -> Result<(), LbfgsBError<E>> {
        if self.memory == 0 {
            return Err(LbfgsBError::Memory);
        }
        if start.len() != lower.len() || start.len() != upper.len() {
            return Err(LbfgsBError::Lengths {
                start: start.len(),
                lower: lower.len(),
                upper: upper.len(),
            });
        }
        // Written so that NaN fails too.
        match (0..start.len()).find(|&i| !(lower[i] <= upper[i])) {
            Some(index) => Err(LbfgsBError::Bounds {
                index,
                lower: lower[index],
                upper: upper[index],
            }),
            None => Ok(()),
        }
    }
}

/// The point at a step towards `target`; step 1 gives exactly `target`.
fn along(x: f64, step: f64, direction: f64, target: f64) -> f64 {
    if step == 1.0 {
        target
    } else {
        x + step * direction
    }
}

fn projected_gradient(x: &[f64], g: &[f64], lower: &[f64], upper: &[f64]) -> f64 {
    (0..x.len())
        .map(|i| ((x[i] - g[i]).clamp(lower[i], upper[i]) - x[i]).abs())
        .fold(0.0, f64::max)
}

/// The largest step that stays within the bounds.
fn room(x: &[f64], direction: &[f64], lower: &[f64], upper: &[f64]) -> f64 {
    let mut largest = 1e10f64;
    for i in 0..x.len() {
        let d = direction[i];
        let bound = if d < 0.0 { lower[i] } else { upper[i] };
        if d != 0.0 && bound.is_finite() {
            largest = largest.min((bound - x[i]) / d);
        }
    }
    // The line to the target is within the bounds; only rounding could give less than 1.
    largest.max(1.0)
}

#[cfg(test)]
#[path = "lbfgsb_tests.rs"]
mod tests;
