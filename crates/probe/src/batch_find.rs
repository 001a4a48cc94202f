//! How fast the machine is at each batch size, and what fits.

use largebatch_report::Figure;
use largebatch_report::plot::{Plot, Scale};
use largebatch_train::Experiment;
use serde::{Deserialize, Serialize};

use crate::memory;
use crate::rehearsal::Rehearsal;
use crate::{ProbeError, Watch};

/// The settings of a search for the batch size.
///
/// | field | default | meaning |
/// | --- | --- | --- |
/// | `smallest` | 16 | the first batch size; each next is twice as large |
/// | `largest` | all | the last batch size, at most the training examples |
/// | `seconds` | 0.5 | at least so long, and at least three steps, are timed at each size |
/// | `knee` | 0.9 | the knee is the smallest batch with this share of the highest speed |
#[derive(Debug, Clone, PartialEq)]
pub struct BatchSearch {
    /// The first batch size.
    pub smallest: usize,
    /// The last batch size.
    pub largest: Option<usize>,
    /// Seconds of timed steps at each size.
    pub seconds: f64,
    /// The share of the highest speed that makes the knee.
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

/// A batch size and how fast it is.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct BatchPoint {
    /// Examples a step.
    pub batch_size: usize,
    /// Timed steps.
    pub steps: usize,
    /// The median time of a step, data included.
    pub seconds_per_step: f64,
    /// Examples a second: batch size / median time.
    pub examples_per_second: f64,
    /// The process's peak memory during these steps, in bytes, data set included; `null` where the system does not say, and on a GPU.
    pub memory: Option<u64>,
}

/// Why no larger batch was tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum BatchEnd {
    /// The largest batch size asked for, or all training examples.
    Largest,
    /// The next would not fit into the free memory, by the growth so far.
    Memory,
    /// Somebody asked to stop.
    Interrupted,
}

/// Speed and memory against batch size.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct BatchFind {
    /// Model, data set and optimizer, for titles.
    pub what: String,
    /// The device's name.
    pub device: String,
    /// CPU threads.
    pub threads: usize,
    /// The measurements.
    pub points: Vec<BatchPoint>,
    /// The smallest batch size that reaches the knee's share of the highest speed: beyond it a larger batch buys little time.
    pub knee: Option<usize>,
    /// The largest batch size that was trained.
    pub largest: Option<usize>,
    /// Why no larger one was.
    pub ended: BatchEnd,
    /// The training examples.
    pub examples: usize,
    /// B_simple of the run, where `noise` measured it: the caller fills it in.
    pub noise_scale: Option<f64>,
}

impl BatchSearch {
    /// The sizes to be tried, each twice the one before and the largest at the end.
    fn sizes(&self, experiment: &Experiment) -> Result<Vec<usize>, ProbeError> {
        let (examples, config) = (experiment.split.train.len(), &experiment.config);
        let largest = self.largest.unwrap_or(examples);
        // Batch norm has no variance of one example.
        let has_batch_norm = experiment.initial_model()?.network.has_batch_norm();
        let least = if has_batch_norm {
            2 * config.accumulate * config.workers
        } else {
            1
        };
        if self.smallest < least || self.smallest > examples {
            return Err(ProbeError::value(
                "smallest",
                self.smallest,
                format!("must lie between {least} and the {examples} training examples"),
            ));
        }
        if largest < self.smallest || largest > examples {
            let why = format!(
                "must lie between the smallest, {}, and the {examples} training examples",
                self.smallest
            );
            return Err(ProbeError::value("largest", largest, why));
        }
        if !(self.seconds > 0.0 && self.seconds.is_finite()) {
            return Err(ProbeError::value(
                "seconds",
                self.seconds,
                "must be positive",
            ));
        }
        if !(self.knee > 0.0 && self.knee <= 1.0) {
            return Err(ProbeError::value("knee", self.knee, "a share in (0, 1]"));
        }
        Ok(std::iter::successors(Some(self.smallest), |size| {
            (*size < largest).then_some((size * 2).min(largest))
        })
        .collect())
    }

