//! The processes that a fault starts, and how they end.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::time::{Duration, Instant};

/// How long a process may take before it counts as hanging.
const LIMIT: Duration = Duration::from_secs(60);

/// How long processes may live on after their parent's end.
const GRACE: Duration = Duration::from_secs(10);

/// A process of a fault, in its own group.
pub struct Process {
    child: Child,
    out: PathBuf,
    err: PathBuf,
    root: PathBuf,
    shown: String,
    started: Instant,
    pub limit: Duration,
    /// The signals sent to it; one of them may have ended it.
    signals: Vec<i32>,
    /// Descendants that were killed.
    killed: Vec<i32>,
}

impl Process {
    /// Starts a command; its processes are recognised by the variable NEMESIS_ROOT.
    pub fn start(mut command: Command, root: PathBuf, out: PathBuf, err: PathBuf) -> Process {
        let shown = std::iter::once(command.get_program())
            .chain(command.get_args())
            .map(|a| a.to_string_lossy())
            .collect::<Vec<_>>();
        let shown = shown.join(" ");
        let child = command.spawn().unwrap_or_else(|e| panic!("{shown}: {e}"));
        Process {
            child,
            out,
            err,
            root,
            shown,
            started: Instant::now(),
            limit: LIMIT,
            signals: Vec::new(),
            killed: Vec::new(),
        }
    }

    /// Lets it run for this time, and returns whether it is still alive.
    pub fn lives(&mut self, time: Duration) -> bool {
        let until = Instant::now() + time;
        loop {
            if !matches!(self.child.try_wait(), Ok(None)) {
                return false;
            }
            match until.saturating_duration_since(Instant::now()) {
                Duration::ZERO => return true,
                left => std::thread::sleep(left.min(Duration::from_millis(5))),
            }
        }
    }

    pub fn id(&self) -> i32 {
        self.child.id() as i32
    }

    /// The process and its descendants, by process number.
    pub fn family(&self) -> Vec<i32> {
        let parents: BTreeMap<i32, i32> = living().into_iter().collect();
        let ours = |id: &i32| {
            std::iter::successors(Some(*id), |id| parents.get(id).copied())
                .any(|id| id == self.id())
        };
        parents.keys().copied().filter(ours).collect()
    }

    /// Sends a signal to one process of the family.
    pub fn signal(&mut self, id: i32, signal: i32) {
        if id == self.id() {
            self.signals.push(signal);
        }
        if signal == libc::SIGKILL {
            self.killed.push(id);
        }
        // SAFETY: sends a signal to one of our processes; it may have ended already.
        unsafe { libc::kill(id, signal) };
    }

    /// Sends a signal to the whole family.
    pub fn signal_all(&mut self, signal: i32) {
        self.family()
            .into_iter()
            .for_each(|id| self.signal(id, signal));
    }

