//! Half a cosine wave.

use super::half_wave;
use super::prelude::*;

/// f + (1 − f) · (1 + cos(π · min(t, T) / T)) / 2.
///
/// Loshchilov and Hutter 2017 (arXiv 1608.03983), without restarts. The floor is reached at t =
/// T, one step after the last of 0..T, as in PyTorch's `CosineAnnealingLR(T_max = T)` and
/// optax's `cosine_decay_schedule`. PyTorch's rate rises again after T, while this one and
/// optax's stay at the floor.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Cosine {
    /// When the floor is reached, T.
    pub length: Span,
}

impl Default for Cosine {
    fn default() -> Self {
        Cosine {
            length: Span::Fraction(1.0),
        }
    }
}

impl ShapeConfig for Cosine {
    const FACTS: Facts = Facts::new("cosine", "falls to the floor along half a cosine wave")
        .formula("floor + (1 - floor) (1 + cos(pi t/length)) / 2")
        .paper("Loshchilov and Hutter 2017, arXiv 1608.03983");
    const FLOOR: Floor = Floor::Between;

    fn curve(&self, training: &Training<'_>) -> Result<Curve, ConfigError> {
        let length = training.steps(self.length);
        Ok(Arc::new(move |time| {
            half_wave(time.after_warmup.min(length) / length)
        }))
    }
}
