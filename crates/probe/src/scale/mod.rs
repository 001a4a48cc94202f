//! What a training would cost on many devices, from its steps on this machine and a model of the
//! network. The formula, its rows and the tests of both against closed forms stand together here.

use std::path::Path;

use burn::module::Module as _;
use largebatch_parallel::{Cost, Peers, Unconnected, add_seconds_per_byte};

use crate::batch_find::{BatchEnd, BatchFind, BatchPoint, BatchSearch, noise_scale};
use crate::dry_run::DryRun;
use crate::prelude::*;

mod network;
mod text;

pub use network::Network;

/// A training on some number of devices.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Devices {
    /// K.
    pub devices: usize,
    /// Examples per step, of all devices together.
    pub batch_size: usize,
    /// Seconds of a step in which the gradients are summed.
    pub reduction_seconds: f64,
    /// Seconds of a step.
    pub seconds_per_step: f64,
    /// The speed, as a fraction of K times that of one device.
    pub efficiency: f64,
    /// Examples per second, of all devices together.
    pub examples_per_second: f64,
}

/// The model of a training on 1 to 4,096 devices.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Scaling {
    /// Model, data set and optimizer, for titles.
    pub what: String,
    /// The device's name.
    pub device: String,
    /// Number of CPU threads of a device.
    pub threads: usize,
    /// The batch size of the settings.
    pub batch_size: usize,
    /// N, the number of trained parameters.
    pub parameters: usize,
    /// The network between the devices.
    pub network: Network,
    /// γ, measured here or with the network.
    pub add_seconds_per_byte: f64,
    /// H: the seconds of a step on several devices in which gradients are packed and unpacked.
    pub host_seconds: f64,
    /// The measured steps of one device: the least time at each batch size.
    pub computing: Vec<BatchPoint>,
    /// Weak scaling: each device has a batch of its own of `batch_size` examples.
    pub weak: Vec<Devices>,
    /// Strong scaling: the devices share a batch of `batch_size` examples.
    pub strong: Vec<Devices>,
    /// The least number of devices for which the reduction takes longer than computing, in weak
    /// scaling.
    pub weak_bound: Option<usize>,
    /// The same in strong scaling.
    pub strong_bound: Option<usize>,
    /// n, the number of training examples.
    pub examples: usize,
    /// Options of the training that the model leaves out.
    pub left_out: Vec<String>,
    /// The run's noise scale B_simple if `noise` measured it; the caller fills it in.
    pub noise_scale: Option<f64>,
}

/// The largest number of devices.
const MOST: usize = 4096;

/// The least number of timed steps of each kind. Other work on the machine only adds time, so the
/// least one counts.
const FEWEST: usize = 5;

/// The words of a step's other exchanges, per part: counts, loss and hits.
const WORDS: usize = 8;

