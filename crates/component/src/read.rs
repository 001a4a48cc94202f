use schemars::JsonSchema;
use serde::Serialize;
use serde::de::DeserializeOwned;
use toml::Table;

use crate::options::properties;
use crate::{ComponentError, Kind, check, schema};

/// The configuration with the values of `base`, and `given` over them; its ranges are checked.
///
/// # Errors
/// An option that the type does not have, a value of the wrong type, and a value that is out of its range: each names the option.
pub fn read<C: JsonSchema + Serialize + DeserializeOwned>(
    kind: Kind,
    component: &str,
    base: &C,
    given: Table,
) -> Result<C, ComponentError> {
    let mut table = Table::try_from(base).unwrap_or_default();
    let schema = schema::<C>();
    let known = || properties(&schema).map(|(name, _)| name);
    let wrong_type = |option: &str, value: String, error: toml::de::Error| ComponentError::Type {
        kind,
        component: component.into(),
        option: option.into(),
        value,
        message: error.message().trim().replace('\n', " "),
    };
    for (option, value) in given {
        if !known().any(|name| *name == option) {
            return Err(ComponentError::UnknownOption {
                kind,
                component: component.into(),
                known: known().cloned().collect(),
                option,
            });
        }
        // One option at a time, so that a value of the wrong type is reported with its name.
        let mut one = table.clone();
        one.insert(option.clone(), value.clone());
        one.try_into::<C>()
            .map_err(|error| wrong_type(&option, value.to_string(), error))?;
        table.insert(option, value);
    }
    let config: C = table
        .try_into()
        .map_err(|error| wrong_type("", String::new(), error))?;
    check(kind, component, &config)?;
    Ok(config)
}
