//! Hessian-vector products of networks against closed forms in plain f64.

use largebatch_models::Network;
use largebatch_probe::curvature::{Hessian, Operator};
use largebatch_probe::vector::{dot, gaussian, norm};
use largebatch_probe::{Subject, Subset};
use largebatch_random::Key;
use largebatch_train::Lab;
use largebatch_train::{Choice, Experiment, RunConfig, Split};

type Matrix = Vec<Vec<f64>>;

fn experiment(model: &str, options: &str) -> (Experiment, Network) {
    let model = Choice {
        name: model.into(),
        options: options.parse().unwrap(),
    };
    let config = RunConfig {
        dataset: Choice::plain("digits"),
        model,
        lr: Some(0.1),
        epochs: Some(1),
        seed: 3,
        ..RunConfig::default()
    };
    let experiment = Experiment::open(config, &Lab::standard(), &Default::default()).unwrap();
    let network = experiment.initial_model().unwrap().network;
    (experiment, network)
}

/// The subject's examples on the host: inputs and classes.
fn examples(subject: &Subject<'_>) -> (Matrix, Vec<usize>) {
    let experiment = subject.experiment();
    let (part, _) = experiment.indices(Split::Train);
    let (inputs, _) = experiment.batch(part, subject.examples(), None).unwrap();
    let width = inputs.dims()[1];
    let flat: Vec<f64> = inputs.into_data().iter::<f64>().collect();
    let largebatch_data::Labels::Classes(classes) = part.labels() else {
        panic!("digits are classes")
    };
    let labels = subject
        .examples()
        .iter()
        .map(|&i| classes[i as usize] as usize)
        .collect();
    (flat.chunks(width).map(<[f64]>::to_vec).collect(), labels)
}

fn softmax(z: &[f64]) -> Vec<f64> {
    let top = z.iter().fold(f64::NEG_INFINITY, |a, b| a.max(*b));
    let e: Vec<f64> = z.iter().map(|z| (z - top).exp()).collect();
    let sum: f64 = e.iter().sum();
    e.into_iter().map(|e| e / sum).collect()
}

/// Wᵀa + b of a dense layer whose weight is stored as [in, out].
fn dense(weight: &[f64], bias: &[f64], a: &[f64]) -> Vec<f64> {
    let out = bias.len();
    (0..out)
        .map(|j| {
            bias[j]
                + a.iter()
                    .enumerate()
                    .map(|(i, a)| weight[i * out + j] * a)
                    .sum::<f64>()
        })
        .collect()
}

/// W δ.
fn back(weight: &[f64], delta: &[f64]) -> Vec<f64> {
    weight
        .chunks(delta.len())
        .map(|row| dot(row, delta))
        .collect()
}

#[track_caller]
fn agree(subject: &mut Subject<'_>, w: &[f64], exact: impl Fn(&[f64]) -> Vec<f64>) {
    let mut worst = 0.0f64;
    for i in 0..3 {
        let v = gaussian(w.len(), Key::new(21).number(i));
        let found = Hessian::new(subject, w).apply(&v).unwrap();
        let wanted = exact(&v);
        let error: Vec<f64> = found.iter().zip(&wanted).map(|(a, b)| a - b).collect();
        worst = worst.max(norm(&error) / norm(&wanted));
    }
    println!("largest relative error of H v: {worst:.2e}");
    assert!(worst < 1e-6, "{worst}");
}

/// Softmax regression: H = (1/N) Σ (diag p − p pᵀ) ⊗ x xᵀ, where x has a 1 appended for the bias.
#[test]
fn softmax_regression() {
    let (experiment, network) = experiment("softmax", "");
    let mut subject = Subject::new(
        &experiment,
        &network,
        Split::Train,
        Subset {
            size: Some(300),
            seed: 1,
        },
    )
    .unwrap();
    let shapes: Vec<Vec<usize>> = subject.layers().iter().map(|l| l.shape.clone()).collect();
    assert_eq!(shapes, [vec![64, 10], vec![10]]);
    let (inputs, _) = examples(&subject);
    let w: Vec<f64> = gaussian(650, Key::new(20))
        .iter()
        .map(|x| 0.3 * x)
        .collect();
    agree(&mut subject, &w.clone(), |v| {
        let mut product = vec![0.0; 650];
        for x in &inputs {
            let p = softmax(&dense(&w[..640], &w[640..], x));
            let u = dense(&v[..640], &v[640..], x);
            let mean = dot(&p, &u);
            for (i, x) in x.iter().chain([&1.0]).enumerate() {
                for k in 0..10 {
                    product[10 * i + k] += p[k] * (u[k] - mean) * x / inputs.len() as f64;
                }
            }
        }
        product
    });
}

