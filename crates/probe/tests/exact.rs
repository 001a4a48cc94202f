//! The probes against closed forms and explicit matrices.

use largebatch_models::Network;
use largebatch_probe::curvature::{
    CurvatureOptions, Density, Hessian, Operator, curvature, density, hutch_plus_plus, hutchinson,
    largest, quadrature, top,
};
use largebatch_probe::noise::{NoiseOptions, Pairs, noise};
use largebatch_probe::vector::{dot, gaussian, norm, signs};
use largebatch_probe::{Examples, Objective, ProbeError, Subject, Subset, unwatched};
use largebatch_random::{Key, normal};
use largebatch_train::Lab;
use largebatch_train::{Choice, Experiment, RunConfig, Split};

/// Eigenvalues (decreasing) and eigenvectors of a dense symmetric matrix by Jacobi rotations,
/// independent of the tested code.
fn jacobi(mut a: Vec<Vec<f64>>) -> (Vec<f64>, Vec<Vec<f64>>) {
    let n = a.len();
    let mut v: Vec<Vec<f64>> = (0..n)
        .map(|i| (0..n).map(|j| f64::from(i == j)).collect())
        .collect();
    for _ in 0..30 {
        let off: f64 = (0..n)
            .map(|i| a[i][i + 1..].iter().map(|x| x * x).sum::<f64>())
            .sum();
        let all: f64 = a.iter().flatten().map(|x| x * x).sum();
        if off <= 1e-22 * all {
            break;
        }
        for p in 0..n {
            for q in p + 1..n {
                if a[p][q].abs() < 1e-300 {
                    continue;
                }
                let theta = (a[q][q] - a[p][p]) / (2.0 * a[p][q]);
                let t = theta.signum() / (theta.abs() + theta.hypot(1.0));
                let c = 1.0 / t.hypot(1.0);
                let s = t * c;
                for row in [&mut a, &mut v] {
                    // Rows of v are the vectors; of a the rows come first, the columns below.
                    let (top, bottom) = row.split_at_mut(q);
                    for (x, y) in top[p].iter_mut().zip(bottom[0].iter_mut()) {
                        (*x, *y) = (c * *x - s * *y, s * *x + c * *y);
                    }
                }
                for row in &mut a {
                    (row[p], row[q]) = (c * row[p] - s * row[q], s * row[p] + c * row[q]);
                }
            }
        }
    }
    let mut order: Vec<usize> = (0..n).collect();
    order.sort_by(|&i, &j| a[j][j].total_cmp(&a[i][i]));
    (
        order.iter().map(|&i| a[i][i]).collect(),
        order.iter().map(|&i| v[i].clone()).collect(),
    )
}

struct Matrix(Vec<Vec<f64>>);

impl Operator for Matrix {
    fn dim(&self) -> usize {
        self.0.len()
    }
    fn apply(&mut self, v: &[f64]) -> Result<Vec<f64>, ProbeError> {
        Ok(self.0.iter().map(|row| dot(row, v)).collect())
    }
}

#[track_caller]
fn close(what: &str, found: f64, wanted: f64, tolerance: f64) {
    assert!(
        (found - wanted).abs() <= tolerance * wanted.abs(),
        "{what}: {found}, exact {wanted}"
    );
}

