//! The step-size schedules side by side, and the final loss of SGD with each on a noisy quadratic.
//!
//! On f(w) = (1/N) Σ ½ (w − x_n)² the mean squared distance to the minimizer follows m ← (1 − η_t)²
//! m + η_t² σ²/|B| exactly, for any schedule. All schedules have the same peak rate and the same
//! number of steps. Those that end at a small rate end low; a constant rate ends at its floor. With
//! a single curvature, an early fall costs nothing; if curvatures differ, t^−a can fall too early
//! for the flat directions.

mod program;

use burn::optim::Optimizer;
use largebatch::optim::{OptimizerConfig, SgdConfig};
use largebatch::plot::{Plot, Scale};
use largebatch::schedule::{
    Anneal, Constant, Cosine, CosineRestarts, CycleMode, Cyclic, Epochs, Exponential, Linear,
    Marks, MultiStep, OneCycle, Polynomial, PowerLaw, ScheduleConfig, Shape, Span, Warmup,
};
use largebatch_random::{Key, normal};
use program::{Program, agree, mean, numbers, short, tensor};

const SEED: u64 = 0;
const PEAK: f64 = 0.3;

fn shapes() -> Vec<(&'static str, Shape)> {
    let part = Span::Fraction;
    vec![
        ("constant", Shape::from(Constant {})),
        (
            "t^−0.75",
            Shape::from(PowerLaw {
                exponent: 0.75,
                every: Span::Steps(1),
            }),
        ),
        (
            "step",
            Shape::from(MultiStep {
                factor: 0.1,
                at: Marks::Fraction(vec![0.5, 0.75]),
            }),
        ),
        (
            "exponential",
            Shape::from(Exponential {
                factor: 0.01,
                every: part(1.0),
            }),
        ),
        (
            "polynomial, p = 2",
            Shape::from(Polynomial {
                power: 2.0,
                length: part(1.0),
            }),
        ),
        ("cosine", Shape::from(Cosine { length: part(1.0) })),
        (
            "cosine-restarts",
            Shape::from(CosineRestarts {
                first: part(1.0 / 7.0),
                growth: 2.0,
            }),
        ),
        (
            "cyclic",
            Shape::from(Cyclic {
                mode: CycleMode::Triangular2,
                rise: part(0.125),
                fall: None,
                low: 0.02,
            }),
        ),
        (
            "one-cycle",
            Shape::from(OneCycle {
                rise: part(0.3),
                start: 0.04,
                end: 0.0004,
                anneal: Anneal::Cosine,
            }),
        ),
    ]
}

fn main() -> anyhow::Result<()> {
    let program = Program::start("schedules")?;
    let (runs, steps) = (program.size(4000, 1500), program.size(800, 400));
    let rule = SgdConfig::default().rule()?;
    let mut arms = shapes();
    arms.push((
        "linear after a warm-up",
        Shape::from(Linear {
            length: Span::Fraction(1.0),
        }),
    ));
    println!(
        "noisy quadratic, σ²/|B| = 1, peak rate {PEAK}, {steps} steps, {runs} runs, seed {SEED}; excess loss at the end:"
    );
    let mut plot = Plot::new("schedules", "Step-size schedules side by side")
        .x("step", Scale::Linear)
        .y("rate / peak", Scale::Linear);
    plot = plot.y_range(0.0, 1.05).height(280.0);
    let mut ends = Vec::new();
    for (name, shape) in arms {
        let warmup = if name.contains("warm-up") {
            Warmup::linear(Span::Fraction(0.1))
        } else {
            Warmup::NONE
        };
        let schedule = ScheduleConfig {
            shape,
            warmup,
            ..ScheduleConfig::default()
        }
        .resolve(PEAK, steps, &Epochs::even(1))?;
        let mut rng = Key::new(SEED).word(name).rng();
        let (mut w, mut m) = (tensor(vec![3.0; runs], [runs]), 9.0);
        for t in 0..steps {
            let rate = schedule.lr(t);
            let noise = tensor((0..runs).map(|_| normal(&mut rng)).collect(), [runs]);
            let gradient = w.clone() - noise;
            (w, _) = rule.step(rate, w, gradient, None);
            m = (1.0 - rate).powi(2) * m + rate * rate;
        }
        let measured = 0.5 * mean(&numbers(&w.square()));
        agree(name, measured, 0.5 * m, 0.12)?;
        ends.push((name, measured));
        plot = plot.line(
            name,
            (0..=400)
                .map(|k| f64::from(k) / 400.0 * (steps - 1) as f64)
                .map(|t| (t, schedule.lr_at(t) / PEAK)),
        );
    }
    ends.sort_by(|a, b| a.1.total_cmp(&b.1));
    let ranking = ends
        .iter()
        .map(|(name, end)| format!("{name} {}", short(*end)))
        .collect::<Vec<_>>()
        .join(", ");
    println!("from lowest to highest: {ranking}");
    anyhow::ensure!(
        ends.last().is_some_and(|e| e.0 == "constant"),
        "the constant rate should end highest"
    );
    program.finish(plot.caption(&format!(
        "Excess loss at the end, from lowest to highest: {ranking}. {runs} runs, seed {SEED}."
    )))
}
