//! Drops at milestones.

use super::prelude::*;
use crate::Marks;

/// max(f, γ^k), where k is the number of milestones at or before t, and t counts from the start
/// of training, warm-up included.
///
/// Goyal et al. 2017 (arXiv 1706.02677): 0.1 at epochs 30, 60, 80 with five epochs of warm-up. PyTorch's `MultiStepLR` and optax's
/// `piecewise_constant_schedule` drop at the same step; in a `SequentialLR` the milestones count from the warm-up's end, unlike here.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct MultiStep {
    /// What each drop multiplies the rate by, γ.
    #[schemars(extend("exclusiveMinimum" = 0.0, "maximum" = 1.0, "why" = "the rate is multiplied by it"))]
    pub factor: f64,
    /// The milestones, from the start of training; after the warm-up. One beyond the end has no effect.
    pub at: Marks,
}

impl Default for MultiStep {
    fn default() -> Self {
        MultiStep {
            factor: 0.1,
            at: Marks::Fraction(vec![0.5, 0.75]),
        }
    }
}

impl ShapeConfig for MultiStep {
    const FACTS: Facts = Facts::new("multi-step", "drops by a factor at each milestone")
        .formula("max(floor, factor^(milestones at or before t))")
        .paper("Goyal et al. 2017, arXiv 1706.02677");

    fn curve(&self, training: &Training<'_>) -> Result<Curve, ConfigError> {
        let marks = self.at.spans().into_iter();
        let at: Vec<f64> = marks.map(|mark| training.steps_from_start(mark)).collect();
        at.iter()
            .try_for_each(|at| training.drop_at(*at, "schedule.at"))?;
        let factor = self.factor;
        Ok(Arc::new(move |time| {
            factor.powi(at.iter().filter(|at| **at <= time.step).count() as i32)
        }))
    }
}
