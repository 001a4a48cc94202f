//! Steps and examples to a target.

use super::{mean, median_interval};
use crate::record::TrialRecord;

/// A median over trials, some of which may never have reached the target.
///
/// Trials that did not reach it count as longer than all that did; a mean over those that did would
/// reward a method for failing on hard seeds.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Censored {
    /// The median over all `n`; `None` if it falls among those that did not reach the target.
    pub median: Option<f64>,
    /// The interval of the median, as [`median_interval`]; its upper end is ∞ if it falls among
    /// those that did not reach the target. `None` without a median, or of one value.
    pub interval: Option<(f64, f64)>,
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
        let or_never: Vec<f64> = values.iter().map(|v| v.unwrap_or(f64::INFINITY)).collect();
        let interval = median_interval(&or_never)
            .filter(|(median, ..)| n > 1 && median.is_finite())
            .map(|(_, low, high)| (low, high));
        Censored {
            median: middle.map(mean),
            interval,
            reached: reached.len(),
            n,
        }
    }
}

fn to_target<'a>(
    records: impl IntoIterator<Item = &'a TrialRecord>,
    target: f64,
    value: impl Fn(&TrialRecord, usize) -> f64,
) -> Censored {
    let value = |r| reached(r, target).map(|i| value(r, i));
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
    to_target(records, target, |r, i| r.curves.step[i] as f64)
}

/// Examples until the validation metric first reached the target, over trials.
pub fn examples_to_target<'a>(
    records: impl IntoIterator<Item = &'a TrialRecord>,
    target: f64,
) -> Censored {
    to_target(records, target, |r, i| r.curves.examples[i] as f64)
}

/// Seconds of training until the validation metric first reached the target, over trials: the
/// examples until then, divided by the trial's examples per second. The time of evaluations, which
/// a study that counts steps makes often, does not count. `None` if a trial that reached it did not
/// record its speed.
pub fn seconds_to_target<'a>(
    records: impl IntoIterator<Item = &'a TrialRecord>,
    target: f64,
) -> Option<Censored> {
    let records: Vec<&TrialRecord> = records.into_iter().collect();
    let speed = |r: &TrialRecord| {
        let speed = r.provenance.other.get("examples_per_second");
        speed.and_then(|v| v.as_f64()).filter(|s| *s > 0.0)
    };
    let recorded = |r: &&TrialRecord| speed(r).is_some() || reached(r, target).is_none();
    let seconds =
        |r: &TrialRecord, i: usize| r.curves.examples[i] as f64 / speed(r).unwrap_or(f64::NAN);
    records
        .iter()
        .all(recorded)
        .then(|| to_target(records, target, seconds))
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
                interval: Some((1.0, f64::INFINITY)),
                reached: 2,
                n: 3
            }
        );
        assert_eq!(
            c(&[Some(5.0), None, None]),
            Censored {
                median: None,
                interval: None,
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
                interval: None,
                reached: 0,
                n: 1
            }
        );
        assert_eq!(seconds_to_target([&record], 0.7), None, "no speed");
        let mut timed = record.clone();
        let speed = ("examples_per_second".to_string(), 320.0.into());
        timed.provenance.other.extend([speed]);
        let seconds = seconds_to_target([&timed], 0.7).unwrap();
        assert_eq!(seconds.median, Some(2.0), "20 steps of 32 at 320 a second");
        let never = seconds_to_target([&record], 0.95).unwrap();
        assert_eq!((never.median, never.n), (None, 1));
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
