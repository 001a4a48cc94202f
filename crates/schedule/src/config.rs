use serde::{Deserialize, Serialize};

use crate::error::{ConfigError, require};
use crate::facts::{self, Facts};
use crate::span::{Marks, Span};
use crate::warmup::Warmup;

/// A learning-rate schedule as written by a user: a curve, a floor and a warm-up.
///
/// In TOML they are keys of one table. Every key has a default, and a key that the curve does not
/// use is an error:
/// ```toml
/// schedule = { name = "cosine", floor = 0.01, warmup = { epochs = 5 } }
/// ```
/// The default is a constant rate. The peak rate is not part of the schedule: see
/// [`ScheduleConfig::resolve`].
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
#[serde(try_from = "crate::read::Flat")]
pub struct ScheduleConfig {
    /// The curve after the warm-up.
    #[serde(flatten)]
    pub shape: Shape,
    /// The lowest rate after the warm-up, as a fraction of the peak, in [0, 1].
    pub floor: f64,
    /// The warm-up before the curve.
    pub warmup: Warmup,
}

/// The curve of a schedule: the rate as a fraction of the peak, at `t` steps after the warm-up (for `step` and `multi-step`: since the start of training).
///
/// In the formulas f is the floor, T the length in steps, and a [`Span`] stands for its number of
/// steps. If the batch grows, epochs differ in their number of steps; a repeated length (`every`,
/// `first`, `rise`) in epochs then repeats in epochs, and t counts epochs.
#[derive(Clone, PartialEq, Debug, Default, Serialize)]
#[cfg_attr(test, derive(Deserialize))] // only to list the variants in a test; the reader is `read::Flat`
#[serde(tag = "name", rename_all = "kebab-case")]
pub enum Shape {
    /// 1.
    #[default]
    Constant,
    /// max(f, τ^−a) with τ = 1 + t / `every`: the lecture's η_t = η_0 · t^−a, where t counts steps from 1.
    ///
    /// Robbins and Monro 1951: SGD converges for 1/2 < a ≤ 1. `every` is the unit of τ, one step by
    /// default; `{ epochs = 1 }` makes the decay independent of the batch size (τ grows smoothly
    /// within an epoch). PyTorch has no such scheduler (use a `LambdaLR`); scikit-learn calls it
    /// `invscaling`.
    PowerLaw {
        /// The exponent a, at least 0.
        exponent: f64,
        /// The unit of τ, a length above 0.
        every: Span,
    },
    /// f + (1 − f) · (1 − min(t, T) / T)^p.
    ///
    /// LARS (You et al. 2017, arXiv 1708.03888) uses p = 2. PyTorch's `PolynomialLR` has f = 0 and
    /// p = 1 by default; in optax's `polynomial_schedule`, f is `end_value` (a rate, not a
    /// fraction).
    Polynomial {
        /// The power p, above 0.
        power: f64,
        /// The length T; the rate stays at the floor afterwards.
        length: Span,
    },
    /// max(f, γ^⌊t / every⌋), t since the start of training, the warm-up included.
    ///
    /// He et al. 2015 (arXiv 1512.03385). PyTorch's `StepLR(step_size, gamma)`, chained with the warm-up (`ChainedScheduler`); in a `SequentialLR` its count
    /// begins after the warm-up, unlike here.
    Step {
        /// The factor γ of each drop, in (0, 1].
        factor: f64,
        /// The length between two drops; longer than the warm-up.
        every: Span,
    },
    /// max(f, γ^k), where k is the number of milestones at or before t, and t counts from the start
    /// of training, warm-up included.
    ///
    /// Goyal et al. 2017 (arXiv 1706.02677): 0.1 at epochs 30, 60, 80 with five epochs of warm-up. PyTorch's `MultiStepLR` and optax's
    /// `piecewise_constant_schedule` drop at the same step; in a `SequentialLR` the milestones count from the warm-up's end, unlike here.
    MultiStep {
        /// The factor γ of each drop, in (0, 1].
        factor: f64,
        /// The milestones, after the warm-up; a milestone beyond the end has no effect.
        at: Marks,
    },
    /// max(f, γ^(t / every)).
    ///
    /// PyTorch's `ExponentialLR(gamma)` if `every` is the interval between calls of its `step()`;
    /// optax's `exponential_decay` with `transition_steps` = `every`.
    Exponential {
        /// The factor γ, in (0, 1].
        factor: f64,
        /// The length over which the rate falls by γ.
        every: Span,
    },
    /// f + (1 − f) · (1 + cos(π · min(t, T) / T)) / 2.
    ///
    /// Loshchilov and Hutter 2017 (arXiv 1608.03983), without restarts. The floor is reached at t =
    /// T, one step after the last of 0..T, as in PyTorch's `CosineAnnealingLR(T_max = T)` and
    /// optax's `cosine_decay_schedule`. PyTorch's rate rises again after T, while this one and
    /// optax's stay at the floor.
    Cosine {
        /// The length T.
        length: Span,
    },
    /// f + (1 − f) · (1 + cos(π · u / T_i)) / 2, where u counts the steps since the last restart
    /// and T_i = `first` · growth^i is the length of cycle i.
    ///
    /// SGDR (Loshchilov and Hutter 2017, arXiv 1608.03983). PyTorch's
    /// `CosineAnnealingWarmRestarts(T_0, T_mult)` requires whole numbers; optax's `sgdr_schedule`
    /// joins any list of cycles. The default, a first cycle of 1/7 of training and growth 2, gives
    /// three cycles that end with training.
    CosineRestarts {
        /// The length T_0 of the first cycle.
        first: Span,
        /// The growth factor T_mult of the cycles, at least 1.
        growth: f64,
    },
    /// max(f, low + (1 − low) · tri(t) · s): up from `low` to the peak over `rise`, down again over `fall`, and so on.
    ///
    /// Smith 2017 (arXiv 1506.01186), who advises 2 to 10 epochs for `rise`. PyTorch's `CyclicLR`
    /// with `base_lr` = low · peak and `max_lr` = peak; unless `cycle_momentum = False` it also
    /// cycles momentum, and it overrides the optimizer's rate.
    Cyclic {
        /// `triangular`: s = 1; `triangular2`: s = 2^−c in cycle c (from 0).
        mode: CycleMode,
        /// The length from `low` to the peak.
        rise: Span,
        /// The length from the peak to `low`; the same as `rise` if absent.
        #[serde(skip_serializing_if = "Option::is_none")]
        fall: Option<Span>,
        /// The lowest rate, as a fraction of the peak, in [0, 1].
        low: f64,
    },
    /// Up from `start` to 1 over `rise`, then down to `end` at the end of training; never below f.
    ///
    /// Smith and Topin 2018 (arXiv 1708.07120), in the two-phase form of fast.ai. PyTorch's
    /// `OneCycleLR` with `start` = 1 / `div_factor` and `end` = `start` / `final_div_factor`
    /// differs: it reaches the peak at pct_start · T − 1 and the end at T − 1 instead of pct_start
    /// · T and T, and it also cycles momentum. optax's `cosine_onecycle_schedule` has the clock
    /// used here.
    OneCycle {
        /// The length of the rise to the peak; shorter than training.
        rise: Span,
        /// The first rate, as a fraction of the peak, in [0, 1].
        start: f64,
        /// The last rate, as a fraction of the peak, in [0, 1].
        end: f64,
        /// The shape of both phases.
        anneal: Anneal,
    },
    /// f + (1 − f) · (1 − min(t, T) / T).
    ///
    /// The decay used with BERT and LAMB (You et al. 2020, arXiv 1904.00962). PyTorch's
    /// `LinearLR(start_factor = 1, end_factor = f, total_iters = T)`, whose own defaults rise from
    /// 1/3 to 1.
    Linear {
        /// The length T; the rate stays at the floor afterwards.
        length: Span,
    },
}

