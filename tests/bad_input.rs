//! Bad input: one row per case, with its exit code and the words that its message needs: value,
//! place, remedy.

use std::fs;
use std::path::Path;

use largebatch_tests::{Ended, command, ended, folder, gzip, idx, images, ok, shell, tree, write};

/// A case: its name, files to write, arguments after `train`, exit code, words of the message.
type Row = (
    &'static str,
    fn(&Path),
    &'static [&'static str],
    i32,
    &'static [&'static str],
);

const DIGITS: &[&str] = &[
    "--dataset",
    "digits",
    "--model",
    "mlp",
    "--set",
    "model.widths=[16]",
    "--steps",
    "2",
];
const IDX: &[&str] = &[
    "--set",
    r#"dataset={name="own",format="idx",train_images="train-images",train_labels="train-labels"}"#,
    "--model",
    "softmax",
    "--steps",
    "2",
];
const CSV: &[&str] = &[
    "--set",
    r#"dataset={name="own",format="csv",train="train.csv",label="y"}"#,
    "--model",
    "softmax",
    "--steps",
    "2",
    "--batch-size",
    "2",
];

fn none(_: &Path) {}

fn pair(dir: &Path) {
    images(dir, "train", (60, 8, 4), 1);
}

/// Twelve valid lines, with `line` in place of the thirteenth.
fn csv(dir: &Path, line: &str) {
    let lines: String = (0..12)
        .map(|i| format!("{i},{},{}\n", i * i, i % 2))
        .collect();
    write(dir, "train.csv", format!("a,b,y\n{lines}{line}\n"));
}

fn config(dir: &Path, text: &str) {
    write(
        dir,
        "config.toml",
        format!("dataset = \"digits\"\nmodel = \"softmax\"\n{text}\n"),
    );
}

/// The user's own files.
const FILES: &[Row] = &[
    (
        "truncated gzip",
        |dir| {
            pair(dir);
            let whole = gzip(&fs::read(dir.join("train-images")).expect("images"));
            write(dir, "train-images", &whole[..whole.len() / 2]);
        },
        IDX,
        1,
        &["train-images", "gzip", "again"],
    ),
    (
        "wrong magic number",
        |dir| {
            pair(dir);
            write(
                dir,
                "train-images",
                b"PNG, or something else that is no IDX file",
            );
        },
        IDX,
        1,
        &["train-images", "magic", "expected"],
    ),
    (
        "images shorter than their header says",
        |dir| {
            pair(dir);
            write(dir, "train-images", idx(&[60, 8, 8], &[0; 59 * 64]));
        },
        IDX,
        1,
        &["train-images", "expected"],
    ),
    (
        "counts of images and labels that differ",
        |dir| {
            pair(dir);
            write(dir, "train-labels", idx(&[59], &[0; 59]));
        },
        IDX,
        1,
        &["60", "59", "train-images", "train-labels"],
    ),
    (
        "label out of range",
        pair,
        &[
            "--set",
            r#"dataset={name="own",format="idx",train_images="train-images",train_labels="train-labels",classes=3}"#,
            "--model",
            "softmax",
            "--steps",
            "2",
        ],
        1,
        &["train-labels", "example 3", "is 3"],
    ),
    (
        "empty file of images",
        |dir| {
            pair(dir);
            write(dir, "train-images", "");
        },
        IDX,
        1,
        &["train-images", "empty"],
    ),
    (
        "empty CSV",
        |dir| write(dir, "train.csv", ""),
        CSV,
        1,
        &["train.csv", "empty"],
    ),
    (
        "CSV with a hole",
        |dir| csv(dir, "12,,1"),
        CSV,
        1,
        &["train.csv", "line 14", "b"],
    ),
    (
        "CSV with a short line",
        |dir| csv(dir, "12,1"),
        CSV,
        1,
        &["train.csv", "line 14"],
    ),
    (
        "CSV with a word for a number",
        |dir| csv(dir, "12,many,1"),
        CSV,
        1,
        &["train.csv", "line 14", "many"],
    ),
    (
        "NaN feature",
        |dir| csv(dir, "12,nan,1"),
        CSV,
        1,
        &["train.csv", "line 14", "nan"],
    ),
    (
        "infinite feature",
        |dir| csv(dir, "12,inf,1"),
        CSV,
        1,
        &["train.csv", "line 14", "inf"],
    ),
    (
        "CSV without the label's column",
        |dir| csv(dir, "12,1,1"),
        &[
            "--set",
            r#"dataset={name="own",format="csv",train="train.csv",label="z"}"#,
            "--model",
            "softmax",
        ],
        2,
        &["train.csv", "z"],
    ),
    ("file that is not there", none, CSV, 1, &["train.csv"]),
    (
        "files of a known set that are not here",
        none,
        &[
            "--dataset",
            "mnist",
            "--model",
            "softmax",
            "--data-dir",
            ".",
        ],
        1,
        &[
            "mnist",
            "train-images-idx3-ubyte",
            "largebatch data fetch mnist",
        ],
    ),
];

