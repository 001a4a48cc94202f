//! Loss and accuracy, lines and planes of small networks, against the evaluation in training and
//! against sums by hand.

use std::path::Path;

use largebatch_data::Search;
use largebatch_probe::landscape::{Landscape, State, Statistics};
use largebatch_probe::line::{Distances, alphas, comparable, line};
use largebatch_probe::plane::Plane;
use largebatch_probe::surface::{Surface, sample, spaced};
use largebatch_probe::{ProbeError, unwatched};
use largebatch_train::Lab;
use largebatch_train::{Controls, Experiment, RunConfig, Split, train};

fn open(over: &[&str]) -> Experiment {
    let all = [
        "dataset=digits",
        "model=mlp",
        "model.widths=[12, 8]",
        "model.batch_norm=true",
        "optimizer=adam",
        "lr=0.01",
        "steps=30",
    ];
    let over: Vec<_> = all
        .iter()
        .chain(over)
        .map(|s| RunConfig::assignment(s).unwrap())
        .collect();
    Experiment::open(
        RunConfig::layered(None, &over).unwrap(),
        &Lab::standard(),
        &Search::default(),
    )
    .unwrap()
}

fn trained(experiment: &Experiment) -> State {
    State::of(
        &train(experiment, Controls::default()).unwrap().1,
        Path::new("run"),
    )
    .unwrap()
}

/// Without recomputed statistics, the ends of the line have the losses that training measured.
#[test]
fn the_lines_ends_are_the_runs() {
    let (small, large) = (open(&["batch_size=16"]), open(&["batch_size=256"]));
    let (s, l) = (trained(&small), trained(&large));
    let landscape = Landscape::new(&small, Statistics::Given, None).unwrap();
    let points = line(
        &landscape,
        &s,
        &l,
        &alphas(0.0, 1.0, 3).unwrap(),
        true,
        &mut unwatched,
    )
    .unwrap();
    for (state, point) in [(&s, &points[0]), (&l, &points[2])] {
        let network = landscape.network(state).unwrap();
        for (which, height) in [
            (Split::Train, point.train),
            (Split::Test, point.test.unwrap()),
        ] {
            let metrics = small.evaluate(&network, which).unwrap().unwrap();
            assert!((height.loss.unwrap() - metrics.loss).abs() < 1e-6 * metrics.loss.max(1.0));
            assert!((height.accuracy.unwrap() - metrics.accuracy.unwrap()).abs() < 1e-9);
        }
    }
    let initial = State::of(&small.initial_model().unwrap().network, Path::new("run")).unwrap();
    let d = Distances::of([&initial, &s], [&initial, &l]);
    let norm = |a: &State, b: &State| {
        a.parameters
            .iter()
            .zip(&b.parameters)
            .map(|(a, b)| (a - b).powi(2))
            .sum::<f64>()
            .sqrt()
    };
    assert!((d.small - norm(&s, &initial)).abs() < 1e-9 && (d.between - norm(&s, &l)).abs() < 1e-9);
    assert!((d.ratio - d.small / d.large).abs() < 1e-12);
    // The law of cosines ties the angle to the three distances.
    let law = (d.small.powi(2) + d.large.powi(2) - d.between.powi(2)) / (2.0 * d.small * d.large);
    assert!((d.cosine_of_paths.unwrap() - law).abs() < 1e-9);
}

