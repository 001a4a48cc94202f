//! `largebatch scale`: the model of a training on many devices, and the network that it measures.

use std::path::Path;

use largebatch_tests::{Ended, bytes, command, ended, folder, json, ok, program, skipped, write};
use serde_json::Value;

const RUN: &[&str] = &[
    "train",
    "--dataset",
    "digits",
    "--model",
    "mlp",
    "--batch-size",
    "64",
    "--steps",
    "3",
    "--quiet",
    "--set",
    "parts=4",
    "--out",
    "run",
];
/// Weights and biases of two hidden layers of 512.
const PARAMETERS: u64 = 64 * 512 + 512 + 512 * 512 + 512 + 512 * 10 + 10;
const SHORT: &[&str] = &["scale", "run", "--seconds", "0.02", "--threads", "1"];

fn rows<'a>(found: &'a Value, kind: &str) -> &'a [Value] {
    found[kind].as_array().expect("rows")
}

#[test]
fn a_run_gets_a_table_and_a_figure() {
    let folder = folder();
    let dir = folder.path();
    ok(dir, RUN);
    let found = json(dir, &[SHORT, &["--network", "1gbe"]].concat());
    assert_eq!(found["network"]["nominal"], true);
    assert_eq!(found["parameters"], PARAMETERS);
    let (weak, strong) = (rows(&found, "weak"), rows(&found, "strong"));
    assert_eq!(weak.last().expect("a row")["devices"], 4096);
    assert_eq!(strong.last().expect("a row")["devices"], 64);
    assert_eq!(
        (&weak[0]["efficiency"], &weak[0]["reduction_seconds"]),
        (&1.0.into(), &0.0.into())
    );
    for row in weak.iter().chain(strong) {
        let number = |key: &str| row[key].as_f64().expect("a number");
        let speed = number("batch_size") / number("seconds_per_step");
        assert!(
            (speed / number("examples_per_second") - 1.0).abs() < 1e-9,
            "{row}"
        );
    }
    // The network binds where the reduction is more than half of a step.
    let mut bound = Vec::new();
    for (rows, key) in [(weak, "weak_bound"), (strong, "strong_bound")] {
        let number = |row: &Value, key: &str| row[key].as_f64().expect("a number");
        let mut over = rows.iter();
        let first = over
            .find(|row| 2.0 * number(row, "reduction_seconds") > number(row, "seconds_per_step"));
        bound.extend(first.map(|row| row["devices"].clone()));
        let devices = first.map_or(Value::Null, |row| row["devices"].clone());
        assert_eq!(found[key], devices);
    }
    let svg = String::from_utf8(bytes(dir.join("run/scale.svg"))).expect("text");
    assert!(svg.contains("efficiency"));
    assert_eq!(svg.contains("network binds"), !bound.is_empty());

    let (n, batch) = (&found["examples"], &found["batch_size"]);
    assert!(n.as_u64() > batch.as_u64(), "{n}, {batch}");
    let over = ["--out", "new/scale.png", "--set", "shard_optimizer=true"];
    let text = ok(dir, &[SHORT, &over].concat()).stdout;
    for words in [
        "100gbe: 2 µs, 12.5 GB/s (nominal)",
        "4096",
        "examples/s",
        "is the least of at least 5",
        "left out  shard_optimizer",
        &format!("the weak batch exceeds the {n} training examples"),
        "written: new/scale.png",
    ] {
        assert!(text.contains(words), "{words} in\n{text}");
    }
    assert!(bytes(dir.join("new/scale.png")).starts_with(b"\x89PNG"));
    // Settings without a run; batch norm needs two examples on each device.
    let norm = json(
        dir,
        &[
            "scale",
            "--seconds",
            "0.02",
            "--set",
            "dataset=digits",
            "--set",
            "model.name=mlp",
            "--set",
            "model.batch_norm=true",
            "--set",
            "batch_size=48",
        ],
    );
    assert_eq!(rows(&norm, "strong").last().expect("a row")["devices"], 16);
    assert!(dir.join("scale.svg").exists());
}

