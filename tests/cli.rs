//! The command line as a user, a script and a shell see it.

use std::fs;

use largebatch_tests::{command, ended, folder, images, json, ok, one_json, shell, tree};

const SUBCOMMANDS: &[&str] = &[
    "train",
    "evaluate",
    "predict",
    "data",
    "devices",
    "models",
    "optimizers",
    "schedules",
    "study",
    "probe",
    "scale",
    "replay",
    "completions",
    "man",
];

#[test]
fn every_subcommand_has_help() {
    let folder = folder();
    let dir = folder.path();
    let all = ok(dir, &["--help"]).stdout;
    for words in [
        "Examples:",
        "Exit codes: 0 done, 1 failed, 2 bad arguments, 3 training diverged, 130 interrupted.",
    ] {
        assert!(all.contains(words), "{all}");
    }
    for name in SUBCOMMANDS {
        let line = all
            .lines()
            .find(|line| line.trim_start().starts_with(&format!("{name} ")))
            .unwrap_or_else(|| panic!("--help lacks {name}:\n{all}"));
        assert!(
            line.trim().len() > name.len() + 10,
            "{name} has no summary: {line}"
        );
        for arguments in [[name, "--help"], [name, "-h"], ["help", name]] {
            let help = ok(dir, &arguments);
            assert!(
                help.stdout.contains("Usage:") && help.stderr.is_empty(),
                "{arguments:?}: {help:?}"
            );
        }
    }
    let train = ok(dir, &["train", "--help"]).stdout;
    for flag in [
        "--dataset",
        "--model",
        "--optimizer",
        "--preset",
        "--batch-size",
        "--lr",
        "--epochs",
        "--steps",
        "--schedule",
        "--scaling",
        "--device",
        "--seed",
        "--out",
        "--set",
        "--resume",
        "--workers",
        "--threads",
        "--cross-validate",
        "--json",
        "--data-dir",
        "Examples:",
    ] {
        assert!(train.contains(flag), "train --help lacks {flag}");
    }
    let nothing = ended(command(dir, &[]));
    assert!(
        nothing.code == Some(2) && nothing.stderr.contains("Usage:"),
        "{nothing:?}"
    );
    let wrong = ended(command(dir, &["trian"]));
    assert!(
        wrong.code == Some(2) && wrong.stderr.contains("train"),
        "{wrong:?}"
    );
    assert!(tree(dir).is_empty(), "help left files");
}

#[test]
fn the_version_names_the_devices() {
    let folder = folder();
    let version = ok(folder.path(), &["--version"]).stdout;
    assert!(
        version.contains(env!("CARGO_PKG_VERSION")) && version.contains("flex"),
        "{version}"
    );
    let devices = json(folder.path(), &["devices"]);
    for device in devices["devices"].as_array().expect("a list") {
        let name = device["name"].as_str().expect("a name");
        assert_eq!(
            version.contains(name),
            device["compiled"] == true,
            "{name}: {version}"
        );
    }
}

#[test]
fn completions_and_manual_pages() {
    let folder = folder();
    let dir = folder.path();
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = ok(dir, &["completions", shell]).stdout;
        assert!(
            script.contains("largebatch") && script.contains("cross-validate"),
            "{shell}"
        );
    }
    let page = ok(dir, &["man"]).stdout;
    assert!(
        page.contains(".TH largebatch") && page.contains(".SH SYNOPSIS"),
        "{page}"
    );
    ok(dir, &["man", "--out", "pages"]);
    let pages: Vec<String> = tree(&dir.join("pages"))
        .into_keys()
        .map(|p| p.display().to_string())
        .collect();
    for name in SUBCOMMANDS {
        assert!(
            pages.contains(&format!("largebatch-{name}.1")),
            "{name}: {pages:?}"
        );
    }
    if shell(dir, "command -v bash")
        .output()
        .is_ok_and(|found| found.status.success())
    {
        ok(dir, &["completions", "bash"]);
        let checked = ended(shell(dir, "\"$LARGEBATCH\" completions bash | bash -n"));
        assert!(
            checked.code == Some(0) && checked.stderr.is_empty(),
            "{checked:?}"
        );
    }
}

