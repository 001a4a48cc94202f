//! The template for your own crate, `external/`, builds against this largebatch, passes the
//! conformance suite, and trains on the command line.
//!
//! It is built in this test's target folder, with the same versions, profile and features, so that
//! Burn is not compiled again.

use std::path::Path;
use std::process::{Command, Output};

use largebatch::train::BACKENDS;

/// Copies a folder with all its subfolders.
fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let (path, target) = (entry.path(), to.join(entry.file_name()));
        if path.is_dir() && path.file_name().is_some_and(|name| name != "target") {
            copy(&path, &target);
        } else if path.is_file() {
            std::fs::copy(&path, &target).unwrap();
        }
    }
}

/// Whether cargo set this variable for the test. To build scripts (such as ring's) these variables
/// look like a change, and everything that depends on them would be rebuilt.
fn told_by_cargo(variable: &str) -> bool {
    [
        "CARGO_PKG_",
        "CARGO_MANIFEST_",
        "CARGO_BIN_",
        "CARGO_CRATE_",
        "CARGO_PRIMARY_",
    ]
    .iter()
    .any(|prefix| variable.starts_with(prefix))
}

fn output(command: &mut Command) -> Output {
    let done = command.output().unwrap();
    println!(
        "{}\n{}",
        String::from_utf8_lossy(&done.stdout),
        String::from_utf8_lossy(&done.stderr)
    );
    assert!(
        done.status.success(),
        "{command:?} ended with {}",
        done.status
    );
    done
}

/// Runs `cargo test` with the features of this build: those of the workspace's members, and those
/// that were requested.
fn test(folder: &Path, target: &Path) -> Output {
    let compiled = BACKENDS
        .iter()
        .filter(|b| b.compiled && !b.feature.is_empty())
        .map(|b| format!("largebatch/{}", b.feature));
    let learner = cfg!(feature = "learner").then(|| "burn/train".to_owned());
    let features = compiled.chain(learner).collect::<Vec<_>>().join(",");
    let mut cargo = Command::new(env!("CARGO"));
    cargo
        .current_dir(folder)
        .args(["test", "--offline", "--features", &features, "--target-dir"])
        .arg(target);
    if !cfg!(debug_assertions) {
        cargo.arg("--release");
    }
    for (variable, _) in std::env::vars().filter(|(variable, _)| told_by_cargo(variable)) {
        cargo.env_remove(variable);
    }
    output(&mut cargo)
}

#[test]
fn a_crate_of_ones_own_conforms_and_trains() {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let place = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let target = place.parent().unwrap();
    let folder = place.join("external");
    let _ = std::fs::remove_dir_all(&folder);
    copy(&here.join("external"), &folder);
    std::fs::copy(here.join("../Cargo.lock"), folder.join("Cargo.lock")).unwrap();
    let manifest = folder.join("Cargo.toml");
    let text = std::fs::read_to_string(&manifest).unwrap();
    let path = here.join("../crates/largebatch").canonicalize().unwrap();
    let moved = text.replace(
        "path = \"../../crates/largebatch\"",
        &format!("path = '{}'", path.display()),
    );
    assert_ne!(moved, text, "the template depends on largebatch by a path");
    let workspace = std::fs::read_to_string(here.join("../Cargo.toml")).unwrap();
    let profile = workspace
        .find("[profile.release]")
        .expect("the workspace's manifest ends with its profile");
    std::fs::write(&manifest, format!("{moved}\n{}", &workspace[profile..])).unwrap();

    let tested = test(&folder, target);
    let said = String::from_utf8_lossy(&tested.stdout).into_owned();
    for suite in [
        "adabelief",
        "the_model",
        "the_schedule",
        "the_dataset",
        "the_format",
    ] {
        assert!(said.contains(&format!("{suite}_conforms ... ok")), "{said}");
    }
    let built: Vec<_> = String::from_utf8_lossy(&tested.stderr)
        .lines()
        .filter(|l| l.contains("Compiling burn"))
        .map(str::to_owned)
        .collect();
    if !built.is_empty() {
        eprintln!(
            "NOTE: Burn was compiled again, because its features here differ from this build's:\n{}",
            built.join("\n")
        );
    }
    // `cargo test` has built the program with its tests.
    let release = std::env::current_exe()
        .unwrap()
        .ancestors()
        .nth(2)
        .unwrap()
        .to_path_buf();
    let program = release.join(format!("my-lab{}", std::env::consts::EXE_SUFFIX));
    let train = [
        "train",
        "--dataset",
        "two-moons",
        "--set",
        "dataset.noise=0.05",
        "--model",
        "residual-mlp",
        "--optimizer",
        "adabelief",
        "--schedule",
        "wsd",
        "--lr",
        "0.001",
        "--epochs",
        "10",
        "--json",
    ];
    let trained = output(Command::new(program).current_dir(&folder).args(train));
    let line = String::from_utf8_lossy(&trained.stdout).into_owned();
    let accuracy = line
        .split("\"test_accuracy\":")
        .nth(1)
        .and_then(|rest| rest.split(',').next()?.parse::<f64>().ok());
    assert!(accuracy.is_some_and(|a| a > 0.9), "{line}");
}
