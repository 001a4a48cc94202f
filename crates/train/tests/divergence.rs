//! Which trainings count as diverged: those whose loss exceeds all bounds, but no healthy one,
//! however noisy.

use std::sync::atomic::{AtomicBool, Ordering};

use largebatch_data::{Dataset, Holdout, Labels, Part, Preprocess, Task};
use largebatch_random::{Key, below, normal, unit};
use largebatch_train::Lab;
use largebatch_train::{
    Controls, Environment, Experiment, Observer, RunConfig, RunFile, RunFolder, SCHEMA, Step, Stop,
    TrainError, train,
};

/// `n` examples with normal features times `scale`, and the labels that `label` draws.
fn dataset(
    task: Task,
    (n, features, scale): (usize, usize, f64),
    label: impl Fn(usize, &[f64], f64) -> f64,
) -> Dataset {
    let mut rng = Key::new(7).word("divergence").rng();
    let (mut values, mut labels) = (Vec::new(), Vec::new());
    for i in 0..n {
        let x: Vec<f64> = (0..features).map(|_| scale * normal(&mut rng)).collect();
        labels.push(label(i, &x, unit(&mut rng)));
        values.extend(x);
    }
    let labels = match task {
        Task::Classes(_) => Labels::Classes(labels.iter().map(|l| *l as u32).collect()),
        Task::Real => Labels::Targets(labels),
    };
    let part = Part::from_table(values, vec![features], labels).unwrap();
    Dataset {
        name: "made".into(),
        task,
        shape: vec![features],
        train: part.clone(),
        test: part,
        sources: Vec::new(),
        class_names: Vec::new(),
        preprocess: Preprocess::default(),
        warnings: Vec::new(),
    }
}

fn experiment(dataset: &Dataset, over: &[&str]) -> Experiment {
    let over: Vec<_> = ["dataset=made"]
        .iter()
        .chain(over)
        .map(|s| RunConfig::assignment(s).unwrap())
        .collect();
    let holdout = Holdout {
        train: (0..dataset.train.len() as u32).collect(),
        validation: vec![],
    };
    Experiment::with(
        RunConfig::layered(None, &over).unwrap(),
        dataset.clone(),
        holdout,
        &Lab::standard(),
    )
    .unwrap()
}

/// Why a training ended, and after how many steps.
fn end(dataset: &Dataset, over: &[&str]) -> (Stop, u64) {
    let (outcome, _) = train(
        &experiment(dataset, over),
        Controls {
            test: false,
            ..Controls::default()
        },
    )
    .unwrap();
    (outcome.stop, outcome.steps)
}

/// A target of 0.01, but near 100 in one row of ten.
fn one_in_ten() -> Dataset {
    dataset(Task::Real, (200, 3, 1.0), |i, _, u| {
        if i % 10 == 9 { 99.0 + 2.0 * u } else { 0.01 }
    })
}

#[test]
fn a_small_batch_without_the_rare_row_is_no_reference() {
    let data = one_in_ten();
    for batch in ["batch_size=4", "batch_size=64"] {
        for seed in 0..30 {
            let (stop, _) = end(
                &data,
                &[
                    "model=linear",
                    "lr=0.001",
                    "epochs=2",
                    batch,
                    &format!("seed={seed}"),
                ],
            );
            assert_eq!(stop, Stop::Finished, "{batch}, seed {seed}");
        }
    }
}

