//! Adagrad on sparse features, compared with SGD, which has one step size for all.
//!
//! Feature j is 1 in a fraction p_j = 0.5 j^−1.3 of the examples and otherwise 0, like words in a
//! text; y = w*·x + noise. A step small enough for the frequent features hardly moves the rare
//! ones. Adagrad divides by the root of the sum of a weight's squared gradients, so the rate of
//! feature j is about η/(σ √(number of its occurrences)): an exponent of −½. Both methods use the
//! best rate of a grid.

mod program;

use anyhow::ensure;
use burn::optim::Optimizer;
use burn::tensor::Tensor;
use largebatch::optim::{AdagradConfig, OptimizerConfig, SgdConfig};
use largebatch::plot::{Plot, Scale};
use largebatch_random::{Key, normal, unit};
use program::{Program, agree, mean, numbers, short, tensor};

const SEED: u64 = 0;
const D: usize = 200;
const BATCH: usize = 8;
const NOISE: f64 = 0.5;

fn share(j: usize) -> f64 {
    0.5 * (j as f64 + 1.0).powf(-1.3)
}

/// w after `steps` steps on fresh examples, the rule's state, and the number of occurrences of each
/// feature. Every call uses the same examples.
fn learn<O: Optimizer>(
    rule: &O,
    rate: f64,
    truth: &[f64],
    steps: usize,
) -> (Vec<f64>, Option<O::State<2>>, Vec<f64>) {
    let mut rng = Key::new(SEED).word("examples").rng();
    let (mut w, mut state): (Tensor<2>, _) = (tensor(vec![0.0; D], [D, 1]), None);
    let mut seen = vec![0.0; D];
    for _ in 0..steps {
        let mut x = vec![0.0; BATCH * D];
        let mut y = vec![0.0; BATCH];
        for (row, y) in x.chunks_mut(D).zip(&mut y) {
            for j in 0..D {
                if unit(&mut rng) < share(j) {
                    row[j] = 1.0;
                    *y += truth[j];
                    seen[j] += 1.0;
                }
            }
            *y += NOISE * normal(&mut rng);
        }
        let (x, y): (Tensor<2>, Tensor<2>) = (tensor(x, [BATCH, D]), tensor(y, [BATCH, 1]));
        let error = x.clone().matmul(w.clone()) - y;
        let gradient = x.transpose().matmul(error).div_scalar(BATCH as f64);
        (w, state) = rule.step(rate, w, gradient, state);
    }
    (numbers(&w), state, seen)
}

/// The expected loss on fresh examples above the noise: half of Σ p(1 − p) e² + (Σ p e)².
fn excess(w: &[f64], truth: &[f64]) -> f64 {
    let e = || {
        w.iter()
            .zip(truth)
            .enumerate()
            .map(|(j, (w, t))| (share(j), w - t))
    };
    0.5 * (e().map(|(p, e)| p * (1.0 - p) * e * e).sum::<f64>()
        + e().map(|(p, e)| p * e).sum::<f64>().powi(2))
}

/// The run with the smallest excess loss over the grid, and its rate.
fn best<O: Optimizer>(rule: &O, rates: &[f64], truth: &[f64], steps: usize) -> (f64, Vec<f64>) {
    let runs = rates
        .iter()
        .map(|rate| (*rate, learn(rule, *rate, truth, steps).0));
    runs.filter(|r| excess(&r.1, truth).is_finite())
        .min_by(|a, b| excess(&a.1, truth).total_cmp(&excess(&b.1, truth)))
        .unwrap_or_default()
}

