//! The rules that end a trial early.

use schemars::{JsonSchema, Schema};
use serde::{Deserialize, Serialize};

use crate::event::{Curves, Started, StopReason};

/// When a trial ends before its budget. Every rule looks only at this trial, so that the result
/// does not depend on other trials or on the shard. A rule is evaluated at each point of the
/// curves.
///
/// [`Plateau`] and [`Prune`] judge the training loss over half an epoch or more: points closer
/// together are first averaged. So points an epoch apart are judged one by one, and among denser
/// ones, each of which may be the loss of a few examples, none decides alone.
#[derive(Clone, Copy, PartialEq, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(transform = with_old_name)]
pub struct StopRules {
    /// Stop once the validation metric is at least this good: at or above this value, or at or
    /// below it if lower is better.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<f64>,
    /// Stop once the training loss no longer falls.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plateau: Option<Plateau>,
    /// Stop a trial that is no better than a constant predictor. Versions before 0.3 called this
    /// `hopeless`.
    #[serde(default, alias = "hopeless", skip_serializing_if = "Option::is_none")]
    pub prune: Option<Prune>,
}

/// The schema takes the old name of `prune`, too.
fn with_old_name(schema: &mut Schema) {
    let properties = schema.get_mut("properties").and_then(|p| p.as_object_mut());
    if let Some(properties) = properties
        && let Some(prune) = properties.get("prune").cloned()
    {
        properties.insert("hopeless".into(), prune);
    }
}

/// The training loss has not improved: its lowest value is not below (1 − `improvement`) × its lowest value of `epochs` epochs ago.
#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Plateau {
    /// How long to wait, in epochs.
    #[schemars(extend("exclusiveMinimum" = 0.0))]
    pub epochs: f64,
    /// The least relative improvement in that time, in (0, 1).
    #[schemars(extend("exclusiveMinimum" = 0.0, "exclusiveMaximum" = 1.0))]
    pub improvement: f64,
}

/// From the fraction `after` of the budget on, the training loss must not be above that of a
/// constant predictor.
///
/// At every such point the newest half epoch is judged, or what there is at the end of a shorter
/// budget. A training that never learned and one that learned and then collapsed are both pruned.
/// Earlier losses are ignored. A loss that is not finite is above every bound.
#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Prune {
    /// The fraction of the budget before which nothing is judged, in (0, 1).
    #[schemars(extend("exclusiveMinimum" = 0.0, "exclusiveMaximum" = 1.0))]
    pub after: f64,
    /// The loss to stay below; by default the constant predictor's, which the runner reports.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub loss_above: Option<f64>,
}

impl StopRules {
    /// The reason to stop at the last point of the curves, if there is one.
    pub(crate) fn judge(&self, started: &Started, curves: &Curves) -> Option<StopReason> {
        let last = curves.step.len().checked_sub(1)?;
        if let Some(target) = self.target {
            let value = curves.validation[last];
            if if started.higher_is_better {
                value >= target
            } else {
                value <= target
            } {
                return Some(StopReason::TargetReached);
            }
        }
        if let Some(Prune { after, loss_above }) = self.prune
            && let first = curves
                .step
                .partition_point(|&step| (step as f64) < after * started.budget_steps as f64)
            && first <= last
            && let Some(bound) = loss_above.or(started.constant_loss)
            && let (halves, rest) = half_epochs(started, curves, first)
            && let newest = halves
                .last()
                .copied()
                .filter(|(i, _)| *i == last)
                .map(|(_, loss)| loss)
            && let at_the_end =
                rest.filter(|_| halves.is_empty() && curves.step[last] >= started.budget_steps)
            && (!curves.train_loss[last].is_finite()
                || newest.or(at_the_end).is_some_and(|loss| loss > bound))
        {
            return Some(StopReason::Pruned);
        }
        if let Some(Plateau {
            epochs,
            improvement,
        }) = self.plateau
        {
            let (halves, _) = half_epochs(started, curves, 0);
            let before = match &started.epochs {
                Some(clock) => {
                    let since = clock.step(clock.epoch(curves.step[last] as f64) - epochs);
                    halves
                        .iter()
                        .rposition(|(i, _)| curves.step[*i] as f64 <= since)
                }
                None => {
                    let seen = |i: usize| curves.examples[i] as f64;
                    let since = seen(last) - epochs * started.train_examples as f64;
                    halves.iter().rposition(|(i, _)| seen(*i) <= since)
                }
            };
            let lowest = |of: &[(usize, f64)]| {
                of.iter()
                    .map(|half| half.1)
                    .filter(|x| x.is_finite())
                    .fold(f64::INFINITY, f64::min)
            };
            if before.is_some_and(|before| {
                lowest(&halves) > (1.0 - improvement) * lowest(&halves[..=before])
            }) {
                return Some(StopReason::Plateau);
            }
        }
        None
    }
}