#[test]
fn train_prints_one_object_for_machines() {
    let folder = folder();
    let dir = folder.path();
    let result = json(
        dir,
        &[
            "train",
            "--dataset",
            "digits",
            "--model",
            "softmax",
            "--optimizer",
            "adam",
            "--epochs",
            "3",
            "--seed",
            "4",
            "--out",
            "run",
        ],
    );
    for (key, value) in [
        ("dataset", "digits"),
        ("model", "softmax"),
        ("optimizer", "adam"),
        ("device", "flex"),
        ("stop", "finished"),
        ("out", "run"),
    ] {
        assert_eq!(result[key], value, "{key}");
    }
    // 1,797 digits: 360 in the test part, 287 held out, 1,150 for training.
    assert_eq!(
        (
            result["seed"].as_u64(),
            result["steps"].as_u64(),
            result["epochs"].as_u64()
        ),
        (Some(4), Some(54), Some(3))
    );
    for key in [
        "train_loss",
        "validation_accuracy",
        "test_accuracy",
        "examples_per_second",
    ] {
        assert!(
            result[key].as_f64().is_some_and(|x| x > 0.0),
            "{key}: {}",
            result[key]
        );
    }
    let file: serde_json::Value =
        serde_json::from_slice(&fs::read(dir.join("run/result.json")).expect("result.json"))
            .expect("JSON");
    assert_eq!(file, result, "result.json holds the same");

    // train_loss is the mean over the last epoch, as the events report it.
    let events = fs::read_to_string(dir.join("run/events.jsonl")).expect("events");
    let events: Vec<serde_json::Value> = events
        .lines()
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .collect();
    let evaluations: Vec<_> = events
        .iter()
        .filter(|e| e["event"] == "evaluation")
        .collect();
    assert_eq!(evaluations.len(), 3);
    assert_eq!(evaluations[2]["train_loss"], result["train_loss"]);
    assert!(
        events.iter().all(|e| e["schema"] == 1),
        "each line has its schema"
    );
    // A later evaluation reports what the run reported.
    for part in ["validation", "test"] {
        let metrics = json(dir, &["evaluate", "run", "--part", part]);
        assert_eq!(
            (&metrics["accuracy"], &metrics["loss"]),
            (&result[part]["accuracy"], &result[part]["loss"]),
            "{part}"
        );
    }
    let text = ok(dir, &["evaluate", "run"]).stdout;
    assert!(
        text.starts_with("validation: ") && text.contains("of 287"),
        "{text}"
    );
    let train = json(dir, &["evaluate", "run", "--part", "train"]);
    assert_eq!(train["n"], 1150);

    // Fewer steps than an epoch: the mean over all of them.
    let short = json(
        dir,
        &[
            "train",
            "--dataset",
            "digits",
            "--model",
            "softmax",
            "--steps",
            "5",
            "--set",
            "log.every_steps=1",
            "--out",
            "short",
        ],
    );
    let events = fs::read_to_string(dir.join("short/events.jsonl")).expect("events");
    let losses: Vec<f64> = events
        .lines()
        .map(|l| serde_json::from_str::<serde_json::Value>(l).expect("JSON"))
        .filter(|e| e["event"] == "step")
        .map(|e| e["loss"].as_f64().expect("a loss"))
        .collect();
    let mean = losses.iter().sum::<f64>() / 5.0;
    assert!(
        losses.len() == 5 && (short["train_loss"].as_f64().expect("a loss") - mean).abs() < 1e-9,
        "{short} {losses:?}"
    );
    assert_eq!(short["epochs"], 0);
}

