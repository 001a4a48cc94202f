//! Gradient descent and SGD on f(w) = (1/N) Σ ½ (w − x_n)².
//!
//! The gradient of a batch is w − w* plus noise of variance σ²/|B|, so the mean squared distance
//! m_t = E(w_t − w*)² follows m_{t+1} = (1 − η_t)² m_t + η_t² σ²/|B| exactly. With a constant step
//! it stalls at η σ² / ((2 − η) |B|): a floor proportional to η/|B| for small η. With a step that
//! falls as t^−a it converges. SGD that starts at the minimizer moves away from it, up to the same
//! floor.

mod program;

use burn::optim::Optimizer;
use largebatch::optim::{OptimizerConfig, SgdConfig};
use largebatch::plot::{Plot, Scale};
use largebatch::schedule::{Epochs, PowerLaw, ScheduleConfig, Shape, Span};
use largebatch_random::{Key, below, normal};
use program::{Program, agree, mean, numbers, short, tensor};

const N: usize = 1000;
const SEED: u64 = 0;

struct Arm {
    label: &'static str,
    /// Step size η, or the first one η_1 if it falls.
    rate: f64,
    /// Exponent a of t^−a; 0 for a constant step.
    exponent: f64,
    batch: usize,
    start: f64,
}

const ARMS: [Arm; 6] = [
    Arm {
        label: "GD, η = 0.1",
        rate: 0.1,
        exponent: 0.0,
        batch: N,
        start: 3.0,
    },
    Arm {
        label: "η = 0.1, |B| = 1",
        rate: 0.1,
        exponent: 0.0,
        batch: 1,
        start: 3.0,
    },
    Arm {
        label: "η = 0.02, |B| = 1",
        rate: 0.02,
        exponent: 0.0,
        batch: 1,
        start: 3.0,
    },
    Arm {
        label: "η = 0.1, |B| = 8",
        rate: 0.1,
        exponent: 0.0,
        batch: 8,
        start: 3.0,
    },
    Arm {
        label: "η = 0.5 t^−0.75, |B| = 1",
        rate: 0.5,
        exponent: 0.75,
        batch: 1,
        start: 3.0,
    },
    Arm {
        label: "from w*: η = 0.1, |B| = 1",
        rate: 0.1,
        exponent: 0.0,
        batch: 1,
        start: 0.0,
    },
];

/// The excess loss ½ E(w_t − w*)² after each step, measured over `runs` runs and by the recursion.
fn walk(arm: &Arm, x: &[f64], runs: usize, steps: usize) -> anyhow::Result<(Vec<f64>, Vec<f64>)> {
    let shape = Shape::from(PowerLaw {
        exponent: arm.exponent,
        every: Span::Steps(1),
    });
    let schedule = ScheduleConfig {
        shape,
        ..Default::default()
    }
    .resolve(arm.rate, steps, &Epochs::even(1))?;
    let rule = SgdConfig::default().rule()?;
    let mut rng = Key::new(SEED).word(arm.label).rng();
    let variance = x.iter().map(|x| x * x).sum::<f64>() / N as f64;
    let noise = if arm.batch == N {
        0.0
    } else {
        variance / arm.batch as f64
    };
    // All runs in one tensor, because SGD treats each number independently.
    let mut w = tensor(vec![arm.start; runs], [runs]);
    let (mut m, mut measured, mut theory) = (arm.start * arm.start, vec![], vec![]);
    for t in 0..steps {
        let mut centre = || match arm.batch {
            N => 0.0,
            batch => {
                (0..batch)
                    .map(|_| x[below(&mut rng, N as u32) as usize])
                    .sum::<f64>()
                    / batch as f64
            }
        };
        let gradient = w.clone() - tensor((0..runs).map(|_| centre()).collect(), [runs]);
        let rate = schedule.lr(t);
        (w, _) = rule.step(rate, w, gradient, None);
        m = (1.0 - rate).powi(2) * m + rate * rate * noise;
        measured.push(0.5 * mean(&numbers(&w.clone().square())));
        theory.push(0.5 * m);
    }
    Ok((measured, theory))
}

fn main() -> anyhow::Result<()> {
    let program = Program::start("gd_sgd_quadratic")?;
    let (runs, steps) = (program.size(2000, 500), program.size(2000, 400));
    let mut rng = Key::new(SEED).word("data").rng();
    let mut x: Vec<f64> = (0..N).map(|_| normal(&mut rng)).collect();
    let centre = mean(&x);
    x.iter_mut().for_each(|x| *x -= centre); // w* = 0

    println!(
        "f(w) = (1/N) Σ ½ (w − x_n)², N = {N}, {runs} runs of {steps} steps, seed {SEED}; excess loss f(w) − f(w*), mean of the last half"
    );
    let mut plot = Plot::new(
        "gd_sgd_quadratic",
        "SGD stalls at a floor; a falling step does not",
    );
    plot = plot
        .x("step t", Scale::Log)
        .y("excess loss", Scale::Log)
        .y_range(3e-4, 8.0)
        .height(280.0);
    let mut floors = Vec::new();
    for arm in &ARMS {
        let (measured, theory) = walk(arm, &x, runs, steps)?;
        if arm.batch == N {
            println!(
                "{}: {} at the end: GD converges at a constant step",
                arm.label,
                short(measured[steps - 1])
            );
        } else {
            let (late, expected) = (mean(&measured[steps / 2..]), mean(&theory[steps / 2..]));
            agree(arm.label, late, expected, 0.1)?;
            floors.push(late);
        }
        let some = || (0..120).map(|k| (steps as f64).powf(f64::from(k) / 119.0) as usize - 1);
        plot = plot.line(arm.label, some().map(|t| (t as f64 + 1.0, measured[t])));
        plot = plot.dashed(arm.label, some().map(|t| (t as f64 + 1.0, theory[t])));
    }
    let floor = |rate: f64| rate / (2.0 * (2.0 - rate));
    agree(
        "floor at |B| = 1 divided by floor at |B| = 8",
        floors[0] / floors[2],
        8.0,
        0.1,
    )?;
    agree(
        "floor at η = 0.1 divided by floor at η = 0.02",
        floors[0] / floors[1],
        floor(0.1) / floor(0.02),
        0.1,
    )?;
    agree(
        "SGD from w* divided by SGD from afar",
        floors[4] / floors[0],
        1.0,
        0.1,
    )?;
    let caption = format!(
        "N = {N}, mean of {runs} runs, seed {SEED}. Dashed, on the lines: m ← (1 − η)² m + η² σ²/|B|. GD falls below the range of the chart."
    );
    program.finish(plot.caption(&caption))
}
