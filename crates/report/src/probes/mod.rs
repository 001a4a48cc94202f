//! Results of probes on a study's runs, by group: tables and charts.

mod curvature;
mod layers;
mod line;
mod noise;
pub(crate) mod sharpness;

use std::collections::BTreeMap;

use largebatch_plot::{Section, significant};
use largebatch_study::statistics::{Estimate, estimate};
use serde_json::Value;

use crate::analysis::Analysis;
use crate::findings::{Findings, ProbedRun};
use crate::measure::Measure;

/// The probed runs of each of the study's groups, with their seeds.
pub(crate) struct Probed<'a> {
    groups: Vec<Vec<(u64, &'a ProbedRun)>>,
}

impl<'a> Probed<'a> {
    pub fn new(a: &Analysis, findings: &'a Findings) -> Self {
        let find = |id: &str| {
            findings.runs.iter().find(|run| {
                id.get(..8)
                    .is_some_and(|id| run.folder.ends_with(&format!("-{id}")))
            })
        };
        let of = |records: &[&largebatch_study::TrialRecord]| {
            records
                .iter()
                .filter_map(|r| Some((r.seed, find(&r.id.0)?)))
                .collect()
        };
        Probed {
            groups: a.groups.iter().map(|g| of(&g.records)).collect(),
        }
    }

    /// A quantity of each run of a group, by seed.
    pub fn values(&self, group: usize, of: impl Fn(&ProbedRun) -> Option<f64>) -> Vec<(u64, f64)> {
        self.groups[group]
            .iter()
            .filter_map(|(seed, run)| Some((*seed, of(run).filter(|x| x.is_finite())?)))
            .collect()
    }

    /// A quantity over training: for each step, its median over the group's runs.
    pub fn during(
        &self,
        group: usize,
        name: &str,
        of: impl Fn(&Value) -> Option<f64>,
    ) -> Vec<(f64, f64)> {
        let mut at = BTreeMap::<u64, Vec<f64>>::new();
        for line in self.groups[group]
            .iter()
            .filter_map(|(_, run)| run.during.get(name))
            .flatten()
        {
            if let (Some(step), Some(value)) =
                (line["step"].as_u64(), of(line).filter(|x| x.is_finite()))
            {
                at.entry(step).or_default().push(value);
            }
        }
        at.into_iter()
            .map(|(step, values)| (step as f64, median(values)))
            .collect()
    }

    /// The first run that a probe measured, at its end or during training.
    pub fn first(&self, name: &str) -> Option<&'a ProbedRun> {
        self.groups
            .iter()
            .flatten()
            .map(|(_, run)| *run)
            .find(|run| run.end.contains_key(name) || run.during.contains_key(name))
    }

    /// How many runs there are, and how they were measured.
    pub fn small_print(&self, a: &Analysis, name: &str) -> String {
        let object = self
            .first(name)
            .and_then(|run| run.end.get(name).or_else(|| run.during.get(name)?.first()));
        let on = object.map_or(String::new(), |o| {
            format!(
                "; on {} examples of the {} part, in {}",
                o["examples"],
                o["part"].as_str().unwrap_or("?"),
                o["precision"].as_str().unwrap_or("?")
            )
        });
        format!("{}{on}", a.small_print())
    }
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let n = values.len();
    (values[(n - 1) / 2] + values[n / 2]) / 2.0
}

/// The number at a path of a JSON object.
fn at(value: &Value, path: &str) -> Option<f64> {
    value.pointer(path)?.as_f64()
}

/// Mean and interval of values by seed, as text.
fn text(values: &[(u64, f64)]) -> String {
    let plain = Measure {
        key: String::new(),
        words: String::new(),
        percent: false,
        higher: false,
    };
    estimate(&values.iter().map(|v| v.1).collect::<Vec<_>>())
        .map_or("–".into(), |e: Estimate| plain.estimate(&e))
}

fn or_dash(value: Option<f64>) -> String {
    value.map_or("–".into(), |x| significant(x, 3))
}

/// A section for each probe with results.
pub(crate) fn sections(a: &Analysis, findings: &Findings) -> Vec<Section> {
    let probed = Probed::new(a, findings);
    let all = [
        sharpness::section(a, &probed),
        line::section(a, &probed),
        curvature::section(a, &probed),
        noise::section(a, &probed),
        layers::section(a, &probed),
    ];
    all.into_iter().flatten().collect()
}
