//! The numbers of one group.

use largebatch_study::statistics::{
    Censored, Estimate, binomial_error, estimate, examples_to_target, finals, gaps,
    seconds_to_target, steps_to_target,
};
use largebatch_study::{Results, StopReason, TrialRecord, key, number, title};

use crate::measure::Measure;

/// A group's numbers.
pub(crate) struct Facts<'a> {
    pub label: String,
    /// The label without the batch size.
    pub short: String,
    pub batch: Option<f64>,
    pub rate: Option<f64>,
    /// The reported trials.
    pub records: Vec<&'a TrialRecord>,
    pub diverged: usize,
    /// Number of trials that failed or were pruned.
    pub lost: usize,
    /// The reported quantity by seed.
    pub values: Vec<(u64, f64)>,
    pub score: Option<Estimate>,
    /// Standard error of the score due to the size of the test part.
    pub binomial: Option<f64>,
    /// The size of the test part.
    pub test_examples: Option<usize>,
    pub train: Option<Estimate>,
    /// How much better the training score is than the test score, by seed.
    pub gaps: Vec<(u64, f64)>,
    pub gap: Option<Estimate>,
    pub target: Option<f64>,
    pub steps: Option<Censored>,
    pub examples: Option<Censored>,
    /// Seconds of training to the target, without evaluations.
    pub training: Option<Censored>,
    /// The budget in epochs and in steps.
    pub budget: Option<(f64, u64)>,
    /// Mean number of epochs trained.
    pub epochs: Option<f64>,
    pub seconds: Option<f64>,
}

/// Evaluates the reported trials of a group.
pub(crate) fn facts<'a>(
    results: &'a Results,
    index: usize,
    records: Vec<&'a TrialRecord>,
    measure: &Measure,
    train_key: &str,
) -> Facts<'a> {
    let group = &results.plan.groups[index];
    let values = finals(records.iter().copied(), &measure.key);
    let sign = if measure.higher { 1.0 } else { -1.0 };
    let gaps: Vec<(u64, f64)> = gaps(records.iter().copied(), train_key, &measure.key)
        .into_iter()
        .map(|(seed, gap)| (seed, sign * gap))
        .collect();
    let score = estimate(&second(&values)).map(|e| possible(measure, 0.0, e));
    let examples = records
        .iter()
        .find_map(|r| r.metrics.get("test_examples").copied())
        .filter(|_| measure.key.starts_with("test_"));
    // Only fractions have a binomial error.
    let binomial = score
        .filter(|_| measure.percent)
        .zip(examples)
        .map(|(s, n)| binomial_error(s.mean, n as usize))
        .filter(|e| e.is_finite());
    let batch = group.config.get(key::BATCH).and_then(number);
    let budget = records
        .iter()
        .find_map(|r| Some((r.budget_epochs()?, r.budget_steps)));
    let done: Vec<&&TrialRecord> = records
        .iter()
        .filter(|r| r.stop.is_measurement() && r.train_examples > 0)
        .collect();
    let average = |f: &dyn Fn(&TrialRecord) -> f64| {
        (!done.is_empty()).then(|| done.iter().map(|r| f(r)).sum::<f64>() / done.len() as f64)
    };
    let diverged = records
        .iter()
        .filter(|r| r.stop == StopReason::Diverged)
        .count();
    // If no point of the search reached the target, nothing is confirmed, and the trials of the
    // search are counted.
    let unconfirmed =
        if records.is_empty() && results.choices[index].is_none() && results.tuned(index) {
            results
                .plan
                .tune_ids(index)
                .iter()
                .filter_map(|id| results.records.get(id))
                .collect()
        } else {
            Vec::new()
        };
    let counted = || records.iter().chain(&unconfirmed).copied();
    let mut other = group.labels.clone();
    other.remove(key::BATCH);
    let [label, short] = [&group.labels, &other].map(|labels| match title(labels) {
        text if text.is_empty() => results.plan.study.name.clone(),
        text => text,
    });
    Facts {
        label,
        short,
        batch,
        rate: results.rate(index),
        diverged,
        lost: records.iter().filter(|r| !r.stop.is_measurement()).count() - diverged,
        score,
        binomial,
        test_examples: examples.map(|n| n as usize),
        train: estimate(&second(&finals(records.iter().copied(), train_key)))
            .map(|e| possible(measure, 0.0, e)),
        gap: estimate(&second(&gaps)).map(|e| possible(measure, -1.0, e)),
        gaps,
        target: group.stop.target,
        steps: group.stop.target.map(|t| steps_to_target(counted(), t)),
        examples: group.stop.target.map(|t| examples_to_target(counted(), t)),
        training: group
            .stop
            .target
            .and_then(|t| seconds_to_target(counted(), t)),
        budget,
        epochs: average(&|r| r.epoch(r.steps, r.examples).unwrap_or(0.0)),
        seconds: average(&|r| r.provenance.seconds),
        values,
        records,
    }
}

/// Limits an estimate's interval to possible values: a fraction is between 0 and 1, a gap or
/// difference of fractions between `least` = −1 and 1. With few seeds that differ much, Student's t
/// goes beyond. The limited interval has the same coverage, because the true value cannot be
/// outside.
pub(crate) fn possible(m: &Measure, least: f64, e: Estimate) -> Estimate {
    let interval = e.interval.map(|(low, high)| {
        if m.percent {
            (low.max(least), high.min(1.0))
        } else {
            (low, high)
        }
    });
    Estimate { interval, ..e }
}

pub(crate) fn second(pairs: &[(u64, f64)]) -> Vec<f64> {
    pairs.iter().map(|p| p.1).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn intervals_of_shares_stay_within_what_is_possible() {
        let wide = estimate(&[0.1, 0.4709]).unwrap();
        assert!(wide.interval.unwrap().0 < -1.0 && wide.interval.unwrap().1 > 1.0);
        let mut m = Measure {
            key: "test_accuracy".into(),
            words: "test accuracy".into(),
            percent: true,
            higher: true,
        };
        assert_eq!(
            possible(&m, 0.0, wide),
            Estimate {
                interval: Some((0.0, 1.0)),
                ..wide
            }
        );
        assert_eq!(
            possible(&m, -1.0, wide),
            Estimate {
                interval: Some((-1.0, 1.0)),
                ..wide
            }
        );
        m.percent = false;
        assert_eq!(possible(&m, 0.0, wide), wide);
    }
}
