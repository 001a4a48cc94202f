//! Worker processes: trials arrive on standard input; events and records leave on standard output,
//! one JSON line each.

use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use crate::error::StudyError;
use crate::event::{Event, StopReason};
use crate::record::TrialRecord;
use crate::runner::{Runner, execute, unstarted};
use crate::trial::Trial;

/// The messages of a worker. Other lines (printed by a library) are ignored.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Message {
    StudyEvent(Event),
    StudyRecord(Box<TrialRecord>),
}

/// Points of a curve are passed on at most this often; the record has all of them.
const EVERY: Duration = Duration::from_millis(100);

/// Serves as a worker process: runs the trials that arrive on standard input until it closes, which
/// also tells a worker, even in the middle of a trial, that its parent is gone. Never returns.
pub fn serve(runner: &dyn Runner) -> ! {
    let (sender, trials) = mpsc::channel::<Trial>();
    std::thread::spawn(move || {
        for line in std::io::stdin().lock().lines() {
            match line.map(|line| serde_json::from_str(&line)) {
                Ok(Ok(trial)) => {
                    if sender.send(trial).is_err() {
                        break;
                    }
                }
                Ok(Err(e)) => {
                    eprintln!("the worker cannot read its trial: {e}");
                    std::process::exit(2);
                }
                Err(_) => break,
            }
        }
        // A library's exit handlers (of a device driver) may wait for the running trial.
        std::thread::spawn(|| {
            std::thread::sleep(Duration::from_secs(2));
            std::process::abort();
        });
        std::process::exit(0);
    });
    for trial in trials {
        let mut last = None::<Instant>;
        let record = execute(runner, &trial, &mut |event| {
            if matches!(event, Event::Started(_)) || last.is_none_or(|at| at.elapsed() >= EVERY) {
                last = Some(Instant::now());
                say(&Message::StudyEvent(event.clone()));
            }
        });
        say(&Message::StudyRecord(Box::new(record)));
    }
    // The reading thread ends the process; waiting for it here keeps a worker from ending twice.
    loop {
        std::thread::park();
    }
}

fn say(message: &Message) {
    let mut line = serde_json::to_vec(message)
        .expect("a message has string keys and no number that JSON lacks");
    line.push(b'\n');
    let mut out = std::io::stdout().lock();
    if out.write_all(&line).and_then(|()| out.flush()).is_err() {
        // The parent is gone.
        std::process::exit(0);
    }
}

/// A lock, whether or not its holder panicked.
pub(crate) fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// How to start a worker process, such as this program with the arguments `study worker`.
pub type Start<'a> = &'a (dyn Fn() -> Command + Sync);

/// A slot for one worker process, which is started when a trial needs it and kept between trials.
#[derive(Default)]
pub(crate) struct Slot {
    process: Mutex<Option<Arc<Mutex<Child>>>>,
    pipes: Mutex<Option<Pipes>>,
}

struct Pipes {
    input: ChildStdin,
    output: BufReader<ChildStdout>,
    errors: Arc<Mutex<Vec<u8>>>,
    /// The value of [`memory_kills`] when the process began.
    kills: Option<u64>,
    reader: std::thread::JoinHandle<()>,
}

/// How often a trial is tried again after its worker was killed by a signal.
const RETRIES: u32 = 2;

impl Slot {
    /// Runs a trial in the worker process. If the worker dies, that is the trial's outcome; after a
    /// death by a signal (killed, out of memory) the trial is first tried twice more. `None` if
    /// `cancelled` says that we ended the worker.
    pub(crate) fn run(
        &self,
        start: Start,
        trial: &Trial,
        watch: &mut dyn FnMut(Event),
        cancelled: &dyn Fn() -> bool,
    ) -> Result<Option<TrialRecord>, StudyError> {
        let begun = Instant::now();
        let mut retries = 0;
        loop {
            if cancelled() {
                return Ok(None);
            }
            let mut pipes = locked(&self.pipes);
            if pipes.is_none() {
                let (child, fresh) = spawn(start, trial.threads)?;
                *locked(&self.process) = Some(Arc::new(Mutex::new(child)));
                *pipes = Some(fresh);
            }
            let Some(open) = pipes.as_mut() else { continue };
            if let Some(mut record) = converse(open, trial, watch) {
                record.provenance.retries = retries;
                return Ok(Some(record));
            }
            let status = self.reap();
            let kills = open.kills;
            let errors = pipes.take().map(|p| {
                // The worker is dead, so its pipe and the thread end, unless a process that it
                // started holds the pipe.
                if p.reader.is_finished() || wait_finished(&p.reader) {
                    let _ = p.reader.join();
                }
                String::from_utf8_lossy(&locked(&p.errors)).into_owned()
            });
            let errors = errors.unwrap_or_default();
            if cancelled() {
                return Ok(None);
            }
            let (signal, what) = cause(status);
            let starved =
                signal && (errors.contains("memory allocation of") || memory_kills() > kills);
            if signal && retries < RETRIES {
                retries += 1;
                continue;
            }
            let times = if signal {
                format!(", {} times", RETRIES + 1)
            } else {
                String::new()
            };
            let memory = if starved {
                format!(" because memory ran out: {LESS_MEMORY}")
            } else {
                String::new()
            };
            let mut record = unstarted(trial);
            record.stop = StopReason::Failed {
                message: format!("the worker process {what}{times}{memory}"),
            };
            record.provenance.retries = retries;
            record.provenance.seconds = begun.elapsed().as_secs_f64();
            record.provenance.stderr = errors;
            return Ok(Some(record));
        }
    }

