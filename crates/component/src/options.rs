//! Options as a configuration type states them: by serde, doc comments and `schemars` attributes.

use schemars::JsonSchema;
use schemars::generate::SchemaSettings;
use serde::Serialize;
use serde_json::Value;
use toml::Value as Toml;

use crate::{ComponentError, Kind};

/// One option of a component.
#[derive(Clone, PartialEq, Debug, Serialize)]
#[non_exhaustive]
pub struct Opt {
    /// The key in TOML and in `--set key=value`.
    pub name: String,
    /// The default, as TOML writes it; `none` if the option is absent by default, and `required` if it has no
    /// default.
    pub default: String,
    /// What it does, in one line.
    pub purpose: String,
    /// The values it takes.
    pub range: String,
}

/// The JSON Schema (Draft 7) of a configuration type, with everything inlined. Two keywords are ours: `why` says why a range is
/// what it is, and `values` says in words which values an option takes, where the schema's own keywords do not; `infinite` allows
/// TOML's `inf`, which JSON lacks.
pub fn schema<C: JsonSchema>() -> Value {
    let mut settings = SchemaSettings::draft07();
    settings.inline_subschemas = true;
    settings.meta_schema = None;
    settings.into_generator().into_root_schema_for::<C>().into()
}

/// The options of a configuration type, in the order of its fields, with the values of `default` as their defaults.
pub fn options<C: JsonSchema + Serialize>(default: &C) -> Vec<Opt> {
    listed(
        &schema::<C>(),
        &toml::Table::try_from(default).unwrap_or_default(),
    )
}

/// The options of a schema, with the defaults of a table. Tables with options of their own are
/// listed by dotted keys.
pub fn listed(schema: &Value, default: &toml::Table) -> Vec<Opt> {
    let mut all = Vec::new();
    list("", schema, default, &mut all);
    all
}

fn list(prefix: &str, schema: &Value, default: &toml::Table, all: &mut Vec<Opt>) {
    let required = schema["required"].as_array().map_or(&[][..], Vec::as_slice);
    for (name, schema) in properties(schema) {
        let (key, inner) = (
            format!("{prefix}{name}"),
            optional(schema).unwrap_or(schema),
        );
        if inner["properties"].is_object() && inner["values"].is_null() {
            let table = default.get(name).and_then(Toml::as_table);
            let none = toml::Table::new();
            list(&format!("{key}."), inner, table.unwrap_or(&none), all);
            continue;
        }
        all.push(Opt {
            default: match default.get(name) {
                Some(Toml::String(text)) if text.is_empty() => "none".into(),
                Some(Toml::Float(x)) if *x != 0.0 && x.abs() < 1e-4 => format!("{x:e}"),
                Some(value) => value.to_string(),
                None if required.iter().any(|one| one == name) => "required".into(),
                None => "none".into(),
            },
            name: key,
            purpose: purpose(schema),
            range: range(schema),
        });
    }
}

/// A value that is out of its range.
#[derive(Clone, PartialEq, Debug)]
#[non_exhaustive]
pub struct Violation {
    /// The option, as a dotted key.
    pub key: String,
    /// Its value.
    pub value: String,
    /// The range, in words.
    pub range: String,
    /// Why; empty if it is plain.
    pub why: String,
}

/// The first value of a configuration that is outside the range of its type. NaN is in no range, and
/// infinity only in one that says so.
pub fn violation<C: JsonSchema + Serialize>(config: &C) -> Option<Violation> {
    let table = toml::Table::try_from(config).unwrap_or_default();
    first_outside("", &table, &schema::<C>())
}

/// Checks the values of a component's configuration against the ranges of its type; see
/// [`violation`].
///
/// # Errors
/// [`ComponentError::Range`] for the first value that is out of its range.
pub fn check<C: JsonSchema + Serialize>(
    kind: Kind,
    component: &str,
    config: &C,
) -> Result<(), ComponentError> {
    match violation(config) {
        None => Ok(()),
        Some(Violation {
            key,
            value,
            range,
            why,
        }) => Err(ComponentError::Range {
            kind,
            component: component.into(),
            option: key,
            value,
            range,
            why,
        }),
    }
}

/// Looks through the properties of a schema in their order, and into tables with properties of their
/// own.
fn first_outside(prefix: &str, table: &toml::Table, schema: &Value) -> Option<Violation> {
    properties(schema).find_map(|(name, schema)| {
        let value = table.get(name)?;
        let schema = optional(schema).unwrap_or(schema);
        let key = format!("{prefix}{name}");
        if let (Toml::Table(table), Value::Object(_)) = (value, &schema["properties"]) {
            return first_outside(&format!("{key}."), table, schema);
        }
        outside(value, schema).map(|value| Violation {
            key,
            range: match range(schema) {
                // A bound alone does not say why infinity or NaN is refused.
                range if !["inf", "-inf", "NaN"].contains(&value.as_str()) => range,
                any if any == "any number" => "a finite number".into(),
                range if schema["infinite"] == true => range,
                range => format!("a finite number, {range}"),
            },
            value,
            why: schema["why"].as_str().unwrap_or_default().into(),
        })
    })
}

