//! A data set of your own, drawn by the program: its options and its examples.

use largebatch::component::Facts;
use largebatch::data::{
    DataError, Dataset, Labels, NamedDataset, Normalise, Part, Preprocess, Search, Task,
};
use largebatch::random::{Key, normal};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::f64::consts::PI;

/// Two half circles that reach into each other, one for each class, as scikit-learn's `make_moons`.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct TwoMoons {
    /// Examples to train on; a quarter as many are for testing.
    #[schemars(range(min = 100, max = 1_000_000))]
    pub examples: usize,
    /// Standard deviation of the noise of each coordinate.
    #[schemars(range(min = 0.0))]
    pub noise: f64,
}

impl Default for TwoMoons {
    fn default() -> Self {
        TwoMoons {
            examples: 1000,
            noise: 0.1,
        }
    }
}

impl TwoMoons {
    fn part(&self, name: &str, n: usize) -> Result<Part, DataError> {
        let mut rng = Key::new(0).word("two-moons").word(name).rng();
        let mut values = Vec::with_capacity(2 * n);
        for i in 0..n {
            // Every second example is of the lower moon.
            let angle = PI * (i / 2) as f64 / (n / 2) as f64;
            let point = match i % 2 {
                0 => [angle.cos(), angle.sin()],
                _ => [1.0 - angle.cos(), 0.5 - angle.sin()],
            };
            values.extend(point.map(|x| x + self.noise * normal(&mut rng)));
        }
        let classes = (0..n as u32).map(|i| i % 2).collect();
        Part::from_table(values, vec![2], Labels::Classes(classes))
    }
}

impl NamedDataset for TwoMoons {
    const FACTS: Facts = Facts::new("two-moons", "Two half circles that reach into each other");

    fn open(&self, _: &Search) -> Result<Dataset, DataError> {
        Ok(Dataset {
            name: "two-moons".into(),
            task: Task::Classes(2),
            shape: vec![2],
            train: self.part("train", self.examples)?,
            test: self.part("test", self.examples / 4)?,
            sources: Vec::new(),
            class_names: vec!["upper".into(), "lower".into()],
            preprocess: Preprocess {
                normalise: Some(Normalise::Feature),
                ..Preprocess::default()
            },
            warnings: Vec::new(),
        })
    }
}
