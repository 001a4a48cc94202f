//! A killed run resumes and ends with the same bits as an undisturbed run.
#![cfg(unix)]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant, SystemTime};

use largebatch_random::{Key, unit};
use largebatch_tests::{Ended, bytes, command, ended, folder, json, ok, shell, start, tree, write};

/// Everything random and everything that grows: dropout, batch norm, augmentation, LAMB's moments, a growing batch, a trace.
const MLP: &str = r#"
dataset = "digits"
model = { name = "mlp", widths = [48, 32], dropout = 0.2, batch_norm = true }
optimizer = "lamb"
epochs = 60
schedule = { name = "cosine", warmup = { epochs = 2 } }
batch_schedule = { name = "multi-step", factor = 2, at = { fraction = [0.5] } }
label_smoothing = 0.1
clip_norm = 1.0
seed = 5
checkpoint = { every_steps = 60 }
[data.preprocess]
normalise = "channel"
translate = 1
[log]
every_steps = 7
layers_every_steps = 40
"#;

/// Convolutions, momentum, crops and mirror images, replicas, a dropped last batch, and evaluations
/// that do not coincide with epochs.
const CNN: &str = r#"
dataset = "digits"
model = { name = "simple-cnn", filters = [4, 8], width = 32, dropout = 0.4 }
optimizer = { name = "momentum", momentum = 0.9 }
lr = 0.05
batch_size = 48
epochs = 16
workers = 2
seed = 6
checkpoint = { every_steps = 20 }
[data]
drop_last = true
preprocess = { normalise = "unit", crop_pad = 1, flip = true }
[log]
evaluate_every_steps = 13
"#;

/// Draws with replacement, accumulation with ghost batch norm, Adam.
const REPLACEMENT: &str = r#"
dataset = "digits"
model = { name = "mlp", widths = [40], dropout = 0.1, batch_norm = true }
optimizer = "adam"
batch_size = 60
steps = 1500
accumulate = 3
ghost_batch = 10
clip_value = 0.5
seed = 7
checkpoint = { every_steps = 35, keep = 1 }
[data]
sampling = "replacement"
"#;

/// The output of a run that does not depend on time: all files but `result.json` and `state.json`,
/// and of those everything but the seconds.
fn deterministic(run: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut files = tree(run);
    for (path, content) in &mut files {
        let timed = |name: &str| path.file_name().is_some_and(|n| n == name);
        if timed("result.json") || timed("state.json") {
            let mut value: serde_json::Value = serde_json::from_slice(content).expect("JSON");
            let object = value.as_object_mut().expect("an object");
            ["seconds", "examples_per_second", "out", "digest"]
                .iter()
                .for_each(|key| drop(object.remove(*key)));
            *content = value.to_string().into_bytes();
        }
    }
    files
}

fn same(disturbed: &Path, undisturbed: &Path) {
    let (a, b) = (deterministic(disturbed), deterministic(undisturbed));
    assert_eq!(
        a.keys().collect::<Vec<_>>(),
        b.keys().collect::<Vec<_>>(),
        "the same files"
    );
    for (path, content) in &a {
        assert!(
            content == &b[path],
            "{} differs from the undisturbed run's",
            path.display()
        );
    }
    for name in [
        "model.safetensors",
        "events.jsonl",
        "result.json",
        "run.toml",
    ] {
        assert!(a.contains_key(Path::new(name)), "{name} was compared");
    }
}

/// The step of the newest checkpoint, 0 without one.
fn checkpoint(run: &Path) -> u64 {
    let Ok(entries) = fs::read_dir(run.join("checkpoints")) else {
        return 0;
    };
    let step = |name: String| name.strip_prefix("step-").and_then(|n| n.parse().ok());
    entries
        .filter_map(|entry| step(entry.ok()?.file_name().into_string().ok()?))
        .max()
        .unwrap_or(0)
}

fn signal(child: &Child, name: &str) {
    let sent = Command::new("sh")
        .args(["-c", &format!("kill -{name} {}", child.id())])
        .status()
        .expect("a shell");
    assert!(sent.success(), "the signal was sent");
}

