//! Drops at equal intervals.

use super::prelude::*;
use super::whole;

/// max(f, γ^⌊t / every⌋), t since the start of training, the warm-up included.
///
/// He et al. 2015 (arXiv 1512.03385). PyTorch's `StepLR(step_size, gamma)`, chained with the warm-up (`ChainedScheduler`); in a `SequentialLR` its count
/// begins after the warm-up, unlike here.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Step {
    /// What each drop multiplies the rate by, γ.
    #[schemars(extend("exclusiveMinimum" = 0.0, "maximum" = 1.0, "why" = "the rate is multiplied by it"))]
    pub factor: f64,
    /// The length between two drops, from the start of training; longer than the warm-up.
    pub every: Span,
}

impl Default for Step {
    fn default() -> Self {
        Step {
            factor: 0.1,
            every: Span::Fraction(1.0 / 3.0),
        }
    }
}

impl ShapeConfig for Step {
    const FACTS: Facts = Facts::new("step", "drops by a factor at equal intervals")
        .formula("max(floor, factor^floor(t/every))")
        .paper("He et al. 2015, arXiv 1512.03385");

    fn period(&self) -> Option<Span> {
        Some(self.every)
    }

    fn curve(&self, training: &Training<'_>) -> Result<Curve, ConfigError> {
        training.drop_at(training.steps_from_start(self.every), "schedule.every")?;
        let (factor, every) = (self.factor, training.period_from_start(self.every));
        Ok(Arc::new(move |time| {
            factor.powf(whole(time.since_start / every))
        }))
    }
}
