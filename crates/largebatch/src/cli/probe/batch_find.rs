//! `largebatch probe batch-find`.

use std::fmt::Write as _;
use std::path::Path;

use anyhow::Result;
use clap::Args;
use largebatch_probe::batch_find::{BatchEnd, BatchFind, BatchSearch};
use largebatch_train::Lab;

use super::results::{Results, Settings, say_cost};
use super::{Done, Global, Watching, tell_data, watch_interrupts};

const EXAMPLES: &str = "\
Examples:
  largebatch probe batch-find runs/digits-mlp-sgd
  largebatch probe batch-find --set dataset=mnist --set model=lenet5 --largest 4096
  largebatch probe batch-find examples/train/mnist-mlp.toml --threads 1

If `largebatch probe noise` has measured the same run, its noise scale is shown with the speeds: below it a larger batch saves steps, above it
a larger batch saves at most machine time.";

/// Measure speed and memory for each batch size, and find the knee and the largest batch that fits
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct BatchFindArgs {
    #[command(flatten)]
    settings: Settings,
    /// First batch size; it doubles from then on
    #[arg(long, value_name = "N", default_value_t = 16, help_heading = "What")]
    smallest: usize,
    /// Last batch size [default: all training examples]
    #[arg(long, value_name = "N", help_heading = "What")]
    largest: Option<usize>,
    /// Seconds of timed steps at each size; at least three steps are timed
    #[arg(
        long,
        value_name = "S",
        default_value_t = 0.5,
        allow_negative_numbers = true,
        help_heading = "What"
    )]
    seconds: f64,
    /// The knee is the smallest batch that reaches this share of the highest speed
    #[arg(
        long,
        value_name = "SHARE",
        default_value_t = 0.9,
        allow_negative_numbers = true,
        help_heading = "What"
    )]
    knee: f64,
    #[command(flatten)]
    results: Results,
}

pub(super) fn run(args: BatchFindArgs, global: &Global, lab: &Lab) -> Result<Done> {
    watch_interrupts()?;
    let (experiment, folder) = args.settings.open(lab)?;
    tell_data(&experiment.dataset, &experiment.holdout, global);
    let search = BatchSearch {
        smallest: args.smallest,
        largest: args.largest,
        seconds: args.seconds,
        knee: args.knee,
    };
    let largest = search.largest.unwrap_or(experiment.holdout.train.len());
    say_cost(
        &format!("steps of {} to {largest} examples", search.smallest),
        search.seconds(&experiment)?,
        global,
    );
    let mut watching = Watching::new(global, "batch sizes");
    let mut found = search.run(&experiment, &mut watching.watch())?;
    drop(watching);
    found.noise_scale = noise_scale(&folder.join("noise.json"));
    let complete = found.ended != BatchEnd::Interrupted;
    args.results.finish(
        &folder,
        "batch-find",
        &found,
        complete,
        &[found.figure()],
        &summary(&found),
        global,
    )
}

fn summary(found: &BatchFind) -> String {
    let mut text = format!(
        "{}, {}, {} threads\n{:>10} {:>14} {:>12} {:>10}\n",
        found.what, found.device, found.threads, "batch", "examples/s", "ms/step", "memory"
    );
    // Writing to a String cannot fail.
    for p in &found.points {
        let memory = p.memory.map_or("–".to_owned(), |m| {
            format!("{:.0} MiB", m as f64 / 1048576.0)
        });
        let _ = writeln!(
            text,
            "{:>10} {:>14.0} {:>12.3} {memory:>10}",
            p.batch_size,
            p.examples_per_second,
            1e3 * p.seconds_per_step
        );
    }
    if let Some(knee) = found.knee {
        let _ = writeln!(
            text,
            "  knee       {knee}: the smallest batch close to the highest speed"
        );
    }
    if let Some(largest) = found.largest {
        let why = match found.ended {
            BatchEnd::Largest if largest == found.examples => "all training examples",
            BatchEnd::Largest => "the limit of --largest",
            BatchEnd::Memory => "twice this size would not fit into the free memory",
            BatchEnd::Interrupted => "interrupted",
        };
        let _ = writeln!(text, "  largest    {largest}: {why}");
    }
    let _ = match found.noise_scale {
        Some(b) => write!(
            text,
            "  B_simple   {b:.0}: the gradient noise scale; above it a larger batch saves few steps"
        ),
        None => write!(
            text,
            "  B_simple   not measured: `largebatch probe noise` estimates the largest useful batch"
        ),
    };
    text
}

/// B_simple from the file that `noise` wrote, if there is one.
fn noise_scale(file: &Path) -> Option<f64> {
    let record: serde_json::Value =
        serde_json::from_str(&std::fs::read_to_string(file).ok()?).ok()?;
    record["result"]["b_simple"].as_f64()
}
