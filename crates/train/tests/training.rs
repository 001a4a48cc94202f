//! The training loop and the configuration, from outside.

use burn::module::Module;
use largebatch_data::{Dataset, Holdout, Labels, Part, Preprocess, Search, Task};
use largebatch_models::state_dict;
use largebatch_train::Lab;
use largebatch_train::{Choice, Controls, Experiment, Outcome, RunConfig, Stop, TrainError, train};
use toml::Value;

fn config(over: &[&str]) -> Result<RunConfig, TrainError> {
    let over: Vec<(String, Value)> = over
        .iter()
        .map(|s| RunConfig::assignment(s))
        .collect::<Result<_, _>>()?;
    RunConfig::layered(None, &over)
}

fn open(over: &[&str]) -> Result<Experiment, TrainError> {
    let mut all = vec!["dataset=digits", "model=softmax", "optimizer=sgd", "lr=0.1"];
    all.extend(over);
    Experiment::open(config(&all)?, &Lab::standard(), &Search::default())
}

fn run(over: &[&str]) -> Outcome {
    train(&open(over).unwrap(), Controls::default()).unwrap().0
}

fn refused(over: &[&str]) -> String {
    match open(over) {
        Ok(_) => panic!("{over:?} was accepted"),
        Err(error) => error.to_string(),
    }
}

/// Full-batch gradient descent on squared loss, by hand in f64: w ← w − η (2/N) Xᵀ(Xw + b − y).
#[test]
fn gradient_descent_on_a_linear_model_is_the_formula() {
    let x = [[1.0, 2.0], [-1.0, 0.5], [0.25, -2.0], [3.0, 1.0]];
    let y = [1.0, -2.0, 0.5, 4.0];
    let flat = x.concat();
    let part = Part::from_table(flat, vec![2], Labels::Targets(y.to_vec())).unwrap();
    let dataset = Dataset {
        name: "four".into(),
        task: Task::Real,
        shape: vec![2],
        train: part.clone(),
        test: part,
        sources: Vec::new(),
        class_names: Vec::new(),
        preprocess: Preprocess::default(),
        warnings: Vec::new(),
    };
    let holdout = Holdout {
        train: vec![0, 1, 2, 3],
        validation: vec![],
    };
    let config = config(&[
        "dataset=four",
        "model=linear",
        "model.init=zero",
        "optimizer=sgd",
        "lr=0.05",
        "steps=25",
        "data.sampling=full",
    ])
    .unwrap();
    let experiment = Experiment::with(config, dataset, holdout, &Lab::standard()).unwrap();
    let (outcome, network) = train(&experiment, Controls::default()).unwrap();

    let (mut w, mut b, mut loss) = ([0.0f64; 2], 0.0f64, 0.0);
    for _ in 0..25 {
        let error: Vec<f64> = x
            .iter()
            .zip(y)
            .map(|(x, y)| x[0] * w[0] + x[1] * w[1] + b - y)
            .collect();
        loss = error.iter().map(|e| e * e).sum::<f64>() / 4.0;
        let gradient = |j: usize| {
            x.iter()
                .zip(&error)
                .map(|(x, e)| 2.0 * x[j] * e)
                .sum::<f64>()
                / 4.0
        };
        let (g0, g1, gb) = (
            gradient(0),
            gradient(1),
            2.0 * error.iter().sum::<f64>() / 4.0,
        );
        w = [w[0] - 0.05 * g0, w[1] - 0.05 * g1];
        b -= 0.05 * gb;
    }
    let state: Vec<f32> = state_dict(&network.valid())
        .into_iter()
        .flat_map(|(_, data)| data.try_to_vec::<f32>().unwrap())
        .collect();
    for (ours, exact) in state.iter().zip([w[0], w[1], b]) {
        assert!(
            (f64::from(*ours) - exact).abs() < 1e-5,
            "{state:?} against {w:?}, {b}"
        );
    }
    assert!(
        (outcome.train_loss.unwrap() - loss).abs() < 1e-5,
        "the last epoch is the last step: {:?} against {loss}",
        outcome.train_loss
    );
    assert_eq!(
        (outcome.steps, outcome.epochs, outcome.stop),
        (25, 25, Stop::Finished)
    );
}

#[test]
fn divergence_is_an_outcome() {
    let outcome = run(&["model=mlp", "lr=1e6", "epochs=3"]);
    assert_eq!(
        (outcome.stop, outcome.test, outcome.validation),
        (Stop::Diverged, None, None)
    );
}

#[test]
fn a_target_ends_training_early() {
    let outcome = run(&["lr=0.5", "epochs=50", "stop.target=0.9"]);
    assert_eq!(outcome.stop, Stop::TargetReached);
    assert!(
        outcome.epochs < 50 && outcome.validation_accuracy.unwrap() >= 0.9,
        "{outcome:?}"
    );
    let unreachable = run(&["lr=0.5", "epochs=2", "stop.target=1.0"]);
    assert_eq!((unreachable.stop, unreachable.epochs), (Stop::Finished, 2));
}

#[test]
fn patience_ends_training_that_does_not_improve() {
    let outcome = run(&["lr=0", "epochs=50", "stop.patience=3"]);
    // The first evaluation is the best; the next three do not improve on it.
    assert_eq!((outcome.stop, outcome.epochs), (Stop::NoImprovement, 4));
}

