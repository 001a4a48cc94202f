//! `largebatch probe` and `train --probe` from outside: files, numbers, bad input.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use largebatch_tests::{bytes, command, ended, folder, json, ok, shell, write};
use safetensors::SafeTensors;
use safetensors::tensor::TensorView;
use serde_json::Value;

fn train(dir: &Path, out: &str, more: &[&str]) {
    let arguments = [
        "train",
        "--dataset",
        "digits",
        "--model",
        "mlp",
        "--set",
        "model.widths=[8]",
        "--steps",
        "20",
        "--batch-size",
        "50",
        "--out",
        out,
        "-q",
    ];
    ok(dir, &[&arguments, more].concat());
}

fn read(path: impl AsRef<Path>) -> Value {
    serde_json::from_slice(&bytes(path)).expect("JSON")
}

#[test]
fn each_probe_writes_its_files() {
    let dir = folder();
    train(dir.path(), "run", &["--trace", "layers:every=5"]);
    for name in ["layers", "noise", "curvature"] {
        let printed = json(dir.path(), &["probe", name, "run", "--subset", "200"]);
        let place = dir.path().join("run/probe");
        assert_eq!(printed, read(place.join(format!("{name}.json"))));
        assert_eq!(printed["schema"], 1);
        assert_eq!(
            (
                &printed["examples"],
                &printed["complete"],
                &printed["precision"]
            ),
            (&200.into(), &true.into(), &"f64".into())
        );
        assert_eq!(printed["parameters"], 8 * 64 + 8 + 10 * 8 + 10);
        let svg = fs::read_to_string(place.join(format!("{name}.svg"))).expect("a figure");
        assert!(svg.starts_with("<svg") && !svg.contains("NaN"), "{name}");
        // The same seed gives the same numbers.
        assert_eq!(
            printed,
            json(
                dir.path(),
                &[
                    "probe",
                    name,
                    "run",
                    "--subset",
                    "200",
                    "--out",
                    "elsewhere"
                ]
            ),
            "{name}"
        );
        let text = ok(dir.path(), &["probe", name, "run", "--subset", "200"]).stdout;
        let word = [
            "bounds the learning rate",
            "predicted critical batch",
            "gradient descent is stable up to",
        ];
        assert!(word.iter().any(|w| text.contains(w)), "{text}");
    }
    assert!(dir.path().join("run/probe/layers-course.svg").exists());
    let curvature = read(dir.path().join("run/probe/curvature.json"));
    let (lambda, edge) = (
        curvature["result"]["lambda_max"].as_f64().unwrap(),
        &curvature["result"]["edge"],
    );
    assert_eq!(edge["bound"], 2.0);
    assert!(
        (edge["product"].as_f64().unwrap() / (lambda * edge["rate"].as_f64().unwrap()) - 1.0).abs()
            < 1e-12
    );
}

/// A checkpoint has the optimizer's state, which Adam's edge of stability needs; a finished run has
/// none.
#[test]
fn a_checkpoint_can_be_probed() {
    let dir = folder();
    train(
        dir.path(),
        "run",
        &["--optimizer", "adam", "--set", "checkpoint.every_steps=10"],
    );
    let edge = |run: &str| {
        json(
            dir.path(),
            &[
                "probe",
                "curvature",
                run,
                "--subset",
                "100",
                "--samples",
                "0",
                "--vectors",
                "0",
            ],
        )["result"]["edge"]
            .clone()
    };
    let found = edge("run/checkpoints/step-10");
    assert!(
        (found["bound"].as_f64().unwrap() - 38.0).abs() < 1e-9
            && found["lambda_max"].as_f64().unwrap() > 0.0,
        "{found}"
    );
    assert_eq!(edge("run"), Value::Null);
    let update = |run: &str| {
        json(dir.path(), &["probe", "layers", run])["result"]["rows"][0]["update"]
            .as_f64()
            .unwrap()
    };
    assert!(update("run/checkpoints/step-10") > 0.0 && update("run") > 0.0);
}

