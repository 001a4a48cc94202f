//! Trainings that several processes share, here as threads: the bits of one process for every
//! optimizer, on both engines, also if each process keeps a part of the optimizer's state, and with
//! batch norm over the whole batch.

use std::sync::atomic::{AtomicBool, Ordering};

use largebatch_data::Search;
use largebatch_parallel::{Peers, in_threads};
use largebatch_train::{
    Controls, End, Environment, Experiment, Lab, Observer, RunConfig, RunFile, RunFolder, SCHEMA,
    Step, TrainError, Wants, to_safetensors, train,
};

const STEPS: u64 = 5;

fn experiment(settings: &str) -> Experiment {
    let steps = format!("steps={STEPS}");
    let common = "dataset=digits data.validation=1300 batch_size=50 lr=0.02 \
                  model=mlp model.widths=[20,16] log.layers_every_steps=2";
    let words = common.split_whitespace().chain([&*steps]);
    let words = words.chain(settings.split_whitespace());
    let over: Vec<_> = words.map(|s| RunConfig::assignment(s).unwrap()).collect();
    let config = RunConfig::layered(None, &over).unwrap();
    Experiment::open(config, &Lab::standard(), &Search::default()).unwrap()
}

/// What must not depend on the processes.
#[derive(PartialEq, Debug, Default)]
struct Seen {
    losses: Vec<u64>,
    layers: Vec<String>,
    norms: Vec<u64>,
    /// Weights and optimizer after step 4, and at the end.
    weights: Vec<Vec<u8>>,
    optimizer: Vec<Vec<u8>>,
}

#[derive(Default)]
struct Recorder<'a> {
    seen: Seen,
    state_bytes: Vec<u64>,
    /// Interrupts after this step.
    until: Option<(u64, &'a AtomicBool)>,
}

impl Observer for Recorder<'_> {
    fn wants(&self, step: u64) -> Wants {
        Wants {
            network: step == 4,
            norms: true,
            layers: step == 3,
            ..Wants::STEP
        }
    }
    fn on_step(&mut self, step: &Step<'_>) -> Result<(), TrainError> {
        self.seen.losses.extend(step.loss.map(f64::to_bits));
        let norms = step.norms.map(|n| n.whole.to_bits());
        self.seen.norms.extend(norms);
        let layers = step.layers.map(|layers| format!("{layers:?}"));
        self.seen.layers.extend(layers);
        if let (Some(network), Some(driver)) = (step.network, step.driver) {
            self.seen.weights.push(to_safetensors(network, None)?);
            self.seen.optimizer.push(driver.save());
        }
        if let Some((until, interrupt)) = self.until {
            interrupt.store(step.step == until, Ordering::Relaxed);
        }
        Ok(())
    }
    fn on_end(&mut self, end: &End<'_>) -> Result<(), TrainError> {
        self.seen.weights.push(to_safetensors(end.network, None)?);
        self.seen.optimizer.push(end.driver.save());
        self.state_bytes.clone_from(&end.state_bytes);
        Ok(())
    }
}

/// Trains on `k` processes, on the graph or where possible without, until a step or to the end.
fn run(
    experiment: &Experiment,
    (on_graph, k): (bool, usize),
    folder: Option<&RunFolder>,
    until: Option<u64>,
) -> (Seen, Vec<u64>) {
    let interrupt = AtomicBool::new(false);
    let one = |peers: Option<&dyn Peers>| {
        let mut recorder = Recorder {
            until: until.map(|step| (step, &interrupt)),
            ..Recorder::default()
        };
        let is_main = peers.is_none_or(|peers| peers.rank() == 0);
        let mut observers: Vec<&mut dyn Observer> = Vec::new();
        if is_main {
            observers.push(&mut recorder);
        }
        let controls = Controls {
            observers,
            folder: folder.filter(|_| is_main),
            interrupt: &interrupt,
            on_graph,
            test: is_main,
            peers,
            ..Controls::default()
        };
        train(experiment, controls).unwrap();
        (recorder.seen, recorder.state_bytes)
    };
    match k {
        1 => one(None),
        _ => in_threads(k, |peers| one(Some(peers))).swap_remove(0),
    }
}

/// On 1, 2 and 3 processes, on both engines, with the optimizer's state whole and in shares.
fn compare(settings: &str) -> Seen {
    let whole = experiment(settings);
    let shared = experiment(&format!("{settings} shard_optimizer=true"));
    assert_eq!(whole.config.id(), shared.config.id());
    let (alone, state) = run(&whole, (false, 1), None, None);
    assert_eq!(alone.losses.len(), STEPS as usize);
    for on_graph in [false, true] {
        for (k, experiment) in [(1, &whole), (2, &whole), (2, &shared), (3, &shared)] {
            let (seen, bytes) = run(experiment, (on_graph, k), None, None);
            let what = format!("{settings} on {k} processes, graph {on_graph}");
            assert!(seen == alone, "{what}: {seen:?}\n{alone:?}");
            assert_eq!(bytes.len(), k);
            if experiment.config.shard_optimizer {
                assert_eq!(bytes.iter().sum::<u64>(), state[0], "{what}: {bytes:?}");
                assert!(bytes.iter().all(|n| 10 * n <= 9 * state[0]), "{bytes:?}");
            } else {
                assert!(bytes.iter().all(|n| *n == state[0]));
            }
        }
    }
    alone
}

