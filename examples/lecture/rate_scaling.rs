//! The rate grows with the batch size, but only up to the bound 2/L.
//!
//! Least squares on x ~ N(0, I), f = ½ (x·w)², so L = 1. A step on a batch multiplies the mean
//! squared distance by exactly c(η) = 1 − 2η + η² (1 + (d + 1)/|B|): SGD contracts for η < 2/(1 +
//! (d + 1)/|B|), fastest at half of it. For |B| far below d + 1, this is the linear scaling rule.
//! Above, the rate saturates at 2/L, and a larger batch gains nothing (Ma, Bassily and Belkin 2018,
//! arXiv 1712.06559).

mod program;

use burn::optim::Optimizer;
use burn::tensor::Tensor;
use largebatch::optim::{OptimizerConfig, ParameterGroup, SgdConfig};
use largebatch::plot::{Plot, Scale};
use largebatch::schedule::Scaling;
use largebatch_random::{Key, normal};
use program::{Program, agree, numbers, short, tensor};

const SEED: u64 = 0;
const D: usize = 63;

/// The mean of ‖w − η g‖²/‖w‖² over fresh batches, for each rate. By symmetry, any w gives the
/// same.
fn contraction(batch: usize, rates: &[f64], count: usize) -> Vec<f64> {
    let rule = SgdConfig::default().rule_for(ParameterGroup::ALL);
    let mut rng = Key::new(SEED).word("batches").number(batch as u64).rng();
    let w: Tensor<2> = tensor(
        (0..D).map(|i| if i == 0 { 1.0 } else { 0.0 }).collect(),
        [D, 1],
    );
    let mut sums = vec![0.0; rates.len()];
    for _ in 0..count {
        let x: Tensor<2> = tensor(
            (0..batch * D).map(|_| normal(&mut rng)).collect(),
            [batch, D],
        );
        let outputs = x.clone().matmul(w.clone());
        let gradient = x.transpose().matmul(outputs).div_scalar(batch as f64);
        for (sum, rate) in sums.iter_mut().zip(rates) {
            let (after, _) = rule.step(*rate, w.clone(), gradient.clone(), None);
            *sum += numbers(&after).iter().map(|x| x * x).sum::<f64>() / count as f64;
        }
    }
    sums
}

/// The rate at which c(η) = 1, and the rate at which c is smallest. c is a parabola through (0, 1),
/// so two measured points determine it.
fn bounds(rates: &[f64; 2], c: &[f64]) -> (f64, f64) {
    // c = 1 − aη + bη², so (1 − c)/η = a − bη.
    let slope = |i: usize| (1.0 - c[i]) / rates[i];
    let b = (slope(0) - slope(1)) / (rates[1] - rates[0]);
    let a = slope(0) + b * rates[0];
    (a / b, a / (2.0 * b))
}

fn main() -> anyhow::Result<()> {
    let program = Program::start("rate_scaling")?;
    let examples = program.size(150_000, 40_000);
    println!(
        "least squares, x ~ N(0, I), d = {D}, L = 1, {examples} examples per batch size, seed {SEED}"
    );
    let batches = [1usize, 4, 16, 64, 256, 1024, 4096];
    let (mut stable, mut fastest) = (Vec::new(), Vec::new());
    let theory = |b: f64| 2.0 / (1.0 + (D as f64 + 1.0) / b);
    for batch in batches {
        let bound = theory(batch as f64);
        let rates = [0.5 * bound, 1.1 * bound];
        let c = contraction(batch, &rates, (examples / batch).max(20));
        let (largest, best) = bounds(&rates, &c);
        agree(
            &format!("|B| = {batch}: largest stable rate"),
            largest,
            bound,
            0.08,
        )?;
        stable.push((batch as f64, largest));
        fastest.push((batch as f64, best));
    }
    // Steps and examples until the distance is a thousand times smaller, at the best rate, at which
    // c = 1 − η.
    for (batch, rate) in &fastest {
        let steps = 1e-6f64.ln() / (1.0 - rate).max(1e-12).ln();
        println!(
            "|B| = {batch}: best rate {}, {:.0} steps or {} examples to a thousandth of the distance",
            short(*rate),
            steps.ceil(),
            short(steps * batch)
        );
    }
    let growth = |i: usize| stable[i + 1].1 / stable[i].1;
    agree(
        "from |B| = 1 to 4 the rate grows by",
        growth(0),
        theory(4.0) / theory(1.0),
        0.1,
    )?;
    agree(
        "from |B| = 1024 to 4096 the rate grows by",
        growth(5),
        theory(4096.0) / theory(1024.0),
        0.1,
    )?;
    let first = stable[0].1;
    let rule = |rule: Scaling| [1usize, 64, 4096].map(|b| (b as f64, rule.peak(first, b, 1)));
    let plot = Plot::new("rate_scaling", "The rate follows the batch size up to 2/L")
        .x("batch size", Scale::Log)
        .y("learning rate", Scale::Log)
        .x_ticks(batches.map(|b| b as f64))
        .y_range(0.5 * fastest[0].1, 6.0)
        .points("largest stable rate", stable)
        .dashed("largest stable rate", (0..=48).map(|k| 2f64.powf(f64::from(k) / 4.0)).map(|b| (b, theory(b))))
        .points("best rate", fastest)
        .dashed("best rate", (0..=48).map(|k| 2f64.powf(f64::from(k) / 4.0)).map(|b| (b, 0.5 * theory(b))))
        .line("linear rule", rule(Scaling::Linear))
        .line("square-root rule", rule(Scaling::Sqrt))
        .guide_y("2/L", 2.0)
        .guide_x("d + 1", D as f64 + 1.0)
        .caption(&format!(
            "Least squares, d = {D}, mean over {examples} examples per mark, seed {SEED}. Dashed: 2/(1 + (d + 1)/|B|) and half of it."
        ));
    program.finish(plot)
}