/// Values out of range, and contradictions.
const VALUES: &[Row] = &[
    (
        "batch size 0",
        none,
        &["--batch-size", "0"],
        2,
        &["batch_size", "0", "at least 1"],
    ),
    (
        "batch size below 0",
        none,
        &["--batch-size", "-3"],
        2,
        &["batch_size", "-3"],
    ),
    (
        "an exclusion that hits nothing",
        none,
        &[
            "--optimizer",
            "lars",
            "--set",
            "optimizer.exclude_from_weight_decay=vectros",
        ],
        2,
        &["vectros", "`vectors`", "matches no parameter"],
    ),
    (
        "a folder for a configuration",
        |dir| std::fs::create_dir(dir.join("a-run")).unwrap(),
        &["a-run"],
        1,
        &["a-run", "--resume a-run"],
    ),
    (
        "batch size 0 of a file",
        |dir| config(dir, "batch_size = 0"),
        &["config.toml"],
        2,
        &["batch_size", "0", "at least 1"],
    ),
    (
        "batch size larger than the set",
        none,
        &["--batch-size", "5000"],
        2,
        &["batch_size", "5000", "1150", "full"],
    ),
    ("lr below 0", none, &["--lr", "-0.1"], 2, &["lr", "-0.1"]),
    (
        "lr that is NaN",
        none,
        &["--lr", "nan"],
        2,
        &["lr", "NaN", "finite"],
    ),
    (
        "lr that is infinite",
        none,
        &["--lr", "inf"],
        2,
        &["lr", "inf", "finite"],
    ),
    (
        "lr that is a word",
        none,
        &["--lr", "fast"],
        2,
        &["--lr", "fast"],
    ),
    (
        "lr that is a word, by --set",
        none,
        &["--set", "lr=fast"],
        2,
        &["lr", "fast"],
    ),
    (
        "lr of a file that is a word",
        |dir| config(dir, "lr = \"fast\""),
        &["config.toml"],
        2,
        &["config.toml", "line 3", "lr"],
    ),
    (
        "--epochs with --steps",
        none,
        &["--epochs", "1"],
        2,
        &["--epochs", "--steps"],
    ),
    (
        "epochs with steps in a file",
        |dir| config(dir, "epochs = 1\nsteps = 1"),
        &["config.toml"],
        2,
        &["epochs", "steps"],
    ),
    (
        "no steps",
        none,
        &["--steps", "0"],
        2,
        &["steps", "0", "at least 1"],
    ),
    (
        "more workers than examples",
        none,
        &["--workers", "65"],
        2,
        &["workers", "65", "64"],
    ),
    (
        "label smoothing 1",
        none,
        &["--set", "label_smoothing=1.0"],
        2,
        &["label_smoothing", "1", "0 ≤ x < 1"],
    ),
    (
        "clip norm 0",
        none,
        &["--set", "clip_norm=0.0"],
        2,
        &["clip_norm", "0", "above 0"],
    ),
    (
        "validation larger than the set",
        none,
        &["--set", "data.validation=100000"],
        2,
        &["validation", "100000"],
    ),
    (
        "momentum beyond 1",
        none,
        &["--optimizer", "momentum", "--set", "optimizer.momentum=1.5"],
        2,
        &["momentum", "1.5"],
    ),
    (
        "dropout of everything",
        none,
        &["--set", "model.dropout=1.0"],
        2,
        &["dropout", "1"],
    ),
    (
        "warm-up longer than the training",
        none,
        &["--set", "schedule.warmup={steps=50}"],
        2,
        &["warmup", "50"],
    ),
    (
        "batch norm with single examples",
        none,
        &["--set", "model.batch_norm=true", "--batch-size", "1"],
        2,
        &["batch", "norm", "1"],
    ),
    (
        "ghost batches of single examples",
        none,
        &["--set", "model.batch_norm=true", "--set", "ghost_batch=1"],
        2,
        &["ghost_batch", "1", "at least 2"],
    ),
    (
        "augmentation of a table",
        none,
        &[
            "--dataset",
            "breast-cancer",
            "--set",
            "data.preprocess.flip=true",
        ],
        2,
        &["flip", "images"],
    ),
    (
        "a class model on real targets",
        none,
        &["--dataset", "diabetes"],
        2,
        &["mlp", "linear"],
    ),
    (
        "a model for two classes on ten",
        none,
        &["--model", "logistic"],
        2,
        &["logistic"],
    ),
    (
        "perceptron from zero",
        none,
        &[
            "--dataset",
            "breast-cancer",
            "--model",
            "perceptron",
            "--set",
            "model.init=zero",
        ],
        2,
        &["perceptron", "update_on_tie"],
    ),
    (
        "cross-validation of one fold",
        none,
        &["--cross-validate", "1x1"],
        2,
        &["1x1", "5x10"],
    ),
    (
        "trace of nothing",
        none,
        &["--trace", "weights"],
        2,
        &["weights", "layers"],
    ),
];

