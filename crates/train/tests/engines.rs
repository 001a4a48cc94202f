//! A training without a graph gives the bits of a training on Burn's graph: the loss of every step,
//! every evaluation, the weights and the optimizer's state, for every model, optimizer and option
//! that it supports, and if a run is resumed on the other engine.

use std::sync::atomic::{AtomicBool, Ordering};

use largebatch_data::{Dataset, Holdout, Labels, Part, Preprocess, Task};
use largebatch_random::{Key, below, normal};
use largebatch_train::{
    Controls, Environment, Evaluation, Experiment, Lab, Observer, RunConfig, RunFile, RunFolder,
    SCHEMA, Start, Step, TrainError, Trainer, Wants, to_safetensors, train,
};

const STEPS: u64 = 7;

/// Normal features, and labels drawn uniformly.
fn dataset(task: Task, features: usize) -> Dataset {
    let n = 300;
    let mut rng = Key::new(7).word("engines").rng();
    let values = (0..n * features).map(|_| normal(&mut rng)).collect();
    let labels = match task {
        Task::Classes(classes) => {
            Labels::Classes((0..n).map(|_| below(&mut rng, classes as u32)).collect())
        }
        Task::Real => Labels::Targets((0..n).map(|_| normal(&mut rng)).collect()),
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

fn experiment(dataset: &Dataset, settings: &[&str]) -> Experiment {
    let steps = format!("steps={STEPS}");
    let evaluate = "log.evaluate_every_steps=3";
    let over: Vec<_> = ["dataset=made", "lr=0.05", evaluate, &steps]
        .iter()
        .chain(settings)
        .map(|s| RunConfig::assignment(s).unwrap())
        .collect();
    let holdout = Holdout {
        train: (0..270).collect(),
        validation: (270..300).collect(),
    };
    let config = RunConfig::layered(None, &over).unwrap();
    Experiment::with(config, dataset.clone(), holdout, &Lab::standard()).unwrap()
}

/// What must be the same on both engines.
#[derive(PartialEq, Debug, Default)]
struct Seen {
    losses: Vec<u64>,
    /// With all digits.
    evaluations: Vec<String>,
    weights: Vec<u8>,
    optimizer: Vec<u8>,
    norms: Vec<u64>,
}

/// Sees each step; interrupts after step `until`.
struct Recorder<'a> {
    seen: Seen,
    graph: Option<&'static str>,
    interrupt: &'a AtomicBool,
    until: u64,
}

impl Observer for Recorder<'_> {
    fn wants(&self, step: u64) -> Wants {
        Wants {
            network: step == STEPS,
            norms: true,
            ..Wants::STEP
        }
    }
    fn on_start(&mut self, start: &Start<'_>) -> Result<(), TrainError> {
        self.graph = start.graph;
        Ok(())
    }
    fn on_step(&mut self, step: &Step<'_>) -> Result<(), TrainError> {
        self.seen.losses.extend(step.loss.map(f64::to_bits));
        let norms = step.norms.map(|n| n.whole.to_bits());
        self.seen.norms.extend(norms);
        if let (Some(network), Some(driver)) = (step.network, step.driver) {
            self.seen.weights = to_safetensors(network, None)?;
            self.seen.optimizer = driver.save();
        }
        if step.step == self.until {
            self.interrupt.store(true, Ordering::Relaxed);
        }
        Ok(())
    }
    fn on_evaluation(&mut self, evaluation: &Evaluation) -> Result<(), TrainError> {
        self.seen.evaluations.push(format!("{evaluation:?}"));
        Ok(())
    }
}

/// Trains up to step `until`, or to the end, and says why on a graph.
fn run(
    experiment: &Experiment,
    on_graph: bool,
    folder: Option<&RunFolder>,
    until: u64,
) -> (Seen, Option<&'static str>) {
    let interrupt = AtomicBool::new(false);
    let mut recorder = Recorder {
        seen: Seen::default(),
        graph: None,
        interrupt: &interrupt,
        until,
    };
    let controls = Controls {
        folder,
        observers: vec![&mut recorder],
        interrupt: &interrupt,
        on_graph,
        fitted: 50,
        ..Controls::default()
    };
    let (outcome, _) = train(experiment, controls).unwrap();
    let Recorder {
        mut seen, graph, ..
    } = recorder;
    let tested = outcome.test.map(|test| format!("{test:?}"));
    seen.evaluations.extend(tested);
    (seen, graph)
}

