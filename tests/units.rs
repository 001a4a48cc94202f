//! Lengths and whole numbers on the command line: each is used exactly as given, or refused by
//! name.

use std::fs;

use largebatch_tests::{command, ended, folder, ok, one_json, write};

const DIGITS: &[&str] = &[
    "train",
    "--dataset",
    "digits",
    "--model",
    "softmax",
    "--set",
    "data.validation=287",
];

/// 2⁶³ and 2⁶⁴ and more: beyond TOML's whole numbers, and beyond 64 bits.
const HUGE: [&str; 3] = [
    "9223372036854775808",
    "18446744073709551615",
    "99999999999999999999999",
];

#[test]
fn huge_numbers_are_refused_by_name() {
    let folder = folder();
    let dir = folder.path();
    let refused = |arguments: &[&str], words: &[&str]| {
        let end = ended(command(dir, arguments));
        assert_eq!(end.code, Some(2), "{arguments:?}: {end:?}");
        assert!(
            words.iter().all(|word| end.stderr.contains(word)),
            "{arguments:?}: {words:?} are not all in\n{}",
            end.stderr
        );
        assert!(
            !end.stderr.contains('-') || !end.stderr.contains("`-"),
            "{arguments:?}: a number became negative\n{}",
            end.stderr
        );
    };
    for flag in ["--epochs", "--steps", "--seed", "--threads", "--workers"] {
        for huge in HUGE {
            refused(&[DIGITS, &[flag, huge]].concat(), &[flag, huge]);
        }
    }
    for huge in HUGE {
        refused(
            &[DIGITS, &["--batch-size", huge]].concat(),
            &["batch_size", huge],
        );
        refused(
            &[DIGITS, &["--trace", &format!("layers:every={huge}")]].concat(),
            &["trace", huge],
        );
        refused(
            &[
                "probe",
                "lr-find",
                "--set",
                "dataset=digits",
                "--set",
                "model=softmax",
                "--threads",
                huge,
            ],
            &["--threads", huge],
        );
        for key in [
            "epochs",
            "steps",
            "seed",
            "split_seed",
            "batch_size",
            "threads",
            "workers",
            "log.every_steps",
            "data.validation",
        ] {
            refused(
                &[DIGITS, &["--set", &format!("{key}={huge}")]].concat(),
                &[key, huge],
            );
            write(
                dir,
                "huge.toml",
                format!("dataset = \"digits\"\nmodel = \"softmax\"\n{key} = {huge}\n"),
            );
            refused(&["train", "huge.toml"], &["huge.toml", "line 3", huge]);
        }
    }
    // A number that fits is used as given: it is the length that is too large.
    for flag in ["--epochs", "--steps"] {
        refused(
            &[DIGITS, &[flag, "9223372036854775807"]].concat(),
            &[
                &flag[2..],
                "9223372036854775807",
                "at most 9007199254740992 steps",
            ],
        );
    }
    for threads in ["100000", "9223372036854775807"] {
        refused(
            &[DIGITS, &["--steps", "2", "--threads", threads]].concat(),
            &["threads", threads, "1 ≤ x ≤ 4096"],
        );
    }
    assert_eq!(
        fs::read_dir(dir).map(|files| files.count()).unwrap_or(0),
        1,
        "only huge.toml is there"
    );
    let study = "name = 'x'\nset = { dataset = 'digits', model = 'softmax', batch_size = 512 }\nconfirm.seeds = 1\n";
    for (line, words) in [
        (
            "budget.epochs = 9223372036854775807",
            &[
                "line 4",
                "epochs = 922337203685477",
                "at most 9007199254740992 steps",
            ][..],
        ),
        (
            "budget.epochs = 1e300",
            &["line 4", "at most 9007199254740992 steps"],
        ),
        (
            "budget.steps = 9223372036854775807",
            &["line 4", "steps = 9223372036854775807"],
        ),
        (
            "budget.steps = 9223372036854775808",
            &["line 4", "9223372036854775808"],
        ),
        (
            "budget = { epochs = 20, at_batch = 4096 }",
            &["line 4", "at_batch, 4096, is larger than the 1150"],
        ),
        ("threads = 4294967295", &["line 4", "threads = 4294967295"]),
    ] {
        write(dir, "huge.toml", format!("{study}{line}\n"));
        refused(&["study", "plan", "huge.toml"], words);
    }
}

/// At batch 1,024 of 1,150 examples a five-epoch warm-up takes ten steps, and four epochs have
/// eight.
#[test]
fn a_warmup_longer_than_training_is_refused() {
    let folder = folder();
    let dir = folder.path();
    let warm = [
        DIGITS,
        &["--batch-size", "1024", "--set", "schedule.warmup.epochs=5"],
    ]
    .concat();
    let end = ended(command(dir, &[&warm[..], &["--epochs", "4"]].concat()));
    assert_eq!(end.code, Some(2), "{end:?}");
    assert!(
        end.stderr.contains(
            "schedule.warmup of 10 steps ({ epochs = 5 }) does not fit into a training of 8 steps"
        ),
        "{end:?}"
    );
    assert_eq!(fs::read_dir(dir).map(|files| files.count()).unwrap_or(0), 0);
    ok(dir, &[&warm[..], &["--epochs", "6"]].concat());
}

/// The written rates follow the real epochs: 20 steps in ten epochs of two, with the drop after
/// step 10.
#[test]
fn the_rates_of_a_run_drop_with_the_epoch() {
    let folder = folder();
    let dir = folder.path();
    let flags = [
        "--batch-size",
        "1024",
        "--epochs",
        "10",
        "--lr",
        "0.5",
        "--schedule",
        "multi-step",
        "--set",
        "schedule.at.epochs=[5]",
    ];
    let result = one_json(
        &ok(
            dir,
            &[
                DIGITS,
                &flags,
                &["--set", "log.every_steps=1", "--out", "run", "--json"],
            ]
            .concat(),
        )
        .stdout,
    );
    assert_eq!(
        (result["steps"].as_u64(), result["epochs"].as_u64()),
        (Some(20), Some(10))
    );
    let events = fs::read_to_string(dir.join("run/events.jsonl")).expect("events");
    let lines = events
        .lines()
        .map(|line| serde_json::from_str::<serde_json::Value>(line).expect("JSON"));
    let rates: Vec<f64> = lines
        .filter(|line| line["event"] == "step")
        .filter_map(|line| line["lr"].as_f64())
        .collect();
    assert_eq!(rates, [[0.5; 10], [0.05; 10]].concat());
}
