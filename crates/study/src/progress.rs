use std::collections::HashMap;
use std::time::Duration;

use crate::record::{StopReason, TrialRecord};
use crate::runner::Event;
use crate::trial::{Labels, Trial, describe};

/// What just happened in a study.
#[derive(Debug)]
pub enum Notice<'a> {
    /// A trial began.
    Started(&'a Trial),
    /// A trial goes on.
    Event(&'a Trial, &'a Event),
    /// A trial has ended and its record is on disk.
    Done(&'a TrialRecord),
}

/// How far a study is.
#[derive(Clone, Debug, Default)]
pub struct Progress {
    /// Trials in all, of this shard.
    pub total: usize,
    /// Trials that have ended, in this run or before.
    pub done: usize,
    /// Trials that run now.
    pub running: usize,
    /// Ended trials that diverged.
    pub diverged: usize,
    /// Ended trials that failed.
    pub failed: usize,
    /// The best validation metric so far.
    pub best: Option<Best>,
    jobs: usize,
    /// Of each group: seconds of its ended trials, their number, and the number of trials to come.
    groups: HashMap<String, (f64, usize, usize)>,
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
        Progress { jobs, ..Progress::default() }
    }

    pub(crate) fn expect(&mut self, labels: &Labels) {
        self.groups.entry(describe(labels)).or_default().2 += 1;
    }

    pub(crate) fn done(&mut self, record: &TrialRecord) {
        self.done += 1;
        self.diverged += usize::from(record.stop.is_diverged());
        self.failed += usize::from(record.stop.is_failed());
        let group = self.groups.entry(describe(&record.labels)).or_default();
        *group = (group.0 + record.provenance.seconds, group.1 + 1, group.2.saturating_sub(1));
        if let Some(value) = record.validation().filter(|_| record.stop.is_measurement()) {
            let better = |b: &Best| if record.higher_is_better { value > b.value } else { value < b.value };
            if self.best.as_ref().is_none_or(better) {
                self.best = Some(Best { metric: record.metric.clone(), value, labels: (*record.labels).clone() });
            }
        }
    }

    /// The time to the end: trials to come take as long as those of their group, or of all groups, took; `None` before the first has ended.
    /// Groups whose tuning is not done count with the mean of all.
    pub fn eta(&self) -> Option<Duration> {
        let (seconds, ended) = self.groups.values().fold((0.0, 0), |(s, n), g| (s + g.0, n + g.1));
        if ended == 0 {
            return None;
        }
        let mean = seconds / ended as f64;
        let expected: usize = self.groups.values().map(|g| g.2).sum();
        let known: f64 = self.groups.values().map(|(s, n, left)| if *n > 0 { s / *n as f64 } else { mean } * *left as f64).sum();
        let unknown = self.total.saturating_sub(self.done + expected) as f64 * mean;
        Duration::try_from_secs_f64((known + unknown) / self.jobs as f64).ok()
    }
}

impl StopReason {
    pub(crate) fn is_diverged(&self) -> bool {
        *self == StopReason::Diverged
    }

    pub(crate) fn is_failed(&self) -> bool {
        matches!(self, StopReason::Failed { .. })
    }
}
