//! `largebatch train`.

mod cross_validate;
mod folder;
mod resume;
mod settings;
mod summary;

use std::io::IsTerminal as _;
use std::path::PathBuf;

use anyhow::Result;
use clap::Args;
use largebatch_train::{
    Controls, Experiment, Facts, Observer, Outcome, RunConfig, RunFolder, Stop, TrainError,
    compute_here, same, same_training, train,
};

use super::job::{self, Job};
use super::probe::training::{self, Probing};
use super::progress::TrainingBar;
use super::{
    DataDir, Done, Global, INTERRUPT, counted, print, print_json, say, tell_data, warn,
    watch_interrupts, whole,
};
use crate::Lab;
use folder::fresh_folder;
pub(super) use folder::run_file;
use resume::{resume, resumed};
use settings::configuration;
use summary::summary;

const EXAMPLES: &str = "\
Examples:
  largebatch train --dataset digits --model mlp
  largebatch train --dataset mnist --model lenet5 --optimizer lamb --batch-size 1024 --schedule cosine
  largebatch train examples/train/mnist-mlp.toml --seed 1 --set optimizer.momentum=0.95
  largebatch train --resume runs/mnist-lenet5-lamb
  largebatch train --dataset breast-cancer --model logistic --cross-validate 5x10
  largebatch train --set dataset.format=csv --set dataset.train=my.csv --set dataset.label=species --model softmax

Your own files: dataset.format is csv or libsvm, with dataset.train and, if there is one, dataset.test \
(else a fifth is held out); or idx, with dataset.train_images and dataset.train_labels. For a CSV file \
dataset.header, dataset.delimiter and dataset.labels (classes or real) settle what the program cannot infer; \
dataset.missing (mean or drop) says what to do with missing values.

Settings come from the TOML file, then from --set, then from the other flags; later ones win. Settings that \
are not given have defaults.

A run's folder contains run.toml, events.jsonl, checkpoints/, model.safetensors (for PyTorch) and result.json.";

/// Train a model on built-in data, on well-known data sets, or on your own files
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct TrainArgs {
    /// Configuration in TOML
    #[arg(value_name = "FILE")]
    file: Option<PathBuf>,

    /// Data set; `largebatch data list` lists them
    #[arg(long, value_name = "NAME", help_heading = "What to train")]
    dataset: Option<String>,
    /// Model; `largebatch models` lists them
    #[arg(long, value_name = "NAME", help_heading = "What to train")]
    model: Option<String>,
    /// Optimizer; `largebatch optimizers` lists them [default: sgd]
    #[arg(long, value_name = "NAME", help_heading = "What to train")]
    optimizer: Option<String>,
    /// Variant of the optimizer, such as `timm` for lars; `largebatch optimizers NAME` lists them
    #[arg(long, value_name = "NAME", help_heading = "What to train")]
    preset: Option<String>,

    /// Examples per step, or `full` for gradient descent [default: 64]
    #[arg(
        long,
        value_name = "N",
        help_heading = "How to train",
        allow_negative_numbers = true
    )]
    batch_size: Option<String>,
    /// Learning rate at the base batch [default: measured for optimizer and model at the default
    /// batch size; it grows with the batch size only with --scaling]
    #[arg(
        long,
        value_name = "RATE",
        help_heading = "How to train",
        allow_negative_numbers = true
    )]
    lr: Option<f64>,
    /// Passes over the training part [default: depends on the data set]
    #[arg(long, value_name = "N", help_heading = "How to train", allow_negative_numbers = true, value_parser = whole)]
    epochs: Option<u64>,
    /// Optimizer steps, instead of --epochs
    #[arg(long, value_name = "N", help_heading = "How to train", conflicts_with = "epochs", allow_negative_numbers = true, value_parser = whole)]
    steps: Option<u64>,
    /// Learning-rate schedule; `largebatch schedules` lists them [default: constant]
    #[arg(long, value_name = "NAME", help_heading = "How to train")]
    schedule: Option<String>,
    /// How the rate grows with the batch size, relative to base_batch: none, sqrt or linear
    /// [default: none]
    #[arg(long, value_name = "RULE", help_heading = "How to train")]
    scaling: Option<String>,
    /// Seed of the initial weights, batch order, augmentation and dropout [default: 0]
    #[arg(long, value_name = "N", help_heading = "How to train", allow_negative_numbers = true, value_parser = whole)]
    seed: Option<u64>,
    /// Any other setting, such as optimizer.weight_decay=1e-4, schedule.warmup.epochs=5, data.preprocess.flip=true; `largebatch settings` lists them
    #[arg(long = "set", value_name = "KEY=VALUE", help_heading = "How to train")]
    set: Vec<String>,

    /// Device to compute on: flex, ndarray, wgpu, cuda; `largebatch devices` lists them [default:
    /// flex]
    #[arg(long, value_name = "NAME", help_heading = "Where")]
    device: Option<String>,
    /// CPU threads [default: all]
    #[arg(long, value_name = "N", help_heading = "Where", value_parser = whole)]
    threads: Option<u64>,
    /// Parts of every batch that are computed at the same time [default: 1]
    #[arg(long, value_name = "K", help_heading = "Where", value_parser = whole)]
    workers: Option<u64>,
    #[command(flatten)]
    data_dir: DataDir,

    /// Folder of the run [default: runs/DATASET-MODEL-OPTIMIZER, numbered if it exists]
    #[arg(long, value_name = "DIR", help_heading = "Results")]
    out: Option<PathBuf>,
    /// Resume the run in DIR (or in --out) from its newest checkpoint; it ends with the same bits
    /// as without the break
    #[arg(long, value_name = "DIR", num_args = 0..=1, help_heading = "Results")]
    resume: Option<Option<PathBuf>>,
    /// With --resume: use the data even if they have changed since the run began, with a warning;
    /// run.toml then records both
    #[arg(long, requires = "resume", help_heading = "Results")]
    accept_data: bool,
    /// Write ‖w‖, ‖g‖, ‖Δw‖, trust ratio and rate of each layer to layers.csv: `layers` or
    /// `layers:every=50`
    #[arg(long, value_name = "WHAT", help_heading = "Results")]
    trace: Option<String>,
    /// Measure the network during training, as `largebatch probe` does afterwards: layers, noise or
    /// curvature, as in noise:every=100 or noise:every=100,subset=500; or noise-pairs, the noise
    /// scale without extra gradients, in a run that accumulates (--set accumulate=4)
    #[arg(long, value_name = "NAME:every=N", help_heading = "Results")]
    probe: Vec<String>,
    /// Run a repeated k-fold cross-validation on all examples instead of one training:
    /// REPEATSxFOLDS
    #[arg(long, value_name = "RxK", num_args = 0..=1, default_missing_value = "5x10", conflicts_with_all = ["resume", "out", "probe"], help_heading = "Results")]
    cross_validate: Option<String>,
    /// Print one JSON object instead of a summary
    #[arg(long, help_heading = "Results")]
    json: bool,
}

