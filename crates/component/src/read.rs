//! Reads a configuration from a table, and names the option that is wrong.

use std::fmt::Debug;

use schemars::JsonSchema;
use serde::Serialize;
use serde::de::DeserializeOwned;
use toml::Table;

use crate::options::properties;
use crate::{ComponentError, Kind, check, listed, schema};

/// What a configuration type derives: each field is an option, with its doc line and its range.
///
/// Serde has `deny_unknown_fields`, and `default` if every option has a default.
pub trait Config:
    Clone + PartialEq + Debug + Serialize + DeserializeOwned + JsonSchema + Send + Sync + 'static
{
}

impl<C> Config for C where
    C: Clone
        + PartialEq
        + Debug
        + Serialize
        + DeserializeOwned
        + JsonSchema
        + Send
        + Sync
        + 'static
{
}

/// The configuration with the options of `base`, and `given` over them; its ranges are checked.
///
/// # Errors
/// An option that the type does not have, one that it needs, a value of the wrong type, and a value
/// that is out of its range: each names the option.
pub fn read<C: JsonSchema + Serialize + DeserializeOwned>(
    kind: Kind,
    component: &str,
    base: Table,
    given: Table,
) -> Result<C, ComponentError> {
    let schema = schema::<C>();
    let known = || properties(&schema).map(|(name, _)| name);
    if let Some(option) = given.keys().find(|key| !known().any(|name| name == *key)) {
        return Err(ComponentError::UnknownOption {
            kind,
            component: component.into(),
            known: known().cloned().collect(),
            option: option.clone(),
        });
    }
    let mut table = base.clone();
    table.extend(given.clone());
    let required = schema["required"].as_array().into_iter().flatten();
    for option in required.filter_map(|name| name.as_str()) {
        if !table.contains_key(option) {
            let options = listed(&schema, &Table::new());
            let purpose = options.into_iter().find(|o| o.name == option);
            return Err(ComponentError::Missing {
                kind,
                component: component.into(),
                option: option.into(),
                purpose: purpose.map(|o| o.purpose).unwrap_or_default(),
            });
        }
    }
    let read = |table: Table| table.try_into::<C>();
    let config = read(table.clone()).map_err(|error| {
        // The parser does not say which value it is about: it is the one without which the error
        // changes.
        let culprit = given.iter().find(|(option, _)| {
            let mut without = table.clone();
            match base.get(*option) {
                Some(value) => drop(without.insert((*option).clone(), value.clone())),
                None => drop(without.remove(*option)),
            }
            !read(without).is_err_and(|other| other.message() == error.message())
        });
        let (option, value) = culprit.map_or_else(Default::default, |(option, value)| {
            (option.clone(), value.to_string())
        });
        ComponentError::Type {
            kind,
            component: component.into(),
            option,
            value,
            message: error.message().trim().replace('\n', " "),
        }
    })?;
    check(kind, component, &config)?;
    Ok(config)
}
