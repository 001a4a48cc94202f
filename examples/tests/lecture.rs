//! Runs every program of the lecture in its small mode: it succeeds, its key numbers agree with the
//! theory, and it writes its figure.

use std::path::PathBuf;
use std::process::Command;

/// The program of an example. `cargo test` builds the examples with the tests; `cargo test --test
/// lecture` does not.
fn program(name: &str) -> PathBuf {
    let test = std::env::current_exe().unwrap();
    let release = test.ancestors().nth(2).unwrap();
    let program = release
        .join("examples")
        .join(format!("{name}{}", std::env::consts::EXE_SUFFIX));
    assert!(
        program.is_file(),
        "{} is missing; build it with the same flags: cargo build --examples",
        program.display()
    );
    program
}

/// The output of a program in its small mode. Also checks its figure.
fn small(name: &str) -> String {
    let place = tempfile::tempdir().unwrap();
    let figure = place.path().join("figure.svg");
    let done = Command::new(program(name))
        .args(["--small", "--out"])
        .arg(&figure)
        .current_dir(place.path())
        .output()
        .unwrap();
    let (out, err) = (
        String::from_utf8_lossy(&done.stdout),
        String::from_utf8_lossy(&done.stderr),
    );
    assert!(
        done.status.success(),
        "{name} ended with {}\n{out}\n{err}",
        done.status
    );
    println!("{out}");
    let svg = std::fs::read_to_string(&figure).unwrap();
    assert!(
        svg.starts_with("<svg")
            && svg.trim_end().ends_with("</svg>")
            && !svg.contains("NaN")
            && !svg.contains("no data"),
        "{name}"
    );
    out.into_owned()
}

/// The number after `marker`, in the first line that contains `line`.
fn after(text: &str, line: &str, marker: &str) -> f64 {
    let found = text
        .lines()
        .find(|l| l.contains(line) && l.contains(marker))
        .unwrap_or_else(|| panic!("no `{line}` with `{marker}` in\n{text}"));
    let rest = found
        .split_once(line)
        .map_or(found, |(_, rest)| rest)
        .split_once(marker)
        .unwrap()
        .1
        .trim_start();
    let end = rest
        .find(|c: char| !(c.is_ascii_digit() || matches!(c, '.' | '-' | 'e')))
        .unwrap_or(rest.len());
    rest[..end]
        .trim_end_matches('.')
        .parse()
        .unwrap_or_else(|_| panic!("no number after `{marker}` in `{found}`"))
}

/// Compares the measured value in a line with an expected number.
fn measured(text: &str, line: &str, expected: f64, tolerance: f64) {
    let found = after(text, line, "measured ");
    assert!(
        (found / expected - 1.0).abs() < tolerance,
        "{line}: {found}, expected {expected}"
    );
}

#[test]
fn sgd_stalls_at_its_floor() {
    let text = small("gd_sgd_quadratic");
    // η/(2(2 − η)) · σ²/|B|, for a sample whose variance is about 1.
    measured(&text, "η = 0.1, |B| = 1:", 0.1 / (2.0 * 1.9), 0.1);
    measured(
        &text,
        "floor at |B| = 1 divided by floor at |B| = 8",
        8.0,
        0.1,
    );
    measured(&text, "SGD from w* divided by SGD from afar", 1.0, 0.1);
}

#[test]
fn sgd_is_ahead_first_and_gd_last() {
    let text = small("gd_against_sgd");
    assert!(after(&text, "advantage of SGD after 1 pass", ": ") > 3.0);
    assert!(after(&text, "SGD, |B| = 1, η constant", "10, ") > after(&text, "GD, η = 1/L", "10, "));
}

#[test]
fn the_full_batch_is_left_behind_at_one_rate() {
    let text = small("logistic_batches");
    assert!(after(&text, "same rate: the loss at |B| = N", "is ") > 2.0);
    measured(
        &text,
        "rate ~ |B|: loss at |B| = 64 compared with |B| = 1",
        after(&text, "|B| = 1, same rate", "measured "),
        0.1,
    );
}

