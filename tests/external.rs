//! The template `examples/external`, which is not a member of this workspace, passes its own tests.

extern crate self as my_lab;

#[path = "../examples/external/tests/conformance.rs"]
mod conformance;
#[path = "../examples/external/src/lib.rs"]
mod lab;

pub use lab::*;