/// Measures the steps of a training on this machine, and computes what they would take on 1, 2, 4, …
/// 4,096 such devices, each with one part of the batch. The experiment is left with two parts.
///
/// A step on K devices takes t(b) + R(K), where t(b) is the step of one device with b examples, the
/// least of at least five measured ones, and
///
/// R(K) = sum(K, 4 N bytes) + 3 gather(K, 4 bytes) + gather(K, 4 (8 + S) bytes) + H.
///
/// [`Cost`] has the formulas of sum and gather. N is the number of parameters. S is the number of
/// batch norm's statistics, which each part has of its own. H is measured: what a process of two
/// takes longer for a step if the network takes no time, without the adding. R(1) = 0. Efficiency is
/// t(B) / (t(B) + R(K)) if each device has its own batch of B examples (weak scaling), and
/// t(B) / (K (t(⌈B/K⌉) + R(K))) if all share one (strong scaling). Between measured batch sizes, t is
/// linear.
///
/// Left out: `shard_optimizer` and `sync_batch_norm`, a device that is slower than the others,
/// transfers between a GPU and its host beyond H, evaluations and checkpoints.
///
/// Cost: about `seconds` for each of the batch sizes 1, 2, 4, …, B, and twice more. `watch` is called
/// before each step; if it returns `false`, the result is `None`.
///
/// # Errors
/// A batch that does not fit in the memory; errors of training.
pub fn scale(
    experiment: &mut Experiment,
    network: Network,
    seconds: f64,
    watch: Watch<'_>,
) -> Result<Option<Scaling>, ProbeError> {
    if seconds.is_nan() || seconds <= 0.0 {
        return Err(ProbeError::value("seconds", seconds, "must be above 0"));
    }
    let model = experiment.initial_model()?.network;
    let parameters = model.parameter_count();
    let statistics = model.num_params() - parameters;
    let batch = experiment.config.batch_size.unwrap_or(1);
    let norm = model.has_batch_norm();
    let least = if norm { 2 } else { 1 };
    drop(model);
    let config = &mut experiment.config;
    (config.parts, config.accumulate, config.workers) = (Some(1), 1, 1);
    let options = [
        (
            "shard_optimizer",
            std::mem::take(&mut config.shard_optimizer),
        ),
        (
            "sync_batch_norm",
            std::mem::take(&mut config.sync_batch_norm) && norm,
        ),
    ];
    let left_out = options.into_iter().filter(|option| option.1);
    let left_out = left_out.map(|option| option.0.to_owned()).collect();
    let search = BatchSearch {
        smallest: least.min(batch),
        largest: Some(batch),
        seconds,
        ..BatchSearch::default()
    };
    let found = search.time(experiment, watch, FEWEST, |sorted| sorted[0])?;
    match found.ended {
        BatchEnd::Interrupted => return Ok(None),
        BatchEnd::Memory => {
            let why = "does not fit into the free memory of one device; take a smaller one, as with --set batch_size=256";
            return Err(ProbeError::value("batch_size", batch, why));
        }
        BatchEnd::Largest => {}
    }
    let bytes = (parameters * size_of::<f32>()) as f64;
    let add = network
        .add_seconds_per_byte
        .unwrap_or_else(add_seconds_per_byte);
    let alone = least_seconds(experiment, None, least, seconds)?;
    experiment.config.parts = Some(2);
    let two = least_seconds(experiment, Some(&Unconnected { count: 2 }), least, seconds)?;
    let added = add_seconds_per_byte() * bytes / 2.0;
    let host = (two - alone - added).max(0.0);
    let reduction = Reduction {
        cost: network.cost(add),
        bytes,
        part_bytes: (size_of::<f32>() * (WORDS + statistics)) as f64,
        host,
    };
    Ok(Some(Scaling {
        left_out,
        ..Scaling::new(found, batch, least, parameters, network, &reduction)
    }))
}

/// The shortest step with `batch` examples, of one process or of each of two.
fn least_seconds(
    experiment: &Experiment,
    peers: Option<&dyn Peers>,
    batch: usize,
    seconds: f64,
) -> Result<f64, ProbeError> {
    let batch = batch * peers.map_or(1, Peers::count);
    let mut steps = DryRun::shared(experiment, peers)?;
    steps.step(batch)?; // The first step is slower.
    let (mut least, mut total, mut count) = (f64::INFINITY, 0.0, 0);
    while count < FEWEST || total < seconds {
        let step = steps.step(batch)?;
        (least, total, count) = (least.min(step), total + step, count + 1);
    }
    Ok(least)
}

/// What R(K) depends on.
struct Reduction {
    cost: Cost,
    /// Of a gradient.
    bytes: f64,
    /// Of what is gathered from each part.
    part_bytes: f64,
    host: f64,
}

impl Reduction {
    fn seconds(&self, k: usize) -> f64 {
        if k == 1 {
            return 0.0;
        }
        let gathers = 3.0 * self.cost.gather(k, 4.0) + self.cost.gather(k, self.part_bytes);
        self.cost.sum(k, self.bytes) + gathers + self.host
    }
}