/// How the amplitude of a cyclic schedule changes.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CycleMode {
    /// Every cycle reaches the peak.
    Triangular,
    /// Every cycle rises half as high above `low` as the one before.
    Triangular2,
}

/// How a phase of one-cycle goes from a to b; u in [0, 1] is the part that is done.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Anneal {
    /// b + (a − b) · (1 + cos(π u)) / 2.
    Cosine,
    /// a + (b − a) · u.
    Linear,
}

impl From<Shape> for ScheduleConfig {
    /// The curve without a floor or warm-up.
    fn from(shape: Shape) -> Self {
        ScheduleConfig {
            shape,
            ..Default::default()
        }
    }
}

impl ScheduleConfig {
    /// The schedule with this name and its defaults, which [`facts`](crate::facts) lists.
    ///
    /// # Errors
    /// [`ConfigError::UnknownName`] with the known names.
    pub fn named(name: &str) -> Result<Self, ConfigError> {
        Shape::named(name).map(Into::into)
    }

    /// This schedule with a floor, as a fraction of the peak.
    pub fn with_floor(self, floor: f64) -> Self {
        ScheduleConfig { floor, ..self }
    }

    /// This schedule after a warm-up.
    pub fn with_warmup(self, warmup: Warmup) -> Self {
        ScheduleConfig { warmup, ..self }
    }

