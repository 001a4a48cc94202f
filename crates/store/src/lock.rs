//! A lock on a file, also where the file system has no locks.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::hash::{BuildHasher, RandomState};
use std::io::{self, Read, Seek, Write};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// A lock that one process holds until it drops the lock or ends, in whatever way.
///
/// The system locks the file (`flock`). Some file systems cannot do this (ENOSYS, ENOLCK,
/// EOPNOTSUPP, as on some clusters). There a second file, created exclusively, names the holder and
/// contains a heartbeat that counts up every few seconds; if it stops, the holder is considered
/// dead. This is weaker than a system lock: show the message of [`Lock::weak`] to the user.
#[derive(Debug)]
#[must_use = "dropping it releases the lock"]
pub struct Lock {
    kind: Kind,
}

#[derive(Debug)]
enum Kind {
    System {
        file: File,
    },
    Heartbeat {
        held: PathBuf,
        stop: Option<Sender<()>>,
        thread: Option<JoinHandle<()>>,
    },
}

/// Why the lock could not be taken.
#[derive(Debug)]
pub enum LockError {
    /// A living process holds the lock; `by` names it, as far as it is known.
    Held {
        /// Host and process of the holder.
        by: String,
    },
    /// An error of the file system.
    Io(io::Error),
}

/// The time between two beats, and the time without a beat after which a holder counts as dead.
#[derive(Clone, Copy)]
struct Pace {
    beat: Duration,
    dead: Duration,
}

const PACE: Pace = Pace {
    beat: Duration::from_secs(3),
    dead: Duration::from_secs(20),
};

impl Lock {
    /// Takes the lock with the file `path`; the file stays after the lock is released.
    ///
    /// # Errors
    /// [`LockError::Held`] at once if a living process holds the lock (with a heartbeat: after the
    /// holder's next beat); an error of the file system.
    pub fn try_take(path: &Path) -> Result<Lock, LockError> {
        let mut file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .read(true)
            .write(true)
            .open(path)
            .map_err(LockError::Io)?;
        match file.try_lock() {
            Ok(()) => {
                // Only used in the messages of other processes.
                let _ = file
                    .set_len(0)
                    .and_then(|()| file.write_all(holder().as_bytes()));
                Ok(Lock {
                    kind: Kind::System { file },
                })
            }
            Err(TryLockError::WouldBlock) => {
                let mut by = String::new();
                let _ = file.read_to_string(&mut by);
                Err(LockError::Held {
                    by: if by.is_empty() {
                        "another process".into()
                    } else {
                        by
                    },
                })
            }
            Err(TryLockError::Error(error)) if cannot_lock(&error) => {
                Self::by_heartbeat(path, PACE)
            }
            Err(TryLockError::Error(error)) => Err(LockError::Io(error)),
        }
    }

    /// Takes the lock; waits at most `patience` for another holder to release it.
    ///
    /// # Errors
    /// As [`Lock::try_take`].
    pub fn take(path: &Path, patience: Duration) -> Result<Lock, LockError> {
        let until = Instant::now() + patience;
        loop {
            match Self::try_take(path) {
                Err(LockError::Held { .. }) if Instant::now() < until => {
                    std::thread::sleep(Duration::from_millis(20))
                }
                other => return other,
            }
        }
    }

    /// A warning for the user if the file system has no locks, else `None`.
    pub fn weak(&self) -> Option<String> {
        let Kind::Heartbeat { held, .. } = &self.kind else {
            return None;
        };
        Some(format!(
            "this file system has no locks; {} is used in place of a lock. If the file is still there although no process uses it, wait {} seconds or delete it",
            held.display(),
            PACE.dead.as_secs()
        ))
    }

    fn by_heartbeat(path: &Path, pace: Pace) -> Result<Lock, LockError> {
        let held = path.with_extension("held");
        let (mut last, mut found) = (None, false);
        let mut since = Instant::now();
        loop {
            match OpenOptions::new().write(true).create_new(true).open(&held) {
                Ok(file) => return Self::beating(held, file, pace, found),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(LockError::Io(error)),
            }
            // Goes by changes of the file, not by time stamps: the clocks of two hosts differ.
            let now = fs::read_to_string(&held).unwrap_or_default();
            if last.as_ref().is_some_and(|last| *last != now) {
                return Err(LockError::Held {
                    by: now.lines().next().unwrap_or("another process").to_owned(),
                });
            }
            (last, found) = (Some(now), true);
            if since.elapsed() > pace.dead {
                remove_dead(&held, last.as_deref().unwrap_or_default()).map_err(LockError::Io)?;
                (last, since) = (None, Instant::now());
            }
            std::thread::sleep(pace.beat / 4);
        }
    }

