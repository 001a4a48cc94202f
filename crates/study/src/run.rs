//! Running a study: what is left to do, in which order, and what a shard needs of others.

use std::collections::{HashMap, HashSet};
use std::path::Path;
use std::sync::atomic::AtomicBool;

use crate::data::{Now, Reads};
use crate::error::StudyError;
use crate::folder::begin;
use crate::journal::Journal;
use crate::plan::{Plan, Tuned};
use crate::progress::{Notice, Progress};
use crate::record::{ASIDE, FAILED};
use crate::records::Records;
use crate::running::Board;
use crate::session::{Session, Summary, Workers};
use crate::shard::Shard;
use crate::trial::{RunId, Trial};
use crate::worker::Slot;

/// How a study is run.
#[derive(Clone, Copy, Default)]
pub struct RunOptions<'a> {
    /// Trials at a time; 0 counts as 1. Does not affect the results.
    pub jobs: usize,
    /// The part of the study to run.
    pub shard: Option<Shard>,
    /// The files that trials read now, so that a trial whose data have changed is neither taken as
    /// done nor compared with others.
    pub data: Option<Reads<'a>>,
    /// Runs trials again whose data have changed, instead of [`StudyError::OtherData`].
    pub accept_data: bool,
    /// Runs failed trials again, and those whose probes failed; a shard only its own.
    pub retry: bool,
    /// Set to stop: running trials are abandoned, finished ones are kept.
    pub interrupt: Option<&'a AtomicBool>,
}

/// Runs the remaining trials of a study, or of a shard of it.
///
/// Every finished trial is on disk before `watch` is called. After the last trial the journal is
/// sorted into the plan's order, so its lines are the same, except `provenance`, for any number of
/// jobs and interruptions.
///
/// A shard runs whole units: a group that tunes, a group that derives its settings from another, or
/// a single trial of any other group. If a shard needs the tuning of another shard's group and does
/// not find it in the folder, it repeats it: shards need not wait for each other or see each
/// other's files.
///
/// # Errors
/// [`StudyError::Changed`], [`StudyError::OtherData`], [`StudyError::MixedData`], [`StudyError::DataChanged`], [`StudyError::OlderTrials`], [`StudyError::Locked`], [`StudyError::Journal`], [`StudyError::Io`], [`StudyError::Worker`].
pub fn run(
    plan: &Plan,
    folder: &Path,
    workers: Workers,
    options: RunOptions,
    watch: &mut dyn FnMut(&Progress, &Notice),
) -> Result<Summary, StudyError> {
    std::fs::create_dir_all(folder).map_err(StudyError::io("creating", folder))?;
    let mut journal = Journal::open(folder, options.shard)?;
    begin(folder, &plan.study)?;
    let progress = Progress::new(options.jobs.max(1));
    let now = options
        .data
        .map_or(Now::default(), |reads| Now::of(&plan.groups, reads));
    let mut records = plan.records(folder)?;
    let (mut aside, mut retried) = (Vec::new(), Vec::new());
    if options.accept_data {
        aside = journal.set_aside(folder, ASIDE, true, &|record| {
            now.is_stale(record) || now.is_doubtful(record)
        })?;
    }
    if options.retry {
        retried = journal.set_aside(folder, FAILED, options.shard.is_none(), &|record| {
            record.failure().is_some()
        })?;
    }
    if aside.len() + retried.len() > 0 {
        aside
            .iter()
            .chain(&retried)
            .for_each(|record| watch(&progress, &Notice::Aside(record)));
        records = plan.records(folder)?;
    }
    now.check_all(&records.data, &plan.groups, folder)?;
    let jobs = options.jobs.max(1);
    let mut session = Session {
        workers,
        interrupt: options.interrupt,
        slots: (0..jobs).map(|_| Slot::default()).collect(),
        progress,
        summary: Summary {
            aside: aside.len(),
            retried: retried.len(),
            ..Summary::default()
        },
        counted: HashSet::new(),
        records,
        now,
        board: Board::new(folder, options.shard),
    };
    if let Some(warning) = journal.weak_lock() {
        watch(&session.progress, &Notice::Warning(&warning));
    }
    let mine = plan.units(options.shard);
    session.progress.total = mine
        .tune
        .iter()
        .map(|&g| plan.tune_ids(g).len())
        .sum::<usize>()
        + mine.confirm.iter().map(|(_, s)| s.len()).sum::<usize>();
    for (g, seeds) in &mine.confirm {
        session.progress.undecided(
            &plan.groups[*g].labels,
            &plan.groups[*g].config,
            seeds.len(),
        );
    }

    session.batch(
        mine.tune
            .iter()
            .flat_map(|&g| plan.tune_trials(g))
            .collect(),
        &mut journal,
        watch,
    )?;
    // Meanwhile another shard may have done what this one needs.
    if options.shard.is_some() {
        session.records = plan.records(folder)?;
        session
            .now
            .check_all(&session.records.data, &plan.groups, folder)?;
    }
    let mut needed: Vec<usize> = mine
        .confirm
        .iter()
        .filter_map(|(g, _)| plan.tuned_by(*g))
        .filter(|g| !mine.tune.contains(g))
        .collect();
    needed.dedup();
    let missing = |g: usize, records: &Records| {
        plan.tune_trials(g)
            .into_iter()
            .filter(|t| !records.by_id.contains_key(&t.id))
            .collect::<Vec<_>>()
    };
    let extra: Vec<Trial> = needed
        .iter()
        .flat_map(|&g| missing(g, &session.records))
        .collect();
    session.progress.total += extra.len();
    session.batch(extra, &mut journal, watch)?;

    let choices = plan.choices(&session.records.by_id);
    let mut trials = Vec::new();
    for (group, seeds) in &mine.confirm {
        match plan.tuned_by(*group) {
            Some(decider) if choices[decider].is_none() => session.summary.untunable.push(*group),
            _ => trials.extend(
                plan.confirm_trials(*group, &choices)
                    .into_iter()
                    .enumerate()
                    .filter(|(i, _)| seeds.contains(i))
                    .map(|(_, t)| t),
            ),
        }
    }
    if session.summary.interrupted {
        session.summary.untunable.clear();
        return Ok(session.summary);
    }
    session.batch(trials, &mut journal, watch)?;
    if !session.summary.interrupted {
        let places = plan.places(&choices);
        journal.sort(&|id| places.get(id).copied().unwrap_or(usize::MAX))?;
    }
    Ok(session.summary)
}

impl Plan {
    /// Each trial's position in the plan's order.
    fn places(&self, choices: &[Option<Tuned>]) -> HashMap<RunId, usize> {
        let groups = 0..self.groups.len();
        let ids = groups
            .clone()
            .flat_map(|g| self.tune_ids(g))
            .chain(groups.flat_map(|g| self.confirm_ids(g, choices)));
        let mut places = HashMap::new();
        for (i, id) in ids.enumerate() {
            places.entry(id).or_insert(i);
        }
        places
    }
}
