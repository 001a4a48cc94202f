use crate::ConfigError;
use largebatch_component::nearest;
use regex::Regex;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::borrow::Cow;
use std::str::FromStr;

/// Which parameters are excluded from weight decay or from layer adaptation, or belong to a group.
///
/// In TOML and on the command line: `"none"`, one pattern, or a list of patterns. A pattern is
/// `vectors` (parameters of rank 0 or 1: biases, the scales and shifts of normalization layers),
/// `layer:NAME` (everything in layers of this type, such as `layer:BatchNorm`), or a regular
/// expression that is searched in the parameter's path, such as `bias$`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Exclude(Vec<Pattern>);

#[derive(Clone, Debug)]
enum Pattern {
    Vectors,
    Layer(String),
    Path(Regex),
}

impl PartialEq for Pattern {
    fn eq(&self, other: &Self) -> bool {
        self.text() == other.text()
    }
}

impl Pattern {
    fn text(&self) -> String {
        match self {
            Pattern::Vectors => "vectors".into(),
            Pattern::Layer(name) => format!("layer:{name}"),
            Pattern::Path(regex) => regex.as_str().into(),
        }
    }
}

impl FromStr for Pattern {
    type Err = ConfigError;
    fn from_str(text: &str) -> Result<Self, ConfigError> {
        if text == "vectors" {
            return Ok(Pattern::Vectors);
        }
        if let Some(name) = text.strip_prefix("layer:") {
            return Ok(Pattern::Layer(name.into()));
        }
        let message = match Regex::new(text) {
            Ok(regex) if !text.is_empty() && text != "none" => return Ok(Pattern::Path(regex)),
            Ok(_) => "it would match every parameter, or none".into(),
            Err(e) => e
                .to_string()
                .lines()
                .last()
                .unwrap_or_default()
                .trim()
                .to_string(),
        };
        Err(ConfigError::Pattern {
            pattern: text.into(),
            message,
        })
    }
}

impl Exclude {
    /// Excludes nothing.
    pub fn none() -> Self {
        Exclude::default()
    }

    /// Excludes parameters of rank 0 and 1.
    pub fn vectors() -> Self {
        Exclude(vec![Pattern::Vectors])
    }

    /// Excludes what any of these patterns matches (see [`Exclude`] for their form).
    pub fn patterns<S: AsRef<str>>(
        patterns: impl IntoIterator<Item = S>,
    ) -> Result<Self, ConfigError> {
        let patterns = patterns.into_iter().map(|p| p.as_ref().parse());
        patterns.collect::<Result<_, _>>().map(Exclude)
    }

    /// Whether a parameter is excluded. `layers` are the types of the enclosing modules, as Burn
    /// names them (`Struct:BatchNorm` or `BatchNorm`).
    pub fn matches(&self, path: &str, rank: usize, layers: &[String]) -> bool {
        self.0.iter().any(|pattern| match pattern {
            Pattern::Vectors => rank <= 1,
            Pattern::Layer(name) => layers
                .iter()
                .any(|l| l.split_once(':').map_or(l.as_str(), |(_, n)| n) == name),
            Pattern::Path(regex) => regex.is_match(path),
        })
    }

    /// Whether all patterns are regular expressions on paths. [`Driver::new`](crate::Driver::new)
    /// then requires that at least one matches.
    pub fn is_by_path(&self) -> bool {
        !self.0.is_empty() && self.0.iter().all(|p| matches!(p, Pattern::Path(_)))
    }

    /// Refuses a list of regular expressions that match no path, because a typo would silently
    /// change the experiment. A list with `vectors` or `layer:NAME`, which suit any model, may
    /// match nothing.
    pub(crate) fn check<'p>(
        &self,
        paths: impl Iterator<Item = &'p str> + Clone,
    ) -> Result<(), ConfigError> {
        if !self.is_by_path()
            || paths
                .clone()
                .any(|path| self.matches(path, usize::MAX, &[]))
        {
            return Ok(());
        }
        let pattern = self
            .0
            .iter()
            .map(Pattern::text)
            .collect::<Vec<_>>()
            .join("`, `");
        let typo = nearest(&pattern, ["vectors", "none"]);
        Err(ConfigError::Unmatched {
            pattern,
            nearest: typo.map(String::from),
            paths: paths.map(String::from).collect(),
        })
    }
}

impl Serialize for Exclude {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0.as_slice() {
            [] => serializer.serialize_str("none"),
            [one] => serializer.serialize_str(&one.text()),
            many => many
                .iter()
                .map(Pattern::text)
                .collect::<Vec<_>>()
                .serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for Exclude {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(
            untagged,
            expecting = "expected `none`, `vectors`, `layer:NAME`, a regular expression, or a list of these"
        )]
        enum Text {
            One(String),
            Many(Vec<String>),
        }
        match Text::deserialize(deserializer)? {
            Text::One(text) if text == "none" => Ok(Exclude::none()),
            Text::One(text) => Exclude::patterns([text]),
            Text::Many(texts) => Exclude::patterns(texts),
        }
        .map_err(serde::de::Error::custom)
    }
}

impl JsonSchema for Exclude {
    fn schema_name() -> Cow<'static, str> {
        "Exclude".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "anyOf": [
                { "type": "string" },
                { "type": "array", "items": { "type": "string" } }
            ],
            "values": "\"none\", \"vectors\" (rank 1 or less), \"layer:NAME\", a regular expression on paths, or a list of these"
        })
    }
}

/// The two exclusions of an optimizer.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Exclusions {
    /// Parameters excluded from weight decay.
    pub weight_decay: Exclude,
    /// Parameters excluded from layer adaptation; they move as under the base optimizer.
    pub layer_adaptation: Exclude,
}

impl Exclusions {
    /// Of an optimizer without layer adaptation.
    pub fn of_decay(weight_decay: &Exclude) -> Self {
        Exclusions {
            weight_decay: weight_decay.clone(),
            layer_adaptation: Exclude::none(),
        }
    }
}
