//! PyTorch loads what largebatch wrote, largebatch loads what PyTorch wrote, and both compute the
//! same.

use std::path::{Path, PathBuf};
use std::process::Command;

use largebatch_tests::{ended, folder, images, json, ok, one_json, skipped};
use serde_json::Value;

/// A Python with the packages that check.py needs: `LARGEBATCH_PYTHON`, or else `python3`.
fn python() -> Option<PathBuf> {
    let python =
        std::env::var_os("LARGEBATCH_PYTHON").map_or_else(|| "python3".into(), PathBuf::from);
    let has = Command::new(&python)
        .args(["-c", "import torch, numpy, safetensors"])
        .output()
        .is_ok_and(|o| o.status.success());
    has.then_some(python)
}

fn close(what: &str, ours: &Value, theirs: &Value) {
    let read = |of: &Value, key: &str| {
        of[key]
            .as_f64()
            .unwrap_or_else(|| panic!("{what}: {key} of {of}"))
    };
    let (a, b) = (read(ours, "loss"), read(theirs, "loss"));
    assert!(
        (a - b).abs() < 2e-6 * b.max(1.0),
        "{what}: loss {a} here, {b} in PyTorch"
    );
    // One example in 200 may be on the border between two classes.
    let (a, b) = (read(ours, "accuracy"), read(theirs, "accuracy"));
    assert!(
        (a - b).abs() < 0.0051,
        "{what}: accuracy {a} here, {b} in PyTorch"
    );
}

#[test]
fn weights_go_to_pytorch_and_back() {
    let Some(python) = python() else {
        return skipped(
            "weights_go_to_pytorch_and_back",
            "no Python with torch, numpy and safetensors; name one in LARGEBATCH_PYTHON",
        );
    };
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("pytorch/check.py");
    let folder = folder();
    let dir = folder.path();
    images(dir, "train", (400, 12, 5), 1);
    images(dir, "test", (200, 12, 5), 2);
    let dataset = r#"dataset={name="own",format="idx",train_images="train-images",train_labels="train-labels",test_images="test-images",test_labels="test-labels"}"#;
    let models: &[(&str, &[&str])] = &[
        (
            "mlp",
            &[
                "--set",
                "model.widths=[24,16]",
                "--set",
                "model.batch_norm=true",
                "--set",
                "model.dropout=0.1",
            ],
        ),
        (
            "simple-cnn",
            &[
                "--set",
                "model.filters=[4,6]",
                "--set",
                "model.width=20",
                "--optimizer",
                "adam",
                "--lr",
                "0.003",
            ],
        ),
    ];
    for (model, options) in models {
        let common = [
            "train",
            "--quiet",
            "--out",
            model,
            "--set",
            dataset,
            "--model",
            model,
            "--steps",
            "20",
            "--set",
            "data.preprocess.normalise=unit",
        ];
        ok(dir, &[&common[..], options].concat());
        let mut check = Command::new(&python);
        check
            .current_dir(dir)
            .arg(&script)
            .arg(model)
            .arg(format!("{model}/model.safetensors"));
        check
            .args(["test-images", "test-labels"])
            .arg(format!("{model}.safetensors"));
        let checked = ended(check);
        assert_eq!(checked.code, Some(0), "{model}: {}", checked.stderr);
        let theirs = one_json(&checked.stdout);
        let loss = theirs["given"]["loss"].as_f64().expect("a loss");
        assert!(
            loss < 1.55,
            "{model} has learned something (chance is ln 5 = 1.61), so its weights matter: {loss}"
        );
        close(
            model,
            &json(dir, &["evaluate", model, "--part", "test"]),
            &theirs["given"],
        );
        let weights = format!("{model}.safetensors");
        close(
            &format!("{model} of PyTorch"),
            &json(
                dir,
                &["evaluate", model, "--part", "test", "--weights", &weights],
            ),
            &theirs["own"],
        );
    }
}
