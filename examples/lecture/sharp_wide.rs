//! A sharp and a wide minimum of one function: which one SGD finds, and how a shift between
//! training and test affects each.
//!
//! f is the smooth lower envelope of two equally deep parabolas, with curvature h = 64 at −1 and h
//! = 4 at 1. If the test function is f shifted by δ, the loss at a minimum rises by ½ h δ²: 16
//! times as much at the sharp one. Gradient noise of variance σ²/|B| drives SGD out of the sharp
//! minimum if |B| is small; with a large batch, SGD stays where it starts (Keskar et al. 2017,
//! arXiv 1609.04836).

mod program;

use anyhow::{Context, ensure};
use burn::optim::Optimizer;
use burn::tensor::Tensor;
use largebatch::optim::{OptimizerConfig, SgdConfig};
use largebatch::plot::{Plot, Scale};
use largebatch_random::{Key, normal, unit};
use program::{Program, agree, mean, numbers, short, tensor};

const SEED: u64 = 0;
/// Curvature and position of the minima.
const SHARP: (f64, f64) = (64.0, -1.0);
const WIDE: (f64, f64) = (4.0, 1.0);
/// The roundness τ of the ridge between them.
const ROUND: f64 = 0.2;
const RATE: f64 = 0.02;
const SIGMA: f64 = 9.0;
const SHIFT: f64 = 0.1;

/// −τ log(e^(−p/τ) + e^(−q/τ)) for the parabolas p and q, computed relative to the smaller one, so
/// that nothing underflows.
fn f(w: Tensor<1>) -> Tensor<1> {
    let parabola =
        |(h, centre): (f64, f64)| w.clone().sub_scalar(centre).square().mul_scalar(0.5 * h);
    let (p, q) = (parabola(SHARP), parabola(WIDE));
    let least = p.clone().min_pair(q.clone());
    let part = |x: Tensor<1>| (least.clone() - x).div_scalar(ROUND).exp();
    let sum = part(p) + part(q);
    least - sum.log().mul_scalar(ROUND)
}

fn gradient(w: &Tensor<1>) -> anyhow::Result<Tensor<1>> {
    let at = Tensor::from_inner(w.clone()).require_grad();
    let gradients = f(at.clone()).sum().backward();
    at.grad(&gradients).context("w has a gradient")
}

/// The end of each run, from uniformly random starts, with all runs in one tensor.
fn ends(batch: usize, runs: usize, steps: usize) -> anyhow::Result<Vec<f64>> {
    let rule = SgdConfig::default().rule()?;
    let mut rng = Key::new(SEED).word("runs").number(batch as u64).rng();
    let mut w = tensor(
        (0..runs).map(|_| -2.0 + 4.0 * unit(&mut rng)).collect(),
        [runs],
    );
    for t in 0..steps {
        // The last tenth runs without noise, to the bottom of the current basin.
        let noise = if t < steps * 9 / 10 {
            SIGMA / (batch as f64).sqrt()
        } else {
            0.0
        };
        let g = gradient(&w)?
            + tensor(
                (0..runs).map(|_| noise * normal(&mut rng)).collect(),
                [runs],
            );
        (w, _) = rule.step(RATE, w, g, None);
    }
    Ok(numbers(&w))
}

fn main() -> anyhow::Result<()> {
    let program = Program::start("sharp_wide")?;
    let (runs, steps) = (program.size(1000, 300), program.size(1500, 600));
    let value = |w: f64| numbers(&f(tensor(vec![w], [1])))[0];
    println!(
        "minima of equal depth at −1 (h = 64) and 1 (h = 4); test function shifted by δ = {SHIFT}"
    );
    let rise = |centre: f64| value(centre - SHIFT) - value(centre);
    agree(
        "rise of the loss at the sharp minimum",
        rise(SHARP.1),
        0.5 * SHARP.0 * SHIFT * SHIFT,
        0.01,
    )?;
    agree(
        "rise of the loss at the wide minimum",
        rise(WIDE.1),
        0.5 * WIDE.0 * SHIFT * SHIFT,
        0.01,
    )?;
    agree(
        "sharp divided by wide",
        rise(SHARP.1) / rise(WIDE.1),
        SHARP.0 / WIDE.0,
        0.01,
    )?;

    println!(
        "SGD, η = {RATE}, noise of σ = {SIGMA} per example, {runs} runs of {steps} steps from U(−2, 2), seed {SEED}:"
    );
    let mut found = Vec::new();
    for batch in [1, 2, 4, 16, 64, 1024] {
        let ends = ends(batch, runs, steps)?;
        let sharp = ends.iter().filter(|w| **w < -0.6).count() as f64 / runs as f64;
        let test = mean(&numbers(&f(tensor(
            ends.iter().map(|w| w - SHIFT).collect(),
            [runs],
        ))));
        println!(
            "|B| = {batch}: {:.1} % end in the sharp minimum, mean test loss {}",
            100.0 * sharp,
            short(test)
        );
        found.push((batch, sharp));
    }
    // Without noise, a run ends in the basin in which it starts; the ridge is at −0.6.
    agree(
        "|B| = 1024: fraction in the sharp minimum",
        found[5].1,
        1.4 / 4.0,
        0.2,
    )?;
    ensure!(
        found[0].1 < 0.1,
        "the smallest batch should leave the sharp minimum"
    );

    let axis = || (0..=600).map(|i| -2.0 + 4.5 * f64::from(i) / 600.0);
    let shares = found
        .iter()
        .map(|(b, s)| format!("{b}: {:.0} %", 100.0 * s))
        .collect::<Vec<_>>()
        .join(", ");
    let plot = Plot::new("sharp_wide", "A sharp and a wide minimum, with a shifted test function")
        .x("w", Scale::Linear)
        .y("loss", Scale::Linear)
        .x_range(-1.5, 2.4)
        .y_range(-0.12, 2.6)
        .line("training", axis().map(|w| (w, value(w))))
        .dashed("test: shifted", axis().map(|w| (w, value(w - SHIFT))))
        .points("minima of the training loss", [SHARP.1, WIDE.1].map(|w| (w, value(w))))
        .points("the same points in the test", [SHARP.1, WIDE.1].map(|w| (w, value(w - SHIFT))))
        .caption(&format!("h = 64 and h = 4, δ = {SHIFT}. SGD ends in the sharp minimum at |B| = {shares} of {runs} runs, seed {SEED}."));
    program.finish(plot)
}
