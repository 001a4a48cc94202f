//! The edge of stability: the largest curvature at which an optimizer's step is stable.

use largebatch_optim::Stability;
use largebatch_train::nullable;
use serde::{Deserialize, Serialize};

use super::{CurvatureOptions, Hessian, preconditioner, top};
use crate::vector::key;
use crate::{Point, ProbeError, Subject, Watch};

/// An optimizer's distance from the edge of stability (Cohen et al. 2021, arXiv 2103.00065): on a
/// quadratic with largest eigenvalue λ, its iteration with learning rate η is stable as long as η λ
/// is below a bound.
///
/// | optimizer | bound on η λ_max |
/// | --- | --- |
/// | gradient descent | 2 |
/// | heavy ball v ← βv + ηg, and PyTorch's momentum | 2 (1 + β); with dampening d: 2 (1 + β)/(1 − d) |
/// | momentum as a moving average, v ← βv + (1 − β)g | 2 (1 + β)/(1 − β) |
/// | Nesterov | 2 (1 + β)/(1 + 2β) |
/// | Adam, AdamW | 2 (1 + β₁)/(1 − β₁), λ_max of P^{−1/2} H P^{−1/2} (Cohen et al. 2022, arXiv 2207.14484) |
/// | Adagrad | 2, λ_max of P^{−1/2} H P^{−1/2} |
///
/// P is given by [`preconditioner`](fn@super::preconditioner) and taken as constant, because it
/// changes slowly compared with the weights. L2 weight decay adds λ to the diagonal of H. LARS and
/// LAMB have no such bound: their trust ratio grows without limit as the gradient falls, so no
/// curvature is stable for them.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Edge {
    /// The optimizer's name.
    pub optimizer: String,
    /// Learning rate η at this step.
    #[serde(with = "nullable")]
    pub rate: f64,
    /// Largest eigenvalue λ_max as the optimizer sees it: of the Hessian, with L2 weight decay, and
    /// preconditioned for Adam and Adagrad.
    #[serde(with = "nullable")]
    pub lambda_max: f64,
    /// The product η λ_max.
    #[serde(with = "nullable")]
    pub product: f64,
    /// The bound below which the product is stable.
    #[serde(with = "nullable")]
    pub bound: f64,
    /// The largest stable learning rate, bound / λ_max; absent if the largest eigenvalue is not
    /// above 0.
    pub stable_rate: Option<f64>,
    /// Whether λ_max is of the preconditioned Hessian.
    #[serde(default)]
    pub preconditioned: bool,
}

impl Edge {
    /// Compares learning rate and curvature with a bound.
    pub fn new(optimizer: &str, rate: f64, lambda_max: f64, bound: f64) -> Self {
        let stable_rate = (lambda_max > 0.0).then(|| bound / lambda_max);
        Edge {
            optimizer: optimizer.into(),
            rate,
            lambda_max,
            product: rate * lambda_max,
            bound,
            stable_rate,
            preconditioned: false,
        }
    }
}

impl Edge {
    /// The distance of a run's optimizer from the edge at w, where the Hessian's largest eigenvalue
    /// is `lambda_max`. `None` for optimizers without a bound, if a needed state is missing or has no
    /// step yet, and after an interruption.
    ///
    /// For most optimizers this costs nothing. A preconditioned one needs the largest eigenvalue of
    /// the preconditioned Hessian, at most 2 [`CurvatureOptions::iterations`] gradient evaluations; if
    /// they do not suffice, λ_max is a lower bound. With L2 decay every parameter counts as
    /// decayed.
    ///
    /// # Errors
    /// A state of another optimizer or model; errors of the model.
    pub(super) fn at(
        at: &Point<'_>,
        subject: &mut Subject<'_>,
        w: &[f64],
        lambda_max: f64,
        options: &CurvatureOptions,
        watch: Watch,
    ) -> Result<Option<Edge>, ProbeError> {
        let optimizer = &*at.experiment.optimizer;
        let name = optimizer.facts().name;
        let Some(Stability {
            bound,
            decay,
            preconditioner: divisor,
            ..
        }) = optimizer.stability()
        else {
            return Ok(None);
        };
        let Some(divisor) = divisor else {
            return Ok(Some(Edge::new(name, at.rate, lambda_max + decay, bound)));
        };
        let Some(state) = at.state() else {
            return Ok(None);
        };
        let Some(diagonal) = preconditioner(&divisor, subject.layers(), &state)? else {
            return Ok(None);
        };
        let mut hessian = Hessian::preconditioned(subject, w, &diagonal)?.with_decay(decay);
        let mut proceed = true;
        let found = top(
            &mut hessian,
            1,
            key(options.seed, "preconditioned"),
            options.tolerance,
            options.iterations,
            &mut |done, all| {
                proceed = watch(2 * done, 2 * all);
                proceed
            },
        )?;
        Ok(proceed.then(|| Edge {
            preconditioned: true,
            ..Edge::new(name, at.rate, found.values[0], bound)
        }))
    }
}

#[cfg(test)]
mod tests {
    /// Runs each method on λw²/2 and finds the λ at which it becomes unstable, by bisection.
    #[test]
    fn bounds_are_those_of_the_iterations() {
        let beta = 0.8;
        type Step = fn(f64, f64, f64, f64) -> (f64, f64);
        let cases: [(&str, &str, Step); 5] = [
            ("sgd", "", |w, _, x, _| (w - x * w, 0.0)),
            (
                "momentum",
                "momentum = 0.8\nform = \"torch\"\ndampening = 0.0",
                |w, v, x, b| {
                    let v = b * v + w;
                    (w - x * v, v)
                },
            ),
            (
                "momentum",
                "momentum = 0.8\nform = \"ema\"\ndampening = 0.0",
                |w, v, x, b| {
                    let v = b * v + (1.0 - b) * w;
                    (w - x * v, v)
                },
            ),
            (
                "momentum",
                "momentum = 0.8\nform = \"torch\"\ndampening = 0.3",
                |w, v, x, b| {
                    let v = b * v + 0.7 * w;
                    (w - x * v, v)
                },
            ),
            ("nesterov", "momentum = 0.8", |w, v, x, b| {
                let v = b * v + w;
                (w - x * (w + b * v), v)
            }),
        ];
        let registry = largebatch_optim::standard();
        for (name, options, step) in cases {
            let entry = registry.named(name).unwrap();
            let config = entry.configure(options.parse().unwrap()).unwrap();
            let bound = config.stability().unwrap().bound;
            let size = |x: f64| {
                let (mut w, mut v) = (1.0, 0.1);
                for _ in 0..3000 {
                    (w, v) = step(w, v, x, beta);
                }
                f64::abs(w) + f64::abs(v)
            };
            assert!(
                size(0.99 * bound) < 1e-3,
                "{name} {options}: unstable below {bound}"
            );
            assert!(
                !(size(1.01 * bound) < 1e3),
                "{name} {options}: stable above {bound}"
            );
        }
    }
}
