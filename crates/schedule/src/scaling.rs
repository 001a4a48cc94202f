//! Rules that scale the rate with the batch size.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How the peak rate follows the batch size: peak = base · f(batch / base_batch).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Scaling {
    /// f(k) = 1: the same rate for every batch size.
    #[default]
    None,
    /// f(k) = √k, which keeps the variance of the update (Krizhevsky 2014, arXiv 1404.5997; Hoffer
    /// et al. 2017, arXiv 1705.08741); commonly used with LAMB.
    Sqrt,
    /// f(k) = k, which keeps the sum of k small steps (Goyal et al. 2017, arXiv 1706.02677).
    Linear,
}

impl Scaling {
    /// f(batch / base_batch). `base_batch` = 0 gives infinity or NaN, which
    /// [`resolve`](crate::ScheduleConfig::resolve) refuses.
    pub fn factor(self, batch: usize, base_batch: usize) -> f64 {
        let k = batch as f64 / base_batch as f64;
        match self {
            Scaling::None => 1.0,
            Scaling::Sqrt => k.sqrt(),
            Scaling::Linear => k,
        }
    }

    /// The peak rate for `batch`, where `base` is the rate that suits `base_batch`.
    pub fn peak(self, base: f64, batch: usize, base_batch: usize) -> f64 {
        base * self.factor(batch, base_batch)
    }
}