/// Compares both engines, with 1 and 2 threads.
fn compare(dataset: &Dataset, settings: &[&str]) {
    let experiment = experiment(dataset, settings);
    let mut all = Vec::new();
    for threads in [1, 2] {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads);
        pool.build().unwrap().install(|| {
            let (chain, graph) = run(&experiment, false, None, 0);
            assert_eq!(graph, None, "{settings:?}");
            all.push(chain);
            let (on_graph, graph) = run(&experiment, true, None, 0);
            assert!(graph.is_some());
            all.push(on_graph);
        });
    }
    assert_eq!(all[0].losses.len(), STEPS as usize);
    assert!(all[0].evaluations.len() > 3);
    for other in &all[1..] {
        assert!(all[0] == *other, "{settings:?}: {:?} {other:?}", all[0]);
    }
}

const MODELS: [(&str, Task, usize); 7] = [
    ("model=linear", Task::Real, 5),
    ("model=logistic", Task::Classes(2), 5),
    ("model=perceptron", Task::Classes(2), 40),
    ("model=softmax", Task::Classes(3), 7),
    ("model=mlp model.widths=[4]", Task::Classes(2), 3),
    ("model=mlp model.widths=[40,33]", Task::Classes(11), 300),
    ("model=mlp model.widths=[520,18,70]", Task::Classes(5), 20),
];

const OPTIMIZERS: [&str; 33] = [
    "optimizer=sgd",
    "optimizer=sgd optimizer.weight_decay=0.1 optimizer.decay=decoupled",
    "optimizer=momentum optimizer.weight_decay=0.1",
    "optimizer=momentum optimizer.dampening=0.3",
    "optimizer=momentum optimizer.preset=textbook",
    "optimizer=momentum optimizer.preset=heavy-ball",
    "optimizer=nesterov optimizer.weight_decay=0.1",
    "optimizer=nesterov optimizer.preset=textbook optimizer.weight_decay=0.1",
    "optimizer=adagrad",
    "optimizer=adagrad optimizer.lr_decay=0.1 optimizer.eps_place=inside",
    "optimizer=adam",
    "optimizer=lion",
    "optimizer=rmsprop",
    "optimizer=rmsprop optimizer.preset=optax",
    "optimizer=adam optimizer.weight_decay=0.1 optimizer.eps=0.0",
    "optimizer=adamw",
    "optimizer=adam optimizer.groups=[{parameters=\"bias\",lr_factor=0.1}]",
    "optimizer=adamax optimizer.weight_decay=0.1",
    "optimizer=adamax optimizer.preset=keras",
    "optimizer=adadelta",
    "optimizer=adadelta optimizer.weight_decay=0.1 optimizer.decay=decoupled",
    "optimizer=nadam",
    "optimizer=nadam optimizer.preset=optax",
    "optimizer=nadamw",
    "optimizer=lars",
    "optimizer=lars optimizer.preset=mlperf",
    "optimizer=lars optimizer.preset=optax optimizer.trust_clip=true",
    "optimizer=lars optimizer.rate=outside optimizer.nesterov=true",
    "optimizer=lamb",
    "optimizer=lamb optimizer.preset=paper-v3",
    "optimizer=lamb optimizer.preset=timm",
    "optimizer=lamb optimizer.preset=deepspeed",
    "optimizer=lamb optimizer.pre_normalize=true",
];

const BATCHES: [&str; 7] = ["1", "3", "4", "5", "33", "130", "260"];

fn words(line: &str) -> impl Iterator<Item = &str> {
    line.split_whitespace()
}

#[test]
fn every_model_and_optimizer() {
    for (model, task, features) in MODELS {
        let data = dataset(task, features);
        for (i, optimizer) in OPTIMIZERS.iter().enumerate() {
            // Each optimizer meets each batch size on some model.
            for batch in [BATCHES[i % 7], BATCHES[(i + features) % 7]] {
                let batch = format!("batch_size={batch}");
                let settings: Vec<_> = words(model).chain(words(optimizer)).collect();
                compare(&data, &[&settings[..], &[&batch]].concat());
            }
        }
    }
}