/// Unknown names and keys; the nearest known one is suggested.
const NAMES: &[Row] = &[
    (
        "unknown optimizer",
        none,
        &["--optimizer", "adm"],
        2,
        &["`adm`", "did you mean `adam`"],
    ),
    (
        "unknown model",
        none,
        &["--model", "mpl"],
        2,
        &["mpl", "did you mean `mlp`"],
    ),
    (
        "unknown data set",
        none,
        &["--dataset", "digit"],
        2,
        &["digit", "did you mean `digits`"],
    ),
    (
        "unknown schedule",
        none,
        &["--schedule", "cosin"],
        2,
        &["cosin", "did you mean", "cosine"],
    ),
    (
        "unknown batch schedule",
        none,
        &["--set", "batch_schedule=multistep"],
        2,
        &["multistep", "multi-step"],
    ),
    (
        "unknown scaling",
        none,
        &["--scaling", "linaer"],
        2,
        &["linaer", "did you mean `linear`"],
    ),
    (
        "unknown device",
        none,
        &["--device", "flx"],
        2,
        &["flx", "did you mean `flex`"],
    ),
    (
        "unknown preset",
        none,
        &["--optimizer", "lamb", "--preset", "papr"],
        2,
        &["papr", "did you mean `paper`"],
    ),
    (
        "unknown key",
        none,
        &["--set", "batchsize=3"],
        2,
        &["batchsize", "did you mean `batch_size`"],
    ),
    (
        "unknown key of a part",
        none,
        &["--set", "data.validaton=3"],
        2,
        &["validaton", "did you mean `validation`"],
    ),
    (
        "unknown key of a file",
        |dir| config(dir, "sede = 3"),
        &["config.toml"],
        2,
        &["config.toml", "line 3", "sede", "did you mean `seed`"],
    ),
    (
        "unknown option of the optimizer",
        none,
        &["--optimizer", "momentum", "--set", "optimizer.momentm=0.9"],
        2,
        &["momentm", "did you mean `momentum`"],
    ),
    (
        "unknown option of the model",
        none,
        &["--set", "model.widht=3"],
        2,
        &["widht", "widths"],
    ),
    (
        "unknown option of the schedule",
        none,
        &["--set", "schedule.warmp=3"],
        2,
        &["warmp", "did you mean `warmup`"],
    ),
    (
        "option of another schedule",
        none,
        &["--schedule", "cosine", "--set", "schedule.power=2"],
        2,
        &["power", "cosine"],
    ),
    (
        "unknown flag",
        none,
        &["--batchsize", "3"],
        2,
        &["--batchsize", "--batch-size"],
    ),
    (
        "--set without a value",
        none,
        &["--set", "lr"],
        2,
        &["lr", "key=value"],
    ),
    (
        "--set without a key",
        none,
        &["--set", "=3"],
        2,
        &["=3", "key=value"],
    ),
    (
        "--set into a number",
        none,
        &["--set", "lr=0.1", "--set", "lr.base=3"],
        2,
        &["lr.base"],
    ),
    (
        "text that is no TOML",
        |dir| config(dir, "lr = = 3"),
        &["config.toml"],
        2,
        &["config.toml", "line 3"],
    ),
];

