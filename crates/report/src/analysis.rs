//! All numbers of a report, computed once, so that the HTML, the terminal's table and the CSV files
//! agree.

use std::collections::BTreeSet;

use largebatch_study::statistics::{
    Censored, Estimate, Paired, at_train_loss, binomial_error, common_train_loss, estimate,
    examples_to_target, finals, gaps, paired, smallest_resolved, steps_to_target, warnings,
};
use largebatch_study::{Results, Series, Stage, StopReason, TrialRecord, key, number, title};

use crate::measure::Measure;
use crate::setting::Setting;

/// The results of a study as a report shows them.
pub(crate) struct Analysis<'a> {
    pub results: &'a Results,
    /// The reported quantity: the test metric, or the validation metric in a study that does not
    /// use the test part.
    pub measure: Measure,
    /// The validation metric, shown in the curves.
    pub validation: Measure,
    /// The key of the same metric on the training part.
    pub train_key: String,
    pub groups: Vec<Facts<'a>>,
    pub series: Vec<Series>,
    pub comparisons: Vec<Comparison>,
    pub warnings: Vec<String>,
    pub setting: Setting,
}

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
    /// The budget in epochs and in steps.
    pub budget: Option<(f64, u64)>,
    /// Mean number of epochs trained.
    pub epochs: Option<f64>,
    pub seconds: Option<f64>,
}

/// The comparison of a large batch with a small one, paired by seed.
pub(crate) struct Comparison {
    pub small: usize,
    pub large: usize,
    /// How much worse the large batch is at the end of its budget, in the reported quantity.
    pub end: Option<Paired>,
    /// The smallest difference that the comparison can detect.
    pub resolves: Option<f64>,
    /// Whether both have the same budget in epochs.
    pub equal_epochs: bool,
    /// How much worse the large batch is in the validation metric at an equal training loss, and
    /// that loss.
    pub at_loss: Option<(f64, Paired)>,
}

impl<'a> Analysis<'a> {
    pub fn new(results: &'a Results) -> Self {
        let reported: Vec<Vec<&TrialRecord>> = (0..results.plan.groups.len())
            .map(|g| results.reported(g))
            .collect();
        let (measure, validation, train_key) = measures(&reported, results);
        let groups: Vec<Facts> = reported
            .into_iter()
            .enumerate()
            .map(|(g, records)| facts(results, g, records, &measure, &train_key))
            .collect();
        let series = results.series();
        let comparisons = comparisons(results, &groups, &series, &measure, &validation);
        let warnings = warnings(results).iter().map(ToString::to_string).collect();
        Analysis {
            setting: Setting::new(results),
            results,
            measure,
            validation,
            train_key,
            groups,
            series,
            comparisons,
            warnings,
        }
    }

    /// The line below every chart: n, seeds, intervals and device.
    pub fn small_print(&self) -> String {
        if self.groups.iter().all(|g| g.records.is_empty()) {
            let what = if self.setting.confirm_seeds.is_empty() {
                "chosen"
            } else {
                "confirmed"
            };
            return format!("nothing is {what} yet; {}", self.device());
        }
        let ns: BTreeSet<usize> = self
            .groups
            .iter()
            .filter_map(|g| g.score)
            .map(|e| e.n)
            .collect();
        let n = match (ns.first(), ns.last()) {
            (Some(a), Some(b)) if a == b => format!("n = {a}"),
            (Some(a), Some(b)) => format!("n = {a} to {b}"),
            _ => "n = 0".into(),
        };
        let method = match ns.last() {
            None => "no trial has a result",
            Some(0 | 1) => "no intervals from one seed",
            Some(2..10) => "95 % intervals: Student’s t",
            Some(_) if ns.first().is_some_and(|n| *n < 10) => {
                "95 % intervals: Student’s t below 10 values, else BCa bootstrap"
            }
            Some(_) => "95 % intervals: BCa bootstrap",
        };
        let seeds = if self.setting.confirm_seeds.is_empty() {
            &self.setting.tune_seeds
        } else {
            &self.setting.confirm_seeds
        };
        let ends = |e: Option<Estimate>| {
            e.and_then(|e| e.interval)
                .filter(|(low, high)| self.measure.percent && low < high)
        };
        let values = self
            .groups
            .iter()
            .filter_map(|g| ends(g.score))
            .any(|(low, high)| low <= 0.0 || high >= 1.0);
        let pairs =
            |c: &Comparison| [c.end, c.at_loss.map(|l| l.1)].map(|p| ends(p.map(|p| p.difference)));
        let differences = self
            .groups
            .iter()
            .map(|g| ends(g.gap))
            .chain(self.comparisons.iter().flat_map(pairs));
        let cut = values
            || differences
                .flatten()
                .any(|(low, high)| low <= -1.0 || high >= 1.0);
        let cut = if cut {
            ", limited to possible values"
        } else {
            ""
        };
        format!("{n}, seeds {seeds}; {method}{cut}; {}", self.device())
    }

