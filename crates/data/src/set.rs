//! A data set in memory: examples and labels, split into a training and a test part.

use crate::{Part, Preprocess, Task};

/// A file that a data set was read from.
#[derive(Clone, PartialEq, Eq, Debug, serde::Serialize, serde::Deserialize)]
pub struct Source {
    /// Its path, or `built in: NAME`.
    pub file: String,
    /// The SHA-256 of its uncompressed content.
    pub sha256: String,
    /// Whether this is the hash in the catalogue; if not, warn: the results are not comparable
    /// digit by digit.
    pub known: bool,
}

/// A data set: examples to train on, and examples to test on once, at the end.
#[derive(Clone)]
pub struct Dataset {
    /// The name in the catalogue or in the [`crate::DataSpec`].
    pub name: String,
    /// What the labels are.
    pub task: Task,
    /// The shape of one example: `[features]` or `[channels, height, width]`.
    pub shape: Vec<usize>,
    /// The part to train on; a validation split is taken from it.
    pub train: Part,
    /// The part that only the final evaluation reads.
    pub test: Part,
    /// The files it was read from.
    pub sources: Vec<Source>,
    /// One name per class; may be empty.
    pub class_names: Vec<String>,
    /// The normalisation that suits this set, without augmentation.
    pub preprocess: Preprocess,
    /// One sentence for each thing that was left out or looks wrong in the files, to be shown to
    /// the user once.
    pub warnings: Vec<String>,
}

impl Dataset {
    /// The default size of the validation split: a fifth of the training part, but at most 5,000.
    pub fn default_validation(&self) -> usize {
        (self.train.len() / 5).min(5000)
    }
}