/// Compares eigenvalues, trace and density of an operator with those of the explicit matrix, to 1e-4 relative.
fn compare(operator: &mut impl Operator, explicit: Vec<Vec<f64>>) {
    let d = operator.dim();
    let trace: f64 = (0..d).map(|i| explicit[i][i]).sum();
    let (values, vectors) = jacobi(explicit.clone());
    close("Jacobi's trace", values.iter().sum(), trace, 1e-10);

    let found = largest(
        operator,
        5,
        gaussian(d, Key::new(1)),
        1e-6,
        d,
        &mut unwatched,
    )
    .unwrap();
    assert!(found.converged);
    for (i, (value, vector)) in found.values.iter().zip(&found.vectors).enumerate() {
        close("eigenvalue", *value, values[i], 1e-6);
        let cosine = dot(vector, &vectors[i]).abs() / norm(vector) / norm(&vectors[i]);
        assert!(cosine > 0.9999, "vector {i}: cosine {cosine}");
    }

    let z = signs(d, Key::new(2).number(0));
    let one = hutchinson(operator, 1, Key::new(2), &mut unwatched).unwrap();
    close(
        "zᵀHz",
        one.value,
        dot(&z, &Matrix(explicit).apply(&z).unwrap()),
        1e-4,
    );
    close(
        "Hutch++ with a whole basis",
        hutch_plus_plus(operator, 3 * d, Key::new(3), &mut unwatched)
            .unwrap()
            .unwrap()
            .value,
        trace,
        1e-4,
    );
    let part = hutch_plus_plus(operator, d / 4, Key::new(3), &mut unwatched)
        .unwrap()
        .unwrap();
    assert!(
        (part.value - trace).abs() < 4.0 * part.error.unwrap(),
        "{part:?} for {trace}"
    );

    // The density of one random vector: Σ (v·qᵢ)² δ(t − λᵢ), smoothed.
    let sigma = (values[0] - values[d - 1]) / 40.0;
    let at: Vec<f64> = (0..60)
        .map(|i| values[d - 1] + (values[0] - values[d - 1]) * f64::from(i) / 59.0)
        .collect();
    let found = density(operator, 3, 120.min(d), Key::new(4), &mut unwatched).unwrap();
    let mut exact = Density {
        vectors: 3,
        ..Density::default()
    };
    for vector in 0..3 {
        let v = gaussian(d, Key::new(4).number(vector));
        for (value, q) in values.iter().zip(&vectors) {
            exact.nodes.push(*value);
            exact
                .weights
                .push((dot(&v, q) / norm(&v) / norm(q)).powi(2) / 3.0);
        }
    }
    close("mass", found.weights.iter().sum(), 1.0, 1e-10);
    let (smooth, wanted) = (found.smoothed(sigma, &at), exact.smoothed(sigma, &at));
    let top = wanted.iter().fold(0.0f64, |a, b| a.max(*b));
    for ((t, f), w) in at.iter().zip(&smooth).zip(&wanted) {
        assert!(
            (f - w).abs() < 1e-4 * w + 1e-9 * top,
            "density at {t}: {f}, exact {w}"
        );
    }
}

/// The mean logistic loss of ±1 labels, with its exact Hessian Xᵀ diag(p(1 − p)) X / N.
struct Logistic {
    x: Vec<Vec<f64>>,
    y: Vec<f64>,
}

impl Logistic {
    fn random(n: usize, d: usize) -> Self {
        let x: Vec<Vec<f64>> = (0..n)
            .map(|i| {
                gaussian(d, Key::new(7).number(i as u64))
                    .iter()
                    .enumerate()
                    .map(|(j, v)| v / (1.0 + j as f64))
                    .collect()
            })
            .collect();
        let truth = gaussian(d, Key::new(8));
        let y = x
            .iter()
            .map(|x| if dot(x, &truth) > 0.0 { 1.0 } else { -1.0 })
            .collect();
        Logistic { x, y }
    }

    fn hessian(&self, w: &[f64]) -> Vec<Vec<f64>> {
        let d = w.len();
        let mut h = vec![vec![0.0; d]; d];
        for x in &self.x {
            let p = 1.0 / (1.0 + (-dot(x, w)).exp());
            for i in 0..d {
                for j in 0..d {
                    h[i][j] += p * (1.0 - p) * x[i] * x[j] / self.x.len() as f64;
                }
            }
        }
        h
    }
}

impl Objective for Logistic {
    fn dim(&self) -> usize {
        self.x[0].len()
    }
    fn loss(&mut self, w: &[f64]) -> Result<f64, ProbeError> {
        Ok(self.gradient(w)?.0)
    }
    fn gradient(&mut self, w: &[f64]) -> Result<(f64, Vec<f64>), ProbeError> {
        let all: Vec<usize> = (0..self.x.len()).collect();
        self.batch_gradient(w, &all)
    }
}