/// Probing does not affect the training, and its measurements are those of the run.
#[test]
fn probes_watch_a_training() {
    let dir = folder();
    train(dir.path(), "plain", &[]);
    let probes = [
        "--probe",
        "layers:every=5",
        "--probe",
        "noise:every=10,subset=60",
        "--probe",
        "curvature:every=10,subset=60",
    ];
    train(dir.path(), "watched", &probes);
    assert_eq!(
        bytes(dir.path().join("plain/model.safetensors")),
        bytes(dir.path().join("watched/model.safetensors"))
    );
    for (name, steps) in [
        ("layers", vec![0, 5, 10, 15, 20]),
        ("noise", vec![0, 10, 20]),
        ("curvature", vec![0, 10, 20]),
    ] {
        let place = dir.path().join("watched/probe");
        let text = fs::read_to_string(place.join(format!("{name}.jsonl"))).expect("lines");
        let lines: Vec<Value> = text
            .lines()
            .map(|l| serde_json::from_str(l).expect("JSON"))
            .collect();
        assert_eq!(
            lines
                .iter()
                .map(|l| l["step"].as_u64().unwrap())
                .collect::<Vec<_>>(),
            steps,
            "{name}"
        );
        assert!(place.join(format!("{name}-course.svg")).exists());
        if name == "layers" {
            assert!(lines[1]["result"]["rows"][0]["update"].as_f64().unwrap() > 0.0);
        }
        // The last line equals a probe of the finished run.
        if name == "noise" {
            let after = json(
                dir.path(),
                &[
                    "probe",
                    name,
                    "watched",
                    "--subset",
                    "60",
                    "--replicates",
                    "0",
                    "--pairs",
                    "0",
                ],
            );
            for key in ["gradient_square", "trace"] {
                let (on_the_way, after) = (
                    lines[2]["result"][key].as_f64().unwrap(),
                    after["result"][key].as_f64().unwrap(),
                );
                assert!(
                    (on_the_way / after - 1.0).abs() < 1e-9,
                    "{key}: {on_the_way} {after}"
                );
            }
        }
    }
}

/// The lines that a probe wrote in a training.
fn lines(run: &Path, name: &str) -> Vec<Value> {
    let text = fs::read_to_string(run.join(format!("probe/{name}.jsonl"))).expect("lines");
    text.lines()
        .map(|l| serde_json::from_str(l).expect("JSON"))
        .collect()
}

/// The state of an adaptive rule is measured during training: the edge of stability equals that of
/// a checkpoint at the same step, and no weight changes.
#[test]
fn an_adaptive_rule_is_watched() {
    let dir = folder();
    for (optimizer, bound) in [("adam", 38.0), ("adamw", 38.0), ("adagrad", 2.0)] {
        let more = [
            "--optimizer",
            optimizer,
            "--set",
            "checkpoint.every_steps=10",
            "--set",
            "log.every_steps=10",
        ];
        let (plain, watched) = (format!("{optimizer}-plain"), format!("{optimizer}-watched"));
        train(dir.path(), &plain, &more);
        train(
            dir.path(),
            &watched,
            &[
                &more[..],
                &[
                    "--probe",
                    "curvature:every=10,subset=100",
                    "--probe",
                    "layers:every=1",
                ],
            ]
            .concat(),
        );
        let model = |run: &str| bytes(dir.path().join(run).join("model.safetensors"));
        assert_eq!(model(&plain), model(&watched), "{optimizer}");
        let lines = lines(&dir.path().join(&watched), "curvature");
        // Before the first step there is no state.
        assert_eq!(lines[0]["result"]["edge"], Value::Null, "{optimizer}");
        let edge = &lines[1]["result"]["edge"];
        let checkpoint = format!("{watched}/checkpoints/step-10");
        let after = json(
            dir.path(),
            &[
                "probe",
                "curvature",
                &checkpoint,
                "--subset",
                "100",
                "--samples",
                "0",
                // The older names of --vectors and --iterations.
                "--probes",
                "0",
                "--most",
                "60",
            ],
        );
        for key in ["bound", "rate", "lambda_max", "product"] {
            let (on_the_way, after) = (
                edge[key].as_f64().unwrap(),
                after["result"]["edge"][key].as_f64().unwrap(),
            );
            assert!(
                (on_the_way / after - 1.0).abs() < 1e-3,
                "{optimizer} {key}: {on_the_way}, {after}"
            );
        }
        let number = |key: &str| edge[key].as_f64().unwrap();
        assert!((number("bound") - bound).abs() < 1e-9 && edge["rate"] == lines[1]["lr"]);
        assert!((number("product") / (number("rate") * number("lambda_max")) - 1.0).abs() < 1e-12);
        // The preconditioner is far from 1.
        let (seen, plain) = (
            edge["lambda_max"].as_f64().unwrap(),
            lines[1]["result"]["lambda_max"].as_f64().unwrap(),
        );
        assert!(seen > 2.0 * plain, "{optimizer}: {seen} {plain}");
        let svg = fs::read_to_string(dir.path().join(&watched).join("probe/curvature-course.svg"))
            .expect("a figure");
        assert!(svg.contains("edge of stability"), "{optimizer}");
    }
}

