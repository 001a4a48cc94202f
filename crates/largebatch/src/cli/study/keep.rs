//! `confirm.probe`: a study keeps the runs of its reported trials, and probes measure them.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Result;
use largebatch_study::{Results, Row, Stage, Study, Trial, TrialRecord, run_folder};
use largebatch_train::{Experiment, Lab, RunFolder, TrainError};

use crate::cli::probe::training::Probing;
use crate::cli::train::run_file;
use crate::cli::{Global, probe, say};

/// The subfolder of a study in which kept runs are stored.
const RUNS: &str = "runs";

/// The probes that need only one run.
const ALONE: [&str; 4] = ["layers", "noise", "curvature", "sharpness"];

const QUIET: Global = Global {
    quiet: true,
    verbose: false,
};

/// The probes of a study: `NAME:every=N` during training, as in `train --probe`, and
/// `NAME --option ...` at the end, as in `largebatch probe`. One of the latter is `line`, which connects
/// the weights of the small and the large batch.
#[derive(Clone, Default, PartialEq, Debug)]
pub(super) struct Probes {
    during: Vec<String>,
    at_the_end: Vec<Vec<String>>,
    line: Option<Vec<String>>,
}

impl Probes {
    /// The probes that a study asks for.
    ///
    /// # Errors
    /// An unknown probe or option.
    pub(super) fn of(study: &Study) -> Result<Self, TrainError> {
        Self::read(study.confirm.as_ref().map_or(&[], |confirm| &confirm.probe))
    }

    pub(super) fn read(texts: &[String]) -> Result<Self, TrainError> {
        let mut all = Probes::default();
        for text in texts {
            let wrong = |why: String| TrainError::Value {
                key: "confirm.probe".into(),
                value: text.clone(),
                why,
            };
            let words: Vec<String> = text.split_whitespace().map(str::to_owned).collect();
            let Some(name) = words.first() else {
                return Err(wrong(
                    "name a probe, such as sharpness or noise:every=100".into(),
                ));
            };
            if name.contains(':') {
                Probing::check(text).map_err(|e| match e {
                    TrainError::Value { why, .. } => wrong(why),
                    other => wrong(other.to_string()),
                })?;
                all.during.push(text.clone());
                continue;
            }
            let folders: &[&str] = match name.as_str() {
                "line" => &["SMALL", "LARGE"],
                name if ALONE.contains(&name) => &["RUN"],
                _ => {
                    let names = ALONE.join(", ");
                    return Err(wrong(format!(
                        "the probes are {names} and line, and during training layers:every=N, noise:every=N, noise-pairs:every=N and curvature:every=N"
                    )));
                }
            };
            probe::parse(&with_folders(&words, folders)).map_err(|e| wrong(first_line(&e)))?;
            match name.as_str() {
                "line" => all.line = Some(words),
                _ => all.at_the_end.push(words),
            }
        }
        Ok(all)
    }
}

/// `sharpness --epsilon 1e-3` with the folders of its runs inserted after its name.
fn with_folders(words: &[String], folders: &[&str]) -> Vec<String> {
    let (name, options) = words.split_at(1);
    name.iter()
        .cloned()
        .chain(folders.iter().map(|f| (*f).to_owned()))
        .chain(options.iter().cloned())
        .collect()
}

fn first_line(error: &clap::Error) -> String {
    let text = error.to_string();
    let line = text
        .lines()
        .find(|line| !line.trim().is_empty())
        .unwrap_or_default();
    format!(
        "{}; see `largebatch probe --help`",
        line.trim_start_matches("error: ")
    )
}

/// Where a worker keeps its runs, and the probes that measure them.
pub(super) struct KeptRuns {
    runs: PathBuf,
    probes: Probes,
    data_dir: Option<PathBuf>,
}

impl KeptRuns {
    pub(super) fn new(
        runs: PathBuf,
        texts: &[String],
        data_dir: Option<PathBuf>,
    ) -> Result<Self, TrainError> {
        Ok(KeptRuns {
            runs,
            probes: Probes::read(texts)?,
            data_dir,
        })
    }

    /// The arguments that `study run` passes to its workers.
    pub(super) fn arguments(study: &Study, folder: &Path) -> Vec<String> {
        let texts = study
            .confirm
            .as_ref()
            .map_or(&[][..], |confirm| &confirm.probe);
        if texts.is_empty() {
            return Vec::new();
        }
        let runs = ["--keep".to_owned(), folder.join(RUNS).display().to_string()];
        runs.into_iter()
            .chain(texts.iter().map(|text| format!("--probe={text}")))
            .collect()
    }

    /// The folder of a trial's run; the remains of a killed worker are removed. `None` in stage
    /// tune.
    pub(super) fn begin(
        &self,
        trial: &Trial,
        experiment: &Experiment,
    ) -> Result<Option<RunFolder>, TrainError> {
        if trial.stage == Stage::Tune {
            return Ok(None);
        }
        let path = self
            .runs
            .join(run_folder(&trial.labels, trial.seed, &trial.id));
        match fs::remove_dir_all(&path) {
            Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
                return Err(TrainError::io(&path, "empty")(e));
            }
            _ => {}
        }
        RunFolder::create(&path, &run_file(experiment, None)).map(Some)
    }

    /// The probes that measure during training.
    pub(super) fn during<'e>(
        &self,
        experiment: &'e Experiment,
        folder: &RunFolder,
    ) -> Result<Vec<Probing<'e>>> {
        Probing::all(&self.probes.during, experiment, folder.path())
    }

    /// Runs the other probes on a run that has ended. Their errors are returned and do not
    /// fail the trial.
    pub(super) fn at_the_end(&self, folder: &RunFolder, lab: &Lab) -> Vec<String> {
        let path = folder.path().display().to_string();
        let look = |words: &Vec<String>| {
            let words = with_folders(words, &[&path]);
            look(&words, self.data_dir.as_deref(), lab)
                .err()
                .map(|e| format!("{}: {e}", words[0]))
        };
        self.probes.at_the_end.iter().filter_map(look).collect()
    }
}