    /// Waits for its end and the end of everything it started.
    pub fn end(mut self) -> Result<Ended, String> {
        let left = (self.started + self.limit).saturating_duration_since(Instant::now());
        if self.lives(left) {
            let family = self.family();
            self.signal_all(libc::SIGKILL);
            let _ = self.child.wait();
            return Err(format!(
                "expected: an end within {:?}\nfound: `{}` (processes {family:?}) hangs\n{}",
                self.limit,
                self.shown,
                self.said()
            ));
        }
        let status = self
            .child
            .wait()
            .map_err(|e| format!("waiting for `{}`: {e}", self.shown))?;
        let begun = Instant::now();
        // A dying process no longer shows its environment, but holds its locks for a moment.
        let dying = || living().iter().any(|(id, _)| self.killed.contains(id));
        while !orphans(&self.root).is_empty() || dying() {
            if begun.elapsed() > GRACE {
                let orphans = orphans(&self.root);
                // SAFETY: these processes carry the mark of this fault.
                orphans
                    .iter()
                    .for_each(|id| assert!(unsafe { libc::kill(*id, libc::SIGKILL) } <= 0));
                return Err(format!(
                    "expected: workers end with their parent\nfound: {orphans:?} of `{}` live on {GRACE:?} later",
                    self.shown
                ));
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        let text =
            |path: &Path| String::from_utf8_lossy(&fs::read(path).unwrap_or_default()).into_owned();
        let (stdout, stderr) = (text(&self.out), text(&self.err));
        Ok(Ended {
            code: status.code(),
            signal: status.signal(),
            stdout,
            stderr,
            shown: self.shown,
            signals: self.signals,
        })
    }

    /// As [`Self::end`], and checks that the end is sound.
    pub fn sound(self) -> Result<Ended, String> {
        let ended = self.end()?;
        ended.check().map(|()| ended)
    }

    fn said(&self) -> String {
        fs::read_to_string(&self.err).unwrap_or_default()
    }
}

/// Every process with its parent.
fn living() -> Vec<(i32, i32)> {
    let Ok(entries) = fs::read_dir("/proc") else {
        return Vec::new();
    };
    let ids = entries
        .flatten()
        .filter_map(|e| e.file_name().to_str()?.parse::<i32>().ok());
    let parent = |id: i32| {
        let stat = fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
        // The name before is in parentheses and may contain anything.
        let mut fields = stat.rsplit_once(')')?.1.split_whitespace();
        // A zombie whose other threads are still ending holds its files, and with them its locks.
        let ended = fields.next()? == "Z"
            && fs::read_dir(format!("/proc/{id}/task")).map_or(0, Iterator::count) <= 1;
        Some((id, fields.next()?.parse().ok()?)).filter(|_| !ended)
    };
    ids.filter_map(parent).collect()
}

/// Processes of a fault whose parent has gone.
fn orphans(root: &Path) -> Vec<i32> {
    let mark = format!("NEMESIS_ROOT={}", root.display());
    let marked = |id: i32| {
        fs::read(format!("/proc/{id}/environ"))
            .is_ok_and(|e| e.split(|b| *b == 0).any(|v| v == mark.as_bytes()))
    };
    let ours = |parent: i32| parent == std::process::id() as i32 || marked(parent);
    living()
        .into_iter()
        .filter(|&(id, parent)| marked(id) && !ours(parent))
        .map(|(id, _)| id)
        .collect()
}

/// How a process ended.
pub struct Ended {
    pub code: Option<i32>,
    pub signal: Option<i32>,
    pub stdout: String,
    pub stderr: String,
    shown: String,
    signals: Vec<i32>,
}

impl Ended {
    /// Checks what every end must satisfy: a known exit code or one of our signals, no panic, and a
    /// line with the error if the code says so.
    pub fn check(&self) -> Result<(), String> {
        let ours = self
            .signal
            .is_some_and(|signal| self.signals.contains(&signal));
        let error = self.stderr.lines().any(|line| line.starts_with("error: "));
        let expected = match self.code {
            _ if self.stderr.contains("panicked") || self.stdout.contains("panicked") => "no panic",
            None if ours => return Ok(()),
            Some(1 | 2) if !error => "a line that begins with `error: `",
            Some(0..=3 | 130) => return Ok(()),
            _ => "exit code 0, 1, 2, 3 or 130",
        };
        Err(self.failure(expected))
    }

    /// Checks that the exit code is one of these and that standard error contains a text.
    pub fn expect(&self, codes: &[i32], text: &str) -> Result<(), String> {
        if self.code.is_some_and(|code| codes.contains(&code)) && self.stderr.contains(text) {
            return Ok(());
        }
        let text = if text.is_empty() {
            String::new()
        } else {
            format!(" and `{text}`")
        };
        Err(self.failure(&format!("exit code {codes:?}{text}")))
    }

    /// The two lines that describe a failure.
    pub fn failure(&self, expected: &str) -> String {
        let end = match (self.code, self.signal) {
            (Some(code), _) => format!("exit code {code}"),
            (None, Some(signal)) => format!("signal {signal}"),
            _ => "no status".into(),
        };
        let tail = |text: &str| {
            text.char_indices()
                .rev()
                .nth(1999)
                .map_or(text, |(at, _)| &text[at..])
                .trim_end()
                .to_owned()
        };
        format!(
            "expected: {expected}\nfound: {end} of `{}`\n{}{}",
            self.shown,
            tail(&self.stderr),
            tail(&self.stdout)
        )
    }
}
