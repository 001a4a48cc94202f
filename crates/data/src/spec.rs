//! Data sets of one's own, described in a configuration.

use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// Files of one's own, as a table of a TOML file:
///
/// ```toml
/// name = "iris"             # optional
/// format = "csv"            # or "libsvm", "idx"
/// train = "iris.csv"        # plain or .gz
/// label = "species"         # the label's column: its name, or its number from 0
/// ```
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(tag = "format", rename_all = "kebab-case")]
pub enum DataSpec {
    /// Comma-separated values, with or without a line of names.
    Csv(CsvSpec),
    /// LIBSVM's text: `label index:value ...`, indices from 1.
    Libsvm(LibsvmSpec),
    /// A pair of IDX files (MNIST's format), bytes.
    Idx(IdxSpec),
}

impl DataSpec {
    /// The keys that name files.
    pub const FILES: [&str; 6] = ["train", "test", "train_images", "train_labels", "test_images", "test_labels"];
}

/// What the labels of a text file are.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LabelKind {
    /// Classes: whole numbers, or words. They are numbered from 0 in rising order, so −1 becomes 0 and +1 becomes 1.
    #[default]
    Classes,
    /// Real numbers.
    Real,
}

/// A CSV file, or two.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CsvSpec {
    /// The set's name in reports; by default the training file's, without what follows the first dot.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The file to train on.
    pub train: PathBuf,
    /// The file to test on. Without it, a stratified fifth of `train` is held out, the same whatever the run's seed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub test: Option<PathBuf>,
    /// The label's column; all others are features.
    pub label: Column,
    /// Whether the first line holds names. By default it does if `label` is a name, or if a feature of that line is not a number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub header: Option<bool>,
    /// What the labels are.
    #[serde(default)]
    pub labels: LabelKind,
}

/// A column by name or by number, counted from 0.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Column {
    /// By number, from 0.
    Index(usize),
    /// By name.
    Name(String),
}

/// A LIBSVM file, or two. Values that are left out are 0; the table is dense after reading.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LibsvmSpec {
    /// The set's name in reports; by default the training file's, without what follows the first dot.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The file to train on.
    pub train: PathBuf,
    /// The file to test on; see [`CsvSpec::test`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub test: Option<PathBuf>,
    /// What the labels are.
    #[serde(default)]
    pub labels: LabelKind,
    /// The number of features; by default the largest index of the files.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub features: Option<usize>,
}

/// A pair of IDX files, or two pairs.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IdxSpec {
    /// The set's name in reports; by default the training file's, without what follows the first dot.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The images to train on.
    pub train_images: PathBuf,
    /// Their labels.
    pub train_labels: PathBuf,
    /// The images to test on; see [`CsvSpec::test`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub test_images: Option<PathBuf>,
    /// Their labels.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub test_labels: Option<PathBuf>,
    /// The number of classes; by default the largest label of the training file and one more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub classes: Option<usize>,
}