pub(super) fn run(args: TrainArgs, global: &Global, lab: &Lab) -> Result<Done> {
    watch_interrupts()?;
    let job = job::join()?;
    if let Some(job) = job {
        same(job.peers(), &folders(&args))?;
    }
    if let Some(resumed) = resumed(&args, job)? {
        return resume(&args, resumed, job, global, lab);
    }
    args.probe
        .iter()
        .try_for_each(|text| training::parse(text, &lab.probes).map(drop))?;
    let config = configuration(&args, None)?;
    compute_here(threads(&config, job));
    if let Some(shape) = &args.cross_validate {
        if job.is_some() {
            anyhow::bail!("a cross-validation is one process; start it without a launcher");
        }
        return cross_validate::run(&args, &config, shape, global, lab);
    }
    let open = || Experiment::open(config, lab, &args.data_dir.search());
    let experiment = opened(job, open)?;
    if job.is_some_and(|job| !job.is_main()) {
        return drive(&args, &experiment, None, job, Vec::new(), global);
    }
    warn_of_unknown_sources(&experiment);
    tell_notes(&experiment);
    let path = args
        .out
        .clone()
        .map_or_else(|| fresh_folder(&experiment.config), Ok)?;
    let data_dir = args
        .data_dir
        .search()
        .data_dir
        .map(|dir| std::path::absolute(&dir).unwrap_or(dir));
    // Before anything is written, so that a refused probe leaves no folder.
    let probes = Probing::all(&args.probe, &lab.probes, &experiment, &path)
        .inspect_err(|_| drop(std::fs::remove_dir(&path)))?;
    let folder = RunFolder::create(&path, &run_file(&experiment, data_dir))?;
    tell_processes(job, &experiment, false, global)?;
    drive(&args, &experiment, Some(&folder), job, probes, global)
}

/// The arguments that only rank 0 uses, but which say what all should do.
fn folders(args: &TrainArgs) -> Facts {
    let resume = args.resume.as_ref().map(|dir| {
        let named = dir.as_ref().map(|dir| dir.display().to_string());
        named.unwrap_or_else(|| "given".into())
    });
    let out = args.out.as_ref().map(|dir| dir.display().to_string());
    let probes = Some(args.probe.join(" ")).filter(|probes| !probes.is_empty());
    let all = [("--out", out), ("--resume", resume), ("--probe", probes)];
    let given = all.into_iter();
    given
        .filter_map(|(name, value)| Some((name.to_owned(), value?)))
        .collect()
}

/// Opens a training, and makes sure that all processes have the same one.
fn opened(
    job: Option<&Job>,
    open: impl FnOnce() -> Result<Experiment, TrainError>,
) -> Result<Experiment, TrainError> {
    let Some(job) = job else { return open() };
    let experiment = job.in_turn(open)?;
    same_training(job.peers(), &experiment)?;
    Ok(experiment)
}

