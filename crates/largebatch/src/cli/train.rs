//! `largebatch train`.

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use anyhow::Result;
use clap::Args;
use largebatch_data::{DataSpec, Holdout, Part};
use largebatch_train::{
    Choice, Controls, CrossValidation, Environment, Experiment, Lab, Observer, OtherData, Outcome,
    RunConfig, RunFile, RunFolder, SCHEMA, Stop, TrainError, compute_here, cross_validate, train,
};
use toml::Value;

use super::probe::training::Probing;
use super::progress::TrainingBar;
use super::{
    DataDir, Done, Global, INTERRUPT, counted, print_json, say, tell_data, warn, watch_interrupts,
    whole,
};

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
    /// Replicas that process equal parts of every batch in parallel [default: 1]
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
    if let Some(folder) = resumed_folder(&args)? {
        return resume(&args, &folder, global, lab);
    }
    args.probe
        .iter()
        .try_for_each(|text| Probing::check(text))?;
    let config = configuration(&args, None)?;
    compute_here(config.threads);
    if let Some(shape) = &args.cross_validate {
        return validate_across(&args, &config, shape, global, lab);
    }
    let experiment = Experiment::open(config, lab, &args.data_dir.search())?;
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
    let probes = Probing::all(&args.probe, &experiment, &path)
        .inspect_err(|_| drop(std::fs::remove_dir(&path)))?;
    let folder = RunFolder::create(&path, &run_file(&experiment, data_dir))?;
    drive(&args, &experiment, &folder, probes, global)
}

/// The configuration from file, --set and flags; without a file it starts from `under`, the run to
/// be resumed.
fn configuration(args: &TrainArgs, under: Option<&RunConfig>) -> Result<RunConfig, TrainError> {
    let text = match &args.file {
        Some(path) if path.is_dir() => {
            let message = format!(
                "is a folder, not a configuration; to continue a run write --resume {}",
                path.display()
            );
            return Err(TrainError::Folder {
                path: path.clone(),
                message,
            });
        }
        Some(path) => Some(std::fs::read_to_string(path).map_err(TrainError::io(path, "read"))?),
        None => under.map(RunConfig::to_toml),
    };
    let place = args.file.as_deref().unwrap_or(Path::new("run.toml"));
    let word = |text: &Option<String>| text.clone().map(Value::String);
    // Names come first, because a new name discards the old one's options, and --set gives options
    // of the new one; then once more, because flags win.
    let names = [
        ("dataset", &args.dataset),
        ("model", &args.model),
        ("optimizer", &args.optimizer),
        ("optimizer.preset", &args.preset),
        ("schedule", &args.schedule),
    ];
    let names: Vec<(String, Value)> = names
        .iter()
        .filter_map(|(key, text)| Some(((*key).to_owned(), word(text)?)))
        .collect();
    let mut over = names.clone();
    over.extend(
        args.set
            .iter()
            .map(|s| RunConfig::assignment(s))
            .collect::<Result<Vec<_>, _>>()?,
    );
    over.extend(names);
    let mut flag =
        |key: &str, value: Option<Value>| over.extend(value.map(|v| (key.to_owned(), v)));
    match args.batch_size.as_deref() {
        None => {}
        Some("full") => flag("data.sampling", Some("full".into())),
        Some(text) => match text.parse::<i64>() {
            Ok(n) if n > 0 => flag("batch_size", Some(n.into())),
            _ => {
                return Err(TrainError::Value {
                    key: "batch_size".into(),
                    value: text.into(),
                    why: "must be at least 1, or `full`".into(),
                });
            }
        },
    }
    flag("lr", args.lr.map(Value::Float));
    flag("epochs", args.epochs.map(|n| Value::Integer(n as i64)));
    flag("steps", args.steps.map(|n| Value::Integer(n as i64)));
    flag("scaling", word(&args.scaling));
    flag("seed", args.seed.map(|n| Value::Integer(n as i64)));
    flag("device", word(&args.device));
    flag("threads", args.threads.map(|n| Value::Integer(n as i64)));
    flag("workers", args.workers.map(|n| Value::Integer(n as i64)));
    flag(
        "log.layers_every_steps",
        traced(args.trace.as_deref())?.map(|n| Value::Integer(n as i64)),
    );
    let mut config = RunConfig::layered(text.as_deref().map(|text| (place, text)), &over)?;
    // A budget from the command line replaces the file's.
    if args.steps.is_some() {
        config.epochs = None;
    } else if args.epochs.is_some() {
        config.steps = None;
    }
    Ok(config)
}

