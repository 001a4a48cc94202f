//! The processes that a launcher such as `mpirun` has started.
//!
//! Rank 0 reads and writes the run's folder, and prints. The others are quiet, and only report an
//! error of their own.

use std::sync::OnceLock;
use std::sync::atomic::Ordering;
use std::time::Duration;

use anyhow::Result;
use largebatch_parallel::{Launcher, Mpi, Peers};
use largebatch_study::Shard;

use super::{Global, INTERRUPT};

/// This process among the others.
pub(super) struct Job {
    mpi: Mpi,
    launcher: Launcher,
}

static JOB: OnceLock<Job> = OnceLock::new();

/// Joins the other processes, if a launcher has started several. From here on, a panic in one
/// process ends all of them.
pub(super) fn join() -> Result<Option<&'static Job>> {
    let Some(launcher) = Launcher::find() else {
        return Ok(None);
    };
    let mpi = Mpi::join(&launcher).inspect_err(|_| {
        // Rank 0 reports it, and its end ends the others.
        if launcher.rank > 0 {
            std::thread::sleep(Duration::from_millis(1500));
        }
    })?;
    let job = JOB.get_or_init(|| Job { mpi, launcher });
    let report = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        report(info);
        job.mpi.abort(101);
    }));
    Ok(Some(job))
}

/// Whether another process prints.
pub(super) fn is_quiet() -> bool {
    JOB.get().is_some_and(|job| !job.is_main())
}

/// The part of a study for this process, if a launcher has started several.
pub(super) fn shard() -> Result<Option<Shard>> {
    Ok(join()?.map(|job| Shard {
        index: job.mpi.rank() + 1,
        count: job.mpi.count(),
    }))
}

/// This process among the others, if it has joined any.
pub(super) fn joined() -> Option<&'static Job> {
    JOB.get()
}

/// Whether a launcher has started several processes that can find each other.
pub(super) fn has_others() -> bool {
    Launcher::find().is_some_and(|launcher| launcher.serves_mpi())
}

/// The flags of this process, which is quiet if another one prints.
pub(super) fn quieted(global: &Global) -> Global {
    match is_quiet() {
        true => Global {
            quiet: true,
            verbose: false,
        },
        false => global.clone(),
    }
}

/// The CPU threads for this process: all, or its share if several are on one machine.
pub(super) fn threads() -> usize {
    let all = || std::thread::available_parallelism().map_or(1, |n| n.get());
    JOB.get().map_or_else(all, |job| job.launcher.threads())
}

/// Whether another process reports wrong arguments, which all have got.
pub(super) fn has_main() -> bool {
    Launcher::find().is_some_and(|launcher| launcher.serves_mpi() && launcher.rank > 0)
}

/// Waits for the other processes at the end of a command, if there are any.
pub(super) fn leave() {
    if let Some(job) = JOB.get() {
        job.mpi.finish();
    }
}

/// After an error: whether this process should report it, and as whose. Rank 0 reports what all
/// have found, and ends the others meanwhile.
pub(super) fn reporter() -> Option<String> {
    let Some(job) = JOB.get().filter(|job| !job.is_main()) else {
        return Some(String::new());
    };
    for _ in 0..10 {
        std::thread::sleep(Duration::from_millis(100));
        if INTERRUPT.load(Ordering::Relaxed) {
            return None;
        }
    }
    Some(format!("rank {}: ", job.mpi.rank()))
}

/// Ends all processes with this exit code.
pub(super) fn abort(code: u8) {
    if let Some(job) = JOB.get() {
        // Until the launcher has forwarded the report: MPICH's may end before.
        std::thread::sleep(Duration::from_millis(100));
        job.mpi.abort(code);
    }
}

impl Job {
    pub(super) fn peers(&self) -> &dyn Peers {
        &self.mpi
    }

    pub(super) fn is_main(&self) -> bool {
        self.mpi.rank() == 0
    }

    pub(super) fn count(&self) -> usize {
        self.mpi.count()
    }

    /// The MPI, and the number of processes.
    pub(super) fn describe(&self) -> String {
        format!("{} processes, {}", self.mpi.count(), self.mpi.version())
    }

    /// Does something in one process of each machine first, so that the others find what it leaves
    /// in the cache.
    pub(super) fn in_turn<T>(&self, make: impl FnOnce() -> T) -> T {
        let first = self.launcher.local_rank == 0;
        if !first {
            self.mpi.wait();
        }
        let made = make();
        if first {
            self.mpi.wait();
        }
        made
    }

    /// The texts of rank 0.
    pub(super) fn share<const N: usize>(&self, texts: [String; N]) -> [String; N] {
        texts.map(|text| {
            let bytes = self.peers().broadcast_bytes(text.as_bytes());
            String::from_utf8_lossy(&bytes).into_owned()
        })
    }
}
