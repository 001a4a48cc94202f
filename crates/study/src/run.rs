use std::collections::{HashMap, HashSet, VecDeque};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError, mpsc};
use std::time::Duration;

use crate::data::{Now, Reads, changed};
use crate::error::StudyError;
use crate::event::Event;
use crate::folder::begin;
use crate::journal::Journal;
use crate::plan::{Plan, Tuned};
use crate::progress::{Notice, Progress};
use crate::record::{ASIDE, FAILED, TrialRecord};
use crate::records::Records;
use crate::runner::{Runner, execute};
use crate::shard::Shard;
use crate::trial::{RunId, Stage, Trial};
use crate::worker::{Slot, Start};

/// What runs the trials.
#[derive(Clone, Copy)]
pub enum Workers<'a> {
    /// Threads of this process: for tests, and for runners that cannot be started again. A panic of
    /// the runner ends the study.
    Threads(&'a (dyn Runner + Sync)),
    /// Separate processes, which are reused between trials.
    Processes(Start<'a>),
}

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

/// How a run of a study ended.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Summary {
    /// Trials that ran now.
    pub ran: usize,
    /// Trials that were done before.
    pub skipped: usize,
    /// Trials that no longer count as done, because their data have changed.
    pub aside: usize,
    /// Trials that no longer count as done, because they or their probes had failed.
    pub retried: usize,
    /// The diverged ones among all these.
    pub diverged: usize,
    /// The trials among these that [failed](TrialRecord::failure), or whose probes failed.
    pub failed: Vec<RunId>,
    /// Groups without a usable tuning trial, which therefore cannot be confirmed.
    pub untunable: Vec<usize>,
    /// Whether the run was interrupted.
    pub interrupted: bool,
}

impl Summary {
    fn count(&mut self, record: &TrialRecord) {
        self.diverged += usize::from(record.stop.is_diverged());
        if record.failure().is_some() {
            self.failed.push(record.id.clone());
        }
    }
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
        options,
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

struct Session<'a> {
    workers: Workers<'a>,
    options: RunOptions<'a>,
    slots: Vec<Slot>,
    progress: Progress,
    summary: Summary,
    counted: HashSet<RunId>,
    records: Records,
    now: Now,
}

enum Message {
    Started(Trial),
    Event(Trial, Event),
    Done(Box<TrialRecord>),
    Failed(StudyError),
}

impl Session<'_> {
    fn interrupted(&self) -> bool {
        self.options
            .interrupt
            .is_some_and(|flag| flag.load(Ordering::Relaxed))
    }

    /// Runs the trials that are not done yet.
    fn batch(
        &mut self,
        trials: Vec<Trial>,
        journal: &mut Journal,
        watch: &mut dyn FnMut(&Progress, &Notice),
    ) -> Result<(), StudyError> {
        let mut queue = VecDeque::new();
        for trial in trials {
            if !self.counted.insert(trial.id.clone()) {
                // Another group has the same trial.
                self.progress.total -= 1;
            } else if let Some(record) = self.records.by_id.get(&trial.id) {
                self.summary.skipped += 1;
                self.summary.count(record);
                self.progress.found(record);
            } else {
                self.progress
                    .expect(&trial.labels, trial.stage, &trial.config);
                queue.push_back(trial);
            }
        }
        if self.interrupted() {
            self.summary.interrupted = true;
        }
        if queue.is_empty() || self.summary.interrupted {
            return Ok(());
        }
        let (queue, give_up) = (Mutex::new(queue), AtomicBool::new(false));
        let (slots, workers, options) =
            (std::mem::take(&mut self.slots), self.workers, self.options);
        let cancelled = || {
            give_up.load(Ordering::Relaxed)
                || options
                    .interrupt
                    .is_some_and(|flag| flag.load(Ordering::Relaxed))
        };
        let result = std::thread::scope(|scope| {
            let (sender, messages) = mpsc::channel();
            for slot in &slots {
                let (sender, queue, cancelled) = (sender.clone(), &queue, &cancelled);
                scope.spawn(move || work(slot, workers, queue, &sender, cancelled));
            }
            drop(sender);
            let mut result = Ok(());
            loop {
                if cancelled() {
                    slots.iter().for_each(Slot::kill);
                }
                let message = match messages.recv_timeout(Duration::from_millis(100)) {
                    Ok(message) => message,
                    Err(mpsc::RecvTimeoutError::Timeout) => continue,
                    Err(mpsc::RecvTimeoutError::Disconnected) => break,
                };
                // Messages that arrived in the meantime share one wait for the disk.
                let mut batch: Vec<Message> = std::iter::once(message)
                    .chain(messages.try_iter())
                    .collect();
                if result.is_err() {
                    continue;
                }
                if let Some(error) = batch
                    .iter_mut()
                    .find_map(|message| self.other_data(message))
                {
                    give_up.store(true, Ordering::Relaxed);
                    result = Err(error);
                    continue;
                }
                let ended = batch.iter().filter_map(|m| {
                    if let Message::Done(record) = m {
                        Some(&**record)
                    } else {
                        None
                    }
                });
                let handled = journal
                    .append(ended)
                    .and_then(|()| batch.into_iter().try_for_each(|m| self.handle(m, watch)));
                if let Err(error) = handled {
                    give_up.store(true, Ordering::Relaxed);
                    result = Err(error);
                }
            }
            result
        });
        self.slots = slots;
        self.summary.interrupted = self.interrupted();
        result
    }

    /// The error for a trial that ended on other data than the study began with.
    fn other_data(&self, message: &mut Message) -> Option<StudyError> {
        let Message::Done(record) = message else {
            return None;
        };
        self.now
            .note(record)
            .map(|differs| changed(record, differs))
    }

    fn handle(
        &mut self,
        message: Message,
        watch: &mut dyn FnMut(&Progress, &Notice),
    ) -> Result<(), StudyError> {
        match message {
            Message::Started(trial) => {
                self.progress.running += 1;
                watch(&self.progress, &Notice::Started(&trial));
            }
            Message::Event(trial, event) => watch(&self.progress, &Notice::Event(&trial, &event)),
            Message::Done(record) => {
                self.progress.running -= 1;
                self.progress.done(&record);
                self.summary.ran += 1;
                self.summary.count(&record);
                watch(&self.progress, &Notice::Done(&record));
                // Only the choice reads records, and only those of tuning trials.
                if record.stage == Stage::Tune {
                    self.records.add(*record);
                }
            }
            Message::Failed(error) => return Err(error),
        }
        Ok(())
    }
}

/// One job: takes trials from the queue until it is empty.
fn work(
    slot: &Slot,
    workers: Workers,
    queue: &Mutex<VecDeque<Trial>>,
    sender: &mpsc::Sender<Message>,
    cancelled: &(dyn Fn() -> bool + Sync),
) {
    let say = |message| {
        // The receiver exists until all jobs have ended.
        let _ = sender.send(message);
    };
    while !cancelled() {
        let Some(trial) = queue
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .pop_front()
        else {
            return;
        };
        say(Message::Started(trial.clone()));
        let mut watch = |event: Event| say(Message::Event(trial.clone(), event));
        let record = match workers {
            Workers::Threads(runner) => Ok(Some(execute(runner, &trial, &mut |event| {
                watch(event.clone())
            }))),
            Workers::Processes(start) => slot.run(start, &trial, &mut watch, &cancelled),
        };
        match record {
            Ok(Some(record)) => say(Message::Done(Box::new(record))),
            Ok(None) => return,
            Err(error) => return say(Message::Failed(error)),
        }
    }
}
