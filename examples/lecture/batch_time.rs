//! How large a batch should be on this machine: time per example against batch size, for an MLP on
//! the digits.
//!
//! A step takes about t₀ + t₁|B|: a fixed cost, and a cost for each example. Per example this is
//! t₀/|B| + t₁, so a batch well above the knee t₀/t₁ uses the machine fully, and a larger one gains
//! nothing. Memory sets the upper limit, which is not reached here.

mod program;

use std::time::Instant;

use anyhow::{Context, ensure};
use largebatch::Lab;
use largebatch::data::Search;
use largebatch::optim::Driver;
use largebatch::plot::{Plot, Scale};
use largebatch::train::{Experiment, RunConfig, StepKeys, threads};
use program::{Program, short};

const SEED: u64 = 0;

/// The time of a step in microseconds: the fastest tenth, because other work on the machine can
/// only add to it.
fn time(experiment: &Experiment, batch: usize, repeats: usize) -> anyhow::Result<f64> {
    let mut network = experiment.initial_model()?.network;
    let mut driver = Driver::new(&*experiment.optimizer, &network)?;
    let mut order = experiment.order()?;
    let keys = StepKeys {
        augment: experiment.key("augment"),
        dropout: experiment.key("dropout"),
    };
    let mut times = Vec::new();
    for _ in 0..repeats + 2 {
        order.seek(Default::default());
        let (_, indices) = order.next(batch);
        let start = Instant::now();
        let gradient = experiment.gradient(&network, &indices, keys)?;
        network = driver.step(0.01, network, gradient.gradients);
        times.push(start.elapsed().as_secs_f64() * 1e6);
    }
    // The first two warm up.
    let mut times = times.split_off(2);
    times.sort_by(f64::total_cmp);
    Ok(times[times.len() / 10])
}

fn main() -> anyhow::Result<()> {
    let program = Program::start("batch_time")?;
    let text = format!(
        "dataset = 'digits'\nmodel = {{ name = 'mlp', widths = [256, 256] }}\noptimizer = 'momentum'\nlr = 0.01\nbatch_size = 64\nepochs = 1\nseed = {SEED}"
    );
    let config = RunConfig::layered(Some(("mlp".as_ref(), &text)), &[])?;
    let experiment = Experiment::open(config, &Lab::standard(), &Search::default())?;
    let n = experiment.holdout.train.len();
    let rounds = program.size(6, 2);
    println!(
        "MLP 64-256-256-10 on digits, momentum, CPU with {} threads, fastest of {rounds} rounds",
        threads()
    );
    let batches: Vec<usize> = (0..).map(|k| 1 << k).take_while(|b| *b <= n).collect();
    let mut steps: Vec<(f64, f64)> = batches.iter().map(|b| (*b as f64, f64::INFINITY)).collect();
    // In rounds over all sizes, so that a disturbance does not affect only one size.
    for _ in 0..rounds {
        for (batch, step) in batches.iter().zip(&mut steps) {
            let repeats = (program.size(2000, 500) / batch).clamp(8, 100);
            step.1 = step.1.min(time(&experiment, *batch, repeats)?);
        }
    }
    for (batch, micros) in &steps {
        println!(
            "|B| = {batch:>4}: {:>8} µs per step, {:>7} µs per example",
            short(*micros),
            short(micros / batch)
        );
    }
    // Fits t₀ + t₁|B| by least squares of the relative errors, with weights 1/t².
    let sum = |f: &dyn Fn(f64, f64) -> f64| steps.iter().map(|(b, t)| f(*b, *t)).sum::<f64>();
    let (s, sb, sbb) = (
        sum(&|_, t| 1.0 / (t * t)),
        sum(&|b, t| b / (t * t)),
        sum(&|b, t| b * b / (t * t)),
    );
    let (st, sbt) = (sum(&|_, t| 1.0 / t), sum(&|b, t| b / t));
    let t1 = (s * sbt - sb * st) / (s * sbb - sb * sb);
    let t0 = (st - t1 * sb) / s;
    let fit = |b: f64| t0 + t1 * b;
    let worst = steps
        .iter()
        .map(|(b, t)| (fit(*b) / t).max(t / fit(*b)))
        .fold(1.0, f64::max);
    println!(
        "fit t₀ + t₁|B|: t₀ = {} µs, t₁ = {} µs, knee t₀/t₁ = {} examples; largest misfit: a factor of {}",
        short(t0),
        short(t1),
        short(t0 / t1),
        short(worst)
    );
    let last = steps.last().context("there are batch sizes")?;
    let each = |p: &(f64, f64)| p.1 / p.0;
    let least = steps.iter().map(each).fold(f64::INFINITY, f64::min);
    let enough = steps
        .iter()
        .find(|p| each(p) < 1.25 * least)
        .map_or(last.0, |p| p.0);
    let gain = each(&steps[0]) / least;
    println!(
        "an example costs {} times as much at |B| = 1 as at the best size; |B| = {enough} is within 25 % of the best",
        short(gain)
    );
    ensure!(
        gain > 2.0,
        "an example in a batch should cost less than a single one"
    );
    let plot = Plot::new("batch_time", "Time per example against batch size")
        .x("batch size", Scale::Log)
        .y("microseconds per example", Scale::Log)
        .x_ticks(steps.iter().map(|p| p.0))
        .points("measured", steps.iter().map(|p| (p.0, each(p))))
        .dashed("t₀/|B| + t₁", steps.iter().map(|p| (p.0, fit(p.0) / p.0)))
        .guide_x("knee t₀/t₁", t0 / t1)
        .caption(&format!(
            "MLP 64-256-256-10 on digits, momentum, CPU, {} threads; fastest of {rounds} rounds.",
            threads()
        ));
    program.finish(plot)
}
