//! A schedule for a training of known length.

use std::fmt;

use crate::config::ScheduleConfig;
use crate::epochs::Epochs;
use crate::error::{ConfigError, require};
use crate::shape::{Curve, Floor, Time, Training};
use crate::span::Span;
use crate::warmup::Warmup;

/// A schedule for one training run: the learning rate of every step.
#[derive(Clone)]
pub struct Schedule {
    peak: f64,
    floor: f64,
    warmup: Warmup,
    warmup_steps: f64,
    total_steps: usize,
    curve: Curve,
    limit: Floor,
    /// The unit of the curve's time: `Some` for epochs, `None` for steps.
    epochs: Option<Epochs>,
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
        let wanted = "the peak learning rate must be finite and at least 0";
        require(peak >= 0.0 && peak.is_finite(), "lr", peak, wanted)?;
        let wanted = "training needs at least one step: raise the epochs or steps";
        require(total_steps > 0, "steps", total_steps, wanted)?;
        let total = total_steps as f64;
        let warmup = self.warmup.steps(total, epochs);
        if warmup >= total {
            return Err(ConfigError::WarmupTooLong {
                span: self.warmup.length.to_string(),
                warmup,
                total: total_steps,
            });
        }
        // If all epochs are alike, steps are as good, and then a step's rate does not depend on the
        // unit in the last bit.
        let in_epochs =
            matches!(self.shape.0.period(), Some(Span::Epochs(_))) && !epochs.are_even();
        let curve = self.shape.0.curve(&Training {
            total,
            warmup,
            epochs,
            in_epochs,
        })?;
        let epochs = in_epochs.then(|| epochs.clone());
        Ok(Schedule {
            peak,
            floor: self.floor,
            warmup: self.warmup,
            warmup_steps: warmup,
            total_steps,
            curve,
            limit: self.shape.0.floor(),
            epochs,
        })
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
        let x = (self.curve)(&Time {
            after_warmup: (clock(time) - clock(self.warmup_steps)).max(0.0),
            since_start: clock(time),
            step: time,
        });
        match self.limit {
            Floor::Cut => x.max(self.floor),
            Floor::Between => self.floor + (1.0 - self.floor) * x,
        }
    }
}

impl fmt::Debug for Schedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Schedule")
            .field("peak", &self.peak)
            .field("floor", &self.floor)
            .field("warmup", &self.warmup)
            .field("total_steps", &self.total_steps)
            .finish_non_exhaustive()
    }
}