/// Checks that standard error is one paragraph that begins with `error: ` (perhaps with a hint and
/// the usage), and that standard output is empty.
fn check(name: &str, ended: &Ended, code: i32, words: &[&str]) {
    let said = &ended.stderr;
    assert_eq!(ended.code, Some(code), "{name}: {said}{}", ended.stdout);
    let message = ["\n\nUsage:", "\n\nFor more", "\n\n  tip:"]
        .iter()
        .fold(said.as_str(), |text, end| {
            text.split(end).next().unwrap_or_default()
        })
        .trim_end();
    assert!(
        message.starts_with("error: ") && !message.contains("\n\n"),
        "{name}: not one paragraph:\n{said}"
    );
    assert!(ended.stdout.is_empty(), "{name} printed:\n{}", ended.stdout);
    for word in words {
        assert!(
            said.contains(word),
            "{name}: the message lacks {word:?}:\n{said}"
        );
    }
    // Repeating the same cause is noise.
    let sentences: Vec<&str> = message.split(": ").filter(|part| part.len() > 25).collect();
    assert!(
        sentences.iter().all(|s| message.matches(s).count() == 1),
        "{name}: repeats itself:\n{said}"
    );
}

fn refused(rows: &[Row], common: &[&str]) {
    for (name, prepare, arguments, code, words) in rows {
        let folder = folder();
        let dir = folder.path();
        prepare(dir);
        // A flag of the row replaces the common one (another model also drops the options), and a
        // file replaces all of them.
        let replaced = |flag: &str, value: &str| {
            arguments.contains(&flag) && flag != "--set"
                || arguments.contains(&"--model") && value.starts_with("model.")
                || arguments[0] == "config.toml"
        };
        let common: Vec<&str> = common
            .chunks(2)
            .filter(|pair| !replaced(pair[0], pair[1]))
            .flatten()
            .copied()
            .collect();
        let out: &[&str] = if arguments.contains(&"--cross-validate") {
            &[]
        } else {
            &["--out", "out"]
        };
        let ended = ended(command(
            dir,
            &[&["train"], common.as_slice(), arguments, out].concat(),
        ));
        check(name, &ended, *code, words);
        assert!(
            !dir.join("out").exists() && !dir.join("runs").exists(),
            "{name}: left an output folder"
        );
    }
}

#[test]
fn files_that_are_broken() {
    refused(FILES, &[]);
}

#[test]
fn values_out_of_range() {
    refused(VALUES, DIGITS);
}

#[test]
fn names_that_are_not_known() {
    refused(NAMES, DIGITS);
}

#[test]
fn the_good_rows_are_good() {
    // The rows above differ from these in one thing each, so that thing is the reason for the
    // refusal.
    let folder = folder();
    let dir = folder.path();
    pair(dir);
    csv(dir, "12,144,1");
    config(dir, "steps = 1");
    for (out, arguments) in [
        ("digits", DIGITS),
        ("idx", IDX),
        ("csv", CSV),
        ("config", &["config.toml"]),
    ] {
        ok(dir, &[&["train", "--out", out], arguments].concat());
    }
}

