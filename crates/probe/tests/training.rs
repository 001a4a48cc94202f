//! Measurements that an observer can make during training: the optimizer's preconditioner, and the
//! noise scale without extra gradients.

use largebatch_probe::curvature::preconditioner;
use largebatch_probe::noise::{NoiseOptions, Pairs, noise};
use largebatch_probe::{Objective, Subject, Subset, unwatched};
use largebatch_train::Lab;
use largebatch_train::{
    Controls, Experiment, Observer, RunConfig, Split, SquaredNorms, Start, Step, TrainError, Wants,
    train,
};
use toml::Value;

fn open(over: &[&str]) -> Experiment {
    let all = ["dataset=digits", "model=softmax"].iter().chain(over);
    let over: Vec<(String, Value)> = all.map(|s| RunConfig::assignment(s).unwrap()).collect();
    Experiment::open(
        RunConfig::layered(None, &over).unwrap(),
        &Lab::standard(),
        &Default::default(),
    )
    .unwrap()
}

/// Everything that a step shows to an observer.
#[derive(Default)]
struct Recorder<'a> {
    experiment: Option<&'a Experiment>,
    wants: bool,
    weights: Vec<Vec<f64>>,
    states: Vec<Vec<u8>>,
    norms: Vec<SquaredNorms>,
}

impl Recorder<'_> {
    fn keep(&mut self, network: &largebatch_models::Network) {
        if let Some(experiment) = self.experiment {
            self.weights.push(
                Subject::new(experiment, network, Split::Train, Subset::default())
                    .unwrap()
                    .weights()
                    .to_vec(),
            );
        }
    }
}

impl Observer for Recorder<'_> {
    fn wants(&self, _step: u64) -> Wants {
        Wants {
            network: true,
            norms: self.wants,
            ..Wants::STEP
        }
    }
    fn on_start(&mut self, start: &Start<'_>) -> Result<(), TrainError> {
        self.keep(start.network);
        Ok(())
    }
    fn on_step(&mut self, step: &Step<'_>) -> Result<(), TrainError> {
        self.keep(step.network.unwrap());
        if self.experiment.is_some() {
            self.states.push(step.driver.unwrap().save());
        }
        self.norms.extend(step.norms.cloned());
        Ok(())
    }
}

/// Without a mean of gradients (β₁ = 0) a step is Δw = −η g/P: compares P from the state with the
/// step itself and the gradient in f64.
#[test]
fn the_divisor_is_that_of_the_step() {
    for options in [
        &[
            "optimizer=adam",
            "optimizer.beta1=0.0",
            "optimizer.eps=0.001",
        ][..],
        &[
            "optimizer=adam",
            "optimizer.beta1=0.0",
            "optimizer.eps=0.001",
            "optimizer.amsgrad=true",
            "optimizer.beta2=0.5",
        ],
        &[
            "optimizer=adamw",
            "optimizer.beta1=0.0",
            "optimizer.eps=0.001",
            "optimizer.weight_decay=0.0",
        ],
        &["optimizer=adagrad", "optimizer.eps=0.001"],
        &[
            "optimizer=adagrad",
            "optimizer.preset=lecture",
            "optimizer.eps=0.001",
            "optimizer.lr_decay=0.5",
        ],
    ] {
        let rate = 0.05;
        let experiment = open(&[options, &["lr=0.05", "steps=6", "data.sampling=full"]].concat());
        let mut recorder = Recorder {
            experiment: Some(&experiment),
            ..Recorder::default()
        };
        train(
            &experiment,
            Controls {
                observers: vec![&mut recorder],
                ..Controls::default()
            },
        )
        .unwrap();
        let network = experiment.initial_model().unwrap().network;
        let mut subject =
            Subject::new(&experiment, &network, Split::Train, Subset::default()).unwrap();
        let of = experiment
            .optimizer
            .stability()
            .unwrap()
            .preconditioner
            .unwrap();
        for (t, state) in recorder.states.iter().enumerate() {
            let p = preconditioner(&of, subject.layers(), state)
                .unwrap()
                .unwrap();
            let (before, after) = (&recorder.weights[t], &recorder.weights[t + 1]);
            let (_, g) = subject.gradient(before).unwrap();
            for i in 0..p.len() {
                let (step, wanted) = (after[i] - before[i], -rate * g[i] / p[i]);
                // Weights and gradient are f32, with a magnitude of at most 1.
                assert!(
                    (step - wanted).abs() < 1e-6 + 1e-3 * wanted.abs(),
                    "{options:?}, step {t}, weight {i}: {step}, by P {wanted}"
                );
            }
        }
    }
}