    /// Holds the lock by the new file `held`. If a file was `found` there before, others may have
    /// found it dead, too, and one of them may take this one for it: then waits for a beat, and
    /// looks whether it is still there.
    fn beating(held: PathBuf, mut file: File, pace: Pace, found: bool) -> Result<Lock, LockError> {
        let own = RandomState::new().hash_one(0);
        let mut beat = move |n: u64| {
            file.rewind()?;
            write!(file, "{}\n{own} {n}\n", holder())?;
            file.flush()
        };
        beat(0).map_err(LockError::Io)?;
        if found {
            std::thread::sleep(pace.beat);
            let now = fs::read_to_string(&held).unwrap_or_default();
            let mut lines = now.lines();
            let by = lines.next().unwrap_or("another process").to_owned();
            if lines.next() != Some(&format!("{own} 0")) {
                return Err(LockError::Held { by });
            }
        }
        let (stop, stopped) = mpsc::channel();
        let thread = std::thread::spawn(move || {
            for n in 1.. {
                match stopped.recv_timeout(pace.beat) {
                    // If a beat cannot be written, the next one may succeed.
                    Err(RecvTimeoutError::Timeout) => drop(beat(n)),
                    _ => return,
                }
            }
        });
        Ok(Lock {
            kind: Kind::Heartbeat {
                held,
                stop: Some(stop),
                thread: Some(thread),
            },
        })
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        match &mut self.kind {
            // Clears the name of the holder. The system frees the lock when the file closes.
            Kind::System { file } => drop(file.set_len(0)),
            Kind::Heartbeat { held, stop, thread } => {
                drop(stop.take());
                // The thread contains nothing that panics.
                let _ = thread.take().map(JoinHandle::join);
                let _ = fs::remove_file(held);
            }
        }
    }
}

/// Removes the file of a dead holder. If several processes notice it, one of them renames it away;
/// if the file already belonged to a new holder, it is put back.
fn remove_dead(held: &Path, dead: &str) -> io::Result<()> {
    let folder = held
        .parent()
        .filter(|p| !p.as_os_str().is_empty())
        .unwrap_or(Path::new("."));
    let grave = tempfile::Builder::new()
        .prefix(".held.")
        .suffix(".partial")
        .tempdir_in(folder)?;
    let moved = grave.path().join("held");
    // Once more, as late as possible: while a live holder's file is away, another may take its place.
    if fs::read_to_string(held).unwrap_or_default() != dead {
        return Ok(());
    }
    match fs::rename(held, &moved) {
        Ok(()) if fs::read_to_string(&moved).is_ok_and(|text| text != dead) => {
            fs::hard_link(&moved, held)
        }
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Whether the file system has no locks at all; the numbers are those of Linux.
fn cannot_lock(error: &io::Error) -> bool {
    const ENOLCK: i32 = 37;
    const ENOSYS: i32 = 38;
    const EOPNOTSUPP: i32 = 95;
    error.kind() == io::ErrorKind::Unsupported
        || cfg!(target_os = "linux")
            && error
                .raw_os_error()
                .is_some_and(|code| [ENOLCK, ENOSYS, EOPNOTSUPP].contains(&code))
}

/// A description of this process: its number, its host and the boot of the system.
fn holder() -> String {
    let read = |path: &str| {
        fs::read_to_string(path)
            .ok()
            .map(|text| text.trim().to_owned())
            .filter(|text| !text.is_empty())
    };
    let host = read("/proc/sys/kernel/hostname")
        .or_else(|| std::env::var("HOSTNAME").ok())
        .unwrap_or_else(|| "this host".into());
    let boot =
        read("/proc/sys/kernel/random/boot_id").map_or(String::new(), |id| format!(" (boot {id})"));
    format!("process {} on {host}{boot}", std::process::id())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_holder_at_a_time_and_the_others_are_told_who() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("run.lock");
        let first = Lock::try_take(&path).unwrap();
        let Err(LockError::Held { by }) = Lock::try_take(&path) else {
            panic!("the lock was taken twice")
        };
        assert!(
            by.contains(&format!("process {}", std::process::id())),
            "{by}"
        );
        assert!(first.weak().is_none());
        drop(first);
        drop(Lock::take(&path, Duration::ZERO).unwrap());
    }

    const FAST: Pace = Pace {
        beat: Duration::from_millis(100),
        dead: Duration::from_millis(800),
    };

    #[test]
    fn without_system_locks_a_heartbeat_tells_the_living_from_the_dead() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("run.lock");
        let first = Lock::by_heartbeat(&path, FAST).unwrap();
        assert!(first.weak().unwrap().contains("run.held"));
        let Err(LockError::Held { by }) = Lock::by_heartbeat(&path, FAST) else {
            panic!("the lock was taken twice")
        };
        assert!(by.contains("process"), "{by}");
        drop(first);
        drop(Lock::by_heartbeat(&path, FAST).unwrap());
        // A dead holder left its file, without further beats.
        fs::write(path.with_extension("held"), "process 1 on elsewhere\n5\n").unwrap();
        drop(Lock::by_heartbeat(&path, FAST).unwrap());
        assert_eq!(
            fs::read_dir(dir.path()).unwrap().count(),
            0,
            "nothing is left"
        );
    }

    #[test]
    fn of_many_who_find_a_dead_holder_one_takes_the_lock() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("run.lock");
        fs::write(path.with_extension("held"), "process 1 on elsewhere\n5\n").unwrap();
        let taken: Vec<Result<Lock, LockError>> = std::thread::scope(|s| {
            let threads: Vec<_> = (0..8)
                .map(|_| s.spawn(|| Lock::by_heartbeat(&path, FAST)))
                .collect();
            threads.into_iter().map(|t| t.join().unwrap()).collect()
        });
        assert_eq!(taken.iter().filter(|t| t.is_ok()).count(), 1);
    }
}
