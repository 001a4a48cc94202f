//! An exponential decay.

use super::prelude::*;

/// max(f, γ^(t / every)).
///
/// PyTorch's `ExponentialLR(gamma)` if `every` is the interval between calls of its `step()`;
/// optax's `exponential_decay` with `transition_steps` = `every`.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Exponential {
    /// What each length multiplies the rate by, γ.
    #[schemars(extend("exclusiveMinimum" = 0.0, "maximum" = 1.0, "why" = "the rate is multiplied by it"))]
    pub factor: f64,
    /// That length.
    pub every: Span,
}

impl Default for Exponential {
    fn default() -> Self {
        Exponential {
            factor: 0.01,
            every: Span::Fraction(1.0),
        }
    }
}

impl ShapeConfig for Exponential {
    const FACTS: Facts = Facts::new(
        "exponential",
        "falls smoothly, by a factor over each length",
    )
    .formula("max(floor, factor^(t/every))");

    fn period(&self) -> Option<Span> {
        Some(self.every)
    }

    fn curve(&self, training: &Training<'_>) -> Result<Curve, ConfigError> {
        let (factor, every) = (self.factor, training.period(self.every));
        Ok(Arc::new(move |time| factor.powf(time.after_warmup / every)))
    }
}
