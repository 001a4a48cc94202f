//! The trials that run now, in a file beside the journal, so that other programs can show them.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use largebatch_component::settings::{get, number};
use largebatch_store::{clear_leftovers, write_whole};
use serde::{Deserialize, Serialize};

use crate::event::{Curves, Event, Started};
use crate::shard::Shard;
use crate::trial::{Labels, RunId, Stage, Trial, key};

/// A trial that runs now.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Running {
    /// Its identity.
    pub id: RunId,
    /// Its group's labels.
    pub labels: Labels,
    /// Its stage.
    pub stage: Stage,
    /// Its seed.
    pub seed: u64,
    /// Its peak learning rate, if it is set.
    pub rate: Option<f64>,
    /// When it began, in seconds since 1970.
    pub since: u64,
    /// What it said before its first step.
    pub begun: Option<Started>,
    /// Its curves so far; long ones are thinned.
    pub curves: Curves,
}

/// The most points of a running trial's curves.
const POINTS: usize = 300;

impl Running {
    pub(crate) fn new(trial: &Trial) -> Self {
        Running {
            id: trial.id.clone(),
            labels: trial.labels.clone(),
            stage: trial.stage,
            seed: trial.seed,
            rate: get(&trial.config, key::RATE).and_then(number),
            since: now(),
            begun: None,
            curves: Curves::default(),
        }
    }

    /// Takes an event of the trial.
    pub(crate) fn see(&mut self, event: &Event) {
        match event {
            // A trial whose worker died begins again.
            Event::Started(started) => {
                (self.begun, self.curves) = (Some(started.clone()), Curves::default());
            }
            Event::Point {
                step,
                examples,
                train_loss,
                validation,
                ..
            } => {
                let c = &mut self.curves;
                c.step.push(*step);
                c.examples.push(*examples);
                c.train_loss.push(*train_loss);
                c.validation.push(validation.unwrap_or(f64::NAN));
                if c.step.len() > POINTS {
                    halve(&mut c.step);
                    halve(&mut c.examples);
                    halve(&mut c.train_loss);
                    halve(&mut c.validation);
                }
            }
        }
    }

    /// The seconds since it began.
    pub fn seconds(&self) -> u64 {
        now().saturating_sub(self.since)
    }

    /// The part of its budget that is done, from 0 to 1; 0 before the first point.
    pub fn share(&self) -> f64 {
        let all = self.begun.as_ref().map_or(0, |begun| begun.budget_steps);
        let done = self.curves.step.last().copied().unwrap_or(0);
        (done as f64 / all.max(1) as f64).min(1.0)
    }
}

/// Removes every second value; the last one stays.
fn halve<T>(column: &mut Vec<T>) {
    let mut keep = column.len().is_multiple_of(2);
    column.retain(|_| {
        keep = !keep;
        keep
    });
}

fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| since.as_secs())
}

/// The file `running.json` or, of a shard, `running-2of8.json`. It is removed when the run ends.
pub(crate) struct Board {
    path: PathBuf,
    written: Option<Instant>,
    fresh: bool,
}

/// The file is written at most this often …
const EVERY: Duration = Duration::from_secs(1);
/// … and at least this often, so that its age shows whether its writer lives.
const BEAT: Duration = Duration::from_secs(5);
/// A file older than this has no writer.
const DEAD: Duration = Duration::from_secs(30);

impl Board {
    pub fn new(folder: &Path, shard: Option<Shard>) -> Self {
        let name = shard.map_or("running.json".into(), |s| {
            format!("running-{}of{}.json", s.index, s.count)
        });
        let path = folder.join(name);
        clear_leftovers(&path);
        Board {
            path,
            written: None,
            fresh: false,
        }
    }

    /// Something has changed.
    pub fn changed(&mut self) {
        self.fresh = false;
    }

    /// Writes the trials if it is time. A file that cannot be written is only missed by readers.
    pub fn show(&mut self, running: &[Running]) {
        let least = if self.fresh { BEAT } else { EVERY };
        if self.written.is_none_or(|at| at.elapsed() >= least) {
            let _ = serde_json::to_vec(running).map(|text| write_whole(&self.path, &text));
            (self.written, self.fresh) = (Some(Instant::now()), true);
        }
    }
}

impl Drop for Board {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.path);
    }
}

/// The trials that run now in a study's folder, of all shards, even while they are written. A run
/// that was killed shows no trials after half a minute.
pub fn running(folder: &Path) -> Vec<Running> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let alive = |path: &PathBuf| {
        let name = path.file_name().and_then(|name| name.to_str());
        let age = || path.metadata().ok()?.modified().ok()?.elapsed().ok();
        name.is_some_and(|name| name.starts_with("running") && name.ends_with(".json"))
            && age().is_none_or(|age| age < DEAD)
    };
    let mut files: Vec<PathBuf> = entries.map(|e| e.path()).filter(alive).collect();
    files.sort();
    let read = |path: PathBuf| serde_json::from_slice(&std::fs::read(path).ok()?).ok();
    let trials = files.into_iter().filter_map(read);
    trials.flat_map(|trials: Vec<Running>| trials).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture;

    #[test]
    fn a_running_trial_is_shown_while_its_study_lives() {
        let dir = tempfile::tempdir().unwrap();
        let mut trial = Running::new(&fixture::trial());
        trial.see(&Event::Started(Started {
            train_examples: 100,
            epochs: None,
            budget_steps: 1400,
            metric: "validation_accuracy".into(),
            higher_is_better: true,
            constant_loss: None,
        }));
        for step in 1..=700 {
            trial.see(&Event::Point {
                step,
                examples: 2 * step,
                train_loss: if step == 699 { f64::NAN } else { 1.0 },
                validation: (step % 2 == 0).then_some(0.5),
                fitted_loss: None,
            });
        }
        let steps = &trial.curves.step;
        assert!(
            (POINTS / 2..=POINTS).contains(&steps.len()) && steps.last() == Some(&700),
            "{steps:?}"
        );
        assert_eq!(trial.curves.validation.len(), steps.len());
        let mut board = Board::new(dir.path(), None);
        board.show(std::slice::from_ref(&trial));
        let read = running(dir.path());
        assert_eq!((read.len(), &read[0].curves.step), (1, steps));
        assert_eq!(read[0].share(), 0.5);
        // A second trial begins: at once it is too early to write again.
        board.changed();
        board.show(&[trial.clone(), trial.clone()]);
        assert_eq!(running(dir.path()).len(), 1);
        let file = std::fs::File::open(dir.path().join("running.json")).unwrap();
        file.set_modified(SystemTime::now() - 2 * DEAD).unwrap();
        assert!(running(dir.path()).is_empty(), "its writer has died");
        drop(board);
        assert!(!dir.path().join("running.json").exists());
    }
}
