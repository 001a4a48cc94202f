//! The learning-rate range test.

use std::time::Instant;

use largebatch_component::Kind;
use largebatch_plot::capital;
use largebatch_train::Trainer;

use crate::dry_run::DryRun;
use crate::prelude::*;
use crate::rates::{descent, smoothed, steepest, valley};
use crate::vector::extent;

/// A range test: the options of the probe `lr-find`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RangeTest {
    /// First rate.
    #[schemars(extend("exclusiveMinimum" = 0.0, "why" = "each step multiplies the rate by a factor"))]
    pub lowest: f64,
    /// Last rate, above the first.
    pub highest: f64,
    /// Steps from the first to the last rate.
    #[schemars(range(min = 10))]
    pub steps: usize,
    /// Smoothing factor β of the loss's moving average; 0 for none.
    #[schemars(range(min = 0.0), extend("exclusiveMaximum" = 1.0))]
    pub smoothing: f64,
    /// Stop when the smoothed loss exceeds its minimum so far this many times over.
    #[schemars(extend("exclusiveMinimum" = 1.0))]
    pub divergence: f64,
}

impl Default for RangeTest {
    fn default() -> Self {
        RangeTest {
            lowest: 1e-6,
            highest: 10.0,
            steps: 100,
            smoothing: 0.9,
            divergence: 4.0,
        }
    }
}

/// Batches below this size do not represent the loss: at batch size 1, the losses of single
/// examples differ a hundredfold.
const SMALL: usize = 64;

/// Number of examples over which the loss is computed for such batches.
const SAMPLE: usize = 256;

/// One step of a range test.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct RangePoint {
    /// The learning rate of this step's update.
    pub lr: f64,
    /// The mean loss before the update: over the batch, or, if it has fewer than 64 examples, over
    /// 256 fixed training examples. `null` if it is not finite.
    pub loss: Option<f64>,
    /// The bias-corrected moving average of the losses up to here.
    pub smoothed: Option<f64>,
}

/// Why a range test ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RangeEnd {
    /// The highest learning rate was reached without divergence.
    Highest,
    /// The loss diverged.
    Diverged,
    /// The caller stopped the test.
    Interrupted,
}

/// The curve of a range test and the rates that it suggests.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LrFind {
    /// Model, data set and optimizer, for titles.
    pub what: String,
    /// Examples per step.
    pub batch_size: usize,
    /// The seed of the initial weights and the order of examples.
    pub seed: u64,
    /// The curve.
    pub points: Vec<RangePoint>,
    /// The learning rate at which the smoothed loss falls most steeply over log η: it learns fast.
    pub steepest: Option<f64>,
    /// A learning rate within the longest valley of the smoothed loss: usually the safer choice.
    pub valley: Option<f64>,
    /// The learning rate at which the loss diverged.
    pub divergence: Option<f64>,
    /// Why the test ended.
    pub ended: RangeEnd,
    /// Duration of the test in seconds.
    pub seconds: f64,
}

impl RangeTest {
    fn check_values(&self) -> Result<(), ProbeError> {
        largebatch_component::check(Kind::Probe, Self::FACTS.name, self)?;
        if self.highest > self.lowest {
            return Ok(());
        }
        let why = format!("the last rate must be above the first, {}", self.lowest);
        Err(ProbeError::value("highest", self.highest, why))
    }

