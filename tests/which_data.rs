//! A result never silently outlives its data: runs, studies and the file cache notice changed data.

use std::fs;
use std::path::Path;
use std::time::SystemTime;

use largebatch_random::{Key, below};
use largebatch_tests::{Ended, command, copy, ended, folder, json, ok, tree, write};
use serde_json::Value;

/// A CSV file of noise: five features, and one of two random classes.
fn noise(rows: std::ops::Range<u64>) -> String {
    let row = |i: u64| {
        let mut rng = Key::new(7).word("noise").number(i).rng();
        let features: String = (0..5)
            .map(|_| format!("{:.3},", f64::from(below(&mut rng, 2000)) / 1000.0 - 1.0))
            .collect();
        format!("{features}{}\n", below(&mut rng, 2))
    };
    rows.map(row).collect()
}

const HEAD: &str = "a,b,c,d,e,y\n";
const CSV: &str = r#"dataset={format="csv",train="noise.csv",label="y"}"#;

fn sha256(dir: &Path, run: &str) -> String {
    let file = fs::read_to_string(dir.join(run).join("run.toml")).expect("run.toml");
    let line = file
        .lines()
        .rev()
        .find_map(|line| line.strip_prefix("sha256 = "))
        .expect("a hash");
    line.trim_matches('"').to_owned()
}

/// An MLP that overfits 250 rows of noise, in `run`, with checkpoints.
fn learned(dir: &Path) {
    write(dir, "noise.csv", format!("{HEAD}{}", noise(0..250)));
    let train = [
        "train",
        "--set",
        CSV,
        "--model",
        "mlp",
        "--set",
        "model.widths=[64]",
        "--lr",
        "0.3",
        "--batch-size",
        "16",
    ];
    let more = [
        "--steps",
        "600",
        "--set",
        "checkpoint.every_steps=200",
        "--set",
        "checkpoint.keep=10",
        "--out",
        "run",
        "-q",
    ];
    ok(dir, &[&train[..], &more].concat());
}

fn refused(ended: &Ended, parts: &[&str]) {
    assert_eq!(ended.code, Some(1), "{ended:?}");
    for part in parts {
        assert!(ended.stderr.contains(part), "{part} is missing: {ended:?}");
    }
}

#[test]
fn whatever_opens_a_run_again_notices_other_data() {
    let folder = folder();
    let dir = folder.path();
    learned(dir);
    let before = json(dir, &["evaluate", "run", "--part", "test"]);
    let (hash, whole) = (
        sha256(dir, "run"),
        fs::read(dir.join("noise.csv")).expect("the data"),
    );
    // A run waiting to be resumed.
    copy(&dir.join("run"), &dir.join("waiting"));
    fs::remove_file(dir.join("waiting/result.json")).expect("removed");

    fs::write(
        dir.join("noise.csv"),
        [whole.as_slice(), noise(250..290).as_bytes()].concat(),
    )
    .expect("appended");
    let state = tree(&dir.join("run"));
    let commands: &[&[&str]] = &[
        &["evaluate", "run", "--part", "test"],
        &["train", "--resume", "waiting"],
        &["train", "--resume", "waiting", "--seed", "1"],
        &["probe", "layers", "run"],
        &["probe", "layers", "run/checkpoints/step-200"],
        &["probe", "noise", "run"],
        &["probe", "curvature", "run"],
        &["probe", "sharpness", "run"],
        &["probe", "line", "run", "waiting"],
        &["probe", "surface", "run", "--points", "3"],
        &["probe", "lr-find", "run"],
        &["probe", "batch-find", "run"],
    ];
    for arguments in commands {
        let ended = ended(command(dir, arguments));
        refused(
            &ended,
            &[
                "noise.csv",
                &hash,
                "the data have changed",
                "it had 250 examples and has 290",
                "--accept-data",
                "--data-dir",
            ],
        );
        assert_eq!(ended.stdout, "");
    }
    assert!(tree(&dir.join("run")) == state, "nothing is written");

    let accepted = ended(command(
        dir,
        &[
            "evaluate",
            "run",
            "--part",
            "test",
            "--accept-data",
            "--json",
        ],
    ));
    assert!(
        accepted.code == Some(0)
            && accepted.stderr.contains("warning: ")
            && accepted.stderr.contains(&hash),
        "{accepted:?}"
    );
    let now: Value = serde_json::from_str(&accepted.stdout).expect("JSON");
    assert!(now["n"].as_u64() > before["n"].as_u64());
    let layers = ended(command(
        dir,
        &["probe", "layers", "run", "--accept-data", "--out", "layers"],
    ));
    assert!(
        layers.code == Some(0) && layers.stderr.contains("warning: "),
        "{layers:?}"
    );
    // Another data set that was requested is not refused.
    ok(
        dir,
        &[
            "probe",
            "lr-find",
            "run",
            "--set",
            "dataset=breast-cancer",
            "--set",
            "data.validation=50",
        ],
    );

    fs::write(dir.join("noise.csv"), &whole).expect("put back");
    assert_eq!(json(dir, &["evaluate", "run", "--part", "test"]), before);
}

