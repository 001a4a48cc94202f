//! The components that a program knows.

use largebatch_component::schema;
use largebatch_data::{Datasets, NamedDataset, Reader};
use largebatch_models::ModelConfig;
use largebatch_optim::OptimizerConfig;
use largebatch_schedule::{ShapeConfig, batch_schedules, schedule_schema};
use serde_json::{Value, json};

use crate::RunConfig;

/// The open tables of components: names in configurations are looked up here.
///
/// ```
/// use largebatch_train::Lab;
///
/// let lab = Lab::standard(); // .optimizer::<MyOptimizer>().model::<MyModel>() and so on
/// assert!(lab.models.named("mlp").is_ok());
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct Lab {
    /// The optimizers.
    pub optimizers: largebatch_optim::Registry,
    /// The models.
    pub models: largebatch_models::Registry,
    /// The learning-rate schedules.
    pub schedules: largebatch_schedule::Registry,
    /// The data sets that have a name.
    pub datasets: Datasets,
    /// The file formats of data.
    pub formats: largebatch_data::Registry,
}

/// Each of these adds a component to its table. One of the same name is replaced.
impl Lab {
    /// The components of this project.
    pub fn standard() -> Self {
        Lab {
            optimizers: largebatch_optim::standard(),
            models: largebatch_models::standard(),
            schedules: largebatch_schedule::standard(),
            datasets: largebatch_data::datasets(),
            formats: largebatch_data::formats(),
        }
    }

    /// The lab with one more optimizer.
    pub fn optimizer<C: OptimizerConfig>(mut self) -> Self {
        self.optimizers = self.optimizers.with(largebatch_optim::entry::<C>());
        self
    }

    /// The lab with one more model.
    pub fn model<C: ModelConfig>(mut self) -> Self {
        self.models = self.models.with(largebatch_models::entry::<C>());
        self
    }

    /// The lab with one more schedule.
    pub fn schedule<S: ShapeConfig>(mut self) -> Self {
        self.schedules = self.schedules.with(largebatch_schedule::entry::<S>());
        self
    }

    /// The lab with one more data set.
    pub fn dataset<D: NamedDataset>(mut self) -> Self {
        let entry = largebatch_data::dataset_entry::<D>();
        self.datasets = self.datasets.with(entry);
        self
    }

    /// The lab with one more file format.
    pub fn format<R: Reader>(mut self) -> Self {
        self.formats = self.formats.with(largebatch_data::format_entry::<R>());
        self
    }
}

impl Lab {
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
        [
            ("model", self.models.schema()),
            ("optimizer", self.optimizers.schema()),
            ("schedule", schedule_schema(&self.schedules)),
            ("batch_schedule", batch_schedules().schema()),
            ("dataset", self.data()),
        ]
    }

    /// A data set of the table, or files with a format.
    fn data(&self) -> Value {
        let mut all = self.datasets.schema();
        for entry in self.formats.iter() {
            let mut schema = entry.schema();
            schema["description"] = entry.facts().summary.into();
            schema["properties"]["format"] = json!({ "const": entry.facts().name });
            if let Some(required) = schema["required"].as_array_mut() {
                required.push("format".into());
            }
            if let Some(all) = all["anyOf"].as_array_mut() {
                all.push(schema);
            }
        }
        all
    }
}
