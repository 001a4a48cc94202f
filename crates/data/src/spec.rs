//! The user's own data sets, described in a configuration.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// The user's own files, as a table of a TOML file:
///
/// ```toml
/// name = "iris"             # optional
/// format = "csv"            # or "libsvm", "idx"
/// train = "iris.csv"        # plain or .gz
/// label = "species"         # the label's column: its name, or its number from 0
/// ```
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "format", rename_all = "kebab-case")]
pub enum DataSpec {
    /// A text table with `,`, `;`, tabs or `|` between its fields, with or without a line of column
    /// names.
    Csv(CsvSpec),
    /// LIBSVM's text format: `label index:value ...`, indices from 1.
    Libsvm(LibsvmSpec),
    /// A pair of IDX files (MNIST's format) with byte values.
    Idx(IdxSpec),
}

impl DataSpec {
    /// The keys that name files.
    pub const FILES: [&str; 6] = [
        "train",
        "test",
        "train_images",
        "train_labels",
        "test_images",
        "test_labels",
    ];
}

/// What the labels of a text file are.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum LabelKind {
    /// Classes: whole numbers or words. They are numbered from 0 in ascending order, so −1 becomes
    /// 0 and +1 becomes 1.
    #[default]
    Classes,
    /// Real numbers.
    Real,
}

/// A CSV file, or two.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CsvSpec {
    /// The set's name in reports; by default the training file's name up to the first dot.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The file to train on.
    pub train: PathBuf,
    /// The file to test on. Without it, a stratified fifth of `train` is held out, the same for
    /// every seed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub test: Option<PathBuf>,
    /// The label's column; all others are features.
    pub label: Column,
    /// Whether the first line holds column names. By default it does if `label` is a name, or if
    /// the features of that line are words. A line that may be either, such as `0,1,2`, is refused
    /// until this says what it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub header: Option<bool>,
    /// The separator of the fields; by default the one in the first line. A first line that
    /// contains two of them is refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delimiter: Option<Delimiter>,
    /// How to treat missing values: empty fields, `?`, `NA`, `N/A`, `#N/A`, `<NA>`, `NaN`, `NULL`.
    /// By default they are refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub missing: Option<Missing>,
    /// What the labels are; by default classes. More than 20 classes that do not count from 0 or 1
    /// are refused until this says what they are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub labels: Option<LabelKind>,
}

/// The separator of the fields of a line, written as the character itself or as its name.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
pub enum Delimiter {
    /// `,` or `comma`.
    Comma,
    /// `;` or `semicolon`.
    Semicolon,
    /// `tab` or the character itself.
    Tab,
    /// `|` or `bar`.
    Bar,
}

impl TryFrom<String> for Delimiter {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        match text.as_str() {
            "," | "comma" => Ok(Delimiter::Comma),
            ";" | "semicolon" => Ok(Delimiter::Semicolon),
            "\t" | "tab" => Ok(Delimiter::Tab),
            "|" | "bar" => Ok(Delimiter::Bar),
            _ => Err(format!(
                "delimiter = \"{text}\": use \",\", \";\", \"tab\" or \"|\""
            )),
        }
    }
}

impl From<Delimiter> for String {
    fn from(delimiter: Delimiter) -> String {
        delimiter.char().to_string()
    }
}

/// How to treat missing values.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Missing {
    /// A missing feature becomes the mean of the training part, without the validation examples. A
    /// missing label is refused.
    Mean,
    /// Rows with a missing feature or label are left out.
    Drop,
}

/// A column by name or by number, counted from 0. A number may also be the name of a column; if it
/// could mean two different columns, it is refused.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(
    untagged,
    expecting = "the label is a column's number, from 0, or its name in quotes, such as \"species\" or \"1.5\""
)]
pub enum Column {
    /// By number, from 0.
    Index(usize),
    /// By name.
    Name(String),
}

/// A LIBSVM file, or two. Omitted values are 0; the table is dense after reading.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LibsvmSpec {
    /// The set's name in reports; by default the training file's name up to the first dot.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The file to train on.
    pub train: PathBuf,
    /// The file to test on; see [`CsvSpec::test`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub test: Option<PathBuf>,
    /// What the labels are; see [`CsvSpec::labels`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub labels: Option<LabelKind>,
    /// The number of features; by default the largest index in the files.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub features: Option<usize>,
}

/// A pair of IDX files, or two pairs.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct IdxSpec {
    /// The set's name in reports; by default the training file's name up to the first dot.
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
    /// The number of classes; by default the largest label of the training file plus one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub classes: Option<usize>,
}
