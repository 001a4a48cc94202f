//! `confirm.probe`: a study keeps the runs of its reported trials, and probes measure them.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Result;
use largebatch_data::Search;
use largebatch_probe::{Asked, ProbeError, Run, Target};
use largebatch_study::{Results, Row, Stage, Study, Trial, TrialRecord, run_folder};
use largebatch_train::{Experiment, OtherData, RunFolder, TrainError};

use crate::Lab;
use crate::cli::probe::training::{self, Probing};
use crate::cli::probe::{measure, options, save};
use crate::cli::train::run_file;
use crate::cli::{Global, say};

const QUIET: Global = Global {
    quiet: true,
    verbose: false,
};

/// The subfolder of a study in which kept runs are stored.
const RUNS: &str = "runs";

/// The probes of a study: `NAME:every=N` during training, as in `train --probe`, and
/// `NAME --option ...` at the end, as in `largebatch probe`, on the trained network or on those of
/// the small and the large batch.
#[derive(Clone, Default, Debug)]
pub(super) struct Probes {
    during: Vec<(Asked, u64)>,
    at_the_end: Vec<Asked>,
    between: Vec<Asked>,
}

impl Probes {
    /// The probes that a study asks for.
    ///
    /// # Errors
    /// An unknown probe or option.
    pub(super) fn of(study: &Study, lab: &Lab) -> Result<Self, TrainError> {
        Self::read(texts(study), lab)
    }

    pub(super) fn read(texts: &[String], lab: &Lab) -> Result<Self, TrainError> {
        let mut all = Probes::default();
        for text in texts {
            let wrong = |why: String| TrainError::value("confirm.probe", text, why);
            let words: Vec<String> = text.split_whitespace().map(str::to_owned).collect();
            let Some(name) = words.first() else {
                return Err(wrong(
                    "name a probe, such as sharpness or noise:every=100".into(),
                ));
            };
            let why = |error: &dyn std::error::Error| wrong(error.to_string());
            if name.contains(':') {
                let during = training::parse(text, &lab.probes).map_err(|e| match e {
                    TrainError::Value { why, .. } => wrong(why),
                    other => why(&other),
                })?;
                all.during.push(during);
                continue;
            }
            let asked = options::read(&words, &lab.probes).map_err(|e| match e {
                ProbeError::Train(TrainError::Value { why, .. }) => wrong(why),
                other => why(&other),
            })?;
            match asked.probe.target() {
                Target::Network => all.at_the_end.push(asked),
                Target::TwoRuns => all.between.push(asked),
                Target::Runs | Target::Settings => {
                    return Err(wrong("a study cannot give it what it measures".into()));
                }
                Target::Steps => {
                    return Err(wrong(format!(
                        "it measures during a training only: {name}:every=100"
                    )));
                }
            }
        }
        Ok(all)
    }
}

/// The probes of a study, as its file has them.
fn texts(study: &Study) -> &[String] {
    let confirm = study.confirm.as_ref();
    confirm.map_or(&[], |confirm| &confirm.probe)
}

/// Where a worker keeps its runs, and the probes that measure them.
pub(super) struct KeptRuns {
    runs: PathBuf,
    probes: Probes,
}

impl KeptRuns {
    pub(super) fn new(runs: PathBuf, texts: &[String], lab: &Lab) -> Result<Self, TrainError> {
        let probes = Probes::read(texts, lab)?;
        Ok(KeptRuns { runs, probes })
    }

    /// The arguments that `study run` passes to its workers.
    pub(super) fn arguments(study: &Study, folder: &Path) -> Vec<String> {
        let texts = texts(study);
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

    /// The probes that measure a trial during its training and at its end.
    pub(super) fn probes<'e>(
        &self,
        experiment: &'e Experiment,
        folder: &RunFolder,
    ) -> Result<Vec<Probing<'e>>, ProbeError> {
        let during = self.probes.during.iter();
        let during = during.map(|(asked, every)| (asked, Some(*every)));
        let at_the_end = self.probes.at_the_end.iter().map(|asked| (asked, None));
        let new = |(asked, every): (&Asked, _)| {
            Probing::new(asked.clone(), every, experiment, folder.path())
        };
        during.chain(at_the_end).map(new).collect()
    }
}

/// Deletes the kept run of a trial whose data have changed, and all records of two runs, since the
/// run may be one of any of them.
pub(super) fn forget(probes: &Probes, folder: &Path, record: &TrialRecord) {
    let runs = folder.join(RUNS);
    // Files that cannot be deleted are overwritten when the trial runs again.
    let _ = fs::remove_dir_all(runs.join(run_folder(&record.labels, record.seed, &record.id)));
    for run in fs::read_dir(&runs).into_iter().flatten().flatten() {
        for asked in &probes.between {
            let file = format!("probe/{}.json", asked.probe.facts().name);
            let _ = fs::remove_file(run.path().join(file));
        }
    }
}

/// Runs the probes that need two runs, once all runs are there. For each seed they get the run with
/// the smallest batch and that with the largest among the groups that differ only in batch size, or
/// else the first group with the smallest batch and every larger one. The result is stored with the
/// large batch's run. Returns the errors.
pub(super) fn join_runs(
    results: &Results,
    folder: &Path,
    data_dir: Option<&Path>,
    lab: &Lab,
    global: &Global,
) -> Result<Vec<String>> {
    let mut failures = Vec::new();
    let probes = Probes::of(&results.plan.study, lab)?.between;
    if probes.is_empty() {
        return Ok(failures);
    }
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
            for asked in &probes {
                let (name, out) = (asked.probe.facts().name, large.join("probe"));
                if out.join(format!("{name}.json")).exists() {
                    continue;
                }
                let what = format!("{name} between {} and {}", small.display(), large.display());
                if !global.quiet {
                    say(&what);
                }
                let join = || -> Result<()> {
                    let open = |path: &Path| {
                        let search = Search {
                            data_dir: data_dir.map(Path::to_owned),
                            ..Search::default()
                        };
                        Run::open(path, None, None, lab, search, OtherData::Refuse)
                    };
                    let runs = [open(&small)?, open(&large)?];
                    save(&out, asked, &measure(asked, &runs, &QUIET)?).map(drop)
                };
                if let Err(error) = join() {
                    failures.push(format!("probe {what}: {error}"));
                }
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
        Probes::read(&[text.to_owned()], &Lab::standard()).map_err(|e| e.to_string())
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
        assert!(read("line --test").unwrap().between.len() == 1);
        for (text, part) in [
            ("sharpnes", "did you mean `sharpness`"),
            ("surface", "cannot give it"),
            ("noise-pairs", "noise-pairs:every=100"),
            ("sharpness:every=5", "during a training"),
            ("sharpness --epsilo 1", "--epsilo"),
            ("noise:every=0", "every"),
            ("noise:every=20,every=30", "second time"),
            ("noise:every=5,subse=9", "every=100,subset=500"),
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
