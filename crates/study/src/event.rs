//! What a trial reports while it runs, and why it ends.

use largebatch_schedule::Epochs;
use serde::{Deserialize, Deserializer, Serialize};

/// What a runner reports before the first step.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Started {
    /// Size of the training part.
    pub train_examples: u64,
    /// The step at which each epoch begins; without it, an epoch counts as `train_examples`
    /// examples.
    pub epochs: Option<Epochs>,
    /// Steps of the whole budget.
    pub budget_steps: u64,
    /// The validation metric's name, such as `validation_accuracy`.
    pub metric: String,
    /// Whether a higher metric is better.
    pub higher_is_better: bool,
    /// Training loss of the best constant predictor, for the rule `prune`; absent if there is
    /// none.
    pub constant_loss: Option<f64>,
}

/// An event in a trial.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Event {
    /// The training begins; sent once, before the first step.
    Started(Started),
    /// A point of the curves.
    Point {
        /// Steps done.
        step: u64,
        /// Examples seen.
        examples: u64,
        /// Mean training loss since the previous point; `null` in JSON if it is not finite.
        #[serde(deserialize_with = "nullable_number")]
        train_loss: f64,
        /// The validation metric, if it was measured.
        validation: Option<f64>,
        /// The loss of the current weights on a fixed set of training examples, if it was measured.
        fitted_loss: Option<f64>,
    },
}

/// A trial's curves, as columns of equal length; a value that is not finite or was not measured is
/// `null` in JSON and NaN here.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct Curves {
    /// Steps done.
    pub step: Vec<u64>,
    /// Examples seen.
    pub examples: Vec<u64>,
    /// Mean training loss since the previous point.
    #[serde(deserialize_with = "nullable")]
    pub train_loss: Vec<f64>,
    /// The validation metric.
    #[serde(deserialize_with = "nullable")]
    pub validation: Vec<f64>,
    /// The loss of the current weights on a fixed set of training examples. (`train_loss` is a mean
    /// over the steps since the previous point and lags behind.) Empty if it was not measured.
    #[serde(
        deserialize_with = "nullable",
        default,
        skip_serializing_if = "Vec::is_empty"
    )]
    pub fitted_loss: Vec<f64>,
}

/// Why a trial ended.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StopReason {
    /// It used its whole budget.
    Finished,
    /// The validation metric reached [`StopRules::target`](crate::StopRules::target).
    TargetReached,
    /// The training loss no longer fell ([`Plateau`](crate::Plateau)).
    Plateau,
    /// The loss was not finite, or exceeded the trainer's bound.
    Diverged,
    /// It learned nothing, or lost what it had learned ([`Prune`](crate::Prune)). Records of versions before 0.3 say
    /// `hopeless`.
    #[serde(alias = "hopeless")]
    Pruned,
    /// An error or a crash.
    Failed {
        /// What happened; the same for every repetition of the trial.
        message: String,
    },
}

impl std::fmt::Display for StopReason {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            StopReason::Finished => "finished",
            StopReason::TargetReached => "target reached",
            StopReason::Plateau => "plateau",
            StopReason::Diverged => "diverged",
            StopReason::Pruned => "pruned",
            StopReason::Failed { .. } => "failed",
        })
    }
}

impl StopReason {
    /// Whether the trial is a valid measurement: it ended by its budget, target or plateau.
    pub fn is_measurement(&self) -> bool {
        matches!(
            self,
            StopReason::Finished | StopReason::TargetReached | StopReason::Plateau
        )
    }

    pub(crate) fn is_diverged(&self) -> bool {
        *self == StopReason::Diverged
    }

    pub(crate) fn is_failed(&self) -> bool {
        matches!(self, StopReason::Failed { .. })
    }
}

/// NaN and infinities are `null` in JSON.
fn nullable<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<f64>, D::Error> {
    let column = Vec::<Option<f64>>::deserialize(deserializer)?.into_iter();
    Ok(column.map(|x| x.unwrap_or(f64::NAN)).collect())
}

fn nullable_number<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or(f64::NAN))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Workers send JSON, which has no NaN or infinity.
    #[test]
    fn an_event_with_a_loss_that_is_not_finite_is_read() {
        for loss in [f64::NAN, f64::INFINITY, 0.1] {
            let event = Event::Point {
                step: 1,
                examples: 2,
                train_loss: loss,
                validation: None,
                fitted_loss: Some(loss),
            };
            let text = serde_json::to_string(&event).unwrap();
            let Event::Point { train_loss, .. } = serde_json::from_str(&text).unwrap() else {
                panic!("{text}")
            };
            assert!(
                train_loss == loss || (train_loss.is_nan() && !loss.is_finite()),
                "{text}"
            );
        }
    }
}