#[test]
fn the_perceptron_keeps_its_bound() {
    let text = small("perceptron_bound");
    for d in [4.0, 16.0, 64.0, 256.0] {
        measured(&text, &format!("{d} orthogonal examples"), d, 1e-9);
    }
    assert!(after(&text, "largest fraction of the bound", ": ") <= 1.0);
}

#[test]
fn momentum_takes_the_root_of_the_condition() {
    let text = small("momentum_paths");
    measured(&text, "gradient descent: contraction", 24.0 / 26.0, 0.01);
    measured(&text, "momentum: contraction", 4.0 / 6.0, 0.01);
    measured(&text, "Nesterov: contraction", 1.0 - 1.0 / 5.0, 0.01);
}

#[test]
fn both_forms_of_momentum_are_one() {
    let text = small("ema_heavy_ball");
    assert!(after(&text, "", "largest difference ") < 1e-13);
    for beta in [0.5, 0.9, 0.99] {
        measured(
            &text,
            &format!("μ = {beta}:"),
            (1.0 - beta) / (1.0 + beta),
            0.06,
        );
    }
    measured(&text, "floor at μ = 0.9", 0.1 / (2.0 - 0.1 / 19.0), 0.05);
}

#[test]
fn adagrad_learns_the_rare() {
    let text = small("adagrad_sparse");
    assert!(after(&text, "SGD over Adagrad", "error of the rare weights ") > 1.2);
    measured(&text, "exponent of Adagrad", -0.5, 0.2);
}

#[test]
fn adam_corrects_its_bias() {
    let text = small("adam_bias_correction");
    measured(
        &text,
        "not corrected, first step",
        0.1 / 0.001f64.sqrt(),
        1e-2,
    );
    measured(&text, "corrected, first step", 1.0, 1e-3);
    measured(&text, "m at step 1:", 0.1, 0.05);
}

#[test]
fn schedules_end_where_theory_says() {
    let text = small("schedules");
    measured(&text, "constant:", 0.5 * 0.3 / 1.7, 0.12);
    assert!(text.lines().filter(|l| l.contains("ratio")).count() == 10);
}

#[test]
fn variance_falls_as_one_over_the_batch() {
    let text = small("gradient_variance");
    let one = after(&text, "with replacement, |B| = 1: variance", "measured ");
    measured(
        &text,
        "with replacement, |B| = 64: variance",
        one / 64.0,
        0.15,
    );
    measured(
        &text,
        "without replacement, |B| = 512: variance",
        one / 512.0 * (1150.0 - 512.0) / 1149.0,
        0.15,
    );
}

#[test]
fn the_rate_saturates_at_two_over_l() {
    let text = small("rate_scaling");
    measured(&text, "|B| = 1: largest stable rate", 2.0 / 65.0, 0.08);
    measured(&text, "|B| = 4096: largest stable rate", 2.0, 0.08);
}

#[test]
fn a_shift_hurts_the_sharp_minimum() {
    let text = small("sharp_wide");
    measured(&text, "sharp divided by wide", 16.0, 0.01);
    assert!(after(&text, "|B| = 1:", " ") < 10.0 && after(&text, "|B| = 1024:", " ") > 25.0);
}

#[test]
fn lars_and_lamb_move_all_layers_alike() {
    let text = small("layer_ratios");
    for name in ["LARS", "LAMB"] {
        measured(
            &text,
            &format!("{name}: largest divided by smallest"),
            1.0,
            1e-3,
        );
        measured(&text, &format!("{name}: relative step of"), 0.01, 1e-2);
    }
    assert!(after(&text, "largest divided by smallest relative step", "SGD ") > 2.0);
}

#[test]
fn a_batch_is_cheaper_by_the_example() {
    let text = small("batch_time");
    assert!(after(&text, "an example costs", " ") > 2.0);
}

#[test]
fn a_wrong_option_is_named() {
    let done = Command::new(program("schedules"))
        .arg("--fast")
        .output()
        .unwrap();
    let err = String::from_utf8_lossy(&done.stderr);
    assert!(
        !done.status.success() && err.contains("--fast") && err.contains("[--small]"),
        "{err}"
    );
}