#[test]
fn weights_of_another_model() {
    let folder = folder();
    let dir = folder.path();
    ok(
        dir,
        &[
            &[
                "train",
                "--out",
                "mlp",
                "--set",
                "checkpoint.every_steps=1",
                "--quiet",
            ],
            DIGITS,
        ]
        .concat(),
    );
    ok(
        dir,
        &[
            "train",
            "--dataset",
            "digits",
            "--model",
            "softmax",
            "--steps",
            "2",
            "--out",
            "softmax",
            "--set",
            "checkpoint.every_steps=1",
            "--quiet",
        ],
    );
    ok(
        dir,
        &[
            &[
                "train",
                "--out",
                "wide",
                "--set",
                "model.widths=[17]",
                "--quiet",
            ],
            &DIGITS[..4],
            &DIGITS[6..],
        ]
        .concat(),
    );
    let evaluate = |weights: &str| ended(command(dir, &["evaluate", "mlp", "--weights", weights]));
    check(
        "other names",
        &evaluate("softmax/model.safetensors"),
        1,
        &[
            "softmax/model.safetensors",
            "missing",
            "hidden.0.linear.weight",
            "unknown",
        ],
    );
    check(
        "other shapes",
        &evaluate("wide/model.safetensors"),
        1,
        &["wide/model.safetensors", "hidden.0.linear", "16", "17"],
    );
    let whole = fs::read(dir.join("mlp/model.safetensors")).expect("weights");
    write(dir, "half.safetensors", &whole[..whole.len() / 2]);
    check(
        "half a file",
        &evaluate("half.safetensors"),
        1,
        &["half.safetensors", "safetensors"],
    );
    write(dir, "text.safetensors", "not weights");
    check(
        "no weights",
        &evaluate("text.safetensors"),
        1,
        &["text.safetensors", "safetensors"],
    );
    check(
        "no file",
        &evaluate("none.safetensors"),
        1,
        &["none.safetensors"],
    );

    // A checkpoint of another model, or a damaged one, in the folder of a run to be resumed.
    let resume = || {
        let _ = fs::remove_file(dir.join("mlp/result.json"));
        ended(command(dir, &["train", "--resume", "mlp"]))
    };
    let place = "mlp/checkpoints/step-1";
    let names = ["model.safetensors", "optimizer.safetensors", "state.json"];
    let good = names.map(|name| fs::read(dir.join(place).join(name)).expect("a checkpoint"));
    let other = |name: &str| {
        fs::copy(
            dir.join("softmax/checkpoints/step-1").join(name),
            dir.join(place).join(name),
        )
        .expect("a copy")
    };
    assert!(other(names[0]) > 0);
    check(
        "weights of another checkpoint",
        &resume(),
        1,
        &["mlp/checkpoints", names[0], "has changed", "the one before"],
    );
    names.iter().for_each(|name| assert!(other(name) > 0));
    check(
        "checkpoint of another model",
        &resume(),
        1,
        &["mlp/checkpoints", "hidden.0.linear.weight"],
    );
    names
        .iter()
        .zip(&good)
        .for_each(|(name, good)| write(&dir.join(place), name, good));
    for (name, good) in names.iter().zip(&good) {
        write(&dir.join(place), name, &good[..good.len() / 2]);
        check(
            &format!("half of {name}"),
            &resume(),
            1,
            &["mlp/checkpoints"],
        );
        write(&dir.join(place), name, good);
    }
}

#[test]
fn folders_that_are_no_runs() {
    let folder = folder();
    let dir = folder.path();
    fs::create_dir(dir.join("empty")).expect("a folder");
    fs::create_dir(dir.join("full")).expect("a folder");
    write(dir, "full/thesis.txt", "years of work");
    write(dir, "file", "a file");
    let train = |arguments: &[&str]| ended(command(dir, &[&["train"], arguments].concat()));
    for name in ["empty", "full", "absent"] {
        let why = if name == "absent" {
            "does not exist"
        } else {
            "run.toml"
        };
        check(
            "resume of no run",
            &train(&["--resume", name]),
            1,
            &[name, why],
        );
        check(
            "evaluation of no run",
            &ended(command(dir, &["evaluate", name])),
            1,
            &[name, why],
        );
    }
    check(
        "resume of nothing",
        &train(&["--resume"]),
        2,
        &["resume", "--resume runs/"],
    );
    check(
        "resume of two",
        &train(&["--resume", "empty", "--out", "full"]),
        2,
        &["empty", "full"],
    );
    let into = |out: &str| train(&[DIGITS, &["--out", out]].concat());
    check(
        "out under a file",
        &into("file/run"),
        1,
        &["file/run", "folder"],
    );
    check("out that is a file", &into("file"), 1, &["file"]);
    check(
        "out that holds other things",
        &into("full"),
        1,
        &["full", "not empty", "--out"],
    );
    assert_eq!(
        tree(&dir.join("full")).len(),
        1,
        "nothing was added to the folder"
    );
    ok(
        dir,
        &[&["train", "--quiet", "--out", "run"], DIGITS].concat(),
    );
    let before = tree(&dir.join("run"));
    check(
        "out that holds a run",
        &into("run"),
        1,
        &["run", "--resume", "--out"],
    );
    assert!(tree(&dir.join("run")) == before, "the run is as it was");
    let text = fs::read_to_string(dir.join("run/run.toml")).expect("run.toml");
    write(
        dir,
        "run/run.toml",
        text.replacen("schema = 1", "schema = 99", 1),
    );
    check(
        "a run of a later version",
        &train(&["--resume", "run"]),
        1,
        &["run.toml", "99"],
    );
    write(dir, "run/run.toml", "schema = 1\n");
    check(
        "half a run.toml",
        &train(&["--resume", "run"]),
        1,
        &["run.toml"],
    );
}

