//! The command line: one file per subcommand.

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, CommandFactory, FromArgMatches, Parser, Subcommand};
use largebatch_data::{Dataset, Holdout, Search};
use largebatch_schedule::{batch_schedules, common_options};
use largebatch_study::StudyError;
use largebatch_train::{BACKENDS, OtherData, TrainError};

use crate::Lab;

mod data;
mod devices;
mod evaluate;
mod facts;
mod job;
mod network;
mod predict;
mod probe;
mod progress;
mod replay;
mod report;
mod scale;
mod schema;
mod shell;
mod signals;
mod study;
mod train;

use signals::{INTERRUPT, ignore_file_size_signal, quiet_graphics, watch_interrupts};

/// Parses a whole number that a configuration can hold: TOML's end at 2⁶³ − 1.
fn whole(text: &str) -> Result<u64, String> {
    let wrong = || format!("must be a whole number from 0 to {}", i64::MAX);
    text.parse()
        .ok()
        .filter(|&n| n <= i64::MAX as u64)
        .ok_or_else(wrong)
}

const ABOUT: &str = "A laboratory for large-batch training: train networks, run studies and measure optimizers, on Burn.";

const EXAMPLES: &str = "\
Examples:
  largebatch train --dataset digits --model mlp
      Train a multilayer perceptron on the built-in handwritten digits.

  largebatch train --dataset digits --model mlp --optimizer lars --batch-size 512
      The same with LARS and a large batch.

  largebatch predict runs/iris new.csv --out predictions.csv
      Predict new rows with a trained network: classes with probabilities, or values.

  largebatch study run gap
      Measure what a large batch costs and which remedy helps: a study with a report, in seconds.

  largebatch data fetch mnist && largebatch train --dataset mnist --model lenet5
      Download MNIST and train LeNet-5 on it.

  largebatch optimizers lamb
      Show LAMB's formula, parameters, presets and paper.

Exit codes: 0 done, 1 failed, 2 bad arguments, 3 training diverged, 130 interrupted.";

#[derive(Parser)]
#[command(name = "largebatch", about = ABOUT, after_help = EXAMPLES, max_term_width = 110, arg_required_else_help = true)]
struct Cli {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    command: Command,
}

/// Flags of every subcommand.
#[derive(Args, Clone)]
struct Global {
    /// Print less: no progress and no summary. Warnings and errors are still printed.
    #[arg(short, long, global = true, conflicts_with = "verbose")]
    quiet: bool,
    /// Print more: a line for every evaluation and checkpoint, and the causes of errors.
    #[arg(short, long, global = true)]
    verbose: bool,
}

/// Where to look for data sets.
#[derive(Args, Clone)]
struct DataDir {
    /// Folder with data sets, plain or .gz, directly in it or in a subfolder named after the set
    /// [default: $LARGEBATCH_DATA_DIR, else the cache folder].
    #[arg(long, value_name = "DIR", help_heading = "Where")]
    data_dir: Option<PathBuf>,
}

impl DataDir {
    fn search(&self) -> Search {
        Search {
            data_dir: self.data_dir.clone(),
            ..Search::default()
        }
    }
}

/// What to do if a run's data have changed.
#[derive(Args, Clone)]
struct AcceptData {
    /// Use the data even if they have changed since the run was trained, with a warning
    #[arg(long, help_heading = "Where")]
    accept_data: bool,
}

impl AcceptData {
    fn other(&self) -> OtherData<'static> {
        if self.accept_data {
            OtherData::Accept(&warn)
        } else {
            OtherData::Refuse
        }
    }
}

#[derive(Subcommand)]
enum Command {
    Train(Box<train::TrainArgs>),
    Study(study::StudyArgs),
    Evaluate(evaluate::EvaluateArgs),
    Predict(predict::PredictArgs),
    Report(report::ReportArgs),
    Probe(probe::ProbeArgs),
    Scale(scale::ScaleArgs),
    #[command(subcommand)]
    Data(data::DataCommand),
    Devices(devices::DevicesArgs),
    /// List the settings of a training run, with their defaults and values
    Settings(facts::FactsArgs),
    /// List the models, or show the details of one: input, parameters, paper
    Models(facts::FactsArgs),
    /// List the optimizers, or show the details of one: formula, parameters, presets, paper
    Optimizers(facts::FactsArgs),
    /// List the learning-rate schedules, or show the details of one: formula, parameters, paper
    Schedules(facts::FactsArgs),
    /// List the schedules of the batch size, or show the details of one
    BatchSchedules(facts::FactsArgs),
    /// List the probes of a run, a training (`train --probe`) and a study (`confirm.probe`), or show the
    /// options of one
    Probes(facts::FactsArgs),
    /// List the file formats of data, or show the keys of one
    Formats(facts::FactsArgs),
    Schema(schema::SchemaArgs),
    Replay(replay::ReplayArgs),
    Completions(shell::CompletionsArgs),
    Man(shell::ManArgs),
}