fn main() -> anyhow::Result<()> {
    let program = Program::start("adagrad_sparse")?;
    let steps = program.size(4000, 2000);
    let mut rng = Key::new(SEED).word("truth").rng();
    let truth: Vec<f64> = (0..D).map(|_| normal(&mut rng)).collect();
    let (sgd, adagrad) = (
        SgdConfig::default().rule()?,
        AdagradConfig::preset("textbook")
            .unwrap_or_default()
            .rule()?,
    );
    let (sgd_rate, by_sgd) = best(
        &sgd,
        &[0.03, 0.1, 0.2, 0.3, 0.5, 0.7, 1.0, 2.0],
        &truth,
        steps,
    );
    let (rate, by_adagrad) = best(
        &adagrad,
        &[0.1, 0.2, 0.3, 0.5, 0.7, 1.0, 1.5, 2.0],
        &truth,
        steps,
    );
    let (_, state, seen) = learn(&adagrad, rate, &truth, steps);

    println!(
        "{D} features, p_j = 0.5 j^−1.3, {steps} steps of {BATCH} fresh examples, noise {NOISE}, seed {SEED}; each method at the best of 8 rates"
    );
    let error = |w: &[f64], from: usize| {
        mean(
            &(from..D)
                .map(|j| (w[j] - truth[j]).powi(2))
                .collect::<Vec<_>>(),
        )
    };
    for (name, rate, w) in [("SGD", sgd_rate, &by_sgd), ("Adagrad", rate, &by_adagrad)] {
        println!(
            "{name} at {rate}: excess loss {}, mean squared error of the rarer half of the weights {}",
            short(excess(w, &truth)),
            short(error(w, D / 2))
        );
    }
    let (loss_gain, rare_gain) = (
        excess(&by_sgd, &truth) / excess(&by_adagrad, &truth),
        error(&by_sgd, D / 2) / error(&by_adagrad, D / 2),
    );
    println!(
        "SGD over Adagrad: excess loss {}, error of the rare weights {}",
        short(loss_gain),
        short(rare_gain)
    );
    ensure!(
        rare_gain > 1.2 && loss_gain > 1.0,
        "Adagrad should learn the rare features better"
    );

    let accumulated = state.map(|s| numbers(&s.accumulator)).unwrap_or_default();
    let rates: Vec<(f64, f64)> = seen
        .iter()
        .zip(&accumulated)
        .filter(|(n, _)| **n > 0.0)
        .map(|(n, g)| (*n, rate / g.sqrt()))
        .collect();
    let logs: Vec<(f64, f64)> = rates.iter().map(|(n, r)| (n.ln(), r.ln())).collect();
    let (mx, my) = (
        mean(&logs.iter().map(|p| p.0).collect::<Vec<_>>()),
        mean(&logs.iter().map(|p| p.1).collect::<Vec<_>>()),
    );
    let slope = logs.iter().map(|p| (p.0 - mx) * (p.1 - my)).sum::<f64>()
        / logs.iter().map(|p| (p.0 - mx).powi(2)).sum::<f64>();
    agree(
        "exponent of Adagrad’s rate in the number of occurrences",
        slope,
        -0.5,
        0.2,
    )?;

    // Features of similar frequency in groups of twenty.
    let errors = |w: &[f64]| {
        let group = |of: &dyn Fn(usize) -> f64, k: usize| {
            mean(&(20 * k..20 * k + 20).map(of).collect::<Vec<_>>())
        };
        let mut points: Vec<(f64, f64)> = (0..D / 20)
            .map(|k| {
                (
                    group(&|j| seen[j], k),
                    group(&|j| (w[j] - truth[j]).powi(2), k),
                )
            })
            .collect();
        points.sort_by(|a, b| a.0.total_cmp(&b.0));
        points
    };
    let (s, a) = (
        format!("SGD, η = {sgd_rate}"),
        format!("Adagrad, η = {rate}"),
    );
    let plot = Plot::new("adagrad_sparse", "Rare features: one step size for all against Adagrad")
        .x("occurrences of the feature", Scale::Log)
        .y("mean squared error of the weight", Scale::Log)
        .line(&s, errors(&by_sgd))
        .points(&s, errors(&by_sgd))
        .line(&a, errors(&by_adagrad))
        .points(&a, errors(&by_adagrad))
        .guide_y("never moved", mean(&truth.iter().map(|t| t * t).collect::<Vec<_>>()))
        .caption(&format!(
            "{D} features, twenty per mark; {steps} steps of {BATCH} examples, seed {SEED}; each method at the best of 8 rates."
        ));
    program.finish(plot)
}