#[test]
fn every_optimizer_has_the_bits_of_one_process() {
    let lab = Lab::standard();
    for name in lab.optimizers.names() {
        compare(&format!("optimizer={name} parts=4"));
    }
    for settings in [
        // The gradient is taken at shifted weights.
        "optimizer=nesterov optimizer.preset=textbook clip_norm=0.5 model.batch_norm=true",
        "optimizer=muon optimizer.groups=[{parameters=\"bias\",lr_factor=0.1}] clip_value=0.01",
        "optimizer=nesterov optimizer.groups=[{parameters=\"output\",form=\"look-ahead\"}]",
        "optimizer=lamb model.dropout=0.3 batch_schedule=multi-step batch_schedule.factor=2 \
         batch_schedule.at.epochs=[1]",
    ] {
        compare(&format!("{settings} parts=6"));
    }
}

#[test]
fn a_run_resumes_on_another_number_of_processes() {
    let plain = experiment("optimizer=lamb parts=6");
    let shared = experiment("optimizer=lamb parts=6 shard_optimizer=true");
    let (whole, _) = run(&plain, (false, 1), None, None);
    for ((first, k), (second, l)) in [
        ((&shared, 3), (&shared, 2)),
        ((&shared, 2), (&plain, 1)),
        ((&plain, 1), (&shared, 3)),
    ] {
        let place = tempfile::tempdir().unwrap();
        let file = RunFile {
            schema: SCHEMA,
            id: first.config.id(),
            provenance: Environment {
                version: String::new(),
                device: String::new(),
                threads: 1,
                cpu: None,
                platform: String::new(),
                data_dir: None,
                folder: None,
            },
            config: first.config.clone(),
            sources: Vec::new(),
            examples: None,
            earlier_sources: Vec::new(),
        };
        let folder = RunFolder::create(&place.path().join("run"), &file).unwrap();
        let (begin, _) = run(first, (false, k), Some(&folder), Some(2));
        assert_eq!(begin.losses.len(), 2);
        let (end, _) = run(second, (true, l), Some(&folder), None);
        assert_eq!(end.losses[..], whole.losses[2..]);
        assert!(end.weights == whole.weights && end.optimizer == whole.optimizer);
    }
}

/// With the statistics of the whole batch, the parts give the gradient of the batch in one part, up
/// to rounding; and the same bits on any number of processes, workers and threads.
#[test]
fn batch_norm_over_the_whole_batch() {
    let loss = |bits: &u64| f64::from_bits(*bits);
    for model in [
        "model.batch_norm=true optimizer=momentum",
        "model.batch_norm=true model.widths=[6] model.dropout=0.2 optimizer=lars",
        "model=resnet model.depth=8 model.width=4 batch_size=14 optimizer=sgd data.validation=1400",
    ] {
        let settings = |more: &str| format!("{model} {more}");
        let alone = experiment(&settings("parts=1"));
        let (one, _) = run(&alone, (true, 1), None, None);
        let sync = experiment(&settings("sync_batch_norm=true parts=1"));
        assert_ne!(sync.config.id(), alone.config.id());
        let parts = ["parts=4", "parts=7"].map(|parts| {
            let sync = experiment(&settings(&format!("sync_batch_norm=true {parts}")));
            let (seen, _) = run(&sync, (false, 1), None, None);
            for (i, (bits, expected)) in seen.losses.iter().zip(&one.losses).enumerate() {
                let (found, expected) = (loss(bits), loss(expected));
                let bound = 1e-5 * 4f64.powi(i as i32) * expected;
                assert!(
                    (found - expected).abs() < bound,
                    "{model} {parts}: {found} {expected}"
                );
            }
            // The tolerance would see statistics by part.
            let ghost = experiment(&settings(parts));
            let (ghost, _) = run(&ghost, (false, 1), None, None);
            let (ghost, expected) = (loss(&ghost.losses[0]), loss(&one.losses[0]));
            assert!(
                (ghost - expected).abs() > 1e-4 * expected,
                "{ghost} {expected}"
            );
            for k in [2, 3, 8] {
                let (again, _) = run(&sync, (false, k), None, None);
                assert!(again == seen, "{model} {parts} on {k} processes");
            }
            // As in the program, where the thread that trains is one of the pool's.
            let again = std::thread::scope(|scope| {
                let train = || {
                    let pool = rayon::ThreadPoolBuilder::new().num_threads(1);
                    let pool = pool.use_current_thread().build().unwrap();
                    pool.install(|| run(&sync, (false, 1), None, None).0)
                };
                scope.spawn(train).join().unwrap()
            });
            assert!(again == seen, "{model} {parts} on one thread");
            seen
        });
        assert_ne!(parts[0].weights, parts[1].weights);
    }
}

#[test]
fn what_batch_norm_cannot_do_is_refused() {
    let open = |settings: &str| {
        let words = settings.split_whitespace();
        let over: Vec<_> = words.map(|s| RunConfig::assignment(s).unwrap()).collect();
        let config = RunConfig::layered(None, &over).unwrap();
        Experiment::open(config, &Lab::standard(), &Search::default())
    };
    let common = "dataset=digits model=mlp model.batch_norm=true sync_batch_norm=true";
    let error = open(&format!("{common} ghost_batch=16")).err().unwrap();
    assert!(error.to_string().contains("sync_batch_norm"), "{error}");
    // A part of one example has the batch's statistics.
    assert!(open(&format!("{common} parts=64 batch_size=64")).is_ok());
}
