//! How well a model does on a part of the data.

use serde::{Deserialize, Serialize};

use crate::nullable;

/// Means over the examples of a part.
#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize)]
pub struct Metrics {
    /// The number of examples.
    pub n: u64,
    /// The mean loss, without label smoothing. For real targets it is measured on the targets as
    /// the model sees them, that is, standardised if preprocessing does so. A loss too large for
    /// f32 is infinite; JSON writes it as `null`, which is read as NaN.
    #[serde(with = "nullable")]
    pub loss: f64,
    /// The share of examples classified correctly; absent for real targets.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub accuracy: Option<f64>,
    /// The root mean squared error, in the target's own unit; absent for classes, `null` if the
    /// loss is.
    #[serde(with = "nullable", skip_serializing_if = "Option::is_none", default)]
    pub rmse: Option<f64>,
    /// The coefficient of determination, 1 − Σ(y − ŷ)² / Σ(y − ȳ)²; absent for classes and when all
    /// targets are equal, `null` if the loss is.
    #[serde(with = "nullable", skip_serializing_if = "Option::is_none", default)]
    pub r2: Option<f64>,
}

impl Metrics {
    /// Whether validation has reached a target: an accuracy of at least `target`, or for real
    /// targets a mean squared error, in their own unit squared, of at most `target`.
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