#[test]
fn a_run_that_goes_on_with_other_data_says_so_for_ever() {
    let folder = folder();
    let dir = folder.path();
    learned(dir);
    fs::remove_file(dir.join("run/result.json")).expect("removed");
    let (old, whole) = (
        sha256(dir, "run"),
        fs::read(dir.join("noise.csv")).expect("the data"),
    );
    let more = [whole.as_slice(), noise(250..290).as_bytes()].concat();
    fs::write(dir.join("noise.csv"), &more).expect("appended");
    let usage = ended(command(
        dir,
        &["train", "--set", CSV, "--model", "mlp", "--accept-data"],
    ));
    assert!(
        usage.code == Some(2) && usage.stderr.contains("--resume"),
        "{usage:?}"
    );
    let resumed = ended(command(
        dir,
        &["train", "--resume", "run", "--accept-data", "-q"],
    ));
    assert!(
        resumed.code == Some(0) && resumed.stderr.contains(&old),
        "{resumed:?}"
    );
    let file = fs::read_to_string(dir.join("run/run.toml")).expect("run.toml");
    assert!(
        file.contains("[[earlier_sources]]")
            && file.contains(&old)
            && file.contains("examples = 290"),
        "{file}"
    );
    // It learned from both data sets, so neither is right.
    for data in [&more, &whole] {
        fs::write(dir.join("noise.csv"), data).expect("written");
        refused(
            &ended(command(dir, &["evaluate", "run"])),
            &["SHA-256 was "],
        );
    }
    fs::write(dir.join("noise.csv"), &more).expect("written");
    refused(
        &ended(command(dir, &["evaluate", "run"])),
        &["before it was resumed", &old],
    );
    ok(dir, &["evaluate", "run", "--accept-data"]);
}

#[test]
fn a_relative_path_leads_to_the_same_file_from_everywhere() {
    let folder = folder();
    let (here, there) = (folder.path().join("here"), folder.path().join("there"));
    [&here, &there]
        .iter()
        .for_each(|dir| fs::create_dir(dir).expect("made"));
    learned(&here);
    // Only the provenance contains the folder: the identity depends on the settings.
    let value = |dir: &Path, name: &str| {
        let file = fs::read_to_string(dir.join("run/run.toml")).expect("run.toml");
        file.lines()
            .find_map(|line| line.strip_prefix(&format!("{name} = ")))
            .map(str::to_owned)
    };
    learned(&there);
    assert_eq!(value(&here, "id"), value(&there, "id"));
    assert_ne!(value(&here, "folder"), value(&there, "folder"));
    fs::remove_file(there.join("noise.csv")).expect("removed");
    let mut before = json(&here, &["evaluate", "run", "--part", "test"]);
    let from_there = || {
        ended(command(
            &there,
            &["evaluate", "../here/run", "--part", "test", "--json"],
        ))
    };
    // Nothing is there; then another file of the same name.
    for other in [false, true] {
        if other {
            write(&there, "noise.csv", format!("{HEAD}{}", noise(1000..1250)));
        }
        let found = from_there();
        let mut now: Value =
            serde_json::from_str(&found.stdout).unwrap_or_else(|e| panic!("{e}: {found:?}"));
        now["run"] = "".into();
        before["run"] = "".into();
        assert_eq!(now, before);
    }
    fs::rename(here.join("noise.csv"), folder.path().join("noise.csv")).expect("moved");
    refused(&from_there(), &["there/noise.csv", "SHA-256 was "]);
    fs::remove_file(there.join("noise.csv")).expect("removed");
    let (a, b) = (here.display().to_string(), there.display().to_string());
    refused(
        &from_there(),
        &["noise.csv", "looked in", &a, &b, "--data-dir"],
    );
    ok(&there, &["evaluate", "../here/run", "--data-dir", ".."]);
    // So does a new training.
    let new = ended(command(&there, &["train", "--set", CSV, "--model", "mlp"]));
    refused(
        &new,
        &["cannot find noise.csv", "looked in", &b, "absolute"],
    );
}