pub(crate) fn properties(schema: &Value) -> impl Iterator<Item = (&String, &Value)> {
    schema["properties"].as_object().into_iter().flatten()
}

/// The first paragraph of a field's documentation, on one line and without its full stop.
fn purpose(schema: &Value) -> String {
    let text = schema["description"].as_str().unwrap_or_default();
    let first = text.split("\n\n").next().unwrap_or_default();
    first.replace('\n', " ").trim_end_matches('.').to_owned()
}

/// What of a value is outside the range of its schema, if anything.
fn outside(value: &Toml, schema: &Value) -> Option<String> {
    if let Some(schema) = optional(schema) {
        return outside(value, schema);
    }
    match value {
        // A table is one of several alternatives, which differ in their keys.
        Toml::Table(table) => {
            let one = schema["oneOf"].as_array()?.iter().find(|one| {
                let mut keys = table.keys();
                keys.all(|key| properties(one).any(|(name, _)| name == key))
            })?;
            let wrong = |(key, value): (&String, &Toml)| outside(value, &one["properties"][key]);
            table.iter().find_map(wrong).map(|_| value.to_string())
        }
        Toml::Float(x) if !number(*x, schema) => Some(x.to_string()),
        Toml::Integer(i) if !number(*i as f64, schema) => Some(i.to_string()),
        Toml::Array(values) => {
            let n = values.len() as u64;
            let bound = |key: &str| schema[key].as_u64();
            if bound("minItems").is_some_and(|least| n < least)
                || bound("maxItems").is_some_and(|most| n > most)
            {
                return Some(format!("a list of {n}"));
            }
            values
                .iter()
                .find_map(|value| outside(value, &schema["items"]))
        }
        _ => None,
    }
}

fn number(x: f64, schema: &Value) -> bool {
    let bound = |key: &str| schema[key].as_f64();
    !x.is_nan()
        && (x.is_finite() || schema["infinite"] == true)
        && bound("minimum").is_none_or(|least| x >= least)
        && bound("maximum").is_none_or(|most| x <= most)
        && bound("exclusiveMinimum").is_none_or(|least| x > least)
        && bound("exclusiveMaximum").is_none_or(|most| x < most)
}

/// The schema of T in that of `Option<T>`, which is T or null.
fn optional(schema: &Value) -> Option<&Value> {
    match schema["anyOf"].as_array().map(Vec::as_slice) {
        Some([one, null]) if null["type"] == "null" => Some(one),
        _ => None,
    }
}

/// The values that a schema allows, in words.
fn range(schema: &Value) -> String {
    if let Some(words) = schema["values"].as_str() {
        return words.into();
    }
    let consts = |list: &Value| -> Option<Vec<String>> {
        list.as_array()?
            .iter()
            .map(|one| one.get("const").map(Value::to_string))
            .collect()
    };
    if let Some(values) = consts(&schema["oneOf"]) {
        return values.join(", ");
    }
    if let Some(values) = schema["enum"].as_array() {
        return values
            .iter()
            .filter(|value| !value.is_null())
            .map(Value::to_string)
            .collect::<Vec<_>>()
            .join(", ");
    }
    if let Some(schema) = optional(schema) {
        return range(schema);
    }
    let kind = match &schema["type"] {
        Value::Array(types) => types[0].as_str(),
        kind => kind.as_str(),
    };
    match kind {
        Some("boolean") => "true, false".into(),
        Some("integer") => format!("a whole number, {}", interval(schema)),
        Some("number") => interval(schema),
        Some("array") => {
            let count = match (schema["minItems"].as_u64(), schema["maxItems"].as_u64()) {
                (Some(least), Some(most)) => format!("{least} to {most} values"),
                (Some(least), None) => format!("{least} or more values"),
                (None, Some(most)) => format!("up to {most} values"),
                (None, None) => "a list".into(),
            };
            match &schema["items"] {
                items if items.is_object() => format!("{count}, each {}", range(items)),
                _ => count,
            }
        }
        _ => "text".into(),
    }
}

/// `0 ≤ x < 1` and the like.
fn interval(schema: &Value) -> String {
    let bound = |key: &str| {
        let x = schema[key].as_f64()?;
        Some(if x != 0.0 && !(1e-3..1e6).contains(&x.abs()) {
            format!("{x:e}")
        } else {
            format!("{x}")
        })
    };
    let least = bound("exclusiveMinimum")
        .map(|x| (x, "<", "above"))
        .or(bound("minimum").map(|x| (x, "≤", "at least")));
    let most = bound("exclusiveMaximum")
        .map(|x| (x, "<", "below"))
        .or(bound("maximum").map(|x| (x, "≤", "at most")));
    let plain = match (least, most) {
        (Some((least, from, _)), Some((most, to, _))) => format!("{least} {from} x {to} {most}"),
        (Some((least, _, from)), None) => format!("{from} {least}"),
        (None, Some((most, _, to))) => format!("{to} {most}"),
        (None, None) => "any number".into(),
    };
    if schema["infinite"] == true {
        plain + ", or inf"
    } else {
        plain
    }
}
