//! Charts of a probe's measurements over a training.

use largebatch_plot::{Plot, Scale};
use largebatch_train::RunConfig;
use serde_json::Value;

/// The charts of the lines that a probe wrote.
pub(super) fn plots(name: &str, lines: &[Value], config: &RunConfig, subset: usize) -> Vec<Plot> {
    let examples = match name {
        "noise-pairs" => "micro-batches of the training steps".to_owned(),
        _ => format!("{subset} training examples"),
    };
    let caption = format!(
        "{} on {}, {}, {examples}, seed {}.",
        config.model.name, config.dataset.name, config.optimizer.name, config.seed
    );
    let over_steps = |stem: &str, title: &str| {
        Plot::new(stem, title)
            .x("step", Scale::Linear)
            .caption(&caption)
    };
    match name {
        "layers" => {
            let draw = |plot: Plot, layers: Vec<(String, Points)>| {
                layers
                    .into_iter()
                    .fold(plot, |plot, (path, points)| plot.line(&path, points))
            };
            let ratios =
                over_steps("layers-course", "‖w‖/‖∇w‖ over training").y("‖w‖/‖∇w‖", Scale::Log);
            let mut plots = vec![draw(ratios, layers(lines, "ratio"))];
            let trust = layers(lines, "trust_ratio");
            if !trust.is_empty() {
                let plot = over_steps(
                    "layers-trust-course",
                    "Trust ratio of each layer over training",
                )
                .y("trust ratio", Scale::Log);
                plots.push(draw(plot, trust));
            }
            plots
        }
        "noise" | "noise-pairs" => {
            let end = |which: &str| -> Points {
                let value = |line: &Value| {
                    line.pointer(&format!("/result/interval/{which}"))
                        .and_then(Value::as_f64)
                };
                lines
                    .iter()
                    .map(|line| (step(line), value(line).unwrap_or(f64::NAN)))
                    .collect()
            };
            let (label, interval) = match name {
                "noise" => ("B_simple of these examples", "95 % for the population"),
                _ => ("B_simple of the steps since the previous point", "95 %"),
            };
            // Not a band: an interval may have no upper end, and the upper line is broken there.
            let plot = over_steps(
                &format!("{name}-course"),
                "Gradient noise scale over training",
            )
            .y("examples", Scale::Log)
            .line(label, of(lines, "/result/b_simple"))
            .dashed(interval, end("low"))
            .dashed(interval, end("high"))
            .guide_y("batch", config.batch_size.unwrap_or(1) as f64);
            vec![plot]
        }
        _ => {
            let bound = lines
                .iter()
                .rev()
                .find_map(|line| line.pointer("/result/edge/bound")?.as_f64());
            let plot = match bound {
                Some(bound) => {
                    let products = of(lines, "/result/edge/product");
                    // With few gradients seen, a preconditioner takes it far beyond the edge.
                    let is_far = products.iter().any(|p| p.1 > 5.0 * bound)
                        && products.iter().all(|p| p.1 > 0.0);
                    let scale = if is_far { Scale::Log } else { Scale::Linear };
                    let label = if lines
                        .iter()
                        .any(|line| line["result"]["edge"]["preconditioned"] == true)
                    {
                        "η λ_max of the preconditioned Hessian"
                    } else {
                        "η λ_max"
                    };
                    let plot = over_steps("curvature-course", "Towards the edge of stability")
                        .y("η λ_max", scale);
                    plot.line(label, products)
                        .guide_y("edge of stability", bound)
                }
                None => over_steps(
                    "curvature-course",
                    "Largest eigenvalue of the Hessian over training",
                )
                .y("λ_max", Scale::Linear)
                .line("λ_max", of(lines, "/result/lambda_max")),
            };
            vec![plot]
        }
    }
}

type Points = Vec<(f64, f64)>;

fn step(line: &Value) -> f64 {
    line["step"].as_f64().unwrap_or(f64::NAN)
}

/// The numbers at a JSON pointer of each line, against its step.
fn of(lines: &[Value], path: &str) -> Points {
    // An interrupted measurement has too few products or examples to compare with the others.
    let whole = lines.iter().filter(|line| line["complete"] != false);
    whole
        .filter_map(|line| Some((step(line), line.pointer(path)?.as_f64()?)))
        .collect()
}

/// One column of the layer table, for each weight that has a value.
fn layers(lines: &[Value], column: &str) -> Vec<(String, Points)> {
    let rows = lines
        .first()
        .and_then(|line| line["result"]["rows"].as_array())
        .map_or(&[][..], Vec::as_slice);
    let weights = rows
        .iter()
        .enumerate()
        .filter(|(_, row)| row["is_weight"] == true);
    weights
        .map(|(i, row)| {
            (
                row["path"].as_str().unwrap_or("?").to_owned(),
                of(lines, &format!("/result/rows/{i}/{column}")),
            )
        })
        .filter(|(_, points)| !points.is_empty())
        .collect()
}