#[test]
fn every_model_and_batch() {
    for (model, task, features) in MODELS {
        let data = dataset(task, features);
        for batch in BATCHES {
            let batch = format!("batch_size={batch}");
            let settings: Vec<_> = words(model).chain(["optimizer=momentum", &batch]).collect();
            compare(&data, &settings);
        }
    }
}

#[test]
fn every_layer() {
    let data = dataset(Task::Classes(11), 30);
    for layers in [
        "model.activation=tanh",
        "model.activation=sigmoid",
        "model.activation=gelu model.dropout=0.2",
        "model.dropout=0.5",
        "model.batch_norm=true",
        "model.batch_norm=true model.activation=gelu",
        "model.batch_norm=true model.dropout=0.3 clip_norm=0.5",
        "model.batch_norm=true ghost_batch=16",
        "model.batch_norm=true ghost_batch=16 accumulate=2",
        "model.batch_norm=true ghost_batch=4 workers=3",
    ] {
        for optimizer in ["optimizer=momentum", "optimizer=adam"] {
            for batch in ["batch_size=9", "batch_size=65", "batch_size=130"] {
                let model = words("model=mlp model.widths=[40,33]").chain(words(layers));
                let settings: Vec<_> = model.chain([optimizer, batch]).collect();
                compare(&data, &settings);
            }
        }
    }
}

#[test]
fn every_option() {
    let model = "model=mlp model.widths=[40,33] optimizer=momentum";
    let data = dataset(Task::Classes(11), 30);
    for option in [
        "label_smoothing=0.1",
        "clip_norm=0.5",
        "clip_value=0.01",
        "clip_norm=0.5 clip_value=0.01 label_smoothing=0.2",
        "accumulate=3",
        "workers=2",
        "workers=2 accumulate=3 clip_norm=0.5",
        "log.evaluate_every_steps=2",
        "schedule=cosine",
    ] {
        for batch in ["batch_size=7", "batch_size=33", "batch_size=130"] {
            let settings: Vec<_> = words(model).chain(words(option)).chain([batch]).collect();
            compare(&data, &settings);
        }
    }
    for sampling in ["data.sampling=one", "data.sampling=full"] {
        let settings: Vec<_> = words(model).chain([sampling]).collect();
        compare(&data, &settings);
    }
    let data = dataset(Task::Classes(2), 4);
    let settings = [
        "model=perceptron",
        "model.update_on_tie=true",
        "model.init=zero",
    ];
    for batch in ["batch_size=1", "batch_size=33"] {
        compare(&data, &[&settings[..], &["optimizer=sgd", batch]].concat());
    }
}

/// A batch in the same parts has the same gradient for any number of workers and threads: also the
/// last batch of an epoch, of 10 examples, and with batch norm, dropout and clipping.
#[test]
fn parts_have_the_same_bits_for_any_number_of_workers() {
    let data = dataset(Task::Classes(11), 30);
    let model = "model=mlp model.widths=[40,33] model.batch_norm=true model.dropout=0.3";
    let common = "optimizer=nesterov clip_norm=0.5 batch_size=65";
    let mut all: Vec<Seen> = Vec::new();
    for parts in [1, 2, 3, 4, 6, 7, 8, 12] {
        let mut same = Vec::new();
        for workers in ["workers=1", "workers=2", "workers=4"] {
            let line = format!("{model} {common} parts={parts} {workers}");
            let settings: Vec<_> = words(&line).collect();
            let experiment = experiment(&data, &settings);
            assert_eq!(experiment.config.identity().workers, 1);
            for threads in [1, 2] {
                let pool = rayon::ThreadPoolBuilder::new().num_threads(threads);
                pool.build().unwrap().install(|| {
                    same.extend([false, true].map(|on_graph| run(&experiment, on_graph, None, 0).0))
                });
            }
        }
        for other in &same[1..] {
            assert!(same[0] == *other, "{parts} parts: {:?} {other:?}", same[0]);
        }
        all.extend(same.pop());
    }
    for (i, one) in all.iter().enumerate() {
        assert!(
            all[..i].iter().all(|other| other.weights != one.weights),
            "the comparison would see another number of parts"
        );
    }
}

