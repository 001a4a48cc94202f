//! MNIST with largebatch as a library: a small batch, a large one, and the large one with LAMB, for
//! the same number of epochs.
//!
//! Shows how to describe a run, watch it and read its result. The data files are searched in
//! `$LARGEBATCH_DATA_DIR`, then in the folder of `largebatch data fetch mnist`.
//!
//! ```text
//! cargo run --release -p largebatch-examples --example mnist                      (half a minute on two cores)
//! cargo run --release -p largebatch-examples --example mnist -- --steps 20       (only 20 steps
//! each, to try it out)
//! ```

use anyhow::{Context, bail};
use largebatch::Lab;
use largebatch::data::Search;
use largebatch::train::{
    Choice, Controls, Evaluation, Experiment, Observer, Outcome, RunConfig, TrainError, train,
};

/// Optimizer, batch size and rate.
const RUNS: [(&str, usize, f64); 3] = [
    ("momentum", 64, 0.05),
    ("momentum", 1024, 0.05),
    ("lamb", 1024, 0.01),
];

/// Prints a line for each epoch.
struct Lines;

impl Observer for Lines {
    fn on_evaluation(&mut self, e: &Evaluation) -> Result<(), TrainError> {
        if let Some(validation) = e.validation {
            println!(
                "  epoch {:>2}, step {:>5}: training loss {:.4}, validation {}",
                e.epoch,
                e.step,
                e.train_loss,
                validation.headline()
            );
        }
        Ok(())
    }
}

fn run(optimizer: &str, batch_size: usize, lr: f64, steps: Option<u64>) -> anyhow::Result<Outcome> {
    let config = RunConfig {
        dataset: Choice::plain("mnist"),
        model: Choice::plain("mlp"),
        optimizer: Choice::plain(optimizer),
        batch_size: Some(batch_size),
        lr: Some(lr),
        epochs: if steps.is_none() { Some(3) } else { None },
        steps,
        ..RunConfig::default()
    };
    let experiment = Experiment::open(config, &Lab::standard(), &Search::default())?;
    let (outcome, _network) = train(
        &experiment,
        Controls {
            observers: vec![&mut Lines],
            ..Controls::default()
        },
    )?;
    Ok(outcome)
}

fn main() -> anyhow::Result<()> {
    let steps = steps()?;
    let mut finding = Vec::new();
    for (optimizer, batch_size, lr) in RUNS {
        println!("{optimizer}, batch {batch_size}, rate {lr}");
        let outcome = run(optimizer, batch_size, lr, steps)?;
        let test = outcome
            .test
            .context("training diverged, so there is no test result")?;
        finding.push(format!(
            "{optimizer:<9} batch {batch_size:>4}: {} of {} test digits after {} steps in {:.0} s",
            test.headline(),
            test.n,
            outcome.steps,
            outcome.seconds
        ));
    }
    println!("\n{}", finding.join("\n"));
    Ok(())
}

/// The `N` of `--steps N`.
fn steps() -> anyhow::Result<Option<u64>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    match args.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [] => Ok(None),
        ["--steps", n] => Ok(Some(n.parse().with_context(|| {
            format!("--steps {n}: give an integer, such as --steps 20")
        })?)),
        _ => bail!("usage: mnist [--steps N]"),
    }
}
