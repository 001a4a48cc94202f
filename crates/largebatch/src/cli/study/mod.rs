//! `largebatch study`: many trainings as one experiment.

use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context, Result};
use clap::{Args, Subcommand};
use largebatch_study::{
    Notice, Plan, Results, RunOptions, Shard, StudyError, TrialRecord, Workers, running, serve,
};
use largebatch_train::{compute_here, same};

use super::job;
use super::{DataDir, Done, Global, INTERRUPT, counted, print, say, warn, watch_interrupts};
use crate::Lab;
use ended::Ended;
use failures::failures;
use keep::{KeptRuns, Probes, join_runs};
use report::{ExportArgs, ReportArgs, about, around, export, repeats, report, write_report};
use serve::{Pages, ServeArgs};
use show::InPlace;
use trainer::Trainer;
use watcher::Watcher;

mod ended;
mod failures;
mod keep;
mod length;
mod problem;
mod provenance;
mod recipes;
mod relay;
mod report;
mod serve;
mod show;
mod speed;
mod trainer;
mod watcher;

const EXAMPLES: &str = "\
Examples:
  largebatch study run gap
      The main experiment: what a large batch costs, on the built-in digits, in seconds.

  largebatch study run gap --set dataset=mnist --set confirm.seeds=5 --out studies/gap-mnist --jobs 8
      The same on MNIST.

  largebatch study list gap > mine.toml && largebatch study plan mine.toml
      Make your own study from a recipe, and see what it would run and for how long.

  largebatch study run mine.toml --out studies/mine --shard 2/8
      The second of eight parts, one per machine; the report reads all parts in the folder.

  mpirun -n 8 largebatch study run mine.toml --out studies/mine
      The eight parts at once, and the report at the end.

If a study is stopped, by Ctrl-C or a crash, the same command continues it, with the same results in the end.";

/// Run a study: batch size × learning rate × optimizer, tuned and confirmed, with a report
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct StudyArgs {
    #[command(subcommand)]
    command: StudyCommand,
}

#[derive(Subcommand)]
enum StudyCommand {
    /// Run the remaining trials of a study, then write its report
    Run(RunArgs),
    /// Show a study's trials, their number and their estimated time, without running them
    Plan(PlanArgs),
    /// Show the progress of the study in a folder
    Status(StatusArgs),
    /// Write the report of the study in a folder, finished or not: a page with figures and tables,
    /// and print a summary
    Report(ReportArgs),
    /// Show the report of a study as a page that follows it while it runs, or list the studies of a
    /// folder, on this machine only
    Serve(ServeArgs),
    /// Export the trials of the study in a folder for other programs
    Export(ExportArgs),
    /// List the built-in recipes, or print one
    List(ListArgs),
    /// Run trials read from standard input; `study run` starts this command
    #[command(hide = true)]
    Worker(WorkerArgs),
}

/// Arguments that select a study.
#[derive(Args)]
struct WhatArgs {
    /// A recipe's name (`largebatch study list`), or a study file
    #[arg(value_name = "FILE|RECIPE")]
    study: String,
    /// A change: a setting of every trial, such as dataset=mnist or optimizer.weight_decay=1e-4, or a
    /// key of the study, such as confirm.seeds=3
    #[arg(long = "set", value_name = "KEY=VALUE")]
    set: Vec<String>,
    #[command(flatten)]
    data_dir: DataDir,
}

#[derive(Args)]
struct RunArgs {
    #[command(flatten)]
    what: WhatArgs,
    /// Folder of the study, new or already begun [default: studies/NAME]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Trials at a time, each in its own process; does not affect the results [default: all cores]
    #[arg(long, short, value_name = "N", value_parser = at_least_one)]
    jobs: Option<usize>,
    /// Run trials again whose data have changed, or whose settings had another meaning in the
    /// version that ran them, instead of refusing them; their records move to DIR/other-data.jsonl
    #[arg(long)]
    accept_data: bool,
    /// Run failed trials again, and trials whose probes failed; their old records move to
    /// DIR/failed.jsonl
    #[arg(long)]
    retry: bool,
    /// The part of the study to run here, such as 2/8: several machines can share a study without
    /// communicating
    #[arg(long, value_name = "I/N")]
    shard: Option<Shard>,
    /// Show the report as a page that follows the study, as `study serve` does, until it ends
    #[arg(long)]
    serve: bool,
}

#[derive(Args)]
struct PlanArgs {
    #[command(flatten)]
    what: WhatArgs,
    /// Trials at a time, for the estimate [default: all cores]
    #[arg(long, short, value_name = "N", value_parser = at_least_one)]
    jobs: Option<usize>,
}

#[derive(Args)]
struct FolderArgs {
    /// Folder of a study
    #[arg(value_name = "DIR")]
    folder: PathBuf,
}

#[derive(Args)]
struct StatusArgs {
    #[command(flatten)]
    study: FolderArgs,
    /// Show it again every two seconds, until all trials are done
    #[arg(long)]
    watch: bool,
}

