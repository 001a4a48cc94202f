//! CIFAR-10 with largebatch as a library: ResNet-8 with flips and crops, and a cosine schedule
//! after a warm-up.
//!
//! Shows a run described in TOML, with the same text that `largebatch train FILE` takes. The data
//! files are searched in `$LARGEBATCH_DATA_DIR`, then in the folder of `largebatch data fetch
//! cifar-10`.
//!
//! ```text
//! cargo run --release -p largebatch-examples --example cifar10                    (1,760 steps; 60 took 17 s on two busy cores)
//! cargo run --release -p largebatch-examples --example cifar10 -- --steps 20     (only 20 steps,
//! to try it out)
//! ```

use std::path::Path;

use anyhow::{Context, bail};
use largebatch::Lab;
use largebatch::data::Search;
use largebatch::train::{
    Controls, Evaluation, Experiment, Observer, RunConfig, Step, TrainError, train,
};

const RUN: &str = r#"
dataset = "cifar-10"
model = "resnet8"
optimizer = { name = "momentum", weight_decay = 5e-4, exclude_from_weight_decay = "vectors" }
batch_size = 128
lr = 0.1
epochs = 5
schedule = { name = "cosine", warmup = { fraction = 0.1 } }

[data.preprocess]
normalise = "channel"
flip = true
crop_pad = 4
"#;

/// Prints a line every 50 steps and at the end of each epoch.
struct Lines;

impl Observer for Lines {
    fn on_step(&mut self, step: &Step<'_>) -> Result<(), TrainError> {
        if let (Some(loss), 0) = (step.loss, step.step % 50) {
            println!(
                "  step {:>5}: rate {:.4}, loss {loss:.4}",
                step.step, step.lr
            );
        }
        Ok(())
    }

    fn on_evaluation(&mut self, e: &Evaluation) -> Result<(), TrainError> {
        if let Some(validation) = e.validation {
            println!(
                "epoch {:>2}: training loss {:.4}, validation {}",
                e.epoch,
                e.train_loss,
                validation.headline()
            );
        }
        Ok(())
    }
}

fn main() -> anyhow::Result<()> {
    let mut config = RunConfig::layered(Some((Path::new("cifar10.rs"), RUN)), &[])?;
    if let Some(steps) = steps()? {
        (config.steps, config.epochs) = (Some(steps), None);
    }
    let experiment = Experiment::open(config, &Lab::standard(), &Search::default())?;
    println!(
        "{} images to train on, {} steps",
        experiment.holdout.train.len(),
        experiment.total_steps
    );
    let (outcome, _network) = train(
        &experiment,
        Controls {
            observers: vec![&mut Lines],
            ..Controls::default()
        },
    )?;
    let test = outcome
        .test
        .context("training diverged, so there is no test result")?;
    println!(
        "\n{} of {} test images after {} steps in {:.0} s",
        test.headline(),
        test.n,
        outcome.steps,
        outcome.seconds
    );
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
        _ => bail!("usage: cifar10 [--steps N]"),
    }
}
