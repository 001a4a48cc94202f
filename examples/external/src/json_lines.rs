//! A data format of your own: its keys, its facts and its reader.

use std::path::PathBuf;

use largebatch::component::Facts;
use largebatch::data::{Content, DataError, Dataset, Files, Known, Part, Reader, Rows, line};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// JSON lines: an object on each line, with the features and the label as its values.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct JsonLines {
    /// The set's name in reports; by default the training file's name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The file to train on.
    pub train: PathBuf,
    /// The file to test on; by default a fifth of the training file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub test: Option<PathBuf>,
    /// The key of the label.
    pub label: String,
}

impl Reader for JsonLines {
    const FACTS: Facts = Facts::new("json-lines", "a JSON object on each line");

    fn open(&self, files: &Files<'_>) -> Result<Dataset, DataError> {
        let train = self.rows(&files.content(&self.train)?, None)?;
        let test = files.optional(&self.test)?;
        let test = test.map(|file| self.rows(&file, Some(&train.names)));
        files.table(&self.name, train, test.transpose()?, None)
    }

    fn features(
        &self,
        file: &Content,
        known: &Known<'_>,
    ) -> Result<(Part, Vec<String>), DataError> {
        self.rows(file, Some(known.names))?.unlabelled()
    }
}

impl JsonLines {
    /// The rows of a file; the features are those of the first line, or `names`.
    fn rows(&self, file: &Content, names: Option<&[String]>) -> Result<Rows, DataError> {
        let mut rows = Rows::new(file, names.unwrap_or_default().to_vec());
        for (at, text) in (1..).zip(file.text()?.lines()) {
            let wrong =
                |key: &str, why: &str| line(&file.path, at, Some(format!("key {key}")), why);
            let object: Value = serde_json::from_str(text)
                .map_err(|error| line(&file.path, at, None, format!("not JSON: {error}")))?;
            let Some(object) = object.as_object() else {
                return Err(line(&file.path, at, None, "not a JSON object"));
            };
            if rows.names.is_empty() {
                let features = object.keys().filter(|key| **key != self.label);
                rows.names = features.cloned().collect();
            }
            let value = |name: &String| {
                let value = object.get(name).and_then(Value::as_f64);
                value.ok_or_else(|| wrong(name, "not a number; give one for each feature"))
            };
            let values = rows.names.iter().map(value).collect::<Result<_, _>>()?;
            let label = match object.get(&self.label) {
                Some(Value::String(word)) => word.clone(),
                Some(other) => other.to_string(),
                None if names.is_some() => String::new(),
                None => return Err(wrong(&self.label, "the label is missing")),
            };
            rows.push(at, values, label);
        }
        Ok(rows)
    }
}