/// `layers` or `layers:every=50`.
fn traced(text: Option<&str>) -> Result<Option<u64>, TrainError> {
    let Some(text) = text else { return Ok(None) };
    let every = match text {
        "layers" => Some(1),
        _ => text
            .strip_prefix("layers:every=")
            .and_then(|n| n.parse().ok())
            .filter(|&n| n > 0 && i64::try_from(n).is_ok()),
    };
    match every {
        Some(every) => Ok(Some(every)),
        None => Err(TrainError::Value {
            key: "trace".into(),
            value: text.into(),
            why: "write layers or layers:every=50".into(),
        }),
    }
}

/// The folder that --resume names, if there is a run in it.
fn resumed_folder(args: &TrainArgs) -> Result<Option<PathBuf>, TrainError> {
    match (&args.resume, &args.out) {
        (None, _) => Ok(None),
        (Some(Some(dir)), None) => Ok(Some(dir.clone())),
        (Some(Some(dir)), Some(out)) if out == dir => Ok(Some(dir.clone())),
        (Some(None), Some(out)) => Ok(out.join("run.toml").exists().then(|| out.clone())),
        (Some(Some(dir)), Some(out)) => Err(TrainError::Value {
            key: "resume".into(),
            value: dir.display().to_string(),
            why: format!(
                "--out {} names another folder; give one of them",
                out.display()
            ),
        }),
        (Some(None), None) => Err(TrainError::Value {
            key: "resume".into(),
            value: "(none)".into(),
            why: "name the run's folder, as in --resume runs/digits-mlp-sgd".into(),
        }),
    }
}

fn resume(args: &TrainArgs, path: &Path, global: &Global, lab: &Lab) -> Result<Done> {
    let (folder, file) = RunFolder::open(path)?;
    compute_here(file.config.threads);
    let other = if args.accept_data {
        OtherData::Accept(&warn)
    } else {
        OtherData::Refuse
    };
    let open = |config: RunConfig| file.reopen(path, config, lab, args.data_dir.search(), other);
    let asked = configuration(args, Some(&file.config))?;
    if asked != file.config {
        let asked = open(asked)?.config;
        if asked != file.config {
            let message = format!(
                "holds another run than the one requested; they differ in: {}; leave these out to resume it, or start another run with --out",
                differences(&file.config, &asked)
            );
            return Err(TrainError::Folder {
                path: path.into(),
                message,
            }
            .into());
        }
    }
    if let Some(outcome) = folder.outcome()? {
        if args.json {
            print_json(&outcome)?;
        } else if !global.quiet {
            writeln!(
                std::io::stdout(),
                "{} has already ended; nothing to do.\n{}",
                path.display(),
                summary(&outcome)
            )?;
        }
        return Ok(done(&outcome));
    }
    let experiment = open(file.config.clone())?;
    let begun = &file.provenance.version;
    let minor = |version: &str| version.rsplit_once('.').map(|(minor, _)| minor.to_owned());
    if minor(begun) != minor(env!("CARGO_PKG_VERSION")) {
        warn(&format!(
            "{} was begun by version {begun}; from here on its bits may differ from that version's",
            path.display()
        ));
    }
    let probes = Probing::all(&args.probe, &experiment, path)?;
    let folder = folder.locked()?;
    folder.go_on_with(&file, &experiment.dataset)?;
    drive(args, &experiment, &folder, probes, global)
}

/// The keys whose values differ.
fn differences(old: &RunConfig, new: &RunConfig) -> String {
    fn flat(prefix: &str, value: &Value, into: &mut std::collections::BTreeMap<String, Value>) {
        match value {
            Value::Table(table) => table.iter().for_each(|(k, v)| {
                flat(
                    &format!("{prefix}{}{k}", if prefix.is_empty() { "" } else { "." }),
                    v,
                    into,
                )
            }),
            leaf => drop(into.insert(prefix.to_owned(), leaf.clone())),
        }
    }
    let leaves = |config: &RunConfig| {
        let mut leaves = std::collections::BTreeMap::new();
        flat(
            "",
            &Value::Table(toml::Table::try_from(config).unwrap_or_default()),
            &mut leaves,
        );
        leaves
    };
    let (old, new) = (leaves(old), leaves(new));
    let keys: std::collections::BTreeSet<&String> = old.keys().chain(new.keys()).collect();
    let show = |v: Option<&Value>| v.map_or("(none)".to_owned(), Value::to_string);
    let changed: Vec<String> = keys
        .into_iter()
        .filter(|key| old.get(*key) != new.get(*key))
        .map(|key| {
            format!(
                "{key} ({} there, {} here)",
                show(old.get(key)),
                show(new.get(key))
            )
        })
        .collect();
    changed.join(", ")
}