/// How a subcommand ended, if nothing failed.
enum Done {
    Ok,
    Diverged,
    Interrupted,
}

/// Runs the whole command line with the components of `lab`, including your own.
///
/// Reads the arguments of the process and returns its exit code: 0 done, 1 failed, 2 bad arguments,
/// 3 diverged, 130 interrupted.
pub fn main(lab: Lab) -> ExitCode {
    ignore_file_size_signal();
    quiet_graphics();
    let matches = match command(&lab).try_get_matches() {
        Ok(matches) => matches,
        Err(error) => {
            if !job::has_main() {
                let _ = error.print();
            }
            return ExitCode::from(if error.use_stderr() { 2 } else { 0 });
        }
    };
    let cli = match Cli::from_arg_matches(&matches) {
        Ok(cli) => cli,
        Err(error) => error.exit(),
    };
    let done = match cli.command {
        Command::Train(args) => train::run(*args, &cli.global, &lab),
        Command::Study(args) => study::run(args, &cli.global, &lab),
        Command::Evaluate(args) => evaluate::run(args, &cli.global, &lab),
        Command::Predict(args) => predict::run(args, &cli.global, &lab),
        Command::Report(args) => report::run(&args, &cli.global, &lab),
        Command::Probe(_) => probe::run(&matches, &cli.global, &lab),
        Command::Scale(args) => scale::run(args, &cli.global, &lab),
        Command::Data(command) => data::run(command, &cli.global, &lab),
        Command::Devices(args) => devices::run(args),
        Command::Settings(args) => facts::settings(args),
        Command::Models(args) => facts::show(args, "models", &lab.models, &[]),
        Command::Optimizers(args) => facts::show(args, "optimizers", &lab.optimizers, &[]),
        Command::Schedules(args) => {
            facts::show(args, "schedules", &lab.schedules, &common_options())
        }
        Command::BatchSchedules(args) => {
            facts::show(args, "batch-schedules", &batch_schedules(), &[])
        }
        Command::Probes(args) => facts::show(args, "probes", &lab.probes, &[]),
        Command::Formats(args) => facts::show(args, "formats", &lab.formats, &[]),
        Command::Schema(args) => schema::run(args, &lab),
        Command::Replay(args) => replay::run(args, &lab),
        Command::Completions(args) => shell::completions(args, &lab),
        Command::Man(args) => shell::man(args, &lab),
    };
    if done.is_ok() {
        job::leave();
    }
    match done {
        Ok(Done::Ok) => ExitCode::SUCCESS,
        Ok(Done::Diverged) => ExitCode::from(3),
        Ok(Done::Interrupted) => ExitCode::from(130),
        Err(error) => {
            // A closed pipe, as after `| head`, is not a failure.
            let closed = |e: &std::io::Error| e.kind() == std::io::ErrorKind::BrokenPipe;
            if error
                .chain()
                .any(|cause| cause.downcast_ref::<std::io::Error>().is_some_and(closed))
            {
                return ExitCode::SUCCESS;
            }
            // Most errors already name their cause.
            let mut text = error.to_string();
            if error.is::<std::io::Error>() {
                text.insert_str(0, "standard output: cannot write: ");
            }
            for cause in error.chain().skip(1).map(ToString::to_string) {
                if !text.contains(&cause) {
                    text = format!("{text}: {cause}");
                }
            }
            if let Some(remedy) = error
                .chain()
                .find_map(|cause| remedy(cause.downcast_ref::<std::io::Error>()?.kind()))
            {
                text = format!("{text}; {remedy}");
            }
            if let Some(who) = job::reporter() {
                to_stderr(&format!("{who}error: {text}\n"));
            }
            let usage = error
                .downcast_ref::<largebatch_probe::ProbeError>()
                .is_some_and(|e| e.is_usage())
                || error
                    .downcast_ref::<TrainError>()
                    .is_some_and(TrainError::is_usage)
                || matches!(
                    error.downcast_ref(),
                    Some(
                        StudyError::Invalid { .. }
                            | StudyError::Override { .. }
                            | StudyError::Argument(_)
                    )
                );
            let code = if usage { 2 } else { 1 };
            job::abort(code);
            ExitCode::from(code)
        }
    }
}

