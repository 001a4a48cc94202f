//! A straight line.

use super::prelude::*;

/// f + (1 − f) · (1 − min(t, T) / T).
///
/// The decay used with BERT and LAMB (You et al. 2020, arXiv 1904.00962). PyTorch's
/// `LinearLR(start_factor = 1, end_factor = f, total_iters = T)`, whose own defaults rise from
/// 1/3 to 1.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Linear {
    /// When the floor is reached, T.
    pub length: Span,
}

impl Default for Linear {
    fn default() -> Self {
        Linear {
            length: Span::Fraction(1.0),
        }
    }
}

impl ShapeConfig for Linear {
    const FACTS: Facts = Facts::new(
        "linear",
        "falls to the floor along a straight line; used with LAMB",
    )
    .formula("floor + (1 - floor) (1 - t/length)")
    .paper("You et al. 2020, arXiv 1904.00962");
    const FLOOR: Floor = Floor::Between;

    fn curve(&self, training: &Training<'_>) -> Result<Curve, ConfigError> {
        let length = training.steps(self.length);
        Ok(Arc::new(move |time| {
            1.0 - time.after_warmup.min(length) / length
        }))
    }
}
