//! Batch sizes that grow during training.

use largebatch_component::{Config, Entry, Facts, Kind, Registry};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::epochs::{Epochs, settled};
use crate::error::{ConfigError, require};
use crate::span::{Marks, Span};

/// How the batch size changes during training.
///
/// Time is counted in examples seen, not in steps. The number of steps depends on the batch sizes,
/// so milestones in steps would be circular; they are refused.
/// ```toml
/// batch_schedule = { name = "multi-step", factor = 5, at = { epochs = [60, 120, 160] }, max = 5120 }
/// ```
#[derive(Clone, PartialEq, Debug, Default)]
pub enum BatchConfig {
    /// The same size throughout.
    #[default]
    Constant,
    /// See [`BatchMultiStep`].
    MultiStep(BatchMultiStep),
}

/// The same size throughout; it has no options.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
struct BatchConstant {}

/// size · factor^k, at most `max`, where k is the number of milestones at or before the examples
/// seen.
///
/// Smith et al. 2018 (arXiv 1711.00489): instead of dropping the rate by a factor, grow the batch by
/// the same factor, which gives the same ratio of rate to batch size. Once the batch has reached
/// `max`, the rate drops instead ([`BatchSchedule::rate_factor`]).
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct BatchMultiStep {
    /// What each milestone multiplies the size by; sizes are rounded to whole numbers.
    #[schemars(range(min = 1.0), extend("why" = "the batch only grows"))]
    pub factor: f64,
    /// The milestones, as fractions of training or in epochs.
    #[schemars(extend("values" = "{ fraction = [..] } | { epochs = [..] }"))]
    pub at: Marks,
    /// The largest batch, beyond which the rate drops instead; by default, the training set.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub max: Option<usize>,
}

impl Default for BatchMultiStep {
    fn default() -> Self {
        BatchMultiStep {
            factor: 2.0,
            at: Marks::Fraction(vec![0.5, 0.75]),
            max: None,
        }
    }
}

/// The batch schedules.
pub fn batch_schedules() -> Registry<BatchConfig, ConfigError> {
    fn entry<C: Config + Default>(
        facts: Facts,
        make: fn(C) -> BatchConfig,
    ) -> Entry<BatchConfig, ConfigError> {
        let defaults = |preset: Option<&str>| preset.is_none().then(C::default);
        Entry::new(Kind::BatchSchedule, facts, defaults, move |c| Ok(make(c)))
    }
    const CONSTANT: Facts =
        Facts::new("constant", "the same batch size throughout").formula("size");
    const MULTI_STEP: Facts =
        Facts::new("multi-step", "grows the batch instead of dropping the rate")
            .formula("min(max, size factor^(milestones at or before the examples seen))")
            .paper("Smith et al. 2018, arXiv 1711.00489");
    Registry::new(Kind::BatchSchedule)
        .with(entry(CONSTANT, |_: BatchConstant| BatchConfig::Constant))
        .with(entry(MULTI_STEP, BatchConfig::MultiStep))
}

/// What happens to the last batch of an epoch if the examples do not fill it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LastBatch {
    /// It is trained on, smaller than the others.
    #[default]
    Keep,
    /// It is left out; its examples come at other places in the order of later epochs.
    Drop,
}

/// One batch in the plan of a training run.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct Planned {
    /// The epoch, from 0.
    pub epoch: usize,
    /// The position in the epoch's order at which the batch starts.
    pub start: usize,
    /// Its number of examples.
    pub size: usize,
}

/// The batch sizes of one training run.
#[derive(Clone, PartialEq, Debug)]
pub struct BatchSchedule {
    size: usize,
    factor: f64,
    /// Milestones, in examples seen.
    at: Vec<f64>,
    max: usize,
    examples: usize,
}

impl BatchConfig {
    /// The batch sizes of a training run on `examples` examples, starting with batches of `size`.
    ///
    /// `epochs` is the length of training, to which fractions refer. It is `None` if the budget is
    /// in steps; milestones must then be in epochs.
    ///
    /// # Errors
    /// A size of 0 or above the number of examples; a factor below 1; a `max` below the size;
    /// milestones in steps, or in fractions if `epochs` is `None`.
    pub fn resolve(
        &self,
        size: usize,
        examples: usize,
        epochs: Option<f64>,
    ) -> Result<BatchSchedule, ConfigError> {
        let wanted = "a batch needs at least one example";
        require(size > 0, "batch_size", size, wanted)?;
        let wanted =
            "a batch cannot be larger than the training set: lower it, or use the full batch";
        require(size <= examples, "batch_size", size, wanted)?;
        let constant = BatchSchedule {
            size,
            factor: 1.0,
            at: Vec::new(),
            max: size,
            examples,
        };
        let BatchConfig::MultiStep(BatchMultiStep { factor, at, max }) = self else {
            return Ok(constant);
        };
        require(
            *factor >= 1.0 && factor.is_finite(),
            "batch_schedule.factor",
            factor,
            "the batch only grows, so the factor must be at least 1",
        )?;
        if let Some(max) = max {
            let wanted = "the largest batch must be at least the first one, batch_size";
            require(*max >= size, "batch_schedule.max", max, wanted)?;
        }
        let mark = |mark: Span| {
            let wanted = "milestones in steps would depend on the batch sizes: give them in epochs or as a fraction";
            require(
                !matches!(mark, Span::Steps(_)),
                "batch_schedule.at",
                mark,
                wanted,
            )?;
            let wanted = "a training limited by steps has no known number of epochs: give the milestones in epochs";
            require(
                epochs.is_some() || matches!(mark, Span::Epochs(_)),
                "batch_schedule.at",
                mark,
                wanted,
            )?;
            mark.check("batch_schedule.at", true)?;
            let all = examples as f64;
            Ok::<_, ConfigError>(settled(match mark {
                Span::Epochs(x) => x * all,
                Span::Fraction(x) => x * (epochs.unwrap_or(0.0) * all),
                Span::Steps(n) => n as f64,
            }))
        };
        let at = at.spans().into_iter().map(mark).collect::<Result<_, _>>()?;
        Ok(BatchSchedule {
            factor: *factor,
            at,
            max: max.unwrap_or(examples).min(examples),
            ..constant
        })
    }
}