/// The first layer's recomputed statistics are the mean and the unbiased variance of Wx + b,
/// averaged over passes: 1150 examples make two passes of 575.
#[test]
fn recomputed_statistics_are_those_of_the_examples() {
    let experiment = open(&[]);
    let state = trained(&experiment);
    let landscape = Landscape::new(&experiment, Statistics::Recompute, None).unwrap();
    let found = State::of(&landscape.network(&state).unwrap(), Path::new("run")).unwrap();
    assert_eq!(found.parameters, state.parameters);
    let (part, indices) = experiment.indices(Split::Train);
    assert_eq!(indices.len(), 1150);
    let shapes = landscape.shapes();
    assert_eq!(shapes[0], [12, 64], "PyTorch's layout");
    let (w, b) = (
        &state.parameters[..12 * 64],
        &state.parameters[12 * 64..12 * 65],
    );
    let (mut means, mut variances) = (vec![0.0; 12], vec![0.0; 12]);
    for some in indices.chunks(575) {
        let inputs: Vec<f64> = experiment
            .batch(part, some, None)
            .unwrap()
            .0
            .into_data()
            .iter::<f64>()
            .collect();
        for k in 0..12 {
            let output =
                |x: &[f64]| x.iter().zip(&w[k * 64..]).map(|(x, w)| x * w).sum::<f64>() + b[k];
            let outputs: Vec<f64> = inputs.chunks(64).map(output).collect();
            let mean = outputs.iter().sum::<f64>() / 575.0;
            means[k] += mean / 2.0;
            variances[k] += outputs.iter().map(|o| (o - mean).powi(2)).sum::<f64>() / 574.0 / 2.0;
        }
    }
    for k in 0..12 {
        assert!(
            (found.buffers[k] - means[k]).abs() < 1e-4 * means[k].abs().max(1.0),
            "mean {k}: {} against {}",
            found.buffers[k],
            means[k]
        );
        assert!(
            (found.buffers[12 + k] / variances[k] - 1.0).abs() < 1e-4,
            "variance {k}: {} against {}",
            found.buffers[12 + k],
            variances[k]
        );
    }
    let mut other = state.clone();
    other.buffers.iter_mut().for_each(|b| *b = 7.0);
    assert_eq!(
        State::of(&landscape.network(&other).unwrap(), Path::new("run")).unwrap(),
        found,
        "the given statistics do not matter"
    );
}

#[test]
fn a_surface_is_its_function_and_reads_back() {
    let plane = Plane::through([
        ("a", &[0.0, 0.0, 1.0]),
        ("b", &[2.0, 0.0, 1.0]),
        ("c", &[0.0, 3.0, 1.0]),
    ])
    .unwrap();
    let (a, b) = (
        spaced((-1.0, 1.0), 5).unwrap(),
        spaced((0.0, 2.0), 3).unwrap(),
    );
    let height = |_: f64, _: f64, w: Vec<f64>| {
        Ok(largebatch_probe::landscape::Height {
            loss: Some(w[0] * w[0] + 10.0 * w[1] + w[2]),
            accuracy: None,
        })
    };
    let (loss, accuracy) = sample(&plane, &a, &b, height, &mut unwatched).unwrap();
    for (j, y) in b.iter().enumerate() {
        for (i, x) in a.iter().enumerate() {
            assert!((loss[j][i].unwrap() - (x * x + 10.0 * y + 1.0)).abs() < 1e-12);
        }
    }
    let mut watch = |done: u64, all: u64| {
        assert_eq!(all, 15);
        done < 7
    };
    let (part, _) = sample(&plane, &a, &b, height, &mut watch).unwrap();
    assert_eq!(
        part.iter().flatten().flatten().count(),
        7,
        "the measured points are kept"
    );
    let surface = Surface {
        plane: "three points".into(),
        what: "test".into(),
        batch_norm: None,
        examples: 1,
        seed: None,
        a,
        b,
        loss,
        accuracy,
        marks: plane.marks,
        explained: None,
    };
    let text = serde_json::to_string(&surface).unwrap();
    let back = Surface::read(&text, "surface.json").unwrap();
    assert_eq!(back, surface);
    assert_eq!(back.figure().svg(), surface.figure().svg());
    let error = |text: &str| Surface::read(text, "surface.json").unwrap_err().to_string();
    assert!(
        error("{}").contains("surface.json")
            && error(&text.replacen("[0.0,", "[0.0,9.0,", 1)).contains("surface.json")
    );
}

#[test]
fn bad_input_is_named() {
    let text = |r: Result<(), ProbeError>| r.unwrap_err().to_string();
    let one = open(&[]);
    assert!(text(comparable(&one, &open(&["model.widths=[12, 9]"]))).contains("model"));
    assert!(text(comparable(&one, &open(&["dataset=breast-cancer"]))).contains("breast-cancer"));
    assert!(text(comparable(&one, &open(&["split_seed=5"]))).contains("split_seed = 5"));
    assert!(comparable(&one, &open(&["batch_size=7", "seed=3", "lr=1.0"])).is_ok());
    assert!(
        Landscape::new(&one, Statistics::Given, Some(0))
            .err()
            .unwrap()
            .to_string()
            .contains("at least one")
    );
    assert!(
        text(alphas(1.0, 1.0, 5).map(drop)).contains("increase")
            && text(alphas(0.0, 1.0, 1).map(drop)).contains("points = 1")
    );
    let landscape = Landscape::new(&one, Statistics::Given, None).unwrap();
    let mut state = State::of(&one.initial_model().unwrap().network, Path::new("run")).unwrap();
    state.parameters.pop();
    assert!(text(landscape.network(&state).map(drop)).contains("another model"));
}
