//! The conformance suite on every optimizer of the registry, against PyTorch, optax, timm and NumPy
//! transcriptions (`tests/golden/optim.py`, `modern.py`, `adafactor.py` and `muon.py`).
//!
//! `cargo test --release -p largebatch-optim --test golden -- --nocapture` prints the table of
//! deviations in `docs/deviations.md`.

use largebatch_optim::conformance::{Failures, Reference, Report, check};
use largebatch_optim::*;
use safetensors::SafeTensors;
use serde::Deserialize;
use std::collections::BTreeMap;

/// What a script wrote: the input, by sets of parameters, and what the origins made of it.
struct Golden {
    input: &'static [u8],
    expected: &'static [u8],
    sets: &'static [&'static str],
}

const CLASSIC: Golden = Golden {
    input: include_bytes!("golden/input.safetensors"),
    expected: include_bytes!("golden/expected.safetensors"),
    sets: &["plain", "large", "small"],
};
const ADAFACTOR: Golden = Golden {
    input: include_bytes!("golden/adafactor-input.safetensors"),
    expected: include_bytes!("golden/adafactor-expected.safetensors"),
    sets: &["plain"],
};
const MUON: Golden = Golden {
    input: include_bytes!("golden/muon-input.safetensors"),
    expected: include_bytes!("golden/muon-expected.safetensors"),
    sets: &["plain"],
};
const MODERN: Golden = Golden {
    input: include_bytes!("golden/modern-input.safetensors"),
    expected: include_bytes!("golden/modern-expected.safetensors"),
    sets: &["plain"],
};

#[derive(Deserialize)]
struct Header {
    versions: BTreeMap<String, String>,
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    optimizer: String,
    preset: String,
    options: toml::Table,
    origin: String,
}

fn header(bytes: &[u8]) -> Header {
    let (_, metadata) = SafeTensors::read_metadata(bytes).unwrap();
    serde_json::from_str(&metadata.metadata().as_ref().unwrap()["golden"]).unwrap()
}

fn numbers(file: &SafeTensors, name: &str) -> (Vec<usize>, Vec<f64>) {
    let view = file.tensor(name).unwrap();
    (
        view.shape().to_vec(),
        view.data()
            .as_chunks()
            .0
            .iter()
            .map(|b| f64::from_le_bytes(*b))
            .collect(),
    )
}

/// The first axis is the step.
fn steps((shape, values): (Vec<usize>, Vec<f64>)) -> Vec<Vec<f64>> {
    values
        .chunks(values.len() / shape[0])
        .map(<[f64]>::to_vec)
        .collect()
}

fn trajectory(golden: &Golden, set: &str) -> Trajectory {
    let file = SafeTensors::deserialize(golden.input).unwrap();
    let mut names: Vec<String> = file
        .names()
        .into_iter()
        .filter_map(|n| {
            n.strip_prefix(&format!("{set}:"))?
                .strip_suffix("/init")
                .map(String::from)
        })
        .collect();
    names.sort();
    let parameters = names.into_iter().map(|name| {
        let (shape, init) = numbers(&file, &format!("{set}:{name}/init"));
        Named {
            shape,
            init,
            grads: steps(numbers(&file, &format!("{set}:{name}/grad"))),
            name,
        }
    });
    let parameters = parameters.collect();
    Trajectory {
        rates: numbers(&file, &format!("{set}:lr")).1,
        parameters,
    }
}

fn references(optimizer: &str) -> Vec<Reference> {
    let all = [CLASSIC, MODERN, ADAFACTOR, MUON].map(|golden| references_in(&golden, optimizer));
    all.into_iter().flatten().collect()
}