#[test]
fn file_set_and_flags_lie_over_each_other() {
    let folder = folder();
    let dir = folder.path();
    let toml = "dataset = \"digits\"\nmodel = { name = \"mlp\", widths = [8], dropout = 0.1 }\noptimizer = { name = \"momentum\", momentum = 0.5 }\nlr = 0.01\nsteps = 3\nseed = 1\n";
    largebatch_tests::write(dir, "run.toml", toml);
    let config = |out: &str, arguments: &[&str]| -> String {
        ok(
            dir,
            &[&["train", "--quiet", "--out", out], arguments].concat(),
        );
        fs::read_to_string(dir.join(out).join("run.toml")).expect("run.toml")
    };
    let a = config("a", &["run.toml"]);
    assert!(
        [
            "widths = [8]",
            "dropout = 0.1",
            "momentum = 0.5",
            "lr = 0.01",
            "seed = 1"
        ]
        .iter()
        .all(|line| a.contains(line)),
        "{a}"
    );
    let b = config(
        "b",
        &[
            "run.toml",
            "--set",
            "model.widths=[9]",
            "--set",
            "lr=0.02",
            "--set",
            "seed=2",
            "--seed",
            "3",
        ],
    );
    assert!(
        [
            "widths = [9]",
            "dropout = 0.1",
            "momentum = 0.5",
            "lr = 0.02",
            "seed = 3"
        ]
        .iter()
        .all(|line| b.contains(line)),
        "{b}"
    );
    // Options given by --set belong to the model and the optimizer of the flags, whether they come
    // before or after them.
    let c = config(
        "c",
        &[
            "--set",
            "model.widths=[7]",
            "--dataset",
            "digits",
            "--model",
            "mlp",
            "--optimizer",
            "momentum",
            "--set",
            "optimizer.momentum=0.7",
            "--steps",
            "2",
        ],
    );
    assert!(
        ["widths = [7]", "momentum = 0.7"]
            .iter()
            .all(|line| c.contains(line)),
        "{c}"
    );
    // An optimizer given by a flag inherits nothing from the file's.
    let d = config("d", &["run.toml", "--optimizer", "sgd", "--epochs", "1"]);
    assert!(
        !d.contains("momentum") && d.contains("epochs = 1") && !d.contains("\nsteps"),
        "{d}"
    );
    let e = config(
        "e",
        &[
            "run.toml",
            "--optimizer",
            "lamb",
            "--preset",
            "timm",
            "--set",
            "optimizer.weight_decay=0.3",
            "--schedule",
            "cosine",
        ],
    );
    assert!(
        ["preset = \"timm\"", "weight_decay = 0.3", "cosine"]
            .iter()
            .all(|line| e.contains(line)),
        "{e}"
    );
    // The resolved configuration is itself a configuration, and makes the same run.
    let again: String = b
        .lines()
        .skip_while(|line| *line != "[config]")
        .skip(1)
        .take_while(|line| *line != "[[sources]]")
        .collect::<Vec<_>>()
        .join("\n");
    largebatch_tests::write(dir, "again.toml", again.replace("[config.", "["));
    config("again", &["again.toml"]);
    let model = |out: &str| largebatch_tests::bytes(dir.join(out).join("model.safetensors"));
    assert!(model("again") == model("b"));
}

#[test]
fn a_diverged_run_exits_with_3() {
    let folder = folder();
    let dir = folder.path();
    let arguments = [
        "train",
        "--dataset",
        "digits",
        "--model",
        "mlp",
        "--set",
        "model.widths=[32]",
        "--lr",
        "1e6",
        "--epochs",
        "3",
    ];
    let diverged = ended(command(
        dir,
        &[&arguments[..], &["--out", "run", "--json"]].concat(),
    ));
    assert_eq!(diverged.code, Some(3), "{diverged:?}");
    let result = one_json(&diverged.stdout);
    assert_eq!(result["stop"], "diverged");
    assert!(
        result["test_accuracy"].is_null()
            && result["validation_accuracy"].is_null()
            && result["steps"].as_u64() < Some(54),
        "{result}"
    );
    let told = ended(command(dir, &[&arguments[..], &["--out", "told"]].concat()));
    assert!(
        told.code == Some(3) && told.stdout.contains("DIVERGED") && told.stdout.contains("--lr"),
        "{told:?}"
    );
    let again = ended(command(dir, &["train", "--resume", "run"]));
    assert_eq!(again.code, Some(3), "a diverged run stays one: {again:?}");
}