/// t(b): linear between measured batch sizes.
fn computing(points: &[BatchPoint], batch: usize) -> f64 {
    let after = points.iter().position(|p| p.batch_size >= batch);
    let Some(after) = after.map(|i| &points[i.saturating_sub(1)..=i]) else {
        return f64::NAN; // The batch of the settings is the largest, and was measured.
    };
    let (low, high) = (after[0], after[after.len() - 1]);
    let width = high.batch_size - low.batch_size;
    let share = match width {
        0 => 0.0,
        width => batch.saturating_sub(low.batch_size) as f64 / width as f64,
    };
    low.seconds_per_step + share * (high.seconds_per_step - low.seconds_per_step)
}

impl Scaling {
    fn new(
        found: BatchFind,
        batch: usize,
        least: usize,
        parameters: usize,
        network: Network,
        reduction: &Reduction,
    ) -> Self {
        let points = &found.points;
        let one = computing(points, batch);
        let counts = || std::iter::successors(Some(1), |k| (2 * k <= MOST).then_some(2 * k));
        let row = |k: usize, each: usize, all: usize| {
            let reduction_seconds = reduction.seconds(k);
            let seconds_per_step = computing(points, each) + reduction_seconds;
            let share = all as f64 / (k * batch) as f64;
            Devices {
                devices: k,
                batch_size: all,
                reduction_seconds,
                seconds_per_step,
                efficiency: share * one / seconds_per_step,
                examples_per_second: all as f64 / seconds_per_step,
            }
        };
        let weak: Vec<Devices> = counts().map(|k| row(k, batch, k * batch)).collect();
        let shares = counts().take_while(|k| batch / k >= least);
        let strong: Vec<Devices> = shares.map(|k| row(k, batch.div_ceil(k), batch)).collect();
        let bound = |rows: &[Devices]| {
            let mut over = rows.iter();
            over.find(|row| row.reduction_seconds > row.seconds_per_step / 2.0)
                .map(|row| row.devices)
        };
        Scaling {
            what: found.what,
            device: found.device,
            threads: found.threads,
            batch_size: batch,
            parameters,
            network,
            add_seconds_per_byte: reduction.cost.add,
            host_seconds: reduction.host,
            weak_bound: bound(&weak),
            strong_bound: bound(&strong),
            weak,
            strong,
            computing: found.points,
            examples: found.examples,
            left_out: Vec::new(),
            noise_scale: None,
        }
    }

    /// Takes over the noise scale that the probe `noise` has measured on a run.
    pub fn with_noise_scale_of(self, run: &Path) -> Self {
        Scaling {
            noise_scale: noise_scale(&run.join("probe/noise.json")),
            ..self
        }
    }