/// Content that differs although size and modification time are equal.
#[test]
fn the_file_cache_sees_other_content() {
    for compressed in [false, true] {
        let folder = folder();
        let dir = folder.path();
        let put = |label: char, time: Option<SystemTime>| {
            let rows: String = (0..50)
                .map(|i| {
                    format!(
                        "{},{}\n",
                        i % 7,
                        if i == 3 {
                            label
                        } else if i % 2 == 0 {
                            '0'
                        } else {
                            '1'
                        }
                    )
                })
                .collect();
            // Gzip without compression: equal sizes.
            let bytes = if compressed {
                stored(rows.as_bytes())
            } else {
                rows.into_bytes()
            };
            write(dir, "own.csv", &bytes);
            let file = fs::File::options()
                .write(true)
                .open(dir.join("own.csv"))
                .expect("opened");
            time.iter()
                .for_each(|time| file.set_modified(*time).expect("set"));
            let meta = file.metadata().expect("metadata");
            (meta.len(), meta.modified().expect("a time"))
        };
        let run = |out: &str| {
            let set = r#"dataset={format="csv",train="own.csv",label=1}"#;
            ok(
                dir,
                &[
                    "train",
                    "--set",
                    set,
                    "--model",
                    "softmax",
                    "--steps",
                    "1",
                    "--batch-size",
                    "8",
                    "--out",
                    out,
                    "-q",
                ],
            );
            sha256(dir, out)
        };
        let (size, time) = put('1', None);
        let first = run("first");
        assert_eq!(put('0', Some(time)), (size, time));
        assert_ne!(run("second"), first, "compressed: {compressed}");
        refused(&ended(command(dir, &["evaluate", "first"])), &[&first]);
    }
}

/// A gzip file whose size does not depend on the content.
fn stored(bytes: &[u8]) -> Vec<u8> {
    use std::io::Write as _;
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::none());
    encoder.write_all(bytes).expect("memory");
    encoder.finish().expect("memory")
}

const STUDY: &str = r#"
name = "noise"
[set]
dataset = { format = "csv", train = "noise.csv", label = "y" }
model = "softmax"
[axes]
batch_size = [16, 32]
[search]
lr = [0.1, 0.5]
[budget]
epochs = 1
[tune]
seeds = 1
[confirm]
seeds = 2
probe = ["line --points 3"]
"#;