fn references_in(golden: &Golden, optimizer: &str) -> Vec<Reference> {
    let file = SafeTensors::deserialize(golden.expected).unwrap();
    let mut all = Vec::new();
    for (i, case) in header(golden.expected)
        .cases
        .into_iter()
        .enumerate()
        .filter(|(_, c)| c.optimizer == optimizer)
    {
        for set in golden.sets {
            let trajectory = trajectory(golden, set);
            let by_parameter: Vec<_> = trajectory
                .parameters
                .iter()
                .map(|p| steps(numbers(&file, &format!("{i}:{set}:{}", p.name))))
                .collect();
            let expected = (0..trajectory.rates.len())
                .map(|t| by_parameter.iter().map(|steps| steps[t].clone()).collect())
                .collect();
            let options = case
                .options
                .clone()
                .into_iter()
                .map(|(k, v)| match v.as_str() {
                    Some("inf") => (k, f64::INFINITY.into()),
                    _ => (k, v),
                });
            all.push(Reference {
                origin: case.origin.clone(),
                // The files were written when `textbook` was `lecture`.
                preset: Some(case.preset.replace("lecture", "textbook")),
                options: options.collect(),
                trajectory,
                expected,
            });
        }
    }
    all
}

type Check = fn(&[Reference]) -> Result<Report, Failures>;

/// The optimizers to check; `every_row_is_checked` compares the list with the registry.
const CHECKED: [(&str, Check); 18] = [
    ("sgd", check::<SgdConfig>),
    ("momentum", check::<MomentumConfig>),
    ("nesterov", check::<NesterovConfig>),
    ("adagrad", check::<AdagradConfig>),
    ("rmsprop", check::<RmspropConfig>),
    ("adadelta", check::<AdadeltaConfig>),
    ("adam", check::<AdamConfig>),
    ("adamw", check::<AdamWConfig>),
    ("adamax", check::<AdamaxConfig>),
    ("adafactor", check::<AdafactorConfig>),
    ("nadam", check::<NadamConfig>),
    ("nadamw", check::<NadamWConfig>),
    ("lion", check::<LionConfig>),
    ("lars", check::<LarsConfig>),
    ("novograd", check::<NovogradConfig>),
    ("lamb", check::<LambConfig>),
    ("lans", check::<LansConfig>),
    ("muon", check::<MuonConfig>),
];

#[test]
fn every_row_is_checked() {
    let registry = standard();
    let rows: Vec<&str> = registry.iter().map(|e| e.facts().name).collect();
    assert_eq!(rows, CHECKED.map(|(name, _)| name));
}

#[test]
fn every_optimizer_conforms() {
    println!(
        "{:?}\n{:?}\n{:?}\n{:?}\n\n| optimizer | variant | origin | f64 | f32 |\n| --- | --- | --- | --- | --- |",
        header(CLASSIC.expected).versions,
        header(MODERN.expected).versions,
        header(ADAFACTOR.expected).versions,
        header(MUON.expected).versions
    );
    let mut failures = Vec::new();
    std::thread::scope(|scope| {
        let running: Vec<_> = CHECKED
            .map(|(name, check)| scope.spawn(move || check(&references(name))))
            .into();
        for one in running {
            match one.join().unwrap() {
                Ok(report) => print!("{report}"),
                Err(e) => failures.push(e.to_string()),
            }
        }
    });
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

/// The golden vectors cover at least 50 steps, ranks 1 to 5, a changing rate, zeros and magnitudes
/// of 1e±15.
#[test]
fn the_golden_vectors_are_hard_enough() {
    let (plain, large, small) = (
        trajectory(&CLASSIC, "plain"),
        trajectory(&CLASSIC, "large"),
        trajectory(&CLASSIC, "small"),
    );
    assert!(plain.rates.len() >= 50 && plain.rates.windows(2).all(|r| r[0] != r[1] || r[0] == 1.7));
    let ranks: std::collections::BTreeSet<usize> =
        plain.parameters.iter().map(|p| p.shape.len()).collect();
    assert_eq!(ranks, (1..=5).collect());
    assert!(
        plain
            .parameters
            .iter()
            .any(|p| p.init.iter().all(|x| *x == 0.0))
    );
    assert!(
        plain
            .parameters
            .iter()
            .all(|p| p.grads[13..16].iter().flatten().all(|x| *x == 0.0))
    );
    let largest = |p: &Named| {
        p.grads
            .iter()
            .flatten()
            .fold(0.0, |m: f64, x| m.max(x.abs()))
    };
    assert!(
        large.parameters.iter().all(|p| largest(p) > 1e15)
            && small.parameters.iter().all(|p| largest(p) < 1e-14)
    );
}
