use std::f64::consts::PI;

use crate::config::{Anneal, CycleMode, ScheduleConfig, Shape};
use crate::epochs::Epochs;
use crate::error::{ConfigError, require};
use crate::span::Span;
use crate::warmup::Warmup;

/// A schedule for one training run: the learning rate of every step.
#[derive(Clone, PartialEq, Debug)]
pub struct Schedule {
    peak: f64,
    floor: f64,
    warmup: Warmup,
    warmup_steps: f64,
    total_steps: usize,
    curve: Curve,
    /// The unit of the curve's time: `Some` for epochs, `None` for steps.
    epochs: Option<Epochs>,
}

/// A [`Shape`] with its lengths in the unit of its time.
#[derive(Clone, PartialEq, Debug)]
enum Curve {
    Constant,
    PowerLaw {
        exponent: f64,
        every: f64,
    },
    Polynomial {
        power: f64,
        length: f64,
    },
    Step {
        factor: f64,
        every: f64,
    },
    MultiStep {
        factor: f64,
        at: Vec<f64>,
    },
    Exponential {
        factor: f64,
        every: f64,
    },
    Cosine {
        length: f64,
    },
    CosineRestarts {
        first: f64,
        growth: f64,
    },
    Cyclic {
        mode: CycleMode,
        rise: f64,
        fall: f64,
        low: f64,
    },
    OneCycle {
        rise: f64,
        length: f64,
        start: f64,
        end: f64,
        anneal: Anneal,
    },
}

impl ScheduleConfig {
    /// The schedule of a training run of `total_steps` steps with `peak` as the highest rate.
    ///
    /// `epochs` says at which steps the epochs begin. A length that occurs once (a warm-up, a
    /// milestone, the length of a decay) is converted to steps where it occurs. A repeated length
    /// (`every`, `first`, a cycle) that is given in epochs repeats in epochs: with `every` = 30
    /// epochs, the k-th drop comes at the first step of epoch 30k, even if the batch has grown.
    /// `fall` follows the unit of `rise`. A peak of 0 or above 1 is allowed.
    ///
    /// # Errors
    /// A value out of range; a warm-up that leaves no steps for the curve; a drop of `step` or
    /// `multi-step` inside the warm-up.
    pub fn resolve(
        &self,
        peak: f64,
        total_steps: usize,
        epochs: &Epochs,
    ) -> Result<Schedule, ConfigError> {
        self.check()?;
        require(
            peak >= 0.0 && peak.is_finite(),
            "lr",
            peak,
            "the peak learning rate must be finite and at least 0",
        )?;
        require(
            total_steps > 0,
            "steps",
            total_steps,
            "training needs at least one step: raise the epochs or steps",
        )?;
        let total = total_steps as f64;
        let warmup = self.warmup.steps(total, epochs);
        if warmup >= total {
            return Err(ConfigError::WarmupTooLong {
                span: self.warmup.length.to_string(),
                warmup,
                total: total_steps,
            });
        }
        let left = total - warmup;
        let steps = |span: Span| span.steps(left, warmup, epochs);
        // If all epochs are alike, time in steps is equivalent, and then the rate does not depend
        // on the unit even in the last bit.
        let in_epochs = self
            .shape
            .period()
            .is_some_and(|period| matches!(period, Span::Epochs(_)))
            && !epochs.are_even();
        let period = |span: Span, whole: f64, from: f64| match span {
            Span::Epochs(x) if in_epochs => x,
            _ if in_epochs => {
                epochs.epoch(from + span.steps(whole, from, epochs)) - epochs.epoch(from)
            }
            _ => span.steps(whole, from, epochs),
        };
        let every = |span: Span| period(span, left, warmup);
        let curve = match &self.shape {
            Shape::Constant => Curve::Constant,
            Shape::PowerLaw {
                exponent,
                every: unit,
            } => Curve::PowerLaw {
                exponent: *exponent,
                every: every(*unit),
            },
            Shape::Polynomial { power, length } => Curve::Polynomial {
                power: *power,
                length: steps(*length),
            },
            Shape::Linear { length } => Curve::Polynomial {
                power: 1.0,
                length: steps(*length),
            },
            Shape::Step { factor, every } => {
                drop_after(warmup, every.steps(total, 0.0, epochs), "schedule.every")?;
                Curve::Step {
                    factor: *factor,
                    every: period(*every, total, 0.0),
                }
            }
            Shape::MultiStep { factor, at } => {
                let at: Vec<f64> = at
                    .spans()
                    .into_iter()
                    .map(|mark| mark.steps(total, 0.0, epochs))
                    .collect();
                at.iter()
                    .try_for_each(|at| drop_after(warmup, *at, "schedule.at"))?;
                Curve::MultiStep {
                    factor: *factor,
                    at,
                }
            }
            Shape::Exponential {
                factor,
                every: unit,
            } => Curve::Exponential {
                factor: *factor,
                every: every(*unit),
            },
            Shape::Cosine { length } => Curve::Cosine {
                length: steps(*length),
            },
            Shape::CosineRestarts { first, growth } => Curve::CosineRestarts {
                first: every(*first),
                growth: *growth,
            },
            Shape::Cyclic {
                mode,
                rise,
                fall,
                low,
            } => {
                let fall = period(fall.unwrap_or(*rise), left, warmup + steps(*rise));
                Curve::Cyclic {
                    mode: *mode,
                    rise: every(*rise),
                    fall,
                    low: *low,
                }
            }
            Shape::OneCycle {
                rise,
                start,
                end,
                anneal,
            } => {
                let steps = steps(*rise);
                require(
                    steps < left,
                    "schedule.rise",
                    rise,
                    "the rise of one-cycle must be shorter than the training after the warm-up",
                )?;
                Curve::OneCycle {
                    rise: steps,
                    length: left,
                    start: *start,
                    end: *end,
                    anneal: *anneal,
                }
            }
        };
        let epochs = in_epochs.then(|| epochs.clone());
        Ok(Schedule {
            peak,
            floor: self.floor,
            warmup: self.warmup,
            warmup_steps: warmup,
            total_steps,
            curve,
            epochs,
        })
    }
}