    /// The seconds of a step of one device.
    pub fn step_seconds(&self) -> f64 {
        computing(&self.computing, self.batch_size)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn point(batch_size: usize, seconds: f64) -> BatchPoint {
        BatchPoint {
            batch_size,
            steps: 3,
            seconds_per_step: seconds,
            examples_per_second: batch_size as f64 / seconds,
            memory: None,
        }
    }

    /// Steps of 1 ms and 0.1 ms per example, at batch sizes that double up to 96.
    fn found() -> BatchFind {
        let sizes = [1, 2, 4, 8, 16, 32, 64, 96];
        BatchFind {
            what: "a model".into(),
            device: "flex".into(),
            threads: 1,
            points: sizes.map(|b| point(b, 1e-3 + 1e-4 * b as f64)).to_vec(),
            knee: None,
            largest: None,
            ended: BatchEnd::Largest,
            examples: 96,
            noise_scale: None,
        }
    }

    fn scaling(network: &str) -> Scaling {
        let network = Network::nominal(network).unwrap();
        let reduction = Reduction {
            cost: network.cost(1e-10),
            bytes: 4e6,
            part_bytes: 32.0,
            host: 5e-4,
        };
        Scaling::new(found(), 96, 1, 1_000_000, network, &reduction)
    }

    fn close(a: f64, b: f64) {
        assert!((a / b - 1.0).abs() < 1e-12, "{a} and {b}");
    }

    #[test]
    fn a_step_between_measured_sizes_is_on_the_line() {
        let points = found().points;
        for batch in 1..=96 {
            close(computing(&points, batch), 1e-3 + 1e-4 * batch as f64);
        }
    }

    #[test]
    fn rows_are_the_closed_form() {
        let found = scaling("10gbe");
        let devices: Vec<usize> = found.weak.iter().map(|row| row.devices).collect();
        assert_eq!(devices, (0..13).map(|i| 1 << i).collect::<Vec<_>>());
        // The batch has 96 examples: 128 devices cannot share it.
        assert_eq!(found.strong.last().unwrap().devices, 64);
        let one = 1e-3 + 96e-4;
        for row in &found.weak {
            let k = row.devices as f64;
            let levels = k.log2();
            let bytes = (k - 1.0) / k * 4e6 * (2.0 / 1.25e9 + 1e-10);
            let gathers = 4.0 * levels * 20e-6 + (k - 1.0) * (3.0 * 4.0 + 32.0) / 1.25e9;
            let host = if row.devices == 1 { 0.0 } else { 5e-4 };
            let reduction = 2.0 * levels * 20e-6 + bytes + gathers + host;
            assert!((row.reduction_seconds - reduction).abs() < 1e-15);
            close(row.efficiency, one / (one + reduction));
            close(row.examples_per_second, 96.0 * k / (one + reduction));
            assert_eq!(row.batch_size, 96 * row.devices);
        }
        for (strong, weak) in found.strong.iter().zip(&found.weak) {
            let k = strong.devices as f64;
            let each = 1e-3 + 1e-4 * 96usize.div_ceil(strong.devices) as f64;
            close(strong.seconds_per_step, each + weak.reduction_seconds);
            close(
                strong.efficiency,
                one / (k * (each + weak.reduction_seconds)),
            );
            assert_eq!(strong.batch_size, 96);
        }
        assert_eq!(found.weak[0].efficiency, 1.0);
        assert_eq!(found.strong[0].efficiency, 1.0);
    }

    #[test]
    fn the_network_binds_where_the_reduction_is_longer() {
        // 10.6 ms of computing; 4 MB over 0.125 GB/s take 32 ms for two devices, over 12.5 GB/s 0.6 ms.
        let slow = scaling("1gbe");
        assert_eq!((slow.weak_bound, slow.strong_bound), (Some(2), Some(2)));
        let fast = scaling("100gbe");
        assert_eq!(fast.weak_bound, None);
        let bound = fast.strong_bound.unwrap();
        for row in &fast.strong {
            let computing = row.seconds_per_step - row.reduction_seconds;
            assert_eq!(row.devices >= bound, row.reduction_seconds > computing);
        }
        let text = fast.summary();
        assert!(text.contains("100gbe: 2 µs, 12.5 GB/s (nominal)"), "{text}");
        let line = format!("strong    the network binds from {bound} devices on");
        assert!(text.contains(&line), "{text}");
    }

    #[test]
    fn the_noise_scale_bounds_useful_devices() {
        let mut found = scaling("100gbe");
        found.noise_scale = Some(400.0);
        assert!(
            found.summary().contains("400: from 8 devices on"),
            "{}",
            found.summary()
        );
        found.noise_scale = Some(50.0);
        let text = found.summary();
        assert!(
            text.contains("50: the batch of one device is larger"),
            "{text}"
        );
    }

    #[test]
    fn what_a_reader_may_wonder_about_is_said() {
        let mut found = scaling("100gbe");
        let text = found.summary();
        // The batch has 96 of the 96 examples.
        assert!(
            text.contains("from 2 devices on, the weak batch exceeds the 96 training"),
            "{text}"
        );
        assert!(
            !text.contains("above 100 %") && !text.contains("left out"),
            "{text}"
        );
        found.left_out = vec!["shard_optimizer".into()];
        found.strong[1].efficiency = 2.5;
        let text = found.summary();
        assert!(
            text.contains("above 100 %") && text.contains("left out  shard_optimizer"),
            "{text}"
        );
        // The axis reaches the highest point.
        let svg = found.figure().svg();
        assert!(svg.contains(">2<"), "{svg}");
    }
}
