//! `probe sharpness`, `line`, `surface`, `lr-find` and `batch-find`, as a user sees them.

use std::fs;
use std::path::Path;

use largebatch_tests::{command, ended, folder, json, ok, shell, tree};
use serde_json::Value;

const SMALL: &[&str] = &[
    "--dataset",
    "digits",
    "--model",
    "mlp",
    "--set",
    "model.widths=[16]",
    "--optimizer",
    "adam",
    "--lr",
    "0.01",
];

fn train(dir: &Path, out: &str, more: &[&str]) {
    ok(
        dir,
        &[&["train", "--quiet", "--out", out], SMALL, more].concat(),
    );
}

/// Three runs. a: small batches with checkpoints; b: a large batch; c: another seed.
fn runs(dir: &Path) {
    let every = [
        "--set",
        "checkpoint.every_steps=8",
        "--set",
        "checkpoint.keep=20",
    ];
    train(
        dir,
        "a",
        &[&["--batch-size", "32", "--steps", "60"][..], &every].concat(),
    );
    train(dir, "b", &["--batch-size", "512", "--steps", "20"]);
    train(
        dir,
        "c",
        &["--batch-size", "32", "--steps", "60", "--seed", "1"],
    );
}

fn number(value: &Value) -> f64 {
    value
        .as_f64()
        .unwrap_or_else(|| panic!("a number expected: {value}"))
}

#[test]
fn probes_print_and_write_what_they_found() {
    let folder = folder();
    let dir = folder.path();
    runs(dir);
    let before = tree(dir);

    let sharp = json(dir, &["probe", "sharpness", "a", "--subset", "300"]);
    let boxes = sharp["result"]["boxes"].as_array().unwrap();
    assert_eq!(
        (boxes.len(), &sharp["complete"], &sharp["examples"]),
        (4, &Value::from(true), &Value::from(300))
    );
    for b in boxes {
        let (loss, highest) = (number(&b["loss"]), number(&b["highest"]));
        assert!(
            highest > loss
                && (number(&b["sharpness"]) - 100.0 * (highest - loss) / (1.0 + loss)).abs() < 1e-9
        );
    }
    assert!(
        number(&sharp["result"]["ball"]["rise"]) > 0.0
            && number(&sharp["result"]["adaptive"]["rise"]) > 0.0
    );

    let line = json(dir, &["probe", "line", "a", "b", "--points", "4", "--test"]);
    let points = line["result"]["points"].as_array().unwrap();
    let at: Vec<f64> = points.iter().map(|p| number(&p["alpha"])).collect();
    assert_eq!(at, [-1.0, 0.0, 1.0, 2.0]);
    // The run's own evaluation reports the same for its end.
    let evaluated = json(dir, &["evaluate", "a", "--part", "test"]);
    assert!((number(&points[1]["test"]["loss"]) - number(&evaluated["loss"])).abs() < 1e-6);
    assert!((number(&points[1]["test"]["accuracy"]) - number(&evaluated["accuracy"])).abs() < 1e-9);

    let random = json(
        dir,
        &["probe", "surface", "a", "--points", "5", "--subset", "100"],
    );
    assert_eq!(
        (random["loss"].as_array().unwrap().len(), &random["plane"]),
        (5, &Value::from("random"))
    );
    let drawn = fs::read_to_string(dir.join("a/probe/surface.svg")).unwrap();
    ok(
        dir,
        &[
            "probe",
            "surface",
            "--from",
            "a/probe/surface.json",
            "--out",
            "again",
        ],
    );
    assert_eq!(
        fs::read_to_string(dir.join("again/surface.svg")).unwrap(),
        drawn
    );
    let three = json(
        dir,
        &[
            "probe", "surface", "a", "b", "c", "--points", "3", "--subset", "100",
        ],
    );
    assert_eq!(three["marks"].as_array().unwrap().len(), 3);
    let path = json(
        dir,
        &[
            "probe", "surface", "a", "--path", "--points", "3", "--subset", "100",
        ],
    );
    let labels: Vec<&str> = path["marks"]
        .as_array()
        .unwrap()
        .iter()
        .map(|m| m["label"].as_str().unwrap())
        .collect();
    assert_eq!(
        (labels.first(), labels.last(), labels.len()),
        (Some(&"start"), Some(&"end"), 9)
    );

    let rates = json(dir, &["probe", "lr-find", "a", "--steps", "40"]);
    assert!(number(&rates["steepest"]) > 1e-6 && rates["points"].as_array().unwrap().len() <= 40);
    let speeds = json(
        dir,
        &[
            "probe",
            "batch-find",
            "a",
            "--smallest",
            "128",
            "--largest",
            "512",
            "--seconds",
            "0.01",
        ],
    );
    assert_eq!(
        (
            &speeds["largest"],
            speeds["points"].as_array().unwrap().len()
        ),
        (&Value::from(512), 3)
    );
    ok(
        dir,
        &[
            "probe",
            "lr-find",
            "--set",
            "dataset=digits",
            "--set",
            "model=softmax",
            "--steps",
            "20",
        ],
    );
    assert!(dir.join("probe/lr-find.svg").exists());

    // A probe changes nothing in a run except the folder `probe`.
    let after = tree(dir);
    assert!(
        before
            .iter()
            .all(|(path, content)| after.get(path) == Some(content))
    );
    for name in [
        "sharpness",
        "line",
        "line-accuracy",
        "surface",
        "lr-find",
        "batch-find",
    ] {
        let svg = fs::read_to_string(dir.join(format!("a/probe/{name}.svg"))).unwrap();
        assert!(svg.starts_with("<svg") && !svg.contains("NaN"), "{name}");
    }
}

