//! The time that a measurement will take.

use std::time::Instant;

use crate::probe::Cost;
use crate::{Examples, ProbeError, Subject};

/// The cost of `gradients` gradients over all the subject's examples, of which `expected` are
/// likely.
pub(crate) fn of_gradients(
    subject: &mut Subject<'_>,
    gradients: u64,
    expected: f64,
) -> Result<Cost, ProbeError> {
    let n = subject.count();
    let work = match gradients {
        1 => format!("one gradient over {n} examples"),
        all => format!("at most {all} gradient evaluations over {n} examples"),
    };
    Ok(Cost {
        work,
        unit: "gradients",
        gradients,
        seconds: expected * gradient_seconds(subject, n)?,
    })
}

/// The seconds that one gradient over `examples` of the subject's examples takes, extrapolated from
/// at most 250 of them.
pub(crate) fn gradient_seconds(
    subject: &mut Subject<'_>,
    examples: usize,
) -> Result<f64, ProbeError> {
    let w = subject.weights().to_vec();
    let some: Vec<usize> = (0..examples.min(250)).collect();
    let seconds = least_seconds(|| subject.batch_gradient(&w, &some).map(drop))?;
    Ok(seconds * examples as f64 / some.len() as f64)
}

/// The shortest of three times: the first one is slower, and other work may disturb another.
pub(crate) fn least_seconds(
    mut work: impl FnMut() -> Result<(), ProbeError>,
) -> Result<f64, ProbeError> {
    let mut least = f64::INFINITY;
    for _ in 0..3 {
        let started = Instant::now();
        work()?;
        least = least.min(started.elapsed().as_secs_f64());
    }
    Ok(least)
}