fn drive(
    args: &TrainArgs,
    experiment: &Experiment,
    folder: &RunFolder,
    mut probes: Vec<Probing<'_>>,
    global: &Global,
) -> Result<Done> {
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
            ..Controls::default()
        },
    )?;
    if args.json {
        print_json(&outcome)?;
    } else if !global.quiet {
        writeln!(std::io::stdout(), "{}", summary(&outcome))?;
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

fn done(outcome: &Outcome) -> Done {
    match outcome.stop {
        Stop::Finished | Stop::TargetReached | Stop::NoImprovement | Stop::Observer => Done::Ok,
        Stop::Diverged => Done::Diverged,
        Stop::Interrupted => Done::Interrupted,
    }
}

fn summary(outcome: &Outcome) -> String {
    let why = match outcome.stop {
        Stop::Finished => "finished",
        Stop::TargetReached => "reached its target",
        Stop::NoImprovement => "stopped improving",
        Stop::Observer => "was asked to stop",
        Stop::Diverged => "DIVERGED",
        Stop::Interrupted => "was interrupted",
    };
    let o = outcome;
    let lr = if o.peak_lr == o.lr || o.peak_lr == 0.0 {
        o.lr.to_string()
    } else {
        format!("{} ({} scaled with the batch)", o.peak_lr, o.lr)
    };
    let epochs = if o.epochs == 1 { "epoch" } else { "epochs" };
    let mut text = format!(
        "{} · {} · {}, batch {}, lr {lr}, seed {}, {}\n{why} after {} {epochs} ({}) in {:.1} s, {:.0} examples/s\n",
        o.dataset,
        o.model,
        o.optimizer,
        o.batch_size,
        o.seed,
        o.device,
        o.epochs,
        counted(o.steps, "step"),
        o.seconds,
        o.examples_per_second
    );
    if o.stop == Stop::Diverged {
        text += "  the loss diverged: try a smaller --lr, or a warm-up\n";
    }
    let majority = |share: Option<f64>| {
        share.map_or(String::new(), |m| {
            format!(" (majority class {:.2} %)", 100.0 * m)
        })
    };
    let mut part = |name: &str, value: Option<String>| {
        if let Some(value) = value {
            let _ = writeln!(text, "  {name:<12}{value}");
        }
    };
    part(
        "train loss",
        o.train_loss.map(|loss| {
            if loss.abs() < 1e4 {
                format!("{loss:.4}")
            } else {
                format!("{loss:.3e}")
            }
        }),
    );
    part(
        "validation",
        o.validation.map(|m| {
            format!(
                "{} of {}{}",
                m.headline(),
                m.n,
                majority(o.validation_majority_accuracy)
            )
        }),
    );
    part(
        "test",
        o.test.map(|m| {
            format!(
                "{} of {}{}",
                m.headline(),
                m.n,
                majority(o.test_majority_accuracy)
            )
        }),
    );
    part("saved in", o.out.clone());
    text.trim_end().to_owned()
}

fn validate_across(
    args: &TrainArgs,
    config: &RunConfig,
    shape: &str,
    global: &Global,
    lab: &Lab,
) -> Result<Done> {
    let parsed = shape
        .split_once('x')
        .and_then(|(r, k)| Some((r.parse::<u64>().ok()?, k.parse::<usize>().ok()?)));
    let Some((repeats, folds)) = parsed.filter(|&(r, k)| r > 0 && k > 1) else {
        let why = "write REPEATSxFOLDS, such as 5x10".into();
        return Err(TrainError::Value {
            key: "cross-validate".into(),
            value: shape.into(),
            why,
        }
        .into());
    };
    // Read here too, so that the data are reported before hours of training.
    let mut dataset = largebatch_train::open(lab, &config.dataset, &args.data_dir.search())?;
    dataset.train = Part::concat(&dataset.train, &dataset.test).map_err(TrainError::from)?;
    dataset.test = dataset.train.select(&[]);
    let all = Holdout {
        train: (0..dataset.train.len() as u32).collect(),
        validation: Vec::new(),
    };
    tell_data(&dataset, &all, global);
    let bar = super::progress::bar(
        !global.quiet,
        repeats.saturating_mul(folds as u64),
        "trainings",
    );
    let mut each = |done: u64, _all: u64| bar.set_position(done);
    let result = cross_validate(
        config,
        (repeats, folds),
        lab,
        &args.data_dir.search(),
        &INTERRUPT,
        &mut each,
    )?;
    bar.finish_and_clear();
    let Some(result) = result else {
        return Ok(Done::Interrupted);
    };
    if args.json {
        let mut object = serde_json::to_value(&result)?;
        for (key, name) in [
            ("dataset", &config.dataset.name),
            ("model", &config.model.name),
            ("optimizer", &config.optimizer.name),
        ] {
            object[key] = name.clone().into();
        }
        print_json(&object)?;
    } else if !global.quiet {
        writeln!(std::io::stdout(), "{}", cross_summary(config, &result))?;
    }
    Ok(Done::Ok)
}

fn cross_summary(config: &RunConfig, result: &CrossValidation) -> String {
    let (r, k) = (result.repeats, result.folds);
    let mut text = format!(
        "{} · {} · {}, {r} × {k}-fold cross-validation\n",
        config.dataset.name, config.model.name, config.optimizer.name
    );
    for (i, metrics) in result.per_repeat.iter().enumerate() {
        let _ = writeln!(
            text,
            "  repeat {}    {} of {}",
            i + 1,
            metrics.headline(),
            metrics.n
        );
    }
    if let Some(accuracy) = result.accuracy {
        let spread = result.accuracy_std.map_or(String::new(), |std| {
            format!(" ± {:.2} (standard deviation over repeats)", 100.0 * std)
        });
        let _ = writeln!(text, "  accuracy    {:.2} %{spread}", 100.0 * accuracy);
    }
    if let Some(majority) = result.majority_accuracy {
        let _ = writeln!(
            text,
            "  majority    {:.2} % by always predicting the most frequent class",
            100.0 * majority
        );
    }
    if let Some(rmse) = result.rmse {
        let _ = writeln!(text, "  RMSE        {rmse:.4}");
    }
    if result.diverged > 0 {
        let _ = writeln!(
            text,
            "  {} trainings diverged; their predictions count as wrong",
            result.diverged
        );
    }
    text.trim_end().to_owned()
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

/// Creates a new folder in `runs`, in one step, so that two trainings that start together never
/// share one.
fn fresh_folder(config: &RunConfig) -> Result<PathBuf, TrainError> {
    let runs = Path::new("runs");
    std::fs::create_dir_all(runs).map_err(TrainError::io(runs, "create the folder"))?;
    let name = format!(
        "{}-{}-{}",
        config.dataset.name, config.model.name, config.optimizer.name
    );
    let mut path = runs.join(&name);
    for i in 2u64.. {
        match std::fs::create_dir(&path) {
            Err(e) if e.kind() == std::io::ErrorKind::AlreadyExists => {
                path = runs.join(format!("{name}-{i}"))
            }
            made => {
                return made
                    .map(|()| path.clone())
                    .map_err(TrainError::io(&path, "create the folder"));
            }
        }
    }
    Ok(path)
}

pub(super) fn run_file(experiment: &Experiment, data_dir: Option<PathBuf>) -> RunFile {
    RunFile {
        schema: SCHEMA,
        id: experiment.config.id(),
        examples: Some(experiment.dataset.train.len() + experiment.dataset.test.len()),
        provenance: Environment {
            version: env!("CARGO_PKG_VERSION").into(),
            device: format!("{:?}", experiment.device.clone().inner()),
            threads: largebatch_train::threads(),
            cpu: largebatch_train::processor(),
            platform: format!("{}-{}", std::env::consts::OS, std::env::consts::ARCH),
            data_dir,
            folder: std::env::current_dir()
                .ok()
                .filter(|_| has_relative_files(&experiment.config.dataset)),
        },
        config: experiment.config.clone(),
        sources: experiment.dataset.sources.clone(),
        earlier_sources: Vec::new(),
    }
}

fn has_relative_files(dataset: &Choice) -> bool {
    let files = DataSpec::FILES
        .iter()
        .filter_map(|key| dataset.options.get(*key)?.as_str());
    files.into_iter().any(|file| Path::new(file).is_relative())
}
