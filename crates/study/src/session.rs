//! A session of a study: one process that runs trials, batch by batch.

use std::collections::{HashSet, VecDeque};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, mpsc};
use std::time::Duration;

use crate::data::{Now, changed};
use crate::error::StudyError;
use crate::event::Event;
use crate::journal::Journal;
use crate::progress::{Notice, Progress};
use crate::record::TrialRecord;
use crate::records::Records;
use crate::runner::{Runner, execute};
use crate::running::{Board, Running};
use crate::trial::{RunId, Stage, Trial};
use crate::worker::{Slot, Start, locked};

/// What runs the trials.
#[derive(Clone, Copy)]
pub enum Workers<'a> {
    /// Threads of this process: for tests, and for runners that cannot be started again. A panic of
    /// the runner ends the study.
    Threads(&'a (dyn Runner + Sync)),
    /// Separate processes, which are reused between trials.
    Processes(Start<'a>),
}

/// How a run of a study ended.
#[derive(Clone, PartialEq, Debug, Default)]
#[non_exhaustive]
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

pub(crate) struct Session<'a> {
    pub workers: Workers<'a>,
    pub interrupt: Option<&'a AtomicBool>,
    pub slots: Vec<Slot>,
    pub progress: Progress,
    pub summary: Summary,
    pub counted: HashSet<RunId>,
    pub records: Records,
    pub now: Now,
    pub board: Board,
}

enum Message {
    Started(Trial),
    Event(Trial, Event),
    Done(Box<TrialRecord>),
    Failed(StudyError),
}

impl Session<'_> {
    /// Runs the trials that are not done yet.
    pub(crate) fn batch(
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
                self.progress.found(&trial.labels, record);
            } else {
                self.progress
                    .expect(&trial.labels, trial.stage, &trial.config);
                queue.push_back(trial);
            }
        }
        if is_set(self.interrupt) {
            self.summary.interrupted = true;
        }
        if queue.is_empty() || self.summary.interrupted {
            return Ok(());
        }
        let (queue, give_up) = (Mutex::new(queue), AtomicBool::new(false));
        let (workers, interrupt) = (self.workers, self.interrupt);
        let slots = std::mem::take(&mut self.slots);
        let cancelled = || give_up.load(Ordering::Relaxed) || is_set(interrupt);
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
                self.board.show(&self.progress.running);
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
                let ended = batch.iter().filter_map(|m| match m {
                    Message::Done(record) => Some(&**record),
                    _ => None,
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
        self.summary.interrupted = is_set(self.interrupt);
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
                self.progress.running.push(Running::new(&trial));
                self.board.changed();
                watch(&self.progress, &Notice::Started(&trial));
            }
            Message::Event(trial, event) => {
                let mut running = self.progress.running.iter_mut();
                if let Some(running) = running.find(|running| running.id == trial.id) {
                    running.see(&event);
                    self.board.changed();
                }
                watch(&self.progress, &Notice::Event(&trial, &event));
            }
            Message::Done(record) => {
                self.progress.running.retain(|of| of.id != record.id);
                self.board.changed();
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
        let Some(trial) = locked(queue).pop_front() else {
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

fn is_set(flag: Option<&AtomicBool>) -> bool {
    flag.is_some_and(|flag| flag.load(Ordering::Relaxed))
}
