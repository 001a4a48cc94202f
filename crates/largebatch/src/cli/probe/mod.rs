//! `largebatch probe`: one file per probe.

use std::path::PathBuf;
use std::sync::atomic::Ordering;
use std::time::Instant;

use anyhow::Result;
use clap::{Args, Parser, Subcommand};
use indicatif::ProgressBar;
use largebatch_probe::{Examples as _, ProbeError, Record, Run, Subject, Subset};
use largebatch_train::{Lab, TrainError, write_whole};
use serde::Serialize;

use super::progress::bar;
use super::{
    AcceptData, DataDir, Done, Global, INTERRUPT, PartArg, print_json, say, tell_data,
    watch_interrupts, whole,
};

mod batch_find;
mod curvature;
mod layers;
mod line;
mod lr_find;
mod noise;
mod results;
mod sharpness;
mod surface;
pub(super) mod training;

const EXAMPLES: &str = "\
Examples:
  largebatch train --dataset digits --model mlp --out runs/a --set checkpoint.every_steps=100 --set checkpoint.keep=10
  largebatch probe layers runs/a
  largebatch probe noise runs/a --json
  largebatch probe curvature runs/a --subset all
  largebatch probe curvature runs/a/checkpoints/step-100 --subset 500
  largebatch probe sharpness runs/a
  largebatch probe line runs/small-batch runs/large-batch --test
  largebatch probe surface runs/a --path
  largebatch probe lr-find --set dataset=digits --set model=mlp --set optimizer=lamb
  largebatch probe batch-find runs/a

Each writes RUN/probe/NAME.json and RUN/probe/NAME.svg. A long measurement first says how long it will take; \
Ctrl-C ends it and keeps the results so far.

layers, noise, curvature and sharpness compute a run's gradients without dropout and augmentation, with batch \
norm's running statistics, and in f64 on the CPU devices.";

/// Measure a trained network (layers, gradient noise, curvature, sharpness, line, surface), or find
/// a learning rate or batch size
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct ProbeArgs {
    #[command(subcommand)]
    command: ProbeCommand,
}

#[derive(Subcommand)]
enum ProbeCommand {
    Layers(layers::LayersArgs),
    Noise(noise::NoiseArgs),
    Curvature(curvature::CurvatureArgs),
    Sharpness(sharpness::SharpnessArgs),
    Line(line::LineArgs),
    Surface(surface::SurfaceArgs),
    LrFind(lr_find::LrFindArgs),
    BatchFind(batch_find::BatchFindArgs),
}

/// Arguments of every probe.
#[derive(Args, Clone)]
struct Common {
    /// Folder of the run, or of one of its checkpoints
    #[arg(value_name = "RUN")]
    run: PathBuf,
    /// Part of the data
    #[arg(long, value_enum, default_value = "train", help_heading = "On what")]
    part: PartArg,
    /// Number of examples, sampled with the part's class proportions, or `all`
    #[arg(
        long,
        value_name = "N",
        default_value = "2000",
        help_heading = "On what"
    )]
    subset: String,
    /// Seed of the subset and of the probe's random draws
    #[arg(long, value_name = "N", default_value_t = 0, help_heading = "On what")]
    seed: u64,
    /// Weights to use instead of the run's: a safetensors file, such as one from PyTorch
    #[arg(long, value_name = "FILE", help_heading = "On what")]
    weights: Option<PathBuf>,
    /// Device to compute on instead of the run's
    #[arg(long, value_name = "NAME", help_heading = "Where")]
    device: Option<String>,
    #[command(flatten)]
    data_dir: DataDir,
    #[command(flatten)]
    accept: AcceptData,
    /// Folder for NAME.json and NAME.svg [default: RUN/probe]
    #[arg(long, value_name = "DIR", help_heading = "Results")]
    out: Option<PathBuf>,
    /// Print the JSON object instead of a summary
    #[arg(long, help_heading = "Results")]
    json: bool,
}

impl Common {
    fn open(&self, lab: &Lab) -> Result<Run> {
        watch_interrupts()?;
        let (weights, device) = (self.weights.as_deref(), self.device.as_deref());
        Ok(Run::open(
            &self.run,
            weights,
            device,
            lab,
            self.data_dir.search(),
            self.accept.other(),
        )?)
    }

