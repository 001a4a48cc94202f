//! `largebatch probe`: a subcommand for each probe of the lab.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use anyhow::Result;
use clap::{Arg, ArgMatches, Args, FromArgMatches, value_parser};
use indicatif::ProgressBar;
use largebatch_component::Entry;
use largebatch_plot::duration;
use largebatch_probe::{Asked, DynProbe, Measured, ProbeError, Run, Target};
use largebatch_train::{Experiment, RunConfig, RunFolder, TrainError, compute_here};
use toml::Table;

use super::progress::bar;
use super::{
    AcceptData, DataDir, Done, Global, INTERRUPT, print_json, say, tell_data, watch_interrupts,
    whole, write_whole,
};
use crate::Lab;

pub(super) mod options;
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
// The subcommands are known only with the lab.
#[derive(Args)]
#[command(
    after_help = EXAMPLES,
    subcommand_required = true,
    arg_required_else_help = true,
    allow_external_subcommands = true
)]
pub(super) struct ProbeArgs {}

/// A subcommand for each probe that can measure a finished run.
pub(super) fn subcommands(lab: &Lab) -> Vec<clap::Command> {
    let command = |entry: &Entry<Arc<dyn DynProbe>>| {
        let probe = entry.configure(Table::new()).ok()?;
        let command = clap::Command::new(probe.facts().name);
        let runs = Arg::new("runs").value_parser(value_parser!(PathBuf));
        let runs = match probe.target() {
            Target::Steps => return None,
            Target::Network => runs
                .value_name("RUN")
                .required(true)
                .help("Folder of the run, or of one of its checkpoints"),
            Target::TwoRuns => runs
                .value_names(["RUN_S", "RUN_L"])
                .num_args(2)
                .required(true)
                .help("Folders of the two runs, or of their checkpoints"),
            Target::Runs => runs
                .value_name("RUN")
                .num_args(0..)
                .help("Folders of the runs, or of their checkpoints"),
            Target::Settings => runs
                .value_name("RUN|FILE")
                .help("Folder of a run, or a training configuration in TOML"),
        };
        let command = command.arg(runs).args(options::arguments(entry));
        let command = match probe.target() {
            Target::Network => Weights::augment_args(command),
            Target::Settings => Settings::augment_args(command),
            Target::TwoRuns | Target::Runs | Target::Steps => command,
        };
        let command = Common::augment_args(command);
        let (about, help) = (probe.facts().summary, probe.help());
        // After the groups of arguments, which bring their own.
        Some(command.about(about).long_about(None).after_help(help))
    };
    lab.probes.iter().filter_map(command).collect()
}

#[derive(Args)]
struct Weights {
    /// Weights to use instead of the run's: a safetensors file, such as one from PyTorch
    #[arg(long, value_name = "FILE", help_heading = "On what")]
    weights: Option<PathBuf>,
}

/// The settings of a run that a measurement trains itself.
#[derive(Args)]
pub(super) struct Settings {
    /// Any setting, overriding the run or file, such as dataset=digits, model=mlp, optimizer=lars,
    /// batch_size=512
    #[arg(long = "set", value_name = "KEY=VALUE", help_heading = "What")]
    pub set: Vec<String>,
    /// CPU threads [default: all]
    #[arg(long, value_name = "N", help_heading = "Where", value_parser = whole)]
    pub threads: Option<u64>,
}

/// Where a measurement computes, and finds the data.
#[derive(Args)]
pub(super) struct Place {
    /// Device to compute on instead of the run's
    #[arg(long, value_name = "NAME", help_heading = "Where")]
    device: Option<String>,
    #[command(flatten)]
    data_dir: DataDir,
    #[command(flatten)]
    accept: AcceptData,
}

/// Arguments of every probe.
#[derive(Args)]
struct Common {
    #[command(flatten)]
    place: Place,
    /// Folder for NAME.json and NAME.svg [default: RUN/probe]
    #[arg(long, value_name = "DIR", help_heading = "Results")]
    out: Option<PathBuf>,
    /// Print the JSON object instead of a summary
    #[arg(long, help_heading = "Results")]
    json: bool,
}