/// Rates that train, on noisy data, with small batches: 300 trainings.
#[test]
fn no_healthy_training_counts_as_diverged() {
    let sign = |_: usize, x: &[f64], u: f64| f64::from(u8::from((x[0] > 0.0) == (u < 0.8)));
    let rare = |i: usize, _: &[f64], _: f64| f64::from(u8::from(i.is_multiple_of(30)));
    // The Cauchy distribution, which has no mean.
    let cauchy = |_: usize, x: &[f64], u: f64| x[0] + (std::f64::consts::PI * (u - 0.5)).tan();
    let far = |_: usize, x: &[f64], u: f64| 1000.0 + x[0] + 0.1 * u;
    let small = (60, 3, 1.0);
    let cases = [
        (one_in_ten(), &["model=linear", "lr=0.01"][..]),
        (
            dataset(Task::Real, small, cauchy),
            &["model=linear", "lr=0.01"],
        ),
        // The initial weights are far off, and the rate is small for such large features.
        (
            dataset(Task::Real, small, far),
            &["model=linear", "lr=0.01"],
        ),
        (
            dataset(Task::Real, (60, 3, 1e4), cauchy),
            &["model=linear", "lr=1e-11"],
        ),
        (
            dataset(Task::Classes(2), (60, 3, 1e4), sign),
            &["model=logistic", "lr=1e-5"],
        ),
        (
            dataset(Task::Classes(2), (60, 3, 1e4), rare),
            &["model=perceptron", "lr=1"],
        ),
        (
            dataset(Task::Classes(2), small, sign),
            &["model=logistic", "lr=1"],
        ),
        (
            dataset(Task::Classes(2), small, rare),
            &["model=softmax", "lr=0.5", "label_smoothing=0.1"],
        ),
        (
            dataset(Task::Classes(2), small, rare),
            &[
                "model=mlp",
                "model.widths=[8]",
                "model.dropout=0.3",
                "lr=0.2",
            ],
        ),
        (
            dataset(Task::Classes(2), small, |_, _, _| 0.0),
            &["model=mlp", "model.widths=[4]", "lr=0.1"],
        ),
    ];
    for (data, over) in cases {
        for seed in 0..30 {
            let batch = ["batch_size=1", "batch_size=2", "batch_size=8"][seed % 3];
            let (stop, _) = end(
                &data,
                &[over, &["epochs=2", batch, &format!("seed={seed}")]].concat(),
            );
            assert_eq!(stop, Stop::Finished, "{over:?}, {batch}, seed {seed}");
        }
    }
}

/// At these rates the loss at least doubles in each step until it exceeds the bound: detected
/// within 20 steps at any batch size, as documented.
#[test]
fn a_diverging_training_is_found_within_the_stated_steps() {
    let line = dataset(Task::Real, (256, 3, 1.0), |_, x, u| x[0] - 2.0 * x[1] + u);
    let class = dataset(Task::Classes(3), (256, 3, 1.0), |_, _, u| (3.0 * u).floor());
    for batch in [
        "batch_size=1",
        "batch_size=4",
        "batch_size=64",
        "data.sampling=full",
    ] {
        for seed in 0..5 {
            for (data, over) in [
                (&line, ["model=linear", "lr=3"]),
                (&class, ["model=softmax", "lr=1e6"]),
                (&class, ["model=mlp", "lr=1e4"]),
            ] {
                let (stop, steps) = end(
                    data,
                    &[&over[..], &["steps=200", batch, &format!("seed={seed}")]].concat(),
                );
                assert!(
                    stop == Stop::Diverged && steps <= 20,
                    "{over:?}, {batch}, seed {seed}: {stop:?} after {steps} steps"
                );
            }
            // The first step's weights are too large for f32.
            let (stop, steps) = end(
                &line,
                &[
                    "model=linear",
                    "lr=1e38",
                    "steps=9",
                    batch,
                    &format!("seed={seed}"),
                ],
            );
            assert!(
                stop == Stop::Diverged && steps <= 3,
                "{batch}, seed {seed}: {stop:?} after {steps} steps"
            );
        }
    }
}

/// Interrupts a training after a step.
struct After<'a>(u64, &'a AtomicBool);

impl Observer for After<'_> {
    fn on_step(&mut self, step: &Step<'_>) -> Result<(), TrainError> {
        self.1.store(step.step == self.0, Ordering::Relaxed);
        Ok(())
    }
}