    /// Checks that every value is in its range; [`ScheduleConfig::resolve`] checks what depends on
    /// the length of training.
    ///
    /// # Errors
    /// [`ConfigError::Range`] for the first value that is not.
    pub fn check(&self) -> Result<(), ConfigError> {
        require(
            (0.0..=1.0).contains(&self.floor),
            "schedule.floor",
            self.floor,
            "a fraction of the peak rate, between 0 and 1",
        )?;
        self.warmup.check()?;
        self.shape.check()
    }
}

impl Shape {
    /// The curve with this name and its defaults.
    ///
    /// # Errors
    /// [`ConfigError::UnknownName`] with the known names.
    pub fn named(name: &str) -> Result<Self, ConfigError> {
        let third = Span::Fraction(1.0 / 3.0);
        let all = Span::Fraction(1.0);
        Ok(match name {
            "constant" => Shape::Constant,
            "power-law" => Shape::PowerLaw {
                exponent: 0.5,
                every: Span::Steps(1),
            },
            "polynomial" => Shape::Polynomial {
                power: 2.0,
                length: all,
            },
            "step" => Shape::Step {
                factor: 0.1,
                every: third,
            },
            "multi-step" => Shape::MultiStep {
                factor: 0.1,
                at: Marks::Fraction(vec![0.5, 0.75]),
            },
            "exponential" => Shape::Exponential {
                factor: 0.01,
                every: all,
            },
            "cosine" => Shape::Cosine { length: all },
            "cosine-restarts" => Shape::CosineRestarts {
                first: Span::Fraction(1.0 / 7.0),
                growth: 2.0,
            },
            "cyclic" => Shape::Cyclic {
                mode: CycleMode::Triangular,
                rise: Span::Fraction(0.125),
                fall: None,
                low: 0.25,
            },
            "one-cycle" => Shape::OneCycle {
                rise: Span::Fraction(0.3),
                start: 0.04,
                end: 4e-6,
                anneal: Anneal::Cosine,
            },
            "linear" => Shape::Linear { length: all },
            _ => {
                let known = facts::facts().iter().map(|f| f.name).collect();
                return Err(ConfigError::UnknownName {
                    what: "schedule",
                    name: name.into(),
                    known,
                });
            }
        })
    }

