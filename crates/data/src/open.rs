//! Data sets by name, and the user's own files.

use std::sync::Arc;

use largebatch_component::{ComponentError, Config, Entry, Facts, Kind, Registry};
use largebatch_datasets::{BUILT_IN, catalogue};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use toml::Table;

use crate::{DataError, DataSpec, Dataset, Files, Search, catalogued, embedded};

/// A data set of a name, such as one that a program draws itself. One file each.
///
/// The type derives what a [`Config`] needs; its fields are keys of `dataset`.
pub trait NamedDataset: Config + Default {
    /// Name, summary and paper.
    const FACTS: Facts;

    /// Opens it. The same options give the same examples in the same order.
    ///
    /// # Errors
    /// If options contradict each other, or files are missing or damaged.
    fn open(&self, search: &Search) -> Result<Dataset, DataError>;
}

/// What opens a data set.
pub type Open = Arc<dyn Fn(&Search) -> Result<Dataset, DataError> + Send + Sync>;

/// The open table of named data sets.
pub type Datasets = Registry<Open, DataError>;

/// The entry of a data set in the table [`Datasets`].
pub fn dataset_entry<D: NamedDataset>() -> Entry<Open, DataError> {
    let defaults = |preset: Option<&str>| preset.is_none().then(D::default);
    Entry::new(Kind::DataSet, D::FACTS, defaults, |set: D| {
        Ok(Arc::new(move |search: &Search| set.open(search)) as Open)
    })
}

/// A set of the catalogue has no options.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct NoOptions {}

/// The sets that ship in this crate, and those of its catalogue.
pub fn datasets() -> Datasets {
    let entry = |facts, open: Open| {
        Entry::new(
            Kind::DataSet,
            facts,
            |_| None,
            move |_: NoOptions| Ok(Arc::clone(&open)),
        )
    };
    let built_in = BUILT_IN.iter().map(|set| {
        let facts = Facts::new(set.name, set.summary).paper(set.origin);
        entry(facts, Arc::new(|_: &Search| embedded::open(set)))
    });
    let others = catalogue().iter().map(|set| {
        let facts = Facts::new(&set.name, &set.summary).paper(&set.citation);
        entry(
            facts,
            Arc::new(|search: &Search| catalogued::open(set, search)),
        )
    });
    built_in
        .chain(others)
        .fold(Registry::new(Kind::DataSet), Registry::with)
}

/// Opens a data set of the catalogue, such as `digits` (built in) or `mnist` (from files).
///
/// # Errors
/// If no set has this name, or its files are missing or damaged.
pub fn open(name: &str, search: &Search) -> Result<Dataset, DataError> {
    open_named(&datasets(), name, Table::new(), search)
}

/// Opens a data set of a table, with options.
///
/// # Errors
/// As [`open`]; an option that the set does not have, or that is out of its range.
pub fn open_named(
    datasets: &Datasets,
    name: &str,
    options: Table,
    search: &Search,
) -> Result<Dataset, DataError> {
    let opened = datasets.configure(name, options);
    let open = opened.map_err(|error| match error {
        DataError::Component(ComponentError::UnknownName { name, known, .. }) => {
            DataError::UnknownSet { name, known }
        }
        other => other,
    })?;
    open(search)
}

/// The error for a name that no set of the catalogue has.
pub(crate) fn unknown(name: &str) -> DataError {
    DataError::UnknownSet {
        name: name.into(),
        known: datasets().names().map(String::from).collect(),
    }
}

/// Opens the user's own files. A relative path is looked up in the data folder first, if one is
/// named, and then in the working directory.
///
/// # Errors
/// If a file cannot be read or its content is wrong; the error names the line or the example.
pub fn open_spec(spec: &DataSpec, search: &Search) -> Result<Dataset, DataError> {
    spec.0.open(&Files::new(search))
}