    /// Trains from the initial weights with the learning rate η_t = lowest ·
    /// (highest/lowest)^(t/(steps − 1)), t = 0, 1, … (Smith 2017, arXiv 1506.01186; exponential
    /// growth and smoothing as in Gugger 2018 and fastai).
    ///
    /// The test uses the experiment's optimizer, batch size, clipping, augmentation and seed, but
    /// not its schedules of rate and batch size. It trains a separate network and discards it, so
    /// nothing has to be restored. `watch` is called before each step.
    ///
    /// In the first tenth of the steps the average covers few losses: there, only a loss that is
    /// not finite counts as divergence, and the suggestions ignore these steps. They also ignore
    /// what comes after the minimum of the smoothed loss. Divergence is measured against that
    /// minimum, or against the loss of the initial weights over 256 training examples if it is
    /// lower. The valley is searched from the point at which a twentieth of the fall is done.
    ///
    /// Caveats: the curve depends on how fast the rate grows, because the weights move meanwhile. A
    /// loss that falls late can hide that a rate is too high for longer training. The rate of
    /// divergence is above the largest rate that trains stably; with SGD it is above 2/λ_max, which
    /// `curvature` measures. fastai smooths with β = 0.98, which shifts the curve by tens of steps;
    /// the default here is 0.9.
    ///
    /// Cost: `steps` training steps, and for batches below 64 as many losses of 256 examples.
    ///
    /// # Errors
    /// Settings out of range, and errors of training. Divergence is a result, not an error.
    pub fn run(&self, experiment: &Experiment, watch: Watch<'_>) -> Result<LrFind, ProbeError> {
        self.check_values()?;
        let (started, config) = (Instant::now(), &experiment.config);
        let mut network = experiment.initial_model()?.network;
        let mut trainer = Trainer::new(experiment, &network, false)?;
        let mut order = experiment.order()?;
        let batch = config.batch_size.unwrap_or(1);
        let (mut rates, mut losses, mut least) = (
            Vec::new(),
            Vec::<f64>::new(),
            experiment.loss_in_training(&network, SAMPLE)?,
        );
        let (mut ended, skipped) = (RangeEnd::Highest, self.steps / 10);
        for step in 0..self.steps {
            if !watch(step as u64, self.steps as u64) {
                ended = RangeEnd::Interrupted;
                break;
            }
            let lr = self.lowest
                * (self.highest / self.lowest).powf(step as f64 / (self.steps - 1) as f64);
            let (epoch, indices) = order.next(batch);
            let small = indices.len() < SMALL;
            let of_sample = small.then(|| trainer.loss_in_training(&network, SAMPLE));
            let (next, of_batch) = trainer.step_on(network, (epoch, &indices), lr)?;
            network = next;
            rates.push(lr);
            losses.push(of_sample.unwrap_or(Ok(of_batch))?);
            let now = smoothed(&losses, self.smoothing)
                .last()
                .copied()
                .unwrap_or(f64::NAN);
            if step >= skipped {
                least = least.min(now);
            }
            if !now.is_finite() || (step >= skipped && now > self.divergence * least) {
                ended = RangeEnd::Diverged;
                break;
            }
        }
        let averages = smoothed(&losses, self.smoothing);
        let falling = averages.get(skipped..).unwrap_or_default();
        let end = (0..falling.len())
            .filter(|&i| falling[i].is_finite())
            .min_by(|&i, &j| falling[i].total_cmp(&falling[j]))
            .map_or(0, |i| i + 1);
        let begun = descent(&falling[..end]);
        let rate = |index: Option<usize>| index.map(|i| rates[skipped + i]);
        let finite = |x: f64| Some(x).filter(|x| x.is_finite());
        let points = rates.iter().zip(&losses).zip(&averages);
        Ok(LrFind {
            what: format!(
                "{} on {}, {}",
                config.model.name, config.dataset.name, config.optimizer.name
            ),
            batch_size: batch,
            seed: config.seed,
            steepest: rate(steepest(&falling[..end])),
            valley: rate(valley(&falling[begun..end]).map(|i| begun + i)),
            divergence: rates
                .last()
                .copied()
                .filter(|_| ended == RangeEnd::Diverged),
            points: points
                .map(|((lr, loss), s)| RangePoint {
                    lr: *lr,
                    loss: finite(*loss),
                    smoothed: finite(*s),
                })
                .collect(),
            ended,
            seconds: started.elapsed().as_secs_f64(),
        })
    }
}

