//! Your own optimizer, model, schedule, data set, file format and probe in a separate crate: one file each.
//!
//! `main.rs` puts them on the command line, and `tests/conformance.rs` runs the suites that every
//! component of largebatch must pass.

pub mod adabelief;
pub mod json_lines;
pub mod random_rise;
pub mod residual;
pub mod two_moons;
pub mod wsd;