#[test]
fn errors_name_the_value_and_the_remedy() {
    let folder = folder();
    let dir = folder.path();
    ok(dir, RUN);
    write(dir, "other.json", "{}");
    write(
        dir,
        "still.json",
        r#"{"name": "n", "latency": 1e-6, "bytes_per_second": 0}"#,
    );
    for (arguments, code, words) in [
        (
            &["--network", "token-ring"][..],
            2,
            &["network = token-ring", "100gbe", "--measure"][..],
        ),
        (
            &["--network", "other.json"],
            1,
            &["other.json", "name", "--measure"],
        ),
        (&["--network", "still.json"], 1, &["still.json", "speed"]),
        (
            &["--network", "still.json"],
            1,
            &["bytes_per_second = 0", "--measure"],
        ),
        (
            &["--measure", "--out", "scale.svg"],
            2,
            &["out = scale.svg", ".json"],
        ),
        (&["--out", "scale.pdf"], 1, &["scale.pdf", ".svg or .png"]),
        (&["--measure"], 2, &["measure", "mpirun -n 2"]),
        (&["--set", "batch_size=5000"], 2, &["batch_size = 5000"]),
    ] {
        let ended = ended(command(dir, &[SHORT, arguments].concat()));
        assert_eq!(ended.code, Some(code), "{arguments:?}\n{}", ended.stderr);
        for word in words {
            assert!(ended.stderr.contains(word), "{word} in {}", ended.stderr);
        }
    }
    let ended = ended(command(dir, &["scale", "run", "--seconds=-1"]));
    assert_eq!(ended.code, Some(2), "{}", ended.stderr);
    assert!(ended.stderr.contains("seconds = -1"), "{}", ended.stderr);
    assert!(!dir.join("run/scale.svg").exists());
}

/// The arguments on two processes of Open MPI; `None` without it.
fn on_two(dir: &Path, arguments: &[&str]) -> Option<Ended> {
    let mut job = std::process::Command::new("timeout");
    job.args(["-k", "5", "300", "mpirun.openmpi", "-n", "2"])
        .arg(program())
        .args(arguments)
        .current_dir(dir)
        .env("LARGEBATCH_CACHE_DIR", dir.join("cache"))
        .env("OMPI_ALLOW_RUN_AS_ROOT", "1")
        .env("OMPI_ALLOW_RUN_AS_ROOT_CONFIRM", "1")
        .env("OMPI_MCA_rmaps_base_oversubscribe", "1")
        .env("OMPI_MCA_hwloc_base_binding_policy", "none")
        .env("OMPI_MCA_btl_vader_single_copy_mechanism", "none")
        .stdin(std::process::Stdio::null());
    let missing = std::process::Command::new("mpirun.openmpi")
        .arg("--version")
        .output()
        .is_err();
    (!missing).then(|| ended(job))
}

#[test]
fn a_measured_network_serves_the_model() {
    let folder = folder();
    let dir = folder.path();
    ok(dir, RUN);
    let arguments = [SHORT, &["--measure", "--json", "--out", "network.json"]].concat();
    let Some(ended) = on_two(dir, &arguments) else {
        return skipped(
            "a_measured_network_serves_the_model",
            "there is no mpirun.openmpi",
        );
    };
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    let found: Value = serde_json::from_slice(&bytes(dir.join("network.json"))).expect("JSON");
    assert_eq!(largebatch_tests::one_json(&ended.stdout), found);
    assert_eq!(
        (&found["processes"], &found["nominal"]),
        (&2.into(), &false.into())
    );
    assert_eq!(rows(&found, "exchanges").len(), 9);
    let sums = rows(&found, "sums");
    for pair in sums.windows(2) {
        let [small, large] = [0, 1].map(|i| pair[i]["parameters"].as_u64());
        assert!(small < large, "{pair:?}");
    }
    for row in sums {
        for key in ["seconds", "model_seconds"] {
            assert!(
                row[key].as_f64().is_some_and(|seconds| seconds > 0.0),
                "{row}"
            );
        }
    }
    let steps = &found["steps"];
    assert_eq!(steps["parameters"], PARAMETERS);
    let number = |key: &str| steps[key].as_f64().expect("a number");
    assert!(number("seconds") > number("pause_seconds"));
    assert!((0.0..1.0).contains(&number("efficiency")), "{steps}");

    let model = json(dir, &[SHORT, &["--network", "network.json"]].concat());
    assert_eq!(model["network"]["latency"], found["latency"]);
    assert_eq!(model["add_seconds_per_byte"], found["add_seconds_per_byte"]);

    let ended = on_two(dir, SHORT).expect("it was there before");
    assert_eq!(ended.code, Some(1), "{}", ended.stderr);
    assert_eq!(
        ended.stderr.matches("without a launcher").count(),
        1,
        "{}",
        ended.stderr
    );
}