fn look(words: &[String], data_dir: Option<&Path>, lab: &Lab) -> Result<()> {
    let mut words = words.to_vec();
    if let Some(dir) = data_dir {
        words.extend(["--data-dir".into(), dir.display().to_string()]);
    }
    probe::run(probe::parse(&words)?, &QUIET, lab).map(|_| ())
}

/// Deletes the kept run of a trial whose data have changed, and all lines between runs, since the
/// run may be an end of any of them.
pub(super) fn forget(folder: &Path, record: &TrialRecord) {
    let runs = folder.join(RUNS);
    // Files that cannot be deleted are overwritten when the trial runs again.
    let _ = fs::remove_dir_all(runs.join(run_folder(&record.labels, record.seed, &record.id)));
    for run in fs::read_dir(&runs).into_iter().flatten().flatten() {
        let _ = fs::remove_file(run.path().join("probe").join("line.json"));
    }
}

/// Runs the probe `line`, which needs two runs, once all runs are there. For each seed it
/// connects the smallest batch with the largest among the groups that differ only in batch size, or
/// else the first group with the smallest batch with every larger one. The result is stored with
/// the large batch's run. Returns the errors.
pub(super) fn join_runs(
    results: &Results,
    folder: &Path,
    data_dir: Option<&Path>,
    lab: &Lab,
    global: &Global,
) -> Result<Vec<String>> {
    let mut failures = Vec::new();
    let Some(options) = Probes::of(&results.plan.study)?.line else {
        return Ok(failures);
    };
    let rows: Vec<Row> = results
        .rows()
        .into_iter()
        .filter(|row| row.stage == Stage::Confirm)
        .collect();
    let run = |group: usize, seed: u64| -> Option<PathBuf> {
        let row = rows
            .iter()
            .find(|row| row.group == group && row.seed == seed)?;
        let record = row.record.filter(|record| record.stop.is_measurement())?;
        let path = folder
            .join(RUNS)
            .join(run_folder(&record.labels, seed, &record.id));
        path.join("model.safetensors").exists().then_some(path)
    };
    let mut seeds: Vec<u64> = rows.iter().map(|row| row.seed).collect();
    seeds.sort_unstable();
    seeds.dedup();
    for (small, large) in pairs(results) {
        for &seed in &seeds {
            let (Some(small), Some(large)) = (run(small, seed), run(large, seed)) else {
                continue;
            };
            let out = large.join("probe");
            if out.join("line.json").exists() {
                continue;
            }
            if !global.quiet {
                say(&format!(
                    "line between {} and {}",
                    small.display(),
                    large.display()
                ));
            }
            let mut words = with_folders(
                &options,
                &[&small.display().to_string(), &large.display().to_string()],
            );
            words.extend(["--out".into(), out.display().to_string()]);
            if let Err(error) = look(&words, data_dir, lab) {
                failures.push(format!(
                    "probe line between {} and {}: {error}",
                    small.display(),
                    large.display()
                ));
            }
        }
    }
    Ok(failures)
}

/// The pairs of groups whose weights a line connects.
fn pairs(results: &Results) -> Vec<(usize, usize)> {
    let series = results.series();
    let mut pairs: Vec<(usize, usize)> = series
        .iter()
        .filter(|s| s.groups.len() > 1)
        .map(|s| (s.groups[0].1, s.groups[s.groups.len() - 1].1))
        .collect();
    if pairs.is_empty() {
        let groups = || series.iter().flat_map(|s| &s.groups);
        let least = groups().map(|g| g.0).fold(f64::INFINITY, f64::min);
        if let Some((_, first)) = groups().find(|g| g.0 == least) {
            pairs.extend(groups().filter(|g| g.0 > least).map(|g| (*first, g.1)));
        }
    }
    pairs
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Probes, String> {
        Probes::read(&[text.to_owned()]).map_err(|e| e.to_string())
    }

    #[test]
    fn probes_are_checked_before_anything_runs() {
        assert_eq!(read("noise:every=50,subset=100").unwrap().during.len(), 1);
        assert_eq!(
            read("sharpness --epsilon 1e-3 --batch-norm batch")
                .unwrap()
                .at_the_end
                .len(),
            1
        );
        assert!(read("line --test").unwrap().line.is_some());
        for (text, part) in [
            ("sharpnes", "the probes are"),
            ("surface", "the probes are"),
            ("sharpness --epsilo 1", "--epsilo"),
            ("noise:every=0", "every"),
            ("nois:every=5", "noise"),
            (" ", "name a probe"),
        ] {
            let error = read(text).unwrap_err();
            assert!(
                error.contains("confirm.probe") && error.contains(part),
                "{text}: {error}"
            );
        }
    }
}
