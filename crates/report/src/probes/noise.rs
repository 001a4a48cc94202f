use largebatch_plot::{Plot, Scale, Section, Table, significant};
use largebatch_study::statistics::hyperbola;
use serde_json::Value;

use super::{Probed, at, median, or_dash};
use crate::analysis::{Analysis, series_label};

/// B_simple for the population from which the examples are a sample, if known; else for these
/// examples only.
fn b_simple(line: &Value) -> Option<f64> {
    at(line, "/result/b_simple_population").or_else(|| at(line, "/result/b_simple"))
}

pub(super) fn section(a: &Analysis, probed: &Probed) -> Option<Section> {
    // From separate gradients, or else from the micro-batches of the training steps.
    let name = ["noise", "noise-pairs"]
        .into_iter()
        .find(|name| probed.first(name).is_some())?;
    // B_crit from the steps to the target, for each series that has them.
    let measured: Vec<(String, Vec<usize>, f64)> = a
        .series
        .iter()
        .filter_map(|s| {
            let points: Vec<(f64, f64)> = s
                .groups
                .iter()
                .filter_map(|(b, g)| Some((*b, a.groups[*g].steps?.median?)))
                .collect();
            Some((
                series_label(s),
                s.groups.iter().map(|g| g.1).collect(),
                hyperbola(&points)?.b_crit,
            ))
        })
        .collect();
    let mut plot = Plot::new("noise-scale", "Gradient noise scale over training")
        .x("step", Scale::Linear)
        .y("examples", Scale::Log);
    let mut rows = Vec::new();
    for g in 0..a.groups.len() {
        let during = probed.during(g, name, b_simple);
        let ends: Vec<f64> = probed
            .values(g, |run| b_simple(run.end.get("noise")?))
            .into_iter()
            .map(|v| v.1)
            .collect();
        let end = if ends.is_empty() {
            during.last().map(|p| p.1)
        } else {
            Some(median(ends))
        };
        if during.is_empty() && end.is_none() {
            continue;
        }
        let middle = (!during.is_empty()).then(|| median(during.iter().map(|p| p.1).collect()));
        let mean = (!during.is_empty())
            .then(|| during.iter().map(|p| p.1).sum::<f64>() / during.len() as f64);
        let start = during.first().filter(|p| p.0 == 0.0).map(|p| p.1);
        let b_crit = measured.iter().find(|m| m.1.contains(&g)).map(|m| m.2);
        let n = probed.groups[g].len().to_string();
        let cells = [start, middle, mean, end, b_crit].map(or_dash);
        rows.push(
            [a.groups[g].label.clone(), n]
                .into_iter()
                .chain(cells)
                .collect(),
        );
        if during.len() > 1 {
            plot = plot.line(&a.groups[g].label, during);
        }
    }
    for (label, _, b_crit) in &measured {
        let label = if measured.len() > 1 {
            format!(" of {label}")
        } else {
            String::new()
        };
        plot = plot.guide_y(
            &format!("B_crit{label} {}", significant(*b_crit, 2)),
            *b_crit,
        );
    }
    let heads = [
        "",
        "n",
        "at step 0",
        "median over training",
        "mean over training",
        "at the end",
        "B_crit from steps",
    ];
    let note = format!("{}.", probed.small_print(a, name));
    let with_lines = probed
        .first(name)
        .is_some_and(|run| run.during.contains_key(name));
    Some(Section {
        title: "Gradient noise".into(),
        text: "B_simple = tr Σ / |G|², the batch size at which the variance of a mini-batch’s gradient is as large as the gradient (McCandlish et al. 2018), predicts \
        the batch size beyond which larger ones save few steps. B_crit is the same quantity, fitted to the steps to the target in this study."
            .into(),
        tables: vec![Table { heads: heads.map(str::to_owned).to_vec(), rows, note: format!("Medians over the runs. {note}") }],
        figures: if with_lines { vec![plot.caption(&format!("Medians over the runs. {note}")).figure()] } else { Vec::new() },
    })
}