#[test]
fn stops_at_its_target_and_without_improvement() {
    let folder = folder();
    let dir = folder.path();
    let common = [
        "train",
        "--dataset",
        "digits",
        "--model",
        "softmax",
        "--epochs",
        "40",
    ];
    let target = json(
        dir,
        &[
            &common[..],
            &["--out", "target", "--set", "stop.target=0.9"],
        ]
        .concat(),
    );
    assert!(
        target["stop"] == "target_reached"
            && target["validation_accuracy"].as_f64() >= Some(0.9)
            && target["epochs"].as_u64() < Some(40),
        "{target}"
    );
    let stale = json(
        dir,
        &[
            &common[..],
            &["--out", "stale", "--lr", "0", "--set", "stop.patience=3"],
        ]
        .concat(),
    );
    assert!(
        stale["stop"] == "no_improvement" && stale["epochs"] == 4,
        "{stale}"
    );
}

#[test]
fn cross_validation_predicts_each_example_once() {
    let folder = folder();
    let dir = folder.path();
    let arguments = [
        "train",
        "--dataset",
        "breast-cancer",
        "--model",
        "logistic",
        "--epochs",
        "5",
        "--cross-validate",
        "2x4",
    ];
    let result = json(dir, &arguments);
    assert_eq!(
        (&result["repeats"], &result["folds"], &result["diverged"]),
        (&2.into(), &4.into(), &0.into())
    );
    let repeats = result["per_repeat"].as_array().expect("a list");
    assert_eq!(
        repeats.iter().map(|r| r["n"].as_u64()).collect::<Vec<_>>(),
        [Some(569); 2]
    );
    let accuracies: Vec<f64> = repeats
        .iter()
        .map(|r| r["accuracy"].as_f64().expect("an accuracy"))
        .collect();
    let mean = (accuracies[0] + accuracies[1]) / 2.0;
    assert!(
        (result["accuracy"].as_f64().expect("a mean") - mean).abs() < 1e-12 && mean > 0.9,
        "{result}"
    );
    let spread = (accuracies[0] - accuracies[1]).abs() / 2f64.sqrt();
    assert!(
        (result["accuracy_std"].as_f64().expect("a spread") - spread).abs() < 1e-12,
        "{result}"
    );
    let text = ok(dir, &arguments).stdout;
    assert!(
        text.contains("2 × 4-fold cross-validation")
            && text.contains("of 569")
            && text.contains('±'),
        "{text}"
    );
    assert_eq!(
        json(
            dir,
            &[
                "train",
                "--dataset",
                "diabetes",
                "--model",
                "linear",
                "--epochs",
                "2",
                "--cross-validate",
                "1x3"
            ]
        )["accuracy"],
        serde_json::Value::Null
    );
    assert!(
        !dir.join("runs").exists(),
        "a cross-validation writes nothing"
    );
}

#[test]
fn real_targets_report_rmse() {
    let folder = folder();
    let dir = folder.path();
    let result = json(
        dir,
        &[
            "train",
            "--dataset",
            "diabetes",
            "--model",
            "linear",
            "--out",
            "run",
        ],
    );
    assert!(result["validation_accuracy"].is_null(), "{result}");
    let test = &result["test"];
    let (rmse, loss, r2) = (
        test["rmse"].as_f64().expect("RMSE"),
        test["loss"].as_f64().expect("a loss"),
        test["r2"].as_f64().expect("R²"),
    );
    // The loss is in deviations of the training targets, about 77; the error is in the targets' own
    // unit.
    let std = rmse / loss.sqrt();
    assert!(
        (70.0..85.0).contains(&std) && rmse < 60.0 && r2 > 0.3 && r2 < 1.0,
        "{test}"
    );
    let text = ok(dir, &["evaluate", "run", "--part", "test"]).stdout;
    assert!(text.contains("RMSE") && text.contains("R²"), "{text}");
}

