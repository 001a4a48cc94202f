//! The preconditioner: the diagonal by which an adaptive optimizer divides the gradient.

use largebatch_train::Choice;
use safetensors::{Dtype, SafeTensors};

use crate::{Layer, ProbeError};

/// The diagonal P by which Adam, AdamW and Adagrad divided the gradient at their last step, from
/// their state as [`largebatch_optim::Driver::save`] writes it.
///
/// Adam at step t: P = (1 − β₁ᵗ) (√(v/(1 − β₂ᵗ)) + ε), with the bias corrections; with AMSGrad, v
/// is the largest so far. Adagrad: P = (√G + ε) or √(G + ε), times 1 + (t − 1) `lr_decay`. `None`
/// for other optimizers, and before the first step.
///
/// # Errors
/// A state of another optimizer or model.
pub fn preconditioner(
    optimizer: &Choice,
    layers: &[Layer],
    state: &[u8],
) -> Result<Option<Vec<f64>>, ProbeError> {
    let number = |key: &'static str| {
        let number = optimizer.options.get(key).and_then(toml::Value::as_float);
        number.ok_or_else(|| {
            ProbeError::value(
                key,
                "(none)",
                format!("{} needs this option", optimizer.name),
            )
        })
    };
    let field = match optimizer.name.as_str() {
        "adagrad" => "accumulator",
        "adam" | "adamw"
            if optimizer
                .options
                .get("amsgrad")
                .and_then(toml::Value::as_bool)
                == Some(true) =>
        {
            "largest"
        }
        "adam" | "adamw" => "square",
        _ => return Ok(None),
    };
    let Some((squares, time)) = sums(layers, state, field)? else {
        return Ok(None);
    };
    let eps = number("eps")?;
    // A weight without any gradient so far has v = 0, which with eps = 0 would mean a division by
    // 0.
    let least = 1e-30;
    if field == "accumulator" {
        let slower = 1.0 + (time - 1) as f64 * number("lr_decay")?;
        let inside = optimizer
            .options
            .get("eps_place")
            .and_then(toml::Value::as_str)
            == Some("inside");
        let root = |g: f64| {
            if inside {
                (g + eps).sqrt()
            } else {
                g.sqrt() + eps
            }
        };
        return Ok(Some(
            squares
                .into_iter()
                .map(|g| slower * root(g).max(least))
                .collect(),
        ));
    }
    let (beta1, beta2) = (number("beta1")?, number("beta2")?);
    let (first, second) = (1.0 - beta1.powf(time as f64), 1.0 - beta2.powf(time as f64));
    Ok(Some(
        squares
            .into_iter()
            .map(|v| first * ((v / second).sqrt() + eps).max(least))
            .collect(),
    ))
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
