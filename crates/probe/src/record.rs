//! What an instrument's file holds beside its result.

use serde::{Deserialize, Serialize};

use crate::{Examples, Objective, Subject};

/// The version of the layout of a probe's file.
pub const SCHEMA: u32 = 1;

/// A probe's file, `RUN/probe/NAME.json`: what was measured, on what, and at which cost.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Record<T> {
    /// The version of the layout.
    pub schema: u32,
    /// The instrument's name.
    pub probe: String,
    /// The run or checkpoint, or the step of the training.
    pub run: String,
    /// `train`, `validation` or `test`.
    pub part: String,
    /// How many examples of it.
    pub examples: usize,
    /// How many parameters.
    pub parameters: usize,
    /// `f64` or `f32`.
    pub precision: String,
    /// Gradients computed, over all the examples or over one batch.
    pub gradient_evaluations: u64,
    /// Single examples that went forward and backward.
    pub example_gradients: u64,
    /// Whether it came to its end; an interrupted one keeps what it has.
    pub complete: bool,
    /// What the instrument found.
    pub result: T,
}

impl<T> Record<T> {
    /// The record of a result measured on `subject`.
    pub fn new(
        probe: &str,
        run: impl Into<String>,
        subject: &Subject<'_>,
        complete: bool,
        result: T,
    ) -> Self {
        Record {
            schema: SCHEMA,
            probe: probe.into(),
            run: run.into(),
            part: format!("{:?}", subject.part()).to_lowercase(),
            examples: subject.count(),
            parameters: subject.dim(),
            precision: if subject.is_double() { "f64" } else { "f32" }.into(),
            gradient_evaluations: subject.gradients(),
            example_gradients: subject.example_gradients(),
            complete,
            result,
        }
    }
}