    /// Ends the worker process, whatever it is doing.
    pub(crate) fn kill(&self) {
        if let Some(child) = &*locked(&self.process) {
            // It may have ended already.
            let _ = locked(child).kill();
        }
    }

    /// Waits for a worker whose output has ended.
    fn reap(&self) -> Option<ExitStatus> {
        let child = locked(&self.process).take()?;
        let mut child = locked(&child);
        // A worker that closed its output without ending must not block us.
        for _ in 0..200 {
            match child.try_wait() {
                Ok(None) => std::thread::sleep(Duration::from_millis(10)),
                Ok(status) => return status,
                Err(_) => return None,
            }
        }
        let _ = child.kill();
        child.wait().ok()
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        // Closing the input ends an idle worker at once; kill makes sure.
        *locked(&self.pipes) = None;
        self.kill();
        self.reap();
    }
}

fn wait_finished(thread: &std::thread::JoinHandle<()>) -> bool {
    (0..50).any(|_| {
        std::thread::sleep(Duration::from_millis(10));
        thread.is_finished()
    })
}

fn spawn(start: Start, threads: u32) -> Result<(Child, Pipes), StudyError> {
    let mut command = start();
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command.env("RAYON_NUM_THREADS", threads.to_string());
    #[cfg(unix)]
    {
        // A Ctrl-C at the terminal is for the parent, which ends its workers.
        std::os::unix::process::CommandExt::process_group(&mut command, 0);
    }
    let kills = memory_kills();
    let spawned = command.spawn();
    let mut child = spawned.map_err(|source| StudyError::Worker {
        program: command.get_program().to_string_lossy().into_owned(),
        source,
    })?;
    let (Some(input), Some(output), Some(mut stderr)) =
        (child.stdin.take(), child.stdout.take(), child.stderr.take())
    else {
        unreachable!("all three were requested as pipes");
    };
    let errors = Arc::new(Mutex::new(Vec::new()));
    let kept = Arc::clone(&errors);
    let reader = std::thread::spawn(move || {
        let mut block = [0; 4096];
        loop {
            let n = match stderr.read(&mut block) {
                Ok(0) => break,
                Ok(n) => n,
                Err(e) if e.kind() == std::io::ErrorKind::Interrupted => continue,
                Err(_) => break,
            };
            let mut kept = locked(&kept);
            kept.extend_from_slice(&block[..n]);
            let excess = kept.len().saturating_sub(4096);
            kept.drain(..excess);
        }
    });
    Ok((
        child,
        Pipes {
            input,
            output: BufReader::new(output),
            errors,
            kills,
            reader,
        },
    ))
}

/// Sends a trial and waits for its record; `None` if the worker died.
fn converse(pipes: &mut Pipes, trial: &Trial, watch: &mut dyn FnMut(Event)) -> Option<TrialRecord> {
    locked(&pipes.errors).clear();
    let mut line = serde_json::to_vec(trial).expect("a trial has string keys and finite numbers");
    line.push(b'\n');
    pipes
        .input
        .write_all(&line)
        .and_then(|()| pipes.input.flush())
        .ok()?;
    let mut line = Vec::new();
    loop {
        line.clear();
        if pipes.output.read_until(b'\n', &mut line).ok()? == 0 {
            return None;
        }
        match serde_json::from_slice(&line) {
            Ok(Message::StudyEvent(event)) => watch(event),
            Ok(Message::StudyRecord(record)) if record.id == trial.id => return Some(*record),
            _ => {}
        }
    }
}

/// The hint for a trial that ran out of memory.
const LESS_MEMORY: &str =
    "fewer trials at a time (--jobs), a smaller batch_size or a larger accumulate need less";

/// How many processes the system has killed for lack of memory since it started, if it reports
/// that; a control group's limit counts too.
fn memory_kills() -> Option<u64> {
    std::fs::read_to_string("/proc/vmstat")
        .ok()?
        .lines()
        .find_map(|line| line.strip_prefix("oom_kill ")?.parse().ok())
}

/// Whether a signal ended the worker, and the cause in words.
fn cause(status: Option<ExitStatus>) -> (bool, String) {
    let Some(status) = status else {
        return (false, "ended and left no status".into());
    };
    #[cfg(unix)]
    if let Some(signal) = std::os::unix::process::ExitStatusExt::signal(&status) {
        return (true, format!("was ended by signal {signal}"));
    }
    (
        false,
        status
            .code()
            .map_or("ended without a status".into(), |code| {
                format!("ended with status {code}")
            }),
    )
}
