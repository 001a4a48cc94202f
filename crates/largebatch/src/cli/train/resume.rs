//! `train --resume`.

use std::path::PathBuf;

use anyhow::Result;
use largebatch_train::{
    OtherData, Outcome, RunConfig, RunFile, RunFolder, TrainError, compute_here, differences,
};

use super::settings::configuration;
use super::summary::summary;
use super::{TrainArgs, done, drive, opened, tell_processes, threads};
use crate::Lab;
use crate::cli::job::Job;
use crate::cli::probe::training::Probing;
use crate::cli::{Done, Global, print, print_json, warn};

/// A run to resume.
pub(super) struct Resumed {
    path: PathBuf,
    /// Rank 0 has it.
    folder: Option<RunFolder>,
    file: RunFile,
    /// If it has already ended.
    outcome: Option<Outcome>,
}

/// The run to resume, if there is one in the folder that is named; rank 0 looks, and tells the
/// others.
pub(super) fn resumed(args: &TrainArgs, job: Option<&Job>) -> Result<Option<Resumed>> {
    let mut found = None;
    if job.is_none_or(Job::is_main)
        && let Some(path) = resumed_folder(args)?
    {
        let (folder, file) = RunFolder::open(&path)?;
        found = Some(Resumed {
            outcome: folder.outcome()?,
            folder: Some(folder),
            path,
            file,
        });
    }
    let Some(job) = job else { return Ok(found) };
    let texts = match &found {
        Some(found) => [
            found.path.display().to_string(),
            toml::to_string(&found.file)?,
            serde_json::to_string(&found.outcome)?,
        ],
        None => Default::default(),
    };
    let [path, file, outcome] = job.share(texts);
    if found.is_some() || file.is_empty() {
        return Ok(found);
    }
    Ok(Some(Resumed {
        path: path.into(),
        folder: None,
        file: toml::from_str(&file)?,
        outcome: serde_json::from_str(&outcome)?,
    }))
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

pub(super) fn resume(
    args: &TrainArgs,
    run: Resumed,
    job: Option<&Job>,
    global: &Global,
    lab: &Lab,
) -> Result<Done> {
    let (path, mut file) = (&*run.path, run.file);
    compute_here(threads(&file.config, job));
    let other = if args.accept_data {
        OtherData::Accept(&warn)
    } else {
        OtherData::Refuse
    };
    let asked = configuration(args, Some(&file.config))?;
    // What leaves the result as it is.
    file.config.shard_optimizer = asked.shard_optimizer;
    if asked.parts.is_some() {
        file.config.workers = asked.workers;
    }
    let open = |config: RunConfig| file.reopen(path, config, lab, args.data_dir.search(), other);
    if asked != file.config {
        let asked = open(asked)?.config;
        if asked != file.config {
            let message = format!(
                "holds another run than the one requested; they differ in: {}; leave these out to resume it, or start another run with --out",
                differences(&file.config.facts(), &asked.facts(), ["there", "here"])
            );
            return Err(TrainError::Folder {
                path: path.into(),
                message,
            }
            .into());
        }
    }
    if let Some(outcome) = run.outcome {
        if run.folder.is_none() {
            // Rank 0 says so.
        } else if args.json {
            print_json(&outcome)?;
        } else if !global.quiet {
            print(format!(
                "{} has already ended; nothing to do.\n{}",
                path.display(),
                summary(&outcome)
            ))?;
        }
        return Ok(done(&outcome));
    }
    let experiment = opened(job, || open(file.config.clone()))?;
    let Some(folder) = run.folder else {
        return drive(args, &experiment, None, job, Vec::new(), global);
    };
    let begun = &file.provenance.version;
    let minor = |version: &str| version.rsplit_once('.').map(|(minor, _)| minor.to_owned());
    if minor(begun) != minor(env!("CARGO_PKG_VERSION")) {
        warn(&format!(
            "{} was begun by version {begun}; from here on its bits may differ from that version's",
            path.display()
        ));
    }
    let probes = Probing::all(&args.probe, &lab.probes, &experiment, path)?;
    let folder = folder.locked()?;
    folder.go_on_with(&file, &experiment.dataset)?;
    tell_processes(job, &experiment, true, global)?;
    drive(args, &experiment, Some(&folder), job, probes, global)
}
