//! The values of a setting that is compared or tuned.

use largebatch_component::settings::number;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer};
use std::borrow::Cow;
use toml::{Table, Value};

/// The values of one setting.
///
/// In a study file it is a list, `[0.1, 0.3]`, or a range: `{ log_uniform = [0.001, 1.0] }`,
/// `{ uniform = [0.8, 0.99] }`, `{ integer = [16, 256] }`. For a grid, a range has a number of
/// `points`, equally spaced (in the logarithm, for `log_uniform`) and including both ends; an
/// integer range without `points` takes every integer. Values of ranges are rounded to six
/// significant digits, to be readable and the same on machines whose logarithms differ in the last
/// bit.
#[derive(Clone, PartialEq, Debug)]
pub enum Axis {
    /// A list of values.
    List(Vec<Value>),
    /// Numbers in an interval.
    Range(Range),
}

/// Numbers in an interval.
#[derive(Clone, PartialEq, Debug)]
pub struct Range {
    /// How the numbers are spread.
    pub spread: Spread,
    /// The smallest number.
    pub low: f64,
    /// The largest number.
    pub high: f64,
    /// How many points a grid uses.
    pub points: Option<usize>,
}

/// How the numbers of a range are spread.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Spread {
    /// Evenly in the logarithm.
    LogUniform,
    /// Evenly.
    Uniform,
    /// Whole numbers, evenly.
    Integer,
}

impl Axis {
    /// The values that a grid uses.
    ///
    /// # Errors
    /// A message, if a range has no `points`.
    pub fn grid(&self) -> Result<Vec<Value>, String> {
        match self {
            Axis::List(values) => Ok(values.clone()),
            Axis::Range(range) => range.grid(),
        }
    }

    /// The values of a list; none of a range.
    pub(crate) fn values(&self) -> &[Value] {
        match self {
            Axis::List(values) => values,
            Axis::Range(_) => &[],
        }
    }

    /// The most values that a grid uses; 0 if a range has no `points`.
    pub(crate) fn len(&self) -> usize {
        match self {
            Axis::List(values) => values.len(),
            Axis::Range(range) => match (range.points, range.spread) {
                (Some(n), _) => n,
                (None, Spread::Integer) => (range.high - range.low + 1.0) as usize,
                (None, _) => 0,
            },
        }
    }

    /// The value at `u` in [0, 1): the quantile function of the axis.
    pub fn at(&self, u: f64) -> Value {
        match self {
            Axis::List(values) => {
                values[((u * values.len() as f64) as usize).min(values.len() - 1)].clone()
            }
            Axis::Range(range) => match range.spread {
                // Each integer gets an equal part of [0, 1).
                Spread::Integer => {
                    let (low, high) = (range.low, range.high);
                    let n = (low + (u * (high - low + 1.0)).floor()) as i64;
                    Value::Integer(n.min(high as i64))
                }
                _ => range.at(u),
            },
        }
    }

    fn read(value: Value) -> Result<Self, String> {
        match value {
            Value::Array(values) if values.is_empty() => {
                Err("an axis without values: write at least one".into())
            }
            Value::Array(values) => {
                match (1..values.len()).find(|&i| values[..i].contains(&values[i])) {
                    Some(i) => Err(format!("{} appears twice on the axis", values[i])),
                    None => Ok(Axis::List(values)),
                }
            }
            Value::Table(table) => Self::read_range(&table),
            other => Err(format!(
                "{other} is not an axis: write a list such as [{other}], or a range such as {{ log_uniform = [0.001, 1.0], points = 7 }}; a single value belongs in `set`"
            )),
        }
    }

    fn read_range(table: &Table) -> Result<Self, String> {
        let (mut found, mut points) = (None, None);
        for (k, v) in table {
            let spread = match k.as_str() {
                "log_uniform" => Spread::LogUniform,
                "uniform" => Spread::Uniform,
                "integer" => Spread::Integer,
                "points" => {
                    points = Some(
                        v.as_integer()
                            .filter(|n| (2..=1_000_000).contains(n))
                            .ok_or(format!("points = {v}: must be a whole number from 2 on"))?
                            as usize,
                    );
                    continue;
                }
                k => {
                    return Err(format!(
                        "unknown key `{k}` of a range: it has one of log_uniform, uniform, integer, and points"
                    ));
                }
            };
            let ends = v.as_array().map(|ends| ends.iter().map(number).collect());
            let ends: Option<Vec<f64>> = ends.flatten();
            let Some(&[low, high]) = ends.as_deref() else {
                return Err(format!(
                    "{k} = {v}: must be two numbers, [smallest, largest]"
                ));
            };
            if !(low.is_finite() && high.is_finite() && low < high) {
                return Err(format!(
                    "{k} = {v}: the first number must be below the second, and both must be finite"
                ));
            }
            if spread == Spread::LogUniform && low <= 0.0 {
                return Err(format!("{k} = {v}: a logarithmic range must be above 0"));
            }
            if spread == Spread::Integer && (low.fract() != 0.0 || high.fract() != 0.0) {
                return Err(format!("{k} = {v}: must be two whole numbers"));
            }
            if spread == Spread::Integer && low.abs().max(high.abs()) > EXACT {
                return Err(format!(
                    "{k} = {v}: the whole numbers of a range must be at most {EXACT} to be exact"
                ));
            }
            if found.replace((spread, low, high)).is_some() {
                return Err(
                    "a range has one of log_uniform, uniform and integer, not several".into(),
                );
            }
        }
        let (spread, low, high) =
            found.ok_or("a range has one of log_uniform, uniform and integer")?;
        Ok(Axis::Range(Range {
            spread,
            low,
            high,
            points,
        }))
    }
}