#[test]
fn batches_grow_and_partial_batches_are_kept_or_dropped() {
    // 1,437 training examples of digits minus 287 for validation: 1,150.
    assert_eq!(run(&["batch_size=100", "epochs=2"]).steps, 24);
    let dropped = run(&["batch_size=100", "epochs=2", "data.drop_last=true"]);
    assert_eq!((dropped.steps, dropped.epochs), (22, 2));
    let grown = run(&[
        "batch_size=100",
        "epochs=2",
        "batch_schedule.name=multi-step",
        "batch_schedule.factor=2",
        "batch_schedule.at.epochs=[1]",
    ]);
    assert_eq!(grown.steps, 12 + 6);
    assert_eq!(run(&["data.sampling=one", "steps=5"]).batch_size, 1);
}

#[test]
fn options_follow_their_name() {
    let text = "dataset = 'digits'\nmodel = 'mlp'\nlr = 1\noptimizer = { name = 'momentum', momentum = 0.5 }\n";
    let layered = |over: &[&str]| {
        let over: Vec<_> = over
            .iter()
            .map(|s| RunConfig::assignment(s).unwrap())
            .collect();
        RunConfig::layered(Some((std::path::Path::new("x.toml"), text)), &over)
    };
    let kept = layered(&["optimizer=momentum", "optimizer.weight_decay=0.1"])
        .unwrap()
        .optimizer;
    assert_eq!(
        kept.options.keys().collect::<Vec<_>>(),
        ["momentum", "weight_decay"]
    );
    assert_eq!(
        layered(&["optimizer=sgd"]).unwrap().optimizer,
        Choice::plain("sgd")
    );
    assert_eq!(
        layered(&["model.widths=[8]"]).unwrap().model.options["widths"],
        Value::Array(vec![8.into()])
    );

    let misspelt = RunConfig::layered(
        Some((
            std::path::Path::new("x.toml"),
            "dataset = 'digits'\nepoch = 3\n",
        )),
        &[],
    )
    .unwrap_err()
    .to_string();
    assert!(
        misspelt.contains("x.toml")
            && misspelt.contains("line 2")
            && misspelt.contains("did you mean `epochs`"),
        "{misspelt}"
    );
}

/// A resolved configuration is complete: read again, it gives the same run.
#[test]
fn a_resolved_configuration_is_a_fixed_point() {
    let first = open(&[
        "optimizer=lars",
        "optimizer.preset=timm",
        "schedule=cosine",
        "schedule.warmup.epochs=1",
        "epochs=3",
    ])
    .unwrap()
    .config;
    let again: RunConfig = toml::from_str(&first.to_toml()).unwrap();
    assert_eq!(first, again);
    let resolved = Experiment::open(again, &Lab::standard(), &Search::default())
        .unwrap()
        .config;
    assert_eq!((first.id(), &first), (resolved.id(), &resolved));
}

#[test]
fn values_out_of_range_are_named() {
    for (over, words) in [
        (
            &["batch_size=0"][..],
            &["batch_size", "0", "at least 1"][..],
        ),
        (&["batch_size=5000"], &["batch_size", "5000", "1150"]),
        (&["lr=-1"], &["lr", "-1"]),
        (&["lr=nan"], &["lr", "NaN"]),
        (&["epochs=1", "steps=1"], &["steps", "epochs"]),
        (&["label_smoothing=1"], &["label_smoothing", "0 ≤ x < 1"]),
        (&["accumulate=65"], &["accumulate", "65", "64"]),
        (&["clip_norm=0"], &["clip_norm", "above 0"]),
        (&["model=perceptron"], &["perceptron", "softmax"]),
        (
            &["model=mlp", "model.batch_norm=true", "batch_size=1"],
            &["batch_size", "batch norm"],
        ),
        (&["optimizer=lamp"], &["lamp", "lamb"]),
        (&["schedule=cosin"], &["cosin", "cosine"]),
        (&["dataset=digit"], &["digit", "digits"]),
        (&["device=gpu"], &["gpu", "flex"]),
        (&["data.validation=1437"], &["validation", "1437"]),
        (&["stop.divergence=0.5"], &["stop.divergence", "0.5"]),
    ] {
        let message = refused(over);
        assert!(
            words.iter().all(|word| message.contains(word)),
            "{over:?}: {message}"
        );
    }
}

#[test]
fn the_scaled_rate_is_reported_and_files_of_ones_own_have_their_files_name() {
    let end = run(&["batch_size=256", "scaling=linear", "steps=1"]);
    assert_eq!((end.lr, end.peak_lr), (0.1, 0.1 * 256.0 / 64.0));
    let own = config(&[
        "dataset.format=csv",
        "dataset.train=folder/iris.train.csv",
        "dataset.label=0",
    ])
    .unwrap();
    assert_eq!(own.dataset.name, "iris");
    let named = config(&[
        "dataset.name=mine",
        "dataset.format=csv",
        "dataset.train=iris.csv",
        "dataset.label=0",
    ])
    .unwrap();
    assert_eq!(named.dataset.name, "mine");
}
