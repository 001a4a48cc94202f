//! A study as its probes see it, and what they give back to the report.

use std::collections::BTreeMap;

use largebatch_plot::Section;
use largebatch_study::statistics::hyperbola;
use largebatch_study::{Results, key, number};

use crate::analysis::{Analysis, at_points, series_label};

/// What probes measured on the trials of a study. May be empty.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Probed {
    /// A section of the report for each probe with results.
    pub sections: Vec<Section>,
    /// For each group, numbers by name, such as `sharpness, ε = 0.001, full space`: a value for each
    /// run. Tables that compare with a paper use them.
    pub numbers: Vec<BTreeMap<String, Vec<f64>>>,
}

/// What the section of a probe can need of a study, besides the probe's own records.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Outline {
    /// The groups, in the order of the report.
    pub groups: Vec<OutlineGroup>,
    /// The comparisons: the index of the small batch's group, and of the large batch's.
    pub pairs: Vec<(usize, usize)>,
    /// The critical batch of each series of batch sizes that has one.
    pub critical: Vec<CriticalBatch>,
    /// The line below every chart: n, seeds, intervals and device.
    pub small_print: String,
}

/// A group of an [`Outline`].
#[derive(Clone, PartialEq, Debug, Default)]
pub struct OutlineGroup {
    /// Its label.
    pub label: String,
    /// The learning rate that it used.
    pub rate: Option<f64>,
    /// Whether its rate was searched for.
    pub is_tuned: bool,
    /// The largest rate of its search at which all trials trained.
    pub trained: Option<f64>,
    /// The smallest rate of its search at which a trial did not.
    pub lost: Option<f64>,
    /// Its reported trials: seed, and identity.
    pub trials: Vec<(u64, String)>,
}

/// The batch size B_crit beyond which larger ones save few steps, fitted to the steps to the target.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct CriticalBatch {
    /// The label of the series.
    pub series: String,
    /// The indices of its groups.
    pub groups: Vec<usize>,
    /// B_crit, in examples.
    pub examples: f64,
}

impl Outline {
    /// The outline of a study.
    pub fn new(results: &Results) -> Self {
        let a = Analysis::new(results);
        let groups = a.groups.iter().enumerate().map(|(g, facts)| {
            let (trained, lost) = rates(&a, g);
            OutlineGroup {
                label: facts.label.clone(),
                rate: facts.rate,
                is_tuned: !results.plan.groups[g].points.is_empty(),
                trained,
                lost,
                trials: facts
                    .records
                    .iter()
                    .map(|r| (r.seed, r.id.0.clone()))
                    .collect(),
            }
        });
        let critical = a.series.iter().filter_map(|series| {
            let points: Vec<(f64, f64)> = series
                .groups
                .iter()
                .filter_map(|(b, g)| Some((*b, a.groups[*g].steps?.median?)))
                .collect();
            Some(CriticalBatch {
                series: series_label(series),
                groups: series.groups.iter().map(|g| g.1).collect(),
                examples: hyperbola(&points)?.b_crit,
            })
        });
        Outline {
            groups: groups.collect(),
            pairs: a.comparisons.iter().map(|c| (c.small, c.large)).collect(),
            critical: critical.collect(),
            small_print: a.small_print(),
        }
    }
}

/// The largest rate of a group's search at which all trials trained, and the smallest at which a
/// trial did not.
fn rates(a: &Analysis, group: usize) -> (Option<f64>, Option<f64>) {
    let (mut trained, mut lost) = (None::<f64>, None::<f64>);
    for (point, records) in a.results.plan.groups[group]
        .points
        .iter()
        .zip(at_points(a.results, group))
    {
        let Some(rate) = point
            .get(key::RATE)
            .and_then(number)
            .filter(|_| !records.is_empty())
        else {
            continue;
        };
        if records.iter().all(|r| r.stop.is_measurement()) {
            trained = Some(trained.map_or(rate, |t| t.max(rate)));
        } else {
            lost = Some(lost.map_or(rate, |l| l.min(rate)));
        }
    }
    (trained, lost)
}