#[test]
fn the_same_seed_gives_the_same_bits() {
    let folder = folder();
    let dir = folder.path();
    train(dir, "a", &["--steps", "20"]);
    for arguments in [
        &[
            "probe",
            "sharpness",
            "a",
            "--subset",
            "200",
            "--epsilon",
            "1e-3",
        ][..],
        &["probe", "surface", "a", "--points", "3"],
    ] {
        assert_eq!(json(dir, arguments), json(dir, arguments));
    }
    let other = json(
        dir,
        &["probe", "surface", "a", "--points", "3", "--seed", "1"],
    );
    assert_ne!(
        json(dir, &["probe", "surface", "a", "--points", "3"])["loss"],
        other["loss"]
    );
}

#[test]
fn bad_input_names_value_place_and_remedy() {
    let folder = folder();
    let dir = folder.path();
    train(dir, "a", &["--steps", "4"]);
    train(dir, "wide", &["--steps", "4", "--set", "model.widths=[20]"]);
    let diverged = [
        "train",
        "--quiet",
        "--out",
        "lost",
        "--dataset",
        "digits",
        "--model",
        "mlp",
        "--set",
        "model.widths=[16]",
    ];
    let diverged = [&diverged[..], &["--lr", "1e30", "--steps", "9"]].concat();
    assert_eq!(ended(command(dir, &diverged)).code, Some(3));
    fs::write(dir.join("text.json"), "{\"a\": 1}").unwrap();
    let rows: &[(&[&str], i32, &[&str])] = &[
        (&["sharpness", "nowhere"], 1, &["nowhere", "does not exist"]),
        (&["sharpness", "lost"], 1, &["lost", "diverged"]),
        (
            &["sharpness", "a", "--epsilon", "0"],
            2,
            &["epsilon = 0", "1e-3"],
        ),
        (
            &["sharpness", "a", "--directions", "99999"],
            2,
            &["directions = 99999", "1 to"],
        ),
        (
            &["sharpness", "a", "--radius", "0"],
            2,
            &["`radius` is 0", "above 0"],
        ),
        (
            &["sharpness", "a", "--subset", "0"],
            2,
            &["`subset` cannot be 0", "at least 1"],
        ),
        (
            &["sharpness", "a", "--weights", "wide/model.safetensors"],
            1,
            &["wide/model.safetensors"],
        ),
        (&["line", "a", "wide"], 2, &["model", "20"]),
        (&["line", "a", "lost"], 1, &["lost", "diverged"]),
        (
            &["line", "a", "a", "--points", "1"],
            2,
            &["points = 1", "25"],
        ),
        (
            &["line", "a", "a", "--from", "2", "--to", "1"],
            2,
            &["2 to 1"],
        ),
        (
            &["line", "a", "a", "--subset", "many"],
            2,
            &["`subset` cannot be \"many\"", "all"],
        ),
        (&["surface", "a", "a"], 2, &["2 folders", "three"]),
        (&["surface", "a", "a", "a"], 2, &["do not span a plane"]),
        (&["surface", "a", "--path"], 1, &["checkpoint.every_steps"]),
        (
            &["surface", "a", "--range", "-1"],
            2,
            &["`range` is -1", "above 0"],
        ),
        (
            &["surface", "--from", "text.json"],
            2,
            &["text.json", "surface"],
        ),
        (&["surface", "--from", "none.json"], 1, &["none.json"]),
        (
            &["lr-find", "a", "--lowest", "0"],
            2,
            &["`lowest` is 0", "above 0"],
        ),
        (
            &["lr-find", "a", "--steps", "3"],
            2,
            &["`steps` is 3", "at least 10"],
        ),
        (&["lr-find", "none.toml"], 1, &["none.toml"]),
        (&["lr-find"], 2, &["dataset"]),
        (
            &["lr-find", "a", "--set", "optimizer=larz"],
            2,
            &["larz", "lars"],
        ),
        (
            &["batch-find", "a", "--largest", "99999"],
            2,
            &["largest = 99999", "1150"],
        ),
        (
            &["batch-find", "a", "--smallest", "0"],
            2,
            &["smallest = 0"],
        ),
    ];
    for (arguments, code, words) in rows {
        let found = ended(command(dir, &[&["probe"], *arguments].concat()));
        assert_eq!(found.code, Some(*code), "{arguments:?}: {found:?}");
        for word in *words {
            assert!(
                found.stderr.contains(word),
                "{arguments:?} lacks {word}: {}",
                found.stderr
            );
        }
    }
}