/// At fixed weights, the interval of B_simple from the steps' own micro-batches contains that of
/// the data set, in each window and over all steps.
#[test]
fn pairs_from_accumulation_hold_the_exact_noise_scale() {
    // 60 examples in 7 micro-batches of 8 or 9. The rate is far too low to move an f32 weight.
    let over = [
        "optimizer=sgd",
        "lr=1e-30",
        "batch_size=60",
        "accumulate=7",
        "steps=1000",
    ];
    let experiment = open(&over);
    let mut recorder = Recorder {
        wants: true,
        ..Recorder::default()
    };
    train(
        &experiment,
        Controls {
            observers: vec![&mut recorder],
            ..Controls::default()
        },
    )
    .unwrap();
    let network = experiment.initial_model().unwrap().network;
    let mut subject = Subject::new(&experiment, &network, Split::Train, Subset::default()).unwrap();
    let w = subject.weights().to_vec();
    let options = NoiseOptions {
        replicates: 0,
        pairs: 0,
        ..NoiseOptions::default()
    };
    let (exact, _) = noise(&mut subject, &w, &[], &options, &mut unwatched).unwrap();
    // Drawn without replacement, the batches treat the data set as a sample of a population.
    let truth = exact.b_simple_population.unwrap();

    let of = |norms: &[SquaredNorms]| {
        let mut pairs = Pairs::default();
        norms.iter().for_each(|n| pairs.add(n));
        pairs.noise().unwrap()
    };
    assert_eq!(recorder.norms.len(), 1000);
    assert!(
        recorder
            .norms
            .iter()
            .any(|n| n.parts.iter().any(|p| p.0 == 8) && n.parts.iter().any(|p| p.0 == 9))
    );
    let all = of(&recorder.norms);
    let held = recorder
        .norms
        .chunks(50)
        .filter(|window| of(window).interval.unwrap().contains(truth))
        .count();
    println!(
        "exact {truth:.3}; over 1000 steps {:.3}, {:?}; {held} of 20 windows contain it",
        all.b_simple.unwrap(),
        all.interval
    );
    assert!(all.interval.unwrap().contains(truth));
    assert!(held >= 17, "{held} of 20");
    assert!((all.b_simple.unwrap() / truth - 1.0).abs() < 0.05);
    assert!(
        (all.trace / exact.trace - 1.0).abs() < 0.02,
        "{} {}",
        all.trace,
        exact.trace
    );
}

/// Norms are reported only if they are requested and the batch is split, and they do not change the
/// weights.
#[test]
fn norms_come_when_asked_for() {
    for (accumulate, workers, wants) in [
        ("4", "1", true),
        ("2", "2", true),
        ("4", "1", false),
        ("1", "1", true),
    ] {
        let over = ["optimizer=momentum", "lr=0.1", "batch_size=50", "steps=12"];
        let parts = [
            format!("accumulate={accumulate}"),
            format!("workers={workers}"),
        ];
        let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
        let experiment = open(&[&over[..], &parts].concat());
        let mut recorder = Recorder {
            wants,
            ..Recorder::default()
        };
        let (_, watched) = train(
            &experiment,
            Controls {
                observers: vec![&mut recorder],
                ..Controls::default()
            },
        )
        .unwrap();
        let (_, plain) = train(&experiment, Controls::default()).unwrap();
        let weights = |network| {
            Subject::new(&experiment, network, Split::Train, Subset::default())
                .unwrap()
                .weights()
                .to_vec()
        };
        assert_eq!(weights(&watched), weights(&plain));
        let is_cut = (accumulate, workers) != ("1", "1");
        assert_eq!(
            recorder.norms.len(),
            if wants && is_cut { 12 } else { 0 },
            "{accumulate} {workers} {wants}"
        );
        for norms in &recorder.norms {
            // 50 examples in 4 parts: 12, 13, 12, 13.
            assert_eq!(
                norms.parts.iter().map(|p| p.0).collect::<Vec<_>>(),
                [12, 13, 12, 13]
            );
            // The gradient of the batch is the mean of the parts', so its norm is at most their
            // mean norm.
            let mean = norms.parts.iter().map(|(n, g)| *n as f64 * g).sum::<f64>() / 50.0;
            assert!(norms.whole > 0.0 && norms.whole <= mean);
        }
    }
}
