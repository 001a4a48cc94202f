use serde::{Deserialize, Serialize};

use crate::record::{Curves, StopReason};
use crate::runner::Started;
use crate::trial::canonical_number;

/// When a trial ends before its budget. Every rule looks at this trial alone, so that the result is the same beside any other trials,
/// on any shard; a rule is judged at each point of the curves.
#[derive(Clone, Copy, PartialEq, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StopRules {
    /// Stop once the validation metric is at least this good (for a metric of which less is better: at most this).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<f64>,
    /// Stop once the training loss no longer falls.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plateau: Option<Plateau>,
    /// Stop a trial that learns nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hopeless: Option<Hopeless>,
}

/// The training loss has not improved: its lowest value is not below (1 − `improvement`) × its lowest value of `epochs` epochs ago.
#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Plateau {
    /// How long to wait, in epochs.
    pub epochs: f64,
    /// The least relative improvement in that time, in (0, 1).
    pub improvement: f64,
}

/// After the fraction `after` of the budget the lowest training loss so far is still above that of a constant predictor.
#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Hopeless {
    /// The fraction of the budget, in (0, 1).
    pub after: f64,
    /// The loss to be below; by default the constant predictor's, which the runner tells.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub loss_above: Option<f64>,
}

impl StopRules {
    /// The reason to stop at the curves' last point, if there is one.
    pub fn judge(&self, started: &Started, curves: &Curves) -> Option<StopReason> {
        let last = curves.step.len().checked_sub(1)?;
        if let Some(target) = self.target {
            let value = curves.validation[last];
            if if started.higher_is_better { value >= target } else { value <= target } {
                return Some(StopReason::TargetReached);
            }
        }
        let lowest = |upto: usize| curves.train_loss[..=upto].iter().copied().filter(|x| x.is_finite()).fold(f64::INFINITY, f64::min);
        if let Some(Hopeless { after, loss_above }) = self.hopeless
            && curves.step[last] as f64 >= after * started.budget_steps as f64
            && let Some(bound) = loss_above.or(started.constant_loss)
            && lowest(last) > bound
        {
            return Some(StopReason::Hopeless);
        }
        if let Some(Plateau { epochs, improvement }) = self.plateau {
            let since = curves.examples[last] as f64 - epochs * started.train_examples as f64;
            let before = curves.examples.iter().rposition(|&e| e as f64 <= since);
            if before.is_some_and(|before| lowest(last) > (1.0 - improvement) * lowest(before)) {
                return Some(StopReason::Plateau);
            }
        }
        None
    }

    pub(crate) fn canonical(&self) -> String {
        let number = |x: Option<f64>| x.map_or("null".into(), canonical_number);
        format!(
            "[{},{},{},{},{}]",
            number(self.target),
            number(self.plateau.map(|p| p.epochs)),
            number(self.plateau.map(|p| p.improvement)),
            number(self.hopeless.map(|h| h.after)),
            number(self.hopeless.and_then(|h| h.loss_above))
        )
    }
}
