//! The same seed gives the same bits, and settings that must not change a result do not.

use std::path::Path;

use largebatch_tests::{bytes, distance, folder, images, ok, start, weights};

/// Adds the arguments that all trainings of one test share.
fn train(dir: &Path, out: &str, common: &[&str], own: &[&str]) {
    ok(
        dir,
        &[&["train", "--quiet", "--out", out], common, own].concat(),
    );
}

fn model(dir: &Path, out: &str) -> Vec<u8> {
    bytes(dir.join(out).join("model.safetensors"))
}

fn apart(dir: &Path, a: &str, b: &str) -> f64 {
    let read = |out: &str| weights(dir.join(out).join("model.safetensors"));
    distance(&read(a), &read(b))
}

const MLP: &[&str] = &[
    "--dataset",
    "digits",
    "--model",
    "mlp",
    "--set",
    "model.widths=[96,64]",
    "--set",
    "model.dropout=0.3",
    "--set",
    "model.batch_norm=true",
    "--optimizer",
    "adam",
    "--steps",
    "60",
    "--set",
    "data.preprocess.normalise=channel",
    "--set",
    "data.preprocess.translate=1",
];

const CNN: &[&str] = &[
    "--dataset",
    "digits",
    "--model",
    "simple-cnn",
    "--set",
    "model.filters=[8,16]",
    "--set",
    "model.width=64",
    "--optimizer",
    "momentum",
    "--steps",
    "25",
];

#[test]
fn the_seed_alone_decides() {
    let folder = folder();
    let dir = folder.path();
    for (name, common) in [("mlp", MLP), ("cnn", CNN)] {
        let out = |which: &str| format!("{name}-{which}");
        train(dir, &out("a"), common, &["--seed", "3"]);
        train(dir, &out("b"), common, &["--seed", "3"]);
        train(dir, &out("c"), common, &["--seed", "4"]);
        assert!(
            model(dir, &out("a")) == model(dir, &out("b")),
            "{name}: the same seed gave other weights"
        );
        assert_eq!(
            bytes(dir.join(out("a")).join("events.jsonl")),
            bytes(dir.join(out("b")).join("events.jsonl")),
            "{name}"
        );
        assert!(
            apart(dir, &out("a"), &out("c")) > 0.1,
            "{name}: another seed gave nearly the same weights"
        );
    }
}

#[test]
fn other_trainings_beside_it_change_nothing() {
    let folder = folder();
    let dir = folder.path();
    train(dir, "alone", MLP, &[]);
    let beside: Vec<_> = ["b", "c", "d"]
        .iter()
        .zip(["0", "0", "1"])
        .map(|(out, seed)| {
            start(
                dir,
                &[&["train", "--quiet", "--out", out, "--seed", seed], MLP].concat(),
            )
        })
        .collect();
    for child in beside {
        let output = child.wait_with_output().expect("a child");
        assert!(output.status.success(), "{output:?}");
    }
    assert!(
        model(dir, "b") == model(dir, "alone") && model(dir, "c") == model(dir, "alone"),
        "a run beside others has other weights"
    );
    assert!(model(dir, "d") != model(dir, "alone"));
}

/// The kernels of flex give the same bits with any number of threads, also for matrices that are
/// large enough to be split, with batch norm, and with the norms of LARS and LAMB.
#[test]
fn the_number_of_threads_changes_nothing() {
    let folder = folder();
    let dir = folder.path();
    images(dir, "train", (600, 28, 5), 1);
    let own = r#"dataset={name="own",format="idx",train_images="train-images",train_labels="train-labels"}"#;
    let wide = [
        "--set",
        own,
        "--model",
        "mlp",
        "--batch-size",
        "200",
        "--steps",
        "6",
    ];
    let filters = [
        "--set",
        own,
        "--model",
        "simple-cnn",
        "--batch-size",
        "100",
        "--steps",
        "3",
    ];
    let norms = [
        "--set",
        own,
        "--model",
        "f1",
        "--optimizer",
        "lamb",
        "--batch-size",
        "200",
        "--steps",
        "4",
    ];
    let residual = [
        "--set",
        own,
        "--model",
        "resnet8",
        "--optimizer",
        "lars",
        "--batch-size",
        "60",
        "--steps",
        "2",
    ];
    let trainings: [(&str, &[&str]); 4] = [
        ("mlp", &wide),
        ("cnn", &filters),
        ("f1 by lamb", &norms),
        ("resnet8 by lars", &residual),
    ];
    for (name, common) in trainings {
        let one = format!("{name}-1");
        train(dir, &one, common, &["--threads", "1"]);
        for threads in ["2", "3"] {
            let many = format!("{name}-{threads}");
            train(dir, &many, common, &["--threads", threads]);
            assert!(
                model(dir, &one) == model(dir, &many),
                "{name}: {threads} threads gave other weights than one"
            );
        }
    }
}