impl Shape {
    /// The length that the curve repeats.
    fn period(&self) -> Option<Span> {
        match self {
            Shape::PowerLaw { every, .. }
            | Shape::Step { every, .. }
            | Shape::Exponential { every, .. } => Some(*every),
            Shape::CosineRestarts { first, .. } => Some(*first),
            Shape::Cyclic { rise, .. } => Some(*rise),
            Shape::Constant
            | Shape::Polynomial { .. }
            | Shape::MultiStep { .. }
            | Shape::Cosine { .. }
            | Shape::OneCycle { .. }
            | Shape::Linear { .. } => None,
        }
    }
}

fn drop_after(warmup: f64, at: f64, key: &'static str) -> Result<(), ConfigError> {
    if at > warmup || warmup == 0.0 {
        Ok(())
    } else {
        Err(ConfigError::DropInWarmup { key, at, warmup })
    }
}

impl Schedule {
    /// The learning rate of update number `step`, which counts from 0. A pure function; finite for
    /// every step, also beyond the end.
    pub fn lr(&self, step: usize) -> f64 {
        self.lr_at(step as f64)
    }

    /// The learning rate at a real-valued time in steps, at least 0: for plots.
    pub fn lr_at(&self, time: f64) -> f64 {
        if time < self.warmup_steps {
            return self.peak
                * self.factor(self.warmup_steps)
                * self.warmup.factor(time, self.warmup_steps);
        }
        self.peak * self.factor(time)
    }

    /// The highest rate.
    pub fn peak(&self) -> f64 {
        self.peak
    }

    /// The length of the warm-up in steps, not necessarily whole; 0 if there is none.
    pub fn warmup_steps(&self) -> f64 {
        self.warmup_steps
    }

