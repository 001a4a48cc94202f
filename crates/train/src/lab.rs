//! The components that a program knows.

use largebatch_component::{Facts, schema};
use largebatch_data::Reader;
use largebatch_models::ModelConfig;
use largebatch_optim::OptimizerConfig;
use largebatch_schedule::{BatchConfig, ShapeConfig};
use serde_json::{Value, json};

use crate::RunConfig;

/// The open tables of components: names in configurations are looked up here.
///
/// ```
/// use largebatch_train::Lab;
///
/// let lab = Lab::standard(); // .optimizer::<MyOptimizer>().model::<MyModel>().schedule::<MySchedule>().format::<MyFormat>()
/// assert!(lab.models.named("mlp").is_ok());
/// ```
#[derive(Clone, Debug)]
pub struct Lab {
    /// The optimizers.
    pub optimizers: largebatch_optim::Registry,
    /// The models.
    pub models: largebatch_models::Registry,
    /// The learning-rate schedules.
    pub schedules: largebatch_schedule::Registry,
    /// The file formats of data.
    pub formats: largebatch_data::Registry,
}

impl Lab {
    /// The components of this project.
    pub fn standard() -> Self {
        Lab {
            optimizers: largebatch_optim::standard(),
            models: largebatch_models::standard(),
            schedules: largebatch_schedule::standard(),
            formats: largebatch_data::standard(),
        }
    }

    /// The lab with one more optimizer. One of the same name is replaced.
    pub fn optimizer<C: OptimizerConfig>(mut self) -> Self {
        self.optimizers = self.optimizers.with(largebatch_optim::Entry::of::<C>());
        self
    }

    /// The lab with one more schedule. One of the same name is replaced.
    pub fn schedule<S: ShapeConfig>(mut self) -> Self {
        self.schedules = self.schedules.with(largebatch_schedule::Entry::of::<S>());
        self
    }

    /// The lab with one more file format. One of the same name is replaced.
    pub fn format<R: Reader>(mut self) -> Self {
        self.formats = self.formats.with(largebatch_data::Entry::of::<R>());
        self
    }

    /// The lab with one more model. One of the same name is replaced.
    pub fn model<C: ModelConfig>(mut self) -> Self {
        self.models = self.models.with(largebatch_models::Entry::of::<C>());
        self
    }

    /// The JSON Schema (Draft 7) of a run's configuration, with the components of this lab.
    pub fn run_schema(&self) -> Value {
        let mut schema = schema::<RunConfig>();
        schema["$schema"] = "http://json-schema.org/draft-07/schema#".into();
        schema["title"] = "a run of largebatch".into();
        for (key, choices) in self.choices() {
            for (word, value) in choices.as_object().into_iter().flatten() {
                schema["properties"][key][word] = value.clone();
            }
        }
        schema
    }

    /// What stands at each key that takes a name or a table with a name.
    pub fn choices(&self) -> [(&'static str, Value); 5] {
        let models = self.models.iter().map(|e| (e.facts(), e.schema()));
        let schedules = self.schedules.iter().map(|e| (e.facts(), e.schema()));
        let optimizers = self.optimizers.iter().map(|e| {
            let (facts, mut schema) = (e.facts(), e.schema());
            let presets: Vec<&str> = facts.presets.iter().map(|p| p.name).collect();
            schema["properties"]["preset"] = json!({ "enum": presets });
            (facts, schema)
        });
        [
            ("model", choice(models)),
            ("optimizer", choice(optimizers)),
            ("schedule", choice(schedules)),
            (
                "batch_schedule",
                json!({ "anyOf": [
                    { "enum": largebatch_schedule::batch_facts().iter().map(|f| f.name).collect::<Vec<_>>() },
                    schema::<BatchConfig>()
                ] }),
            ),
            ("dataset", self.data_sets()),
        ]
    }
}

impl Lab {
    /// A name of the catalogue, or a table with a format.
    fn data_sets(&self) -> Value {
        let names = json!({ "enum": largebatch_data::names() });
        let mut all = vec![
            names.clone(),
            json!({ "type": "object", "properties": { "name": names },
                    "required": ["name"], "additionalProperties": false }),
        ];
        for entry in self.formats.iter() {
            let mut schema = entry.schema();
            schema["description"] = entry.facts().summary.into();
            schema["properties"]["format"] = json!({ "const": entry.facts().name });
            if let Some(required) = schema["required"].as_array_mut() {
                required.push("format".into());
            }
            all.push(schema);
        }
        json!({ "anyOf": all })
    }
}

/// A name, or a table with a name and its options.
fn choice(components: impl Iterator<Item = (&'static Facts, Value)>) -> Value {
    let (mut names, mut tables) = (Vec::new(), Vec::new());
    for (facts, mut schema) in components {
        names.push(facts.name);
        schema["description"] = facts.summary.into();
        schema["properties"]["name"] = json!({ "const": facts.name });
        schema["required"] = json!(["name"]);
        tables.push(schema);
    }
    let mut all = vec![json!({ "enum": names })];
    all.append(&mut tables);
    json!({ "anyOf": all })
}
