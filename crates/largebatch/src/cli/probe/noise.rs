//! `largebatch probe noise`.

use std::fmt::Write as _;

use anyhow::Result;
use clap::Args;
use largebatch_probe::noise::{Noise, NoiseOptions, Sweep, noise};
use largebatch_probe::{Examples, Record};
use largebatch_train::Lab;

use super::{Common, Done, Global, Watching, announce, gradient_seconds};

const ABOUT: &str = "\
Measures every example's gradient, which gives G and tr Σ exactly; then batches of 1, 2, 4, … examples with and without replacement;
then pairs of batch sizes, as a training with accumulation could. B_simple = tr Σ/|G|² predicts the batch above which a larger one saves few steps
(McCandlish et al. 2018, arXiv 1812.06162).";

/// Measure the bias and variance of mini-batch gradients, the noise scale, and the critical batch
/// that it predicts
#[derive(Args)]
#[command(after_help = ABOUT)]
pub(super) struct NoiseArgs {
    #[command(flatten)]
    common: Common,
    /// Least number of batches of each size, with and without replacement; 0 skips them
    #[arg(long, value_name = "N", default_value_t = 20, help_heading = "How")]
    replicates: usize,
    /// Pairs of batch sizes (16 and 256 examples); 0 skips them
    #[arg(long, value_name = "N", default_value_t = 40, help_heading = "How")]
    pairs: usize,
}

pub(super) fn run(args: NoiseArgs, global: &Global, lab: &Lab) -> Result<Done> {
    let run = args.common.open(lab)?;
    let mut subject = args.common.subject(&run)?;
    let batch = run.experiment.config.batch_size.unwrap_or(64).max(1);
    let options = NoiseOptions {
        replicates: args.replicates,
        pairs: args.pairs,
        batch,
        seed: args.common.seed,
        ..NoiseOptions::default()
    };
    let n = subject.count();
    let w = subject.weights().to_vec();
    let (whole, one) = (
        gradient_seconds(&mut subject, &w, n)?,
        gradient_seconds(&mut subject, &w, 1)?,
    );
    let seconds = options.passes(n) as f64 * whole / n as f64 + options.gradients(n) as f64 * one;
    announce(
        &format!(
            "{} gradients of single examples and batches",
            options.gradients(n)
        ),
        n,
        seconds,
        global,
    );
    let layers = subject.layers().to_vec();
    let mut watching = Watching::new(global, "examples");
    let (result, complete) = noise(&mut subject, &w, &layers, &options, &mut watching.watch())?;
    drop(watching);
    let record = Record::new(
        "noise",
        run.weights.display().to_string(),
        &subject,
        complete,
        result,
    );
    let caption = format!(
        "{} on {}, {n} {} examples, {} or more batches per point, seed {}; dashed: σ²/B, multiplied by (N − B)/(N − 1) without replacement.",
        run.experiment.config.model.name,
        run.experiment.config.dataset.name,
        record.part,
        options.replicates,
        options.seed
    );
    let figures = [("noise".to_owned(), record.result.figure(&caption).svg())];
    args.common
        .finish(&run, &record, &figures, &summary(&record.result), global)
}

fn summary(noise: &Noise) -> String {
    let mut text = String::new();
    let _ = writeln!(
        text,
        "|G|² {:.4e}, tr Σ {:.4e} over {} examples",
        noise.gradient_square, noise.trace, noise.examples
    );
    let range = |i: largebatch_probe::noise::Interval| match i.high {
        Some(high) => format!("{:.4} to {high:.4}", i.low),
        None => format!("at least {:.4}; more examples are needed", i.low),
    };
    if let Some(b) = noise.b_simple {
        let _ = writeln!(
            text,
            "B_simple {b:.1} of these examples: the predicted critical batch; the run's batch is {}, signal-to-noise ratio {:.3}",
            noise.batch,
            noise.snr.unwrap_or(f64::INFINITY)
        );
    }
    if let (Some(b), Some(i)) = (noise.b_simple_population, noise.interval) {
        let _ = writeln!(
            text,
            "B_simple {b:.1} of the population they sample (95 %: {})",
            range(i)
        );
    }
    if let Some(p) = noise.pairs {
        let b = p
            .b_simple
            .map_or("undefined".to_owned(), |b| format!("{b:.1}"));
        let _ = writeln!(
            text,
            "B_simple {b} from {} pairs of batches{}",
            p.steps,
            p.interval
                .map_or(String::new(), |i| format!(" (95 %: {})", range(i)))
        );
    }
    if let Some(bias) = noise.bias {
        let word = if bias.is_consistent {
            "unbiased within its error"
        } else {
            "BIASED"
        };
        let _ = writeln!(
            text,
            "mean of {} mini-batch gradients along G: off by {:+.3} % ± {:.3} %: {word}",
            bias.batches,
            100.0 * bias.along,
            100.0 * bias.along_error
        );
    }
    let mut law = |name: &str, sweep: &Option<Sweep>| {
        if let Some((p, e)) = sweep
            .as_ref()
            .and_then(|s| s.exponent.zip(s.exponent_error))
        {
            let _ = writeln!(
                text,
                "variance {name} replacement falls as B^({p:.3} ± {e:.3})"
            );
        }
    };
    law("with", &noise.with_replacement);
    law("without", &noise.without_replacement);
    let wide = noise
        .layers
        .iter()
        .map(|l| l.path.len())
        .max()
        .unwrap_or(0)
        .max(9);
    let _ = writeln!(
        text,
        "{:<wide$} {:>10} {:>10} {:>10} {:>10}",
        "parameter", "|G|²", "tr Σ", "B_simple", "|G|/noise"
    );
    for l in &noise.layers {
        let number = |x: Option<f64>| x.map_or("–".to_owned(), |x| format!("{x:.3}"));
        let _ = writeln!(
            text,
            "{:<wide$} {:>10.3e} {:>10.3e} {:>10} {:>10}",
            l.path,
            l.gradient_square,
            l.trace,
            number(l.b_simple),
            number(l.snr)
        );
    }
    text.trim_end().to_owned()
}