impl Examples for Logistic {
    fn count(&self) -> usize {
        self.x.len()
    }
    fn batch_gradient(
        &mut self,
        w: &[f64],
        places: &[usize],
    ) -> Result<(f64, Vec<f64>), ProbeError> {
        let (mut loss, mut g) = (0.0, vec![0.0; w.len()]);
        let n = places.len() as f64;
        for &i in places {
            let margin = self.y[i] * dot(&self.x[i], w);
            loss += (-margin).exp().ln_1p() / n;
            let slope = -self.y[i] / (1.0 + margin.exp()) / n;
            g.iter_mut()
                .zip(&self.x[i])
                .for_each(|(g, x)| *g += slope * x);
        }
        Ok((loss, g))
    }
}

#[test]
fn logistic_regression_in_closed_form() {
    let mut logistic = Logistic::random(200, 40);
    let w = gaussian(40, Key::new(9));
    let explicit = logistic.hessian(&w);
    // For a complete orthonormal basis, the quadrature gives the exact density.
    let (values, _) = jacobi(explicit.clone());
    let basis: Vec<Vec<f64>> = (0..40)
        .map(|i| (0..40).map(|j| f64::from(i == j)).collect())
        .collect();
    let found = quadrature(
        &mut Hessian::new(&mut logistic, &w),
        basis.into_iter(),
        40,
        &mut unwatched,
    )
    .unwrap();
    let sigma = values[0] / 50.0;
    for i in 0..50 {
        let t = values[0] * f64::from(i) / 49.0;
        let bell = |x: f64| {
            (-0.5 * (x / sigma).powi(2)).exp() / (sigma * (2.0 * std::f64::consts::PI).sqrt())
        };
        let exact = values.iter().map(|v| bell(t - v)).sum::<f64>() / 40.0;
        close("density", found.smoothed(sigma, &[t])[0], exact, 1e-4);
    }
    compare(&mut Hessian::new(&mut logistic, &w), explicit);
}

#[test]
fn preconditioned_hessian() {
    let mut logistic = Logistic::random(100, 12);
    let w = gaussian(12, Key::new(9));
    let p: Vec<f64> = (1..=12).map(|i| 0.1 * f64::from(i)).collect();
    let mut explicit = logistic.hessian(&w);
    for i in 0..12 {
        for j in 0..12 {
            // With L2 decay, the sum is preconditioned.
            explicit[i][j] =
                (explicit[i][j] + if i == j { 0.3 } else { 0.0 }) / (p[i] * p[j]).sqrt();
        }
    }
    let (values, _) = jacobi(explicit);
    let mut hessian = Hessian::preconditioned(&mut logistic, &w, &p)
        .unwrap()
        .with_decay(0.3);
    let found = largest(
        &mut hessian,
        3,
        gaussian(12, Key::new(1)),
        1e-8,
        12,
        &mut unwatched,
    )
    .unwrap();
    for i in 0..3 {
        close("eigenvalue", found.values[i], values[i], 1e-6);
    }
}

/// A large negative eigenvalue does not end the search before the largest eigenvalue is found.
#[test]
fn a_large_negative_eigenvalue_hides_nothing() {
    let diagonal = |i: usize| if i == 0 { -1e6 } else { 0.5 * i as f64 };
    let mut matrix = Matrix(
        (0..40)
            .map(|i| {
                (0..40)
                    .map(|j| if i == j { diagonal(i) } else { 0.0 })
                    .collect()
            })
            .collect(),
    );
    let found = largest(
        &mut matrix,
        1,
        gaussian(40, Key::new(5)),
        1e-3,
        40,
        &mut unwatched,
    )
    .unwrap();
    assert!(
        found.converged && (found.values[0] / 19.5 - 1.0).abs() < 1e-3,
        "{:?} after {}",
        found.values,
        found.products
    );
    assert!((found.least / -1e6 - 1.0).abs() < 1e-6);
}

/// ½ Σ k wₖ² + c |w₁ − ε|: a kink so close to w = 0 that the usual step crosses it.
struct Kinked;