/// H v of an MLP by Pearlmutter's R-operator (1994): forward and backward passes of the values and
/// of their derivatives along v.
fn pearlmutter(
    shapes: &[Vec<usize>],
    w: &[f64],
    v: &[f64],
    inputs: &Matrix,
    labels: &[usize],
    is_tanh: bool,
) -> Vec<f64> {
    // The offsets of each layer's weight and bias, alternating.
    let mut next = 0;
    let ranges: Vec<std::ops::Range<usize>> = shapes
        .iter()
        .map(|s| {
            next += s.iter().product::<usize>();
            next - s.iter().product::<usize>()..next
        })
        .collect();
    let mut product = vec![0.0; w.len()];
    for (x, label) in inputs.iter().zip(labels) {
        let (mut a, mut ra) = (x.clone(), vec![0.0; x.len()]);
        // For each layer: its inputs, their derivatives, and φ', φ'' Rz at its outputs.
        let mut tape = Vec::new();
        let mut output = (Vec::new(), Vec::new());
        for (i, pair) in ranges.chunks(2).enumerate() {
            let (weight, bias) = (&w[pair[0].clone()], &w[pair[1].clone()]);
            let z = dense(weight, bias, &a);
            let rz: Vec<f64> = dense(&v[pair[0].clone()], &v[pair[1].clone()], &a)
                .iter()
                .zip(dense(weight, &vec![0.0; bias.len()], &ra))
                .map(|(a, b)| a + b)
                .collect();
            let is_last = i + 1 == ranges.len() / 2;
            let value = |z: f64| {
                if is_last {
                    z
                } else if is_tanh {
                    z.tanh()
                } else {
                    z.max(0.0)
                }
            };
            let slope = |z: f64| {
                if is_last {
                    1.0
                } else if is_tanh {
                    1.0 - z.tanh().powi(2)
                } else {
                    f64::from(z > 0.0)
                }
            };
            let bend = |z: f64| {
                if is_last || !is_tanh {
                    0.0
                } else {
                    -2.0 * z.tanh() * (1.0 - z.tanh().powi(2))
                }
            };
            let slopes: Vec<f64> = z.iter().map(|z| slope(*z)).collect();
            let bends: Vec<f64> = z.iter().zip(&rz).map(|(z, r)| bend(*z) * r).collect();
            tape.push((a, ra, slopes.clone(), bends));
            a = z.iter().map(|z| value(*z)).collect();
            ra = rz.iter().zip(&slopes).map(|(r, s)| r * s).collect();
            output = (a.clone(), ra.clone());
        }
        let p = softmax(&output.0);
        let mean = dot(&p, &output.1);
        // The error of the activations, and its derivative.
        let mut e: Vec<f64> = p
            .iter()
            .enumerate()
            .map(|(k, p)| p - f64::from(k == *label))
            .collect();
        let mut re: Vec<f64> = p
            .iter()
            .zip(&output.1)
            .map(|(p, r)| p * (r - mean))
            .collect();
        for (pair, (a, ra, slopes, bends)) in ranges.chunks(2).zip(&tape).rev() {
            let delta: Vec<f64> = e.iter().zip(slopes).map(|(e, s)| e * s).collect();
            let rdelta: Vec<f64> = (0..e.len())
                .map(|j| re[j] * slopes[j] + e[j] * bends[j])
                .collect();
            let out = delta.len();
            for i in 0..a.len() {
                for j in 0..out {
                    product[pair[0].start + i * out + j] +=
                        (ra[i] * delta[j] + a[i] * rdelta[j]) / inputs.len() as f64;
                }
            }
            for (sum, r) in product[pair[1].clone()].iter_mut().zip(&rdelta) {
                *sum += r / inputs.len() as f64;
            }
            e = back(&w[pair[0].clone()], &delta);
            re = back(&v[pair[0].clone()], &delta)
                .iter()
                .zip(back(&w[pair[0].clone()], &rdelta))
                .map(|(a, b)| a + b)
                .collect();
        }
    }
    product
}

#[test]
fn multilayer_perceptrons() {
    for (options, is_tanh) in [
        ("widths = [8]\nactivation = \"tanh\"", true),
        ("widths = [12, 9]\nactivation = \"tanh\"", true),
        ("widths = [12, 9]\nactivation = \"relu\"", false),
    ] {
        let (experiment, network) = experiment("mlp", options);
        let mut subject = Subject::new(
            &experiment,
            &network,
            Split::Train,
            Subset {
                size: Some(200),
                seed: 1,
            },
        )
        .unwrap();
        let shapes: Vec<Vec<usize>> = subject.layers().iter().map(|l| l.shape.clone()).collect();
        assert!(
            shapes
                .chunks(2)
                .all(|pair| pair[0].len() == 2 && pair[1] == [pair[0][1]]),
            "{shapes:?}"
        );
        let (inputs, labels) = examples(&subject);
        let w: Vec<f64> = subject.weights().iter().map(|x| 1.5 * x).collect();
        agree(&mut subject, &w.clone(), |v| {
            pearlmutter(&shapes, &w, v, &inputs, &labels, is_tanh)
        });
    }
}
