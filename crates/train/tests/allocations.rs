//! A step without a graph allocates nothing once it has been done a few times.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicU64, Ordering};

use largebatch_train::{
    Controls, Experiment, Lab, Observer, RunConfig, Start, Step, TrainError, Wants, train,
};

/// The system's allocator, which counts.
struct Counting;

static COUNT: AtomicU64 = AtomicU64::new(0);

// SAFETY: every call is passed on to the system's allocator.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        COUNT.fetch_add(1, Ordering::Relaxed);
        // SAFETY: as the caller promises.
        unsafe { System.alloc(layout) }
    }
    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        // SAFETY: as the caller promises.
        unsafe { System.dealloc(at, layout) }
    }
    unsafe fn realloc(&self, at: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        COUNT.fetch_add(1, Ordering::Relaxed);
        // SAFETY: as the caller promises.
        unsafe { System.realloc(at, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// The steps whose allocations are counted, all in the first epoch.
const COUNTED: [u64; 2] = [7, 14];

#[derive(Default)]
struct Counter {
    at: Option<u64>,
    found: Option<u64>,
}

impl Observer for Counter {
    fn wants(&self, step: u64) -> Wants {
        match COUNTED.contains(&step) {
            true => Wants::STEP,
            false => Wants::NOTHING,
        }
    }
    fn on_start(&mut self, start: &Start<'_>) -> Result<(), TrainError> {
        assert_eq!(start.graph, None);
        Ok(())
    }
    fn on_step(&mut self, _: &Step<'_>) -> Result<(), TrainError> {
        let now = COUNT.load(Ordering::Relaxed);
        match self.at {
            None => self.at = Some(now),
            Some(before) => self.found = Some(now - before),
        }
        Ok(())
    }
}

#[test]
fn a_step_allocates_nothing() {
    let mut wrong = Vec::new();
    // Threads that start or end allocate.
    let pools = [1, 2].map(|threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads);
        pool.build().unwrap()
    });
    for settings in [
        "dataset=breast-cancer model=logistic batch_size=1",
        "dataset=breast-cancer model=perceptron batch_size=16",
        "dataset=diabetes model=linear batch_size=16",
        "dataset=digits model=softmax batch_size=33 optimizer=adam",
        "dataset=digits model=softmax batch_size=33 optimizer=nesterov optimizer.preset=textbook",
        "dataset=digits model=softmax batch_size=33 clip_norm=0.1 label_smoothing=0.1",
        "dataset=digits model=mlp batch_size=64 optimizer=lars clip_value=0.01",
        "dataset=digits model=mlp model.widths=[200,100] batch_size=64 optimizer=lamb",
        "dataset=digits model=mlp batch_size=64 optimizer=adamax model.dropout=0.2",
        "dataset=digits model=mlp batch_size=64 optimizer=adadelta model.batch_norm=true",
        "dataset=digits model=mlp batch_size=64 optimizer=nadam model.batch_norm=true ghost_batch=16",
        "dataset=digits model=f1 batch_size=64",
        "dataset=digits model=mlp batch_size=60 accumulate=3",
        "dataset=digits model=mlp batch_size=60 parts=4 model.batch_norm=true",
        "dataset=digits model=mlp batch_size=50 model.activation=tanh",
        "dataset=digits model=mlp batch_size=60 model.activation=gelu",
    ] {
        let assignments = ["lr=0.01", "steps=15"]
            .into_iter()
            .chain(settings.split(' '));
        let over: Vec<_> = assignments
            .map(|s| RunConfig::assignment(s).unwrap())
            .collect();
        let config = RunConfig::layered(None, &over).unwrap();
        let experiment = Experiment::open(config, &Lab::standard(), &Default::default()).unwrap();
        for pool in &pools {
            let mut counter = Counter::default();
            pool.install(|| {
                let controls = Controls {
                    observers: vec![&mut counter],
                    ..Controls::default()
                };
                train(&experiment, controls).unwrap();
            });
            let threads = pool.current_num_threads();
            // A second thread allocates its memory at the first step at which it has a task.
            let most = if threads == 1 {
                0
            } else {
                COUNTED[1] - COUNTED[0] - 1
            };
            if counter.found.is_none_or(|found| found > most) {
                wrong.push((settings, threads, counter.found));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}