impl Objective for Kinked {
    fn dim(&self) -> usize {
        30
    }
    fn loss(&mut self, w: &[f64]) -> Result<f64, ProbeError> {
        Ok(self.gradient(w)?.0)
    }
    fn gradient(&mut self, w: &[f64]) -> Result<(f64, Vec<f64>), ProbeError> {
        let mut g: Vec<f64> = w
            .iter()
            .enumerate()
            .map(|(k, w)| (k + 1) as f64 * w)
            .collect();
        let loss =
            g.iter().zip(w).map(|(g, w)| 0.5 * g * w).sum::<f64>() + 1e-5 * (w[0] - 2e-9).abs();
        g[0] += 1e-5 * (w[0] - 2e-9).signum();
        Ok((loss, g))
    }
}

/// A kink does not make an eigenvalue: without the check it made one of about 100, while the
/// largest true one is 30.
#[test]
fn a_kink_is_noticed() {
    let w = [0.0; 30];
    let plain = largest(
        &mut Hessian::new(&mut Kinked, &w),
        2,
        gaussian(30, Key::new(6)),
        1e-6,
        30,
        &mut unwatched,
    )
    .unwrap();
    assert!(
        plain.values[0] > 40.0,
        "the test needs a step that crosses the kink: {:?}",
        plain.values
    );
    let found = top(
        &mut Hessian::new(&mut Kinked, &w),
        2,
        Key::new(6),
        1e-6,
        30,
        &mut unwatched,
    )
    .unwrap();
    assert!(
        found.converged
            && (found.values[0] - 30.0).abs() < 1e-3
            && (found.values[1] - 29.0).abs() < 1e-3,
        "{:?}",
        found.values
    );
}

