//! The two forms of momentum are the same method, and its velocity is a less noisy gradient.
//!
//! v ← μv + (1 − μ)g, w ← w − αv equals v ← μv + α(1 − μ)g, w ← w − v, as long as α is constant.
//! For independent gradients of variance σ², the velocity has the variance σ² (1 − μ)/(1 + μ) · (1
//! − μ²ᵗ) after t steps: momentum averages, and μ = 0.9 averages about as much as a batch 19 times
//! as large. It does not lower the floor: successive velocities are correlated, and on ½w² the
//! stationary variance α σ²/(2 − α (1 − μ)/(1 + μ)) is almost that of SGD.

mod program;

use anyhow::ensure;
use burn::optim::Optimizer;
use burn::tensor::Tensor;
use largebatch::optim::{Momentum, MomentumConfig, OptimizerConfig, ParameterGroup};
use largebatch::plot::{Plot, Scale};
use largebatch_random::{Key, normal};
use program::{Program, agree, mean, numbers, short, tensor};

const SEED: u64 = 0;

fn momentum(preset: &str, beta: f64) -> Momentum {
    MomentumConfig {
        momentum: beta,
        ..MomentumConfig::preset(preset).unwrap_or_default()
    }
    .rule_for(ParameterGroup::ALL)
}

/// The largest distance between the two forms over 200 steps with noisy gradients of ½‖w‖²; the
/// rate is divided by 10 at step `change`.
fn parting(change: usize) -> f64 {
    let (beta, d) = (0.9, 100);
    let (ema, ball) = (momentum("textbook", beta), momentum("heavy-ball", beta));
    let mut rng = Key::new(SEED).word("parting").rng();
    let (mut a, mut b): (Tensor<1>, Tensor<1>) =
        (tensor(vec![1.0; d], [d]), tensor(vec![1.0; d], [d]));
    let (mut of_a, mut of_b, mut largest) = (None, None, 0.0f64);
    for t in 0..200 {
        let alpha = if t < change { 0.3 } else { 0.03 };
        let noise = tensor((0..d).map(|_| normal(&mut rng)).collect(), [d]);
        let (ga, gb) = (a.clone() + noise.clone(), b.clone() + noise);
        (a, of_a) = ema.step(alpha, a, ga, of_a);
        (b, of_b) = ball.step(alpha * (1.0 - beta), b, gb, of_b);
        largest = numbers(&(a.clone() - b.clone()))
            .into_iter()
            .fold(largest, |m, x| m.max(x.abs()));
    }
    largest
}

/// The stationary variance of w on ½w² with gradient noise N(0, 1), over `runs` runs.
fn floor(beta: f64, alpha: f64, runs: usize) -> f64 {
    let rule = momentum("textbook", beta);
    let mut rng = Key::new(SEED)
        .word("floor")
        .number((1000.0 * beta) as u64)
        .rng();
    let (mut w, mut state, mut late) = (tensor(vec![0.0; runs], [runs]), None, Vec::new());
    for t in 0..600 {
        let g = w.clone() + tensor((0..runs).map(|_| normal(&mut rng)).collect(), [runs]);
        (w, state) = rule.step(alpha, w, g, state);
        if t >= 300 {
            late.push(mean(&numbers(&w.clone().square())));
        }
    }
    mean(&late)
}

fn main() -> anyhow::Result<()> {
    let program = Program::start("ema_heavy_ball")?;
    let (same, changed) = (parting(usize::MAX), parting(100));
    println!(
        "moving average at α against heavy ball at α(1 − μ), μ = 0.9, 200 noisy steps in 100 dimensions, seed {SEED}:"
    );
    println!(
        "largest difference {} at a constant rate, {} if the rate drops to a tenth at step 100",
        short(same),
        short(changed)
    );
    ensure!(
        same < 1e-13 && changed > 1e-3,
        "the forms should agree only at a constant rate"
    );

    let (runs, steps) = (program.size(20_000, 4000), program.size(500, 300));
    println!(
        "variance of the velocity divided by that of the gradient, {runs} runs, gradients N(0, 1), mean of the steps after {}:",
        steps / 2
    );
    let mut plot = Plot::new(
        "ema_heavy_ball",
        "Momentum averages out the gradient’s noise",
    );
    plot = plot.x("step t", Scale::Log).y(
        "variance of the velocity / variance of the gradient",
        Scale::Log,
    );
    for beta in [0.0, 0.5, 0.9, 0.99] {
        let rule = momentum("textbook", beta);
        let mut rng = Key::new(SEED)
            .word("gradients")
            .number((1000.0 * beta) as u64)
            .rng();
        let (mut w, mut state) = (tensor(vec![0.0; runs], [runs]), None);
        let mut measured = Vec::new();
        for _ in 0..steps {
            let g = tensor((0..runs).map(|_| normal(&mut rng)).collect(), [runs]);
            (w, state) = rule.step(0.1, w, g, state);
            measured.push(
                state
                    .as_ref()
                    .map_or(f64::NAN, |s| mean(&numbers(&s.velocity.clone().square()))),
            );
        }
        let theory = |t: usize| (1.0 - beta) / (1.0 + beta) * (1.0 - beta.powi(2 * t as i32));
        let label = format!("μ = {beta}");
        let late = steps / 2..steps;
        let expected = mean(&late.clone().map(|t| theory(t + 1)).collect::<Vec<_>>());
        agree(&label, mean(&measured[late]), expected, 0.05)?;
        let some = || (0..40).map(|k| (steps as f64).powf(f64::from(k) / 39.0) as usize);
        plot = plot
            .points(&label, some().map(|t| (t as f64, measured[t - 1])))
            .dashed(&label, some().map(|t| (t as f64, theory(t))));
    }
    println!("variance of w around the minimum of ½w², gradient noise N(0, 1), α = 0.1:");
    for beta in [0.0, 0.9] {
        let theory = 0.1 / (2.0 - 0.1 * (1.0 - beta) / (1.0 + beta));
        agree(
            &format!("floor at μ = {beta}"),
            floor(beta, 0.1, runs / 4),
            theory,
            0.05,
        )?;
    }
    let caption = format!(
        "{runs} runs, seed {SEED}, independent gradients. Dashed: (1 − μ)/(1 + μ) · (1 − μ^2t)."
    );
    program.finish(plot.caption(&caption))
}
