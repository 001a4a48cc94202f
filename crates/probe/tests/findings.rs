//! Results of probes in a report: the numbers are those of the files, by group.

#[path = "../../report/tests/made_up/mod.rs"]
#[allow(dead_code, reason = "also contains studies for other tests")]
mod made_up;

use std::fs;
use std::path::Path;

use largebatch_probe::noise::Noise;
use largebatch_probe::{ProbeError, probed, standard};
use largebatch_report::{Context, Format, Outline, Probed};
use largebatch_study::{Results, run_folder};
use made_up::{html, published, results, write};
use serde_json::{Value, json};

const STUDY: &str = r#"
name = "keskar-f1"
set = { dataset = "mnist", model = "f1", optimizer = "adam" }
axes.batch_size = [16, 256]
search.lr = [0.002, 0.008, 2.0]
budget.epochs = 20
confirm.seeds = 3
confirm.probe = ["sharpness"]
"#;

/// Keeps the run of every reported trial, with the content that `object` gives for its batch size
/// and seed.
fn keep(results: &Results, folder: &Path, name: &str, object: impl Fn(i64, u64) -> String) {
    for group in 0..results.plan.groups.len() {
        for record in results.reported(group) {
            let batch = record.labels["batch_size"].as_integer().unwrap();
            let probe = folder
                .join("runs")
                .join(run_folder(&record.labels, record.seed, &record.id))
                .join("probe");
            fs::create_dir_all(&probe).unwrap();
            fs::write(probe.join(name), object(batch, record.seed)).unwrap();
        }
    }
}

fn object(result: Value) -> Value {
    json!({
        "schema": 1, "probe": "a probe", "run": "a run", "part": "train", "examples": 2000, "parameters": 9,
        "precision": "f64", "gradient_evaluations": 1, "example_gradients": 2000, "complete": true, "result": result,
    })
}

fn line(step: u64, result: Value) -> String {
    let mut line = object(result);
    line["step"] = step.into();
    line["lr"] = 0.1.into();
    format!("{line}\n")
}

fn found(results: &Results, folder: &Path) -> Result<Probed, ProbeError> {
    probed(&standard(), folder, &Outline::new(results))
}