#[test]
fn a_study_does_not_mix_data() {
    let folder = folder();
    let dir = folder.path();
    write(dir, "noise.csv", format!("{HEAD}{}", noise(0..250)));
    write(dir, "study.toml", STUDY);
    let run = |arguments: &[&str]| {
        ended(command(
            dir,
            &[
                &[
                    "study",
                    "run",
                    "study.toml",
                    "--out",
                    "study",
                    "--jobs",
                    "2",
                ],
                arguments,
            ]
            .concat(),
        ))
    };
    let hashes = || -> Vec<String> {
        let journals = fs::read_dir(dir.join("study"))
            .expect("the study")
            .map(|e| e.expect("an entry").path());
        let journals = journals.filter(|p| {
            p.file_name().is_some_and(|n| {
                n.to_string_lossy().starts_with("trials")
                    && p.extension().is_some_and(|e| e == "jsonl")
            })
        });
        let text: String = journals
            .map(|p| fs::read_to_string(p).expect("a journal"))
            .collect();
        let hash = |line: &str| {
            serde_json::from_str::<Value>(line).expect("JSON")["provenance"]["sources"][0]["sha256"]
                .as_str()
                .expect("a hash")
                .to_owned()
        };
        text.lines().map(hash).collect()
    };
    let one = |hashes: Vec<String>| {
        assert!(hashes.iter().all(|hash| *hash == hashes[0]), "{hashes:?}");
        (hashes.len(), hashes[0].clone())
    };

    assert_eq!(run(&["--shard", "1/2"]).code, Some(0));
    let (n, old) = one(hashes());
    assert_eq!(n, 4);
    write(dir, "noise.csv", format!("{HEAD}{}", noise(0..290)));
    refused(
        &run(&["--shard", "2/2"]),
        &[
            "noise.csv: SHA-256 was ",
            &old,
            "4 trials: batch_size=16 seed",
            "--accept-data",
        ],
    );
    assert_eq!(one(hashes()), (4, old.clone()));
    let accepted = run(&["--shard", "2/2", "--accept-data"]);
    assert!(
        accepted.code == Some(0)
            && accepted
                .stderr
                .contains("warning: 4 trials ran on data that have changed"),
        "{accepted:?}"
    );
    let (n, new) = one(hashes());
    assert!(n == 4 && new != old);
    let whole = run(&[]);
    assert!(
        whole.code == Some(0) && whole.stderr.contains("4 trials ran now, 4 before"),
        "{whole:?}"
    );
    assert_eq!(one(hashes()), (8, new.clone()));
    let report = fs::read_to_string(dir.join("study/report/index.html")).expect("the report");
    assert!(report.contains(&new[..12]) && !report.contains(&old[..12]));

    // After its end.
    let lines = || -> Vec<_> {
        tree(&dir.join("study/runs"))
            .into_iter()
            .filter(|(path, _)| path.ends_with("line.json"))
            .collect()
    };
    let line = lines();
    assert_eq!(line.len(), 2);
    write(dir, "noise.csv", format!("{HEAD}{}", noise(0..300)));
    refused(&run(&[]), &[&new, "8 trials"]);
    assert_eq!(lines(), line);
    assert_eq!(run(&["--accept-data"]).code, Some(0));
    let (n, newest) = one(hashes());
    assert!(n == 8 && newest != new);
    assert!(
        lines().len() == 2 && lines() != line,
        "the lines are those of the new runs"
    );
    // Journals with trials on both data in one folder.
    fs::copy(
        dir.join("study/other-data.jsonl"),
        dir.join("study/trials-old.jsonl"),
    )
    .expect("copied");
    for arguments in [
        &["study", "report", "study"][..],
        &["study", "status", "study"],
        &["study", "export", "study", "--format", "csv"],
    ] {
        refused(
            &ended(command(dir, arguments)),
            &[&new, &newest, "must not be compared", "--accept-data"],
        );
    }
}

#[test]
fn evaluate_says_which_classes_are_confused() {
    let folder = folder();
    let dir = folder.path();
    for (dataset, model, classes) in [
        ("digits", "softmax", 10),
        ("breast-cancer", "logistic", 2),
        ("breast-cancer", "perceptron", 2),
    ] {
        ok(
            dir,
            &[
                "train",
                "--dataset",
                dataset,
                "--model",
                model,
                "--epochs",
                "2",
                "--out",
                model,
                "-q",
            ],
        );
        for part in ["train", "validation", "test"] {
            let found = json(dir, &["evaluate", model, "--part", part]);
            let matrix: Vec<Vec<u64>> =
                serde_json::from_value(found["confusion"].clone()).expect("a matrix");
            assert!(matrix.len() == classes && matrix.iter().all(|row| row.len() == classes));
            let all: u64 = matrix.iter().flatten().sum();
            let right: u64 = (0..classes).map(|i| matrix[i][i]).sum();
            assert_eq!(found["n"], all);
            assert!(
                (found["accuracy"].as_f64().expect("a share") - right as f64 / all as f64).abs()
                    < 1e-12,
                "{found}"
            );
            let listed = found["classes"].as_array().expect("classes");
            for (i, class) in listed.iter().enumerate() {
                assert_eq!(class["n"], matrix[i].iter().sum::<u64>());
                let (row, column) = (
                    matrix[i].iter().sum::<u64>() as f64,
                    matrix.iter().map(|row| row[i]).sum::<u64>() as f64,
                );
                assert!(
                    (class["recall"].as_f64().expect("a recall") - matrix[i][i] as f64 / row).abs()
                        < 1e-12
                );
                assert!(
                    (class["f1"].as_f64().expect("an F1")
                        - 2.0 * matrix[i][i] as f64 / (row + column))
                        .abs()
                        < 1e-12
                );
            }
            let mean = listed
                .iter()
                .map(|class| class["recall"].as_f64().expect("a recall"))
                .sum::<f64>()
                / classes as f64;
            assert!((found["macro"]["recall"].as_f64().expect("a mean") - mean).abs() < 1e-12);
        }
    }
    let text = ok(dir, &["evaluate", "logistic", "--part", "test"]).stdout;
    for part in [
        "true \\ predicted",
        "malignant",
        "benign",
        "precision",
        "recall",
        "F1",
        "macro average",
    ] {
        assert!(text.contains(part), "{part} is missing:\n{text}");
    }
    ok(
        dir,
        &[
            "train",
            "--dataset",
            "diabetes",
            "--model",
            "linear",
            "--epochs",
            "1",
            "--out",
            "linear",
            "-q",
        ],
    );
    assert!(
        json(dir, &["evaluate", "linear"])
            .get("confusion")
            .is_none()
    );
    assert_eq!(ok(dir, &["evaluate", "linear"]).stdout.lines().count(), 1);
}

