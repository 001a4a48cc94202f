use crate::{
    ConfigError, DynOptimizerConfig, DynRule, Exclude, Exclusions, GlobalClip, OptimizerConfig,
    ParameterGroup, Stability,
};
use largebatch_component::{ComponentError, Facts, Kind, read};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{DeserializeOwned, Error};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Map;
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

/// An optimizer with a rate, and options, of their own for some parameters, as PyTorch's parameter
/// groups.
///
/// In TOML the list `groups` is an option of every optimizer:
///
/// ```toml
/// optimizer = { name = "lars", groups = [{ parameters = "^output", lr_factor = 0.1, weight_decay = 0 }] }
/// ```
///
/// The optimizer clips by its own options, not by those of a group.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Grouped<C> {
    /// The optimizer of all parameters that are in no group.
    pub optimizer: C,
    /// The groups. A parameter belongs to the first one that has it.
    pub groups: Vec<Group>,
}

/// A group of [`Grouped`].
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Group {
    /// Its parameters, in the form of an exclusion: `vectors`, `layer:NAME`, a regular expression on
    /// paths, or a list of these.
    pub parameters: Exclude,
    /// The factor of its learning rate, 0 or more.
    #[serde(default = "one")]
    pub lr_factor: f64,
    /// Options of the optimizer with other values than elsewhere.
    #[serde(flatten)]
    pub options: toml::Table,
}

fn one() -> f64 {
    1.0
}

/// A [`Group`] whose optimizer is configured.
pub struct ConfiguredGroup {
    /// Its parameters.
    pub parameters: Exclude,
    /// The factor of its learning rate.
    pub lr_factor: f64,
    /// Its optimizer.
    pub optimizer: Box<dyn DynOptimizerConfig>,
}

/// An optimizer and the parameters that it moves, as the driver has them.
pub(crate) struct Part {
    /// Absent: all parameters.
    parameters: Option<Exclude>,
    pub lr_factor: f64,
    pub recipe: Box<dyn DynOptimizerConfig>,
    exclusions: Exclusions,
    rules: BTreeMap<ParameterGroup, Arc<dyn DynRule>>,
}

impl Part {
    pub fn new(
        parameters: Option<Exclude>,
        lr_factor: f64,
        recipe: Box<dyn DynOptimizerConfig>,
    ) -> Part {
        Part {
            parameters,
            lr_factor,
            exclusions: recipe.exclusions(),
            recipe,
            rules: BTreeMap::new(),
        }
    }

    /// Refuses patterns that match none of the paths.
    pub fn check<'p>(
        &self,
        paths: impl Iterator<Item = &'p str> + Clone,
    ) -> Result<(), ConfigError> {
        let exclusions = &self.exclusions;
        let patterns = [&exclusions.weight_decay, &exclusions.layer_adaptation];
        let mut patterns = patterns.into_iter().chain(&self.parameters);
        patterns.try_for_each(|pattern| pattern.check(paths.clone()))
    }

    /// The rule of a parameter; `None` if it is not in this part.
    pub fn rule(&mut self, path: &str, rank: usize, layers: &[String]) -> Option<Arc<dyn DynRule>> {
        let has = |pattern: &Exclude| pattern.matches(path, rank, layers);
        let group = ParameterGroup {
            decay: !has(&self.exclusions.weight_decay),
            adapt: !has(&self.exclusions.layer_adaptation),
        };
        let rule = || self.recipe.dyn_rule(group);
        let mine = self.parameters.as_ref().is_none_or(has);
        mine.then(|| self.rules.entry(group).or_insert_with(rule).clone())
    }
}

impl<C: OptimizerConfig> Grouped<C> {
    fn configured(&self, group: &Group) -> Result<C, ConfigError> {
        let name = C::FACTS.name;
        let (base, given) = (self.optimizer.table(), group.options.clone());
        let config: C = read(Kind::Optimizer, name, base, given).map_err(|error| match error {
            ComponentError::UnknownOption {
                kind,
                component,
                option,
                mut known,
            } => {
                known.extend(["parameters".into(), "lr_factor".into()]);
                ComponentError::UnknownOption {
                    kind,
                    component,
                    option,
                    known,
                }
            }
            error => error,
        })?;
        OptimizerConfig::check(&config)?;
        if !(group.lr_factor >= 0.0 && group.lr_factor.is_finite()) {
            return Err(ConfigError::Component(ComponentError::Range {
                kind: Kind::Optimizer,
                component: name.into(),
                option: "groups.lr_factor".into(),
                value: group.lr_factor.to_string(),
                range: "a finite number, at least 0".into(),
                why: "it is a factor of the learning rate".into(),
            }));
        }
        Ok(config)
    }
}

