use std::f64::consts::PI;

use crate::config::{Anneal, CycleMode, ScheduleConfig, Shape};
use crate::error::{ConfigError, require};
use crate::warmup::Warmup;

/// A schedule for one training: the learning rate of every step.
#[derive(Clone, PartialEq, Debug)]
pub struct Schedule {
    peak: f64,
    floor: f64,
    warmup: Warmup,
    warmup_steps: f64,
    total_steps: usize,
    curve: Curve,
}

/// A [`Shape`] with its lengths in steps.
#[derive(Clone, PartialEq, Debug)]
enum Curve {
    Constant,
    PowerLaw { exponent: f64, every: f64 },
    Polynomial { power: f64, length: f64 },
    Step { factor: f64, every: f64 },
    MultiStep { factor: f64, at: Vec<f64> },
    Exponential { factor: f64, every: f64 },
    Cosine { length: f64 },
    CosineRestarts { first: f64, growth: f64 },
    Cyclic { mode: CycleMode, rise: f64, fall: f64, low: f64 },
    OneCycle { rise: f64, length: f64, start: f64, end: f64, anneal: Anneal },
}

impl ScheduleConfig {
    /// The schedule of a training of `total_steps` steps with `peak` as its highest rate.
    ///
    /// `steps_per_epoch` is the number of updates of an epoch; it may be fractional. With a growing batch ([`BatchSchedule`](crate::BatchSchedule)) it is the mean, total steps
    /// over epochs, and spans in epochs are then approximate. A peak of 0, or one above 1, is fine.
    ///
    /// # Errors
    /// A value out of range; a warm-up that leaves no step for the curve; a drop of `step` or `multi-step` inside the warm-up.
    pub fn resolve(&self, peak: f64, total_steps: usize, steps_per_epoch: f64) -> Result<Schedule, ConfigError> {
        self.check()?;
        require(peak >= 0.0 && peak.is_finite(), "lr", peak, "the peak learning rate is a finite number of at least 0")?;
        require(total_steps > 0, "steps", total_steps, "a training has at least one step: raise the epochs or steps")?;
        require(
            steps_per_epoch > 0.0 && steps_per_epoch.is_finite(),
            "steps per epoch",
            steps_per_epoch,
            "an epoch has steps: lower the batch size",
        )?;
        let total = total_steps as f64;
        let warmup = self.warmup.steps(total, steps_per_epoch);
        if warmup >= total {
            return Err(ConfigError::WarmupTooLong { span: self.warmup.length.to_string(), warmup, total: total_steps });
        }
        let left = total - warmup;
        let steps = |span: crate::Span| span.steps(left, steps_per_epoch);
        let curve = match &self.shape {
            Shape::Constant => Curve::Constant,
            Shape::PowerLaw { exponent, every } => Curve::PowerLaw { exponent: *exponent, every: steps(*every) },
            Shape::Polynomial { power, length } => Curve::Polynomial { power: *power, length: steps(*length) },
            Shape::Linear { length } => Curve::Polynomial { power: 1.0, length: steps(*length) },
            Shape::Step { factor, every } => {
                let every = every.steps(total, steps_per_epoch);
                drop_after(warmup, every, "schedule.every")?;
                Curve::Step { factor: *factor, every }
            }
            Shape::MultiStep { factor, at } => {
                let at: Vec<f64> = at.spans().into_iter().map(|mark| mark.steps(total, steps_per_epoch)).collect();
                at.iter().try_for_each(|at| drop_after(warmup, *at, "schedule.at"))?;
                Curve::MultiStep { factor: *factor, at }
            }
            Shape::Exponential { factor, every } => Curve::Exponential { factor: *factor, every: steps(*every) },
            Shape::Cosine { length } => Curve::Cosine { length: steps(*length) },
            Shape::CosineRestarts { first, growth } => Curve::CosineRestarts { first: steps(*first), growth: *growth },
            Shape::Cyclic { mode, rise, fall, low } => {
                Curve::Cyclic { mode: *mode, rise: steps(*rise), fall: steps(fall.unwrap_or(*rise)), low: *low }
            }
            Shape::OneCycle { rise, start, end, anneal } => {
                let steps = steps(*rise);
                require(steps < left, "schedule.rise", rise, "the rise of one-cycle is shorter than the training after the warm-up")?;
                Curve::OneCycle { rise: steps, length: left, start: *start, end: *end, anneal: *anneal }
            }
        };
        Ok(Schedule { peak, floor: self.floor, warmup: self.warmup, warmup_steps: warmup, total_steps, curve })
    }
}