/// The first measurement announces the cost of all; an interrupt ends the measurement in progress,
/// whose line says so, and the run can be resumed.
#[test]
#[cfg(unix)]
fn a_look_can_be_interrupted() {
    let dir = folder();
    let script = r#""$LARGEBATCH" train --dataset digits --model mlp --set model.widths=[32] --steps 100000 --out run --probe curvature:every=1,subset=2000 & pid=$!
        sleep 4; kill -INT $pid; wait $pid; code=$?
        "$LARGEBATCH" train --resume run --steps 100000 -q & pid=$!; sleep 1; kill -INT $pid; wait $pid; exit $code"#;
    let found = ended(shell(dir.path(), script));
    assert_eq!(found.code, Some(130), "{found:?}");
    assert!(
        found
            .stderr
            .contains("probe curvature: 100000 more measurements take about"),
        "{found:?}"
    );
    let lines = lines(&dir.path().join("run"), "curvature");
    let (last, before) = lines.split_last().expect("a line");
    assert!(!before.is_empty() && before.iter().all(|line| line["complete"] == true));
    // Between two measurements the interrupt hits none.
    assert!(
        last["complete"] == false || last["result"]["converged"] == true,
        "{last}"
    );
    assert!(dir.path().join("run/probe/curvature-course.svg").exists());
    assert!(
        fs::read_dir(dir.path().join("run/checkpoints"))
            .unwrap()
            .count()
            > 0
    );
}

/// The trust ratios measured during training are those in the trace of the same steps.
#[test]
fn trust_ratios_are_watched() {
    let dir = folder();
    for optimizer in ["lars", "lamb", "sgd"] {
        let more = ["--optimizer", optimizer, "--trace", "layers"];
        let (plain, watched) = (format!("{optimizer}-plain"), format!("{optimizer}-watched"));
        train(dir.path(), &plain, &["--optimizer", optimizer]);
        train(
            dir.path(),
            &watched,
            &[&more[..], &["--probe", "layers:every=5"]].concat(),
        );
        let run = dir.path().join(&watched);
        assert_eq!(
            bytes(dir.path().join(&plain).join("model.safetensors")),
            bytes(run.join("model.safetensors")),
            "{optimizer}"
        );
        let trace = fs::read_to_string(run.join("layers.csv")).expect("a trace");
        let mut found = 0;
        for line in lines(&run, "layers").iter().skip(1) {
            for row in line["result"]["rows"].as_array().unwrap() {
                let start = format!("{},{},", line["step"], row["path"].as_str().unwrap());
                let traced = trace
                    .lines()
                    .find_map(|l| l.strip_prefix(&start))
                    .expect("a traced layer");
                let fields: Vec<Option<f64>> = traced.split(',').map(|f| f.parse().ok()).collect();
                assert_eq!(
                    row["trust_ratio"].as_f64(),
                    fields[3],
                    "{optimizer}: {start}"
                );
                let update = row["update"].as_f64().unwrap();
                assert!(
                    (update / fields[2].unwrap() - 1.0).abs() < 1e-3,
                    "{optimizer}: {start} {update}"
                );
                found += usize::from(fields[3].is_some());
            }
        }
        assert_eq!(found > 0, optimizer != "sgd");
        assert_eq!(
            run.join("probe/layers-trust-course.svg").exists(),
            optimizer != "sgd"
        );
        // The same values from the trace.
        ok(
            dir.path(),
            &[
                "probe",
                "layers",
                &watched,
                "--subset",
                "50",
                "--out",
                &format!("{watched}-after"),
            ],
        );
        assert_eq!(
            dir.path()
                .join(format!("{watched}-after/layers-trust-course.svg"))
                .exists(),
            optimizer != "sgd"
        );
    }
}

