//! How a schedule is read: as one flat table, so that serde refuses a key that no schedule has
//! (with its line in TOML), and this module refuses a key of another schedule. serde's internally
//! tagged enums accept unknown keys next to a unit variant, and lose the line.

use serde::Deserialize;

use crate::config::{Anneal, CycleMode, ScheduleConfig, Shape};
use crate::error::ConfigError;
use crate::facts::common_parameters;
use crate::span::{Marks, Span};
use crate::warmup::Warmup;

macro_rules! flat {
    ($($key:ident: $type:ty),* $(,)?) => {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields, expecting = "a schedule such as { name = \"cosine\", warmup = { epochs = 5 } }")]
        pub(crate) struct Flat {
            name: Option<String>,
            floor: Option<f64>,
            warmup: Option<Warmup>,
            $($key: Option<$type>,)*
        }

        impl Flat {
            /// A parameter that was given but not used.
            fn left(&self) -> Option<&'static str> {
                $(if self.$key.is_some() { return Some(stringify!($key)); })*
                None
            }
        }
    };
}

flat! {
    exponent: f64,
    power: f64,
    factor: f64,
    every: Span,
    at: Marks,
    length: Span,
    first: Span,
    growth: f64,
    mode: CycleMode,
    rise: Span,
    fall: Span,
    low: f64,
    start: f64,
    end: f64,
    anneal: Anneal,
}

/// Replaces a default by the given value, if there is one.
fn set<T>(target: &mut T, given: &mut Option<T>) {
    if let Some(value) = given.take() {
        *target = value;
    }
}

impl TryFrom<Flat> for ScheduleConfig {
    type Error = ConfigError;

    fn try_from(mut flat: Flat) -> Result<Self, ConfigError> {
        let mut config = match &flat.name {
            Some(name) => ScheduleConfig::named(name)?,
            None => ScheduleConfig::default(),
        };
        set(&mut config.floor, &mut flat.floor);
        set(&mut config.warmup, &mut flat.warmup);
        match &mut config.shape {
            Shape::Constant => {}
            Shape::PowerLaw { exponent, every } => {
                set(exponent, &mut flat.exponent);
                set(every, &mut flat.every);
            }
            Shape::Polynomial { power, length } => {
                set(power, &mut flat.power);
                set(length, &mut flat.length);
            }
            Shape::Step { factor, every } | Shape::Exponential { factor, every } => {
                set(factor, &mut flat.factor);
                set(every, &mut flat.every);
            }
            Shape::MultiStep { factor, at } => {
                set(factor, &mut flat.factor);
                set(at, &mut flat.at);
            }
            Shape::Cosine { length } | Shape::Linear { length } => set(length, &mut flat.length),
            Shape::CosineRestarts { first, growth } => {
                set(first, &mut flat.first);
                set(growth, &mut flat.growth);
            }
            Shape::Cyclic {
                mode,
                rise,
                fall,
                low,
            } => {
                set(mode, &mut flat.mode);
                set(rise, &mut flat.rise);
                *fall = flat.fall.take();
                set(low, &mut flat.low);
            }
            Shape::OneCycle {
                rise,
                start,
                end,
                anneal,
            } => {
                set(rise, &mut flat.rise);
                set(start, &mut flat.start);
                set(end, &mut flat.end);
                set(anneal, &mut flat.anneal);
            }
        }
        if let Some(key) = flat.left() {
            let facts = config.shape.facts();
            let known = facts
                .parameters
                .iter()
                .chain(common_parameters())
                .map(|p| p.name)
                .collect();
            return Err(ConfigError::UnknownKey {
                what: "schedule",
                name: facts.name,
                key,
                known,
            });
        }
        Ok(config)
    }
}
