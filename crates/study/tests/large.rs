//! Opening a study of 100,000 trials takes less than 2 seconds (printed) and 1 GB.

use std::alloc::{GlobalAlloc, Layout, System};
use std::collections::BTreeMap;
use std::io::{BufWriter, Write};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Instant;

use largebatch_store::seal;
use largebatch_study::{
    Curves, Plan, Provenance, Results, SCHEMA, Stage, StopReason, Study, TrialRecord,
};

/// Counts allocations.
struct Counting;

static ALLOCATIONS: AtomicUsize = AtomicUsize::new(0);

// SAFETY: every call is forwarded to the system's allocator.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Relaxed);
        unsafe { System.alloc(layout) }
    }
    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        unsafe { System.dealloc(pointer, layout) }
    }
    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Relaxed);
        unsafe { System.realloc(pointer, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const STUDY: &str = r#"
name = "large"
set = { dataset = "mnist", model.name = "mlp", model.widths = [512, 512], epochs = 10, schedule.name = "cosine", schedule.warmup = { epochs = 1 }, optimizer.momentum = 0.9, optimizer.weight_decay = 1e-4 }
axes.batch_size = [16, 32, 64, 128, 256, 512, 1024, 2048, 4096, 8192]
axes.optimizer.name = ["sgd", "momentum", "adam", "lars", "lamb"]
search.lr = { log_uniform = [1e-4, 10.0], points = 100 }
tune.seeds = 10
confirm.seeds = 1000
"#;

#[test]
fn a_study_of_100_000_trials_opens_fast() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("study.toml"), STUDY).unwrap();
    let plan = Plan::new(Study::parse(STUDY, "large.toml", &[]).unwrap(), &|_| Ok(())).unwrap();
    assert_eq!(
        (plan.groups.len(), plan.tune_count(), plan.confirm_count()),
        (50, 50_000, 50_000)
    );
    let mut file = BufWriter::new(std::fs::File::create(dir.path().join("trials.jsonl")).unwrap());
    let mut write = |trial: largebatch_study::Trial| {
        let column = |scale: f64| {
            (1..=20)
                .map(|i| scale / f64::from(i) + 1e-3 * trial.seed as f64)
                .collect::<Vec<f64>>()
        };
        let record = TrialRecord {
            schema: SCHEMA,
            id: trial.id,
            labels: trial.labels.into(),
            stage: trial.stage,
            seed: trial.seed,
            stop: StopReason::Finished,
            steps: 1000,
            examples: 32_000,
            train_examples: 55_000,
            epochs: None,
            budget_steps: 1000,
            metric: "validation_accuracy".into(),
            higher_is_better: true,
            metrics: [
                "train_loss",
                "train_accuracy",
                "validation_loss",
                "validation_accuracy",
                "test_accuracy",
            ]
            .map(|k| (k.to_string(), 1.0 / 3.0))
            .into(),
            curves: Curves {
                step: (1..=20).collect(),
                examples: (1..=20).collect(),
                train_loss: column(2.3),
                validation: column(0.9),
                fitted_loss: Vec::new(),
            },
            threads: 1,
            config: trial
                .config
                .into_iter()
                .filter(|(k, _)| k != "seed")
                .collect::<toml::Table>()
                .into(),
            provenance: Provenance {
                seconds: 1.0 / 7.0,
                other: BTreeMap::from(
                    ["host", "device", "version", "out"]
                        .map(|k| (k.to_string(), "some text of usual length".into())),
                ),
                ..Default::default()
            },
        };
        file.write_all(seal(&serde_json::to_string(&record).unwrap()).as_bytes())
            .unwrap();
        file.write_all(b"\n").unwrap();
    };
    for group in 0..50 {
        plan.tune_trials(group).into_iter().for_each(&mut write);
    }
    let choices: Vec<_> = (0..50)
        .map(|_| {
            Some(largebatch_study::Tuned {
                point: 0,
                score: 1.0 / 3.0,
                seeds: 10,
            })
        })
        .collect();
    for group in 0..50 {
        plan.confirm_trials(group, &choices)
            .into_iter()
            .for_each(&mut write);
    }
    file.flush().unwrap();
    drop(file);
    let bytes = std::fs::metadata(dir.path().join("trials.jsonl"))
        .unwrap()
        .len();

    let (begun, before) = (Instant::now(), ALLOCATIONS.load(Relaxed));
    let results = Results::open(dir.path()).unwrap();
    let opened = begun.elapsed();
    let rows = results.rows();
    let seconds = begun.elapsed();
    let allocations = (ALLOCATIONS.load(Relaxed) - before) as f64 / rows.len() as f64;
    assert!(rows.len() == 100_000 && rows.iter().all(|r| r.record.is_some()));
    assert!(rows.iter().any(|r| r.stage == Stage::Confirm));
    let peak = std::fs::read_to_string("/proc/self/status")
        .ok()
        .and_then(|s| {
            s.lines()
                .find_map(|l| l.strip_prefix("VmHWM:"))
                .and_then(|l| l.trim().trim_end_matches(" kB").parse::<u64>().ok())
        });
    println!(
        "100,000 trials of {} bytes: opened in {opened:.2?}, with all rows {seconds:.2?}, {allocations:.1} allocations a trial, peak memory {} MB",
        bytes / 100_000,
        peak.unwrap_or(0) / 1000
    );
    assert!(peak.is_none_or(|kb| kb < 1_000_000), "{peak:?} kB");
    // The time depends on the machine and is only printed; what is checked is the number of
    // allocations per record (83), which determines it.
    assert!(allocations < 90.0, "{allocations} allocations a trial");
}
