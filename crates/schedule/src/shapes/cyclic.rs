//! Cycles between a low rate and the peak.

use super::prelude::*;
use super::whole;

/// max(f, low + (1 − low) · tri(t) · s): up from `low` to the peak over `rise`, down again over `fall`, and so on.
///
/// Smith 2017 (arXiv 1506.01186), who advises 2 to 10 epochs for `rise`. PyTorch's `CyclicLR`
/// with `base_lr` = low · peak and `max_lr` = peak; unless `cycle_momentum = False` it also
/// cycles momentum, and it overrides the optimizer's rate.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Cyclic {
    /// Whether each cycle is half as high as the last: `triangular` s = 1, `triangular2` s = 2^−c in
    /// cycle c (from 0).
    pub mode: CycleMode,
    /// From low to high.
    pub rise: Span,
    /// From high to low; the same as rise if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fall: Option<Span>,
    /// The low rate, as a fraction of the peak.
    #[schemars(range(min = 0.0, max = 1.0), extend("why" = "it is a fraction of the peak rate"))]
    pub low: f64,
}

impl Default for Cyclic {
    fn default() -> Self {
        Cyclic {
            mode: CycleMode::Triangular,
            rise: Span::Fraction(0.125),
            fall: None,
            low: 0.25,
        }
    }
}

/// How the amplitude of a cyclic schedule changes.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum CycleMode {
    /// Every cycle reaches the peak.
    Triangular,
    /// Every cycle rises half as high above `low` as the one before.
    Triangular2,
}

impl ShapeConfig for Cyclic {
    const FACTS: Facts = Facts::new("cyclic", "up and down between a low rate and the peak")
        .formula("max(floor, low + (1 - low) tri(t) s), s = 1 or 2^-cycle")
        .paper("Smith 2017, arXiv 1506.01186");

    fn period(&self) -> Option<Span> {
        Some(self.rise)
    }

    fn curve(&self, training: &Training<'_>) -> Result<Curve, ConfigError> {
        let rise = training.period(self.rise);
        let fall = training.period_after(self.rise, self.fall.unwrap_or(self.rise));
        let (mode, low) = (self.mode, self.low);
        Ok(Arc::new(move |time| {
            let t = time.after_warmup;
            let cycle = whole(t / (rise + fall));
            let u = (t - cycle * (rise + fall)).max(0.0);
            let height = if u <= rise {
                u / rise
            } else {
                ((rise + fall - u) / fall).max(0.0)
            };
            let scale = match mode {
                CycleMode::Triangular => 1.0,
                CycleMode::Triangular2 => (-cycle).exp2(),
            };
            low + (1.0 - low) * height * scale
        }))
    }
}
