//! A power of time.

use super::prelude::*;

/// max(f, τ^−a) with τ = 1 + t / `every`: the textbook's η_t = η_0 · t^−a, where t counts steps from 1.
///
/// Robbins and Monro 1951: SGD converges for 1/2 < a ≤ 1. `every` is the unit of τ, one step by
/// default; `{ epochs = 1 }` makes the decay independent of the batch size (τ grows smoothly
/// within an epoch). PyTorch has no such scheduler (use a `LambdaLR`); scikit-learn calls it
/// `invscaling`.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct PowerLaw {
    /// How fast it falls, a; SGD converges for 1/2 < a ≤ 1 (Robbins and Monro), and the default is the
    /// slow end of that interval.
    #[schemars(range(min = 0.0), extend("why" = "below 0 the rate would grow"))]
    pub exponent: f64,
    /// The unit in which time counts.
    pub every: Span,
}

impl Default for PowerLaw {
    fn default() -> Self {
        PowerLaw {
            exponent: 0.5,
            every: Span::Steps(1),
        }
    }
}

impl ShapeConfig for PowerLaw {
    const FACTS: Facts = Facts::new("power-law", "falls with a power of time")
        .formula("max(floor, (1 + t/every)^-exponent)")
        .paper("Robbins and Monro 1951");

    fn period(&self) -> Option<Span> {
        Some(self.every)
    }

    fn curve(&self, training: &Training<'_>) -> Result<Curve, ConfigError> {
        let (exponent, every) = (self.exponent, training.period(self.every));
        Ok(Arc::new(move |time| {
            (1.0 + time.after_warmup / every).powf(-exponent)
        }))
    }
}
