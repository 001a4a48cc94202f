//! Learning-rate and batch-size schedules, warm-up and scaling rules: pure functions of the step, without Burn.
//!
//! A [`ScheduleConfig`] holds what the user wrote; [`ScheduleConfig::resolve`] turns it into a
//! [`Schedule`] for a given peak rate and length of training, and [`lr`](Schedule::lr) gives the
//! rate of every step.
//!
//! ```
//! use largebatch_schedule::{Epochs, ScheduleConfig, Scaling};
//!
//! let config: ScheduleConfig = toml::from_str("name = 'cosine'\nwarmup.epochs = 5").unwrap();
//! let peak = Scaling::Linear.peak(0.1, 1024, 256);         // 0.1 at batch 256 is 0.4 at batch 1024
//! let schedule = config.resolve(peak, 9_000, &Epochs::even(100)).unwrap();   // 90 epochs of 100 steps
//! assert_eq!(schedule.lr(0), 0.0);                         // the warm-up starts at zero
//! assert_eq!(schedule.lr(250), 0.2);                       // half of it
//! assert_eq!(schedule.lr(500), 0.4);                       // the peak
//! assert!(schedule.lr(8_999) < 1e-6);                      // cosine ends at the floor
//! ```
//!
//! **Clock.** Steps count from 0; `lr(0)` is the rate of the first update. A curve of length T
//! reaches its end at step T, one after the last of 0..T. PyTorch's `CosineAnnealingLR(T_max = T)`
//! and optax's `cosine_decay_schedule` do the same, but PyTorch's `OneCycleLR` arrives one step
//! earlier.
//!
//! **Lengths** are a [`Span`]: a fraction of training, epochs, or steps. Fractions and epochs make
//! batch sizes comparable: with ten times the batch there are a tenth of the steps, and the curve
//! shrinks accordingly. An epoch counts its actual number of steps ([`Epochs`]): batches never
//! cross its end, a last batch may be smaller or dropped, and a growing batch makes epochs shorter.
//!
//! **Warm-up** ([`Warmup`]) comes before the curve. Most curves start where it ends, and a fraction
//! in them refers to the steps that remain. Only `step` and `multi-step` count from the start of
//! training, because the papers give their milestones that way (Goyal et al. 2017: epochs 30, 60
//! and 80, where the first five are warm-up).
//!
//! **Floor** is the lowest rate after the warm-up, as a fraction of the peak. Curves that fall to
//! zero (polynomial, linear, cosine, cosine-restarts) are scaled to end at the floor, like
//! PyTorch's `eta_min` and optax's `alpha`; the others are cut off at it.
#![warn(missing_docs)]

mod batch;
mod config;
mod epochs;
mod error;
mod resolved;
mod scaling;
mod shape;
mod shapes;
mod span;
mod warmup;

pub use batch::{BatchConfig, BatchMultiStep, BatchSchedule, LastBatch, Planned, batch_schedules};
pub use config::{ScheduleConfig, common_options, schedule_schema};
pub use epochs::Epochs;
pub use error::ConfigError;
pub use resolved::Schedule;
pub use scaling::Scaling;
pub use shape::{Curve, Floor, Registry, Shape, ShapeConfig, Time, Training, entry};
pub use shapes::*;
pub use span::{Marks, Span};
pub use warmup::{Warmup, WarmupKind};
