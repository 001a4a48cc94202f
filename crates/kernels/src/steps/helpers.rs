//! Threads that share a loop and stay awake for the next one.
//!
//! A step is one loop for each of a model's tensors, each some microseconds long. Waking a thread
//! of rayon's pool takes longer than that. So threads that have helped once stay awake for a short
//! time to wait for the next loop; meanwhile they do work that the pool has for them.

use std::cell::UnsafeCell;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::thread::{self, ThreadId};
use std::time::{Duration, Instant};

/// How long a thread stays awake without work.
const PATIENCE: Duration = Duration::from_micros(50);
/// With fewer pieces than this, waking a thread does not pay.
const WORTH_WAKING: usize = 16;

type Job = *const (dyn Fn(usize) + Sync);

/// The threads that help one thread.
struct Helpers {
    owner: ThreadId,
    /// The processor on which the owner ran when it opened the job.
    owners_place: AtomicUsize,
    job: UnsafeCell<Option<Job>>,
    /// The number of the job that can be joined, or 0 if there is none.
    open: AtomicUsize,
    /// The number of helpers that work on the job or are checking for one.
    inside: AtomicUsize,
    /// The number of helpers that are awake or have been called.
    present: AtomicUsize,
}

// SAFETY: only the owner writes `job`, while `open` is 0 and after it has seen `inside` at 0.
// Helpers read it only after they have incremented `inside` and then found `open` not to be 0. All
// these operations are SeqCst and so have a single total order, in which the two never overlap.
unsafe impl Send for Helpers {}
unsafe impl Sync for Helpers {}

thread_local! {
    static HELPERS: Arc<Helpers> = Arc::new(Helpers {
        owner: thread::current().id(),
        owners_place: AtomicUsize::new(usize::MAX),
        job: UnsafeCell::new(None),
        open: AtomicUsize::new(0),
        inside: AtomicUsize::new(0),
        present: AtomicUsize::new(0),
    });
}

/// A counter on its own cache line.
#[repr(align(128))]
struct Taken(AtomicUsize);

/// Runs `piece(i)` for each i below `count`, on this thread and on idle threads of rayon's pool.
/// Each thread begins with its own stretch, in rising or falling order, so that a second loop finds
/// in the thread's cache what the first one left there. A piece must not panic: a panic in a helper
/// ends the process, as usual in rayon.
pub(super) fn each(count: usize, falling: bool, piece: impl Fn(usize) + Sync) {
    let threads = rayon::current_num_threads().min(count);
    HELPERS.with(|helpers| {
        let idle = helpers.present.load(SeqCst) == 0;
        // If a piece calls this function itself, they are already busy.
        if threads < 2 || (idle && count < WORTH_WAKING) || helpers.open.load(SeqCst) != 0 {
            return (0..count).for_each(|i| piece(if falling { count - 1 - i } else { i }));
        }
        let taken: Vec<_> = (0..threads).map(|_| Taken(AtomicUsize::new(0))).collect();
        let begin = |stretch: usize| stretch * count / threads;
        let place = AtomicUsize::new(1);
        let from = |first: usize| {
            for stretch in (first..threads).chain(0..first) {
                let (begin, end) = (begin(stretch), begin(stretch + 1));
                loop {
                    let i = taken[stretch].0.fetch_add(1, SeqCst);
                    if i >= end - begin {
                        break;
                    }
                    piece(if falling { end - 1 - i } else { begin + i });
                }
            }
        };
        let help = |_: usize| from(place.fetch_add(1, SeqCst) % threads);
        if idle || count >= WORTH_WAKING {
            helpers.call(threads - 1);
        }
        helpers.shared(&help, || from(0));
    });
}

impl Helpers {
    /// Makes sure that `wanted` helpers are awake.
    fn call(self: &Arc<Self>, wanted: usize) {
        for _ in self.present.load(SeqCst)..wanted {
            self.present.fetch_add(1, SeqCst);
            let helpers = self.clone();
            rayon::spawn(move || {
                if thread::current().id() != helpers.owner {
                    helpers.help();
                }
                helpers.present.fetch_sub(1, SeqCst);
            });
        }
    }

