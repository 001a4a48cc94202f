use std::collections::BTreeMap;

use largebatch_plot::{Plot, Scale, Section, Table, stems};
use serde_json::Value;

use super::{Probed, at, text};
use crate::analysis::Analysis;
use crate::figures::capital;

pub(super) fn section(a: &Analysis, probed: &Probed) -> Option<Section> {
    probed.first("line")?;
    let groups: Vec<usize> = (0..a.groups.len())
        .filter(|g| !distance(probed, *g, "ratio").is_empty())
        .collect();
    let measures = ["small", "large", "ratio", "cosine_of_paths", "between"];
    let heads = [
        "to",
        "n",
        "‖x_S − x_0‖",
        "‖x_L − x_0‖",
        "ratio",
        "cosine of the paths",
        "‖x_L − x_S‖",
    ];
    let rows = groups.iter().map(|&g| {
        let n = distance(probed, g, "ratio").len();
        let cells = measures.iter().map(|m| text(&distance(probed, g, m)));
        [a.groups[g].label.clone(), n.to_string()]
            .into_iter()
            .chain(cells)
            .collect()
    });
    let note = format!("{}.", probed.small_print(a, "line"));
    let table = Table {
        heads: heads.map(str::to_owned).to_vec(),
        rows: rows.collect(),
        note: note.clone(),
    };
    let mut figures = Vec::new();
    let stems = stems(groups.iter().map(|g| a.groups[*g].label.as_str()));
    for (&g, stem) in groups.iter().zip(&stems) {
        for (kind, title, scale, factor) in [
            ("loss", "loss", Scale::Log, 1.0),
            ("accuracy", "accuracy, %", Scale::Linear, 100.0),
        ] {
            let heights =
                ["train", "test"].map(|part| (part, mean(probed, g, &format!("/{part}/{kind}"))));
            // Regression has no accuracy.
            if kind == "accuracy" && heights.iter().all(|(_, curve)| curve.is_empty()) {
                continue;
            }
            let mut plot = Plot::new(
                &format!("line-{kind}-{stem}"),
                &format!(
                    "{} from the small batch’s weights to {}",
                    capital(kind),
                    a.groups[g].label
                ),
            )
            .x("α", Scale::Linear)
            .y(title, scale)
            .guide_x("small", 0.0)
            .guide_x("large", 1.0);
            for (part, curve) in heights {
                if !curve.is_empty() {
                    plot = plot.line(part, curve.into_iter().map(|(x, y)| (x, factor * y)));
                }
            }
            figures.push(
                plot.caption(&format!("Means over the runs. {note}"))
                    .figure(),
            );
        }
    }
    Some(Section {
        title: "From the small batch to the large".into(),
        text: "The loss, and the accuracy of a classifier, at α x_L + (1 − α) x_S, from the weights x_S of the small batch (α = 0) to the weights x_L of the large batch (α = 1) with the same seed; and how \
        far each moved from its initial weights x_0 (Keskar et al. 2017, figure 3)."
            .into(),
        tables: vec![table],
        figures,
    })
}

fn distance(probed: &Probed, group: usize, name: &str) -> Vec<(u64, f64)> {
    probed.values(group, |run| {
        at(run.end.get("line")?, &format!("/result/distances/{name}"))
    })
}

/// The mean over runs of a quantity along the line, for each α that all runs have.
fn mean(probed: &Probed, group: usize, path: &str) -> Vec<(f64, f64)> {
    let (mut sums, mut runs) = (BTreeMap::<i64, (f64, f64, usize)>::new(), 0);
    for (_, run) in &probed.groups[group] {
        let Some(points) = run
            .end
            .get("line")
            .and_then(|line| line["result"]["points"].as_array())
        else {
            continue;
        };
        runs += 1;
        for point in points {
            let alpha = point["alpha"].as_f64().unwrap_or(f64::NAN);
            if let Some(height) = point.pointer(path).and_then(Value::as_f64) {
                let sum = sums
                    .entry((alpha * 1e6).round() as i64)
                    .or_insert((alpha, 0.0, 0));
                sum.1 += height;
                sum.2 += 1;
            }
        }
    }
    sums.into_values()
        .filter(|s| s.2 == runs)
        .map(|(alpha, sum, n)| (alpha, sum / n as f64))
        .collect()
}
