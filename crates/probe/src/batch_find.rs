//! Speed and memory at each batch size, up to the largest that fits.

use std::path::Path;

use largebatch_component::Kind;

use crate::dry_run::DryRun;
use crate::memory;
use crate::noise::Noise;
use crate::prelude::*;
use crate::vector::extent;

/// A search for the batch size: the options of the probe `batch-find`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct BatchSearch {
    /// First batch size; it doubles from then on.
    pub smallest: usize,
    /// Last batch size. By default all training examples.
    pub largest: Option<usize>,
    /// Seconds of timed steps at each size; at least three steps are timed.
    #[schemars(extend("exclusiveMinimum" = 0.0))]
    pub seconds: f64,
    /// The knee is the smallest batch that reaches this share of the highest speed.
    #[schemars(extend("exclusiveMinimum" = 0.0), range(max = 1.0))]
    pub knee: f64,
}

impl Default for BatchSearch {
    fn default() -> Self {
        BatchSearch {
            smallest: 16,
            largest: None,
            seconds: 0.5,
            knee: 0.9,
        }
    }
}

/// A batch size and its speed.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct BatchPoint {
    /// Examples per step.
    pub batch_size: usize,
    /// Number of timed steps.
    pub steps: usize,
    /// Median time of a step, including loading the data; for the model of many devices, the least.
    pub seconds_per_step: f64,
    /// Examples per second: batch size / median time.
    pub examples_per_second: f64,
    /// The process's peak memory during these steps, in bytes, including the data set; `null` if
    /// the system does not report it, and on a GPU.
    pub memory: Option<u64>,
}

/// Why the search ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum BatchEnd {
    /// The largest batch size, or all training examples, was reached.
    Largest,
    /// By the growth so far, the next size would not fit in the free memory.
    Memory,
    /// The caller stopped the search.
    Interrupted,
}

/// Speed and memory against batch size.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct BatchFind {
    /// Model, data set and optimizer, for titles.
    pub what: String,
    /// The device's name.
    pub device: String,
    /// Number of CPU threads.
    pub threads: usize,
    /// The measurements.
    pub points: Vec<BatchPoint>,
    /// The smallest batch size that reaches the fraction `knee` of the highest speed; larger
    /// batches save little time.
    pub knee: Option<usize>,
    /// The largest batch size that was trained.
    pub largest: Option<usize>,
    /// Why no larger one was tried.
    pub ended: BatchEnd,
    /// Number of training examples.
    pub examples: usize,
    /// The run's noise scale B_simple if `noise` measured it; the caller fills it in.
    pub noise_scale: Option<f64>,
}

impl BatchSearch {
    /// The sizes to try: each is twice the one before, and the largest is last.
    fn sizes(&self, experiment: &Experiment) -> Result<Vec<usize>, ProbeError> {
        let (examples, config) = (experiment.holdout.train.len(), &experiment.config);
        let largest = self.largest.unwrap_or(examples);
        // Batch norm needs two examples in each part: one has no variance.
        let has_batch_norm = experiment.initial_model()?.network.has_batch_norm();
        let least = if has_batch_norm {
            2 * config.parts()
        } else {
            1
        };
        if self.smallest < least || self.smallest > examples {
            let why = format!("must be between {least} and the {examples} training examples");
            return Err(ProbeError::value("smallest", self.smallest, why));
        }
        if largest < self.smallest || largest > examples {
            let why = format!(
                "must be between the smallest, {}, and the {examples} training examples",
                self.smallest
            );
            return Err(ProbeError::value("largest", largest, why));
        }
        largebatch_component::check(Kind::Probe, Self::FACTS.name, self)?;
        Ok(std::iter::successors(Some(self.smallest), |size| {
            (*size < largest).then_some((size * 2).min(largest))
        })
        .collect())
    }