/// The training loss from the point `first` on, as means over half an epoch or more, each with the
/// index of its last point; and the mean over the rest.
fn half_epochs(
    started: &Started,
    curves: &Curves,
    first: usize,
) -> (Vec<(usize, f64)>, Option<f64>) {
    let (mut halves, mut sum, mut held, mut begun) = (Vec::new(), 0.0, 0, first);
    for i in first..curves.step.len() {
        let examples = curves.examples[i] - i.checked_sub(1).map_or(0, |i| curves.examples[i]);
        sum += examples as f64 * curves.train_loss[i];
        held += examples;
        if 2 * held >= started.train_examples {
            halves.push((
                i,
                if begun == i {
                    curves.train_loss[i]
                } else {
                    sum / held as f64
                },
            ));
            (sum, held, begun) = (0.0, 0, i + 1);
        }
    }
    (halves, (held > 0).then(|| sum / held as f64))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::record;

    const STARTED: fn() -> Started = || Started {
        train_examples: 320,
        epochs: None,
        budget_steps: 100,
        metric: "validation_accuracy".into(),
        higher_is_better: true,
        constant_loss: Some(2.3),
    };

    /// The step at which rules stop a sequence of (step, training loss, validation metric); an
    /// epoch is 10 steps.
    fn stop(rules: &str, points: &[(u64, f64, f64)]) -> Option<(u64, StopReason)> {
        let rules: StopRules = toml::from_str(rules).unwrap();
        (1..=points.len()).find_map(|n| {
            Some((
                points[n - 1].0,
                rules.judge(&STARTED(), &record(&points[..n]).curves)?,
            ))
        })
    }

    #[test]
    fn targets_are_reached_from_the_better_side() {
        let curve = [(10, 1.0, 0.3), (20, 1.0, 0.5), (30, 1.0, 0.6)];
        assert_eq!(
            stop("target = 0.5", &curve),
            Some((20, StopReason::TargetReached))
        );
        assert_eq!(stop("target = 0.7", &curve), None);
        let rules = StopRules {
            target: Some(0.4),
            ..Default::default()
        };
        let lower = Started {
            higher_is_better: false,
            ..STARTED()
        };
        assert_eq!(
            rules.judge(&lower, &record(&curve[..1]).curves),
            Some(StopReason::TargetReached)
        );
        assert_eq!(rules.judge(&lower, &record(&curve[1..]).curves), None);
        assert_eq!(
            rules.judge(&lower, &record(&[(1, 1.0, f64::NAN)]).curves),
            None
        );
    }

    #[test]
    fn a_trial_no_better_than_a_constant_after_a_fifth_of_the_budget_is_pruned() {
        let rule = "prune.after = 0.2";
        let curve = |l: f64| [(10, 2.4, 0.1), (15, 2.5, 0.1), (20, l, 0.1), (30, 2.2, 0.1)];
        assert_eq!(stop(rule, &curve(2.35)), Some((20, StopReason::Pruned)));
        assert_eq!(
            stop(rule, &curve(2.3)),
            None,
            "as good as a constant is not above it"
        );
        assert_eq!(
            stop("prune = { after = 0.2, loss_above = 2.0 }", &curve(2.2)),
            Some((20, StopReason::Pruned))
        );
        // A collapse is pruned, however low the loss was before and however late it comes.
        assert_eq!(
            stop(rule, &[(10, 0.9, 0.8), (20, 19.0, 0.1), (30, 19.0, 0.1)]),
            Some((20, StopReason::Pruned))
        );
        assert_eq!(
            stop(
                rule,
                &[
                    (20, 0.9, 0.8),
                    (40, 0.5, 0.9),
                    (60, 19.0, 0.1),
                    (80, 0.5, 0.9)
                ]
            ),
            Some((60, StopReason::Pruned))
        );
        assert_eq!(
            stop(rule, &[(20, 0.9, 0.8), (100, 2.31, 0.1)]),
            Some((100, StopReason::Pruned)),
            "the last point too"
        );
        // A spike before `after` is ignored, and so is a slowly falling loss below the bound.
        assert_eq!(
            stop(
                rule,
                &[
                    (10, 500.0, 0.1),
                    (15, f64::NAN, 0.1),
                    (20, 2.2, 0.2),
                    (30, 1.0, 0.7)
                ]
            ),
            None
        );
        assert_eq!(
            stop(
                rule,
                &[
                    (20, 2.29, 0.1),
                    (40, 2.28, 0.1),
                    (60, 2.27, 0.1),
                    (80, 2.26, 0.1),
                    (100, 2.25, 0.1)
                ]
            ),
            None
        );
        // NaN is not a low loss.
        assert_eq!(
            stop(rule, &[(30, f64::NAN, 0.1)]),
            Some((30, StopReason::Pruned))
        );
        assert_eq!(
            stop(rule, &[(20, 1.0, 0.7), (30, f64::INFINITY, 0.1)]),
            Some((30, StopReason::Pruned))
        );
    }

    /// The rule of Keskar et al.: the training loss has not fallen by 1 % in 10 epochs, here in 2.
    #[test]
    fn a_plateau_is_a_loss_that_no_longer_falls() {
        let rules = "plateau = { epochs = 2, improvement = 0.01 }";
        let curve = [
            (10, 1.0, 0.0),
            (20, 0.9, 0.0),
            (30, 0.8, 0.0),
            (40, 0.805, 0.0),
            (50, 0.795, 0.0),
            (60, 0.5, 0.0),
        ];
        // At step 50 the lowest loss is 0.795, and two epochs earlier it was 0.8: a fall of less
        // than 1 %.
        assert_eq!(stop(rules, &curve), Some((50, StopReason::Plateau)));
        assert_eq!(
            stop(
                rules,
                &[
                    (10, 1.0, 0.0),
                    (20, 0.9, 0.0),
                    (30, 0.8, 0.0),
                    (40, 0.7, 0.0)
                ]
            ),
            None
        );
        assert_eq!(
            stop(rules, &[(10, 1.0, 0.0), (20, 1.0, 0.0)]),
            None,
            "too early to tell"
        );
        // Epochs are those of the training, even if a last batch is dropped: with 5 steps per
        // epoch, two of them end at step 10.
        let flat = record(&[(5, 1.0, 0.0), (10, 1.0, 0.0), (15, 1.0, 0.0)]).curves;
        let started = Started {
            epochs: Some(largebatch_schedule::Epochs::even(5)),
            ..STARTED()
        };
        let rules: StopRules = toml::from_str(rules).unwrap();
        assert_eq!(
            (rules.judge(&STARTED(), &flat), rules.judge(&started, &flat)),
            (None, Some(StopReason::Plateau))
        );
    }

    /// Ten points per epoch, each of a batch of 32: by chance some are above the constant
    /// predictor's loss, and one is low.
    #[test]
    fn no_rule_is_decided_by_one_noisy_point() {
        let prune = "prune.after = 0.2";
        let noisy = |mean: f64| -> Vec<(u64, f64, f64)> {
            (1..=100)
                .map(|i| (i, mean + [1.5, -0.6, -0.9][i as usize % 3], 0.1))
                .collect()
        };
        assert_eq!(stop(prune, &noisy(2.0)), None);
        // Half an epoch from step 20 on: 5 points.
        assert_eq!(stop(prune, &noisy(2.6)), Some((24, StopReason::Pruned)));
        let mut collapsed = noisy(2.0);
        collapsed[70..].iter_mut().for_each(|point| point.1 = 19.0);
        assert_eq!(stop(prune, &collapsed), Some((74, StopReason::Pruned)));
        collapsed[60].1 = f64::NAN;
        assert_eq!(
            stop(prune, &collapsed),
            Some((61, StopReason::Pruned)),
            "no number counts at once"
        );
        // A budget of less than half an epoch is judged at its end.
        let short = Started {
            train_examples: 32_000,
            ..STARTED()
        };
        let rules: StopRules = toml::from_str(prune).unwrap();
        let judged = |mean: f64, n: usize| rules.judge(&short, &record(&noisy(mean)[..n]).curves);
        assert_eq!(
            (judged(2.6, 99), judged(2.6, 100), judged(2.0, 100)),
            (None, Some(StopReason::Pruned), None)
        );

        // The loss falls from 3 to 1 over 100 steps; at step 12 a point is by chance lower than the
        // others will be for three epochs.
        let mut falling: Vec<(u64, f64, f64)> =
            (1..=100).map(|i| (i, 3.0 - 0.02 * i as f64, 0.1)).collect();
        falling[11].1 = 2.0;
        assert_eq!(
            stop("plateau = { epochs = 2, improvement = 0.01 }", &falling),
            None
        );
        let flat: Vec<(u64, f64, f64)> = falling
            .iter()
            .map(|&(i, loss, v)| (i, if i <= 50 { loss } else { 2.0 }, v))
            .collect();
        assert_eq!(
            stop("plateau = { epochs = 2, improvement = 0.01 }", &flat),
            Some((75, StopReason::Plateau))
        );
    }
}
