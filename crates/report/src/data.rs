//! What the page's script draws from: the groups, the trials and their curves, as JSON.

use std::collections::{HashMap, HashSet};

use largebatch_study::{Row, Stage, TrialRecord, get, key, number};
use serde_json::{Value, json};

use crate::analysis::{Analysis, stage};

/// Maximum number of points of all curves: more would make the page larger than 3 MB.
const MOST_POINTS: usize = 150_000;

/// The data of the page: JSON that is safe in a `script` element.
pub(crate) fn data(a: &Analysis) -> String {
    let rows = a.results.rows();
    let done: Vec<(&Row, &TrialRecord)> =
        rows.iter().filter_map(|r| Some((r, r.record?))).collect();
    let keep = every(&done);
    let reported: HashSet<&str> = a
        .groups
        .iter()
        .flat_map(|g| &g.records)
        .filter(|r| r.stop.is_measurement())
        .map(|r| r.id.0.as_str())
        .collect();
    let mut axes: Vec<Value> = Vec::new();
    let mut known: HashMap<(&[u64], &[u64], u64), usize> = HashMap::new();
    let trials = done.iter().map(|(row, r)| {
        let c = &r.curves;
        let axis = *known
            .entry((&c.step, &c.examples, r.train_examples))
            .or_insert_with(|| {
                let epoch = |i: usize| rounded(r.epoch(c.step[i], c.examples[i]).unwrap_or(f64::NAN), 5);
                let points = kept(c.step.len(), keep);
                axes.push(json!({
                    "steps": points.iter().map(|i| c.step[*i]).collect::<Vec<_>>(),
                    "examples": points.iter().map(|i| c.examples[*i]).collect::<Vec<_>>(),
                    "epochs": points.iter().map(|i| epoch(*i)).collect::<Vec<_>>(),
                }));
                axes.len() - 1
            });
        let column = |values: &[f64]| -> Vec<Value> {
            let points = kept(c.step.len(), keep).into_iter();
            points.map(|i| rounded(values.get(i).copied().unwrap_or(f64::NAN), 4)).collect()
        };
        json!({
            "g": row.group,
            "p": row.point,
            "stage": stage(row.stage),
            "seed": row.seed,
            "rate": get(&r.config, key::RATE).and_then(number),
            "seconds": rounded(r.provenance.seconds, 4),
            "reported": reported.contains(r.id.0.as_str()) && (row.stage == Stage::Confirm || a.setting.confirm_seeds.is_empty()),
            "axis": axis,
            "loss": column(&c.train_loss),
            "validation": column(&c.validation),
        })
    });
    let trials: Vec<Value> = trials.collect();
    let groups = a
        .groups
        .iter()
        .map(|g| json!({ "label": g.label, "batch": g.batch }));
    let all = json!({
        "groups": groups.collect::<Vec<_>>(),
        "trials": trials,
        "axes": axes,
        "validation": { "words": a.validation.words, "percent": a.validation.percent },
        "every": keep,
    });
    all.to_string().replace('<', "\\u003c")
}

/// The data of a page that has no trials.
pub(crate) fn names(names: &[&str]) -> String {
    let groups: Vec<Value> = names.iter().map(|name| json!({ "label": name })).collect();
    let all = json!({ "groups": groups, "trials": [], "axes": [], "validation": {}, "every": 1 });
    all.to_string().replace('<', "\\u003c")
}

/// Of how many points one is kept.
fn every(done: &[(&Row, &TrialRecord)]) -> usize {
    let points: usize = done.iter().map(|(_, r)| r.curves.step.len()).sum();
    points.div_ceil(MOST_POINTS).max(1)
}

/// The points that are kept: each `every`-th, and the last.
fn kept(points: usize, every: usize) -> Vec<usize> {
    (0..points)
        .filter(|i| i % every == 0 || i + 1 == points)
        .collect()
}

/// A number with few digits; `null` if it is not finite.
pub(crate) fn rounded(x: f64, digits: usize) -> Value {
    let text = format!("{x:.*e}", digits - 1);
    text.parse::<f64>()
        .ok()
        .filter(|x| x.is_finite())
        .map_or(Value::Null, Value::from)
}