impl BatchSchedule {
    /// The size of the batch that begins after `seen` examples, counted from the start of training;
    /// the examples of a dropped last batch count as seen.
    #[inline]
    pub fn size(&self, seen: u64) -> usize {
        if self.at.is_empty() {
            return self.size;
        }
        // At most `max`, so the cast is exact.
        self.planned(seen).round().min(self.max as f64) as usize
    }

    /// The factor of the rate after `seen` examples: 1 while the batch can grow as planned, then
    /// `max` / planned size.
    #[inline]
    pub fn rate_factor(&self, seen: u64) -> f64 {
        if self.at.is_empty() {
            return 1.0;
        }
        (self.max as f64 / self.planned(seen)).min(1.0)
    }

    /// The batch at a position in an epoch's order, or the first batch of the next epoch if none
    /// fits there. A milestone acts at the first batch that begins at or after it.
    #[inline]
    pub fn next(&self, epoch: usize, start: usize, last: LastBatch) -> Planned {
        let size = self.size(epoch as u64 * self.examples as u64 + start as u64);
        let left = self.examples - start;
        if size <= left || (left > 0 && last == LastBatch::Keep) {
            return Planned {
                epoch,
                start,
                size: size.min(left),
            };
        }
        Planned {
            epoch: epoch + 1,
            start: 0,
            size: self.size((epoch as u64 + 1) * self.examples as u64),
        }
    }

    /// The batches of `epochs` epochs, in order; use `usize::MAX` for an endless plan.
    pub fn plan(&self, epochs: usize, last: LastBatch) -> impl Iterator<Item = Planned> + '_ {
        self.plan_from(0, last)
            .take_while(move |batch| batch.epoch < epochs)
    }

    fn plan_from(&self, epoch: usize, last: LastBatch) -> impl Iterator<Item = Planned> + '_ {
        let (mut epoch, mut start) = (epoch, 0);
        std::iter::from_fn(move || {
            let planned = self.next(epoch, start, last);
            (epoch, start) = (planned.epoch, planned.start + planned.size);
            Some(planned)
        })
    }

    /// Where the epochs begin, in steps.
    pub fn epochs(&self, last: LastBatch) -> Epochs {
        Epochs::stretches(
            self.changes()
                .into_iter()
                .map(|epoch| (epoch as u64, self.epoch(epoch, last).count() as u64)),
        )
    }

    /// The number of steps in a training run of `epochs` epochs: the length of its plan.
    pub fn total_steps(&self, epochs: usize, last: LastBatch) -> usize {
        self.epochs(last).step(epochs as f64) as usize
    }

    /// The smallest number of steps that train on at least `examples` examples.
    pub fn steps_for(&self, examples: u64, last: LastBatch) -> u64 {
        let (changes, mut left, mut steps) = (self.changes(), examples, 0u64);
        for (i, &epoch) in changes.iter().enumerate() {
            let (each, used) = self.epoch(epoch, last).fold((0, 0), |(each, used), batch| {
                (each + 1, used + batch.size as u64)
            });
            let alike = changes
                .get(i + 1)
                .map_or(u64::MAX, |next| (next - epoch) as u64);
            let whole = (left / used).min(alike);
            (steps, left) = (
                steps.saturating_add(whole.saturating_mul(each)),
                left - whole * used,
            );
            if whole < alike {
                let mut batches = self.epoch(epoch, last);
                while left > 0 {
                    left =
                        left.saturating_sub(batches.next().map_or(left, |batch| batch.size as u64));
                    steps = steps.saturating_add(1);
                }
                break;
            }
        }
        steps
    }

    /// The batch of step number `step`, which counts from 0.
    pub fn at_step(&self, step: u64, last: LastBatch) -> Planned {
        let epochs = self.epochs(last);
        let epoch = epochs.epoch(step as f64).floor();
        let mut planned = self.next(epoch as usize, 0, last);
        for _ in epochs.step(epoch) as u64..step {
            planned = self.next(planned.epoch, planned.start + planned.size, last);
        }
        planned
    }

    /// The epochs from which the number or sizes of an epoch's batches may differ from the epochs
    /// before: that of each milestone and the one after it.
    fn changes(&self) -> Vec<usize> {
        // A milestone further away than this is never reached.
        let most = usize::MAX / 2 / self.examples;
        let marked = self
            .at
            .iter()
            .map(|at| at / self.examples as f64)
            .filter(|epoch| *epoch < most as f64)
            .map(|epoch| epoch as usize);
        let mut epochs: Vec<usize> = std::iter::once(0)
            .chain(marked.flat_map(|epoch| [epoch, epoch + 1]))
            .collect();
        epochs.sort_unstable();
        epochs.dedup();
        epochs
    }

    /// The batches of one epoch.
    fn epoch(&self, epoch: usize, last: LastBatch) -> impl Iterator<Item = Planned> + '_ {
        self.plan_from(epoch, last)
            .take_while(move |batch| batch.epoch == epoch)
    }

    /// The size without its upper bound, not yet rounded; infinity on overflow.
    fn planned(&self, seen: u64) -> f64 {
        let grown = self.at.iter().filter(|at| **at <= seen as f64).count();
        self.size as f64 * self.factor.powi(grown as i32)
    }
}