#[test]
fn a_resumed_training_has_the_same_verdict_at_the_same_step() {
    let data = dataset(Task::Real, (256, 3, 1.0), |_, x, u| x[0] - 2.0 * x[1] + u);
    let experiment = experiment(
        &data,
        &["model=linear", "lr=1.0", "steps=2000", "batch_size=64"],
    );
    let (whole, _) = train(&experiment, Controls::default()).unwrap();
    assert_eq!(whole.stop, Stop::Diverged);
    assert!(
        (10..1000).contains(&whole.steps),
        "slowly, so that there is a middle: {}",
        whole.steps
    );
    for at in [1, whole.steps / 2, whole.steps - 1] {
        let dir = tempfile::tempdir().unwrap();
        let provenance = Environment {
            version: String::new(),
            device: String::new(),
            threads: 1,
            cpu: None,
            platform: String::new(),
            data_dir: None,
            folder: None,
        };
        let run = RunFile {
            schema: SCHEMA,
            id: experiment.config.id(),
            provenance,
            config: experiment.config.clone(),
            sources: Vec::new(),
            examples: None,
            earlier_sources: Vec::new(),
        };
        let folder = RunFolder::create(&dir.path().join("run"), &run).unwrap();
        let interrupt = AtomicBool::new(false);
        let mut after = After(at, &interrupt);
        let controls = Controls {
            folder: Some(&folder),
            observers: vec![&mut after],
            interrupt: &interrupt,
            ..Controls::default()
        };
        assert_eq!(
            train(&experiment, controls).unwrap().0.stop,
            Stop::Interrupted
        );
        let (rest, _) = train(
            &experiment,
            Controls {
                folder: Some(&folder),
                ..Controls::default()
            },
        )
        .unwrap();
        assert_eq!(
            (rest.stop, rest.steps, rest.train_loss),
            (whole.stop, whole.steps, whole.train_loss)
        );
    }
}

#[test]
fn the_constant_predictions_loss_is_entropy_or_variance() {
    let loss = |data: &Dataset, over: &[&str]| experiment(data, over).constant_loss();
    let close =
        |a: Option<f64>, b: f64| assert!((a.unwrap() - b).abs() < 1e-12, "{a:?} against {b}");
    let quarter = dataset(Task::Classes(2), (8, 2, 1.0), |i, _, _| {
        f64::from(u8::from(i % 4 == 0))
    });
    let entropy = |p: f64| -p * p.ln() - (1.0 - p) * (1.0 - p).ln();
    close(loss(&quarter, &["model=logistic"]), entropy(0.25));
    close(loss(&quarter, &["model=softmax"]), entropy(0.25));
    close(
        loss(&quarter, &["model=softmax", "label_smoothing=0.1"]),
        entropy(0.9 * 0.25 + 0.05),
    );
    assert_eq!(loss(&quarter, &["model=perceptron"]), None);
    let four = dataset(Task::Real, (4, 2, 1.0), |i, _, _| 1.0 + i as f64);
    close(loss(&four, &["model=linear"]), 1.25);
    assert_eq!(
        loss(
            &dataset(Task::Real, (7, 2, 1.0), |_, _, _| 0.1),
            &["model=linear"]
        ),
        None,
        "equal targets"
    );
    assert_eq!(
        loss(
            &dataset(Task::Classes(2), (7, 2, 1.0), |_, _, _| 1.0),
            &["model=softmax"]
        ),
        None,
        "one class"
    );
    // ln 10 = 2.302585 for ten equally frequent classes.
    let mut rng = Key::new(1).rng();
    let labels: Vec<f64> = (0..1000).map(|_| f64::from(below(&mut rng, 10))).collect();
    let ten = loss(
        &dataset(Task::Classes(10), (1000, 2, 1.0), |i, _, _| labels[i]),
        &["model=softmax"],
    )
    .unwrap();
    assert!(ten < 10f64.ln() && ten > 2.29, "{ten}");
}