    /// Runs `own` while helpers run `job`; returns when all are done.
    fn shared(&self, job: &(dyn Fn(usize) + Sync), own: impl FnOnce()) {
        /// Even if `own` panics, no helper may still run the job when its data is dropped.
        struct Close<'a>(&'a Helpers);
        impl Drop for Close<'_> {
            fn drop(&mut self) {
                self.0.open.store(0, SeqCst);
                let mut looks = 0;
                while self.0.inside.load(SeqCst) != 0 {
                    looks += 1;
                    if looks % 1024 == 0 {
                        thread::yield_now()
                    } else {
                        std::hint::spin_loop()
                    }
                }
            }
        }
        thread_local!(static NUMBER: std::cell::Cell<usize> = const { std::cell::Cell::new(0) });
        let number = NUMBER.get().wrapping_add(1).max(1);
        NUMBER.set(number);
        // SAFETY: only the lifetime changes; `Close` waits until no helper runs the job. For the
        // write see `Helpers`.
        unsafe {
            *self.job.get() =
                Some(std::mem::transmute::<*const (dyn Fn(usize) + Sync + '_), Job>(job))
        };
        let close = Close(self);
        self.owners_place.store(processor::here(), SeqCst);
        self.open.store(number, SeqCst);
        own();
        drop(close);
    }

    /// A helper's loop: runs jobs as they come, until there are none for a while or the pool has
    /// other work.
    fn help(&self) {
        let (mut done, mut looks, mut since) = (0, 0_u32, Instant::now());
        loop {
            let open = self.open.load(SeqCst);
            if open != 0 && open != done {
                if !processor::leave(self.owners_place.load(SeqCst)) {
                    return;
                }
                self.inside.fetch_add(1, SeqCst);
                let open = self.open.load(SeqCst);
                if open != 0 {
                    done = open;
                    // SAFETY: see `Helpers`; the job stays valid until `inside` is decremented.
                    if let Some(job) = unsafe { *self.job.get() } {
                        unsafe { (*job)(open) };
                    }
                }
                self.inside.fetch_sub(1, SeqCst);
                (looks, since) = (0, Instant::now());
            }
            looks += 1;
            std::hint::spin_loop();
            if looks % 64 == 0
                && (since.elapsed() > PATIENCE
                    || rayon::yield_now() == Some(rayon::Yield::Executed))
            {
                return;
            }
        }
    }
}

/// Linux may wake a thread on the processor of the thread that woke it, although others are idle,
/// and leave it there for some milliseconds.
#[cfg(target_os = "linux")]
mod processor {
    /// The processor on which this thread runs; `usize::MAX` if unknown.
    pub fn here() -> usize {
        // SAFETY: the call takes no arguments.
        usize::try_from(unsafe { libc::sched_getcpu() }).unwrap_or(usize::MAX)
    }

    /// Moves this thread away from the processor `busy` if it runs there; false if it may run on no
    /// other.
    pub fn leave(busy: usize) -> bool {
        if here() != busy || busy >= libc::CPU_SETSIZE as usize {
            return true;
        }
        let size = size_of::<libc::cpu_set_t>();
        // SAFETY: the sets are plain bits of the size passed, and `busy` is below their length. The
        // thread's own set is restored.
        unsafe {
            let mut own: libc::cpu_set_t = std::mem::zeroed();
            if libc::sched_getaffinity(0, size, &raw mut own) != 0 {
                return false;
            }
            let mut others = own;
            libc::CPU_CLR(busy, &mut others);
            libc::CPU_COUNT(&others) > 0
                && libc::sched_setaffinity(0, size, &raw const others) == 0
                && libc::sched_setaffinity(0, size, &raw const own) == 0
        }
    }
}

#[cfg(not(target_os = "linux"))]
mod processor {
    pub fn here() -> usize {
        0
    }
    pub fn leave(_: usize) -> bool {
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// In both orders, in pools of several sizes, from two threads at once, with nested loops, and
    /// whether or not helpers are awake.
    #[test]
    fn each_piece_is_done_once() {
        let loops = || {
            for (round, count) in [0, 1, 2, 15, 16, 17, 100]
                .into_iter()
                .cycle()
                .take(700)
                .enumerate()
            {
                let done: Vec<_> = (0..count).map(|_| AtomicUsize::new(0)).collect();
                each(count, round % 2 == 0, |i| {
                    each(i % 3, false, |_| {});
                    done[i].fetch_add(1, SeqCst);
                });
                assert!(
                    done.iter().all(|d| d.load(SeqCst) == 1),
                    "{count} pieces: {done:?}"
                );
            }
        };
        for threads in [1, 2, 5] {
            let pool = rayon::ThreadPoolBuilder::new()
                .num_threads(threads)
                .build()
                .unwrap();
            std::thread::scope(|scope| {
                scope.spawn(|| pool.install(loops));
                scope.spawn(|| pool.install(loops));
                scope.spawn(loops);
            });
        }
    }
}
