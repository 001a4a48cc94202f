//! Momentum and Nesterov in a ravine: f(w) = ½ (w₁² + κ w₂²).
//!
//! Each method uses the constants that are best for a quadratic. Per step, gradient descent with
//! η = 2/(L + μ) contracts by (κ − 1)/(κ + 1), heavy ball with α = 4/(√L + √μ)² and
//! β = ((√κ − 1)/(√κ + 1))² by √β (Polyak 1964), and Nesterov with α = 1/L and
//! β = (√κ − 1)/(√κ + 1) by 1 − 1/√κ. For large κ, √κ replaces κ: momentum helps even without
//! noise.

mod program;

use burn::tensor::Tensor;
use largebatch::optim::{MomentumConfig, NesterovConfig, OptimizerConfig, Rule, SgdConfig};
use largebatch::plot::{Plot, Scale};
use program::{Program, agree, numbers, tensor};

const KAPPA: f64 = 25.0;
const START: [f64; 2] = [-4.5, 0.9];

/// The points of the path, with each step's gradient at the weights that the rule wants.
fn walk<R: Rule>(rule: &R, rate: f64, steps: usize) -> Vec<[f64; 2]> {
    let curvature = tensor(vec![1.0, KAPPA], [2]);
    let mut w: Tensor<1> = tensor(START.to_vec(), [2]);
    let (mut state, mut path) = (None, vec![START]);
    for _ in 0..steps {
        let at = match &state {
            Some(state) => rule.ahead(w.clone(), state),
            None => w.clone(),
        };
        (w, state) = rule.step(rate, w, at * curvature.clone(), state);
        let point = numbers(&w);
        path.push([point[0], point[1]]);
    }
    path
}

fn length(w: &[f64; 2]) -> f64 {
    w[0].hypot(w[1])
}

fn main() -> anyhow::Result<()> {
    let program = Program::start("momentum_paths")?;
    let (root, steps) = (KAPPA.sqrt(), 400);
    let beta = ((root - 1.0) / (root + 1.0)).powi(2);
    let ball = MomentumConfig {
        momentum: beta,
        ..MomentumConfig::preset("heavy-ball").unwrap_or_default()
    }
    .rule()?;
    let ahead = NesterovConfig {
        momentum: beta.sqrt(),
        ..NesterovConfig::preset("textbook").unwrap_or_default()
    }
    .rule()?;
    let methods = [
        (
            "gradient descent",
            walk(&SgdConfig::default().rule()?, 2.0 / (KAPPA + 1.0), steps),
            (KAPPA - 1.0) / (KAPPA + 1.0),
        ),
        (
            "momentum",
            walk(&ball, 4.0 / (root + 1.0).powi(2), steps),
            beta.sqrt(),
        ),
        (
            "Nesterov",
            walk(&ahead, 1.0 / KAPPA, steps),
            1.0 - 1.0 / root,
        ),
    ];

    println!(
        "f(w) = ½ (w₁² + {KAPPA} w₂²) from ({}, {}), no noise; each method with its best constants",
        START[0], START[1]
    );
    let axis = |half: f64| (0..=80).map(move |i| half * (f64::from(i) / 40.0 - 1.0));
    let grid = axis(2.0).map(|y| axis(5.0).map(|x| 0.5 * (x * x + KAPPA * y * y)).collect());
    let mut plot = Plot::new("momentum_paths", "Three ways down a ravine")
        .x("w₁", Scale::Linear)
        .y("w₂", Scale::Linear)
        .height(300.0);
    plot = plot.contour(
        axis(5.0),
        axis(2.0),
        grid,
        [0.5, 2.0, 5.0, 10.0, 20.0, 40.0],
    );
    let mut needed = Vec::new();
    for (name, path, theory) in &methods {
        // A double root contracts as t·rᵗ, so r is measured late, but above rounding errors.
        let end = path
            .iter()
            .position(|w| length(w) < 1e-60)
            .unwrap_or(steps)
            .min(steps);
        let from = end / 2;
        let stretch = (end - from) as f64;
        let growth = if *name == "gradient descent" {
            1.0
        } else {
            end as f64 / from as f64
        };
        let measured = (length(&path[end]) / length(&path[from]) / growth).powf(1.0 / stretch);
        agree(
            &format!("{name}: contraction per step"),
            measured,
            *theory,
            0.01,
        )?;
        let steps = path
            .iter()
            .position(|w| length(w) < 1e-6 * length(&START))
            .unwrap_or(usize::MAX);
        println!("{name}: {steps} steps to a millionth of the distance");
        needed.push(steps);
        plot = plot
            .line(name, path.iter().take(30).map(|w| (w[0], w[1])))
            .points(name, path.iter().take(30).map(|w| (w[0], w[1])));
    }
    anyhow::ensure!(
        needed[1] < needed[0] && needed[2] < needed[0],
        "momentum should need fewer steps"
    );
    let caption = format!(
        "The first 30 steps of each. κ = {KAPPA}; steps to a millionth of the distance: GD {}, momentum {}, Nesterov {}.",
        needed[0], needed[1], needed[2]
    );
    program.finish(plot.caption(&caption))
}