/// The noise scale from a run's own micro-batches: without extra gradients, next to the exact one,
/// and without changing a weight.
#[test]
fn pairs_are_watched() {
    let dir = folder();
    // The rate is too small to change a weight.
    let more = ["--set", "accumulate=5", "--lr", "1e-30", "--steps", "200"];
    let arguments = |out: &'static str, probes: &[&'static str]| {
        let shape = [
            "train",
            "--dataset",
            "digits",
            "--model",
            "mlp",
            "--set",
            "model.widths=[8]",
            "--batch-size",
            "50",
            "-q",
            "--out",
            out,
        ];
        [&shape[..], &more, probes].concat()
    };
    ok(dir.path(), &arguments("plain", &[]));
    ok(
        dir.path(),
        &arguments("watched", &["--probe", "noise-pairs:every=100"]),
    );
    assert_eq!(
        bytes(dir.path().join("plain/model.safetensors")),
        bytes(dir.path().join("watched/model.safetensors"))
    );
    let exact = json(
        dir.path(),
        &[
            "probe",
            "noise",
            "watched",
            "--subset",
            "all",
            "--replicates",
            "0",
            "--pairs",
            "0",
        ],
    );
    let exact = exact["result"]["b_simple_population"].as_f64().unwrap();
    let lines = lines(&dir.path().join("watched"), "noise-pairs");
    assert_eq!(
        lines
            .iter()
            .map(|l| l["step"].as_u64().unwrap())
            .collect::<Vec<_>>(),
        [100, 200]
    );
    for line in &lines {
        assert_eq!(
            (&line["gradient_evaluations"], &line["result"]["steps"]),
            (&0.into(), &100.into())
        );
        // The batches at the end of an epoch are smaller.
        assert!(
            (4500..=5000).contains(&line["examples"].as_u64().unwrap()),
            "{line}"
        );
        let (low, high) = (
            &line["result"]["interval"]["low"],
            &line["result"]["interval"]["high"],
        );
        assert!(
            low.as_f64().unwrap() < exact && exact < high.as_f64().unwrap(),
            "{line}, exact {exact}"
        );
    }
    let svg = fs::read_to_string(dir.path().join("watched/probe/noise-pairs-course.svg"))
        .expect("a figure");
    assert!(svg.starts_with("<svg") && !svg.contains("NaN"));
}

/// The weights of a run with one number replaced.
fn with_weight(from: &Path, to: &Path, path: &str, value: f32) {
    let bytes = bytes(from);
    let file = SafeTensors::deserialize(&bytes).expect("a safetensors file");
    let mut all: BTreeMap<String, (Vec<usize>, Vec<u8>)> = file
        .tensors()
        .into_iter()
        .map(|(name, view)| (name, (view.shape().to_vec(), view.data().to_vec())))
        .collect();
    all.get_mut(path).expect("the path").1[8..12].copy_from_slice(&value.to_le_bytes());
    let views = all.iter().map(|(name, (shape, data))| {
        (
            name.clone(),
            TensorView::new(safetensors::Dtype::F32, shape.clone(), data)
                .expect("the bytes of the shape"),
        )
    });
    fs::write(to, safetensors::serialize(views, None).expect("bytes")).expect("written");
}

