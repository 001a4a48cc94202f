//! A power of the remaining time.

use super::prelude::*;

/// f + (1 − f) · (1 − min(t, T) / T)^p.
///
/// LARS (You et al. 2017, arXiv 1708.03888) uses p = 2. PyTorch's `PolynomialLR` has f = 0 and
/// p = 1 by default; in optax's `polynomial_schedule`, f is `end_value` (a rate, not a
/// fraction).
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Polynomial {
    /// The power p; 1 is linear.
    #[schemars(extend("exclusiveMinimum" = 0.0, "why" = "at 0 the rate would never fall"))]
    pub power: f64,
    /// When the floor is reached, T.
    pub length: Span,
}

impl Default for Polynomial {
    fn default() -> Self {
        Polynomial {
            power: 2.0,
            length: Span::Fraction(1.0),
        }
    }
}

impl ShapeConfig for Polynomial {
    const FACTS: Facts = Facts::new(
        "polynomial",
        "falls to the floor with a power of the remaining time; used with LARS",
    )
    .formula("floor + (1 - floor) (1 - t/length)^power")
    .paper("You et al. 2017, arXiv 1708.03888");
    const FLOOR: Floor = Floor::Between;

    fn curve(&self, training: &Training<'_>) -> Result<Curve, ConfigError> {
        let (power, length) = (self.power, training.steps(self.length));
        Ok(Arc::new(move |time| {
            (1.0 - time.after_warmup.min(length) / length).powf(power)
        }))
    }
}
