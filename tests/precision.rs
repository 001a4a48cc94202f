//! The program on values that 32 bits cannot represent before they are centred, and what it stores
//! with the weights.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use largebatch_tests::{bytes, command, ended, folder, images, json, ok, weights, write};
use safetensors::SafeTensors;
use serde_json::Value;

/// A CSV file of 200 rows `x,label`, the first 100 of class 1.
fn classes(dir: &Path, name: &str, x: impl Fn(u32) -> String) {
    let mut text = String::from("x,label\n");
    for i in 0..200 {
        let _ = writeln!(text, "{},{}", x(i), u32::from(i < 100));
    }
    write(dir, name, text);
}

/// y = 1.7e9 + 10 x for x = 0 to 199.
fn stamps_as_targets(dir: &Path) {
    let rows: String = (0..200)
        .map(|x| format!("{x},{}\n", 1_700_000_000 + 10 * x))
        .collect();
    write(dir, "real.csv", format!("x,y\n{rows}"));
}

const REAL: &[&str] = &[
    "--set",
    r#"dataset={format="csv",train="real.csv",label="y",labels="real"}"#,
    "--model",
    "linear",
];

fn csv(file: &str) -> String {
    format!(r#"dataset={{format="csv",train="{file}",label="label"}}"#)
}

/// A threshold in one feature: logistic regression makes at most one error in 200, whatever the
/// column's offset and unit.
#[test]
fn stamps_ids_and_tiny_values_are_learned() {
    let folder = folder();
    let dir = folder.path();
    let columns: [(&str, &dyn Fn(u32) -> String); 6] = [
        ("stamps", &|i| format!("{}", 1_700_000_000 + i)),
        ("ids", &|i| format!("{}", 20_000_000_000 + u64::from(i))),
        ("tiny", &|i| format!("{i}e-50")),
        ("subnormal", &|i| format!("{i}e-41")),
        ("squares-vanish", &|i| format!("{i}e-200")),
        ("huge", &|i| format!("{i}e200")),
    ];
    for (name, x) in columns {
        let file = format!("{name}.csv");
        classes(dir, &file, x);
        let data = csv(&file);
        let arguments = [
            "train",
            "--set",
            &data,
            "--model",
            "logistic",
            "--lr",
            "3",
            "--epochs",
            "100",
            "--cross-validate",
            "1x5",
        ];
        let result = json(dir, &arguments);
        assert!(
            result["diverged"] == 0 && result["accuracy"].as_f64().expect("an accuracy") >= 0.99,
            "{name}: {result}"
        );
    }
}

/// The error is measured in the target's own unit, and `evaluate` agrees with the end of the
/// training.
#[test]
fn a_real_target_of_time_stamps_is_learned() {
    let folder = folder();
    let dir = folder.path();
    stamps_as_targets(dir);
    let result = json(
        dir,
        &[
            &["train", "--out", "run", "--lr", "0.1", "--epochs", "100"],
            REAL,
        ]
        .concat(),
    );
    let test = &result["test"];
    let number =
        |of: &Value, key: &str| of[key].as_f64().unwrap_or_else(|| panic!("{key} of {of}"));
    assert!(
        number(test, "rmse") < 0.1 && number(test, "r2") > 0.999_999,
        "{result}"
    );
    let again = json(dir, &["evaluate", "run", "--part", "test"]);
    assert_eq!(
        (&again["rmse"], &again["r2"], &again["loss"]),
        (&test["rmse"], &test["r2"], &test["loss"])
    );
    // The loss is in the unit that the model sees: deviations of the training targets.
    let data = metadata(&dir.join("run/model.safetensors"));
    let std = number(&data["preprocessing"]["target"], "std");
    let ratio = number(test, "rmse") / std / number(test, "loss").sqrt();
    assert!(
        (550.0..600.0).contains(&std) && (ratio - 1.0).abs() < 0.05,
        "{std}, {ratio}"
    );
    // Unscaled, such targets have no 32-bit step below 128, and the program says so.
    let plain = [
        &[
            "train",
            "--out",
            "plain",
            "--epochs",
            "1",
            "--set",
            r#"data.preprocess={normalise="feature",targets="none"}"#,
        ],
        REAL,
    ]
    .concat();
    let told = ended(command(dir, &plain)).stderr;
    assert!(
        told.contains("warning: the target: ") && told.contains("distinct values become"),
        "{told}"
    );
}

/// `stop.target` for real targets is in their own unit.
#[test]
fn a_target_for_the_error_is_in_the_targets_unit() {
    let folder = folder();
    let dir = folder.path();
    stamps_as_targets(dir);
    let stop = |target: &str| {
        let target = format!("stop.target={target}");
        json(
            dir,
            &[
                &[
                    "train",
                    "--out",
                    &format!("run-{target}"),
                    "--lr",
                    "0.03",
                    "--epochs",
                    "60",
                    "--set",
                    &target,
                ],
                REAL,
            ]
            .concat(),
        )
    };
    // A constant predictor has an error of about 577² = 333,000.
    let reached = stop("900");
    assert_eq!(reached["stop"], "target_reached", "{reached}");
    let rmse = reached["validation"]["rmse"].as_f64().expect("an error");
    assert!(rmse <= 30.0 && rmse > 1.0, "{reached}");
}

/// A run of version 0.2 has no key for its targets: its weights keep their meaning.
#[test]
fn a_run_of_0_2_predicts_in_the_unit_it_was_trained_in() {
    let folder = folder();
    let dir = folder.path();
    let data = r#"data.preprocess={normalise="feature",targets="none"}"#;
    let end = json(
        dir,
        &[
            "train",
            "--out",
            "run",
            "--dataset",
            "diabetes",
            "--model",
            "linear",
            "--lr",
            "0.01",
            "--set",
            data,
        ],
    );
    let path = dir.join("run/run.toml");
    let text = fs::read_to_string(&path).expect("run.toml");
    assert!(text.contains("targets = \"none\"\n"), "{text}");
    let version = format!("version = \"{}\"", env!("CARGO_PKG_VERSION"));
    let (text, _digest) = text
        .split_once("# digest")
        .expect("a digest, which 0.2 has not");
    let old = text
        .replace("targets = \"none\"\n", "")
        .replace(&version, "version = \"0.2.0\"");
    assert!(
        old.contains("\"0.2.0\"") && !old.contains("targets"),
        "{old}"
    );
    fs::write(&path, &old).expect("run.toml");
    let test = json(dir, &["evaluate", "run", "--part", "test"]);
    assert_eq!(
        (&test["rmse"], &test["loss"]),
        (&end["test"]["rmse"], &end["test"]["loss"])
    );
    // A configuration of this version that does not mention targets has the default.
    let ours = [
        "train",
        "--out",
        "new",
        "--dataset",
        "diabetes",
        "--model",
        "linear",
        "--set",
        "data.preprocess.normalise=feature",
    ];
    let new = json(dir, &ours);
    let text = fs::read_to_string(dir.join("new/run.toml")).expect("run.toml");
    assert!(
        text.contains("targets = \"standardise\"")
            && new["test"]["loss"].as_f64().expect("a loss") < 2.0,
        "{new}"
    );
}

fn metadata(file: &Path) -> Value {
    let bytes = bytes(file);
    let (_, header) = SafeTensors::read_metadata(&bytes).expect("a safetensors file");
    let entries = header.metadata().clone().expect("metadata");
    assert_eq!(entries.get("format").map(String::as_str), Some("pt"));
    serde_json::from_str(&entries["largebatch"]).expect("JSON")
}

/// Equal weights give equal files in every process: the header's keys are sorted.
#[test]
fn equal_weights_are_equal_files() {
    let folder = folder();
    let dir = folder.path();
    images(dir, "train", (100, 12, 5), 1);
    let dataset = r#"dataset={name="own",format="idx",train_images="train-images",train_labels="train-labels"}"#;
    let train = |out: &str| {
        ok(
            dir,
            &[
                "train",
                "-q",
                "--out",
                out,
                "--set",
                dataset,
                "--model",
                "mlp",
                "--set",
                "model.widths=[8]",
                "--steps",
                "3",
            ],
        );
        bytes(dir.join(out).join("model.safetensors"))
    };
    let one = train("a");
    for out in ["b", "c", "d"] {
        assert!(train(out) == one, "{out}");
    }
    let length = one[..8]
        .iter()
        .rev()
        .fold(0, |n, b| n << 8 | usize::from(*b));
    let header: serde_json::Map<String, Value> =
        serde_json::from_slice(&one[8..8 + length]).expect("JSON");
    let keys: Vec<&String> = header.keys().collect();
    assert!(
        keys.is_sorted() && keys.contains(&&"__metadata__".to_owned()) && length % 8 == 0,
        "{keys:?}"
    );
    let data = metadata(&dir.join("a/model.safetensors"));
    assert_eq!(
        (&data["version"], &data["classes"], &data["dataset"]),
        (&1.into(), &5.into(), &"own".into())
    );
    let preprocessing = &data["preprocessing"];
    assert_eq!(preprocessing["shape"], serde_json::json!([1, 12, 12]));
    let mean = preprocessing["mean"][0].as_f64().expect("a channel's mean");
    assert!(
        preprocessing["white"] == 255 && (0.1..0.5).contains(&mean),
        "{data}"
    );
    assert_eq!(weights(dir.join("a/model.safetensors")).len(), 4);
}

/// The names of classes and columns, and the means of the training part with all their digits.
#[test]
fn names_and_statistics_are_stored_with_the_weights() {
    let folder = folder();
    let dir = folder.path();
    let rows: String = (0..40)
        .map(|i| {
            format!(
                "{},{},{}\n",
                1_700_000_000 + i,
                i % 2,
                if i % 2 == 0 { "no" } else { "yes" }
            )
        })
        .collect();
    write(dir, "t.csv", format!("when,other thing,label\n{rows}"));
    let data = csv("t.csv");
    ok(
        dir,
        &[
            "train",
            "-q",
            "--out",
            "run",
            "--set",
            &data,
            "--model",
            "softmax",
            "--epochs",
            "1",
            "--set",
            "data.validation=0",
        ],
    );
    let data = metadata(&dir.join("run/model.safetensors"));
    assert_eq!(data["class_names"], serde_json::json!(["no", "yes"]));
    assert_eq!(
        data["feature_names"],
        serde_json::json!(["when", "other thing"])
    );
    let p = &data["preprocessing"];
    let when = p["mean"][0].as_f64().expect("a mean");
    // The mean of 32 of the 40 rows is a multiple of 1/32; in 32 bits it would be a multiple of
    // 128.
    assert!(
        when > 1_700_000_010.0 && when < 1_700_000_030.0 && (32.0 * when).fract() == 0.0,
        "{p}"
    );
    assert_eq!(
        (&p["preprocess"]["normalise"], &p["mean"][1]),
        (&"feature".into(), &0.5.into())
    );
    assert_eq!((&p["std"][1], p.get("target")), (&0.5.into(), None));
}
