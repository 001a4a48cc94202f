//! Export of results for other programs.

pub(crate) mod columns;
pub(crate) mod csv;
pub(crate) mod parquet;
pub(crate) mod tables;
pub(crate) mod tensorboard;