fn experiment(dataset: &str, model: &str, options: &str) -> (Experiment, Network) {
    let model = Choice {
        name: model.into(),
        options: options.parse().unwrap(),
    };
    let config = RunConfig {
        dataset: Choice::plain(dataset),
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

/// On real data, the network `logistic` has the Hessian of the closed form.
#[test]
fn a_logistic_network_has_the_closed_forms_hessian() {
    let (experiment, network) = experiment("breast-cancer", "logistic", "");
    let mut subject = Subject::new(
        &experiment,
        &network,
        Split::Train,
        Subset {
            size: Some(120),
            seed: 1,
        },
    )
    .unwrap();
    let paths: Vec<&str> = subject.layers().iter().map(|l| l.path.as_str()).collect();
    assert_eq!(paths, ["weight", "bias"]);
    let (inputs, _) = experiment
        .batch(&experiment.dataset.train, subject.examples(), None)
        .unwrap();
    let flat: Vec<f64> = inputs.into_data().iter::<f64>().collect();
    let d = subject.dim();
    let x = flat
        .chunks(d - 1)
        .map(|row| row.iter().copied().chain([1.0]).collect())
        .collect();
    let w: Vec<f64> = subject.weights().iter().map(|w| w * 0.5).collect();
    let closed = Logistic { x, y: Vec::new() }.hessian(&w);
    compare(&mut Hessian::new(&mut subject, &w), closed);
}

/// An MLP of 610 parameters: every column of its Hessian, by differences of gradients with another
/// step.
#[test]
fn a_small_networks_explicit_hessian() {
    let (experiment, network) = experiment("digits", "mlp", "widths = [8]\nactivation = \"tanh\"");
    let mut subject = Subject::new(
        &experiment,
        &network,
        Split::Train,
        Subset {
            size: Some(60),
            seed: 1,
        },
    )
    .unwrap();
    let (w, d) = (subject.weights().to_vec(), subject.dim());
    assert_eq!(d, 610);
    let h = 1e-5;
    let mut explicit: Vec<Vec<f64>> = (0..d)
        .map(|i| {
            let mut moved = w.clone();
            moved[i] = w[i] + h;
            let (_, above) = subject.gradient(&moved).unwrap();
            moved[i] = w[i] - h;
            let (_, below) = subject.gradient(&moved).unwrap();
            above
                .iter()
                .zip(&below)
                .map(|(a, b)| (a - b) / (2.0 * h))
                .collect()
        })
        .collect();
    for i in 0..d {
        for j in 0..i {
            let mean = (explicit[i][j] + explicit[j][i]) / 2.0;
            (explicit[i][j], explicit[j][i]) = (mean, mean);
        }
    }
    compare(&mut Hessian::new(&mut subject, &w), explicit);
}

/// The flat gradient is the gradient of the loss: along random directions it agrees with
/// differences of the loss, also with batch norm, dropout and microbatches.
#[test]
fn gradients_are_those_of_the_loss() {
    for options in [
        "widths = [8]\nactivation = \"tanh\"",
        "widths = [8]\nactivation = \"tanh\"\nbatch_norm = true\ndropout = 0.5",
    ] {
        let (experiment, network) = experiment("digits", "mlp", options);
        let mut subject =
            Subject::new(&experiment, &network, Split::Validation, Subset::default()).unwrap();
        let w = subject.weights().to_vec();
        let (loss, gradient) = subject.gradient(&w).unwrap();
        close("loss", subject.loss(&w).unwrap(), loss, 1e-12);
        for i in 0..3 {
            let v = gaussian(w.len(), Key::new(5).number(i));
            let mut at = |h: f64| {
                subject
                    .loss(&w.iter().zip(&v).map(|(w, v)| w + h * v).collect::<Vec<_>>())
                    .unwrap()
            };
            close(
                "slope",
                dot(&gradient, &v),
                (at(1e-5) - at(-1e-5)) / 2e-5,
                1e-6,
            );
        }
        // The mean of the examples' gradients is the whole gradient.
        let n = subject.count();
        let mut mean = vec![0.0; w.len()];
        for i in 0..n {
            let (_, g) = subject.batch_gradient(&w, &[i]).unwrap();
            mean.iter_mut()
                .zip(&g)
                .for_each(|(m, g)| *m += g / n as f64);
        }
        let distance: f64 = mean
            .iter()
            .zip(&gradient)
            .map(|(a, b)| (a - b).powi(2))
            .sum::<f64>()
            .sqrt();
        assert!(
            distance < 1e-10 * norm(&gradient),
            "{options}: {distance} of {}",
            norm(&gradient)
        );
        assert_eq!(subject.network_at(&w).unwrap().parameter_count(), w.len());
    }
}

/// Gradients gᵢ = G + noise with known covariance; |G| = 1.
struct Synthetic {
    gradients: Vec<Vec<f64>>,
}

/// tr Σ of the synthetic gradients: Σ of 4/k², k = 1 to d.
const DIMENSIONS: usize = 30;

fn spread(k: usize) -> f64 {
    2.0 / (1.0 + k as f64)
}

fn synthetic_trace() -> f64 {
    (0..DIMENSIONS).map(|k| spread(k).powi(2)).sum()
}

fn synthetic(n: usize, key: Key) -> Synthetic {
    let mut rng = key.rng();
    let g = 1.0 / (DIMENSIONS as f64).sqrt();
    Synthetic {
        gradients: (0..n)
            .map(|_| {
                (0..DIMENSIONS)
                    .map(|k| g + spread(k) * normal(&mut rng))
                    .collect()
            })
            .collect(),
    }
}

impl Objective for Synthetic {
    fn dim(&self) -> usize {
        DIMENSIONS
    }
    fn loss(&mut self, _: &[f64]) -> Result<f64, ProbeError> {
        Ok(0.0)
    }
    fn gradient(&mut self, w: &[f64]) -> Result<(f64, Vec<f64>), ProbeError> {
        let all: Vec<usize> = (0..self.gradients.len()).collect();
        self.batch_gradient(w, &all)
    }
}

impl Examples for Synthetic {
    fn count(&self) -> usize {
        self.gradients.len()
    }
    fn batch_gradient(
        &mut self,
        _: &[f64],
        places: &[usize],
    ) -> Result<(f64, Vec<f64>), ProbeError> {
        let mut mean = vec![0.0; DIMENSIONS];
        for &i in places {
            mean.iter_mut()
                .zip(&self.gradients[i])
                .for_each(|(m, g)| *m += g / places.len() as f64);
        }
        Ok((0.0, mean))
    }
}

/// In 1,000 seeded draws of pairs of batches, the 95 % interval contains the true B_simple in 930
/// to 970 cases.
#[test]
fn intervals_from_pairs_cover_the_truth() {
    let truth = synthetic_trace();
    let (mut held, mut sum) = (0, 0.0);
    for draw in 0..1000 {
        let mut pairs = Pairs::default();
        for step in 0..25 {
            let micro = synthetic(4 * 8, Key::new(11).number(draw).number(step));
            let mut objective = micro;
            let (mut square, mut mean) = (0.0, vec![0.0; DIMENSIONS]);
            for part in 0..8 {
                let places: Vec<usize> = (part * 4..part * 4 + 4).collect();
                let (_, g) = objective.batch_gradient(&[], &places).unwrap();
                square += dot(&g, &g) / 8.0;
                mean.iter_mut().zip(&g).for_each(|(m, g)| *m += g / 8.0);
            }
            pairs.push(4.0, square, 32.0, dot(&mean, &mean));
        }
        let found = pairs.noise().unwrap();
        held += usize::from(found.interval.unwrap().contains(truth));
        sum += found.b_simple.unwrap_or(0.0);
    }
    println!(
        "pairs: {held} of 1000 intervals contain the true value; mean estimate {:.3}, true value {truth:.3}",
        sum / 1000.0
    );
    assert!((930..=970).contains(&held), "{held} of 1000");
    assert!((sum / 1000.0 / truth - 1.0).abs() < 0.05);
}

/// Steps whose estimate of |G|² is below 0 say nothing about the ratio: there is no estimate, and
/// the interval is open above.
#[test]
fn a_negative_square_bounds_nothing() {
    let mut pairs = Pairs::default();
    for square in [10.0, 10.5, 9.5, 10.0] {
        pairs.push(1.0, square, 2.0, 1.0);
    }
    let found = pairs.noise().unwrap();
    assert!(found.gradient_square < 0.0 && found.b_simple.is_none());
    let interval = found.interval.unwrap();
    assert_eq!((interval.low, interval.high), (0.0, None));
}

/// The same for the estimate over a data set, as a sample of a population.
#[test]
fn intervals_over_a_data_set_cover_the_truth() {
    let truth = synthetic_trace();
    let options = NoiseOptions {
        replicates: 0,
        pairs: 0,
        ..NoiseOptions::default()
    };
    let mut held = 0;
    for draw in 0..1000 {
        let mut objective = synthetic(400, Key::new(12).number(draw));
        let (found, _) = noise(
            &mut objective,
            &[0.0; DIMENSIONS],
            &[],
            &options,
            &mut unwatched,
        )
        .unwrap();
        held += usize::from(found.interval.unwrap().contains(truth));
    }
    println!("data set: {held} of 1000 intervals contain the true value");
    assert!((930..=970).contains(&held), "{held} of 1000");
}

/// The variance is ∝ 1/B with replacement, and σ²/B (N − B)/(N − 1) without, point by point; the
/// mini-batch gradient is unbiased.
#[test]
fn variance_falls_as_theory_says() {
    let mut objective = synthetic(256, Key::new(13));
    let options = NoiseOptions {
        replicates: 400,
        ..NoiseOptions::default()
    };
    let (found, complete) = noise(
        &mut objective,
        &[0.0; DIMENSIONS],
        &[],
        &options,
        &mut unwatched,
    )
    .unwrap();
    assert!(complete && found.bias.unwrap().is_consistent);
    for sweep in [
        found.with_replacement.unwrap(),
        found.without_replacement.unwrap(),
    ] {
        for p in &sweep.points {
            assert!((p.variance - p.predicted).abs() < 4.0 * p.error, "{p:?}");
        }
        let (exponent, error) = (sweep.exponent.unwrap(), sweep.exponent_error.unwrap());
        assert!(
            (exponent + 1.0).abs() < 3.0 * error && error < 0.02,
            "{exponent} ± {error}"
        );
    }
    let exact = found.b_simple.unwrap();
    assert!(
        found
            .pairs
            .unwrap()
            .interval
            .unwrap()
            .contains(exact * 255.0 / 256.0),
        "{:?} {exact}",
        found.pairs
    );
}

/// An interruption keeps the results so far.
#[test]
fn an_interrupted_probe_keeps_its_part() {
    let mut logistic = Logistic::random(100, 20);
    let w = gaussian(20, Key::new(9));
    let mut stop = |done: u64, _: u64| done < 8;
    let (part, complete) =
        curvature(&mut logistic, &w, &CurvatureOptions::default(), &mut stop).unwrap();
    assert!(
        !complete && part.lambda_max.is_finite() && part.trace.is_none() && part.density.is_none(),
        "{part:?}"
    );
    let mut stop = |done: u64, _: u64| done < 50;
    let (part, complete) =
        noise(&mut logistic, &w, &[], &NoiseOptions::default(), &mut stop).unwrap();
    assert!(
        !complete && part.examples == 50 && part.b_simple.is_some() && part.pairs.is_none(),
        "{part:?}"
    );
}

#[test]
fn bad_input_is_refused() {
    let mut one = synthetic(1, Key::new(1));
    let refused = noise(
        &mut one,
        &[0.0; DIMENSIONS],
        &[],
        &NoiseOptions::default(),
        &mut unwatched,
    )
    .unwrap_err()
    .to_string();
    assert!(refused.contains("at least 2 examples"), "{refused}");
    let micro = NoiseOptions {
        micro: (4, 1),
        ..NoiseOptions::default()
    };
    let refused = noise(
        &mut synthetic(8, Key::new(1)),
        &[0.0; DIMENSIONS],
        &[],
        &micro,
        &mut unwatched,
    )
    .unwrap_err()
    .to_string();
    assert!(refused.contains("two batch sizes"), "{refused}");
    let mut logistic = Logistic::random(10, 3);
    let options = CurvatureOptions {
        top: 0,
        ..CurvatureOptions::default()
    };
    assert!(curvature(&mut logistic, &[0.0; 3], &options, &mut unwatched).is_err());
    let (experiment, network) = experiment("digits", "softmax", "");
    let refused = Subject::new(
        &experiment,
        &network,
        Split::Train,
        Subset {
            size: Some(0),
            seed: 0,
        },
    )
    .err()
    .unwrap()
    .to_string();
    assert!(refused.contains("at least one example"), "{refused}");
    let mut subject = Subject::new(
        &experiment,
        &network,
        Split::Train,
        Subset {
            size: Some(10),
            seed: 0,
        },
    )
    .unwrap();
    assert!(matches!(
        subject.gradient(&[0.0]),
        Err(ProbeError::Length { .. })
    ));
    assert!(
        subject
            .batch_gradient(&vec![0.0; subject.dim()], &[])
            .is_err()
    );
}

/// A subset keeps the classes' shares, and the same seed gives the same examples.
#[test]
fn subsets_are_stratified() {
    let (experiment, network) = experiment("digits", "softmax", "");
    let subset = |size, seed| {
        Subject::new(
            &experiment,
            &network,
            Split::Train,
            Subset {
                size: Some(size),
                seed,
            },
        )
        .unwrap()
        .examples()
        .to_vec()
    };
    assert_eq!(subset(100, 1), subset(100, 1));
    assert_ne!(subset(100, 1), subset(100, 2));
    let largebatch_data::Labels::Classes(classes) = experiment.dataset.train.labels() else {
        panic!("digits are classes")
    };
    let mut counts = [0; 10];
    subset(100, 1)
        .iter()
        .for_each(|&i| counts[classes[i as usize] as usize] += 1);
    assert!(counts.iter().all(|c| (8..=12).contains(c)), "{counts:?}");
    assert_eq!(subset(1 << 20, 0).len(), experiment.holdout.train.len());
}
