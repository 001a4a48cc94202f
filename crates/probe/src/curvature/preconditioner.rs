//! The preconditioner: the diagonal by which an adaptive optimizer divides the gradient.

use largebatch_optim::Preconditioner;
use safetensors::{Dtype, SafeTensors};

use crate::{Layer, ProbeError};

/// The diagonal P by which an optimizer divided the gradient at its last step, from its state as
/// [`largebatch_optim::Driver::save`] writes it. `None` before the first step.
///
/// # Errors
/// A state of another optimizer or model.
pub fn preconditioner(
    of: &Preconditioner,
    layers: &[Layer],
    state: &[u8],
) -> Result<Option<Vec<f64>>, ProbeError> {
    let found = sums(layers, state, of.field)?;
    Ok(found.map(|(values, time)| {
        values
            .into_iter()
            .map(|value| (of.divisor)(value, time))
            .collect()
    }))
}

/// One field of every parameter's state as a flat vector, and the number of steps; `None` before
/// the first step.
fn sums(
    layers: &[Layer],
    state: &[u8],
    field: &str,
) -> Result<Option<(Vec<f64>, u64)>, ProbeError> {
    let unfit = |name: &str, why: String| ProbeError::State {
        name: name.into(),
        why,
    };
    let file = SafeTensors::deserialize(state)
        .map_err(|e| unfit("file", format!("is not a safetensors file ({e})")))?;
    let mut all = vec![0.0; layers.last().map_or(0, |l| l.range.end)];
    let mut time = 0;
    for layer in layers {
        let count = format!("{}.time", layer.path);
        // A parameter without any gradient so far has no state, and keeps 0.
        let Ok(steps) = file.tensor(&count) else {
            continue;
        };
        let steps = steps
            .data()
            .try_into()
            .map_err(|_| unfit(&count, "is not an 8-byte number".into()))?;
        time = time.max(u64::from_le_bytes(steps));
        let name = format!("{}.{field}", layer.path);
        let view = file.tensor(&name).map_err(|_| {
            unfit(
                &name,
                "is missing: the state belongs to another optimizer".into(),
            )
        })?;
        let (data, part) = (view.data(), &mut all[layer.range.clone()]);
        if view.shape().iter().product::<usize>() != part.len() {
            return Err(unfit(
                &name,
                format!(
                    "has shape {:?}, but the parameter has shape {:?}",
                    view.shape(),
                    layer.shape
                ),
            ));
        }
        match view.dtype() {
            Dtype::F32 => part
                .iter_mut()
                .zip(data.as_chunks().0)
                .for_each(|(x, b)| *x = f64::from(f32::from_le_bytes(*b))),
            Dtype::F64 => part
                .iter_mut()
                .zip(data.as_chunks().0)
                .for_each(|(x, b)| *x = f64::from_le_bytes(*b)),
            other => {
                return Err(unfit(
                    &name,
                    format!("has type {other}, but only F32 and F64 can be read"),
                ));
            }
        }
    }
    Ok((time > 0).then_some((all, time)))
}
