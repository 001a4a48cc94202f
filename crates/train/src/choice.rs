//! A named thing with options, as a configuration writes it.

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::borrow::Cow;
use toml::Table;

/// A name and its options. In TOML: `"sgd"`, or `{ name = "momentum", momentum = 0.95 }` with options.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Choice {
    /// The name in the table of optimizers, models, data sets or schedules.
    pub name: String,
    /// Everything but the name.
    pub options: Table,
}

impl Choice {
    /// A choice without options.
    pub fn plain(name: impl Into<String>) -> Self {
        Choice {
            name: name.into(),
            options: Table::new(),
        }
    }

    /// The options, with the name added under the key `name`.
    pub fn table(&self) -> Table {
        let mut table = Table::from_iter([("name".to_owned(), self.name.clone().into())]);
        table.extend(self.options.clone());
        table
    }
}

impl JsonSchema for Choice {
    fn schema_name() -> Cow<'static, str> {
        "Choice".into()
    }

    /// Which names and options there are depends on the program: see
    /// [`Lab::run_schema`](crate::Lab::run_schema).
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": ["string", "object"],
            "values": "a name, or a table with name and options"
        })
    }
}

impl Serialize for Choice {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if self.options.is_empty() {
            self.name.serialize(serializer)
        } else {
            self.table().serialize(serializer)
        }
    }
}

impl<'de> Deserialize<'de> for Choice {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(
            untagged,
            expecting = "a name such as \"lars\", or a table with a name such as { name = \"lars\", momentum = 0.95 }"
        )]
        enum Form {
            Name(String),
            Table(Table),
        }
        match Form::deserialize(deserializer)? {
            Form::Name(name) => Ok(Choice::plain(name)),
            Form::Table(mut options) => match options.remove("name") {
                // The user's own files are named after the training file unless a name is given.
                name if options.contains_key("format")
                    && name
                        .as_ref()
                        .and_then(|n| n.as_str())
                        .is_none_or(str::is_empty) =>
                {
                    let file = ["train", "train_images"]
                        .into_iter()
                        .find_map(|key| options.get(key))
                        .and_then(|t| t.as_str())
                        .and_then(|t| std::path::Path::new(t).file_name()?.to_str());
                    Ok(Choice {
                        name: file
                            .and_then(|f| f.split('.').next())
                            .unwrap_or("own")
                            .to_owned(),
                        options,
                    })
                }
                Some(toml::Value::String(name)) => Ok(Choice { name, options }),
                _ => Err(serde::de::Error::custom(
                    "this table needs the key `name` beside its options, as in { name = \"lars\", momentum = 0.95 }",
                )),
            },
        }
    }
}