    /// The same for charts of stage tune.
    pub fn tune_print(&self) -> String {
        format!(
            "n = {} per point, seeds {}; {}",
            self.setting.tune_count,
            self.setting.tune_seeds,
            self.device()
        )
    }

    fn device(&self) -> String {
        match &self.setting.devices[..] {
            [] => "device not recorded".into(),
            [one] => format!("device {one}"),
            many => format!("devices {}", many.join(", ")),
        }
    }

    /// The series with at least two batch sizes, and all groups that are not in one of them.
    pub fn curves_and_rest(&self) -> (Vec<&Series>, Vec<usize>) {
        let curves: Vec<&Series> = self.series.iter().filter(|s| s.groups.len() > 1).collect();
        let rest = (0..self.groups.len())
            .filter(|g| !curves.iter().any(|s| s.groups.iter().any(|(_, i)| i == g)))
            .collect();
        (curves, rest)
    }
}

/// A series' name: its labels without the batch size.
pub(crate) fn series_label(series: &Series) -> String {
    let text = title(&series.labels);
    if text.is_empty() { "all".into() } else { text }
}

/// A label without the part that it shares with the other: `batch 16` for `sgd · batch 16` next to
/// `sgd · batch 64`.
pub(crate) fn without_shared<'l>(label: &'l str, other: &str) -> &'l str {
    match (label.rsplit_once(" · "), other.rsplit_once(" · ")) {
        (Some((a, own)), Some((b, _))) if a == b => own,
        _ => label,
    }
}

/// A metric's readable name: `test accuracy`, `test RMSE`.
pub(crate) fn words(key: &str) -> String {
    key.replace('_', " ").replace("rmse", "RMSE")
}

/// The reported quantity, the validation metric, and the key of the former on the training part.
fn measures(reported: &[Vec<&TrialRecord>], results: &Results) -> (Measure, Measure, String) {
    let all = || reported.iter().flatten().copied();
    let named = all()
        .chain(results.records.values())
        .find(|r| !r.metric.is_empty());
    let (metric, higher) = named.map_or(("validation_metric", true), |r| {
        (r.metric.as_str(), r.higher_is_better)
    });
    let base = metric.strip_prefix("validation_").unwrap_or(metric);
    let measure = |key: String| {
        let base = key.rsplit('_').next().unwrap_or_default();
        let percent = matches!(base, "accuracy" | "error");
        let higher = if key == metric {
            higher
        } else {
            higher || base == "accuracy"
        };
        Measure {
            words: words(&key),
            key,
            percent,
            higher,
        }
    };
    // A study without a validation part watches its training loss, but still reports a test
    // accuracy.
    let test = [base, "accuracy", "error"]
        .into_iter()
        .find(|b| all().any(|r| r.metrics.contains_key(&format!("test_{b}"))));
    let key = test.map_or_else(|| metric.to_string(), |b| format!("test_{b}"));
    (
        measure(key),
        measure(metric.into()),
        format!("train_{}", test.unwrap_or(base)),
    )
}