fn drop_after(warmup: f64, at: f64, key: &'static str) -> Result<(), ConfigError> {
    if at > warmup || warmup == 0.0 { Ok(()) } else { Err(ConfigError::DropInWarmup { key, at, warmup }) }
}

impl Schedule {
    /// The learning rate of the update number `step`, which counts from 0. A pure function; finite for every step, also beyond the end.
    pub fn lr(&self, step: usize) -> f64 {
        self.lr_at(step as f64)
    }

    /// The learning rate at a real-valued time of at least 0, in steps: for plots, and for a growing batch, where time is `total_steps` · examples seen / examples in all.
    pub fn lr_at(&self, time: f64) -> f64 {
        if time < self.warmup_steps {
            return self.peak * self.factor(self.warmup_steps) * self.warmup.factor(time, self.warmup_steps);
        }
        self.peak * self.factor(time)
    }

    /// The highest rate.
    pub fn peak(&self) -> f64 {
        self.peak
    }

    /// The length of the warm-up in steps, which need not be whole; 0 without one.
    pub fn warmup_steps(&self) -> f64 {
        self.warmup_steps
    }

    /// The steps of the training.
    pub fn total_steps(&self) -> usize {
        self.total_steps
    }

    /// The curve with its floor, as a fraction of the peak, at a time after the warm-up.
    fn factor(&self, time: f64) -> f64 {
        let t = (time - self.warmup_steps).max(0.0);
        let between = |x: f64| self.floor + (1.0 - self.floor) * x;
        match &self.curve {
            Curve::Constant => 1.0,
            Curve::PowerLaw { exponent, every } => (1.0 + t / every).powf(-exponent).max(self.floor),
            Curve::Polynomial { power, length } => between((1.0 - t.min(*length) / length).powf(*power)),
            Curve::Step { factor, every } => factor.powf(whole(time / every)).max(self.floor),
            Curve::MultiStep { factor, at } => factor.powi(at.iter().filter(|at| **at <= time).count() as i32).max(self.floor),
            Curve::Exponential { factor, every } => factor.powf(t / every).max(self.floor),
            Curve::Cosine { length } => between(half_wave(t.min(*length) / length)),
            Curve::CosineRestarts { first, growth } => between(half_wave(since_restart(t, *first, *growth))),
            Curve::Cyclic { mode, rise, fall, low } => {
                let cycle = whole(t / (rise + fall));
                let u = (t - cycle * (rise + fall)).max(0.0);
                let height = if u <= *rise { u / rise } else { ((rise + fall - u) / fall).max(0.0) };
                let scale = match mode {
                    CycleMode::Triangular => 1.0,
                    CycleMode::Triangular2 => (-cycle).exp2(),
                };
                (low + (1.0 - low) * height * scale).max(self.floor)
            }
            Curve::OneCycle { rise, length, start, end, anneal } => {
                let (a, b, u) = if t <= *rise { (*start, 1.0, t / rise) } else { (1.0, *end, ((t - rise) / (length - rise)).min(1.0)) };
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

/// ⌊x⌋, where an x just below a whole number by rounding counts as that number.
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
    let mut n = (t / first * (growth - 1.0)).ln_1p().div_euclid(growth.ln()).max(0.0);
    if start(n + 1.0) <= t * (1.0 + 1e-12) {
        n += 1.0;
    } else if n > 0.0 && start(n) > t * (1.0 + 1e-12) {
        n -= 1.0;
    }
    ((t - start(n)) / (first * growth.powi(n as i32))).clamp(0.0, 1.0)
}
