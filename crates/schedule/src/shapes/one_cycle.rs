//! One cycle, up and down.

use super::half_wave;
use super::prelude::*;
use crate::error::require;

/// Up from `start` to 1 over `rise`, then down to `end` at the end of training; never below f.
///
/// Smith and Topin 2018 (arXiv 1708.07120), in the two-phase form of fast.ai. PyTorch's
/// `OneCycleLR` with `start` = 1 / `div_factor` and `end` = `start` / `final_div_factor`
/// differs: it reaches the peak at pct_start · T − 1 and the end at T − 1 instead of pct_start
/// · T and T, and it also cycles momentum. optax's `cosine_onecycle_schedule` has the clock
/// used here.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct OneCycle {
    /// Up to the peak; shorter than training.
    pub rise: Span,
    /// The first rate, as a fraction of the peak.
    #[schemars(range(min = 0.0, max = 1.0), extend("why" = "it is a fraction of the peak rate"))]
    pub start: f64,
    /// The last rate, as a fraction of the peak.
    #[schemars(range(min = 0.0, max = 1.0), extend("why" = "it is a fraction of the peak rate"))]
    pub end: f64,
    /// The shape of both phases.
    pub anneal: Anneal,
}

impl Default for OneCycle {
    fn default() -> Self {
        OneCycle {
            rise: Span::Fraction(0.3),
            start: 0.04,
            end: 4e-6,
            anneal: Anneal::Cosine,
        }
    }
}

/// How a phase of one-cycle goes from a to b; u in [0, 1] is the part that is done.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Anneal {
    /// b + (a − b) · (1 + cos(π u)) / 2.
    Cosine,
    /// a + (b − a) · u.
    Linear,
}

impl ShapeConfig for OneCycle {
    const FACTS: Facts = Facts::new(
        "one-cycle",
        "up to the peak once, then down to almost nothing",
    )
    .formula("start to 1 over rise, then 1 to end; at least floor")
    .paper("Smith and Topin 2018, arXiv 1708.07120");

    fn curve(&self, training: &Training<'_>) -> Result<Curve, ConfigError> {
        let (rise, length) = (training.steps(self.rise), training.left());
        let wanted = "the rise of one-cycle must be shorter than the training after the warm-up";
        require(rise < length, "schedule.rise", self.rise, wanted)?;
        let (start, end, anneal) = (self.start, self.end, self.anneal);
        Ok(Arc::new(move |time| {
            let t = time.after_warmup;
            let (a, b, u) = if t <= rise {
                (start, 1.0, t / rise)
            } else {
                (1.0, end, ((t - rise) / (length - rise)).min(1.0))
            };
            let value = match anneal {
                Anneal::Cosine => b + (a - b) * half_wave(u),
                Anneal::Linear => a + (b - a) * u,
            };
            value.clamp(start.min(end), 1.0)
        }))
    }
}
