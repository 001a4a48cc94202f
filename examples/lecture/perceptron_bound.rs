//! The perceptron and its bound: on data of radius R that a hyperplane through 0 separates with
//! margin γ, it makes at most (R/γ)² mistakes, whatever the order, the dimension and the number of
//! examples (Novikoff 1962).
//!
//! It is SGD with batch 1 on the loss max(0, −y w·x). Random data cause far fewer mistakes than the
//! bound; orthogonal examples reach it.

mod program;

use anyhow::{Context, ensure};
use largebatch::Lab;
use largebatch::data::{Dataset, Holdout, Labels, Part, Preprocess, Task};
use largebatch::optim::Driver;
use largebatch::plot::{Plot, Scale};
use largebatch::train::{Experiment, RunConfig, StepKeys};
use largebatch_random::{Key, normal, unit};
use program::{Program, agree, short};

const SEED: u64 = 0;

/// Mistakes until a whole pass has none. A step is a mistake if it changes the weights.
fn mistakes(points: &[Vec<f64>], classes: Vec<u32>, seed: u64) -> anyhow::Result<usize> {
    let n = points.len();
    let values = points.concat();
    let part = Part::from_table(values, vec![points[0].len()], Labels::Classes(classes))?;
    let (name, shape, preprocess) = (
        "points".into(),
        part.shape().to_vec(),
        Preprocess::default(),
    );
    let (train, test, sources, class_names, warnings) =
        (part.clone(), part, vec![], vec![], vec![]);
    let dataset = Dataset {
        name,
        task: Task::Classes(2),
        shape,
        train,
        test,
        sources,
        class_names,
        preprocess,
        warnings,
    };
    let text = format!(
        "model = {{ name = 'perceptron', bias = false, init = 'zero', update_on_tie = true }}\n\
         optimizer = 'sgd'\nlr = 1.0\nbatch_size = 1\nepochs = 1\nseed = {seed}"
    );
    let config = RunConfig::layered(Some(("perceptron".as_ref(), &text)), &[])?;
    let split = Holdout {
        train: (0..n as u32).collect(),
        validation: vec![],
    };
    let experiment = Experiment::with(config, dataset, split, &Lab::standard())?;
    let mut network = experiment.initial_model()?.network;
    let mut driver = Driver::new(&*experiment.optimizer, &network)?;
    let mut order = experiment.order()?;
    let keys = StepKeys {
        augment: experiment.key("augment"),
        dropout: experiment.key("dropout"),
    };
    let (mut count, mut since) = (0, 0);
    while since < 2 * n {
        let (_, batch) = order.next(1);
        let gradient = experiment.gradient(&network, &batch, keys)?.gradients;
        let trace;
        (network, trace) = driver.step_traced(1.0, network, gradient);
        let wrong = trace.iter().any(|layer| layer.delta > 0.0);
        // Two windows of n steps without a mistake contain at least one whole pass.
        (count, since) = if wrong {
            (count + 1, 0)
        } else {
            (count, since + 1)
        };
        ensure!(count < 1_000_000, "the data should be separable");
    }
    Ok(count)
}

/// Points in the unit ball with |x₁| at least the margin. The sign of x₁ is the class, so the first
/// axis separates them.
fn ball(n: usize, d: usize, margin: f64, seed: u64) -> Vec<Vec<f64>> {
    let mut rng = Key::new(seed).word("points").rng();
    let mut points = Vec::new();
    while points.len() < n {
        let x: Vec<f64> = (0..d).map(|_| normal(&mut rng)).collect();
        let scale =
            unit(&mut rng).powf(1.0 / d as f64) / x.iter().map(|x| x * x).sum::<f64>().sqrt();
        let x: Vec<f64> = x.into_iter().map(|x| x * scale).collect();
        if x[0].abs() >= margin {
            points.push(x);
        }
    }
    points
}

fn main() -> anyhow::Result<()> {
    let program = Program::start("perceptron_bound")?;
    let (n, d, seeds) = (200, 5, program.size(5, 1) as u64);
    println!("perceptron from w = 0 until a whole pass has no mistake; seeds from {SEED} on");
    let (mut random, mut tight, mut largest) = (Vec::new(), Vec::new(), 0.0f64);
    for margin in [0.3, 0.2, 0.1, 0.05, 0.02, 0.01]
        .into_iter()
        .take(program.size(6, 4))
    {
        let mut share = Vec::new();
        for seed in SEED..SEED + seeds {
            let points = ball(n, d, margin, seed);
            let radius = points
                .iter()
                .map(|x| x.iter().map(|x| x * x).sum::<f64>().sqrt())
                .fold(0.0, f64::max);
            let gap = points
                .iter()
                .map(|x| x[0].abs())
                .fold(f64::INFINITY, f64::min);
            let (bound, classes) = (
                (radius / gap).powi(2),
                points.iter().map(|x| u32::from(x[0] > 0.0)).collect(),
            );
            let count = mistakes(&points, classes, seed)? as f64;
            ensure!(count <= bound, "{count} mistakes exceed the bound {bound}");
            random.push((bound, count));
            share.push(count / bound);
        }
        let most = share.iter().copied().fold(0.0, f64::max);
        largest = largest.max(most);
        println!(
            "random in the ball, {d} dimensions, n = {n}, γ ≥ {margin}, {seeds} seeds: at most {} of the bound",
            short(most)
        );
    }
    // e₁ … e_d, all of class +1: R = 1, and w* = (1, …, 1)/√d has γ = 1/√d.
    for d in [4, 16, 64, 256, 1024].into_iter().take(program.size(5, 4)) {
        let points: Vec<Vec<f64>> = (0..d)
            .map(|i| (0..d).map(|j| f64::from(u8::from(i == j))).collect())
            .collect();
        let count = mistakes(&points, vec![1; d], SEED)? as f64;
        agree(
            &format!("{d} orthogonal examples: mistakes compared with (R/γ)²"),
            count,
            d as f64,
            1e-9,
        )?;
        tight.push((d as f64, count));
    }
    println!(
        "largest fraction of the bound on random data: {}",
        short(largest)
    );
    let end = random.iter().chain(&tight).map(|p| p.0).fold(1.0, f64::max);
    let first = tight.first().context("there are orthogonal examples")?.0;
    let plot = Plot::new("perceptron_bound", "Mistakes of the perceptron and their bound")
        .x("(R/γ)²", Scale::Log)
        .y("mistakes until all examples are right", Scale::Log)
        .points("random points in a ball", random)
        .points("orthogonal points", tight)
        .dashed("bound (R/γ)²", [(first, first), (end, end)])
        .caption(&format!("Random: n = {n}, {d} dimensions, {seeds} seeds per margin. Start at w = 0, η = 1, shuffled passes."));
    program.finish(plot)
}