#[test]
fn tables_and_their_entries() {
    let folder = folder();
    let dir = folder.path();
    let tables: &[(&str, &[&str])] = &[
        (
            "models",
            &[
                "linear",
                "logistic",
                "softmax",
                "perceptron",
                "mlp",
                "f1",
                "lenet5",
                "simple-cnn",
                "c1",
                "resnet",
            ],
        ),
        (
            "optimizers",
            &[
                "sgd", "momentum", "nesterov", "adagrad", "adam", "lars", "lamb",
            ],
        ),
        (
            "schedules",
            &[
                "constant",
                "power-law",
                "polynomial",
                "step",
                "multi-step",
                "exponential",
                "cosine",
                "cosine-restarts",
                "cyclic",
                "one-cycle",
                "linear",
            ],
        ),
    ];
    for (table, names) in tables {
        let listed = ok(dir, &[table]).stdout;
        let objects = json(dir, &[table]);
        for name in *names {
            assert!(
                listed
                    .lines()
                    .any(|line| line.split_whitespace().next() == Some(name)),
                "{table} lacks {name}"
            );
            let object = objects
                .as_array()
                .and_then(|all| all.iter().find(|o| o["name"] == *name))
                .unwrap_or_else(|| panic!("{table} --json lacks {name}"));
            let page = ok(dir, &[table, name]).stdout;
            assert!(page.starts_with(&format!("{name}: ")), "{page}");
            for parameter in object["parameters"].as_array().expect("a list") {
                let parameter = parameter["name"].as_str().expect("a name");
                assert!(
                    page.contains(&format!("  {parameter} = ")),
                    "{table} {name} lacks {parameter}:\n{page}"
                );
            }
            if *table == "optimizers" {
                assert!(
                    page.contains("\nFormula\n") && page.contains("\nPaper\n"),
                    "{page}"
                );
            }
        }
        let wrong = ended(command(dir, &[table, "cosin"]));
        assert!(
            wrong.code == Some(2)
                && wrong.stderr.contains("cosin")
                && wrong.stderr.contains(&format!("he {table} are `")),
            "{wrong:?}"
        );
    }
    let near = ended(command(dir, &["optimizers", "lmab"])).stderr;
    assert!(near.contains("did you mean `lamb`?"), "{near}");
    let page = ok(dir, &["optimizers", "lamb"]).stdout;
    assert!(
        page.contains("\nPresets") && page.contains("bias_correction = \"none\", norm_max = 10.0"),
        "{page}"
    );
}