/// The CPU threads that are asked for, or else this process's share of the machine.
fn threads(config: &RunConfig, job: Option<&Job>) -> Option<usize> {
    config.threads.or(job.map(|_| job::threads()))
}

/// Trains; the ranks above 0 have no folder, and only compute.
fn drive(
    args: &TrainArgs,
    experiment: &Experiment,
    folder: Option<&RunFolder>,
    job: Option<&Job>,
    mut probes: Vec<Probing<'_>>,
    global: &Global,
) -> Result<Done> {
    let peers = job.map(Job::peers);
    let Some(folder) = folder else {
        let controls = Controls {
            interrupt: &INTERRUPT,
            test: false,
            peers,
            ..Controls::default()
        };
        return Ok(done(&train(experiment, controls)?.0));
    };
    let mut progress = TrainingBar::new(global);
    if global.quiet {
        tell_data(&experiment.dataset, &experiment.holdout, global);
    }
    folder.weak_lock().iter().for_each(|text| warn(text));
    if !global.quiet {
        probes.iter_mut().for_each(Probing::tell_cost);
    }
    let mut observers: Vec<&mut dyn Observer> = probes
        .iter_mut()
        .map(|probe| probe as &mut dyn Observer)
        .collect();
    if !global.quiet {
        observers.push(&mut progress);
    }
    let (outcome, _) = train(
        experiment,
        Controls {
            folder: Some(folder),
            observers,
            interrupt: &INTERRUPT,
            peers,
            ..Controls::default()
        },
    )?;
    if args.json {
        print_json(&outcome)?;
    } else if !global.quiet {
        print(summary(&outcome))?;
        if std::io::stdout().is_terminal()
            && let Some(curve) = summary::curve(folder.path())
        {
            print(curve)?;
        }
    }
    if outcome.stop == Stop::Interrupted {
        say(&format!(
            "interrupted; continue with: largebatch train --resume {}",
            folder.path().display()
        ));
    }
    let failures: Vec<String> = probes.iter_mut().filter_map(Probing::failure).collect();
    match done(&outcome) {
        Done::Ok if !failures.is_empty() => {
            anyhow::bail!(
                "the training has ended and {} is complete except for a probe's results: probe {}",
                folder.path().display(),
                failures.join("; probe ")
            )
        }
        done => Ok(done),
    }
}

/// Tells which processes train, and warns of settings without an effect.
fn tell_processes(
    job: Option<&Job>,
    experiment: &Experiment,
    resumes: bool,
    global: &Global,
) -> Result<(), TrainError> {
    let config = &experiment.config;
    let of_batch_norm = [
        ("sync_batch_norm", config.sync_batch_norm),
        ("ghost_batch", config.ghost_batch.is_some()),
    ];
    let mut given = of_batch_norm.into_iter().filter(|(_, given)| *given);
    if let Some((key, _)) = given.next()
        && !experiment.initial_model()?.network.has_batch_norm()
    {
        let model = &config.model.name;
        warn(&format!(
            "{key} has no effect: this {model} has no batch norm"
        ));
    }
    let Some(job) = job else {
        if config.shard_optimizer {
            warn("shard_optimizer has no effect: one process has all parameters");
        }
        return Ok(());
    };
    if !global.quiet {
        say(&job.describe());
    }
    let (count, parts) = (job.count(), config.parts());
    if count > parts {
        let advice = match resumes {
            true => format!(
                "continue it with {}, since its parts are fixed",
                match parts {
                    1 => "1 process".to_owned(),
                    n => format!("{n} processes"),
                }
            ),
            false => format!("--set parts={count} gives each of them one (with other bits)"),
        };
        warn(&format!(
            "a batch has {}, so {} of {count} processes have nothing to compute: {advice}",
            counted(parts, "part"),
            count - parts
        ));
    }
    Ok(())
}

fn done(outcome: &Outcome) -> Done {
    match outcome.stop {
        Stop::Finished | Stop::TargetReached | Stop::NoImprovement | Stop::Observer => Done::Ok,
        Stop::Diverged => Done::Diverged,
        Stop::Interrupted => Done::Interrupted,
    }
}

/// Warns about problems in the data.
fn tell_notes(experiment: &Experiment) {
    experiment.notes().iter().for_each(|note| warn(note));
}

fn warn_of_unknown_sources(experiment: &Experiment) {
    let unknown: Vec<&str> = experiment
        .dataset
        .sources
        .iter()
        .filter(|s| !s.known)
        .map(|s| s.file.as_str())
        .collect();
    if let [first, rest @ ..] = unknown.as_slice() {
        let more = if rest.is_empty() {
            String::new()
        } else {
            format!(" and {} more", rest.len())
        };
        warn(&format!(
            "{first}{more}: not the published content of {}; results are not exactly comparable with others' (run.toml records the hashes)",
            experiment.dataset.name
        ));
    }
}
