//! Final metrics, and gaps between training and test.

use crate::record::TrialRecord;

/// The final metric `name` of each trial that is a measurement, with its seed. A trial that
/// diverged, failed or was pruned has none: count those separately.
pub fn finals<'a>(
    records: impl IntoIterator<Item = &'a TrialRecord>,
    name: &str,
) -> Vec<(u64, f64)> {
    let value = |r: &TrialRecord| {
        r.metrics
            .get(name)
            .copied()
            .filter(|v| v.is_finite() && r.stop.is_measurement())
    };
    records
        .into_iter()
        .filter_map(|r| Some((r.seed, value(r)?)))
        .collect()
}

/// The generalization gap of each trial with its seed: `train` − `test`, such as `train_accuracy` −
/// `test_accuracy`. Pass the result to [`estimate`](super::estimate), or those of two groups to
/// [`paired`](super::paired).
pub fn gaps<'a>(
    records: impl IntoIterator<Item = &'a TrialRecord> + Clone,
    train: &str,
    test: &str,
) -> Vec<(u64, f64)> {
    let test = finals(records.clone(), test);
    finals(records, train)
        .into_iter()
        .filter_map(|(seed, a)| Some((seed, a - test.iter().find(|(s, _)| *s == seed)?.1)))
        .collect()
}

/// The lowest training loss, of [`Curves::fitted_loss`](crate::Curves::fitted_loss), that all of
/// the trials reached: the loss at which they are compared at equal training loss (see
/// [`at_train_loss`](super::at_train_loss)). `None` without trials, or if one has no such loss.
pub fn common_train_loss<'a>(records: impl IntoIterator<Item = &'a TrialRecord>) -> Option<f64> {
    let lowest = |r: &TrialRecord| {
        r.curves
            .fitted_loss
            .iter()
            .copied()
            .filter(|l| l.is_finite())
            .fold(f64::INFINITY, f64::min)
    };
    records
        .into_iter()
        .map(lowest)
        .reduce(f64::max)
        .filter(|l| l.is_finite())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::StopReason;
    use crate::fixture::record;

    #[test]
    fn gaps_skip_what_is_no_measurement() {
        let trial = |seed, train: f64, test: f64, stop| TrialRecord {
            seed,
            stop,
            metrics: [
                ("train_accuracy".to_string(), train),
                ("test_accuracy".to_string(), test),
            ]
            .into(),
            ..record(&[(1, 2.0, 0.5)])
        };
        let records = [
            trial(1, 1.0, 0.75, StopReason::Finished),
            trial(2, 0.5, 0.1, StopReason::Diverged),
            trial(3, 1.0, f64::NAN, StopReason::Finished),
            trial(4, 0.5, 0.25, StopReason::TargetReached),
        ];
        assert_eq!(
            gaps(&records, "train_accuracy", "test_accuracy"),
            [(1, 0.25), (4, 0.25)]
        );
        assert_eq!(finals(&records, "train_accuracy").len(), 3);
    }

    #[test]
    fn the_common_loss_is_the_worst_trials_best() {
        let (a, b) = (
            record(&[(1, 2.0, 0.5), (2, 0.1, 0.9), (3, 0.2, 0.9)]),
            record(&[(1, 2.0, 0.5), (2, f64::NAN, 0.9), (3, 0.7, 0.9)]),
        );
        assert_eq!(common_train_loss([&a, &b]), Some(0.7));
        assert_eq!(common_train_loss([]), None);
        assert_eq!(common_train_loss([&a, &record(&[])]), None);
    }
}
