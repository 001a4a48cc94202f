//! The progress of a study, and the time that it still needs.

use std::collections::HashMap;
use std::time::Duration;

use toml::Table;

use crate::event::Event;
use crate::record::TrialRecord;
use crate::running::Running;
use crate::trial::{Labels, Stage, Trial, describe, key};
use largebatch_component::settings::{get, number};

/// What just happened in a study.
#[derive(Debug)]
#[non_exhaustive]
pub enum Notice<'a> {
    /// A trial began.
    Started(&'a Trial),
    /// A running trial reports an event.
    Event(&'a Trial, &'a Event),
    /// The data of a trial have changed, or it failed and is to run again: its record was set
    /// aside.
    Aside(&'a TrialRecord),
    /// A trial has ended, and its record is on disk.
    Done(&'a TrialRecord),
    /// A warning for the user; the study continues.
    Warning(&'a str),
}

/// A study's progress.
#[derive(Clone, Debug, Default)]
pub struct Progress {
    /// The number of trials, of this shard.
    pub total: usize,
    /// Trials that have ended, in this run or before.
    pub done: usize,
    /// Trials running now.
    pub running: Vec<Running>,
    /// Ended trials that diverged.
    pub diverged: usize,
    /// Ended trials that failed.
    pub failed: usize,
    /// The best validation metric so far.
    pub best: Option<Best>,
    /// The progress of each group of trials, in the order of the plan.
    pub arms: Vec<Arm>,
    jobs: usize,
    /// The indices of the arms, by [`describe`].
    places: HashMap<String, usize>,
}

/// The progress of a group's trials.
#[derive(Clone, Debug, Default)]
pub struct Arm {
    /// The group's labels.
    pub labels: Labels,
    /// Its trials that have ended.
    pub ended: usize,
    /// Its best validation metric so far.
    pub best: Option<f64>,
    /// Seconds of its ended trials.
    seconds: f64,
    /// Trials that are decided and have not ended.
    left: usize,
    /// Trials to confirm, before tuning has decided their settings.
    undecided: usize,
    budget: Option<Budget>,
}

impl Arm {
    /// The number of its trials, as far as they are known.
    pub fn total(&self) -> usize {
        self.ended + self.left + self.undecided
    }
}

/// The length of a trial.
#[derive(Clone, Copy, Debug)]
enum Budget {
    Epochs(f64),
    Examples(f64),
}

impl Budget {
    fn of(config: &Table) -> Option<Self> {
        let value = |path| get(config, path).and_then(number);
        value(key::EPOCHS)
            .map(Budget::Epochs)
            .or_else(|| Some(Budget::Examples(value(key::STEPS)? * value(key::BATCH)?)))
    }

    /// The length in the unit of `other`, if it has the same unit.
    fn length_like(self, other: Self) -> Option<f64> {
        match (self, other) {
            (Budget::Epochs(x), Budget::Epochs(_)) | (Budget::Examples(x), Budget::Examples(_)) => {
                Some(x)
            }
            _ => None,
        }
    }
}

/// The best trial so far.
#[derive(Clone, Debug, PartialEq)]
pub struct Best {
    /// The metric's name.
    pub metric: String,
    /// Its value.
    pub value: f64,
    /// The trial's group.
    pub labels: Labels,
}

impl Progress {
    pub(crate) fn new(jobs: usize) -> Self {
        Progress {
            jobs,
            ..Progress::default()
        }
    }

    fn arm(&mut self, labels: &Labels) -> &mut Arm {
        let place = self.places.entry(describe(labels)).or_insert_with(|| {
            self.arms.push(Arm {
                labels: labels.clone(),
                ..Arm::default()
            });
            self.arms.len() - 1
        });
        &mut self.arms[*place]
    }

    /// Adds a group's trials to confirm, which tuning has yet to decide.
    pub(crate) fn undecided(&mut self, labels: &Labels, config: &Table, trials: usize) {
        let group = self.arm(labels);
        (group.undecided, group.budget) = (trials, Budget::of(config));
    }

    /// Adds a trial that has to run.
    pub(crate) fn expect(&mut self, labels: &Labels, stage: Stage, config: &Table) {
        let group = self.arm(labels);
        group.left += 1;
        group.undecided = group
            .undecided
            .saturating_sub(usize::from(stage == Stage::Confirm));
        group.budget = Budget::of(config);
    }

    /// Counts an expected trial that has ended.
    pub(crate) fn done(&mut self, record: &TrialRecord) {
        let group = self.arm(&record.labels);
        group.left = group.left.saturating_sub(1);
        self.count(&record.labels, record);
    }

    /// Counts a trial of a group that had already ended.
    pub(crate) fn found(&mut self, labels: &Labels, record: &TrialRecord) {
        let group = self.arm(labels);
        group.undecided = group
            .undecided
            .saturating_sub(usize::from(record.stage == Stage::Confirm));
        self.count(labels, record);
    }

    fn count(&mut self, labels: &Labels, record: &TrialRecord) {
        self.done += 1;
        self.diverged += usize::from(record.stop.is_diverged());
        self.failed += usize::from(record.stop.is_failed());
        let group = self.arm(labels);
        (group.seconds, group.ended) = (group.seconds + record.provenance.seconds, group.ended + 1);
        group.budget = group.budget.or_else(|| Budget::of(&record.config));
        if let Some(value) = record.validation().filter(|_| record.stop.is_measurement()) {
            let better = |best: f64| {
                if record.higher_is_better {
                    value > best
                } else {
                    value < best
                }
            };
            if group.best.is_none_or(better) {
                group.best = Some(value);
            }
            if self.best.as_ref().is_none_or(|best| better(best.value)) {
                self.best = Some(Best {
                    metric: record.metric.clone(),
                    value,
                    labels: labels.clone(),
                });
            }
        }
    }

    /// The estimated time to the end; `None` before the first trial has ended. Remaining trials
    /// take as long as the ended ones of their group; in a group without an ended trial, as long
    /// per epoch or example as others; else the mean of all.
    pub fn eta(&self) -> Option<Duration> {
        let sum = |f: &dyn Fn(&Arm) -> f64| self.arms.iter().map(f).sum::<f64>();
        let (seconds, ended) = (sum(&|g| g.seconds), sum(&|g| g.ended as f64));
        if ended == 0.0 {
            return None;
        }
        let by_budget = |budget: Budget| {
            let done = |g: &Arm| {
                g.budget
                    .and_then(|b| b.length_like(budget))
                    .map_or(0.0, |length| length * g.ended as f64)
            };
            let rate = sum(&|g| if done(g) > 0.0 { g.seconds } else { 0.0 }) / sum(&done);
            rate.is_finite()
                .then_some(rate * budget.length_like(budget)?)
        };
        let trial = |g: &Arm| match g.ended {
            0 => g.budget.and_then(by_budget).unwrap_or(seconds / ended),
            n => g.seconds / n as f64,
        };
        let planned = sum(&|g| (g.left + g.undecided) as f64);
        // Groups may share trials.
        let remaining = self.total.saturating_sub(self.done) as f64;
        let each = if planned > 0.0 {
            sum(&|g| (g.left + g.undecided) as f64 * trial(g)) / planned
        } else {
            seconds / ended
        };
        Duration::try_from_secs_f64(remaining * each / self.jobs as f64).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture;

    fn ended(arm: &str, seconds: f64) -> TrialRecord {
        let mut record = fixture::record(&[(10, 1.0, 0.5)]);
        record.labels = labels(arm).into();
        record.provenance.seconds = seconds;
        record
    }

    fn labels(arm: &str) -> Labels {
        Labels::from_iter([("arm".to_string(), arm.into())])
    }

    #[test]
    fn a_group_without_a_trial_counts_by_its_budget() {
        let config = |text: &str| text.parse::<Table>().unwrap();
        let mut progress = Progress {
            total: 7,
            ..Progress::new(2)
        };
        progress.undecided(&labels("long"), &config("epochs = 320"), 2);
        (0..3).for_each(|_| progress.expect(&labels("short"), Stage::Tune, &config("epochs = 10")));
        // In steps, a unit that no other group has: the mean of all.
        (0..2).for_each(|_| {
            progress.expect(
                &labels("steps"),
                Stage::Tune,
                &config("steps = 5\nbatch_size = 2"),
            )
        });
        assert_eq!(progress.eta(), None);
        progress.done(&ended("short", 3.0));
        progress.done(&ended("short", 5.0));
        // One of 4 s, two of 4 s, two of 32 × 4 s, on two jobs.
        assert_eq!(
            progress.eta(),
            Some(Duration::from_secs((4 + 2 * 4 + 2 * 128) / 2))
        );
        // A trial that had already ended, here after 100 s, does not remain.
        progress.found(&labels("long"), &ended("long", 100.0));
        assert_eq!(
            progress.eta(),
            Some(Duration::from_secs((4 + 2 * 36 + 100) / 2))
        );
        let arms: Vec<_> = progress.arms.iter().map(|a| (a.ended, a.total())).collect();
        assert_eq!(arms, [(1, 2), (2, 3), (0, 2)]);
        assert_eq!(progress.arms[0].best, Some(0.5));
    }
}
