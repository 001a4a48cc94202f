//! Cosine with warm restarts.

use super::prelude::*;
use super::{half_wave, whole};

/// f + (1 − f) · (1 + cos(π · u / T_i)) / 2, where u counts the steps since the last restart
/// and T_i = `first` · growth^i is the length of cycle i.
///
/// SGDR (Loshchilov and Hutter 2017, arXiv 1608.03983). PyTorch's
/// `CosineAnnealingWarmRestarts(T_0, T_mult)` requires whole numbers; optax's `sgdr_schedule`
/// joins any list of cycles. The default, a first cycle of 1/7 of training and growth 2, gives
/// three cycles that end with training.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct CosineRestarts {
    /// The first cycle; 1/7 of training, growing by 2, makes three cycles.
    pub first: Span,
    /// How much longer each cycle is than the last.
    #[schemars(range(min = 1.0), extend("why" = "cycles do not shrink"))]
    pub growth: f64,
}

impl Default for CosineRestarts {
    fn default() -> Self {
        CosineRestarts {
            first: Span::Fraction(1.0 / 7.0),
            growth: 2.0,
        }
    }
}

impl ShapeConfig for CosineRestarts {
    const FACTS: Facts = Facts::new(
        "cosine-restarts",
        "cosine that jumps back to the peak after each cycle (SGDR)",
    )
    .formula(
        "floor + (1 - floor) (1 + cos(pi u/T_i)) / 2, u since the restart, T_i = first growth^i",
    )
    .paper("Loshchilov and Hutter 2017, arXiv 1608.03983");
    const FLOOR: Floor = Floor::Between;

    fn period(&self) -> Option<Span> {
        Some(self.first)
    }

    fn curve(&self, training: &Training<'_>) -> Result<Curve, ConfigError> {
        let (first, growth) = (training.period(self.first), self.growth);
        Ok(Arc::new(move |time| {
            half_wave(since_restart(time.after_warmup, first, growth))
        }))
    }
}

/// The part of the current cycle that is done, in [0, 1), for cycles of `first` · growth^i steps.
fn since_restart(t: f64, first: f64, growth: f64) -> f64 {
    if growth - 1.0 < 1e-9 {
        return (t / first - whole(t / first)).max(0.0);
    }
    // Cycle n starts at first · (growth^n − 1) / (growth − 1); `powi` keeps whole numbers whole.
    let start = |n: f64| first * (growth.powi(n as i32) - 1.0) / (growth - 1.0);
    let mut n = (t / first * (growth - 1.0))
        .ln_1p()
        .div_euclid(growth.ln())
        .max(0.0);
    if start(n + 1.0) <= t * (1.0 + 1e-12) {
        n += 1.0;
    } else if n > 0.0 && start(n) > t * (1.0 + 1e-12) {
        n -= 1.0;
    }
    ((t - start(n)) / (first * growth.powi(n as i32))).clamp(0.0, 1.0)
}
