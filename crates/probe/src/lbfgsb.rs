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
use crate::vector::{dot, norm, plus};

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

impl Minimum {
    fn ended(self, ended: Ended) -> Self {
        Minimum { ended, ..self }
    }
}

impl LbfgsB {
    /// Minimizes a function over lower ≤ x ≤ upper (bounds may be infinite), from `start`, which is
    /// first projected onto the box.
    ///
    /// `function` returns the value and the gradient. The line search treats a trial point where
    /// they are not finite as an end of its range. `watch` is called with the number of iterations
    /// before each evaluation; if it returns `false`, the best point so far is returned.
    ///
    /// The three slices have one length, and no lower bound is above its upper one.
    ///
    /// # Errors
    /// Those of `function`.
    pub fn minimize<E>(
        &self,
        mut function: impl FnMut(&[f64]) -> Result<(f64, Vec<f64>), E>,
        start: &[f64],
        [lower, upper]: [&[f64]; 2],
        watch: Watch<'_>,
    ) -> Result<Minimum, E> {
        let bounded = lower.iter().chain(upper).any(|b| b.is_finite());
        let boxed = lower.iter().chain(upper).all(|b| b.is_finite());
        let inside = |x: &[f64]| -> Vec<f64> {
            let each = 0..x.len();
            each.map(|i| x[i].clamp(lower[i], upper[i])).collect()
        };
        let x = inside(start);
        let (value, mut gradient) = function(&x)?;
        let mut at = Minimum {
            gradient: projected_gradient(&x, &gradient, lower, upper),
            x,
            value,
            iterations: 0,
            evaluations: 1,
            ended: Ended::Gradient,
        };
        let mut model = Model::new(self.memory);
        loop {
            if at.gradient <= self.gradient {
                return Ok(at.ended(Ended::Gradient));
            }
            if at.iterations >= self.iterations {
                return Ok(at.ended(Ended::Iterations));
            }
            if at.evaluations >= self.evaluations {
                return Ok(at.ended(Ended::Evaluations));
            }
            let Some(target) = model.target(&at.x, &gradient, lower, upper) else {
                model.forget();
                continue;
            };
            let direction = plus(&target, -1.0, &at.x);
            let slope = dot(&gradient, &direction);
            if slope >= 0.0 {
                if model.is_empty() {
                    return Ok(at.ended(Ended::LineSearch));
                }
                model.forget();
                continue;
            }
            let largest = if !bounded {
                1e10
            } else if at.iterations == 0 {
                1.0
            } else {
                room(&at.x, &direction, lower, upper)
            };
            let first = if at.iterations == 0 && !boxed {
                (1.0 / norm(&direction)).min(largest)
            } else {
                1f64.min(largest)
            };
            let mut search = Search::new(at.value, slope, first, largest);
            let mut step = first;
            let mut best: Option<(f64, Vec<f64>, Vec<f64>)> = None;
            let mut proceed = true;
            for _ in 0..20 {
                proceed = watch(at.iterations as u64, self.iterations as u64);
                if !proceed {
                    break;
                }
                // Step 1 gives exactly the target.
                let x = inside(&match step == 1.0 {
                    true => target.clone(),
                    false => plus(&at.x, step, &direction),
                });
                let (v, g) = function(&x)?;
                at.evaluations += 1;
                if !v.is_finite() || g.iter().any(|g| !g.is_finite()) {
                    step *= 0.1;
                    search = Search::new(at.value, slope, step, step);
                    continue;
                }
                let next = search.next(Trial {
                    step,
                    value: v,
                    slope: dot(&g, &direction),
                });
                if v < best.as_ref().map_or(at.value, |b| b.0) {
                    best = Some((v, x, g));
                }
                match next {
                    Next::Try(s) => step = s,
                    Next::Done | Next::Stuck => break,
                }
            }
            let Some((value, x, new)) = best else {
                if !proceed {
                    return Ok(at.ended(Ended::Interrupted));
                }
                if model.is_empty() {
                    return Ok(at.ended(Ended::LineSearch));
                }
                model.forget();
                continue;
            };
            model.learn(plus(&x, -1.0, &at.x), plus(&new, -1.0, &gradient));
            let decrease = (at.value - value) / at.value.abs().max(value.abs()).max(1.0);
            (at.value, at.x, gradient) = (value, x, new);
            at.gradient = projected_gradient(&at.x, &gradient, lower, upper);
            if !proceed {
                return Ok(at.ended(Ended::Interrupted));
            }
            at.iterations += 1;
            if decrease <= self.decrease && at.gradient > self.gradient {
                return Ok(at.ended(Ended::Decrease));
            }
        }
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
