//! The learning-rate range test.

use std::time::Instant;

use largebatch_optim::{ClipForm, Driver, GlobalClip, clip_by_global_norm, clip_by_value};
use largebatch_report::Figure;
use largebatch_report::plot::{Plot, Scale};
use largebatch_train::{Experiment, StepKeys};
use serde::{Deserialize, Serialize};

use crate::rates::{descent, smoothed, steepest, valley};
use crate::rehearsal::Rehearsal;
use crate::{ProbeError, Watch};

/// The settings of a range test.
///
/// | field | default | meaning |
/// | --- | --- | --- |
/// | `lowest` | 1e-6 | the first rate, positive |
/// | `highest` | 10 | the last rate |
/// | `steps` | 100 | steps from one to the other, 10 or more |
/// | `smoothing` | 0.9 | β of the loss's moving average, in [0, 1) |
/// | `divergence` | 4 | the test ends where the smoothed loss is above this many times its least so far |
#[derive(Debug, Clone, PartialEq)]
pub struct RangeTest {
    /// The first rate.
    pub lowest: f64,
    /// The last rate.
    pub highest: f64,
    /// Steps from one to the other.
    pub steps: usize,
    /// β of the loss's moving average.
    pub smoothing: f64,
    /// The smoothed loss diverges above this many times its least.
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

/// A step of fewer examples than this does not stand for the loss: at batch 1 single examples' losses differ a hundredfold.
const SMALL: usize = 64;

/// Examples over which the loss is taken then.
const SAMPLE: usize = 256;

/// A step of a range test.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct RangePoint {
    /// The rate of this step's update.
    pub lr: f64,
    /// The mean loss over its batch, before the update, or where that has fewer than 64 examples, over 256 of the training part, always the same; `null` if it
    /// is not finite.
    pub loss: Option<f64>,
    /// The bias-corrected moving average of the losses up to here.
    pub smoothed: Option<f64>,
}

/// Why a range test ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RangeEnd {
    /// The highest rate was reached without divergence.
    Highest,
    /// The loss diverged.
    Diverged,
    /// Somebody asked to stop.
    Interrupted,
}

/// A range test's curve and what it suggests.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LrFind {
    /// Model, data set and optimizer, for titles.
    pub what: String,
    /// Examples a step.
    pub batch_size: usize,
    /// The seed of initial weights and order.
    pub seed: u64,
    /// The curve.
    pub points: Vec<RangePoint>,
    /// The rate at which the smoothed loss falls most steeply over log η: a rate that learns fast.
    pub steepest: Option<f64>,
    /// The rate within the longest valley of the smoothed loss: usually safer.
    pub valley: Option<f64>,
    /// The rate at which the loss diverged.
    pub divergence: Option<f64>,
    /// Why it ended.
    pub ended: RangeEnd,
    /// Seconds that it took.
    pub seconds: f64,
}

impl RangeTest {
    fn check(&self) -> Result<(), ProbeError> {
        if !(self.lowest > 0.0 && self.lowest.is_finite()) {
            return Err(ProbeError::value(
                "lowest",
                self.lowest,
                "the first rate must be positive, because the rate grows by a factor",
            ));
        }
        if !(self.highest > self.lowest && self.highest.is_finite()) {
            return Err(ProbeError::value(
                "highest",
                self.highest,
                format!("the last rate must be above the first, {}", self.lowest),
            ));
        }
        if self.steps < 10 {
            return Err(ProbeError::value(
                "steps",
                self.steps,
                "a range test needs 10 steps or more; 100 is usual",
            ));
        }
        if !(0.0..1.0).contains(&self.smoothing) {
            return Err(ProbeError::value(
                "smoothing",
                self.smoothing,
                "must lie in [0, 1); 0 leaves the loss as it is",
            ));
        }
        if !(self.divergence > 1.0) {
            return Err(ProbeError::value(
                "divergence",
                self.divergence,
                "must be above 1: it multiplies the least smoothed loss",
            ));
        }
        Ok(())
    }

    /// An estimate of the seconds that [`RangeTest::run`] takes to its end, from three small steps.
    ///
    /// # Errors
    /// Those of [`RangeTest::run`].
    pub fn seconds(&self, experiment: &Experiment) -> Result<f64, ProbeError> {
        self.check()?;
        let batch = experiment.config.batch_size.unwrap_or(1);
        // A loss without its gradient takes about a third.
        let sample = if batch < SMALL {
            SAMPLE.min(experiment.split.train.len()) as f64 / 3.0
        } else {
            0.0
        };
        Ok(Rehearsal::new(experiment)?.example_seconds(batch)?
            * (batch as f64 + sample)
            * self.steps as f64)
    }

