use largebatch_plot::{Plot, Scale, Section, Table, stems};
use serde_json::Value;

use super::{Probed, at, median, or_dash};
use crate::analysis::Analysis;
use crate::findings::ProbedRun;

/// Maximum number of groups with a chart over training.
const CHARTS: usize = 4;

fn last(run: &ProbedRun) -> Option<&Value> {
    run.end
        .get("layers")
        .or_else(|| run.during.get("layers")?.last())
}

pub(super) fn section(a: &Analysis, probed: &Probed) -> Option<Section> {
    probed.first("layers")?;
    let groups: Vec<usize> = (0..a.groups.len())
        .filter(|g| probed.groups[*g].iter().any(|(_, run)| last(run).is_some()))
        .collect();
    let rows = groups.iter().map(|&g| {
        let of = |path: &'static str| {
            let values: Vec<f64> = probed
                .values(g, |run| at(last(run)?, path))
                .into_iter()
                .map(|v| v.1)
                .collect();
            (!values.is_empty()).then(|| median(values))
        };
        let bounding = |object: &Value| {
            object
                .pointer("/result/bounding")
                .and_then(Value::as_str)
                .map(str::to_owned)
        };
        let mut layers: Vec<String> = probed.groups[g]
            .iter()
            .filter_map(|(_, run)| bounding(last(run)?))
            .collect();
        layers.sort();
        layers.dedup();
        let layers = if layers.is_empty() {
            "–".into()
        } else {
            layers.join(", ")
        };
        let n = probed.groups[g].len().to_string();
        vec![
            a.groups[g].label.clone(),
            n,
            layers,
            or_dash(of("/result/smallest_ratio")),
            or_dash(of("/result/spread")),
        ]
    });
    let note = format!(
        "Medians over the runs. {}.",
        probed.small_print(a, "layers")
    );
    let heads = [
        "",
        "n",
        "layer that bounds the rate",
        "its ‖w‖/‖∇w‖",
        "largest ÷ smallest",
    ];
    let table = Table {
        heads: heads.map(str::to_owned).to_vec(),
        rows: rows.collect(),
        note: note.clone(),
    };

    let names: Vec<(usize, String)> = probed
        .first("layers")
        .and_then(last)
        .and_then(|object| object["result"]["rows"].as_array())
        .into_iter()
        .flatten()
        .enumerate()
        .filter(|(_, row)| row["is_weight"] == true)
        .map(|(i, row)| (i, row["path"].as_str().unwrap_or("?").to_owned()))
        .collect();
    let path = |i: usize| format!("/result/rows/{i}/ratio");
    let mut ends = Plot::new("layers", "‖w‖/‖∇w‖ of each layer at the end")
        .x("‖w‖/‖∇w‖", Scale::Log)
        .y_names(names.iter().map(|n| n.1.clone()));
    for &g in &groups {
        let points = names.iter().enumerate().filter_map(|(row, (i, _))| {
            let values: Vec<f64> = probed
                .values(g, |run| at(last(run)?, &path(*i)))
                .into_iter()
                .map(|v| v.1)
                .collect();
            (!values.is_empty()).then(|| (median(values), row as f64))
        });
        ends = ends.points(&a.groups[g].label, points.collect::<Vec<_>>());
    }
    let mut figures = vec![ends.caption(&note).figure()];
    let with_lines: Vec<usize> = groups
        .iter()
        .copied()
        .filter(|g| probed.during(*g, "layers", |line| at(line, "/step")).len() > 1)
        .collect();
    let stems = stems(with_lines.iter().map(|g| a.groups[*g].label.as_str()));
    for (&g, stem) in with_lines.iter().zip(&stems).take(CHARTS) {
        let mut plot = Plot::new(
            &format!("layers-{stem}"),
            &format!("‖w‖/‖∇w‖ over training · {}", a.groups[g].label),
        )
        .x("step", Scale::Linear)
        .y("‖w‖/‖∇w‖", Scale::Log);
        for (i, name) in &names {
            plot = plot.line(name, probed.during(g, "layers", |line| at(line, &path(*i))));
        }
        figures.push(plot.caption(&note).figure());
    }
    Some(Section {
        title: "Layers".into(),
        text: "With one rate for all layers, the layer with the smallest ‖w‖/‖∇w‖ limits it: in a step, its weights change most in proportion. LARS and LAMB give each \
        layer a rate in proportion to its ratio."
            .into(),
        tables: vec![table],
        figures,
    })
}