/// Runs the subcommand of `probe` in the arguments of the whole command line.
pub(super) fn run(matches: &ArgMatches, global: &Global, lab: &Lab) -> Result<Done> {
    watch_interrupts()?;
    // The command line requires a subcommand, and passes on those that it does not know.
    let probe = matches.subcommand().and_then(|(_, of)| of.subcommand());
    let (name, matches) = probe.unwrap_or(("", matches));
    let entry = lab.probes.named(name).map_err(ProbeError::from)?;
    let probe = entry.configure(Table::new()).map_err(ProbeError::from)?;
    if probe.target() == Target::Steps {
        let why = format!("it measures during a training only: `train --probe {name}:every=100`");
        return Err(TrainError::value("probe", name, why).into());
    }
    let asked = options::asked(entry, matches).map_err(ProbeError::from)?;
    let common = Common::from_arg_matches(matches)?;
    let paths: Vec<&PathBuf> = matches.get_many("runs").unwrap_or_default().collect();
    let runs = match asked.probe.target() {
        Target::Settings => {
            let settings = Settings::from_arg_matches(matches)?;
            let run = settings.open(paths.first().copied(), &common.place, lab)?;
            tell_data(&run.experiment.dataset, &run.experiment.holdout, global);
            vec![run]
        }
        target => {
            let weights = match target {
                Target::Network => Weights::from_arg_matches(matches)?.weights,
                _ => None,
            };
            let place = &common.place;
            let open = |path: &PathBuf| {
                let (device, search) = (place.device.as_deref(), place.data_dir.search());
                Run::open(
                    path,
                    weights.as_deref(),
                    device,
                    lab,
                    search,
                    place.accept.other(),
                )
            };
            paths.into_iter().map(open).collect::<Result<_, _>>()?
        }
    };
    let folder = runs.first().map_or(Path::new(""), |run| &run.folder);
    let folder = common.out.clone().unwrap_or_else(|| folder.join("probe"));
    let measured = measure(&asked, &runs, global)?;
    let written = save(&folder, &asked, &measured)?;
    if common.json {
        print_json(&measured.record)?;
    } else if !global.quiet {
        let written: Vec<String> = written.iter().map(|p| p.display().to_string()).collect();
        let written = written.join(", ");
        writeln!(
            std::io::stdout(),
            "{}\nwritten: {written}",
            measured.summary
        )?;
    }
    if measured.complete {
        return Ok(Done::Ok);
    }
    say("interrupted: the result covers what was measured so far");
    Ok(Done::Interrupted)
}

/// Measures runs. Unless it is to be quiet, it shows the progress, and announces a cost of more than
/// ten seconds.
pub(super) fn measure(
    asked: &Asked,
    runs: &[Run],
    global: &Global,
) -> Result<Measured, ProbeError> {
    let points: Vec<_> = runs.iter().map(|run| run.point(asked.sample)).collect();
    if global.quiet {
        return asked.probe.measure(&points, &mut proceed);
    }
    let cost = asked.probe.cost(&points)?;
    if cost.seconds > 10.0 {
        say(&format!("{}: about {}", cost.work, duration(cost.seconds)));
    }
    let progress = Progress(bar(true, 0, cost.unit));
    asked.probe.measure(&points, &mut |done, all| {
        progress.0.set_length(all);
        progress.0.set_position(done);
        proceed(done, all)
    })
}

/// The interrupt that ends a command also ends a measurement.
pub(super) fn proceed(_done: u64, _all: u64) -> bool {
    !INTERRUPT.load(Ordering::Relaxed)
}

/// A bar that goes when the measurement ends.
struct Progress(ProgressBar);

impl Drop for Progress {
    fn drop(&mut self) {
        self.0.disable_steady_tick();
        self.0.finish_and_clear();
    }
}

/// Writes NAME.json and the figures, and returns their paths.
pub(super) fn save(folder: &Path, asked: &Asked, measured: &Measured) -> Result<Vec<PathBuf>> {
    std::fs::create_dir_all(folder).map_err(TrainError::io(folder, "create the folder"))?;
    let mut written = vec![folder.join(format!("{}.json", asked.probe.facts().name))];
    write_whole(&written[0], &serde_json::to_vec_pretty(&measured.record)?)?;
    for figure in &measured.figures {
        let path = folder.join(format!("{}.svg", figure.name));
        write_whole(&path, figure.svg().as_bytes())?;
        written.push(path);
    }
    Ok(written)
}

impl Settings {
    /// A run that has not begun, with the settings of a run, a file, or neither.
    pub(super) fn open(&self, source: Option<&PathBuf>, place: &Place, lab: &Lab) -> Result<Run> {
        let (mut run, mut text, mut folder) = (None, None, PathBuf::new());
        let mut named = PathBuf::from("run.toml");
        match source {
            None => {}
            Some(path) if path.is_dir() => {
                let (_, file) = RunFolder::open(path)?;
                text = Some(file.config.to_toml());
                folder = path.clone();
                run = Some((path, file));
            }
            Some(path) => {
                text = Some(std::fs::read_to_string(path).map_err(TrainError::io(path, "read"))?);
                named = path.clone();
            }
        }
        let mut over = self
            .set
            .iter()
            .map(|s| RunConfig::assignment(s))
            .collect::<Result<Vec<_>, _>>()?;
        let device = place.device.clone();
        over.extend(device.map(|d| ("device".to_owned(), d.into())));
        let threads = self.threads.map(|n| toml::Value::Integer(n as i64));
        over.extend(threads.map(|n| ("threads".to_owned(), n)));
        let config =
            RunConfig::layered(text.as_deref().map(|text| (named.as_path(), text)), &over)?;
        compute_here(config.threads);
        let search = place.data_dir.search();
        let experiment = match run {
            Some((path, file)) => file.reopen(path, config, lab, search, place.accept.other())?,
            None => Experiment::open(config, lab, &search)?,
        };
        Ok(Run {
            network: experiment.initial_model()?.network,
            experiment,
            weights: folder.clone(),
            folder,
            step: Some(0),
            optimizer: None,
        })
    }
}
