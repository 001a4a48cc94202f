use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// A lock that one process holds until it drops it or ends, however it ends.
///
/// The system locks the file (`flock`). On a file system that cannot (ENOSYS, ENOLCK, EOPNOTSUPP, as on some clusters), a second file, created exclusively, holds who
/// has the lock and a heartbeat that rises every few seconds; a heartbeat that stands still has lost its process. That is weaker: say [`Lock::weak`] to the user.
#[derive(Debug)]
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

/// Why there is no lock.
#[derive(Debug)]
pub enum LockError {
    /// A living process has it; `by` says which one, as far as is known.
    Held {
        /// Host and process of the holder.
        by: String,
    },
    /// The file system's.
    Io(io::Error),
}

/// How long between two beats, and after how long without one a holder is dead.
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
    /// Takes the lock whose file is `path`, which stays when the lock is gone.
    ///
    /// # Errors
    /// [`LockError::Held`] at once where a living process has it (by heartbeat, after the holder's next beat); the file system's.
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
                // Only for the message that others print.
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

    /// Takes the lock, waiting at most `patience` for another holder to go.
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

    /// What to tell the user where the file system has no locks, else `None`.
    pub fn weak(&self) -> Option<String> {
        let Kind::Heartbeat { held, .. } = &self.kind else {
            return None;
        };
        Some(format!(
            "this file system has no locks; {} stands for one. If no process uses it and it stays, wait {} seconds or delete it",
            held.display(),
            PACE.dead.as_secs()
        ))
    }

    fn by_heartbeat(path: &Path, pace: Pace) -> Result<Lock, LockError> {
        let held = path.with_extension("held");
        let mut last = None;
        let mut since = Instant::now();
        loop {
            match OpenOptions::new().write(true).create_new(true).open(&held) {
                Ok(file) => return Self::beating(held, file, pace).map_err(LockError::Io),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(LockError::Io(error)),
            }
            // By what is seen here and now, not by clocks: those of two hosts differ.
            let now = fs::read_to_string(&held).unwrap_or_default();
            if last.as_ref().is_some_and(|last| *last != now) {
                return Err(LockError::Held {
                    by: now.lines().next().unwrap_or("another process").to_owned(),
                });
            }
            last = Some(now);
            if since.elapsed() > pace.dead {
                bury(&held, last.as_deref().unwrap_or_default()).map_err(LockError::Io)?;
                (last, since) = (None, Instant::now());
            }
            std::thread::sleep(pace.beat / 4);
        }
    }

    fn beating(held: PathBuf, mut file: File, pace: Pace) -> io::Result<Lock> {
        let mut beat = move |n: u64| {
            file.rewind()?;
            write!(file, "{}\n{n}\n", holder())?;
            file.flush()
        };
        beat(0)?;
        let (stop, stopped) = mpsc::channel();
        let thread = std::thread::spawn(move || {
            for n in 1.. {
                match stopped.recv_timeout(pace.beat) {
                    // A beat that cannot be written may succeed the next time.
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
            // Nobody holds it any more. The system frees it when the file closes.
            Kind::System { file } => drop(file.set_len(0)),
            Kind::Heartbeat { held, stop, thread } => {
                drop(stop.take());
                // The thread does nothing that panics.
                let _ = thread.take().map(JoinHandle::join);
                let _ = fs::remove_file(held);
            }
        }
    }
}

/// Removes the file of a dead holder. Of several who see it one renames it away; where that was already a new holder's, it goes back.
fn bury(held: &Path, dead: &str) -> io::Result<()> {
    let folder = held
        .parent()
        .filter(|p| !p.as_os_str().is_empty())
        .unwrap_or(Path::new("."));
    let grave = tempfile::Builder::new()
        .prefix(".held.")
        .suffix(".partial")
        .tempdir_in(folder)?;
    let moved = grave.path().join("held");
    match fs::rename(held, &moved) {
        Ok(()) if fs::read_to_string(&moved).is_ok_and(|text| text != dead) => {
            fs::hard_link(&moved, held)
        }
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Whether the file system has no locks at all; the numbers are Linux's.
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

/// This process in words: host, the system's start, and number.
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
        Lock::take(&path, Duration::ZERO).unwrap();
    }

    const FAST: Pace = Pace {
        beat: Duration::from_millis(20),
        dead: Duration::from_millis(300),
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
        // A holder that died left its file, and no more beats.
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