    /// Trains from the initial weights with the rate η_t = lowest · (highest/lowest)^(t/(steps − 1)), t = 0, 1, … (Smith 2017, arXiv 1506.01186; exponential growth
    /// and smoothing as Gugger 2018 and fastai have them).
    ///
    /// The experiment's optimizer, batch size, clipping, augmentation and seed hold; its schedule of rate and batch size does not. A network of its own is
    /// trained and thrown away, so that nothing has to be restored. In the first tenth of the steps the average is still of few losses: nothing but a loss that is
    /// not finite counts as divergence there, and the suggestions leave it out, and what comes behind the least smoothed loss. The least is at most the loss of
    /// the initial weights over 256 training examples. The valley is sought from where a twentieth of the fall is done. `watch` is asked before each step.
    ///
    /// Caveats: the curve depends on how fast the rate grows, because the weights move on the way, and a loss that falls late hides a rate that is too high for
    /// longer training; the point of divergence is above the largest rate that trains stably. With SGD it comes after 2/λ_max, which `curvature` measures. fastai
    /// smooths with β = 0.98, which shifts the curve by tens of steps; the default here is 0.9.
    ///
    /// Cost: `steps` training steps, and at batches below 64 as many losses of 256 examples.
    ///
    /// # Errors
    /// Settings out of range, and those of training. Divergence is a result.
    pub fn run(&self, experiment: &Experiment, watch: Watch<'_>) -> Result<LrFind, ProbeError> {
        self.check()?;
        let (started, config) = (Instant::now(), &experiment.config);
        let mut network = experiment.initial_model()?.network;
        let mut driver = Driver::new(&*experiment.optimizer, &network)
            .map_err(largebatch_train::TrainError::from)?;
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
            let keys = StepKeys {
                augment: experiment.key("augment").number(epoch),
                dropout: experiment.key("dropout").number(step as u64),
            };
            let ahead = driver.ahead(&network);
            let gradient =
                experiment.gradient(ahead.as_ref().unwrap_or(&network), &indices, keys)?;
            drop(ahead);
            rates.push(lr);
            losses.push(if indices.len() < SMALL {
                experiment.loss_in_training(&network, SAMPLE)?
            } else {
                gradient
                    .loss
                    .into_iter()
                    .map(|loss| f64::from(loss.into_scalar::<f32>()))
                    .sum::<f64>()
                    / indices.len() as f64
            });
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
            let mut gradients = gradient.gradients;
            if let Some(bound) = config.clip_value {
                gradients = clip_by_value(gradients, &network, bound);
            }
            let clip = config.clip_norm.map(|max_norm| GlobalClip {
                max_norm,
                form: ClipForm::Torch,
            });
            for clip in clip.into_iter().chain(driver.global_clip()) {
                gradients = clip_by_global_norm(gradients, &network, clip).0;
            }
            network = driver
                .step(lr, network, gradients)
                .absorb(gradient.statistics);
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
    /// The losses against the rate, with what they suggest.
    pub fn figure(&self) -> Figure {
        let of = |value: fn(&RangePoint) -> Option<f64>| {
            self.points
                .iter()
                .filter_map(|p| Some((p.lr, value(p)?)))
                .collect::<Vec<_>>()
        };
        let (raw, smooth) = (of(|p| p.loss), of(|p| p.smoothed));
        let first = smooth.first().map_or(1.0, |p| p.1);
        let low = raw
            .iter()
            .chain(&smooth)
            .map(|p| p.1)
            .fold(f64::INFINITY, f64::min);
        // Where it diverges, the loss leaves the picture.
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
        for (label, rate) in [
            ("valley", self.valley),
            ("steepest", self.steepest),
            ("diverged", self.divergence),
        ] {
            if let Some(rate) = rate {
                plot = plot.guide_x(label, rate);
            }
        }
        let rate = |label: &str, rate: Option<f64>| {
            rate.map(|r| format!(" {label} at {r:.1e}."))
                .unwrap_or_default()
        };
        let found = [
            rate("Valley", self.valley),
            rate("Steepest", self.steepest),
            rate("Diverged", self.divergence),
        ]
        .concat();
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