impl LrFind {
    /// Plots the losses against the learning rate, with the suggested rates.
    pub fn figure(&self) -> Figure {
        let of = |value: fn(&RangePoint) -> Option<f64>| {
            self.points
                .iter()
                .filter_map(|p| Some((p.lr, value(p)?)))
                .collect::<Vec<_>>()
        };
        let (raw, smooth) = (of(|p| p.loss), of(|p| p.smoothed));
        let first = smooth.first().map_or(1.0, |p| p.1);
        let (low, _) = extent(raw.iter().chain(&smooth).map(|p| p.1));
        // A diverging loss leaves the plotted range.
        let high = raw.iter().map(|p| p.1).fold(0.0, f64::max).min(2.0 * first);
        let mut plot = Plot::new("lr-find", &format!("Range test: {}", self.what))
            .x("learning rate η", Scale::Log)
            .y("mini-batch loss", Scale::Linear);
        if low.is_finite() && high > low {
            plot = plot.y_range(
                low.min(0.0).max(low - 0.05 * (high - low)),
                high + 0.03 * (high - low),
            );
        }
        plot = plot.points("each step", raw).line("smoothed", smooth);
        let mut found = String::new();
        for (label, rate) in [
            ("valley", self.valley),
            ("steepest", self.steepest),
            ("diverged", self.divergence),
        ] {
            if let Some(rate) = rate {
                plot = plot.guide_x(label, rate);
                found += &format!(" {} at {rate:.1e}.", capital(label));
            }
        }
        let end = if self.divergence.is_some() {
            ""
        } else {
            " It did not diverge."
        };
        let caption = format!(
            "Batch {}, {} steps, seed {}.{found}{end}",
            self.batch_size,
            self.points.len(),
            self.seed
        );
        plot.caption(&caption).figure()
    }
}

impl Probe for RangeTest {
    const FACTS: Facts = Facts::new(
        "lr-find",
        "Range test: train with a rate that grows at each step, and find where the loss falls and where it diverges",
    )
    .paper("Smith 2017, arXiv 1506.01186");
    const TARGET: Target = Target::Settings;
    const HELP: &'static str = "\
Examples:
  largebatch probe lr-find runs/digits-mlp-sgd
  largebatch probe lr-find --set dataset=digits --set model=mlp --set optimizer=lamb --set batch_size=512
  largebatch probe lr-find examples/train/mnist-mlp.toml --lowest 1e-5 --highest 1

It trains a new network from the initial weights, so it does not change the run. The suggestions are starting points: `steepest` is where the \
smoothed loss falls most steeply, `valley` is within its longest descent, and with a warm-up the rate can come closer to where it diverged.
A batch of fewer than 64 examples is too small to estimate the loss, which is then measured on 256 training examples at each step.";
    type Record = LrFind;

    fn cost(&self, at: &[Point<'_>]) -> Result<Cost, ProbeError> {
        let experiment = at[0].experiment;
        self.check_values()?;
        let batch = experiment.config.batch_size.unwrap_or(1);
        // A loss without its gradient takes about a third of the time.
        let sample = if batch < SMALL {
            SAMPLE.min(experiment.holdout.train.len()) as f64 / 3.0
        } else {
            0.0
        };
        let examples = (batch as f64 + sample) * self.steps as f64;
        let seconds = examples * DryRun::new(experiment)?.example_seconds(batch)?;
        let work = format!("at most {} steps of {batch} examples", self.steps);
        Ok(Cost::new(work, "steps", seconds))
    }

    fn measure(&self, at: &[Point<'_>], watch: Watch) -> Result<(LrFind, bool), ProbeError> {
        let found = self.run(at[0].experiment, watch)?;
        let complete = found.ended != RangeEnd::Interrupted;
        Ok((found, complete))
    }

    fn figures(&self, record: &LrFind, _at: &[Point<'_>]) -> Vec<Figure> {
        vec![record.figure()]
    }

    fn summary(&self, found: &LrFind, _: &[Point<'_>]) -> String {
        let mut text = format!(
            "{}, batch {}, seed {}: {} steps in {:.1} s\n",
            found.what,
            found.batch_size,
            found.seed,
            found.points.len(),
            found.seconds
        );
        let rate = |r: Option<f64>, none: &str| r.map_or(none.to_owned(), |r| significant(r, 4));
        // Writing to a String cannot fail.
        let last =
            if found.steepest.is_some() && found.steepest == found.points.last().map(|p| p.lr) {
                ", the last rate tried"
            } else {
                ""
            };
        let _ = writeln!(
            text,
            "  steepest   {}{last}",
            rate(found.steepest, "none: the loss never falls")
        );
        let _ = writeln!(
            text,
            "  valley     {}",
            rate(found.valley, "none: the loss never falls")
        );
        let highest = found.points.last().map_or(f64::NAN, |p| p.lr);
        let end = if found.ended == RangeEnd::Interrupted {
            ", where it was interrupted"
        } else {
            "; try a larger --highest"
        };
        let _ = write!(
            text,
            "  diverged   {}",
            rate(
                found.divergence,
                &format!("not up to {}{end}", significant(highest, 4))
            )
        );
        text
    }
}