#[test]
fn data_sets_are_listed_and_found() {
    let folder = folder();
    let dir = folder.path();
    let listed = ok(dir, &["data", "list"]).stdout;
    let objects = json(dir, &["data", "list"]);
    for name in [
        "digits",
        "breast-cancer",
        "diabetes",
        "mnist",
        "fashion-mnist",
        "cifar-10",
        "cifar-100",
    ] {
        assert!(
            listed
                .lines()
                .any(|line| line.split_whitespace().next() == Some(name)),
            "{listed}"
        );
        assert!(
            objects
                .as_array()
                .is_some_and(|all| all.iter().any(|o| o["name"] == name)),
            "{objects}"
        );
    }
    assert!(
        listed.contains("built in") && listed.contains("largebatch data fetch mnist"),
        "{listed}"
    );
    assert!(
        ok(dir, &["data", "path", "digits"])
            .stdout
            .contains("built in")
    );
    let absent = ended(command(dir, &["data", "path", "mnist"]));
    assert!(
        absent.code == Some(1) && absent.stderr.contains("train-images-idx3-ubyte"),
        "{absent:?}"
    );
    let wrong = ended(command(dir, &["data", "path", "mnits"]));
    assert!(
        wrong.code == Some(2) && wrong.stderr.contains("did you mean `mnist`"),
        "{wrong:?}"
    );

    // A folder named after the set in the data folder, by flag and by environment; content that
    // differs from the published one.
    let place = dir.join("sets/mnist");
    fs::create_dir_all(&place).expect("a folder");
    for (part, n) in [("train", 200), ("t10k", 100)] {
        images(&place, part, (n, 28, 10), 3);
        fs::rename(
            place.join(format!("{part}-images")),
            place.join(format!("{part}-images-idx3-ubyte")),
        )
        .expect("renamed");
        fs::rename(
            place.join(format!("{part}-labels")),
            place.join(format!("{part}-labels-idx1-ubyte")),
        )
        .expect("renamed");
    }
    assert!(
        ok(dir, &["data", "path", "mnist", "--data-dir", "sets"])
            .stdout
            .trim_end()
            .ends_with("sets/mnist")
    );
    let mut by_environment = command(dir, &["data", "path", "mnist"]);
    by_environment.env("LARGEBATCH_DATA_DIR", dir.join("sets"));
    assert!(
        ended(by_environment)
            .stdout
            .trim_end()
            .ends_with("sets/mnist")
    );
    let verified = ended(command(
        dir,
        &["data", "verify", "mnist", "--data-dir", "sets"],
    ));
    assert!(
        verified.code == Some(1) && verified.stdout.contains("NOT the published content"),
        "{verified:?}"
    );
    let run = ok(
        dir,
        &[
            "train",
            "--dataset",
            "mnist",
            "--data-dir",
            "sets",
            "--model",
            "softmax",
            "--steps",
            "1",
            "--set",
            "data.validation=20",
            "--out",
            "run",
        ],
    );
    assert!(
        run.stderr.contains("warning:") && run.stderr.contains("not the published content"),
        "{run:?}"
    );
    let file = fs::read_to_string(dir.join("run/run.toml")).expect("run.toml");
    assert!(
        file.contains("sha256") && file.contains("known = false"),
        "{file}"
    );
    // The run remembers where its data were.
    assert_eq!(json(dir, &["evaluate", "run", "--part", "test"])["n"], 100);
    // Other data under the same name: refused on resume.
    fs::remove_file(dir.join("run/result.json")).expect("the result");
    images(&place, "train", (200, 28, 10), 4);
    fs::rename(
        place.join("train-images"),
        place.join("train-images-idx3-ubyte"),
    )
    .expect("renamed");
    let other = ended(command(dir, &["train", "--resume", "run"]));
    assert!(
        other.code == Some(1)
            && other.stderr.contains("the data have changed")
            && other.stderr.contains("SHA-256"),
        "{other:?}"
    );
}

#[test]
fn quiet_is_quiet_and_logs_are_plain() {
    let folder = folder();
    let dir = folder.path();
    let train = |out: &str, more: &[&str]| {
        ok(
            dir,
            &[
                &[
                    "train",
                    "--dataset",
                    "digits",
                    "--model",
                    "softmax",
                    "--epochs",
                    "2",
                    "--out",
                    out,
                ],
                more,
            ]
            .concat(),
        )
    };
    let quiet = train("quiet", &["--quiet"]);
    assert!(
        quiet.stdout.is_empty() && quiet.stderr.is_empty(),
        "{quiet:?}"
    );
    let both = train("both", &["--quiet", "--json"]);
    assert!(both.stderr.is_empty());
    one_json(&both.stdout);
    // Without a terminal: a line at the start and one for each epoch, without colours or a bar.
    let plain = train("plain", &[]);
    assert!(
        plain.stderr.lines().count() == 5 && plain.stderr.contains("epoch   2"),
        "{plain:?}"
    );
    assert!(
        !plain.stderr.contains(['\r', '\x1b']) && !plain.stdout.contains(['\r', '\x1b']),
        "{plain:?}"
    );
    for words in [
        "digits · softmax · sgd",
        "finished after 2 epochs (36 steps)",
        "validation",
        "test",
        "saved in    plain",
    ] {
        assert!(plain.stdout.contains(words), "{plain:?}");
    }
    let conflict = ended(command(dir, &["train", "--quiet", "--verbose"]));
    assert_eq!(conflict.code, Some(2));
}