    /// Times training steps (data, gradient, update) at batch sizes that double, with the
    /// experiment's data, model, optimizer and device.
    ///
    /// Each size takes one warm-up step before the timed steps. The weights are discarded. `watch`
    /// is called before each step, with the number of sizes done; an interrupted size is omitted.
    /// Before each size, its peak memory is predicted from the growth at the last doubling. If it
    /// exceeds nine tenths of the free memory, the search ends.
    ///
    /// Caveats: the times hold for this machine under its current load. The speed levels off when
    /// the cores are busy, which says nothing about learning: the noise scale B_simple (`noise`)
    /// limits the useful batch. On a GPU the memory is not read, and a batch that does not fit ends
    /// in the driver's error.
    ///
    /// Cost: for each size about `seconds` or four steps, whichever is longer.
    ///
    /// # Errors
    /// Settings out of range, and errors of training.
    pub fn run(&self, experiment: &Experiment, watch: Watch<'_>) -> Result<BatchFind, ProbeError> {
        self.time(experiment, watch, 3, |sorted| sorted[sorted.len() / 2])
    }

    /// The same with `fewest` timed steps or more at each size, of whose sorted times `of` chooses
    /// one.
    pub(crate) fn time(
        &self,
        experiment: &Experiment,
        watch: Watch<'_>,
        fewest: usize,
        of: fn(&[f64]) -> f64,
    ) -> Result<BatchFind, ProbeError> {
        let (sizes, config) = (self.sizes(experiment)?, &experiment.config);
        let cpu = ["flex", "ndarray"].contains(&config.device.as_str());
        let mut dry_run = DryRun::new(experiment)?;
        let (mut points, mut ended) = (Vec::<BatchPoint>::new(), BatchEnd::Largest);
        'sizes: for (done, &batch_size) in sizes.iter().enumerate() {
            if let [.., before, last] = points.as_slice()
                && let (Some(before), Some(last), Some(free)) =
                    (before.memory, last.memory, memory::free())
            {
                let growth = 2 * last.saturating_sub(before);
                if growth as f64 > 0.9 * free as f64 {
                    ended = BatchEnd::Memory;
                    break;
                }
            }
            let reset = cpu && memory::reset_peak();
            dry_run.step(batch_size)?; // The first step is slower.
            let (mut timed, mut total) = (Vec::new(), 0.0);
            while timed.len() < fewest || total < self.seconds {
                if !watch(done as u64, sizes.len() as u64) {
                    ended = BatchEnd::Interrupted;
                    break 'sizes;
                }
                let seconds = dry_run.step(batch_size)?;
                total += seconds;
                timed.push(seconds);
            }
            timed.sort_by(f64::total_cmp);
            let (steps, seconds_per_step) = (timed.len(), of(&timed));
            points.push(BatchPoint {
                batch_size,
                steps,
                seconds_per_step,
                examples_per_second: batch_size as f64 / seconds_per_step,
                memory: reset.then(memory::peak).flatten(),
            });
        }
        let fastest = points
            .iter()
            .map(|p| p.examples_per_second)
            .fold(0.0, f64::max);
        Ok(BatchFind {
            what: format!(
                "{} on {}, {}",
                config.model.name, config.dataset.name, config.optimizer.name
            ),
            device: config.device.clone(),
            threads: largebatch_train::threads(),
            knee: points
                .iter()
                .find(|p| p.examples_per_second >= self.knee * fastest)
                .map(|p| p.batch_size),
            largest: points.last().map(|p| p.batch_size),
            points,
            ended,
            examples: experiment.holdout.train.len(),
            noise_scale: None,
        })
    }
}

impl Probe for BatchSearch {
    const FACTS: Facts = Facts::new(
        "batch-find",
        "Measure speed and memory for each batch size, and find the knee and the largest batch that fits",
    );
    const TARGET: Target = Target::Settings;
    const HELP: &'static str = "\
Examples:
  largebatch probe batch-find runs/digits-mlp-sgd
  largebatch probe batch-find --set dataset=mnist --set model=lenet5 --largest 4096
  largebatch probe batch-find examples/train/mnist-mlp.toml --threads 1

If `largebatch probe noise` has measured the same run, its noise scale is shown with the speeds: below it a larger batch saves steps, above it \
a larger batch saves at most machine time.";
    type Record = BatchFind;