/// A file-size limit simulates a full disk: writing beyond it fails.
#[cfg(unix)]
#[test]
fn a_full_disk() {
    let folder = folder();
    let dir = folder.path();
    let limited = |blocks: u32, out: &str, more: &str| {
        let script = format!(
            "ulimit -f {blocks}; exec \"$LARGEBATCH\" train --quiet --dataset digits --model mlp --steps 40 --out {out} {more}"
        );
        ended(shell(dir, &script))
    };
    check(
        "no room for the first file",
        &limited(0, "first", ""),
        1,
        &["first/run.toml", "write"],
    );
    assert!(!dir.join("first").exists(), "an empty folder was left");

    check(
        "no room for the weights",
        &limited(100, "last", ""),
        1,
        &["last/model.safetensors", "write"],
    );
    let left: Vec<_> = tree(&dir.join("last")).into_keys().collect();
    assert_eq!(
        left,
        ["events.jsonl", "run.toml"].map(Path::new),
        "only whole files are left"
    );

    check(
        "no room for a checkpoint",
        &limited(100, "middle", "--set checkpoint.every_steps=7"),
        1,
        &["middle/checkpoints/step-7", "checkpoint"],
    );
    let left: Vec<_> = tree(&dir.join("middle")).into_keys().collect();
    assert_eq!(
        left,
        ["events.jsonl", "run.toml"].map(Path::new),
        "only whole files are left"
    );
    assert!(!dir.join("middle/checkpoints/.step-7.partial").exists());

    // With space again, the runs finish as if nothing had happened.
    ok(
        dir,
        &[
            "train",
            "--quiet",
            "--dataset",
            "digits",
            "--model",
            "mlp",
            "--steps",
            "40",
            "--out",
            "whole",
        ],
    );
    for run in ["last", "middle"] {
        ok(dir, &["train", "--quiet", "--resume", run]);
        for file in ["model.safetensors", "events.jsonl"] {
            assert!(
                fs::read(dir.join(run).join(file)).ok()
                    == fs::read(dir.join("whole").join(file)).ok(),
                "{run}/{file}"
            );
        }
    }
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_standard_output() {
    let folder = folder();
    let dir = folder.path();
    ok(
        dir,
        &[&["train", "--quiet", "--out", "run"], DIGITS].concat(),
    );
    for arguments in [
        "train --resume run",
        "train --resume run --json",
        "evaluate run",
        "evaluate run --json",
        "devices",
        "devices --json",
        "models",
        "models mlp",
        "optimizers",
        "schedules cosine --json",
        "data list",
        "data list --json",
        "data path digits",
        "completions bash",
        "man",
        "train --quiet --json --dataset digits --model softmax --steps 1 --out new",
    ] {
        let full = ended(shell(
            dir,
            &format!("exec \"$LARGEBATCH\" {arguments} > /dev/full"),
        ));
        check(arguments, &full, 1, &["standard output", "No space left"]);
    }
    let deaf = ended(shell(
        dir,
        "exec \"$LARGEBATCH\" train --dataset digits --model softmax --steps 1 --out deaf 2> /dev/full",
    ));
    assert_eq!(
        deaf.code,
        Some(0),
        "a log that cannot be written costs no training: {deaf:?}"
    );
}
