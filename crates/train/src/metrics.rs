//! How well a model does on a part of the data.

use serde::{Deserialize, Serialize};

use crate::nullable;

/// Means over the examples of a part.
#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize)]
pub struct Metrics {
    /// How many examples.
    pub n: u64,
    /// The mean loss, without label smoothing; of real targets in the unit that the model sees, which is the training targets' deviation where they are
    /// standardised. Where it is beyond f32 it is infinite, and `null` in JSON, which is read as NaN.
    #[serde(with = "nullable")]
    pub loss: f64,
    /// The share of examples classified correctly; absent for real targets.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub accuracy: Option<f64>,
    /// The root of the mean squared error, in the target's own unit; absent for classes, and `null` where the loss is.
    #[serde(with = "nullable", skip_serializing_if = "Option::is_none", default)]
    pub rmse: Option<f64>,
    /// The coefficient of determination, 1 − Σ(y − ŷ)² / Σ(y − ȳ)²; absent for classes, and where all targets are equal; `null` where the loss is.
    #[serde(with = "nullable", skip_serializing_if = "Option::is_none", default)]
    pub r2: Option<f64>,
}

impl Metrics {
    /// Whether validation reached a target: accuracy at least, or, for real targets, mean squared error in their own unit at most.
    pub fn reaches(&self, target: f64) -> bool {
        match self.accuracy {
            Some(accuracy) => accuracy >= target,
            None => self.rmse.map_or(self.loss, |rmse| rmse * rmse) <= target,
        }
    }

    /// `97.50 %`, or `RMSE 54.1, R² 0.49`.
    pub fn headline(&self) -> String {
        match (self.accuracy, self.rmse) {
            (Some(accuracy), _) => format!("{:.2} %", 100.0 * accuracy),
            (None, Some(rmse)) if !rmse.is_finite() => "RMSE beyond f32".into(),
            (None, Some(rmse)) => match self.r2 {
                Some(r2) => format!("RMSE {rmse:.4}, R² {r2:.4}"),
                None => format!("RMSE {rmse:.4}"),
            },
            _ => format!("loss {:.4}", self.loss),
        }
    }
}
