//! `largebatch predict` gives the same result as an evaluation on the same rows, for any order of
//! columns, and without the training data.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use largebatch_random::{Key, below};
use largebatch_tests::{
    Ended, bytes, command, ended, folder, gzip, idx, images, json, ok, weights, write,
};
use serde_json::Value;

/// Rows with three features `u`, `v`, `w` and one of three classes, which the features determine up
/// to some noise.
fn rows(n: usize, seed: u64) -> Vec<([String; 3], usize)> {
    let mut rng = Key::new(seed).word("predict").rng();
    let mut number = |most: u32| f64::from(below(&mut rng, most)) / 100.0;
    (0..n)
        .map(|i| {
            let class = i % 3;
            let x = [
                class as f64 + number(150),
                5.0 - 2.0 * class as f64 + number(300),
                1e4 * number(100),
            ];
            (x.map(|x| x.to_string()), class)
        })
        .collect()
}

/// The names of the classes: as a CSV file writes them, and as they are.
const NAMES: [(&str, &str); 3] = [("\"a, \"\"x\"\"\"", "a, \"x\""), ("b", "b"), ("ç d", "ç d")];

fn labelled(rows: &[([String; 3], usize)]) -> String {
    let line = |(x, class): &([String; 3], usize)| {
        format!("{},{},{},{}\n", x[0], x[1], NAMES[*class].0, x[2])
    };
    format!("u,v,kind,w\n{}", rows.iter().map(line).collect::<String>())
}

/// A softmax model trained on 240 rows and tested on 90 others.
fn trained(dir: &Path) -> Vec<([String; 3], usize)> {
    let tests = rows(90, 2);
    write(dir, "train.csv", labelled(&rows(240, 1)));
    write(dir, "test.csv", labelled(&tests));
    let dataset = r#"dataset={format="csv",train="train.csv",test="test.csv",label="kind"}"#;
    ok(
        dir,
        &[
            "train", "--set", dataset, "--model", "softmax", "--steps", "60", "--lr", "0.3",
            "--out", "run", "-q",
        ],
    );
    tests
}

/// The fields of CSV text, line by line.
fn fields(text: &str) -> Vec<Vec<String>> {
    let line = |line: &str| {
        let (mut all, mut quoted, mut chars) =
            (vec![String::new()], false, line.chars().peekable());
        while let Some(c) = chars.next() {
            match c {
                '"' if quoted && chars.peek() == Some(&'"') => all
                    .last_mut()
                    .expect("a field")
                    .push(chars.next().expect("a quote")),
                '"' => quoted = !quoted,
                ',' if !quoted => all.push(String::new()),
                c => all.last_mut().expect("a field").push(c),
            }
        }
        all
    };
    text.lines().map(line).collect()
}

fn number(text: &str) -> f64 {
    text.parse().unwrap_or_else(|e| panic!("{text}: {e}"))
}

fn accuracy<'a>(predicted: &[Vec<String>], truth: impl ExactSizeIterator<Item = &'a str>) -> f64 {
    let n = truth.len();
    assert_eq!(predicted.len(), n + 1, "a line for each row, and a head");
    predicted[1..]
        .iter()
        .zip(truth)
        .filter(|(row, truth)| row[0] == *truth)
        .count() as f64
        / n as f64
}

fn refused(ended: &Ended, code: i32, parts: &[&str]) {
    assert_eq!(
        (ended.code, ended.stdout.as_str()),
        (Some(code), ""),
        "{parts:?}: {ended:?}"
    );
    for part in parts {
        assert!(
            ended.stderr.contains(part),
            "{part} is missing: {}",
            ended.stderr
        );
    }
}

