//! What the curve of a schedule is, and the open table of curves.

use std::fmt::{self, Debug};
use std::sync::Arc;

use largebatch_component::{Config, Entry, Facts, Kind, check};

use crate::{ConfigError, Epochs, Span};

/// The curve of a schedule, as its options describe it: the rate as a fraction of the peak. One file
/// each.
///
/// The type derives what a [`Config`] needs. In the formulas f is the floor, T a length in steps, and a
/// [`Span`] stands for its number of steps.
pub trait ShapeConfig: Config + Default {
    /// Name, summary, formula and paper.
    const FACTS: Facts;

    /// How the floor limits the curve.
    const FLOOR: Floor = Floor::Cut;

    /// The length that the curve repeats, if it repeats one. If it is in epochs and epochs differ in
    /// their number of steps, because the batch grows, time counts epochs.
    fn period(&self) -> Option<Span> {
        None
    }

    /// The curve for a training.
    ///
    /// # Errors
    /// A length that does not fit into the training. Ranges are checked before.
    fn curve(&self, training: &Training<'_>) -> Result<Curve, ConfigError>;
}

/// How the floor f limits a curve.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Floor {
    /// The curve is cut off at f.
    Cut,
    /// The curve is drawn between f and the peak: f + (1 − f) x, as PyTorch's `eta_min` and optax's
    /// `alpha` do.
    Between,
}

/// A curve: the rate at a time, as a fraction of the peak.
pub type Curve = Arc<dyn Fn(&Time) -> f64 + Send + Sync>;

/// A time in training.
#[derive(Clone, Copy, PartialEq, Debug)]
#[non_exhaustive]
pub struct Time {
    /// Since the end of the warm-up, in steps; in epochs if the curve repeats epochs that differ.
    pub after_warmup: f64,
    /// Since the start of training, in the same unit.
    pub since_start: f64,
    /// Since the start of training, in steps.
    pub step: f64,
}

/// The training that a curve is for: its length, its warm-up and its epochs.
#[derive(Clone, Copy, Debug)]
pub struct Training<'a> {
    /// Its number of steps.
    pub total: f64,
    /// Its warm-up in steps; 0 if there is none.
    pub warmup: f64,
    pub(crate) epochs: &'a Epochs,
    /// Whether time counts epochs.
    pub(crate) in_epochs: bool,
}

impl Training<'_> {
    /// The steps after the warm-up.
    pub fn left(&self) -> f64 {
        self.total - self.warmup
    }

    /// The steps of a length that begins after the warm-up; a fraction is of the rest.
    pub fn steps(&self, span: Span) -> f64 {
        span.steps(self.left(), self.warmup, self.epochs)
    }

    /// The steps of a length that begins with training; a fraction is of the whole.
    pub fn steps_from_start(&self, span: Span) -> f64 {
        span.steps(self.total, 0.0, self.epochs)
    }

    /// The length of a repeated span after the warm-up, in the unit of time.
    pub fn period(&self, span: Span) -> f64 {
        self.repeated(span, self.left(), self.warmup)
    }

    /// The length of a repeated span from the start, in the unit of time.
    pub fn period_from_start(&self, span: Span) -> f64 {
        self.repeated(span, self.total, 0.0)
    }

    /// The length of a repeated span that follows another one after the warm-up.
    pub fn period_after(&self, first: Span, span: Span) -> f64 {
        self.repeated(span, self.left(), self.warmup + self.steps(first))
    }

    fn repeated(&self, span: Span, whole: f64, from: f64) -> f64 {
        match span {
            Span::Epochs(x) if self.in_epochs => x,
            _ if self.in_epochs => {
                let end = from + span.steps(whole, from, self.epochs);
                self.epochs.epoch(end) - self.epochs.epoch(from)
            }
            _ => span.steps(whole, from, self.epochs),
        }
    }

    /// Refuses a drop of the rate at a step inside the warm-up.
    pub(crate) fn drop_at(&self, at: f64, key: &'static str) -> Result<(), ConfigError> {
        if at > self.warmup || self.warmup == 0.0 {
            Ok(())
        } else {
            let warmup = self.warmup;
            Err(ConfigError::DropInWarmup { key, at, warmup })
        }
    }
}

/// A [`ShapeConfig`] of any type.
#[derive(Clone)]
pub struct Shape(pub(crate) Arc<dyn DynShape>);

impl Shape {
    /// Name, summary, formula and paper.
    pub fn facts(&self) -> Facts {
        self.0.facts()
    }

    /// Every option with its value.
    pub fn table(&self) -> toml::Table {
        self.0.table()
    }
}

impl<S: ShapeConfig> From<S> for Shape {
    fn from(shape: S) -> Self {
        Shape(Arc::new(shape))
    }
}

impl PartialEq for Shape {
    fn eq(&self, other: &Self) -> bool {
        self.facts().name == other.facts().name && self.table() == other.table()
    }
}

impl Debug for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

pub(crate) trait DynShape: Debug + Send + Sync {
    fn facts(&self) -> Facts;
    fn table(&self) -> toml::Table;
    fn floor(&self) -> Floor;
    fn period(&self) -> Option<Span>;
    fn check(&self) -> Result<(), ConfigError>;
    fn curve(&self, training: &Training<'_>) -> Result<Curve, ConfigError>;
}

impl<S: ShapeConfig> DynShape for S {
    fn facts(&self) -> Facts {
        S::FACTS
    }
    fn table(&self) -> toml::Table {
        // Options are numbers, words and lengths, which TOML can always write.
        toml::Table::try_from(self).unwrap_or_default()
    }
    fn floor(&self) -> Floor {
        S::FLOOR
    }
    fn period(&self) -> Option<Span> {
        ShapeConfig::period(self)
    }
    fn check(&self) -> Result<(), ConfigError> {
        Ok(check(Kind::Schedule, S::FACTS.name, self)?)
    }
    fn curve(&self, training: &Training<'_>) -> Result<Curve, ConfigError> {
        ShapeConfig::curve(self, training)
    }
}

/// The table of schedules. It is open: [`Registry::with`](largebatch_component::Registry::with) adds
/// one.
pub type Registry = largebatch_component::Registry<Shape, ConfigError>;

/// The entry of a schedule in the [`Registry`].
pub fn entry<S: ShapeConfig>() -> Entry<Shape, ConfigError> {
    let defaults = |preset: Option<&str>| preset.is_none().then(S::default);
    Entry::new(Kind::Schedule, S::FACTS, defaults, |shape: S| {
        Ok(shape.into())
    })
}
