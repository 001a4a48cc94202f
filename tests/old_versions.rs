//! Runs and studies that version 0.2.0 wrote, in `v0.2`, still open, resume and report the same
//! results. `v0.2/make.py` shows how they were made.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use largebatch_tests::{
    Ended, command, copy, csv, distance, ended, folder, json, ok, tree, weights, write,
};
use serde_json::Value;
use tempfile::TempDir;

/// Copies some of the files of version 0.2.0 into a folder to work in.
fn old(names: &[&str]) -> TempDir {
    let to = folder();
    for name in names {
        let from = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("v0.2")
            .join(name);
        if from.is_dir() {
            copy(&from, &to.path().join(name));
        } else {
            fs::copy(&from, to.path().join(name)).expect("copied");
        }
    }
    to
}

fn value(path: PathBuf) -> Value {
    let text = fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    serde_json::from_str(&text).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

/// How far a training of now may be from one of version 0.2.0 on the same processor: since version
/// 0.4 the exponential in losses is another one, so the last digits differ.
const EXPONENTIAL: f64 = 1e-4;

/// Whether this machine has the same vector instructions as the one that made a run or a study.
fn same_instructions(dir: &Path, made: &str) -> bool {
    let vectors = |cpu: &str| cpu.rsplit(", ").next().map(str::to_owned);
    let read = |name: &str| fs::read_to_string(dir.join(made).join(name));
    let text = read("run.toml")
        .or_else(|_| read("trials.jsonl"))
        .expect("a run or a study");
    // `cpu = "AMD EPYC, AVX2"` in the one file, `"cpu":"AMD EPYC, AVX2"` in the other.
    let then = text.split_once("cpu").and_then(|(_, rest)| {
        rest.trim_start_matches(['"', ' ', '=', ':'])
            .split('"')
            .next()
    });
    then.and_then(vectors) == largebatch::train::processor().as_deref().and_then(vectors)
}

/// Compares all numbers of two values, which must have the same structure, within a relative
/// tolerance.
fn close(a: &Value, b: &Value, tolerance: f64) {
    match (a, b) {
        (Value::Number(x), Value::Number(y)) => {
            let (x, y) = (x.as_f64().expect("a number"), y.as_f64().expect("a number"));
            assert!((x - y).abs() <= tolerance * y.abs(), "{x} for {y}");
        }
        (Value::Array(x), Value::Array(y)) => {
            assert_eq!(x.len(), y.len());
            x.iter().zip(y).for_each(|(x, y)| close(x, y, tolerance));
        }
        // A later version may have more keys.
        (Value::Object(x), Value::Object(y)) => y
            .iter()
            .for_each(|(key, y)| close(x.get(key).unwrap_or(&Value::Null), y, tolerance)),
        _ => assert_eq!(a, b),
    }
}

/// Since version 0.3 the columns of tables are scaled in 64 bits, so the last digits of an f32 may
/// differ.
const TABLE: f64 = 1e-5;

#[test]
fn a_finished_run_has_the_figures_of_its_time() {
    let dir = old(&["digits", "diabetes", "own", "old.csv"]);
    let dir = dir.path();
    for run in ["digits", "diabetes", "own"] {
        let result = value(dir.join(run).join("result.json"));
        for part in ["validation", "test"] {
            let now = json(dir, &["evaluate", run, "--part", part]);
            close(&now, &result[part], TABLE);
            assert!(
                now["n"].as_u64().is_some_and(|n| n > 0),
                "{run} {part}: {now}"
            );
        }
        let again = json(dir, &["train", "--resume", run]);
        close(&again, &result, 0.0);
    }
}

#[test]
fn a_finished_run_predicts() {
    let dir = old(&["diabetes", "own", "old.csv"]);
    let dir = dir.path();
    ok(
        dir,
        &[
            "predict",
            "own",
            "old.csv",
            "--out",
            "own-predicted.csv",
            "-q",
        ],
    );
    let (rows, truth) = (
        csv(&dir.join("own-predicted.csv")),
        csv(&dir.join("old.csv")),
    );
    let all = |part: &str| json(dir, &["evaluate", "own", "--part", part]);
    let right: f64 = ["train", "validation", "test"]
        .iter()
        .map(|part| all(part))
        .map(|m| number(&m["accuracy"]) * number(&m["n"]))
        .sum();
    let predicted = rows
        .iter()
        .zip(&truth)
        .filter(|(row, truth)| row["prediction"] == truth["kind"])
        .count();
    assert_eq!((rows.len(), predicted as f64), (truth.len(), right.round()));

    // The targets of diabetes are from 25 to 346; standardised twice, the predictions would be in
    // the thousands.
    write(
        dir,
        "patients.csv",
        "age,sex,bmi,bp,s1,s2,s3,s4,s5,s6\n48,1,26.4,94.6,189,115,50,4,4.6,91\n30,2,20,80,150,90,60,3,4,80\n",
    );
    ok(
        dir,
        &[
            "predict",
            "diabetes",
            "patients.csv",
            "--out",
            "patients-predicted.csv",
            "-q",
        ],
    );
    let values: Vec<f64> = csv(&dir.join("patients-predicted.csv"))
        .iter()
        .map(|row| row["prediction"].parse().expect("a number"))
        .collect();
    assert!(
        values.len() == 2
            && values.iter().all(|y| (20.0..350.0).contains(y))
            && values[0] > values[1],
        "{values:?}"
    );
}

fn number(value: &Value) -> f64 {
    value
        .as_f64()
        .unwrap_or_else(|| panic!("{value} is not a number"))
}

#[test]
fn probes_see_the_loss_of_their_time() {
    let dir = old(&["diabetes"]);
    let dir = dir.path();
    let found = || {
        tree(&dir.join("diabetes/probe"))
            .into_iter()
            .find(|(path, _)| path.extension().is_some_and(|e| e == "json"))
    };
    let (path, then) = found().expect("what 0.2.0 found");
    let then: Value = serde_json::from_slice(&then).expect("JSON");
    ok(
        dir,
        &["probe", "sharpness", "diabetes", "--out", "now", "-q"],
    );
    let now = value(dir.join("now").join(&path));
    close(&now["result"], &then["result"], 1e-3);
}

#[test]
fn a_killed_run_goes_on_to_the_same_weights() {
    let dir = old(&["resumed", "resumed-whole"]);
    let dir = dir.path();
    let now = json(dir, &["train", "--resume", "resumed"]);
    let model = |run: &str| weights(dir.join(run).join("model.safetensors"));
    let (resumed, whole) = (model("resumed"), model("resumed-whole"));
    let mut result = value(dir.join("resumed-whole/result.json"));
    ["seconds", "examples_per_second", "out"]
        .iter()
        .for_each(|key| drop(result.as_object_mut().and_then(|all| all.remove(*key))));
    let same = same_instructions(dir, "resumed");
    assert!(distance(&resumed, &whole) < if same { EXPONENTIAL } else { 0.1 });
    if same {
        close(&now, &result, EXPONENTIAL);
    }
    assert_eq!(now["steps"], result["steps"]);
}

/// Its targets stay unscaled. Its rate drops after 50 epochs, which were 1,894 steps and are 1,900
/// now, so the results are nearly those of 0.2.0.
#[test]
fn a_killed_run_on_real_targets_goes_on_with_them_as_they_are() {
    let dir = old(&["real", "real-whole"]);
    let dir = dir.path();
    let now = json(dir, &["train", "--resume", "real"]);
    let then = value(dir.join("real-whole/result.json"));
    assert_eq!(now["steps"], then["steps"]);
    for part in ["validation", "test"] {
        close(&now[part], &then[part], 0.02);
    }
    let again = json(dir, &["evaluate", "real", "--part", "test"]);
    close(&again, &now["test"], 0.0);
    let bytes = fs::read(dir.join("real/model.safetensors")).expect("weights");
    assert!(
        String::from_utf8_lossy(&bytes).contains("preprocessing"),
        "the weights say how data were scaled"
    );
}

/// For each trial its identity, and the parts of its record that are determined by its result.
fn records(dir: &Path, study: &str) -> Vec<(String, Value)> {
    let text = fs::read_to_string(dir.join(study).join("trials.jsonl")).expect("trials");
    let record = |line: &str| {
        let record: Value = serde_json::from_str(line).expect("JSON");
        let kept = [
            "stop", "steps", "examples", "metric", "metrics", "curves", "config", "seed", "stage",
        ];
        (
            record["id"].as_str().expect("an id").to_owned(),
            kept.iter()
                .map(|key| ((*key).to_owned(), record[*key].clone()))
                .collect(),
        )
    };
    text.lines().map(record).collect()
}

fn go_on(dir: &Path, study: &str, folder: &str, more: &[&str]) -> Ended {
    ended(command(
        dir,
        &[
            &["study", "run", study, "--out", folder, "--jobs", "2"],
            more,
        ]
        .concat(),
    ))
}

/// The folders of the runs that a study keeps.
fn kept(dir: &Path, study: &str) -> Vec<String> {
    let entries = fs::read_dir(dir.join(study).join("runs")).expect("runs");
    let mut names: Vec<String> = entries
        .map(|e| {
            e.expect("an entry")
                .file_name()
                .to_string_lossy()
                .into_owned()
        })
        .collect();
    names.sort();
    names
}

/// The summary has the columns of 0.2.0 with the same values.
fn same_summary(dir: &Path, study: &str) {
    let (now, then) = (
        csv(&dir.join(study).join("report/summary.csv")),
        csv(&dir.join(study).join("summary.csv")),
    );
    assert!(!then.is_empty() && now.len() == then.len());
    for (now, then) in now.iter().zip(&then) {
        then.iter()
            .for_each(|(head, value)| assert_eq!(now.get(head), Some(value), "{head}"));
    }
}

#[test]
fn a_finished_study_reports_the_same_and_has_nothing_left() {
    for study in ["study", "targets"] {
        let file = format!("{study}.toml");
        let dir = old(&[study, &file]);
        let dir = dir.path();
        let before = records(dir, study);
        ok(dir, &["study", "report", study]);
        same_summary(dir, study);
        let again = go_on(dir, &file, study, &[]);
        assert_eq!(again.code, Some(0), "{again:?}");
        assert!(
            again
                .stderr
                .contains(&format!("0 trials ran now, {} before", before.len())),
            "{again:?}"
        );
        same_summary(dir, study);
        assert_eq!(records(dir, study), before);
    }
    // The report includes the probes' results, and their runs open.
    let dir = old(&["study"]);
    let dir = dir.path();
    ok(dir, &["study", "report", "study"]);
    for figure in ["layers", "line-loss-batch-128"] {
        assert!(
            dir.join(format!("study/report/figures/{figure}.svg"))
                .exists(),
            "{figure}"
        );
    }
    let first = &format!("study/runs/{}", kept(dir, "study")[0]);
    close(
        &json(dir, &["evaluate", first, "--part", "test"]),
        &value(dir.join(first).join("result.json"))["test"],
        TABLE,
    );
}

#[test]
fn a_killed_study_goes_on_to_the_same_trials() {
    let dir = old(&["study", "study-half", "study.toml"]);
    let dir = dir.path();
    let before = records(dir, "study-half").len();
    let end = go_on(dir, "study.toml", "study-half", &[]);
    assert_eq!(end.code, Some(0), "{end:?}");
    let (now, then) = (records(dir, "study-half"), records(dir, "study"));
    assert!(
        0 < before && before < then.len() && end.stderr.contains(&format!("{before} before")),
        "{end:?}"
    );
    assert!(
        now.iter()
            .map(|(id, _)| id)
            .eq(then.iter().map(|(id, _)| id)),
        "other trials"
    );
    assert_eq!(kept(dir, "study-half"), kept(dir, "study"));
    if same_instructions(dir, "study") {
        now.iter()
            .zip(&then)
            .for_each(|((_, now), (_, then))| close(now, then, EXPONENTIAL));
    }
    assert!(
        end.stdout
            .contains("trials of different versions are mixed: 0.2.0; "),
        "{end:?}"
    );
}

/// A warm-up of two epochs of batch 512 was 4.49 steps and is 6; one of batch 32 differs only by an
/// eighth of a step.
#[test]
fn a_killed_study_with_lengths_in_epochs_runs_anew_what_has_moved() {
    let dir = old(&["epochs-half", "epochs.toml"]);
    let dir = dir.path();
    let before = records(dir, "epochs-half");
    let moved: Vec<&String> = before
        .iter()
        .filter(|(_, record)| record["config"]["batch_size"] == 512)
        .map(|(id, _)| id)
        .collect();
    assert!(!moved.is_empty() && moved.len() < before.len());
    let refused = go_on(dir, "epochs.toml", "epochs-half", &[]);
    assert_eq!(refused.code, Some(1), "{refused:?}");
    for part in [
        &format!("{} of its trials", moved.len()),
        "lengths in epochs count the actual steps",
        "--accept-data",
    ] {
        assert!(refused.stderr.contains(part), "{part}: {refused:?}");
    }
    let anew = go_on(dir, "epochs.toml", "epochs-half", &["--accept-data"]);
    assert_eq!(anew.code, Some(0), "{anew:?}");
    assert!(
        anew.stderr
            .contains(&format!("{} before", before.len() - moved.len())),
        "{anew:?}"
    );
    assert!(
        anew.stdout
            .contains("trials of different versions are mixed: 0.2.0; "),
        "{anew:?}"
    );
}

/// With the same settings version 0.2 trained on unscaled targets, and 0.3 trains on standardised
/// ones.
#[test]
fn a_killed_study_on_real_targets_is_refused_or_runs_anew() {
    let dir = old(&["targets-half", "targets.toml"]);
    let dir = dir.path();
    let before = tree(dir);
    let count = records(dir, "targets-half").len();
    let refused = go_on(dir, "targets.toml", "targets-half", &[]);
    assert_eq!(refused.code, Some(1), "{refused:?}");
    for part in [
        &format!("{count} of its trials"),
        "version before 0.3",
        "real targets are standardised",
        "--accept-data",
        "--out",
    ] {
        assert!(refused.stderr.contains(part), "{part}: {refused:?}");
    }
    let unlocked = |mut files: BTreeMap<PathBuf, Vec<u8>>| {
        files.retain(|path, _| path.extension().is_none_or(|e| e != "lock"));
        files
    };
    assert!(
        unlocked(tree(dir)) == unlocked(before),
        "nothing is written"
    );
    ok(dir, &["study", "report", "targets-half"]);

    let anew = go_on(dir, "targets.toml", "targets-half", &["--accept-data"]);
    assert_eq!(anew.code, Some(0), "{anew:?}");
    let aside =
        fs::read_to_string(dir.join("targets-half/other-data.jsonl")).expect("the old records");
    assert_eq!(aside.lines().count(), count);
    assert!(!anew.stdout.contains("are mixed"), "{anew:?}");
    // Trials of both versions in one folder, as from two machines.
    fs::write(dir.join("targets-half/trials-old.jsonl"), aside).expect("written");
    for arguments in [
        &["study", "report", "targets-half"][..],
        &["study", "run", "targets.toml", "--out", "targets-half"],
    ] {
        let mixed = ended(command(dir, arguments));
        assert!(
            mixed.code == Some(1) && mixed.stderr.contains("must not be compared"),
            "{mixed:?}"
        );
    }
}