/// Steps whose batches and rates the caller chooses, as probes do.
#[test]
fn single_steps() {
    let data = dataset(Task::Classes(11), 30);
    for settings in [
        "optimizer=nesterov optimizer.preset=textbook label_smoothing=0.1 clip_norm=0.5",
        "model.batch_norm=true model.dropout=0.3 ghost_batch=16",
    ] {
        let model = words("model=mlp model.widths=[40,33] batch_size=33");
        let settings: Vec<_> = model.chain(words(settings)).collect();
        let experiment = experiment(&data, &settings);
        let [chain, graph] = [false, true].map(|on_graph| {
            let mut network = experiment.initial_model().unwrap().network;
            let mut trainer = Trainer::new(&experiment, &network, on_graph).unwrap();
            let (mut order, mut losses) = (experiment.order().unwrap(), Vec::new());
            for step in 1..=STEPS {
                let (epoch, indices) = order.next(33);
                let before = trainer.loss_in_training(&network, 70).unwrap();
                let rate = 0.01 * step as f64;
                let done = trainer.step_on(network, (epoch, &indices), rate).unwrap();
                losses.extend([before, done.1].map(f64::to_bits));
                network = done.0;
            }
            let network = trainer.up_to_date(network);
            (losses, to_safetensors(&network, None).unwrap())
        });
        assert!(chain == graph, "{settings:?}");
    }
}

/// What a chain does not have is trained on the graph, and the reason is given.
#[test]
fn the_rest_uses_the_graph() {
    let data = dataset(Task::Classes(11), 30);
    for (settings, reason) in [
        (
            "model=mlp model.widths=[15] model.batch_norm=true optimizer=sgd",
            "the model",
        ),
        ("model=softmax optimizer=muon", "the optimizer"),
        ("model=softmax log.layers_every_steps=1", "the norms"),
        (
            "model=softmax optimizer=adam optimizer.amsgrad=true",
            "the optimizer",
        ),
    ] {
        let settings: Vec<_> = words(settings).chain(["batch_size=20"]).collect();
        let (_, graph) = run(&experiment(&data, &settings), false, None, 0);
        assert!(graph.unwrap().contains(reason), "{settings:?}: {graph:?}");
    }
}

/// A run that changes the engine at a checkpoint, after the first step or later.
#[test]
fn a_run_resumes_on_the_other_engine() {
    let data = dataset(Task::Classes(11), 30);
    for optimizer in [
        "sgd", "momentum", "nesterov", "adam", "adagrad", "adadelta", "adamax", "nadam", "nadamw",
        "lion", "rmsprop", "lars", "lamb",
    ] {
        let optimizer = format!("optimizer={optimizer}");
        let settings = [
            "model=mlp",
            "model.widths=[40]",
            "batch_size=33",
            &optimizer,
        ];
        let experiment = experiment(&data, &settings);
        let (whole, _) = run(&experiment, false, None, 0);
        for (until, first) in [(1, false), (3, false), (3, true), (1, true)] {
            let place = tempfile::tempdir().unwrap();
            let file = RunFile {
                schema: SCHEMA,
                id: experiment.config.id(),
                provenance: Environment {
                    version: String::new(),
                    device: String::new(),
                    threads: 1,
                    cpu: None,
                    platform: String::new(),
                    data_dir: None,
                    folder: None,
                },
                config: experiment.config.clone(),
                sources: Vec::new(),
                examples: None,
                earlier_sources: Vec::new(),
            };
            let folder = RunFolder::create(&place.path().join("run"), &file).unwrap();
            let (begin, _) = run(&experiment, first, Some(&folder), until);
            let (mut end, _) = run(&experiment, !first, Some(&folder), 0);
            end.losses.splice(0..0, begin.losses);
            end.evaluations.splice(0..0, begin.evaluations);
            assert!(end == whole, "{optimizer} {until} {first}");
        }
    }
}
