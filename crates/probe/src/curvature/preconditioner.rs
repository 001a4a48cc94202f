//! What an adaptive optimizer divides the gradient by.

use largebatch_train::Choice;
use safetensors::{Dtype, SafeTensors};

use crate::{Layer, ProbeError};

/// The diagonal P by which Adam, AdamW and Adagrad divide the gradient at their last step, from their state as
/// [`largebatch_optim::Driver::save`] writes it.
///
/// Adam at step t: P = (1 − β₁ᵗ) (√(v/(1 − β₂ᵗ)) + ε), the bias corrections included; with AMSGrad the largest v. Adagrad: P = (√G + ε) or √(G + ε), times
/// 1 + (t − 1) `lr_decay`. `None` for other rules, and before the first step.
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
            ProbeError::value(key, "(none)", format!("{} has this option", optimizer.name))
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
    // A weight that never had a gradient has v = 0: with eps = 0 it would be divided by 0.
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

/// One field of every parameter's state as a flat vector, and the number of steps; `None` before the first.
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
        // A parameter that never had a gradient has no state, and keeps 0.
        let Ok(steps) = file.tensor(&count) else {
            continue;
        };
        let steps = steps
            .data()
            .try_into()
            .map_err(|_| unfit(&count, "is not a number of 8 bytes".into()))?;
        time = time.max(u64::from_le_bytes(steps));
        let name = format!("{}.{field}", layer.path);
        let view = file.tensor(&name).map_err(|_| {
            unfit(
                &name,
                "is missing: the state is of another optimizer".into(),
            )
        })?;
        let (data, part) = (view.data(), &mut all[layer.range.clone()]);
        if view.shape().iter().product::<usize>() != part.len() {
            return Err(unfit(
                &name,
                format!(
                    "has shape {:?}, the parameter {:?}",
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
            other => return Err(unfit(&name, format!("is {other}; F32 and F64 are read"))),
        }
    }
    Ok((time > 0).then_some((all, time)))
}