/// Accepted data are scaled as the run's data were, not by their own statistics: a target ten times
/// as large gives a large error. Columns and classes with other names or in another order are
/// refused.
#[test]
fn accepted_data_are_seen_by_the_eyes_of_the_run() {
    let folder = folder();
    let dir = folder.path();
    let rows = |scale: f64, names: &str, classes: [&str; 2]| -> [String; 2] {
        let point = |i: usize| (i % 7, i * i % 11);
        let real = (0..60).map(|i| {
            format!(
                "{},{},{}\n",
                point(i).0,
                point(i).1,
                scale * (point(i).0 * 3 + point(i).1) as f64
            )
        });
        let class = (0..60).map(|i| {
            format!(
                "{},{},{}\n",
                point(i).0,
                point(i).1,
                classes[usize::from(point(i).0 > 3)]
            )
        });
        [
            format!("{names},y\n{}", real.collect::<String>()),
            format!("{names},y\n{}", class.collect::<String>()),
        ]
    };
    let put = |[real, class]: [String; 2]| {
        write(dir, "real.csv", real);
        write(dir, "class.csv", class);
    };
    put(rows(1.0, "a,b", ["no", "yes"]));
    for (set, model, labels) in [("real", "linear", "real"), ("class", "softmax", "classes")] {
        let own = [
            format!("dataset.train={set}.csv"),
            format!("dataset.labels={labels}"),
        ];
        let train = [
            "train",
            "--quiet",
            "--out",
            set,
            "--model",
            model,
            "--epochs",
            "60",
            "--lr",
            "0.1",
            "--set",
            "dataset.format=csv",
        ];
        ok(
            dir,
            &[
                &train[..],
                &[
                    "--set",
                    "dataset.label=y",
                    "--set",
                    &own[0],
                    "--set",
                    &own[1],
                ],
            ]
            .concat(),
        );
    }
    let rmse = || {
        json(
            dir,
            &["evaluate", "real", "--part", "test", "--accept-data"],
        )["rmse"]
            .as_f64()
            .expect("a number")
    };
    let before = rmse();
    put(rows(10.0, "a,b", ["no", "yes"]));
    assert!(before < 1.0 && rmse() > 50.0, "{before} and {}", rmse());
    put(rows(1.0, "b,a", ["no", "yes"]));
    let refused = |run: &str, words: &[&str]| {
        for arguments in [
            &["evaluate", run, "--accept-data"][..],
            &["probe", "layers", run, "--accept-data"],
        ] {
            let said = ended(command(dir, arguments));
            assert!(
                said.code == Some(1) && words.iter().all(|word| said.stderr.contains(word)),
                "{words:?}: {said:?}"
            );
        }
    };
    refused(
        "class",
        &[
            "trained on columns",
            "a, b, but the data now have columns b, a",
        ],
    );
    refused(
        "real",
        &[
            "trained on columns",
            "a, b, but the data now have columns b, a",
        ],
    );
    put(rows(1.0, "a,b", ["no", "aye"]));
    refused(
        "class",
        &[
            "trained on classes",
            "no, yes, but the data now have classes aye, no",
        ],
    );
}