impl<C: OptimizerConfig> DynOptimizerConfig for Grouped<C> {
    fn facts(&self) -> Facts {
        C::FACTS
    }
    fn table(&self) -> toml::Table {
        toml::Table::try_from(self).unwrap_or_default()
    }
    fn check(&self) -> Result<(), ConfigError> {
        DynOptimizerConfig::check(&self.optimizer)?;
        let mut groups = self.groups.iter();
        groups.try_for_each(|group| self.configured(group).map(drop))
    }
    fn dyn_rule(&self, group: ParameterGroup) -> Arc<dyn DynRule> {
        self.optimizer.dyn_rule(group)
    }
    fn exclusions(&self) -> Exclusions {
        OptimizerConfig::exclusions(&self.optimizer)
    }
    fn groups(&self) -> Result<Vec<ConfiguredGroup>, ConfigError> {
        let configured = |group: &Group| {
            Ok(ConfiguredGroup {
                parameters: group.parameters.clone(),
                lr_factor: group.lr_factor,
                optimizer: Box::new(self.configured(group)?),
            })
        };
        self.groups.iter().map(configured).collect()
    }
    fn stability(&self) -> Option<Stability> {
        OptimizerConfig::stability(&self.optimizer)
    }
    fn global_clip(&self) -> Option<GlobalClip> {
        OptimizerConfig::global_clip(&self.optimizer)
    }
    fn boxed(&self) -> Box<dyn DynOptimizerConfig> {
        Box::new(self.clone())
    }
}

/// The options of the optimizer, and `groups` if there are any.
impl<C: Serialize> Serialize for Grouped<C> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        use serde::ser::Error;
        let mut table = toml::Table::try_from(&self.optimizer).map_err(S::Error::custom)?;
        if !self.groups.is_empty() {
            let groups = toml::Value::try_from(&self.groups).map_err(S::Error::custom)?;
            table.insert("groups".into(), groups);
        }
        table.serialize(serializer)
    }
}

impl<'de, C: DeserializeOwned> Deserialize<'de> for Grouped<C> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut table = toml::Table::deserialize(deserializer)?;
        let failed = |error: toml::de::Error| D::Error::custom(error.message());
        let groups = table.remove("groups").map(toml::Value::try_into);
        Ok(Grouped {
            groups: groups.transpose().map_err(failed)?.unwrap_or_default(),
            optimizer: table.try_into().map_err(failed)?,
        })
    }
}

impl<C: JsonSchema> JsonSchema for Grouped<C> {
    fn schema_name() -> Cow<'static, str> {
        C::schema_name()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let mut schema = C::json_schema(generator);
        let mut factor = generator.subschema_for::<f64>();
        factor.insert("description".into(), "Factor of the learning rate".into());
        factor.insert("minimum".into(), 0.into());
        let mut parameters = generator.subschema_for::<Exclude>();
        parameters.insert("description".into(), "The group's parameters".into());
        let options = schema.get("properties").and_then(|p| p.as_object());
        let mut options = options.cloned().unwrap_or_default();
        let mut of_group = Map::new();
        of_group.insert("parameters".into(), parameters.to_value());
        of_group.insert("lr_factor".into(), factor.to_value());
        of_group.extend(options.clone());
        let groups = json_schema!({
            "description": "Parameters with a rate or options of their own; the first group that has a parameter counts.",
            "type": "array",
            "items": {
                "type": "object",
                "required": ["parameters"],
                "additionalProperties": false,
                "properties": of_group
            },
            "values": "a list of tables with `parameters` as in an exclusion, `lr_factor` and options of this optimizer"
        });
        options.insert("groups".into(), groups.to_value());
        schema.insert("properties".into(), options.into());
        schema
    }
}