fn wait_for(what: &str, condition: impl Fn() -> bool) {
    let begun = Instant::now();
    while !condition() {
        assert!(
            begun.elapsed() < Duration::from_secs(60),
            "waited in vain for {what}"
        );
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// Kills a run at random (seeded) moments, resumes it until it ends, and compares all its files
/// with those of the undisturbed run.
fn killed(name: &str, configuration: &str) {
    let folder = folder();
    let dir = folder.path();
    write(dir, "run.toml", configuration);
    let steps = json(dir, &["train", "run.toml", "--out", "whole", "--quiet"])["steps"]
        .as_u64()
        .expect("steps") as f64;

    let mut rng = Key::new(1).word(name).rng();
    let (mut kills, mut goal) = (0, 0.0);
    let out = dir.join("killed");
    while !out.join("result.json").exists() {
        let mut child = start(
            dir,
            &[
                "train", "run.toml", "--resume", "--out", "killed", "--quiet",
            ],
        );
        // The first kill is at the beginning, the others some time after the checkpoint that passes
        // the goal.
        let delay = Duration::from_micros((30_000.0 * unit(&mut rng)) as u64);
        wait_for("the next kill", || {
            checkpoint(&out) as f64 >= goal || out.join("result.json").exists()
        });
        std::thread::sleep(delay);
        if child.try_wait().expect("a child").is_none() {
            child.kill().expect("SIGKILL");
            kills += 1;
        }
        child.wait().expect("a child");
        goal = checkpoint(&out) as f64 + steps * (0.05 + 0.2 * unit(&mut rng));
    }
    ok(dir, &["train", "--resume", "killed", "--quiet"]);
    assert!(
        kills >= 4,
        "the run was killed only {kills} times: make it longer"
    );
    same(&out, &dir.join("whole"));
    assert!(
        tree(&out)
            .keys()
            .any(|path| path.ends_with("optimizer.safetensors")),
        "the optimizer's state was compared"
    );
}

#[test]
fn a_killed_mlp_goes_on_to_the_same_bits() {
    killed("mlp", MLP);
}

#[test]
fn a_killed_cnn_goes_on_to_the_same_bits() {
    killed("cnn", CNN);
}

#[test]
fn a_killed_run_with_replacement_and_accumulation_goes_on_to_the_same_bits() {
    killed("replacement", REPLACEMENT);
}

#[test]
fn a_signal_writes_a_checkpoint_and_says_how_to_go_on() {
    for (name, mark) in [("INT", "int"), ("TERM", "term"), ("USR1", "usr1")] {
        let folder = folder();
        let dir = folder.path();
        write(
            dir,
            "run.toml",
            REPLACEMENT.replace("every_steps = 35, keep = 1", "every_steps = 100000"),
        );
        let child = start(dir, &["train", "run.toml", "--out", mark]);
        let run = dir.join(mark);
        // The first lines are flushed at the first evaluation, so training has begun.
        wait_for("the first event", || {
            fs::metadata(run.join("events.jsonl")).is_ok_and(|m| m.len() > 0)
        });
        signal(&child, name);
        let Ended {
            code,
            stdout,
            stderr,
        } = child.wait_with_output().expect("a child").into();
        assert_eq!(code, Some(130), "{stdout}{stderr}");
        assert!(
            stderr.contains(&format!("largebatch train --resume {mark}")),
            "{stderr}"
        );
        assert!(
            checkpoint(&run) > 0
                && !run.join("result.json").exists()
                && !run.join("model.safetensors").exists()
        );
        ok(dir, &["train", "--resume", mark, "--quiet"]);
        ok(dir, &["train", "run.toml", "--out", "whole", "--quiet"]);
        for file in ["model.safetensors", "events.jsonl"] {
            assert!(
                bytes(run.join(file)) == bytes(dir.join("whole").join(file)),
                "{file}"
            );
        }
    }
}

/// As under `nohup`.
#[test]
fn an_ignored_hangup_stays_ignored() {
    let folder = folder();
    let dir = folder.path();
    write(dir, "run.toml", REPLACEMENT);
    let child = shell(
        dir,
        "trap '' HUP; exec \"$LARGEBATCH\" train run.toml --out run",
    )
    .stderr(Stdio::piped())
    .spawn()
    .expect("a child");
    wait_for("the first event", || {
        fs::metadata(dir.join("run/events.jsonl")).is_ok_and(|m| m.len() > 0)
    });
    signal(&child, "HUP");
    let ended: Ended = child.wait_with_output().expect("a child").into();
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    assert!(dir.join("run/result.json").exists());
}

/// Of trainings started together, those that name no folder take one each, and of two that name the
/// same folder one is refused.
#[test]
fn trainings_that_start_together_never_share_a_folder() {
    let folder = folder();
    let dir = folder.path();
    let common = [
        "train",
        "--quiet",
        "--dataset",
        "digits",
        "--model",
        "softmax",
        "--epochs",
        "1",
    ];
    let pair = |more: &[&str]| -> Vec<Ended> {
        let both =
            ["1", "2"].map(|seed| start(dir, &[&common[..], &["--seed", seed], more].concat()));
        both.into_iter()
            .map(|child| child.wait_with_output().expect("a child").into())
            .collect()
    };
    for round in 1..=10 {
        let ends = pair(&[]);
        assert!(ends.iter().all(|end| end.code == Some(0)), "{ends:?}");
        let out = format!("same-{round}");
        let codes: Vec<Option<i32>> = pair(&["--out", &out]).iter().map(|end| end.code).collect();
        assert!(
            codes.contains(&Some(0)) && codes.contains(&Some(1)),
            "{codes:?}"
        );
    }
    let runs: Vec<PathBuf> = fs::read_dir(dir.join("runs"))
        .expect("runs")
        .map(|e| e.expect("an entry").path())
        .collect();
    assert_eq!(runs.len(), 20);
    for run in runs {
        let text = |name: &str| String::from_utf8(bytes(run.join(name))).expect("UTF-8");
        let result: serde_json::Value = serde_json::from_str(&text("result.json")).expect("JSON");
        assert!(
            text("run.toml").contains(&format!("seed = {}\n", result["seed"])),
            "{}",
            run.display()
        );
    }
}

/// A second --resume of a running run would write its lines twice.
#[test]
fn a_run_that_is_being_written_is_refused() {
    let folder = folder();
    let dir = folder.path();
    write(
        dir,
        "run.toml",
        REPLACEMENT.replace("steps = 1500", "steps = 100000"),
    );
    let mut child = start(dir, &["train", "run.toml", "--out", "run", "--quiet"]);
    wait_for("the first event", || {
        fs::metadata(dir.join("run/events.jsonl")).is_ok_and(|m| m.len() > 0)
    });
    let second = ended(command(dir, &["train", "--resume", "run"]));
    assert!(
        second.code == Some(1) && second.stderr.contains("is being written by process"),
        "{}",
        second.stderr
    );
    child.kill().expect("killed");
    child.wait().expect("ended");
}

/// Quick steps do not read the clock each time, and yet a checkpoint is never far away.
#[test]
fn checkpoints_come_by_the_clock() {
    let dir = folder();
    let line = "train --dataset breast-cancer --model logistic --batch-size 1 --steps 3000 --quiet \
                --out run --set checkpoint.every_minutes=0.000001";
    ok(dir.path(), &line.split_whitespace().collect::<Vec<_>>());
    let newest = checkpoint(&dir.path().join("run"));
    assert!((2000..3000).contains(&newest), "{newest}");
}

#[test]
fn before_the_first_checkpoint_a_run_starts_anew() {
    let folder = folder();
    let dir = folder.path();
    write(
        dir,
        "run.toml",
        REPLACEMENT.replace("every_steps = 35, keep = 1", "every_steps = 100000"),
    );
    let mut child = start(dir, &["train", "run.toml", "--out", "killed"]);
    let run = dir.join("killed");
    wait_for("the first event", || {
        fs::metadata(run.join("events.jsonl")).is_ok_and(|m| m.len() > 0)
    });
    child.kill().expect("SIGKILL");
    child.wait().expect("a child");
    assert_eq!(checkpoint(&run), 0);
    ok(dir, &["train", "--resume", "killed", "--quiet"]);
    ok(dir, &["train", "run.toml", "--out", "whole", "--quiet"]);
    same(&run, &dir.join("whole"));
}

#[test]
fn what_a_killed_program_left_half_written_is_no_checkpoint() {
    let folder = folder();
    let dir = folder.path();
    write(
        dir,
        "run.toml",
        REPLACEMENT.replace("steps = 1500", "steps = 100"),
    );
    ok(dir, &["train", "run.toml", "--out", "whole", "--quiet"]);
    let run = dir.join("torn");
    fs::create_dir_all(run.join("checkpoints/.step-70.partial")).expect("a folder");
    fs::copy(dir.join("whole/run.toml"), run.join("run.toml")).expect("a copy");
    write(
        &run,
        "checkpoints/.step-70.partial/model.safetensors",
        "half",
    );
    write(&run, "model.partial", "half");
    write(&run, "events.jsonl", "{\"schema\":1,\"event\":\"st");
    ok(dir, &["train", "--resume", "torn", "--quiet"]);
    same(&run, &dir.join("whole"));

    // Killed while it deleted the checkpoint before the newest.
    fs::remove_file(run.join("result.json")).expect("the result");
    fs::create_dir(run.join("checkpoints/step-35")).expect("a folder");
    write(&run, "checkpoints/step-35/model.safetensors", "old");
    ok(dir, &["train", "--resume", "torn", "--quiet"]);
    same(&run, &dir.join("whole"));
}

#[test]
fn a_finished_run_stays_as_it_is() {
    let folder = folder();
    let dir = folder.path();
    let first = json(
        dir,
        &[
            "train",
            "--dataset",
            "digits",
            "--model",
            "softmax",
            "--epochs",
            "1",
            "--out",
            "run",
            "--set",
            "checkpoint.every_steps=5",
        ],
    );
    let times = || -> BTreeMap<PathBuf, SystemTime> {
        let modified = |path: &Path| {
            fs::metadata(path)
                .and_then(|m| m.modified())
                .expect("a time")
        };
        let files = tree(&dir.join("run"))
            .into_keys()
            .map(|path| (path.clone(), modified(&dir.join("run").join(&path))));
        files
            .chain([
                ("run".into(), modified(&dir.join("run"))),
                ("checkpoints".into(), modified(&dir.join("run/checkpoints"))),
            ])
            .collect()
    };
    let before = (tree(&dir.join("run")), times());
    for arguments in [
        &["train", "--resume", "run"][..],
        &["train", "--resume", "--out", "run"],
        &["train", "--resume", "run", "--out", "run"],
    ] {
        let again = ok(dir, arguments);
        assert!(again.stdout.contains("already ended"), "{again:?}");
        assert_eq!(json(dir, arguments), first, "the same result once more");
        assert!(
            (tree(&dir.join("run")), times()) == before,
            "{arguments:?} changed the folder"
        );
    }
}

#[test]
fn resume_with_out_begins_a_run_that_is_not_there() {
    let folder = folder();
    let dir = folder.path();
    let arguments = [
        "train",
        "--dataset",
        "digits",
        "--model",
        "softmax",
        "--steps",
        "3",
        "--resume",
        "--out",
        "new",
    ];
    ok(dir, &arguments);
    let again = ok(dir, &arguments);
    assert!(again.stdout.contains("already ended"), "{again:?}");
}

#[test]
fn another_configuration_is_refused_by_its_keys() {
    let folder = folder();
    let dir = folder.path();
    write(dir, "run.toml", MLP.replace("epochs = 60", "epochs = 3"));
    write(
        dir,
        "other.toml",
        MLP.replace("epochs = 60", "epochs = 3")
            .replace("0.2", "0.3")
            .replace("seed = 5", "seed = 6"),
    );
    ok(dir, &["train", "run.toml", "--out", "run", "--quiet"]);
    // An unfinished run, so that only the comparison can refuse it.
    fs::remove_file(dir.join("run/result.json")).expect("the result");
    let before = tree(&dir.join("run"));
    for (arguments, words) in [
        (
            &["other.toml"][..],
            &["seed", "5", "6", "dropout", "0.3"][..],
        ),
        (&["run.toml", "--lr", "0.5"], &["lr", "0.5"]),
        (&["--lr", "0.5"], &["lr", "0.5"]),
        (&["--seed", "9"], &["seed", "9"]),
        (&["--batch-size", "32"], &["batch_size", "32"]),
        (&["--epochs", "7"], &["epochs", "7"]),
        (&["--optimizer", "adam"], &["optimizer", "adam"]),
        (&["--set", "model.dropout=0.5"], &["dropout", "0.5"]),
        (&["--device", "ndarray"], &["device", "ndarray"]),
        (
            &[
                "--dataset",
                "breast-cancer",
                "--set",
                "data.preprocess.normalise=feature",
                "--set",
                "data.preprocess.translate=0",
            ],
            &["dataset", "breast-cancer"],
        ),
    ] {
        let refused = ended(command(
            dir,
            &[&["train", "--resume", "run"], arguments].concat(),
        ));
        if refused.stderr.contains("--features") {
            // A build without ndarray refuses it for that reason.
            continue;
        }
        assert_eq!(refused.code, Some(1), "{arguments:?} {refused:?}");
        assert!(
            words.iter().all(|word| refused.stderr.contains(word)),
            "{arguments:?}: {}",
            refused.stderr
        );
        assert!(
            tree(&dir.join("run")) == before,
            "{arguments:?} changed the folder"
        );
    }
    ok(
        dir,
        &["train", "run.toml", "--resume", "run", "--seed", "5"],
    );
}
