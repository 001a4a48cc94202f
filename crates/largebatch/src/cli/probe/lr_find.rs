//! `largebatch probe lr-find`.

use std::fmt::Write as _;

use anyhow::Result;
use clap::Args;
use largebatch_probe::lr_find::{LrFind, RangeEnd, RangeTest};
use largebatch_train::Lab;

use super::results::{Results, Settings, say_cost};
use super::{Done, Global, Watching, readable, tell_data, watch_interrupts};

const EXAMPLES: &str = "\
Examples:
  largebatch probe lr-find runs/digits-mlp-sgd
  largebatch probe lr-find --set dataset=digits --set model=mlp --set optimizer=lamb --set batch_size=512
  largebatch probe lr-find examples/train/mnist-mlp.toml --lowest 1e-5 --highest 1

It trains a new network from the initial weights, so it does not change the run. The suggestions are starting points: `steepest` is where the
smoothed loss falls most steeply, `valley` is within its longest descent, and with a warm-up the rate can come closer to where it diverged.
A batch of fewer than 64 examples is too small to estimate the loss, which is then measured on 256 training examples at each step.";

/// Range test: train with a rate that grows at each step, and find where the loss falls and where
/// it diverges
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct LrFindArgs {
    #[command(flatten)]
    settings: Settings,
    /// First rate
    #[arg(
        long,
        value_name = "RATE",
        default_value_t = 1e-6,
        allow_negative_numbers = true,
        help_heading = "What"
    )]
    lowest: f64,
    /// Last rate
    #[arg(
        long,
        value_name = "RATE",
        default_value_t = 10.0,
        allow_negative_numbers = true,
        help_heading = "What"
    )]
    highest: f64,
    /// Steps from the first to the last rate
    #[arg(long, value_name = "N", default_value_t = 100, help_heading = "What")]
    steps: usize,
    /// Smoothing factor β of the loss's moving average
    #[arg(
        long,
        value_name = "BETA",
        default_value_t = 0.9,
        allow_negative_numbers = true,
        help_heading = "What"
    )]
    smoothing: f64,
    /// Stop when the smoothed loss exceeds its minimum this many times over
    #[arg(
        long,
        value_name = "FACTOR",
        default_value_t = 4.0,
        allow_negative_numbers = true,
        help_heading = "What"
    )]
    divergence: f64,
    #[command(flatten)]
    results: Results,
}

pub(super) fn run(args: LrFindArgs, global: &Global, lab: &Lab) -> Result<Done> {
    watch_interrupts()?;
    let (experiment, folder) = args.settings.open(lab)?;
    tell_data(&experiment.dataset, &experiment.holdout, global);
    let test = RangeTest {
        lowest: args.lowest,
        highest: args.highest,
        steps: args.steps,
        smoothing: args.smoothing,
        divergence: args.divergence,
    };
    let what = format!(
        "at most {} steps of {} examples",
        test.steps,
        experiment.config.batch_size.unwrap_or_default()
    );
    say_cost(&what, test.seconds(&experiment)?, global);
    let mut watching = Watching::new(global, "steps");
    let found = test.run(&experiment, &mut watching.watch())?;
    drop(watching);
    let complete = found.ended != RangeEnd::Interrupted;
    args.results.finish(
        &folder,
        "lr-find",
        &found,
        complete,
        &[found.figure()],
        &summary(&found),
        global,
    )
}

fn summary(found: &LrFind) -> String {
    let mut text = format!(
        "{}, batch {}, seed {}: {} steps in {:.1} s\n",
        found.what,
        found.batch_size,
        found.seed,
        found.points.len(),
        found.seconds
    );
    let rate = |r: Option<f64>, none: &str| r.map_or(none.to_owned(), readable);
    // Writing to a String cannot fail.
    let last = if found.steepest.is_some() && found.steepest == found.points.last().map(|p| p.lr) {
        ", the last rate tried"
    } else {
        ""
    };
    let _ = writeln!(
        text,
        "  steepest   {}{last}",
        rate(found.steepest, "none: the loss never falls")
    );
    let _ = writeln!(
        text,
        "  valley     {}",
        rate(found.valley, "none: the loss never falls")
    );
    let highest = found.points.last().map_or(f64::NAN, |p| p.lr);
    let end = if found.ended == RangeEnd::Interrupted {
        ", where it was interrupted"
    } else {
        "; try a larger --highest"
    };
    let _ = write!(
        text,
        "  diverged   {}",
        rate(
            found.divergence,
            &format!("not up to {}{end}", readable(highest))
        )
    );
    text
}