    fn subject<'a>(&self, run: &'a Run) -> Result<Subject<'a>> {
        let size = match self.subset.as_str() {
            "all" => None,
            text => Some(text.parse().map_err(|_| TrainError::Value {
                key: "subset".into(),
                value: text.into(),
                why: "must be a number of examples, or `all`".into(),
            })?),
        };
        Ok(run.subject(
            self.part.which().0,
            Subset {
                size,
                seed: self.seed,
            },
        )?)
    }

    /// Writes NAME.json and the figures (pairs of file stem and SVG), prints the object or the
    /// summary, and returns how the command ended.
    fn finish<T: Serialize>(
        &self,
        run: &Run,
        record: &Record<T>,
        figures: &[(String, String)],
        summary: &str,
        global: &Global,
    ) -> Result<Done> {
        use std::io::Write as _;
        let folder = self.out.clone().unwrap_or_else(|| run.folder.join("probe"));
        std::fs::create_dir_all(&folder).map_err(TrainError::io(&folder, "create the folder"))?;
        let path = |stem: &str, end: &str| folder.join(format!("{stem}.{end}"));
        let mut written = vec![path(&record.probe, "json")];
        write_whole(&written[0], &serde_json::to_vec_pretty(record)?)?;
        for (stem, svg) in figures {
            written.push(path(stem, "svg"));
            write_whole(&path(stem, "svg"), svg.as_bytes())?;
        }
        if self.json {
            print_json(record)?;
        } else if !global.quiet {
            let written: Vec<String> = written
                .iter()
                .map(|path| path.display().to_string())
                .collect();
            writeln!(
                std::io::stdout(),
                "{summary}\nwritten: {}",
                written.join(", ")
            )?;
        }
        if !record.complete {
            say("interrupted: the result covers what was measured so far");
        }
        Ok(if record.complete {
            Done::Ok
        } else {
            Done::Interrupted
        })
    }
}

/// The seconds that one gradient over `examples` of the subject's examples takes, extrapolated from
/// at most 250 of them.
fn gradient_seconds(subject: &mut Subject<'_>, w: &[f64], examples: usize) -> Result<f64> {
    let some: Vec<usize> = (0..examples.min(250)).collect();
    let seconds = least_seconds(|| subject.batch_gradient(w, &some).map(drop))?;
    Ok(seconds * examples as f64 / some.len() as f64)
}

/// The shortest of three times: the first one is slower, and other work may disturb another.
fn least_seconds(mut work: impl FnMut() -> Result<(), ProbeError>) -> Result<f64, ProbeError> {
    let mut least = f64::INFINITY;
    for _ in 0..3 {
        let started = Instant::now();
        work()?;
        least = least.min(started.elapsed().as_secs_f64());
    }
    Ok(least)
}

/// Announces the cost of a probe that will take more than ten seconds.
fn announce(what: &str, examples: usize, seconds: f64, global: &Global) {
    if seconds > 10.0 && !global.quiet {
        say(&format!(
            "{what} over {examples} examples: about {}",
            duration(seconds)
        ));
    }
}

fn duration(seconds: f64) -> String {
    match seconds {
        s if s < 90.0 => format!("{s:.0} s"),
        s if s < 5400.0 => format!("{:.0} min", s / 60.0),
        s => format!("{:.1} h", s / 3600.0),
    }
}

/// A progress bar that a probe advances, and through which Ctrl-C reaches it.
struct Watching(ProgressBar);

impl Watching {
    fn new(global: &Global, unit: &str) -> Self {
        Watching(bar(!global.quiet, 0, unit))
    }

    fn watch(&mut self) -> impl FnMut(u64, u64) -> bool + '_ {
        |done, all| {
            self.0.set_length(all);
            self.0.set_position(done);
            !INTERRUPT.load(Ordering::Relaxed)
        }
    }
}

impl Drop for Watching {
    fn drop(&mut self) {
        self.0.disable_steady_tick();
        self.0.finish_and_clear();
    }
}

/// Parses the words of a probe, such as `sharpness RUN --subset 500`.
///
/// # Errors
/// Words that do not form a valid command.
pub(super) fn parse<S: AsRef<str>>(words: &[S]) -> Result<ProbeArgs, clap::Error> {
    #[derive(Parser)]
    struct Words {
        #[command(flatten)]
        args: ProbeArgs,
    }
    Words::try_parse_from(std::iter::once("probe").chain(words.iter().map(AsRef::as_ref)))
        .map(|words| words.args)
}

pub(super) fn run(args: ProbeArgs, global: &Global, lab: &Lab) -> Result<Done> {
    match args.command {
        ProbeCommand::Layers(args) => layers::run(args, global, lab),
        ProbeCommand::Noise(args) => noise::run(args, global, lab),
        ProbeCommand::Curvature(args) => curvature::run(args, global, lab),
        ProbeCommand::Sharpness(args) => sharpness::run(args, global, lab),
        ProbeCommand::Line(args) => line::run(args, global, lab),
        ProbeCommand::Surface(args) => surface::run(args, global, lab),
        ProbeCommand::LrFind(args) => lr_find::run(args, global, lab),
        ProbeCommand::BatchFind(args) => batch_find::run(args, global, lab),
    }
}

/// A rate with four digits in readable notation.
fn readable(rate: f64) -> String {
    if !(1e-3..1e4).contains(&rate.abs()) {
        return format!("{rate:.3e}");
    }
    let places = (3.0 - rate.abs().log10().floor()).max(0.0) as usize;
    let text = format!("{rate:.places$}");
    if text.contains('.') {
        text.trim_end_matches('0').trim_end_matches('.').to_owned()
    } else {
        text
    }
}
