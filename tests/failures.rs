//! A failure is reported as one: by the exit code, by name, and with what to do.
#![cfg(unix)]

use std::fs;
use std::path::Path;

use largebatch_tests::{Ended, command, ended, folder, ok, write};

const STUDY: &str = r#"
name = "failing"
[set]
dataset = "digits"
model = "softmax"
lr = 0.3
epochs = 1
[axes]
batch_size = [64, 256]
[confirm]
seeds = 2
probe = ["noise:every=5"]
"#;

fn run(dir: &Path, more: &[&str]) -> Ended {
    ended(command(
        dir,
        &[
            &["study", "run", "study.toml", "--out", "study", "--quiet"],
            more,
        ]
        .concat(),
    ))
}

fn lines(dir: &Path, name: &str) -> usize {
    fs::read_to_string(dir.join("study").join(name))
        .unwrap_or_default()
        .lines()
        .count()
}

#[test]
fn a_study_with_failed_trials_says_which_and_runs_them_again() {
    let folder = folder();
    let dir = folder.path();
    write(dir, "study.toml", STUDY);
    // A file at the path where the trials would keep their runs.
    fs::create_dir(dir.join("study")).expect("a folder");
    write(dir, "study/runs", "");
    let first = run(dir, &[]);
    assert_eq!(first.code, Some(1), "{}", first.stderr);
    fs::remove_file(dir.join("study/runs")).expect("removed");
    // Nothing is left to run, and the failure is reported again.
    let again = run(dir, &[]);
    let words = [
        "error: 4 of 4 trials failed",
        "batch_size=64 seed 0: study/runs/",
        "batch_size=256 seed 1: study/runs/",
        "Not a directory",
        "the same command and --retry",
    ];
    assert!(
        again.code == Some(1) && words.iter().all(|word| again.stderr.contains(word)),
        "{}",
        again.stderr
    );
    assert!(
        dir.join("study/report/index.html").exists(),
        "the report is written nevertheless"
    );
    let status = ok(dir, &["study", "status", "study"]).stdout;
    assert!(
        status.contains("4 failed") && status.contains("--retry"),
        "{status}"
    );
    assert_eq!(run(dir, &["--retry"]).code, Some(0));
    assert_eq!(
        (lines(dir, "trials.jsonl"), lines(dir, "failed.jsonl")),
        (4, 4)
    );
    assert_eq!(run(dir, &["--retry"]).code, Some(0), "nothing has failed");
}

#[test]
fn a_probe_that_failed_shows_in_the_exit_code() {
    let folder = folder();
    let dir = folder.path();
    let probe = "noise:every=5,subset=1";
    let train = [
        "train",
        "--dataset",
        "digits",
        "--model",
        "softmax",
        "--steps",
        "10",
        "--quiet",
        "--probe",
        probe,
        "--out",
        "run",
    ];
    let train = ended(command(dir, &train));
    let words = [
        "error: the training has ended and run is complete",
        "probe noise at step 0: subset = 1",
        "at least 2 examples",
    ];
    assert!(
        train.code == Some(1) && words.iter().all(|word| train.stderr.contains(word)),
        "{}",
        train.stderr
    );
    assert!(dir.join("run/result.json").exists());
    write(dir, "study.toml", STUDY.replace("noise:every=5", probe));
    let study = run(dir, &[]);
    let words = [
        "error: a probe failed at 4 of 4 trials",
        "batch_size=256 seed 0",
        "batch_size=64 seed 1",
        "subset = 1",
        "--retry",
    ];
    assert!(
        study.code == Some(1) && words.iter().all(|word| study.stderr.contains(word)),
        "{}",
        study.stderr
    );
    assert_eq!(lines(dir, "trials.jsonl"), 4, "the trials are whole");
}
