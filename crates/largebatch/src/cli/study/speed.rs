//! How fast a training runs here, for the estimates of a plan.

use std::sync::atomic::{AtomicBool, Ordering};

use largebatch_train::{Controls, Experiment, Observer, Step, TrainError, train};

/// The batch size at which speed is measured.
pub(super) const TIMED_BATCH: usize = 256;

/// Examples per second over some steps after the first, by CPU time: a machine that is busy now
/// need not be busy later.
pub(super) fn speed(experiment: &Experiment, steps: u64) -> Option<f64> {
    struct Few<'a> {
        steps: u64,
        enough: &'a AtomicBool,
        begun: Option<(f64, u64)>,
        speed: Option<f64>,
    }
    impl Observer for Few<'_> {
        fn on_step(&mut self, step: &Step<'_>) -> Result<(), TrainError> {
            let now = computed();
            let (begun, seen) = *self.begun.get_or_insert((now, step.examples));
            if step.step > self.steps {
                self.speed = Some((step.examples - seen) as f64 / (now - begun))
                    .filter(|speed| speed.is_finite() && *speed > 0.0);
                self.enough.store(true, Ordering::Relaxed);
            }
            Ok(())
        }
    }
    let enough = AtomicBool::new(false);
    let mut few = Few {
        steps,
        enough: &enough,
        begun: None,
        speed: None,
    };
    let controls = Controls {
        observers: vec![&mut few],
        interrupt: &enough,
        test: false,
        ..Controls::default()
    };
    train(experiment, controls).ok()?;
    Some(few.speed? * largebatch_train::threads() as f64)
}

/// The CPU time of this process in seconds, over all threads; if the system does not count it,
/// wall-clock time times the number of threads.
fn computed() -> f64 {
    #[cfg(unix)]
    {
        let mut time = libc::timespec {
            tv_sec: 0,
            tv_nsec: 0,
        };
        // SAFETY: the call writes one timespec.
        if unsafe { libc::clock_gettime(libc::CLOCK_PROCESS_CPUTIME_ID, &raw mut time) } == 0 {
            return time.tv_sec as f64 + 1e-9 * time.tv_nsec as f64;
        }
    }
    static START: std::sync::LazyLock<std::time::Instant> =
        std::sync::LazyLock::new(std::time::Instant::now);
    START.elapsed().as_secs_f64() * largebatch_train::threads() as f64
}
