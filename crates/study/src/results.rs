//! A plan with the records of its trials.

use std::collections::{HashMap, HashSet};
use std::path::Path;

use crate::error::StudyError;
use crate::event::StopReason;
use crate::folder::resume;
use crate::plan::{Plan, Tuned};
use crate::progress::Progress;
use crate::record::TrialRecord;
use crate::trial::{Labels, RunId, Stage, key};
use largebatch_component::settings::number;

/// A study's folder as read: its plan, the finished trials of all shards, and the choices of
/// tuning.
#[derive(Debug)]
pub struct Results {
    /// The study, expanded.
    pub plan: Plan,
    /// What each group's tuning chose; see [`Plan::choices`].
    pub choices: Vec<Option<Tuned>>,
    /// Records by trial.
    pub records: HashMap<RunId, TrialRecord>,
    /// Trials that ran twice with different results: the machines do not compute the same bits.
    pub conflicts: Vec<RunId>,
}

/// A planned trial and its record. Groups with the same configuration share the record.
#[derive(Clone, Debug)]
pub struct Row<'a> {
    /// Index of the group in the plan.
    pub group: usize,
    /// The stage.
    pub stage: Stage,
    /// Index of the point in the group's search, in stage tune.
    pub point: Option<usize>,
    /// The seed.
    pub seed: u64,
    /// The trial's identity.
    pub id: RunId,
    /// Its record, if it has ended.
    pub record: Option<&'a TrialRecord>,
}

impl Results {
    /// Opens a study's folder, finished or not, even while it is being written.
    ///
    /// # Errors
    /// [`StudyError::NoStudy`], [`StudyError::Invalid`], [`StudyError::Journal`],
    /// [`StudyError::Io`]; [`StudyError::MixedData`] and [`StudyError::OlderTrials`], since trials
    /// on different data, or with settings whose meaning has changed, must not be compared.
    pub fn open(folder: &Path) -> Result<Results, StudyError> {
        Results::of(Plan::expand(resume(folder)?)?, folder)
    }

    /// The results in the folder of a planned study: [`Results::open`] without reading and
    /// expanding the study again.
    ///
    /// # Errors
    /// As [`Results::open`], for the journals.
    pub fn of(plan: Plan, folder: &Path) -> Result<Results, StudyError> {
        let records = plan.records(folder)?;
        records.data.unmixed(&plan.groups, folder)?;
        let choices = plan.choices(&records.by_id);
        Ok(Results {
            plan,
            choices,
            records: records.by_id,
            conflicts: records.conflicts,
        })
    }

