//! What a reader of the results should know first.

use std::collections::BTreeSet;
use std::fmt;

use crate::results::Results;
use crate::trial::{Labels, describe};
use largebatch_component::settings::number;

/// What a reader must know before trusting a study; each warning says what to do.
#[derive(Clone, PartialEq, Debug)]
pub enum Warning {
    /// A tuned setting's best value is the smallest or the largest one tried.
    GridEdge {
        /// The group.
        labels: Labels,
        /// The setting.
        key: String,
        /// Its best value.
        value: f64,
        /// Whether it is the largest.
        greatest: bool,
    },
    /// A group has fewer than three seeds.
    FewSeeds {
        /// The groups with this many seeds.
        groups: Vec<Labels>,
        /// The number of seeds.
        seeds: usize,
    },
    /// Some reported trials diverged, failed or were pruned; averages are over the others.
    Lost {
        /// The group.
        labels: Labels,
        /// How many diverged.
        diverged: usize,
        /// How many failed or were pruned.
        lost: usize,
        /// The number of reported trials.
        of: usize,
    },
    /// No point of a group's search was usable.
    Untunable {
        /// The group.
        labels: Labels,
    },
    /// Groups have different numbers of training examples.
    UnequalBudgets {
        /// The smallest number, in epochs.
        least: f64,
        /// The largest number, in epochs.
        greatest: f64,
    },
    /// Trials of different versions of the program, or on processors that round differently, are
    /// mixed.
    Mixed {
        /// `versions` or `processors`.
        what: &'static str,
        /// The values found.
        values: Vec<String>,
    },
    /// Trials ran twice with different results.
    NotReproducible {
        /// The number of such trials.
        trials: usize,
    },
    /// The study is not finished.
    Unfinished {
        /// The number of trials without a record.
        missing: usize,
        /// The number of all trials; see [`Progress::total`](crate::Progress::total).
        of: usize,
    },
    /// There are records of another study.
    Unplanned {
        /// The number of such records.
        records: usize,
    },
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let hundredths = |x: &f64| (x * 100.0).round() / 100.0;
        let group = |labels: &Labels| {
            if labels.is_empty() {
                "the group".into()
            } else {
                describe(labels)
            }
        };
        match self {
            Warning::GridEdge {
                labels,
                key,
                value,
                greatest,
            } => {
                let (end, way) = if *greatest {
                    ("largest", "above")
                } else {
                    ("smallest", "below")
                };
                write!(
                    f,
                    "{}: the best {key} = {value} is the {end} one tried; a better one may be {way} it: widen the search",
                    group(labels)
                )
            }
            Warning::FewSeeds { groups, seeds } => {
                let who = if let [one] = &groups[..] {
                    group(one)
                } else {
                    format!("{} groups", groups.len())
                };
                let tell = if *seeds == 1 {
                    "1 seed says".into()
                } else {
                    format!("{seeds} seeds say")
                };
                write!(f, "{who}: {tell} little about the spread: use at least 3")
            }
            Warning::Lost {
                labels,
                diverged,
                lost,
                of,
            } => {
                let mut what = Vec::new();
                if *diverged > 0 {
                    what.push(format!("{diverged} of {of} trials diverged"));
                }
                if *lost > 0 {
                    what.push(format!("{lost} of {of} trials failed or were pruned"));
                }
                let left = if diverged + lost < *of {
                    "the figures cover only the others"
                } else {
                    "there are no figures"
                };
                write!(f, "{}: {}; {left}", group(labels), what.join(" and "))
            }
            Warning::Untunable { labels } => {
                write!(
                    f,
                    "{}: every tuning trial diverged, failed, was pruned or missed the target; change the search",
                    group(labels)
                )
            }
            Warning::UnequalBudgets { least, greatest } => {
                write!(
                    f,
                    "budgets differ, from {} to {} epochs: compare groups with equal budgets, or at equal training loss",
                    hundredths(least),
                    hundredths(greatest)
                )
            }
            Warning::Mixed { what, values } => write!(
                f,
                "trials of different {what} are mixed: {}",
                values.join("; ")
            ),
            Warning::NotReproducible { trials } => {
                write!(
                    f,
                    "{trials} trials ran twice with different results: the machines do not compute the same bits, and the first result counts"
                )
            }
            Warning::Unfinished { missing, of } => write!(
                f,
                "{missing} of {of} trials are not done; run the study again to continue"
            ),
            Warning::Unplanned { records } => {
                write!(
                    f,
                    "{records} records in the folder belong to no trial of this study and are ignored"
                )
            }
        }
    }
}