#[test]
fn a_csv_file_is_predicted_as_it_is_evaluated() {
    let folder = folder();
    let dir = folder.path();
    let tests = trained(dir);
    let metrics = json(dir, &["evaluate", "run", "--part", "test"]);
    let said = ok(dir, &["predict", "run", "test.csv"]);
    assert!(
        said.stderr.contains("column `kind`")
            && said.stderr.contains("predicted 90 rows with 3 features"),
        "{}",
        said.stderr
    );
    let predicted = fields(&said.stdout);
    assert_eq!(predicted[0], ["prediction", "p_a, \"x\"", "p_b", "p_ç d"]);
    assert_eq!(
        Some(accuracy(
            &predicted,
            tests.iter().map(|(_, class)| NAMES[*class].1)
        )),
        metrics["accuracy"].as_f64()
    );
    let mut loss = 0.0;
    for (row, (_, class)) in predicted[1..].iter().zip(&tests) {
        let p: Vec<f64> = row[1..].iter().map(|p| number(p)).collect();
        assert!((p.iter().sum::<f64>() - 1.0).abs() < 1e-12, "{row:?}");
        let best = (0..3).fold(0, |best, i| if p[i] > p[best] { i } else { best });
        assert_eq!(row[0], NAMES[best].1);
        loss -= p[*class].ln() / tests.len() as f64;
    }
    assert!(
        (loss - metrics["loss"].as_f64().expect("a loss")).abs() < 1e-6,
        "{loss} and {metrics}"
    );

    // The same bytes each time: twice, with extra columns and another order, without the label,
    // with ; and tabs, compressed, from standard input, into a file.
    let unlabelled: String = tests
        .iter()
        .enumerate()
        .map(|(i, (x, _))| format!("{},{},{i},{},{i}\n", x[2], x[0], x[1]))
        .collect();
    write(
        dir,
        "other.csv",
        format!("\u{feff}w,\"u\",id, v ,id\n{unlabelled}"),
    );
    write(
        dir,
        "semicolons.csv",
        format!(
            "w;u;id;v;id\r\n{}",
            unlabelled.replace(',', ";").replace('\n', "\r\n")
        ),
    );
    write(
        dir,
        "tabs.csv",
        format!("w\tu\tid\tv\tid\n{}", unlabelled.replace(',', "\t")),
    );
    write(dir, "other.csv.gz", gzip(&bytes(dir.join("other.csv"))));
    for file in [
        "test.csv",
        "other.csv",
        "semicolons.csv",
        "tabs.csv",
        "other.csv.gz",
    ] {
        assert!(
            ok(dir, &["predict", "run", file]).stdout == said.stdout,
            "{file}"
        );
    }
    let mut piped = command(dir, &["predict", "run", "-", "-q"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("it starts");
    piped
        .stdin
        .take()
        .expect("a pipe")
        .write_all(&bytes(dir.join("other.csv")))
        .expect("written");
    assert!(piped.wait_with_output().expect("it ends").stdout == said.stdout.as_bytes());
    let written = ok(
        dir,
        &["predict", "run", "other.csv", "--out", "p.csv", "-q"],
    );
    assert!(
        written.stdout.is_empty()
            && written.stderr.is_empty()
            && bytes(dir.join("p.csv")) == said.stdout.as_bytes(),
        "{written:?}"
    );

    // Also one row at a time.
    write(
        dir,
        "one.csv",
        format!(
            "w,u,id,v,id\n{}\n",
            unlabelled.lines().nth(7).expect("a line")
        ),
    );
    let one = fields(&ok(dir, &["predict", "run", "one.csv"]).stdout);
    assert!(one.len() == 2 && one[1][0] == predicted[8][0], "{one:?}");
    one[1][1..]
        .iter()
        .zip(&predicted[8][1..])
        .for_each(|(a, b)| assert!((number(a) - number(b)).abs() < 1e-6));

    // Without the training data, in another place.
    fs::remove_file(dir.join("train.csv")).expect("removed");
    fs::create_dir(dir.join("away")).expect("made");
    fs::rename(dir.join("run"), dir.join("away/moved")).expect("moved");
    assert!(ok(&dir.join("away"), &["predict", "moved", "../test.csv"]).stdout == said.stdout);
    // Weights from PyTorch say nothing about the data; the run's own do.
    strip(
        &dir.join("away/moved/model.safetensors"),
        &dir.join("bare.safetensors"),
    );
    assert!(
        ok(
            dir,
            &[
                "predict",
                "away/moved",
                "test.csv",
                "--weights",
                "bare.safetensors"
            ]
        )
        .stdout
            == said.stdout
    );
}

/// Copies weights without their information about the data, as version 0.2.0 and PyTorch write
/// them.
fn strip(from: &Path, to: &Path) {
    let all = bytes(from);
    let length = u64::from_le_bytes(all[..8].try_into().expect("8 bytes")) as usize;
    let mut header: Value = serde_json::from_slice(&all[8..8 + length]).expect("a header");
    assert!(header["__metadata__"]["largebatch"].is_string());
    header["__metadata__"] = serde_json::json!({ "format": "pt" });
    let header = serde_json::to_vec(&header).expect("JSON");
    fs::write(
        to,
        [
            &(header.len() as u64).to_le_bytes(),
            header.as_slice(),
            &all[8 + length..],
        ]
        .concat(),
    )
    .expect("written");
}

#[test]
fn runs_of_old_versions_open_their_data_again() {
    let folder = folder();
    let dir = folder.path();
    trained(dir);
    let before = ok(dir, &["predict", "run", "test.csv"]).stdout;
    let model = dir.join("run/model.safetensors");
    strip(&model, &model);
    assert!(ok(dir, &["predict", "run", "test.csv"]).stdout == before);
    let whole = bytes(dir.join("train.csv"));
    write(dir, "train.csv", [whole.as_slice(), b"9,9,b,9\n"].concat());
    let arguments = ["predict", "run", "test.csv", "--out", "p.csv"];
    refused(
        &ended(command(dir, &arguments)),
        1,
        &["train.csv: SHA-256 was", "--accept-data"],
    );
    assert!(!dir.join("p.csv").exists());
    let accepted = ok(dir, &["predict", "run", "test.csv", "--accept-data"]);
    assert!(
        accepted
            .stderr
            .contains("warning: run: the data have changed")
            && accepted.stdout != before,
        "{accepted:?}"
    );
    fs::remove_file(dir.join("train.csv")).expect("removed");
    refused(
        &ended(command(dir, &arguments)),
        1,
        &["train.csv", "missing", "--data-dir"],
    );
    // The data may have moved.
    fs::create_dir(dir.join("data")).expect("made");
    fs::write(dir.join("data/train.csv"), whole).expect("written");
    fs::rename(dir.join("test.csv"), dir.join("data/test.csv")).expect("moved");
    assert!(
        ok(
            dir,
            &["predict", "run", "data/test.csv", "--data-dir", "data"]
        )
        .stdout
            == before
    );
}

/// softmax(Wx + b), σ(w·x + b) and sign(w·x + b) in f64 from the weights file.
#[test]
fn probabilities_are_those_of_the_weights() {
    let folder = folder();
    let dir = folder.path();
    let points: Vec<[f64; 2]> = (0..60)
        .map(|i| [f64::from(i % 7) - 3.0, f64::from(i % 11) / 4.0 - 1.0])
        .collect();
    let class = |x: &[f64; 2], classes: usize| ((x[0] + 2.0 * x[1] + 6.0) / 3.0) as usize % classes;
    for (model, classes) in [("softmax", 3), ("logistic", 2), ("perceptron", 2)] {
        let lines: String = points
            .iter()
            .map(|x| format!("{},{},{}\n", x[0], x[1], class(x, classes) + 5))
            .collect();
        write(dir, "data.csv", format!("p,q,y\n{lines}"));
        let set = r#"dataset={format="csv",train="data.csv",label="y"}"#;
        let common = [
            "train",
            "--set",
            set,
            "--model",
            model,
            "--steps",
            "40",
            "--lr",
            "0.2",
            "--batch-size",
            "8",
            "-q",
        ];
        ok(
            dir,
            &[
                &common[..],
                &["--set", "data.preprocess.normalise=none", "--out", model],
            ]
            .concat(),
        );
        // Far outside the training data, so that some probabilities are tiny.
        let x: Vec<[f64; 2]> = points.iter().map(|x| [x[0] * 8.0, x[1] * 32.0]).collect();
        write(
            dir,
            "new.csv",
            format!(
                "p,q\n{}",
                x.iter()
                    .map(|x| format!("{},{}\n", x[0], x[1]))
                    .collect::<String>()
            ),
        );
        let predicted = fields(&ok(dir, &["predict", model, "new.csv"]).stdout);
        let head = ["prediction", "p_5", "p_6", "p_7"];
        assert_eq!(
            predicted[0],
            head[..if model == "perceptron" {
                1
            } else {
                classes + 1
            }],
            "{model}"
        );
        let all = weights(dir.join(model).join("model.safetensors"));
        let outputs = if model == "softmax" { classes } else { 1 };
        let find = |n: usize| {
            all.values()
                .find(|v| v.len() == n)
                .unwrap_or_else(|| panic!("{n} of {all:?}"))
        };
        let (weight, bias) = (find(2 * outputs), find(outputs));
        let mut smallest = 1.0f64;
        for (row, x) in predicted[1..].iter().zip(&x) {
            let o = |k: usize| {
                f64::from(weight[2 * k]) * x[0]
                    + f64::from(weight[2 * k + 1]) * x[1]
                    + f64::from(bias[k])
            };
            let o: Vec<f64> = if outputs == 1 {
                vec![0.0, o(0)]
            } else {
                (0..classes).map(o).collect()
            };
            let best = (0..classes).fold(0, |best, i| if o[i] > o[best] { i } else { best });
            assert_eq!(row[0], (best + 5).to_string(), "{model}");
            let sum: f64 = o.iter().map(|o| o.exp()).sum();
            for (p, o) in row[1..].iter().zip(&o) {
                let (p, right) = (number(p), o.exp() / sum);
                assert!(
                    (p / right - 1.0).abs() < 1e-4,
                    "{model} at {x:?}: {p} and {right}"
                );
                smallest = smallest.min(p);
            }
        }
        assert!(model == "perceptron" || smallest < 1e-3, "{smallest}");
    }
}

/// y = 1.7e9 + 10 x: in 32 bits the offset is indistinguishable from neighbours less than 128 away.
#[test]
fn values_are_in_the_targets_own_unit() {
    let folder = folder();
    let dir = folder.path();
    let lines = |x: &mut dyn Iterator<Item = u64>| {
        x.map(|x| format!("{x},{}\n", 1_700_000_000 + 10 * x))
            .collect::<String>()
    };
    write(dir, "time.csv", format!("x,y\n{}", lines(&mut (0..200))));
    let set = r#"dataset={format="csv",train="time.csv",label="y",labels="real"}"#;
    ok(
        dir,
        &[
            "train",
            "--set",
            set,
            "--model",
            "linear",
            "--steps",
            "400",
            "--lr",
            "0.2",
            "--batch-size",
            "20",
            "--out",
            "run",
            "-q",
        ],
    );
    write(dir, "new.csv", "x\n0\n50.5\n199\n300\n");
    let predicted = fields(&ok(dir, &["predict", "run", "new.csv"]).stdout);
    assert_eq!(predicted[0], ["prediction"]);
    for (row, right) in predicted[1..].iter().zip([
        1_700_000_000.0,
        1_700_000_505.0,
        1_700_001_990.0,
        1_700_003_000.0,
    ]) {
        assert!((number(&row[0]) - right).abs() < 0.1, "{row:?} and {right}");
    }
    assert_eq!(predicted.len(), 5);
}

#[test]
fn built_in_sets_have_their_formats() {
    let folder = folder();
    let dir = folder.path();
    let data = |name: &str| {
        PathBuf::from(env!("CARGO_MANIFEST_DIR"))
            .join("../datasets/data")
            .join(name)
    };
    let tests = |name: &str| -> Vec<usize> {
        let text = fs::read_to_string(data(&format!("{name}.test.txt"))).expect("the test part");
        text.lines()
            .map(|line| line.parse().expect("a number"))
            .collect()
    };
    for (name, model) in [
        ("digits", "mlp"),
        ("breast-cancer", "logistic"),
        ("diabetes", "linear"),
    ] {
        ok(
            dir,
            &[
                "train",
                "--dataset",
                name,
                "--model",
                model,
                "--epochs",
                "5",
                "--out",
                name,
                "-q",
            ],
        );
        let metrics = json(dir, &["evaluate", name, "--part", "test"]);
        let of_file = |n: &str| metrics[n].as_f64();
        if name == "digits" {
            let all = bytes(data("digits.bin"));
            let records: Vec<&[u8]> = tests(name).iter().map(|i| &all[65 * i..][..65]).collect();
            let pixels: Vec<u8> = records.iter().flat_map(|r| &r[1..]).copied().collect();
            write(dir, "images", gzip(&idx(&[records.len(), 8, 8], &pixels)));
            let predicted = fields(&ok(dir, &["predict", name, "images"]).stdout);
            let truth: Vec<String> = records.iter().map(|r| r[0].to_string()).collect();
            assert_eq!(
                Some(accuracy(&predicted, truth.iter().map(String::as_str))),
                of_file("accuracy")
            );
            // The pixels go up to 16, while images from 0 to 255 have another scale.
            write(dir, "bright", idx(&[1, 8, 8], &[200; 64]));
            refused(
                &ended(command(dir, &["predict", name, "bright"])),
                1,
                &["bright: a pixel is 200 (example 0", "0 to 16"],
            );
            write(dir, "large", idx(&[1, 28, 28], &[1; 784]));
            refused(
                &ended(command(dir, &["predict", name, "large"])),
                1,
                &["large: the shape of an example is [1, 28, 28]", "[1, 8, 8]"],
            );
            write(dir, "labels", idx(&[3], &[1; 3]));
            refused(
                &ended(command(dir, &["predict", name, "labels"])),
                1,
                &["labels: the number of dimensions is 1"],
            );
            refused(
                &ended(command(dir, &["predict", name, "run.csv"])),
                1,
                &["cannot read run.csv"],
            );
            continue;
        }
        let text = fs::read_to_string(data(&format!("{name}.csv"))).expect("the set");
        let (head, body) = text.split_once('\n').expect("a head");
        let body: Vec<&str> = body.lines().collect();
        let some: Vec<&str> = tests(name).iter().map(|&i| body[i]).collect();
        write(dir, "some.csv", format!("{head}\n{}\n", some.join("\n")));
        let predicted = fields(&ok(dir, &["predict", name, "some.csv"]).stdout);
        let place = head
            .split(',')
            .position(|column| column == "class" || column == "progression")
            .expect("the label");
        let labels = some
            .iter()
            .map(|line| line.split(',').nth(place).expect("a label"));
        if name == "diabetes" {
            let squares: f64 = predicted[1..]
                .iter()
                .zip(labels)
                .map(|(row, y)| (number(&row[0]) - number(y)).powi(2))
                .sum();
            let rmse = (squares / some.len() as f64).sqrt();
            assert!(
                (rmse - of_file("rmse").expect("RMSE")).abs() < 1e-9 * rmse,
                "{rmse} and {metrics}"
            );
        } else {
            assert_eq!(predicted[0], ["prediction", "p_malignant", "p_benign"]);
            let names: Vec<&str> = labels
                .map(|label| if label == "0" { "malignant" } else { "benign" })
                .collect();
            assert_eq!(
                Some(accuracy(&predicted, names.into_iter())),
                of_file("accuracy")
            );
        }
    }
}

#[test]
fn idx_images_of_ones_own() {
    let folder = folder();
    let dir = folder.path();
    images(dir, "train", (300, 12, 4), 1);
    images(dir, "test", (200, 12, 4), 2);
    let set = r#"dataset={name="own",format="idx",train_images="train-images",train_labels="train-labels",test_images="test-images",test_labels="test-labels"}"#;
    ok(
        dir,
        &[
            "train",
            "--set",
            set,
            "--model",
            "mlp",
            "--steps",
            "5",
            "--set",
            "model.batch_norm=true",
            "--out",
            "run",
            "-q",
        ],
    );
    let metrics = json(dir, &["evaluate", "run", "--part", "test"]);
    ["train-images", "train-labels", "test-labels"]
        .iter()
        .for_each(|name| fs::remove_file(dir.join(name)).expect("removed"));
    let said = ok(dir, &["predict", "run", "test-images"]);
    let predicted = fields(&said.stdout);
    let truth: Vec<String> = (0..200).map(|i| (i % 4).to_string()).collect();
    assert_eq!(
        Some(accuracy(&predicted, truth.iter().map(String::as_str))),
        metrics["accuracy"].as_f64()
    );
    assert!(
        said.stdout == ok(dir, &["predict", "run", "test-images"]).stdout
            && said.stderr.contains("200 rows with 144"),
        "{}",
        said.stderr
    );
}

#[test]
fn missing_values_become_means_where_training_said_so() {
    let folder = folder();
    let dir = folder.path();
    // The mean of `a` over the training part is not 0, and no other value gives the same prediction.
    let lines: String = (0..60)
        .map(|i| {
            format!(
                "{},{},{}\n",
                if i == 9 { "NA".into() } else { i.to_string() },
                i * 7 % 13,
                i % 2
            )
        })
        .collect();
    write(dir, "t.csv", format!("a,b,y\n{lines}"));
    write(dir, "new.csv", "b,a,y\n3,?,1\n,5,\n\"\",NaN,0\n");
    for (missing, said) in [("mean", ""), ("drop", "training dropped such rows")] {
        let set =
            format!(r#"dataset={{format="csv",train="t.csv",label="y",missing="{missing}"}}"#);
        ok(
            dir,
            &[
                "train",
                "--set",
                &set,
                "--model",
                "softmax",
                "--steps",
                "9",
                "--batch-size",
                "8",
                "--out",
                missing,
                "-q",
            ],
        );
        let arguments = ["predict", missing, "new.csv"];
        if missing == "drop" {
            refused(
                &ended(command(dir, &arguments)),
                1,
                &[
                    "new.csv, line 2, column `a`",
                    "the value is missing (`?`)",
                    said,
                ],
            );
            continue;
        }
        let holes = ok(dir, &arguments);
        assert!(
            holes
                .stderr
                .contains("4 missing values are replaced by the training part's means"),
            "{}",
            holes.stderr
        );
        let data = bytes(dir.join("mean/model.safetensors"));
        let header: Value = serde_json::from_slice(
            &data[8..8 + u64::from_le_bytes(data[..8].try_into().expect("8 bytes")) as usize],
        )
        .expect("JSON");
        let about: Value =
            serde_json::from_str(header["__metadata__"]["largebatch"].as_str().expect("text"))
                .expect("JSON");
        let mean = |i: usize| about["preprocessing"]["mean"][i].as_f64().expect("a mean");
        assert!(mean(0) > 20.0);
        write(
            dir,
            "filled.csv",
            format!(
                "a,b\n{:?},3\n5,{:?}\n{:?},{:?}\n",
                mean(0),
                mean(1),
                mean(0),
                mean(1)
            ),
        );
        assert_eq!(
            holes.stdout,
            ok(dir, &["predict", "mean", "filled.csv"]).stdout
        );
    }
    let set = r#"dataset={format="csv",train="full.csv",label="y"}"#;
    write(
        dir,
        "full.csv",
        format!("a,b,y\n{}", lines.replace("NA", "9")),
    );
    ok(
        dir,
        &[
            "train",
            "--set",
            set,
            "--model",
            "softmax",
            "--steps",
            "9",
            "--batch-size",
            "8",
            "--out",
            "full",
            "-q",
        ],
    );
    refused(
        &ended(command(dir, &["predict", "full", "new.csv"])),
        1,
        &["new.csv, line 2, column `a`", "dataset.missing = \"mean\""],
    );
    // A row of only tabs is a row.
    write(dir, "tabs.csv", "a\tb\n1\t2\n\t\n3\t4\n\n");
    assert_eq!(
        ok(dir, &["predict", "mean", "tabs.csv"])
            .stdout
            .lines()
            .count(),
        4
    );
}

#[test]
fn without_names_columns_go_by_their_place() {
    let folder = folder();
    let dir = folder.path();
    let lines =
        |n: usize| -> Vec<[usize; 3]> { (0..n).map(|i| [i * 7 % 13, i % 2, i * 5 % 11]).collect() };
    let text = |columns: &[usize]| -> String {
        lines(40)
            .iter()
            .map(|row| {
                columns
                    .iter()
                    .map(|&c| row[c].to_string())
                    .collect::<Vec<_>>()
                    .join(",")
                    + "\n"
            })
            .collect()
    };
    write(dir, "t.csv", text(&[0, 1, 2]));
    let set = r#"dataset={format="csv",train="t.csv",label=1}"#;
    ok(
        dir,
        &[
            "train",
            "--set",
            set,
            "--model",
            "softmax",
            "--steps",
            "9",
            "--batch-size",
            "8",
            "--out",
            "run",
            "-q",
        ],
    );
    write(dir, "bare.csv", text(&[0, 2]));
    let labelled = ok(dir, &["predict", "run", "t.csv"]).stdout;
    assert_eq!(labelled.lines().count(), 41);
    assert_eq!(labelled, ok(dir, &["predict", "run", "bare.csv"]).stdout);
    write(dir, "wide.csv", text(&[0, 1, 2, 2]));
    refused(
        &ended(command(dir, &["predict", "run", "wide.csv"])),
        1,
        &[
            "wide.csv: the number of columns is 4, but 2 features",
            "3 with",
        ],
    );
    write(dir, "named.csv", format!("a,b\n{}", text(&[0, 2])));
    refused(
        &ended(command(dir, &["predict", "run", "named.csv"])),
        1,
        &[
            "named.csv, line 1",
            "line of column names",
            "remove the line",
        ],
    );
    // The file has no label but as many columns as with it: the row numbers would be read as the
    // first feature, and the first feature as the label.
    let counted: String = text(&[0, 2])
        .lines()
        .enumerate()
        .map(|(i, row)| format!("{i},{row}\n"))
        .collect();
    write(dir, "counted.csv", &counted);
    let words = [
        "counted.csv, line 2, column 1",
        "`7`",
        "not one of its classes, 0, 1",
        "only the 2 features",
        "row numbers",
    ];
    refused(
        &ended(command(dir, &["predict", "run", "counted.csv"])),
        1,
        &words,
    );
    // Any number may be a real target.
    let set = r#"dataset={format="csv",train="t.csv",label=1,labels="real"}"#;
    ok(
        dir,
        &[
            "train",
            "--set",
            set,
            "--model",
            "linear",
            "--steps",
            "9",
            "--batch-size",
            "8",
            "--out",
            "line",
            "-q",
        ],
    );
    let counted = ok(dir, &["predict", "line", "counted.csv"]).stderr;
    assert!(
        counted.contains(
            "counted.csv: column 0 numbers the rows and was read as the first feature; remove it if"
        ),
        "{counted}"
    );
    assert!(
        !ok(dir, &["predict", "line", "t.csv"])
            .stderr
            .contains("numbers the rows")
    );
}

#[test]
fn libsvm_with_and_without_labels() {
    let folder = folder();
    let dir = folder.path();
    let features = |i: usize| format!("1:{} 3:{}", i * 7 % 13 + 1, i * 5 % 11 + 1);
    let lines = |label: bool| -> String {
        (0..40)
            .map(|i| {
                if label {
                    format!("{} {}\n", i % 2, features(i))
                } else {
                    format!("{}\n", features(i))
                }
            })
            .collect()
    };
    write(dir, "t.svm", lines(true));
    ok(
        dir,
        &[
            "train",
            "--set",
            r#"dataset={format="libsvm",train="t.svm"}"#,
            "--model",
            "softmax",
            "--steps",
            "9",
            "--out",
            "run",
            "-q",
        ],
    );
    write(dir, "bare.svm", format!("# a comment\n{}", lines(false)));
    let labelled = ok(dir, &["predict", "run", "t.svm"]).stdout;
    assert_eq!(labelled.lines().count(), 41);
    assert_eq!(labelled, ok(dir, &["predict", "run", "bare.svm"]).stdout);
    write(dir, "far.svm", "1:2\n? 1:1 4:1\n");
    refused(
        &ended(command(dir, &["predict", "run", "far.svm"])),
        1,
        &[
            "far.svm, line 2",
            "`4:1` is beyond the 3 features of the training data",
        ],
    );
    // A blank line may be a row of zeros.
    write(dir, "blank.svm", "1:2\n\n1:1\n");
    refused(
        &ended(command(dir, &["predict", "run", "blank.svm"])),
        1,
        &["blank.svm, line 2", "it is blank", "1:0"],
    );
    write(dir, "labels.svm", "0 1:2\n\n0\n0 1:1\n");
    assert_eq!(
        ok(dir, &["predict", "run", "labels.svm"])
            .stdout
            .lines()
            .count(),
        4
    );
}

#[test]
fn what_is_refused() {
    let folder = folder();
    let dir = folder.path();
    trained(dir);
    let rows: &[(&str, &[&str])] = &[
        (
            "u,w,kind\n1,2,b\n",
            &[
                "new.csv, line 1",
                "lacks the column `v`",
                "the name most similar to `v` is",
                "add or rename it",
            ],
        ),
        (
            "U,V,w\n1,2,3\n",
            &["lacks the columns `u`, `v`", "rename them"],
        ),
        (
            "1,2,3\n4,5,6\n",
            &["new.csv, line 1", "`1` is not a name", "`u`, `v`, `w`"],
        ),
        (
            "u,v,w,u\n1,2,3,4\n",
            &["columns 0 and 3 are both named `u`"],
        ),
        (
            "u,v,w\n1,2,3\n1,x,3\n",
            &["new.csv, line 3, column `v`", "`x` is not a number"],
        ),
        ("u,v,w\n1,2,inf\n", &["line 2, column `w`", "`inf`"]),
        ("u,v,w\n1,2\n", &["line 2", "2 fields", "3"]),
        ("u,v,w\n1,2,\"3\n", &["line 2", "a quote opens here"]),
        ("u,v,w\n", &["new.csv", "number of examples is 0"]),
        ("u,v,w\n1,2,1e300\n", &["column `w`", "1e300", "32 bits"]),
        ("", &["new.csv is empty"]),
    ];
    write(dir, "p.csv", "old");
    for (text, words) in rows {
        write(dir, "new.csv", text);
        refused(
            &ended(command(dir, &["predict", "run", "new.csv"])),
            1,
            words,
        );
        refused(
            &ended(command(
                dir,
                &["predict", "run", "new.csv", "--out", "p.csv"],
            )),
            1,
            words,
        );
        assert_eq!(bytes(dir.join("p.csv")), b"old", "nothing half-written");
    }
    let arguments: &[(&[&str], i32, &[&str])] = &[
        (
            &["predict", "run", "test.csv", "--out", "./test.csv"],
            2,
            &["--out = ./test.csv", "would be overwritten"],
        ),
        (
            &["predict", "run", "test.csv", "--out", "nowhere/p.csv"],
            1,
            &["nowhere/p.csv", "cannot write"],
        ),
        (
            &["predict", "run", "nowhere.csv"],
            1,
            &["cannot read nowhere.csv"],
        ),
        (&["predict", "run", "."], 1, &["cannot read ."]),
        (
            &["predict", "nowhere", "test.csv"],
            1,
            &["nowhere: does not exist"],
        ),
        (
            &["predict", "run", "test.csv", "--weights", "test.csv"],
            1,
            &["test.csv: not a safetensors file"],
        ),
        (
            &["predict", "run", "test.csv", "--device", "nothing"],
            2,
            &["unknown device `nothing`"],
        ),
        (&["predict", "run"], 2, &["FILE"]),
    ];
    let test = bytes(dir.join("test.csv"));
    for (arguments, code, words) in arguments {
        refused(&ended(command(dir, arguments)), *code, words);
    }
    assert!(bytes(dir.join("test.csv")) == test);

    // A class predicted by weights that are not numbers would always be the first one.
    let set = r#"dataset={format="csv",train="train.csv",test="test.csv",label="kind"}"#;
    let diverged = [
        "train", "--set", set, "--model", "mlp", "--lr", "1e30", "--steps", "50", "--out",
        "diverged", "-q",
    ];
    assert_eq!(ended(command(dir, &diverged)).code, Some(3));
    refused(
        &ended(command(dir, &["predict", "diverged", "test.csv"])),
        1,
        &["diverged: the network's output for row 1", "--weights"],
    );
}

/// With one feature a blank line is a row without a value: if it were skipped, each row below it
/// would get the prediction of another.
#[test]
fn a_blank_line_of_one_column_is_a_row() {
    let folder = folder();
    let dir = folder.path();
    write(
        dir,
        "t.csv",
        format!(
            "x,y\n{}",
            (0..40)
                .map(|i| format!("{},{}\n", i % 10, usize::from(i % 10 > 4)))
                .collect::<String>()
        ),
    );
    for (out, missing) in [("strict", ""), ("mean", ",missing=\"mean\"")] {
        let set = format!(r#"dataset={{format="csv",train="t.csv",label="y"{missing}}}"#);
        ok(
            dir,
            &[
                "train",
                "--set",
                &set,
                "--model",
                "softmax",
                "--steps",
                "9",
                "--batch-size",
                "8",
                "--out",
                out,
                "-q",
            ],
        );
    }
    write(dir, "new.csv", "x\n1\n\n2\n\n");
    refused(
        &ended(command(dir, &["predict", "strict", "new.csv"])),
        1,
        &["new.csv, line 3, column `x`", "missing"],
    );
    assert_eq!(
        ok(dir, &["predict", "mean", "new.csv"])
            .stdout
            .lines()
            .count(),
        4
    );
}
