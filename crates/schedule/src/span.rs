//! Lengths in epochs, in steps or as a fraction of training.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};

use crate::epochs::{Epochs, settled};
use crate::error::{ConfigError, require};

/// A length of training with its unit, as written: `{ fraction = 0.1 }`, `{ epochs = 5 }` or
/// `{ steps = 500 }`.
///
/// A plain number is refused: 1 might be an epoch, a step, or all of training. An epoch counts its
/// actual number of steps, see [`Epochs`]. Fractions of epochs are allowed, and lengths stay real
/// numbers when they are resolved: half an epoch of 3 steps is 1.5 steps.
#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase", try_from = "Units<f64, u64>")]
pub enum Span {
    /// A fraction of training, in [0, 1]; for a curve that starts after the warm-up, a fraction of
    /// the rest. For a rate it refers to steps, for a batch schedule to epochs; the two differ if
    /// the batch grows.
    Fraction(f64),
    /// A number of steps, that is, updates of the weights.
    Steps(u64),
    /// A number of epochs, that is, passes over the training set.
    Epochs(f64),
}

/// Times in training, all in one unit: `{ epochs = [30, 60, 80] }`; see [`Span`].
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase", try_from = "Units<Vec<f64>, Vec<u64>>")]
pub enum Marks {
    /// Fractions of training, each in [0, 1].
    Fraction(Vec<f64>),
    /// Steps from the start of training.
    Steps(Vec<u64>),
    /// Epochs from the start of training.
    Epochs(Vec<f64>),
}

/// The possible units of a length; exactly one of the three is given.
pub(crate) struct Units<R, N> {
    fraction: Option<R>,
    epochs: Option<R>,
    steps: Option<N>,
}

#[derive(Deserialize)]
#[serde(field_identifier, rename_all = "lowercase")]
enum Unit {
    Fraction,
    Epochs,
    Steps,
}

/// Written by hand, because serde's derived structs also accept a list of their fields in order,
/// and `at = [30, 60]` would get a confusing message.
impl<'de, R: Deserialize<'de>, N: Deserialize<'de>> Deserialize<'de> for Units<R, N> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Table<R, N>(PhantomData<(R, N)>);
        impl<'de, R: Deserialize<'de>, N: Deserialize<'de>> Visitor<'de> for Table<R, N> {
            type Value = Units<R, N>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a length with its unit: { fraction = 0.1 }, { epochs = 5 } or { steps = 500 } (with lists for milestones)")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut units = Units::new(None, None, None);
                while let Some(unit) = map.next_key()? {
                    match unit {
                        Unit::Fraction => units.fraction = Some(map.next_value()?),
                        Unit::Epochs => units.epochs = Some(map.next_value()?),
                        Unit::Steps => units.steps = Some(map.next_value()?),
                    }
                }
                Ok(units)
            }
        }
        deserializer.deserialize_map(Table(PhantomData))
    }
}

impl<R, N> Units<R, N> {
    pub(crate) fn new(fraction: Option<R>, epochs: Option<R>, steps: Option<N>) -> Self {
        Units {
            fraction,
            epochs,
            steps,
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.fraction.is_none() && self.epochs.is_none() && self.steps.is_none()
    }

    fn one<T>(
        self,
        fraction: fn(R) -> T,
        epochs: fn(R) -> T,
        steps: fn(N) -> T,
    ) -> Result<T, ConfigError> {
        match (self.fraction, self.epochs, self.steps) {
            (Some(x), None, None) => Ok(fraction(x)),
            (None, Some(x), None) => Ok(epochs(x)),
            (None, None, Some(x)) => Ok(steps(x)),
            (f, e, s) => {
                let given: Vec<_> = [
                    ("fraction", f.is_some()),
                    ("epochs", e.is_some()),
                    ("steps", s.is_some()),
                ]
                .into_iter()
                .filter_map(|(name, given)| given.then_some(name))
                .collect();
                let found = if given.is_empty() {
                    "has none".to_string()
                } else {
                    format!("has {}", given.join(" and "))
                };
                Err(ConfigError::Unit { found })
            }
        }
    }
}

impl TryFrom<Units<f64, u64>> for Span {
    type Error = ConfigError;
    fn try_from(units: Units<f64, u64>) -> Result<Self, ConfigError> {
        units.one(Span::Fraction, Span::Epochs, Span::Steps)
    }
}

impl TryFrom<Units<Vec<f64>, Vec<u64>>> for Marks {
    type Error = ConfigError;
    fn try_from(units: Units<Vec<f64>, Vec<u64>>) -> Result<Self, ConfigError> {
        units.one(Marks::Fraction, Marks::Epochs, Marks::Steps)
    }
}

impl JsonSchema for Span {
    fn schema_name() -> Cow<'static, str> {
        "Span".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        units_schema(
            |range| range,
            "{ fraction = x in (0, 1] } | { epochs = x > 0 } | { steps = n > 0 }",
        )
    }
}

