//! The largest curvature at which an optimizer's step is stable.

use largebatch_train::{Choice, nullable};
use serde::{Deserialize, Serialize};

use super::{CurvatureOptions, Hessian, preconditioner, top};
use crate::vector::key;
use crate::{ProbeError, Subject, Watch};

/// Where an optimizer stands with respect to the edge of stability (Cohen et al. 2021, arXiv 2103.00065): on a quadratic of largest eigenvalue λ,
/// its iteration with learning rate η is stable as long as η λ is below a bound.
///
/// | optimizer | bound of η λ_max |
/// | --- | --- |
/// | gradient descent | 2 |
/// | heavy ball v ← βv + ηg, and PyTorch's momentum | 2 (1 + β); with dampening d: 2 (1 + β)/(1 − d) |
/// | momentum as a moving average, v ← βv + (1 − β)g | 2 (1 + β)/(1 − β) |
/// | Nesterov | 2 (1 + β)/(1 + 2β) |
/// | Adam, AdamW | 2 (1 + β₁)/(1 − β₁), λ_max of P^{−1/2} H P^{−1/2} (Cohen et al. 2022, arXiv 2207.14484) |
/// | Adagrad | 2, λ_max of P^{−1/2} H P^{−1/2} |
///
/// P is that of [`preconditioner`](fn@super::preconditioner), taken as it stands: it changes slowly against the weights. Weight decay of the l2 kind adds its rate to H's diagonal.
/// LARS and LAMB have no such bound: their ratio grows without limit as the gradient falls, so that no curvature is stable for them.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Edge {
    /// The optimizer.
    pub optimizer: String,
    /// η at this step.
    #[serde(with = "nullable")]
    pub rate: f64,
    /// λ_max of what the optimizer sees: the Hessian, with l2 weight decay, preconditioned for Adam and Adagrad.
    #[serde(with = "nullable")]
    pub lambda_max: f64,
    /// η λ_max.
    #[serde(with = "nullable")]
    pub product: f64,
    /// What it must stay below.
    #[serde(with = "nullable")]
    pub bound: f64,
    /// The largest stable rate, bound / λ_max; absent where the largest eigenvalue is not above 0.
    pub stable_rate: Option<f64>,
}

impl Edge {
    /// Sets rate and curvature against a bound.
    pub fn new(optimizer: &str, rate: f64, lambda_max: f64, bound: f64) -> Self {
        let stable_rate = (lambda_max > 0.0).then(|| bound / lambda_max);
        Edge {
            optimizer: optimizer.into(),
            rate,
            lambda_max,
            product: rate * lambda_max,
            bound,
            stable_rate,
        }
    }
}

/// The bound on η λ_max of an optimizer with these options, see [`Edge`]; `None` for rules whose step is not linear in the gradient on a quadratic
/// (LARS, LAMB).
pub fn bound(optimizer: &str, options: &toml::Table) -> Option<f64> {
    let number = |key: &str| {
        options
            .get(key)
            .and_then(|v| v.as_float().or_else(|| v.as_integer().map(|i| i as f64)))
    };
    let word = |key: &str| options.get(key).and_then(toml::Value::as_str);
    match optimizer {
        "sgd" | "adagrad" => Some(2.0),
        "momentum" => {
            let beta = number("momentum")?;
            let kept = match word("form") {
                Some("ema") => 1.0 - beta,
                _ => 1.0 - number("dampening").unwrap_or(0.0),
            };
            Some(2.0 * (1.0 + beta) / kept)
        }
        "nesterov" => number("momentum").map(|beta| 2.0 * (1.0 + beta) / (1.0 + 2.0 * beta)),
        "adam" | "adamw" => number("beta1").map(|beta| 2.0 * (1.0 + beta) / (1.0 - beta)),
        _ => None,
    }
}

/// Whether an optimizer divides by a preconditioner, so that [`bound`] is about the preconditioned Hessian.
pub fn is_preconditioned(optimizer: &str) -> bool {
    matches!(optimizer, "adam" | "adamw" | "adagrad")
}

/// The rate of weight decay that acts as curvature: that of the l2 kind.
pub fn decay(options: &toml::Table) -> f64 {
    let is_l2 = options
        .get("decay")
        .and_then(toml::Value::as_str)
        .is_none_or(|d| d == "l2");
    let rate = options
        .get("weight_decay")
        .and_then(|v| v.as_float())
        .unwrap_or(0.0);
    if is_l2 { rate } else { 0.0 }
}

/// A run's optimizer at a point of its training.
#[derive(Clone, Copy)]
pub struct AtPoint<'a> {
    /// The optimizer with its options.
    pub optimizer: &'a Choice,
    /// η there.
    pub rate: f64,
    /// Its state, as [`largebatch_optim::Driver::save`] writes it, for rules that [`is_preconditioned`] names: without one their edge is unknown.
    pub state: Option<&'a [u8]>,
}

impl AtPoint<'_> {
    /// Where the optimizer stands at w, where the Hessian's largest eigenvalue is `lambda_max`; `None` for rules without a bound, and where the state is
    /// missing or has not made a step.
    ///
    /// The cost is nothing for most rules; for a preconditioned one that of its own largest eigenvalue, 2 [`CurvatureOptions::most`] gradient
    /// evaluations at most, after which λ_max is a lower bound. With l2 decay every parameter counts as decayed. Interrupted: `None`.
    ///
    /// # Errors
    /// A state of another optimizer or model; what the model refuses.
    pub fn edge(
        &self,
        subject: &mut Subject<'_>,
        w: &[f64],
        lambda_max: f64,
        options: &CurvatureOptions,
        watch: Watch,
    ) -> Result<Option<Edge>, ProbeError> {
        let Choice {
            name,
            options: settings,
        } = self.optimizer;
        let Some(bound) = bound(name, settings) else {
            return Ok(None);
        };
        if !is_preconditioned(name) {
            return Ok(Some(Edge::new(
                name,
                self.rate,
                lambda_max + decay(settings),
                bound,
            )));
        }
        let Some(state) = self.state else {
            return Ok(None);
        };
        let Some(diagonal) = preconditioner(self.optimizer, subject.layers(), state)? else {
            return Ok(None);
        };
        let mut hessian =
            Hessian::preconditioned(subject, w, &diagonal)?.with_decay(if name == "adamw" {
                0.0
            } else {
                decay(settings)
            });
        let mut goes_on = true;
        let found = top(
            &mut hessian,
            1,
            key(options.seed, "preconditioned"),
            options.tolerance,
            options.most,
            &mut |done, all| {
                goes_on = watch(2 * done, 2 * all);
                goes_on
            },
        )?;
        Ok(goes_on.then(|| Edge::new(name, self.rate, found.values[0], bound)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Runs each method on λw²/2 and finds by bisection where it turns unstable.
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
        for (name, options, step) in cases {
            let bound = bound(name, &options.parse().unwrap()).unwrap();
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