    /// The name, formula, paper and parameters of this curve.
    pub fn facts(&self) -> &'static Facts {
        match self {
            Shape::Constant => &facts::CONSTANT,
            Shape::PowerLaw { .. } => &facts::POWER_LAW,
            Shape::Polynomial { .. } => &facts::POLYNOMIAL,
            Shape::Step { .. } => &facts::STEP,
            Shape::MultiStep { .. } => &facts::MULTI_STEP,
            Shape::Exponential { .. } => &facts::EXPONENTIAL,
            Shape::Cosine { .. } => &facts::COSINE,
            Shape::CosineRestarts { .. } => &facts::COSINE_RESTARTS,
            Shape::Cyclic { .. } => &facts::CYCLIC,
            Shape::OneCycle { .. } => &facts::ONE_CYCLE,
            Shape::Linear { .. } => &facts::LINEAR,
        }
    }

    fn check(&self) -> Result<(), ConfigError> {
        let factor = |x: f64| {
            require(
                x > 0.0 && x <= 1.0,
                "schedule.factor",
                x,
                "the rate is multiplied by it, so it must be above 0 and at most 1",
            )
        };
        let part = |key, x: f64| {
            require(
                (0.0..=1.0).contains(&x),
                key,
                x,
                "a fraction of the peak rate, between 0 and 1",
            )
        };
        match self {
            Shape::Constant => Ok(()),
            Shape::PowerLaw { exponent, every } => {
                require(
                    *exponent >= 0.0 && exponent.is_finite(),
                    "schedule.exponent",
                    exponent,
                    "a number of at least 0, such as 0.5",
                )?;
                every.check("schedule.every", true)
            }
            Shape::Polynomial { power, length } => {
                require(
                    *power > 0.0 && power.is_finite(),
                    "schedule.power",
                    power,
                    "a number above 0, such as 2",
                )?;
                length.check("schedule.length", true)
            }
            Shape::Step { factor: x, every } | Shape::Exponential { factor: x, every } => {
                factor(*x)?;
                every.check("schedule.every", true)
            }
            Shape::MultiStep { factor: x, at } => {
                factor(*x)?;
                at.spans()
                    .into_iter()
                    .try_for_each(|mark| mark.check("schedule.at", true))
            }
            Shape::Cosine { length } | Shape::Linear { length } => {
                length.check("schedule.length", true)
            }
            Shape::CosineRestarts { first, growth } => {
                require(
                    *growth >= 1.0 && growth.is_finite(),
                    "schedule.growth",
                    growth,
                    "cycles do not shrink, so it must be at least 1",
                )?;
                first.check("schedule.first", true)
            }
            Shape::Cyclic {
                rise,
                fall,
                low,
                mode: _,
            } => {
                part("schedule.low", *low)?;
                rise.check("schedule.rise", true)?;
                fall.map_or(Ok(()), |fall| fall.check("schedule.fall", true))
            }
            Shape::OneCycle {
                rise,
                start,
                end,
                anneal: _,
            } => {
                part("schedule.start", *start)?;
                part("schedule.end", *end)?;
                rise.check("schedule.rise", true)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::facts::{common_parameters, facts};

    /// serde's list of the enum's variants equals the table's list of names, and each name builds
    /// the right variant.
    #[test]
    fn the_table_holds_every_variant() {
        let error = serde_json::from_str::<Shape>(r#"{ "name": "?" }"#)
            .unwrap_err()
            .to_string();
        let mut variants: Vec<&str> = error.split('`').skip(3).step_by(2).collect();
        let mut names: Vec<&str> = facts().iter().map(|f| f.name).collect();
        variants.sort();
        names.sort();
        assert_eq!(variants, names, "{error}");
        for facts in facts() {
            let shape = Shape::named(facts.name).unwrap();
            assert_eq!(shape.facts(), facts);
            assert_eq!(serde_json::to_value(&shape).unwrap()["name"], facts.name);
        }
    }

    /// The table's parameters and defaults match the code: the same keys with the same values.
    #[test]
    fn the_table_states_the_defaults() {
        for facts in facts() {
            let config = ScheduleConfig::named(facts.name).unwrap();
            let serde_json::Value::Object(mut written) = serde_json::to_value(&config).unwrap()
            else {
                panic!()
            };
            assert_eq!(written.remove("name").unwrap(), facts.name);
            for p in facts.parameters.iter().chain(common_parameters()) {
                assert!(!p.purpose.is_empty() && !p.range.is_empty());
                let value = written.remove(p.name);
                assert_eq!(
                    value.is_none(),
                    p.default.is_empty(),
                    "{}.{}",
                    facts.name,
                    p.name
                );
                if value.is_some() {
                    let text = format!("name = '{}'\n{} = {}", facts.name, p.name, p.default);
                    assert_eq!(
                        toml::from_str::<ScheduleConfig>(&text).unwrap(),
                        config,
                        "{}.{}",
                        facts.name,
                        p.name
                    );
                }
            }
            assert!(
                written.is_empty(),
                "{}: {written:?} is not in the table",
                facts.name
            );
        }
    }
}
