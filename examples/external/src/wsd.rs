//! A schedule of your own: its options, its facts and its curve.

use std::sync::Arc;

use largebatch::component::Facts;
use largebatch::schedule::{ConfigError, Curve, Floor, ShapeConfig, Span, Training};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Warm-up, stable, decay: the peak rate, then a straight line to the floor over the last part of
/// training. The warm-up comes from `warmup`, which every schedule has.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Wsd {
    /// The length of the decay at the end of training.
    pub decay: Span,
}

impl Default for Wsd {
    fn default() -> Self {
        Wsd {
            decay: Span::Fraction(0.1),
        }
    }
}

impl ShapeConfig for Wsd {
    const FACTS: Facts = Facts::new(
        "wsd",
        "the peak rate, then a straight line to the floor at the end",
    )
    .formula("1; over the last part, floor + (1 - floor) (T - t)/decay")
    .paper("Hu et al. 2024, arXiv 2404.06395");
    const FLOOR: Floor = Floor::Between;

    fn curve(&self, training: &Training<'_>) -> Result<Curve, ConfigError> {
        let (total, decay) = (training.left(), training.steps(self.decay));
        Ok(Arc::new(move |time| {
            ((total - time.after_warmup) / decay).clamp(0.0, 1.0)
        }))
    }
}