/// Every warning about a study's results, the most serious first.
///
/// Versions are compared by the provenance key `version` of the runner.
pub fn warnings(results: &Results) -> Vec<Warning> {
    let mut out = Vec::new();
    if !results.conflicts.is_empty() {
        out.push(Warning::NotReproducible {
            trials: results.conflicts.len(),
        });
    }
    let rows = results.rows();
    let progress = results.progress(1);
    if progress.done < progress.total {
        out.push(Warning::Unfinished {
            missing: progress.total - progress.done,
            of: progress.total,
        });
    }
    let mut budgets: Vec<f64> = Vec::new();
    let mut few = [Vec::new(), Vec::new()];
    for (index, group) in results.plan.groups.iter().enumerate() {
        let labels = || group.labels.clone();
        if !group.points.is_empty() && results.choices[index].is_none() && results.tuned(index) {
            out.push(Warning::Untunable { labels: labels() });
        }
        let reported = results.reported(index);
        if reported.is_empty() {
            continue;
        }
        let of = reported.len();
        let diverged = reported.iter().filter(|r| r.stop.is_diverged()).count();
        let lost = reported.iter().filter(|r| !r.stop.is_measurement()).count() - diverged;
        if diverged + lost > 0 {
            out.push(Warning::Lost {
                labels: labels(),
                diverged,
                lost,
                of,
            });
        }
        if of < 3 {
            few[of - 1].push(labels());
        }
        if let Some(choice) = &results.choices[index] {
            for (k, value) in &group.points[choice.point] {
                let tried: Option<Vec<f64>> = group
                    .points
                    .iter()
                    .map(|p| p.get(k).and_then(number))
                    .collect();
                let (Some(tried), Some(value)) = (tried, number(value)) else {
                    continue;
                };
                let (least, greatest) = tried
                    .iter()
                    .fold((f64::INFINITY, f64::NEG_INFINITY), |(a, b), x| {
                        (a.min(*x), b.max(*x))
                    });
                if least < greatest && (value == least || value == greatest) {
                    out.push(Warning::GridEdge {
                        labels: labels(),
                        key: k.clone(),
                        value,
                        greatest: value == greatest,
                    });
                }
            }
        }
        budgets.extend(reported.iter().filter_map(|r| r.budget_epochs()));
    }
    for (seeds, groups) in (1..).zip(few).filter(|(_, groups)| !groups.is_empty()) {
        out.push(Warning::FewSeeds { groups, seeds });
    }
    let (least, greatest) = budgets
        .iter()
        .fold((f64::INFINITY, 0.0f64), |(a, b), x| (a.min(*x), b.max(*x)));
    if greatest > 1.01 * least {
        out.push(Warning::UnequalBudgets { least, greatest });
    }
    let text = |v: &serde_json::Value| v.as_str().map_or_else(|| v.to_string(), str::to_string);
    for (what, key) in [("versions", "version"), ("processors", "cpu")] {
        let values: BTreeSet<String> = rows
            .iter()
            .filter_map(|r| r.record?.provenance.other.get(key).map(text))
            .collect();
        if values.len() > 1 {
            out.push(Warning::Mixed {
                what,
                values: values.into_iter().collect(),
            });
        }
    }
    let unplanned = results.unplanned();
    if unplanned > 0 {
        out.push(Warning::Unplanned { records: unplanned });
    }
    out
}
