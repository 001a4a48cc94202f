//! Steps and examples to a target.

use super::mean;
use crate::event::Curves;
use crate::record::TrialRecord;

/// A median over trials, some of which may never have reached the target.
///
/// Trials that did not reach it count as longer than all that did; a mean over those that did would
/// reward a method for failing on hard seeds.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Censored {
    /// The median over all `n`; `None` if it falls among those that did not reach the target.
    pub median: Option<f64>,
    /// How many reached it.
    pub reached: usize,
    /// The number of trials.
    pub n: usize,
}

impl Censored {
    /// The median of values; `None` stands for a trial that did not reach the target.
    pub fn new(values: &[Option<f64>]) -> Self {
        let n = values.len();
        let mut reached: Vec<f64> = values.iter().flatten().copied().collect();
        reached.sort_by(f64::total_cmp);
        // The middle one or two of all n, with those without a value last.
        let middle = n
            .checked_sub(1)
            .and_then(|last| reached.get(last / 2..=n / 2).filter(|m| !m.is_empty()));
        Censored {
            median: middle.map(mean),
            reached: reached.len(),
            n,
        }
    }
}

fn to_target<'a>(
    records: impl IntoIterator<Item = &'a TrialRecord>,
    target: f64,
    column: fn(&Curves) -> &[u64],
) -> Censored {
    let value = |r: &TrialRecord| reached(r, target).map(|i| column(&r.curves)[i] as f64);
    Censored::new(&records.into_iter().map(value).collect::<Vec<_>>())
}

/// The first point at which a trial's validation metric is at least as good as the target.
fn reached(record: &TrialRecord, target: f64) -> Option<usize> {
    record.curves.validation.iter().position(|v| {
        if record.higher_is_better {
            *v >= target
        } else {
            *v <= target
        }
    })
}

/// Steps until the validation metric first reached the target, over trials; the resolution is the
/// spacing of the curves' points.
pub fn steps_to_target<'a>(
    records: impl IntoIterator<Item = &'a TrialRecord>,
    target: f64,
) -> Censored {
    to_target(records, target, |curves| &curves.step)
}

/// Examples until the validation metric first reached the target, over trials.
pub fn examples_to_target<'a>(
    records: impl IntoIterator<Item = &'a TrialRecord>,
    target: f64,
) -> Censored {
    to_target(records, target, |curves| &curves.examples)
}

/// The validation metric when the training loss first fell to `loss`, interpolated linearly between
/// the neighbouring points; `None` if it never did, or began below.
///
/// Two groups at equal training loss have fitted their data equally well, so a difference between
/// them is one of generalization and not of under-training. The loss is
/// [`Curves::fitted_loss`](crate::Curves::fitted_loss), of the same weights as the validation
/// metric. A mean over the steps since the previous point would lag behind, most for the batch size
/// with the most steps between two points.
pub fn at_train_loss(record: &TrialRecord, loss: f64) -> Option<f64> {
    let c = &record.curves;
    let i = c.fitted_loss.iter().position(|l| *l <= loss)?;
    let before = i.checked_sub(1)?;
    let share = (c.fitted_loss[before] - loss) / (c.fitted_loss[before] - c.fitted_loss[i]);
    let value = c.validation[before] + share * (c.validation[i] - c.validation[before]);
    value.is_finite().then_some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians_are_censored() {
        let c = |v: &[Option<f64>]| Censored::new(v);
        assert_eq!(c(&[]).median, None);
        assert_eq!(c(&[Some(3.0)]).median, Some(3.0));
        assert_eq!(c(&[None]).median, None);
        assert_eq!(
            c(&[Some(5.0), Some(1.0), None]),
            Censored {
                median: Some(5.0),
                reached: 2,
                n: 3
            }
        );
        assert_eq!(
            c(&[Some(5.0), None, None]),
            Censored {
                median: None,
                reached: 1,
                n: 3
            }
        );
        assert_eq!(c(&[Some(2.0), Some(1.0)]).median, Some(1.5));
        assert_eq!(
            c(&[Some(2.0), Some(1.0), None, None]).median,
            None,
            "between 2 and never"
        );
        assert_eq!(
            c(&[Some(2.0), Some(1.0), Some(4.0), None]).median,
            Some(3.0)
        );
    }

    #[test]
    fn targets_and_equal_losses_are_read_from_curves() {
        let record = crate::fixture::record(&[(10, 2.0, 0.5), (20, 1.0, 0.7), (30, 0.5, 0.9)]);
        assert_eq!(steps_to_target([&record], 0.7).median, Some(20.0));
        assert_eq!(
            examples_to_target([&record, &record], 0.65).median,
            Some(640.0)
        );
        assert_eq!(
            steps_to_target([&record], 0.95),
            Censored {
                median: None,
                reached: 0,
                n: 1
            }
        );
        assert!((at_train_loss(&record, 0.75).unwrap() - 0.8).abs() < 1e-15);
        assert_eq!(at_train_loss(&record, 0.1), None);
        assert_eq!(at_train_loss(&record, 2.5), None);
        // The mean over the steps between two points says nothing about the weights at them.
        let mut lagging = record.clone();
        lagging.curves.train_loss = vec![9.0, 2.0, 1.0];
        assert_eq!(at_train_loss(&lagging, 0.75), at_train_loss(&record, 0.75));
        lagging.curves.fitted_loss.clear();
        assert_eq!(at_train_loss(&lagging, 0.75), None);
    }
}
