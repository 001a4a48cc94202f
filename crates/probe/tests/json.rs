//! Results survive a round trip through JSON, including numbers that JSON does not support.

use largebatch_probe::curvature::{Curvature, Edge, Estimate};
use largebatch_probe::landscape::State;
use largebatch_probe::layers::LayerRow;
use largebatch_probe::line::{Distances, Line};
use largebatch_probe::noise::{LayerNoise, Noise, PairNoise};
use serde::Serialize;
use serde::de::DeserializeOwned;

fn read_again<T: Serialize + DeserializeOwned>(value: &T) -> T {
    let text = serde_json::to_string(value).unwrap();
    let read: T = serde_json::from_str(&text).unwrap_or_else(|e| panic!("{e}: {text}"));
    assert_eq!(serde_json::to_string(&read).unwrap(), text);
    read
}

#[test]
fn numbers_that_are_not_finite_come_back() {
    // Two runs that did not move: 0/0.
    let state = State {
        parameters: vec![0.0; 3],
        buffers: vec![],
    };
    let distances = Distances::of([&state, &state], [&state, &state]);
    assert!(distances.ratio.is_nan() && distances.cosine_of_weights.is_nan());
    let line = Line {
        small: "a".into(),
        large: "b".into(),
        batch_norm: None,
        points: vec![],
        distances,
    };
    assert!(read_again(&line).distances.ratio.is_nan());
    let bad = f64::INFINITY;
    let curvature = Curvature {
        lambda_max: f64::NAN,
        eigenvalues: vec![bad, 1.5],
        trace: Some(Estimate {
            value: bad,
            ..read_again(&Estimate {
                value: 1.0,
                error: None,
                products: 1,
            })
        }),
        edge: Some(Edge::new("sgd", 0.1, bad, 2.0)),
        ..Curvature::default()
    };
    let read = read_again(&curvature);
    assert!(read.lambda_max.is_nan() && read.eigenvalues[0].is_nan() && read.eigenvalues[1] == 1.5);
    let layer = LayerNoise {
        path: "w".into(),
        gradient_square: bad,
        trace: f64::NAN,
        b_simple: None,
        snr: None,
    };
    let pairs = PairNoise {
        steps: 1,
        gradient_square: bad,
        trace: bad,
        b_simple: None,
        interval: None,
    };
    read_again(&Noise {
        gradient_square: bad,
        trace: bad,
        layers: vec![layer],
        pairs: Some(pairs),
        ..Noise::default()
    });
    let row = LayerRow {
        path: "w".into(),
        parameters: 1,
        weight: bad,
        gradient: f64::NAN,
        ratio: None,
        update: None,
        relative_update: None,
        trust_ratio: None,
        is_weight: true,
    };
    assert!(read_again(&row).weight.is_nan());
}