/// What to do if the file system refuses.
fn remedy(kind: std::io::ErrorKind) -> Option<&'static str> {
    use std::io::ErrorKind as Kind;
    Some(match kind {
        Kind::NotADirectory | Kind::AlreadyExists => {
            "there is a file where a folder is needed: choose another path"
        }
        Kind::NotFound => "check the path's spelling, and that the folder above it exists",
        Kind::PermissionDenied | Kind::ReadOnlyFilesystem => {
            "choose a folder that you may write to, or change its permissions"
        }
        Kind::StorageFull | Kind::QuotaExceeded => {
            "free space or choose another disk; finished work is kept, and the same command continues"
        }
        Kind::FileTooLarge => "raise the file-size limit (`ulimit -f`)",
        _ => return None,
    })
}

fn command(lab: &Lab) -> clap::Command {
    Cli::command()
        .version(version())
        .mut_subcommand("probe", |probe| probe.subcommands(probe::subcommands(lab)))
}

fn version() -> String {
    let compiled = BACKENDS.iter().filter(|b| b.compiled);
    let compiled: Vec<&str> = compiled.map(|b| b.name).collect();
    let version = env!("CARGO_PKG_VERSION");
    format!("{version} (devices: {})", compiled.join(", "))
}

/// Writes a line to standard error, unless another process does; if that is closed or full, the line
/// is lost.
fn say(text: &str) {
    if !job::is_quiet() {
        to_stderr(&format!("{text}\n"));
    }
}

/// Writes to standard error at once: launchers mix what is written in pieces with other output.
fn to_stderr(text: &str) {
    let _ = std::io::stderr().write_all(text.as_bytes());
}

/// Reports what was read, what is held out, the majority-class baseline, and anything that looks
/// wrong in the data.
fn tell_data(dataset: &Dataset, holdout: &Holdout, global: &Global) {
    if !global.quiet {
        say(&dataset.summary(holdout));
    }
    dataset.warnings.iter().for_each(|warning| warn(warning));
}

/// `1 step`, `2 steps`.
fn counted(n: impl TryInto<u64>, what: &str) -> String {
    match n.try_into().unwrap_or(u64::MAX) {
        1 => format!("1 {what}"),
        n => format!("{n} {what}s"),
    }
}

fn warn(text: &str) {
    say(&format!("warning: {text}"));
}

/// Prints a value as one line of JSON.
fn print_json(value: &impl serde::Serialize) -> anyhow::Result<Done> {
    print(serde_json::to_string(value)?)
}

/// Writes a file whole or not at all.
fn write_whole(path: &Path, bytes: &[u8]) -> Result<(), TrainError> {
    largebatch_store::write_whole(path, bytes).map_err(TrainError::io(path, "write"))
}

/// Prints a line, or lines, to standard output.
fn print(text: impl std::fmt::Display) -> anyhow::Result<Done> {
    let mut out = std::io::stdout();
    // At once, as to standard error.
    out.write_all(format!("{text}\n").as_bytes())?;
    Ok(Done::Ok)
}

/// Aligns columns: the first to the left, the others to the right.
fn aligned(rows: &[Vec<String>]) -> String {
    let width = |column: usize| {
        rows.iter()
            .map(|r| r[column].chars().count())
            .max()
            .unwrap_or(0)
    };
    let widths: Vec<usize> = (0..rows[0].len()).map(width).collect();
    let cell = |(i, cell): (usize, &String)| match widths[i] {
        width if i == 0 => format!("{cell:<width$}"),
        width => format!("{cell:>width$}"),
    };
    let mut text = String::new();
    for row in rows {
        let cells: Vec<String> = row.iter().enumerate().map(cell).collect();
        let _ = writeln!(text, "{}", cells.join("  ").trim_end());
    }
    text
}
