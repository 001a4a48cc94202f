//! The file of a probe: its result, and how it was measured.

use serde::{Deserialize, Serialize};

use crate::{Examples, Objective, Point, Subject};

/// The schema version of a probe's file.
pub const SCHEMA: u32 = 1;

/// A probe's file, `RUN/probe/NAME.json`: what was measured, on what, and at what cost.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Record<T> {
    /// The schema version.
    pub schema: u32,
    /// The probe's name.
    pub probe: String,
    /// The run, the checkpoint, or the step of the training.
    pub run: String,
    /// `train`, `validation` or `test`.
    pub part: String,
    /// The number of examples measured.
    pub examples: usize,
    /// The number of parameters.
    pub parameters: usize,
    /// `f64` or `f32`.
    pub precision: String,
    /// Number of gradients computed, over all examples or over one batch.
    pub gradient_evaluations: u64,
    /// Number of forward and backward passes of single examples.
    pub example_gradients: u64,
    /// Whether the probe finished; an interrupted one stores its results so far.
    pub complete: bool,
    /// The probe's result.
    pub result: T,
}

impl<T> Record<T> {
    /// The record of a result that needed no gradients, measured in f32 on training examples.
    pub(crate) fn without_gradients(
        probe: &str,
        at: &Point<'_>,
        examples: usize,
        complete: bool,
        result: T,
    ) -> Self {
        Record {
            schema: SCHEMA,
            probe: probe.into(),
            run: at.source.display().to_string(),
            part: "train".into(),
            examples,
            parameters: at.network.parameter_count(),
            precision: "f32".into(),
            gradient_evaluations: 0,
            example_gradients: 0,
            complete,
            result,
        }
    }

    /// The record of a result measured on the subject of a point.
    pub fn new(
        probe: &str,
        at: &Point<'_>,
        subject: &Subject<'_>,
        complete: bool,
        result: T,
    ) -> Self {
        let examples = subject.count();
        Record {
            part: format!("{:?}", subject.part()).to_lowercase(),
            parameters: subject.dim(),
            precision: if subject.is_double() { "f64" } else { "f32" }.into(),
            gradient_evaluations: subject.gradients(),
            example_gradients: subject.example_gradients(),
            ..Record::without_gradients(probe, at, examples, complete, result)
        }
    }
}
