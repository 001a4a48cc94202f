//! What Adam's bias correction does.
//!
//! m and v start at 0, so after t steps they are too small by the factors 1 − β₁ᵗ and 1 − β₂ᵗ.
//! Divided by these, m̂ has the gradient's mean from the first step on. Without the division, the
//! step for a constant gradient is α (1 − β₁ᵗ)/√(1 − β₂ᵗ): more than three times α at the start, up
//! to 6.6 α, and too large for some thousand steps.

mod program;

use burn::optim::Optimizer;
use burn::tensor::Tensor;
use largebatch::optim::{AdamConfig, BiasCorrection, LambConfig, OptimizerConfig, ParameterGroup};
use largebatch::plot::{Plot, Scale};
use largebatch_random::{Key, normal};
use program::{Program, agree, mean, numbers, short, tensor};

const SEED: u64 = 0;
const ALPHA: f64 = 0.001;
const BETA: (f64, f64) = (0.9, 0.999);

/// The relative size |Δw|/α of every step, for a gradient that is always 1.
fn steps<O: Optimizer>(rule: &O, count: usize) -> Vec<f64> {
    let mut w: Tensor<1> = tensor(vec![0.0], [1]);
    let (mut state, mut before, mut out) = (None, 0.0, Vec::new());
    for _ in 0..count {
        (w, state) = rule.step(ALPHA, w, tensor(vec![1.0], [1]), state);
        let now = numbers(&w)[0];
        out.push((before - now) / ALPHA);
        before = now;
    }
    out
}

fn main() -> anyhow::Result<()> {
    let program = Program::start("adam_bias_correction")?;
    let count = program.size(10_000, 3000);
    let adam = AdamConfig::default();
    // LAMB without layer adaptation is Adam, with the correction as an option.
    let bare = LambConfig {
        eps: adam.eps,
        bias_correction: BiasCorrection::None,
        ..LambConfig::default()
    }
    .rule_for(ParameterGroup {
        decay: false,
        adapt: false,
    });
    let (with, without) = (steps(&adam.rule()?, count), steps(&bare, count));
    let theory = |t: usize| (1.0 - BETA.0.powi(t as i32)) / (1.0 - BETA.1.powi(t as i32)).sqrt();

    println!(
        "|Δw|/α for a constant gradient, β₁ = {}, β₂ = {}, {count} steps:",
        BETA.0, BETA.1
    );
    agree("corrected, first step", with[0], 1.0, 1e-4)?;
    agree("not corrected, first step", without[0], theory(1), 1e-4)?;
    let worst = (0..count)
        .max_by(|a, b| without[*a].total_cmp(&without[*b]))
        .unwrap_or(0);
    agree(
        &format!("not corrected, at its largest (step {})", worst + 1),
        without[worst],
        theory(worst + 1),
        1e-4,
    )?;
    let settled = without
        .iter()
        .rposition(|s| (s - 1.0).abs() > 0.1)
        .map_or(0, |t| t + 2);
    println!("not corrected, within 10 % of α from step {settled} on");

    let runs = program.size(20_000, 5000);
    println!(
        "mean of m over {runs} runs of gradients N(1, 1), seed {SEED} (the gradient’s mean is 1):"
    );
    let rule = adam.rule()?;
    let mut rng = Key::new(SEED).word("gradients").rng();
    let (mut w, mut state) = (tensor(vec![0.0; runs], [runs]), None);
    let (mut raw, mut corrected) = (Vec::new(), Vec::new());
    for t in 1..=60 {
        let g = tensor((0..runs).map(|_| 1.0 + normal(&mut rng)).collect(), [runs]);
        (w, state) = rule.step(ALPHA, w, g, state);
        let m = state.as_ref().map_or(f64::NAN, |s| mean(&numbers(&s.mean)));
        let short_of = 1.0 - BETA.0.powi(t);
        raw.push((f64::from(t), m));
        corrected.push((f64::from(t), m / short_of));
        if [1, 10].contains(&t) {
            agree(&format!("m at step {t}"), m, short_of, 0.05)?;
            agree(
                &format!("m corrected, at step {t}"),
                m / short_of,
                1.0,
                0.05,
            )?;
        }
    }
    let some = || (0..100).map(|k| (count as f64).powf(f64::from(k) / 99.0) as usize);
    let plot = Plot::new("adam_bias_correction", "Adam’s steps with and without bias correction")
        .x("step t", Scale::Log)
        .y("step / α, and mean of m / mean of g", Scale::Linear)
        .line("step, corrected", some().map(|t| (t as f64, with[t - 1])))
        .line("step, not corrected", some().map(|t| (t as f64, without[t - 1])))
        .dashed("step, not corrected", some().map(|t| (t as f64, theory(t))))
        .points("m, corrected", corrected.into_iter().step_by(3))
        .points("m", raw.into_iter().step_by(3))
        .caption(&format!(
            "Lines: a constant gradient; dashed, on the line: (1 − β₁^t)/√(1 − β₂^t). Marks: gradients N(1, 1), {runs} runs, seed {SEED}. Largest step {} α.",
            short(without[worst])
        ));
    program.finish(plot)
}