    fn cost(&self, at: &[Point<'_>]) -> Result<Cost, ProbeError> {
        let experiment = at[0].experiment;
        let sizes = self.sizes(experiment)?;
        let largest = sizes.last().copied().unwrap_or(self.smallest);
        let example = DryRun::new(experiment)?.example_seconds(largest)?;
        let step = |size: &usize| *size as f64 * example;
        let of = |size| step(size) + self.seconds.max(3.0 * step(size));
        let work = format!("steps of {} to {largest} examples", self.smallest);
        Ok(Cost::new(work, "batch sizes", sizes.iter().map(of).sum()))
    }

    fn measure(&self, at: &[Point<'_>], watch: Watch) -> Result<(BatchFind, bool), ProbeError> {
        let mut found = self.run(at[0].experiment, watch)?;
        found.noise_scale = noise_scale(&at[0].folder.join("probe/noise.json"));
        let complete = found.ended != BatchEnd::Interrupted;
        Ok((found, complete))
    }

    fn figures(&self, found: &BatchFind, _: &[Point<'_>]) -> Vec<Figure> {
        let speed: Vec<(f64, f64)> = found
            .points
            .iter()
            .map(|p| (p.batch_size as f64, p.examples_per_second))
            .collect();
        let mut plot = Plot::new("batch-find", &format!("Speed: {}", found.what))
            .x("batch size", Scale::Log)
            .y("examples per second", Scale::Log)
            .x_ticks(speed.iter().map(|p| p.0));
        if let Some(first) = speed.first() {
            let last = speed.last().unwrap_or(first);
            plot = plot.dashed(
                "constant time per step",
                [(first.0, first.1), (last.0, first.1 * last.0 / first.0)],
            );
            let (lowest, highest) = extent(speed.iter().map(|p| p.1));
            plot = plot.y_range(0.8 * lowest, 1.3 * highest);
        }
        plot = plot
            .line("measured", speed.clone())
            .points("measured", speed);
        for (label, size) in [
            ("knee", found.knee.map(|b| b as f64)),
            ("B_simple", found.noise_scale),
        ] {
            if let Some(size) = size {
                plot = plot.guide_x(&format!("{label} {size:.0}"), size);
            }
        }
        let memory = found.points.last().and_then(|p| p.memory);
        let memory =
            memory.map(|m| format!(" Peak memory at the largest batch: {}.", mebibytes(m)));
        let text = format!(
            "Median of timed training steps on {} with {} threads.{}",
            found.device,
            found.threads,
            memory.unwrap_or_default()
        );
        vec![plot.caption(&text).figure()]
    }

    fn summary(&self, found: &BatchFind, _: &[Point<'_>]) -> String {
        let mut text = format!(
            "{}, {}, {} threads\n{:>10} {:>14} {:>12} {:>10}\n",
            found.what, found.device, found.threads, "batch", "examples/s", "ms/step", "memory"
        );
        // Writing to a String cannot fail.
        for p in &found.points {
            let memory = p.memory.map_or("–".to_owned(), mebibytes);
            let _ = writeln!(
                text,
                "{:>10} {:>14.0} {:>12.3} {memory:>10}",
                p.batch_size,
                p.examples_per_second,
                1e3 * p.seconds_per_step
            );
        }
        if let Some(knee) = found.knee {
            let _ = writeln!(
                text,
                "  knee       {knee}: the smallest batch close to the highest speed"
            );
        }
        if let Some(largest) = found.largest {
            let why = match found.ended {
                BatchEnd::Largest if largest == found.examples => "all training examples",
                BatchEnd::Largest => "the limit of --largest",
                BatchEnd::Memory => "twice this size would not fit into the free memory",
                BatchEnd::Interrupted => "interrupted",
            };
            let _ = writeln!(text, "  largest    {largest}: {why}");
        }
        let _ = match found.noise_scale {
            Some(b) => write!(
                text,
                "  B_simple   {b:.0}: the gradient noise scale; above it a larger batch saves few steps"
            ),
            None => write!(
                text,
                "  B_simple   not measured: `largebatch probe noise` estimates the largest useful batch"
            ),
        };
        text
    }
}

fn mebibytes(bytes: u64) -> String {
    format!("{:.0} MiB", bytes as f64 / 1_048_576.0)
}

/// B_simple from the file that `noise` wrote, if there is one.
pub(crate) fn noise_scale(file: &Path) -> Option<f64> {
    let text = std::fs::read_to_string(file).ok()?;
    let record: Record<Noise> = serde_json::from_str(&text).ok()?;
    record.result.b_simple
}