/// A signal ends a probe, which keeps its partial result.
#[test]
#[cfg(unix)]
fn an_interruption_keeps_the_partial_result() {
    let folder = folder();
    let dir = folder.path();
    train(dir, "a", &["--steps", "4"]);
    let script = r#""$LARGEBATCH" probe surface a --points 400 & pid=$!; sleep 3; kill -TERM $pid; wait $pid; exit $?"#;
    let found = ended(shell(dir, script));
    assert_eq!(found.code, Some(130), "{found:?}");
    assert!(found.stderr.contains("interrupted"), "{found:?}");
    let surface: Value =
        serde_json::from_slice(&fs::read(dir.join("a/probe/surface.json")).unwrap()).unwrap();
    let heights: Vec<bool> = surface["loss"]
        .as_array()
        .unwrap()
        .iter()
        .flat_map(|row| row.as_array().unwrap())
        .map(Value::is_number)
        .collect();
    assert!(heights[0] && !heights[heights.len() - 1]);
}

/// The short trainings announce their cost, and after a signal they keep their partial result.
#[test]
#[cfg(unix)]
fn an_interrupted_search_keeps_its_part() {
    let folder = folder();
    let dir = folder.path();
    train(dir, "a", &["--steps", "4"]);
    for (name, options, least) in [
        ("lr-find", "--steps 1000000", 10),
        ("batch-find", "--seconds 2", 1),
    ] {
        let script = format!(
            r#""$LARGEBATCH" probe {name} a {options} & pid=$!; sleep 5; kill -INT $pid; wait $pid; exit $?"#
        );
        // A background command of a shell without job control ignores the interrupt; the program
        // enables it again.
        let found = ended(shell(dir, &script));
        assert_eq!(found.code, Some(130), "{name}: {found:?}");
        let (cost, end) = (found.stderr.find("about"), found.stderr.find("interrupted"));
        assert!(cost.is_some() && cost < end, "{name}: {found:?}");
        let result: Value =
            serde_json::from_slice(&fs::read(dir.join(format!("a/probe/{name}.json"))).unwrap())
                .unwrap();
        assert_eq!(result["ended"], "interrupted");
        assert!(
            result["points"].as_array().unwrap().len() >= least,
            "{name}: {result}"
        );
        assert!(dir.join(format!("a/probe/{name}.svg")).exists());
    }
}