#[test]
fn each_probe_has_its_section() {
    let dir = tempfile::tempdir().unwrap();
    let results = results(STUDY, dir.path());
    // Sharpness 2, 4, 6 and eight times that: means 4 and 32, t interval with two degrees of
    // freedom 4 ± 4.303 · 2/√3.
    keep(&results, dir.path(), "sharpness.json", |batch, seed| {
        let value = if batch == 16 { 2.0 } else { 16.0 } * (seed + 1) as f64;
        let keskar = |space: Value, value: f64| {
            json!({
                "space": space, "epsilon": 1e-3, "loss": 0.1, "highest": 0.2, "sharpness": value,
                "iterations": 10, "evaluations": 12, "ended": "iterations",
            })
        };
        let boxes = json!([
            keskar("full".into(), value),
            keskar(json!({ "random": { "directions": 100 } }), value / 10.0),
        ]);
        object(json!({ "batch_statistics": false, "boxes": boxes, "ball": null, "adaptive": null }))
            .to_string()
    });
    keep(&results, dir.path(), "noise.jsonl", |_, seed| {
        let noise = |i: u64| Noise {
            b_simple: Some(1.0),
            b_simple_population: Some(100.0 * (i + seed + 1) as f64),
            ..Noise::default()
        };
        let lines = (0..3).map(|i| line(10 * i, json!(noise(i))));
        let lines: String = lines.collect();
        // The next line is being written.
        lines + "{\"schema\": 1, \"st"
    });
    keep(&results, dir.path(), "curvature.jsonl", |_, _| {
        (0..2)
            .map(|i| {
                line(
                    5 * i,
                    json!({
                        "lambda_max": 40.0, "stable_rate": 0.05, "eigenvalues": [40.0], "residuals": [0.0],
                        "converged": true, "least": -1.0,
                        "edge": {
                            "optimizer": "sgd", "rate": 0.0375, "lambda_max": 40.0, "product": 1.5, "bound": 2.0,
                            "stable_rate": 0.05,
                        },
                    }),
                )
            })
            .collect()
    });
    keep(&results, dir.path(), "layers.json", |batch, _| {
        let row = |path: &str, ratio: i64| json!({ "path": path, "parameters": 4, "weight": 1.0, "gradient": 1.0, "ratio": ratio, "is_weight": true });
        object(
            json!({ "rows": [row("first", batch), row("last", 2 * batch)], "bounding": "first", "smallest_ratio": batch, "spread": 2.0 }),
        )
        .to_string()
    });
    keep(&results, dir.path(), "line.json", |_, seed| {
        let point = |alpha: f64| json!({ "alpha": alpha, "train": { "loss": 1.0 + alpha, "accuracy": 0.5 }, "test": null });
        let distances = json!({ "small": 9.0, "large": 3.0, "ratio": 3.0 + seed as f64, "between": 7.0, "cosine_of_paths": 0.5, "cosine_of_weights": 0.5 });
        object(json!({ "small": "s", "large": "l", "points": [point(-0.5), point(2.0)], "distances": distances })).to_string()
    });
    let probed = found(&results, dir.path()).unwrap();

    let papers = published(&results, &probed);
    let ours = |what: &str| {
        papers[0]
            .rows
            .iter()
            .find(|r| r.what.starts_with(what))
            .unwrap()
            .ours
            .clone()
    };
    assert_eq!(
        ours("sharpness, ε = 0.001, full space, small batch (16 here)"),
        "4 [−0.9683, 8.968] (n = 3)"
    );
    assert_eq!(
        ours("sharpness, ε = 0.001, 100 random directions, large batch"),
        "3.2 [−0.7746, 7.175] (n = 3)"
    );

    let page = html(
        &results,
        &Context {
            probed: probed.clone(),
            ..Context::default()
        },
    );
    let row = |start: &str| {
        let from = page.find(start).unwrap_or_else(|| panic!("no {start}"));
        page[from..][..page[from..].find("</tr>").unwrap()].to_owned()
    };
    // The ratio is 8 for each seed.
    assert!(
        row("batch 256 ÷ batch 16").contains("× 8 "),
        "{}",
        row("batch 256 ÷ batch 16")
    );
    // λ_max = 40; the rates 0.002 and 0.008 train, 2 diverges.
    let heading = page.find("Curvature and the stable rate</h2>").unwrap();
    let curvature = &page[heading..][..page[heading..].find("</table>").unwrap()];
    for cell in ["<td>40 ", "<td>0.05 ", "<td>0.008</td>", "<td>2</td>"] {
        assert!(curvature.contains(cell), "{cell} in {curvature}");
    }
    // Medians over the three seeds: 200, 300, 400.
    let heading = page.find("Gradient noise</h2>").unwrap();
    let noise = &page[heading..][..page[heading..].find("</table>").unwrap()];
    assert!(
        noise.contains("<td>200</td><td>300</td><td>300</td><td>400 (step 20)</td>"),
        "{noise}"
    );
    assert!(page.contains("Layers</h2>") && page.contains("‖x_S − x_0‖"));

    let out = dir.path().join("report");
    let files = write(
        &results,
        &Context {
            probed,
            ..Context::default()
        },
        &out,
        &[Format::Svg],
    )
    .unwrap()
    .files;
    for name in [
        "sharpness",
        "noise-scale",
        "edge",
        "layers",
        "line-loss-batch-256",
    ] {
        assert!(
            files.contains(&format!("figures/{name}.svg").into()),
            "{name} in {files:?}"
        );
    }
}

/// With λ ≈ 0 the stable rate 2/λ is huge. Its median is not, and neither end of the interval is
/// below 0. Lion has no known bound, and so no stable rate.
#[test]
fn a_flat_loss_does_not_decide_the_stable_rate() {
    let dir = tempfile::tempdir().unwrap();
    let results = results(STUDY, dir.path());
    keep(&results, dir.path(), "curvature.jsonl", |batch, seed| {
        let lambda = [40.0, 20.0, 1e-18][seed as usize % 3];
        let edge = json!({
            "optimizer": "sgd", "rate": 0.1, "lambda_max": lambda, "product": 0.1 * lambda, "bound": 2.0,
            "stable_rate": 2.0 / lambda,
        });
        let edge = if batch == 16 { edge } else { Value::Null };
        line(
            5,
            json!({
                "lambda_max": lambda, "stable_rate": 2.0 / lambda, "eigenvalues": [lambda], "residuals": [0.0],
                "converged": true, "least": -1.0, "edge": edge,
            }),
        )
    });
    let sections = found(&results, dir.path()).unwrap().sections;
    let [small, large] = &sections[0].tables[0].rows[..] else {
        panic!("two groups");
    };
    assert_eq!(
        [&small[3], &small[4], &large[4]],
        ["–", "0.1 [0.05, 2e18] (step 5)", "–"]
    );
    let caption = &sections[0].figures[0].caption;
    assert!(
        caption.contains("No measurement of: batch 256."),
        "{caption}"
    );
}

#[test]
fn a_file_that_is_no_record_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let results = results(STUDY, dir.path());
    assert_eq!(found(&results, dir.path()).unwrap(), Probed::default());
    for text in ["{\"torn", "{}"] {
        keep(&results, dir.path(), "noise.json", |_, _| text.into());
        let error = found(&results, dir.path()).unwrap_err().to_string();
        assert!(error.contains("noise.json"), "{error}");
    }
}
