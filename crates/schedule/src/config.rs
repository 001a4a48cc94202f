//! The configuration of a schedule: a shape, a floor and a warm-up.

use std::fmt;

use largebatch_component::{ComponentError, Kind, Opt, options, read, schema};
use schemars::JsonSchema;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use toml::{Table, Value};

use crate::error::{ConfigError, require};
use crate::shape::{Registry, Shape, ShapeConfig};
use crate::shapes::standard;
use crate::warmup::Warmup;

/// A learning-rate schedule as written by a user: a curve, a floor and a warm-up.
///
/// In TOML they are keys of one table. Every key has a default, and a key that the curve does not
/// use is an error:
/// ```toml
/// schedule = { name = "cosine", floor = 0.01, warmup = { epochs = 5 } }
/// ```
/// The default is a constant rate. The peak rate is not part of the schedule: see
/// [`ScheduleConfig::resolve`]. Reading by serde knows the schedules of this crate;
/// [`ScheduleConfig::read`] takes a table of your own.
#[derive(Clone, PartialEq, Debug, Default)]
#[must_use]
pub struct ScheduleConfig {
    /// The curve after the warm-up.
    pub shape: Shape,
    /// The lowest rate after the warm-up, as a fraction of the peak, in [0, 1].
    pub floor: f64,
    /// The warm-up before the curve.
    pub warmup: Warmup,
}

/// The options that every schedule has.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
struct Common {
    /// The lowest rate after the warm-up, as a fraction of the peak.
    #[schemars(range(min = 0.0, max = 1.0), extend("why" = "it is a fraction of the peak rate"))]
    floor: f64,
    /// The warm-up before the curve.
    warmup: Warmup,
}

/// The options that every schedule has: `floor` and `warmup`.
pub fn common_options() -> Vec<Opt> {
    options(&Common::default())
}

/// The JSON Schema of a key that takes a schedule: its name, or a table with its options, `floor` and
/// `warmup`.
pub fn schedule_schema(registry: &Registry) -> serde_json::Value {
    let (mut all, common) = (registry.schema(), schema::<Common>());
    let alternatives = all["anyOf"].as_array_mut().into_iter().flatten();
    for alternative in alternatives.filter(|one| one["properties"].is_object()) {
        for key in ["floor", "warmup"] {
            alternative["properties"][key] = common["properties"][key].clone();
        }
    }
    all
}

impl<S: ShapeConfig> From<S> for ScheduleConfig {
    /// The curve without floor and warm-up.
    fn from(shape: S) -> Self {
        ScheduleConfig {
            shape: shape.into(),
            ..Default::default()
        }
    }
}

impl ScheduleConfig {
    /// The schedule of this crate with this name, with all its defaults.
    ///
    /// # Errors
    /// An unknown name.
    pub fn named(name: &str) -> Result<Self, ConfigError> {
        Self::read(&standard(), name, Table::new())
    }

    /// The schedule of a table with this name and these options.
    ///
    /// # Errors
    /// An unknown name or option, a value of the wrong type or out of range.
    pub fn read(registry: &Registry, name: &str, mut given: Table) -> Result<Self, ConfigError> {
        let entry = registry.named(name)?;
        let keys = ["floor", "warmup"].map(String::from);
        let common: Table = keys
            .iter()
            .filter_map(|key| given.remove_entry(key))
            .collect();
        let Common { floor, warmup } = read(Kind::Schedule, name, Table::new(), common)?;
        let shape = entry.configure(given).map_err(|mut error| {
            // The keys of every schedule belong to the list, too.
            if let ConfigError::Component(ComponentError::UnknownOption { known, .. }) = &mut error
            {
                known.extend(keys);
            }
            error
        })?;
        Ok(ScheduleConfig {
            shape,
            floor,
            warmup,
        })
    }

    /// This schedule with a floor, a fraction of the peak.
    pub fn with_floor(self, floor: f64) -> Self {
        ScheduleConfig { floor, ..self }
    }

    /// This schedule after a warm-up.
    pub fn with_warmup(self, warmup: Warmup) -> Self {
        ScheduleConfig { warmup, ..self }
    }

    /// Checks that every value is in its range. [`ScheduleConfig::resolve`] checks what depends on
    /// the length of training.
    ///
    /// # Errors
    /// The first value that is out of range.
    pub fn check(&self) -> Result<(), ConfigError> {
        require(
            (0.0..=1.0).contains(&self.floor),
            "schedule.floor",
            self.floor,
            "a fraction of the peak rate, between 0 and 1",
        )?;
        self.warmup.check()?;
        self.shape.0.check()
    }

    /// Every option with its value, and the name.
    fn table(&self) -> Table {
        let common = Common {
            floor: self.floor,
            warmup: self.warmup,
        };
        let mut table = Table::new();
        table.insert("name".into(), self.shape.facts().name.into());
        table.extend(self.shape.table());
        table.extend(Table::try_from(common).unwrap_or_default());
        table
    }
}

impl Serialize for ScheduleConfig {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.table().serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for ScheduleConfig {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut table = deserializer.deserialize_map(AsTable)?;
        let name = match table.remove("name") {
            None => "constant".into(),
            Some(Value::String(name)) => name,
            Some(other) => {
                return Err(D::Error::custom(format!(
                    "a schedule's name is a text, not {other}"
                )));
            }
        };
        Self::read(&standard(), &name, table).map_err(D::Error::custom)
    }
}

/// Reads a table, and says what it could look like where there is none.
struct AsTable;

impl<'de> serde::de::Visitor<'de> for AsTable {
    type Value = Table;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a schedule such as { name = \"cosine\", warmup = { epochs = 5 } }")
    }

    fn visit_map<A: serde::de::MapAccess<'de>>(self, map: A) -> Result<Table, A::Error> {
        Table::deserialize(serde::de::value::MapAccessDeserializer::new(map))
    }
}