impl JsonSchema for Marks {
    fn schema_name() -> Cow<'static, str> {
        "Marks".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        units_schema(
            |range| json_schema!({ "type": "array", "items": range }),
            "{ fraction = [..] } | { epochs = [..] } | { steps = [..] }",
        )
    }
}

/// A table with one of the three units; `values` says the same in words.
fn units_schema(of: fn(Schema) -> Schema, values: &str) -> Schema {
    let one = |unit: &str, range: Schema| {
        json_schema!({
            "properties": { unit: of(range) },
            "required": [unit],
            "additionalProperties": false
        })
    };
    json_schema!({
        "type": "object",
        "oneOf": [
            one("fraction", json_schema!({ "type": "number", "exclusiveMinimum": 0, "maximum": 1 })),
            one("epochs", json_schema!({ "type": "number", "exclusiveMinimum": 0 })),
            one("steps", json_schema!({ "type": "integer", "exclusiveMinimum": 0 })),
        ],
        "values": values
    })
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Span::Fraction(x) => write!(f, "{{ fraction = {x} }}"),
            Span::Steps(n) => write!(f, "{{ steps = {n} }}"),
            Span::Epochs(x) => write!(f, "{{ epochs = {x} }}"),
        }
    }
}

impl Span {
    /// The length in steps from the step `from` on; a fraction refers to `whole` steps.
    pub(crate) fn steps(self, whole: f64, from: f64, epochs: &Epochs) -> f64 {
        match self {
            Span::Fraction(x) => settled(x * whole),
            Span::Steps(n) => n as f64,
            Span::Epochs(x) => epochs.steps(x, from),
        }
    }

    /// `Ok` if the length is a number of at least 0, or above 0 if `positive`; a fraction must also
    /// be at most 1.
    pub(crate) fn check(self, key: &str, positive: bool) -> Result<(), ConfigError> {
        let (x, most) = match self {
            Span::Fraction(x) => (x, 1.0),
            Span::Steps(n) => (n as f64, f64::MAX),
            Span::Epochs(x) => (x, f64::MAX),
        };
        let wanted = match (self, positive) {
            (Span::Fraction(_), true) => "a fraction of training must be above 0 and at most 1",
            (Span::Fraction(_), false) => "a fraction of training must be between 0 and 1",
            (_, true) => "a length must be above 0",
            (_, false) => "a length must be at least 0",
        };
        require(
            x >= 0.0 && x <= most && (x > 0.0 || !positive),
            key,
            self,
            wanted,
        )
    }
}

impl Marks {
    /// Each time as a [`Span`].
    pub fn spans(&self) -> Vec<Span> {
        match self {
            Marks::Fraction(x) => x.iter().copied().map(Span::Fraction).collect(),
            Marks::Steps(n) => n.iter().copied().map(Span::Steps).collect(),
            Marks::Epochs(x) => x.iter().copied().map(Span::Epochs).collect(),
        }
    }
}