/// The keys of a range.
const RANGE: [&str; 4] = ["log_uniform", "uniform", "integer", "points"];

/// Up to this number `f64` represents every whole number exactly.
const EXACT: f64 = 9_007_199_254_740_992.0;

impl Range {
    fn grid(&self) -> Result<Vec<Value>, String> {
        match (self.points, self.spread) {
            (Some(n), _) => {
                let each = (0..n).map(|i| self.at(i as f64 / (n - 1) as f64));
                let mut values: Vec<Value> = each.collect();
                values.dedup();
                Ok(values)
            }
            (None, Spread::Integer) => {
                let all = self.low as i64..=self.high as i64;
                Ok(all.map(Value::Integer).collect())
            }
            (None, _) => Err("a range in a grid needs its number of `points`".into()),
        }
    }

    fn at(&self, u: f64) -> Value {
        let (low, high) = (self.low, self.high);
        match self.spread {
            Spread::LogUniform if u == 1.0 => Value::Float(high),
            Spread::LogUniform => Value::Float(round(low * ((high / low).ln() * u).exp())),
            Spread::Uniform => Value::Float(round(low + (high - low) * u)),
            Spread::Integer => Value::Integer((low + (high - low) * u).round() as i64),
        }
    }
}

/// Rounds to six significant digits.
fn round(x: f64) -> f64 {
    format!("{x:.5e}")
        .parse()
        .expect("Rust parses the numbers that it prints")
}

/// Axes by dotted key, in alphabetical order, which is also the order of labels.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Axes(pub Vec<(String, Axis)>);

impl JsonSchema for Axes {
    fn schema_name() -> Cow<'static, str> {
        "Axes".into()
    }

    /// A tree of settings, whose leaves are lists or ranges.
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let ends = json_schema!({ "type": "array", "minItems": 2, "maxItems": 2, "items": { "type": "number" } });
        json_schema!({ "type": "object", "additionalProperties": { "anyOf": [
            { "type": "array", "minItems": 1 },
            { "type": "object", "properties": {
                "log_uniform": ends, "uniform": ends, "integer": ends,
                "points": { "type": "integer", "minimum": 2 }
              }, "additionalProperties": false },
            { "type": "object",
              "propertyNames": { "not": { "enum": RANGE } },
              "additionalProperties": { "type": ["object", "array"] } }
        ] } })
    }
}

impl<'de> Deserialize<'de> for Axes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        fn walk(prefix: &str, table: Table, out: &mut Vec<(String, Axis)>) -> Result<(), String> {
            for (k, v) in table {
                let path = if prefix.is_empty() {
                    k
                } else {
                    format!("{prefix}.{k}")
                };
                match v {
                    Value::Table(t)
                        if !RANGE.iter().any(|k| t.contains_key(*k)) && !t.is_empty() =>
                    {
                        walk(&path, t, out)?;
                    }
                    v => out.push((
                        path.clone(),
                        Axis::read(v).map_err(|e| format!("{path}: {e}"))?,
                    )),
                }
            }
            Ok(())
        }
        let mut out = Vec::new();
        walk("", Table::deserialize(deserializer)?, &mut out).map_err(D::Error::custom)?;
        out.sort_by(|a, b| a.0.cmp(&b.0));
        Ok(Axes(out))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn axes(text: &str) -> Result<Axes, String> {
        Axes::deserialize(Value::Table(text.parse().unwrap())).map_err(|e| e.to_string())
    }

    #[test]
    fn ranges_and_lists() {
        let a = axes("lr = { log_uniform = [0.001, 1.0], points = 4 }\no.eps = [1e-8, 1e-6]\nw = { integer = [3, 5] }\nm = { uniform = [0.5, 1.0], points = 3 }").unwrap().0;
        let names: Vec<_> = a.iter().map(|a| a.0.as_str()).collect();
        assert_eq!(names, ["lr", "m", "o.eps", "w"]);
        let grid: Vec<Vec<f64>> = a
            .iter()
            .map(|a| {
                a.1.grid()
                    .unwrap()
                    .iter()
                    .map(|v| number(v).unwrap())
                    .collect()
            })
            .collect();
        assert_eq!(
            grid,
            [
                vec![0.001, 0.01, 0.1, 1.0],
                vec![0.5, 0.75, 1.0],
                vec![1e-8, 1e-6],
                vec![3.0, 4.0, 5.0]
            ]
        );
        assert_eq!(a[3].1.at(0.34), Value::Integer(4));
        assert_eq!(a[3].1.at(0.999), Value::Integer(5));
        assert_eq!(a[0].1.at(0.5), Value::Float(0.0316228));
        assert_eq!(a[2].1.at(0.5), Value::Float(1e-6));
    }

    #[test]
    fn wrong_axes_say_what_is_right() {
        for (text, part) in [
            ("lr = 0.1", "belongs in `set`"),
            ("lr = []", "at least one"),
            ("lr = [1, 1]", "twice"),
            ("lr = { uniform = [2, 1] }", "below the second"),
            ("lr = { log_uniform = [0, 1] }", "above 0"),
            ("lr = { uniform = [0, 1], integer = [1, 2] }", "not several"),
            (
                "lr = { uniform = [0, 1], pints = 3 }",
                "unknown key `pints`",
            ),
            ("lr = { uniform = [0, 1], points = 1 }", "from 2 on"),
            ("lr = { points = 3 }", "has one of"),
        ] {
            let error = axes(text).unwrap_err();
            assert!(
                error.contains(part) && error.contains("lr"),
                "{text}: {error}"
            );
        }
    }
}