    /// Every planned trial in the plan's order: first stage tune, then stage confirm as far as it
    /// is decided.
    pub fn rows(&self) -> Vec<Row<'_>> {
        let row = |group, stage, point, seed, id| Row {
            group,
            stage,
            point,
            seed,
            record: self.records.get(&id),
            id,
        };
        let mut rows = Vec::new();
        let (seeds, groups) = (self.plan.study.tune_seeds(), 0..self.plan.groups.len());
        for group in groups.clone() {
            let ids = self.plan.tune_ids(group).into_iter().enumerate();
            rows.extend(ids.map(|(i, id)| {
                let (point, seed) = (i / seeds.len(), seeds[i % seeds.len()]);
                row(group, Stage::Tune, Some(point), seed, id)
            }));
        }
        let seeds = self.plan.confirm_seeds();
        for group in groups {
            let ids = self.plan.confirm_ids(group, &self.choices).into_iter();
            let ids = ids.zip(&seeds);
            rows.extend(ids.map(|(id, &seed)| row(group, Stage::Confirm, None, seed, id)));
        }
        rows
    }

    /// The study's progress, with the estimated time to its end for this many jobs. No trial counts
    /// as running, since the folder does not say so.
    pub fn progress(&self, jobs: usize) -> Progress {
        let mut progress = Progress::new(jobs.max(1));
        progress.total = self.plan.tune_count() + self.plan.confirm_count();
        // Trials that depend on a search without a usable point never run.
        let lost = |g: usize| {
            self.plan
                .tuned_by(g)
                .is_some_and(|d| self.choices[d].is_none() && self.tuned(d))
        };
        for (g, group) in self.plan.groups.iter().enumerate() {
            match self.plan.confirm_seeds().len() {
                seeds if lost(g) => progress.total -= seeds,
                seeds => progress.undecided(&group.labels, &group.config, seeds),
            }
        }
        let mut seen = HashSet::new();
        for row in self.rows() {
            let group = &self.plan.groups[row.group];
            match row.record {
                _ if !seen.insert(row.id.clone()) => progress.total -= 1,
                Some(record) => progress.found(&group.labels, record),
                None => progress.expect(&group.labels, row.stage, &group.config),
            }
        }
        progress
    }

    /// The reported records of a group: stage confirm, or the chosen point's tuning trials in a study without that stage.
    pub fn reported(&self, group: usize) -> Vec<&TrialRecord> {
        let ids = if self.plan.study.confirm.is_some() {
            self.plan.confirm_ids(group, &self.choices)
        } else {
            let Some(choice) = &self.choices[group] else {
                return Vec::new();
            };
            let seeds = self.plan.study.tune_seed_count();
            self.plan
                .tune_ids(group)
                .into_iter()
                .skip(choice.point * seeds)
                .take(seeds)
                .collect()
        };
        ids.iter().filter_map(|id| self.records.get(id)).collect()
    }

    /// How many of a group's ended tuning trials reached `stop.target`, and how many ended, such as
    /// 0 of 6. `None` without a target or a search. With 0 of n, no point could be chosen and
    /// [`Results::reported`] is empty, although n trials ran.
    pub fn reached(&self, group: usize) -> Option<(usize, usize)> {
        self.plan.groups[group]
            .stop
            .target
            .filter(|_| !self.plan.groups[group].points.is_empty())?;
        let ids = self.plan.tune_ids(group);
        let ended = || ids.iter().filter_map(|id| self.records.get(id));
        Some((
            ended()
                .filter(|r| r.stop == StopReason::TargetReached)
                .count(),
            ended().count(),
        ))
    }

    /// Whether all tuning trials of a group have ended.
    pub fn tuned(&self, group: usize) -> bool {
        self.plan
            .tune_ids(group)
            .iter()
            .all(|id| self.records.contains_key(id))
    }

    /// The number of records in the folder that belong to no trial of this study.
    pub fn unplanned(&self) -> usize {
        let planned: HashSet<RunId> = self.rows().into_iter().map(|r| r.id).collect();
        self.records
            .keys()
            .filter(|id| !planned.contains(id))
            .count()
    }

    /// Groups that differ only in their batch size, each series by ascending batch size: a curve
    /// against batch size.
    pub fn series(&self) -> Vec<Series> {
        let mut series: Vec<Series> = Vec::new();
        for (index, group) in self.plan.groups.iter().enumerate() {
            let Some(batch) = group.config.get(key::BATCH).and_then(number) else {
                continue;
            };
            let labels: Labels = group
                .labels
                .iter()
                .filter(|(k, _)| *k != key::BATCH)
                .map(|(k, v)| (k.clone(), v.clone()))
                .collect();
            match series.iter_mut().find(|s| s.labels == labels) {
                Some(s) => s.groups.push((batch, index)),
                None => series.push(Series {
                    labels,
                    groups: vec![(batch, index)],
                }),
            }
        }
        series
            .iter_mut()
            .for_each(|s| s.groups.sort_by(|a, b| a.0.total_cmp(&b.0)));
        series
    }

    /// The rate that a group's reported trials use: chosen, derived or set.
    pub fn rate(&self, group: usize) -> Option<f64> {
        let point = self.plan.chosen(group, &self.choices)?;
        self.plan
            .configure(&self.plan.groups[group], &point)
            .get(key::RATE)
            .and_then(number)
    }
}

/// A series of groups; see [`Results::series`].
#[derive(Clone, PartialEq, Debug)]
pub struct Series {
    /// The labels that the groups share.
    pub labels: Labels,
    /// Batch size and index of each group.
    pub groups: Vec<(f64, usize)>,
}