/// On a terminal, which `script` simulates: a bar; and with NO_COLOR no colours.
#[cfg(target_os = "linux")]
#[test]
fn a_terminal_shows_a_bar_and_honours_no_color() {
    let folder = folder();
    let dir = folder.path();
    if !shell(dir, "command -v script")
        .output()
        .is_ok_and(|found| found.status.success())
    {
        return largebatch_tests::skipped(
            "a_terminal_shows_a_bar_and_honours_no_color",
            "`script` of bsdutils is missing",
        );
    }
    let on_terminal = |environment: &str, arguments: &str| {
        ended(shell(
            dir,
            &format!("{environment} script -qec \"$LARGEBATCH {arguments}\" /dev/null"),
        ))
        .stdout
    };
    let bar = on_terminal(
        "TERM=xterm",
        "train --dataset digits --model mlp --epochs 8 --out bar",
    );
    assert!(
        bar.contains("examples/s") && bar.contains("ETA") && bar.contains("epoch   8"),
        "{bar:?}"
    );
    // Colours are the escape sequences that end in m.
    let coloured = |text: &str| {
        text.split('\x1b').skip(1).any(|s| {
            s.trim_start_matches(['[', ';'])
                .trim_start_matches(|c: char| c.is_ascii_digit() || c == ';')
                .starts_with('m')
        })
    };
    assert!(
        coloured(&on_terminal("TERM=xterm", "--help")),
        "the comparison sees colours"
    );
    for arguments in [
        "--help",
        "train --dataset digits --model softmax --epochs 2 --out plain",
        "train --dataset nothing",
    ] {
        let text = on_terminal("TERM=xterm NO_COLOR=1", arguments);
        assert!(!coloured(&text), "{arguments}: {text:?}");
    }
}

#[cfg(unix)]
#[test]
fn a_closed_pipe_is_no_failure() {
    let folder = folder();
    let dir = folder.path();
    ok(
        dir,
        &[
            "train",
            "--quiet",
            "--dataset",
            "digits",
            "--model",
            "softmax",
            "--steps",
            "1",
            "--out",
            "run",
        ],
    );
    for arguments in [
        "--help",
        "train --help",
        "--version",
        "models",
        "models --json",
        "optimizers lamb",
        "schedules",
        "data list",
        "data path digits",
        "devices",
        "devices --json",
        "completions bash",
        "man",
        "evaluate run",
        "evaluate run --json",
        "train --resume run",
        "train --resume run --json",
    ] {
        // The reader is gone before the program starts.
        let closed = ended(shell(
            dir,
            &format!("{{ sleep 0.05; $LARGEBATCH {arguments}; echo $? >&2; }} | true"),
        ));
        assert_eq!(closed.stderr, "0\n", "{arguments}");
    }
    // A log that nobody reads, and results that are written nevertheless.
    let deaf = ended(shell(
        dir,
        "{ $LARGEBATCH train --dataset digits --model softmax --epochs 2 --out deaf 2>&1; echo $? > code; } | true",
    ));
    assert_eq!(
        (
            deaf.code,
            fs::read_to_string(dir.join("code")).ok().as_deref()
        ),
        (Some(0), Some("0\n"))
    );
    assert!(dir.join("deaf/model.safetensors").exists());
}

#[test]
fn runs_get_folders_of_their_own() {
    let folder = folder();
    let dir = folder.path();
    let out = || {
        json(
            dir,
            &[
                "train",
                "--dataset",
                "digits",
                "--model",
                "softmax",
                "--steps",
                "1",
            ],
        )["out"]
            .clone()
    };
    assert_eq!(
        [out(), out(), out()],
        [
            "runs/digits-softmax-sgd",
            "runs/digits-softmax-sgd-2",
            "runs/digits-softmax-sgd-3"
        ]
    );
}