#[derive(Args)]
struct ListArgs {
    /// The recipe to print
    #[arg(value_name = "RECIPE")]
    recipe: Option<String>,
}

#[derive(Args)]
struct WorkerArgs {
    #[command(flatten)]
    data_dir: DataDir,
    /// Folder in which reported trials keep their runs
    #[arg(long, value_name = "DIR")]
    keep: Option<PathBuf>,
    /// Probes that measure these runs
    #[arg(long)]
    probe: Vec<String>,
}

pub(super) fn run(args: StudyArgs, global: &Global, lab: &Lab) -> Result<Done> {
    match args.command {
        StudyCommand::Run(args) => run_study(args, global, lab),
        StudyCommand::Plan(args) => plan(args, global, lab),
        StudyCommand::Status(args) => status(&args),
        StudyCommand::Report(args) => report(&args, global, lab),
        StudyCommand::Serve(args) => serve::serve(&args, lab),
        StudyCommand::Export(args) => export(&args, global, lab),
        StudyCommand::List(args) => print(match args.recipe {
            Some(name) => recipes::named(&name)?.text.trim_end().to_owned(),
            None => show::recipes(),
        }),
        StudyCommand::Worker(args) => {
            let keep = args
                .keep
                .map(|runs| KeptRuns::new(runs, &args.probe, lab))
                .transpose()?;
            serve(&Trainer::new(lab, args.data_dir.search()).keeping(keep))
        }
    }
}

fn open(what: &WhatArgs, trainer: &Trainer, lab: &Lab) -> Result<Plan> {
    let study = recipes::study(&what.study, &what.set)?;
    for (i, text) in study
        .confirm
        .iter()
        .flat_map(|confirm| confirm.probe.iter().enumerate())
    {
        Probes::read(std::slice::from_ref(text), lab)
            .map_err(|e| study.error(&format!("confirm.probe.{i}"), e.to_string()))?;
    }
    Ok(Plan::new(study, &|config| trainer.check(config))?)
}

fn status(args: &StatusArgs) -> Result<Done> {
    let folder = &args.study.folder;
    watch_interrupts()?;
    let mut lines = InPlace::default();
    loop {
        let results = Results::open(folder)?;
        let now = running(folder);
        let mut progress = results.progress(now.len());
        progress.running = now;
        let done = if args.watch && std::io::stdout().is_terminal() {
            let table = show::table(&progress, show::terminal());
            let mut out = std::io::stdout();
            write!(out, "{}", lines.draw(&table)).and_then(|()| out.flush())?;
            Done::Ok
        } else {
            print(show::status(&results, &progress).trim_end())?
        };
        if !args.watch || progress.done == progress.total {
            return Ok(done);
        }
        for _ in 0..20 {
            if INTERRUPT.load(Ordering::Relaxed) {
                return Ok(Done::Interrupted);
            }
            std::thread::sleep(Duration::from_millis(100));
        }
    }
}

fn at_least_one(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(0) => Err("must be at least 1".into()),
        n => n.map_err(|_| "must be a whole number, at least 1".into()),
    }
}

/// All cores of this process, divided by the study's threads per trial.
fn jobs(asked: Option<usize>, threads: u32) -> usize {
    let cores = job::threads();
    asked.unwrap_or((cores / threads.max(1) as usize).max(1))
}

fn plan(args: PlanArgs, global: &Global, lab: &Lab) -> Result<Done> {
    let trainer = Trainer::new(lab, args.what.data_dir.search());
    let plan = open(&args.what, &trainer, lab)?;
    trainer.tell(global);
    compute_here(Some(plan.study.threads as usize));
    let seconds = plan.seconds(&|config| trainer.seconds(config));
    let jobs = jobs(args.jobs, plan.study.threads);
    print(show::plan(&plan, seconds, jobs).trim_end())
}

/// The default folder, `studies/NAME`.
fn own_folder(name: &str) -> Result<PathBuf, StudyError> {
    let mut parts = Path::new(name).components();
    match (parts.next(), parts.next()) {
        (Some(std::path::Component::Normal(_)), None) => Ok(Path::new("studies").join(name)),
        _ => Err(StudyError::Argument(format!(
            "the study's name, \"{name}\", is not a plain folder name: give the study's folder with --out"
        ))),
    }
}

