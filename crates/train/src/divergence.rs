//! Decides when a training has diverged.

use serde::{Deserialize, Serialize};

use crate::nullable;

/// Examples over which a loss is averaged before it is judged: in a healthy training the losses of
/// single examples may differ a hundredfold.
pub(crate) const STRETCH: usize = 1000;

/// The largest weight of one step, so that no single step decides.
const MOST: f64 = 0.1;

/// The verdict on a training's loss.
///
/// NaN and infinity count at once. Otherwise a moving average is compared: s ← s + w (ℓ − s), with
/// the mean loss ℓ of a step's n examples and w = min(n / E, 1/10), where E is 1,000 examples, or
/// an epoch if that is shorter. So s averages over about E examples and at least 10 steps. It
/// starts at the unit L, so that the first step, too, counts only by its weight. The training has
/// diverged once s > `stop.divergence` · L.
///
/// With the default of 1,000, a loss that stays at twice the bound is detected after 7 steps of at
/// least E/10 examples, or after 0.7 E examples in smaller steps; a loss that doubles in every step
/// is detected within 20 steps at any batch size. A GPU's losses are read late: there the verdict
/// comes at the next log line, evaluation or end of an epoch.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub(crate) struct Divergence {
    /// The unit L, which `stop.divergence` multiplies; without it only NaN and infinity count.
    unit: Option<f64>,
    /// The moving average s of the loss.
    #[serde(with = "nullable")]
    average: f64,
    /// The verdict. A loss that is read late, as on a GPU, may be read for a checkpoint; the
    /// verdict is kept until the next step asks for it.
    diverged: bool,
}

impl Divergence {
    pub(crate) fn new(unit: Option<f64>) -> Self {
        Divergence {
            unit,
            average: unit.unwrap_or(0.0),
            diverged: false,
        }
    }

    /// Adds the mean loss of a step's examples. The bound is `factor` times the unit; `epoch` is
    /// the number of training examples.
    pub(crate) fn see(&mut self, loss: f64, examples: usize, epoch: usize, factor: f64) {
        let weight = (examples as f64 / STRETCH.min(epoch) as f64).min(MOST);
        self.average += weight * (loss - self.average);
        self.diverged |=
            !loss.is_finite() || self.unit.is_some_and(|unit| self.average > factor * unit);
    }

    pub(crate) fn found(&self) -> bool {
        self.diverged
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use largebatch_random::{Key, unit};

    /// The step at which a sequence of losses counts as diverged.
    fn found(batch: usize, losses: impl IntoIterator<Item = f64>) -> Option<usize> {
        let mut verdict = Divergence::new(Some(1.0));
        losses.into_iter().position(|loss| {
            verdict.see(loss, batch, 100_000, 1000.0);
            verdict.found()
        })
    }

    /// The step counts that the documentation states.
    #[test]
    fn a_diverging_loss_is_found_within_the_stated_steps() {
        for batch in [1, 2, 7, 32, 100, 1000, 50_000] {
            let twice = found(batch, std::iter::repeat_n(2000.0, 2000)).unwrap() + 1;
            assert!(twice <= 7.max(700usize.div_ceil(batch)), "{batch}: {twice}");
            let doubling = found(batch, (0..100).map(|t| 2f64.powi(t))).unwrap() + 1;
            assert!(doubling <= 20, "{batch}: {doubling}");
            assert_eq!(found(batch, [1.0, 1.0, f64::NAN]), Some(2));
            assert_eq!(found(batch, [f64::INFINITY]), Some(0));
        }
        assert_eq!(
            found(1, std::iter::repeat_n(999.0, 100_000)),
            None,
            "always below the bound"
        );
    }

    /// Losses that are 1/share with probability `share` and else 0: their mean is 1, and their tail
    /// as heavy as in a data set of 1/share examples.
    #[test]
    fn heavy_tails_are_not_divergence() {
        for (batch, share) in [(1, 0.1), (1, 1e-3), (1, 1e-5), (8, 1e-4), (256, 1e-5)] {
            for seed in 0..20 {
                let mut rng = Key::new(seed).rng();
                let mean = |rng: &mut _| {
                    (0..batch)
                        .map(|_| if unit(rng) < share { 1.0 / share } else { 0.0 })
                        .sum::<f64>()
                        / batch as f64
                };
                let losses: Vec<f64> = (0..100_000 / batch).map(|_| mean(&mut rng)).collect();
                assert_eq!(found(batch, losses), None, "batch {batch}, one in {share}");
            }
        }
    }

    #[test]
    fn without_a_unit_only_what_is_not_finite_counts() {
        let mut verdict = Divergence::new(None);
        verdict.see(1e300, 1, 10, 2.0);
        assert!(!verdict.found());
        verdict.see(f64::NAN, 1, 10, 2.0);
        verdict.see(1.0, 1, 10, 2.0);
        assert!(verdict.found(), "and it stands");
        let text = serde_json::to_string(&verdict).unwrap();
        assert!(
            serde_json::from_str::<Divergence>(&text).unwrap().found(),
            "{text}"
        );
    }
}