#[test]
fn bad_input_is_told() {
    let dir = folder();
    train(dir.path(), "run", &[]);
    train(dir.path(), "wide", &["--set", "model.widths=[9]"]);
    let model = |run: &str| dir.path().join(run).join("model.safetensors");
    with_weight(
        &model("run"),
        &dir.path().join("nan.safetensors"),
        "output.bias",
        f32::NAN,
    );
    let other = model("wide").display().to_string();
    let rows: [(&[&str], i32, &[&str]); 12] = [
        (&["layers", "absent"], 1, &["absent", "does not exist"]),
        (
            &["noise", "run", "--subset", "0"],
            2,
            &["`subset` cannot be 0", "at least 1"],
        ),
        (
            &["noise", "run", "--subset", "some"],
            2,
            &["`subset` cannot be \"some\"", "`all`"],
        ),
        (
            &["noise", "run", "--subset", "1"],
            2,
            &["subset = 1", "at least 2 examples"],
        ),
        (
            &["layers", "run", "--weights", &other],
            1,
            &["model.safetensors", "has shape [9", "needs [8"],
        ),
        (
            &["curvature", "run", "--weights", "nan.safetensors"],
            1,
            &[
                "nan.safetensors",
                "weight 2 of output.bias is NaN",
                "diverged",
            ],
        ),
        (
            &["noise", "run", "--weights", "nan.safetensors"],
            1,
            &["output.bias", "diverged"],
        ),
        (
            &["layers", "run", "--weights", "none.safetensors"],
            1,
            &["none.safetensors", "cannot read"],
        ),
        (
            &["curvature", "run", "--top", "61"],
            2,
            &["top = 61", "--iterations 60"],
        ),
        (
            &["layers", "run", "--device", "quantum"],
            2,
            &["quantum", "flex"],
        ),
        (
            &["layers", "run/checkpoints/step-5"],
            1,
            &["step-5", "checkpoint.every_steps"],
        ),
        (
            &["layers", "run", "--out", "run/run.toml"],
            1,
            &["run.toml", "create the folder"],
        ),
    ];
    for (arguments, code, words) in rows {
        let found = ended(command(dir.path(), &[&["probe"], arguments].concat()));
        assert_eq!(found.code, Some(code), "{arguments:?}: {}", found.stderr);
        for word in words {
            assert!(
                found.stderr.contains(word),
                "{arguments:?} does not say '{word}': {}",
                found.stderr
            );
        }
    }
    for (probe, words) in [
        ("noise", &["every=100"][..]),
        ("nois:every=5", &["did you mean `noise`"]),
        ("noise:every=0", &["every=0", "every=100"]),
        ("layers:often", &["often", "every=100"]),
        (
            "noise-pairs:every=5",
            &[
                "probe = noise-pairs",
                "does not cut its batch",
                "accumulate=4",
            ],
        ),
        ("noise-pairs:every=5,subset=9", &["no option `subset`"]),
    ] {
        let found = ended(command(
            dir.path(),
            &[
                "train",
                "--dataset",
                "digits",
                "--model",
                "mlp",
                "--steps",
                "1",
                "--out",
                "new",
                "--probe",
                probe,
            ],
        ));
        assert_eq!(found.code, Some(2), "{probe}: {}", found.stderr);
        assert!(
            words.iter().all(|word| found.stderr.contains(word)),
            "{probe}: {}",
            found.stderr
        );
        assert!(
            !dir.path().join("new").exists(),
            "{probe} is reported before a folder is created"
        );
    }
}

