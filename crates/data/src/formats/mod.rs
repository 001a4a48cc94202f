//! The file formats, one file each.

use largebatch_component::Kind;

use crate::spec::{Registry, format_entry};

pub(crate) mod csv;
pub(crate) mod idx;
pub(crate) mod libsvm;

pub use csv::{Column, CsvSpec, Delimiter, LabelKind, Missing};
pub use idx::IdxSpec;
pub use libsvm::LibsvmSpec;

/// The formats of this crate. A new one is a file here, and its lines in this list.
pub fn formats() -> Registry {
    Registry::new(Kind::Format)
        .with(format_entry::<CsvSpec>())
        .with(format_entry::<LibsvmSpec>())
        .with(format_entry::<IdxSpec>())
}
