//! The layers of a network need different rates: ‖w‖, ‖∇w‖ and their ratio for an MLP on the
//! digits, and the steps of SGD, LARS and LAMB.
//!
//! SGD changes a layer by the fraction η‖∇w‖/‖w‖ of its norm, so the layer with the smallest
//! ‖w‖/‖∇w‖ limits the rate of all. LARS and LAMB (in the lecture's form, w ← w − η ‖w‖/‖g‖ g,
//! where g is the gradient or Adam's step) change every layer by exactly the fraction η.

mod program;

use anyhow::ensure;
use largebatch::Lab;
use largebatch::data::Search;
use largebatch::optim::{Driver, LayerTrace};
use largebatch::plot::{Plot, Scale};
use largebatch::train::{Controls, Experiment, RunConfig, StepKeys, train};
use program::{Program, agree, short};

const SEED: u64 = 0;
const RATE: f64 = 0.01;

fn main() -> anyhow::Result<()> {
    let program = Program::start("layer_ratios")?;
    let steps = program.size(400, 100);
    let text = format!(
        "dataset = 'digits'\nmodel = {{ name = 'mlp', widths = [128, 64, 32] }}\noptimizer = 'sgd'\nlr = 0.3\nbatch_size = 128\nsteps = {steps}\nseed = {SEED}"
    );
    let config = RunConfig::layered(Some(("mlp".as_ref(), &text)), &[])?;
    let lab = Lab::standard();
    let experiment = Experiment::open(config, &lab, &Search::default())?;
    let (outcome, network) = train(&experiment, Controls::default())?;
    let accuracy = 100.0 * outcome.test.and_then(|m| m.accuracy).unwrap_or(f64::NAN);
    let keys = StepKeys {
        augment: experiment.key("augment"),
        dropout: experiment.key("dropout"),
    };
    let (_, batch) = experiment.order()?.next(512);

    // One step of each optimizer from the same weights on the same batch.
    let mut traces: Vec<(&str, Vec<LayerTrace>)> = Vec::new();
    for (label, name) in [("SGD", "sgd"), ("LARS", "lars"), ("LAMB", "lamb")] {
        let recipe = lab
            .optimizers
            .named(name)?
            .preset("textbook", Default::default())?;
        let mut driver = Driver::new(&*recipe, &network)?;
        let gradients = experiment.gradient(&network, &batch, keys)?.gradients;
        let (_, trace) = driver.step_traced(RATE, network.clone(), gradients);
        traces.push((label, trace));
    }
    println!(
        "MLP 64-128-64-32-10 on digits after {steps} steps (test accuracy {accuracy:.1} %), one batch of 512, η = {RATE}, seed {SEED}"
    );
    println!(
        "{:<24}{:>9}{:>11}{:>12}   ‖Δw‖/‖w‖: {:>9}{:>9}{:>9}",
        "layer", "‖w‖", "‖∇w‖", "‖w‖/‖∇w‖", "SGD", "LARS", "LAMB"
    );
    let layers = &traces[0].1;
    let moved = |k: usize, i: usize| traces[k].1[i].delta / traces[k].1[i].w;
    for (i, layer) in layers.iter().enumerate() {
        let moves = (0..3)
            .map(|k| format!("{:>9}", short(moved(k, i))))
            .collect::<String>();
        println!(
            "{:<24}{:>9.3}{:>11.5}{:>12.1}             {moves}",
            layer.path,
            layer.w,
            layer.g,
            layer.w / layer.g
        );
    }
    let tightest = layers
        .iter()
        .min_by(|a, b| (a.w / a.g).total_cmp(&(b.w / b.g)))
        .map_or("", |l| &l.path);
    println!("the layer that limits the rate of SGD: {tightest}");
    let spread = |k: usize| {
        let all = || (0..layers.len()).map(|i| moved(k, i));
        all().fold(0.0, f64::max) / all().fold(f64::INFINITY, f64::min)
    };
    println!(
        "largest divided by smallest relative step: SGD {}",
        short(spread(0))
    );
    for (k, (label, trace)) in traces.iter().enumerate().skip(1) {
        agree(
            &format!("{label}: largest divided by smallest relative step"),
            spread(k),
            1.0,
            1e-3,
        )?;
        agree(
            &format!("{label}: relative step of {}", trace[0].path),
            moved(k, 0),
            RATE,
            1e-3,
        )?;
    }
    ensure!(
        spread(0) > 3.0,
        "SGD should change the layers by different fractions"
    );

    let mut plot =
        Plot::new("layer_ratios", "How far one step moves each layer").x("‖Δw‖ / ‖w‖", Scale::Log);
    plot = plot
        .y_names(layers.iter().map(|l| l.path.clone()))
        .guide_x("η", RATE);
    for (k, (label, _)) in traces.iter().enumerate() {
        // Slightly offset, so that equal values stay visible.
        let shift = 0.22 * (k as f64 - 1.0);
        plot = plot.points(
            label,
            (0..layers.len()).map(|i| (moved(k, i), i as f64 + shift)),
        );
    }
    program.finish(plot.caption(&format!(
        "MLP on digits after {steps} steps, one step on a batch of 512 at η = {RATE}, seed {SEED}."
    )))
}
