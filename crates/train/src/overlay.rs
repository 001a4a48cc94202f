//! Reads a run's configuration from a file, with settings laid over it.

use std::num::IntErrorKind;
use std::path::Path;

use largebatch_component::settings::{get, insert, is_below};
use largebatch_component::{nearest, options};
use toml::{Table, Value};

use crate::{RunConfig, TrainError};

impl RunConfig {
    /// Reads a TOML text and overrides it with `key = value` pairs, later ones over earlier ones.
    ///
    /// # Errors
    /// Text that is not TOML, unknown keys (with the line and the nearest known key), or values of
    /// the wrong type.
    pub fn layered(
        file: Option<(&Path, &str)>,
        over: &[(String, Value)],
    ) -> Result<Self, TrainError> {
        let config = match file {
            None => RunConfig::default(),
            // As a table too, whose whole numbers end at 2⁶³ − 1: the error names the line.
            Some((path, text)) => toml::from_str::<Table>(text)
                .and_then(|_| toml::from_str(text))
                .map_err(|e| TrainError::Config {
                    place: path.display().to_string(),
                    message: explain(&e),
                })?,
        };
        if over.is_empty() {
            return Ok(config);
        }
        let table = Table::try_from(config).expect("a configuration has only TOML's types");
        let laid = |over: &[(String, Value)]| {
            let mut table = table.clone();
            for (key, value) in over {
                // The same name again keeps its options.
                if get(&table, &format!("{key}.name")) != Some(value) {
                    insert(&mut table, key, value.clone());
                }
            }
            table.try_into::<RunConfig>()
        };
        laid(over).map_err(|error| {
            // The first one with which the table cannot be read.
            let first = (1..over.len()).find(|&n| laid(&over[..n]).is_err());
            let (key, value) = &over[first.unwrap_or(over.len()) - 1];
            let all = options(&RunConfig::default());
            let setting = all
                .into_iter()
                .find(|o| o.name == *key || is_below(key, &o.name));
            match setting {
                Some(o) if !error.message().starts_with("unknown") => {
                    TrainError::value(key, value, format!("`{}` must be {}", o.name, o.range))
                }
                _ => TrainError::Config {
                    place: format!("--set {key}"),
                    message: explain(&error),
                },
            }
        })
    }

    /// Reads `key=value`. A value that is not valid TOML is taken as a string.
    ///
    /// # Errors
    /// Text without `=`, or with an empty key.
    pub fn assignment(text: &str) -> Result<(String, Value), TrainError> {
        let (key, value) = text
            .split_once('=')
            .filter(|(key, _)| !key.trim().is_empty())
            .ok_or_else(|| TrainError::Config {
                place: format!("--set {text}"),
                message: "write key=value, such as optimizer.weight_decay=1e-4".into(),
            })?;
        let parsed = toml::from_str::<Table>(&format!("v = {value}"))
            .ok()
            .and_then(|mut t| t.remove("v"));
        let beyond = |e: std::num::ParseIntError| {
            matches!(
                e.kind(),
                IntErrorKind::PosOverflow | IntErrorKind::NegOverflow
            )
        };
        if parsed.is_none() && value.trim().parse::<i64>().is_err_and(beyond) {
            let message = format!(
                "{} is too large: whole numbers in TOML end at {}",
                value.trim(),
                i64::MAX
            );
            return Err(TrainError::Config {
                place: format!("--set {}", key.trim()),
                message,
            });
        }
        Ok((
            key.trim().to_owned(),
            parsed.unwrap_or_else(|| Value::String(value.trim().to_owned())),
        ))
    }
}

/// The parser's message, with the nearest known key when one was mistyped.
fn explain(error: &toml::de::Error) -> String {
    let message = error.to_string();
    let quoted: Vec<&str> = error.message().split('`').skip(1).step_by(2).collect();
    match quoted.split_first() {
        Some((name, known)) if error.message().starts_with("unknown") => {
            match nearest(name, known.iter().copied()) {
                Some(near) => format!("{}\ndid you mean `{near}`?", message.trim_end()),
                None => message,
            }
        }
        _ => message,
    }
    .trim_end()
    .to_owned()
}