    /// An estimate of the seconds that [`BatchSearch::run`] takes to its end, from three small steps.
    ///
    /// # Errors
    /// Those of [`BatchSearch::run`].
    pub fn seconds(&self, experiment: &Experiment) -> Result<f64, ProbeError> {
        let sizes = self.sizes(experiment)?;
        let largest = sizes.last().copied().unwrap_or(self.smallest);
        let example = Rehearsal::new(experiment)?.example_seconds(largest)?;
        let step = |size: &usize| *size as f64 * example;
        Ok(sizes
            .iter()
            .map(|size| step(size) + self.seconds.max(3.0 * step(size)))
            .sum())
    }

    /// Times training steps (data, gradient, update) at batch sizes that double, on the experiment's own data, model, optimizer and device.
    ///
    /// Each size does one step to warm up, then is timed. The weights are thrown away. `watch` is asked before each step, and hears of sizes; a size that
    /// it breaks off is left out. Before a size is tried, its peak memory is foretold from the growth of the last doubling; where that is more than nine
    /// tenths of what is free, the search ends.
    ///
    /// Caveats: times are of this machine as loaded now; speed levels off where its cores are busy, whatever that does to learning: the noise scale B_simple
    /// (`noise`) bounds the useful batch from the other side. On a GPU the memory is not read, and a batch that does not fit ends in the driver's error.
    ///
    /// Cost: about `seconds` or four steps for each size, whichever is longer.
    ///
    /// # Errors
    /// Settings out of range, and those of training.
    pub fn run(&self, experiment: &Experiment, watch: Watch<'_>) -> Result<BatchFind, ProbeError> {
        let (sizes, config) = (self.sizes(experiment)?, &experiment.config);
        let cpu = ["flex", "ndarray"].contains(&config.device.as_str());
        let mut rehearsal = Rehearsal::new(experiment)?;
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
            let mut times = Vec::new();
            while times.len() < 4 || times[1..].iter().sum::<f64>() < self.seconds {
                if !watch(done as u64, sizes.len() as u64) {
                    ended = BatchEnd::Interrupted;
                    break 'sizes;
                }
                times.push(rehearsal.step(batch_size)?);
            }
            let mut timed = times.split_off(1);
            timed.sort_by(f64::total_cmp);
            let (steps, median) = (timed.len(), timed[timed.len() / 2]);
            points.push(BatchPoint {
                batch_size,
                steps,
                seconds_per_step: median,
                examples_per_second: batch_size as f64 / median,
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
            examples: experiment.split.train.len(),
            noise_scale: None,
        })
    }
}

impl BatchFind {
    /// Examples a second against the batch size, with the knee, the largest that fits and the noise scale.
    pub fn figure(&self) -> Figure {
        let speed: Vec<(f64, f64)> = self
            .points
            .iter()
            .map(|p| (p.batch_size as f64, p.examples_per_second))
            .collect();
        let mut plot = Plot::new("batch-find", &format!("Speed: {}", self.what))
            .x("batch size", Scale::Log)
            .y("examples a second", Scale::Log)
            .x_ticks(speed.iter().map(|p| p.0));
        if let Some(first) = speed.first() {
            let last = speed.last().unwrap_or(first);
            plot = plot.dashed(
                "time of a step constant",
                [(first.0, first.1), (last.0, first.1 * last.0 / first.0)],
            );
            let highest = speed.iter().map(|p| p.1).fold(0.0, f64::max);
            plot = plot.y_range(
                0.8 * speed.iter().map(|p| p.1).fold(f64::INFINITY, f64::min),
                1.3 * highest,
            );
        }
        plot = plot
            .line("measured", speed.clone())
            .points("measured", speed);
        for (label, size) in [
            ("knee", self.knee.map(|b| b as f64)),
            ("B_simple", self.noise_scale),
        ] {
            if let Some(size) = size {
                plot = plot.guide_x(&format!("{label} {size:.0}"), size);
            }
        }
        let memory = self.points.last().and_then(|p| p.memory).map(|m| {
            format!(
                " Peak memory at the largest: {:.0} MiB.",
                m as f64 / 1_048_576.0
            )
        });
        let text = format!(
            "Training steps on {}, {} threads; median of the timed steps.{}",
            self.device,
            self.threads,
            memory.unwrap_or_default()
        );
        plot.caption(&text).figure()
    }
}
