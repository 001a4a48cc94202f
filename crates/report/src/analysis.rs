//! All numbers of a report, computed once, so that the HTML, the terminal's table and the CSV files
//! agree.

use std::collections::BTreeSet;

use largebatch_study::statistics::{Estimate, warnings};
use largebatch_study::{Results, Series, Stage, TrialRecord, title};

use crate::comparison::{Comparison, comparisons};
use crate::facts::{Facts, facts};
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

    /// The formula of the generalization gap, in words.
    pub fn gap(&self) -> String {
        let (train, measure) = (words(&self.train_key), &self.measure.words);
        if self.measure.higher {
            format!("{train} − {measure}")
        } else {
            format!("{measure} − {train}")
        }
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

/// The batch sizes of some series.
pub(crate) fn batches<'s>(series: impl IntoIterator<Item = &'s Series>) -> Vec<f64> {
    distinct(series.into_iter().flat_map(|s| &s.groups).map(|g| g.0))
}

/// The distinct values, ascending.
pub(crate) fn distinct(values: impl Iterator<Item = f64>) -> Vec<f64> {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values.dedup();
    values
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