    /// The number of steps of the training run.
    pub fn total_steps(&self) -> usize {
        self.total_steps
    }

    /// The curve with its floor at a time after the warm-up, as a fraction of the peak.
    fn factor(&self, time: f64) -> f64 {
        let clock = |step: f64| {
            self.epochs
                .as_ref()
                .map_or(step, |epochs| epochs.epoch(step))
        };
        let t = (clock(time) - clock(self.warmup_steps)).max(0.0);
        let between = |x: f64| self.floor + (1.0 - self.floor) * x;
        match &self.curve {
            Curve::Constant => 1.0,
            Curve::PowerLaw { exponent, every } => {
                (1.0 + t / every).powf(-exponent).max(self.floor)
            }
            Curve::Polynomial { power, length } => {
                between((1.0 - t.min(*length) / length).powf(*power))
            }
            Curve::Step { factor, every } => {
                factor.powf(whole(clock(time) / every)).max(self.floor)
            }
            Curve::MultiStep { factor, at } => factor
                .powi(at.iter().filter(|at| **at <= time).count() as i32)
                .max(self.floor),
            Curve::Exponential { factor, every } => factor.powf(t / every).max(self.floor),
            Curve::Cosine { length } => between(half_wave(t.min(*length) / length)),
            Curve::CosineRestarts { first, growth } => {
                between(half_wave(since_restart(t, *first, *growth)))
            }
            Curve::Cyclic {
                mode,
                rise,
                fall,
                low,
            } => {
                let cycle = whole(t / (rise + fall));
                let u = (t - cycle * (rise + fall)).max(0.0);
                let height = if u <= *rise {
                    u / rise
                } else {
                    ((rise + fall - u) / fall).max(0.0)
                };
                let scale = match mode {
                    CycleMode::Triangular => 1.0,
                    CycleMode::Triangular2 => (-cycle).exp2(),
                };
                (low + (1.0 - low) * height * scale).max(self.floor)
            }
            Curve::OneCycle {
                rise,
                length,
                start,
                end,
                anneal,
            } => {
                let (a, b, u) = if t <= *rise {
                    (*start, 1.0, t / rise)
                } else {
                    (1.0, *end, ((t - rise) / (length - rise)).min(1.0))
                };
                let value = match anneal {
                    Anneal::Cosine => b + (a - b) * half_wave(u),
                    Anneal::Linear => a + (b - a) * u,
                };
                value.clamp(start.min(*end), 1.0).max(self.floor)
            }
        }
    }
}

/// From 1 at u = 0 down to 0 at u = 1 along a cosine.
fn half_wave(u: f64) -> f64 {
    0.5 * (1.0 + (PI * u).cos())
}

/// ⌊x⌋, but an x that is only just below a whole number, within rounding error, counts as that
/// number.
fn whole(x: f64) -> f64 {
    (x + 1e-9 * x.max(1.0)).floor()
}

/// The part of the current cycle that is done, in [0, 1), for cycles of `first` · growth^i steps.
fn since_restart(t: f64, first: f64, growth: f64) -> f64 {
    if growth - 1.0 < 1e-9 {
        return (t / first - whole(t / first)).max(0.0);
    }
    // Cycle n starts at first · (growth^n − 1) / (growth − 1); `powi` keeps whole numbers whole.
    let start = |n: f64| first * (growth.powi(n as i32) - 1.0) / (growth - 1.0);
    let mut n = (t / first * (growth - 1.0))
        .ln_1p()
        .div_euclid(growth.ln())
        .max(0.0);
    if start(n + 1.0) <= t * (1.0 + 1e-12) {
        n += 1.0;
    } else if n > 0.0 && start(n) > t * (1.0 + 1e-12) {
        n -= 1.0;
    }
    ((t - start(n)) / (first * growth.powi(n as i32))).clamp(0.0, 1.0)
}