fn run_study(args: RunArgs, global: &Global, lab: &Lab) -> Result<Done> {
    watch_interrupts()?;
    let shard = match args.shard {
        Some(_) if job::has_others() => {
            job::join()?;
            let why = "leave out --shard: each process of mpirun runs a part of its own";
            return Err(StudyError::Argument(why.into()).into());
        }
        None => job::shard()?,
        given => given,
    };
    let global = &job::quieted(global);
    let trainer = Trainer::new(lab, args.what.data_dir.search());
    let plan = open(&args.what, &trainer, lab)?;
    trainer.tell(global);
    let folder = args
        .out
        .clone()
        .map_or_else(|| own_folder(&plan.study.name), Ok)?;
    if let Some(job) = job::joined() {
        let what = [
            ("--out", folder.display().to_string()),
            ("the study", args.what.study.clone()),
            ("--set", args.what.set.join(" ")),
            ("--accept-data", args.accept_data.to_string()),
            ("--retry", args.retry.to_string()),
        ];
        let facts = what.map(|(name, value)| (name.to_owned(), value));
        same(job.peers(), &facts.into())?;
    }
    if !args.serve || job::is_quiet() {
        return run_plan(&args, plan, &folder, &trainer, shard, global, lab);
    }
    let pages = Pages::new(&folder, true, 0, lab)?;
    say(&format!("{} follows the study", pages.address()));
    let ended = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| pages.answer(&ended));
        let done = run_plan(&args, plan, &folder, &trainer, shard, global, lab);
        // The page asks every two seconds, and so sees the end.
        std::thread::sleep(Duration::from_secs(3));
        ended.store(true, Ordering::Relaxed);
        done
    })
}

fn run_plan(
    args: &RunArgs,
    plan: Plan,
    folder: &Path,
    trainer: &Trainer,
    shard: Option<Shard>,
    global: &Global,
    lab: &Lab,
) -> Result<Done> {
    let program = std::env::current_exe()
        .context("finding this program's path, to start it again as a worker")?;
    // Workers look for data in the same place as this process.
    let data_dir = args
        .what
        .data_dir
        .search()
        .data_dir
        .map(std::path::absolute)
        .transpose()
        .context("--data-dir")?;
    let probes = Probes::of(&plan.study, lab)?;
    let kept = KeptRuns::arguments(&plan.study, folder);
    let start = || {
        let mut command = Command::new(&program);
        command.args(["study", "worker"]).args(&kept);
        if let Some(dir) = &data_dir {
            command.arg("--data-dir").arg(dir);
        }
        command
    };
    let reads = |config: &toml::Table| trainer.files(config);
    let options = RunOptions {
        jobs: jobs(args.jobs, plan.study.threads),
        shard,
        data: Some(&reads),
        accept_data: args.accept_data,
        retry: args.retry,
        interrupt: Some(&INTERRUPT),
    };
    let mut watcher = Watcher::new(global);
    let mut ran = Vec::new();
    let summary = largebatch_study::run(
        &plan,
        folder,
        Workers::Processes(&start),
        options,
        &mut |progress, notice| {
            if let Notice::Aside(record) = notice {
                keep::forget(&probes, folder, record);
            }
            if let Notice::Done(record) = notice {
                ran.push(record.id.clone());
            }
            watcher.see(progress, notice);
        },
    );
    watcher.end();
    // Waits for the trials of all, which the report needs.
    let ended = Ended::new(summary?, ran).of_all()?;
    let summary = &ended.summary;
    if summary.aside > 0 {
        warn(&format!(
            "{} ran on data that have changed, or in a version in which their settings had another meaning; they run again, and their old records moved to {}",
            counted(summary.aside, "trial"),
            folder.join("other-data.jsonl").display()
        ));
    }
    if summary.retried > 0 && !global.quiet {
        say(&format!(
            "retrying {}; their old records moved to {}",
            counted(summary.retried, "failed trial"),
            folder.join("failed.jsonl").display()
        ));
    }
    if summary.interrupted {
        say(&format!(
            "interrupted; finished trials are kept in {}, and the same command continues",
            folder.display()
        ));
        return Ok(Done::Interrupted);
    }
    if job::is_quiet() {
        return Ok(Done::Ok);
    }
    let results = Results::of(plan, folder)?;
    let unseen = join_runs(&results, folder, data_dir.as_deref(), lab, global)?;
    let skipped = ended.skipped(&results);
    let around = around(
        repeats(args, folder),
        &about(&results.plan.study, &args.what),
        &results,
        folder,
        lab,
    )?;
    write_report(&results, &around, &folder.join("report"), global)?;
    if !global.quiet {
        let before = match skipped {
            0 => String::new(),
            n => format!(" now, {n} before"),
        };
        let ran = counted(ended.ran.len(), "trial");
        say(&format!("{ran} ran{before}; see {}", folder.display()));
    }
    let failed: Vec<&TrialRecord> = summary
        .failed
        .iter()
        .filter_map(|id| results.records.get(id))
        .collect();
    if failed.is_empty() && unseen.is_empty() {
        return Ok(Done::Ok);
    }
    anyhow::bail!("{}", failures(&failed, ended.ran.len() + skipped, &unseen))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_leads_nowhere_else() {
        assert_eq!(own_folder("gap 2").unwrap(), Path::new("studies/gap 2"));
        for name in ["../../x", "/tmp/x", "..", ".", "a/b"] {
            assert!(
                own_folder(name).is_err_and(|e| e.to_string().contains("--out")),
                "{name}"
            );
        }
    }

    #[test]
    fn no_jobs_are_refused() {
        assert_eq!(at_least_one("2"), Ok(2));
        assert!(
            ["0", "-1", "x"]
                .iter()
                .all(|text| at_least_one(text).is_err_and(|e| e.contains("at least 1")))
        );
    }
}