#[test]
fn workers_are_accumulated_micro_batches_to_the_bit() {
    let folder = folder();
    let dir = folder.path();
    for (name, common) in [("mlp", MLP), ("cnn", CNN)] {
        // 3 does not divide 64, and 64 does not divide 1150.
        for k in ["2", "3"] {
            let [workers, accumulated] =
                ["workers", "accumulated"].map(|how| format!("{name}-{k}-{how}"));
            train(dir, &workers, common, &["--workers", k]);
            train(
                dir,
                &accumulated,
                common,
                &["--set", &format!("accumulate={k}")],
            );
            assert!(
                model(dir, &workers) == model(dir, &accumulated),
                "{name}: {k} workers differ from {k} micro-batches"
            );
        }
        let mixed = format!("{name}-mixed");
        train(
            dir,
            &mixed,
            common,
            &["--workers", "2", "--set", "accumulate=3"],
        );
        train(
            dir,
            &format!("{name}-6"),
            common,
            &["--set", "accumulate=6"],
        );
        assert!(
            model(dir, &mixed) == model(dir, &format!("{name}-6")),
            "{name}: 2 workers of 3 parts differ from 6 parts"
        );
    }
}

/// With dropout: the masks belong to the examples, not to their places in a micro-batch.
#[test]
fn accumulation_equals_the_large_batch() {
    let folder = folder();
    let dir = folder.path();
    let mlp: &[&str] = &[
        "--dataset",
        "digits",
        "--model",
        "mlp",
        "--set",
        "model.widths=[64,32]",
        "--set",
        "model.dropout=0.5",
        "--steps",
        "20",
        "--set",
        "data.preprocess.normalise=channel",
        "--set",
        "data.preprocess.translate=1",
        "--set",
        "label_smoothing=0.1",
    ];
    let cnn = &[CNN, &["--set", "model.dropout=0.4"]].concat();
    for (name, common, batch) in [("mlp", mlp, "96"), ("cnn", cnn, "64")] {
        train(dir, name, common, &["--batch-size", batch]);
        // 7 and 5 leave micro-batches of unequal size.
        for parts in ["2", "5", "7"] {
            let out = format!("{name}-{parts}");
            train(
                dir,
                &out,
                common,
                &[
                    "--batch-size",
                    batch,
                    "--set",
                    &format!("accumulate={parts}"),
                ],
            );
            let distance = apart(dir, &out, name);
            assert!(
                distance < 1e-5,
                "{name}, {parts} parts: the weights are {distance:.2e} apart"
            );
        }
        let other = format!("{name}-other");
        train(dir, &other, common, &["--batch-size", "48"]);
        assert!(
            apart(dir, &other, name) > 1e-3,
            "{name}: the comparison would see another batch size"
        );
    }
}

#[test]
fn accumulation_with_batch_norm_is_ghost_batch_norm() {
    let folder = folder();
    let dir = folder.path();
    // The steps end before the epoch's smaller last batch, whose parts would be cut at other places
    // than the ghost batches.
    let common: &[&str] = &[
        "--dataset",
        "digits",
        "--model",
        "mlp",
        "--set",
        "model.widths=[64,32]",
        "--set",
        "model.dropout=0.2",
        "--set",
        "model.batch_norm=true",
        "--steps",
        "15",
        "--batch-size",
        "64",
    ];
    train(dir, "accumulated", common, &["--set", "accumulate=4"]);
    train(dir, "ghost", common, &["--set", "ghost_batch=16"]);
    train(dir, "plain", common, &[]);
    let (ghost, plain) = (
        apart(dir, "accumulated", "ghost"),
        apart(dir, "accumulated", "plain"),
    );
    assert!(ghost < 2e-5, "the weights are {ghost:.2e} apart");
    assert!(
        plain > 1e-3,
        "without ghost batches the weights are only {plain:.2e} apart"
    );
}