/// A study's probes change no trial; their results are stored with the kept runs and shown in
/// the report. What a killed worker left is made again.
#[test]
fn a_study_keeps_its_runs_for_probes() {
    const STUDY: &str = "set = { dataset = 'digits', model = { name = 'mlp', widths = [8] }, optimizer = 'sgd', lr = 0.1 }\n\
                         axes.batch_size = [32, 256]\nbudget.epochs = 2\nconfirm.seeds = 2\n";
    let dir = folder();
    let probes = "confirm.probe = ['noise:every=20,subset=50', 'sharpness --subset 100 --iterations 2', 'line --points 3']";
    write(dir.path(), "plain.toml", format!("name = 's'\n{STUDY}"));
    write(
        dir.path(),
        "probed.toml",
        format!("name = 's'\n{STUDY}{probes}"),
    );
    for name in ["plain", "probed"] {
        ok(
            dir.path(),
            &[
                "study",
                "run",
                &format!("{name}.toml"),
                "--out",
                name,
                "--jobs",
                "2",
                "-q",
            ],
        );
    }
    let trials = |name: &str| -> Vec<Value> {
        let text = fs::read_to_string(dir.path().join(name).join("trials.jsonl")).expect("trials");
        text.lines()
            .map(|line| {
                let mut trial: Value = serde_json::from_str(line).expect("JSON");
                ["provenance", "digest"]
                    .iter()
                    .for_each(|key| drop(trial.as_object_mut().expect("an object").remove(*key)));
                trial
            })
            .collect()
    };
    assert_eq!(trials("plain"), trials("probed"));
    assert!(!dir.path().join("plain/runs").exists());
    let runs: Vec<_> = fs::read_dir(dir.path().join("probed/runs"))
        .expect("runs")
        .map(|e| e.expect("an entry").path())
        .collect();
    assert_eq!(runs.len(), 4);
    for run in &runs {
        let has = |name: &str| run.join("probe").join(name).exists();
        assert!(
            has("noise.jsonl") && has("sharpness.json") && run.join("model.safetensors").exists(),
            "{run:?}"
        );
        assert_eq!(
            has("line.json"),
            run.to_string_lossy().contains("batch-size-256"),
            "{run:?}"
        );
    }
    let page = fs::read_to_string(dir.path().join("probed/report/index.html")).expect("a report");
    for heading in [
        "Sharpness",
        "From the small batch to the large",
        "Gradient noise",
    ] {
        assert!(page.contains(&format!("{heading}</h2>")), "{heading}");
    }

    // A run that began but did not end: its trial runs again, in the same folder, with the same
    // results.
    let before = bytes(runs[0].join("probe/sharpness.json"));
    let id = runs[0]
        .to_string_lossy()
        .rsplit('-')
        .next()
        .expect("an identity")
        .to_owned();
    let journal = dir.path().join("probed/trials.jsonl");
    let rest: String = fs::read_to_string(&journal)
        .expect("trials")
        .lines()
        .filter(|l| !l.contains(&id))
        .map(|l| format!("{l}\n"))
        .collect();
    fs::write(&journal, rest).expect("written");
    fs::remove_file(runs[0].join("model.safetensors")).expect("removed");
    ok(
        dir.path(),
        &["study", "run", "probed.toml", "--out", "probed", "-q"],
    );
    assert_eq!(trials("plain"), trials("probed"));
    assert_eq!(before, bytes(runs[0].join("probe/sharpness.json")));

    write(
        dir.path(),
        "wrong.toml",
        format!("name = 's'\n{STUDY}confirm.probe = ['sharpness --subst 3']"),
    );
    let wrong = ended(command(
        dir.path(),
        &["study", "run", "wrong.toml", "--out", "wrong"],
    ));
    assert_eq!(wrong.code, Some(2));
    assert!(
        wrong.stderr.contains("confirm.probe") && wrong.stderr.contains("--subst"),
        "{}",
        wrong.stderr
    );
    assert!(!dir.path().join("wrong").exists());
}