fn facts<'a>(
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
    Facts {
        short: Some(title(
            &group
                .labels
                .iter()
                .filter(|(k, _)| *k != key::BATCH)
                .map(|(k, v)| (k.clone(), v.clone()))
                .collect(),
        ))
        .filter(|l| !l.is_empty())
        .unwrap_or_else(|| results.plan.study.name.clone()),
        label: if group.labels.is_empty() {
            results.plan.study.name.clone()
        } else {
            title(&group.labels)
        },
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
fn possible(m: &Measure, least: f64, e: Estimate) -> Estimate {
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

/// Compares each group with its base: the group from which its rate is derived, or, in a study that
/// derives rates, the first group from which one is derived; else the smallest batch size of its
/// series; else the first group with the smallest batch size.
fn comparisons(
    results: &Results,
    groups: &[Facts],
    series: &[Series],
    measure: &Measure,
    validation: &Measure,
) -> Vec<Comparison> {
    let smallest = (0..groups.len())
        .filter(|g| groups[*g].batch.is_some())
        .min_by(|a, b| {
            groups[*a]
                .batch
                .partial_cmp(&groups[*b].batch)
                .unwrap_or(std::cmp::Ordering::Equal)
        });
    let from = |g: usize| results.plan.groups[g].derived.as_ref().map(|d| d.from);
    let base = (0..groups.len()).find_map(from);
    let reference = |g: usize| {
        let own = series
            .iter()
            .find(|s| s.groups.len() > 1 && s.groups.iter().any(|(_, i)| *i == g));
        from(g).or(base).or(own.map(|s| s.groups[0].1)).or(smallest)
    };
    let pair = |g: usize| {
        let r = reference(g)?;
        // Trials that end at a target reach the same quality by design; they differ in their steps.
        if groups[r].target.is_some() || groups[g].target.is_some() {
            return None;
        }
        (groups[r].batch? < groups[g].batch?).then(|| compare(groups, r, g, measure, validation))
    };
    (0..groups.len()).filter_map(pair).collect()
}

fn compare(
    groups: &[Facts],
    small: usize,
    large: usize,
    measure: &Measure,
    validation: &Measure,
) -> Comparison {
    let (s, l) = (&groups[small], &groups[large]);
    let worse = |m: &Measure, small: &[(u64, f64)], large: &[(u64, f64)]| {
        let p = if m.higher {
            paired(small, large)
        } else {
            paired(large, small)
        }?;
        Some(Paired {
            difference: possible(m, -1.0, p.difference),
            ..p
        })
    };
    let end = worse(measure, &s.values, &l.values);
    let (sr, lr) = (measured(s), measured(l));
    let level = (!sr.is_empty() && !lr.is_empty())
        .then(|| common_train_loss(sr.iter().chain(&lr).copied()))
        .flatten();
    let at = |records: &[&TrialRecord], level: f64| -> Vec<(u64, f64)> {
        records
            .iter()
            .filter_map(|r| Some((r.seed, at_train_loss(r, level)?)))
            .collect()
    };
    let at_loss =
        level.and_then(|level| Some((level, worse(validation, &at(&sr, level), &at(&lr, level))?)));
    let equal_epochs = match (s.budget, l.budget) {
        (Some((a, _)), Some((b, _))) => (a - b).abs() <= 0.01 * a.max(b),
        _ => true,
    };
    let test_examples = s.test_examples.filter(|_| measure.percent);
    Comparison {
        small,
        large,
        resolves: end
            .as_ref()
            .and_then(|p| smallest_resolved(p, test_examples)),
        end,
        equal_epochs,
        at_loss,
    }
}

fn measured<'a>(facts: &Facts<'a>) -> Vec<&'a TrialRecord> {
    facts
        .records
        .iter()
        .copied()
        .filter(|r| r.stop.is_measurement())
        .collect()
}

/// The records of stage tune for each point of a group's search.
pub(crate) fn at_points(results: &Results, group: usize) -> Vec<Vec<&TrialRecord>> {
    let ids = results.plan.tune_ids(group);
    let seeds = (ids.len() / results.plan.groups[group].points.len().max(1)).max(1);
    ids.chunks(seeds)
        .map(|ids| {
            ids.iter()
                .filter_map(|id| results.records.get(id))
                .collect()
        })
        .collect()
}

/// The stage's name.
pub(crate) fn stage(stage: Stage) -> &'static str {
    match stage {
        Stage::Tune => "tune",
        Stage::Confirm => "confirm",
    }
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
