//! The file formats, one file each.

use largebatch_component::Kind;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer};
use toml::Table;

use crate::spec::{DataSpec, Registry, format_entry};

pub(crate) mod csv;
pub(crate) mod idx;
pub(crate) mod libsvm;

pub use csv::{CsvSpec, Missing};
pub use idx::IdxSpec;
pub use libsvm::LibsvmSpec;

/// The formats of this crate. A new one is a file here, and its lines in this list.
pub fn formats() -> Registry {
    Registry::new(Kind::Format)
        .with(format_entry::<CsvSpec>())
        .with(format_entry::<LibsvmSpec>())
        .with(format_entry::<IdxSpec>())
}

impl<'de> Deserialize<'de> for DataSpec {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::read(&formats(), Table::deserialize(deserializer)?).map_err(D::Error::custom)
    }
}
