//! The layer table: norms and their ratios, parameter by parameter.

mod probe;

use serde::{Deserialize, Serialize};

use largebatch_models::Network;
use largebatch_optim::Driver;
use largebatch_train::{Experiment, TrainError, nullable};

use crate::flat::{flatten, gradients_of};
use crate::vector::norm;
use crate::{Layer, ProbeError};

pub use probe::Layers;

/// One parameter of the layer table.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct LayerRow {
    /// The parameter's path.
    pub path: String,
    /// Number of weights in it.
    pub parameters: usize,
    /// Norm of the weights, ‖w‖₂.
    #[serde(with = "nullable")]
    pub weight: f64,
    /// Norm of the gradient, ‖∇w‖₂.
    #[serde(with = "nullable")]
    pub gradient: f64,
    /// ‖w‖/‖∇w‖: the learning rate at which a step of gradient descent is as long as the weights;
    /// absent if the gradient is 0.
    pub ratio: Option<f64>,
    /// Norm ‖Δw‖ of a step of the run's optimizer.
    pub update: Option<f64>,
    /// Relative step ‖Δw‖/‖w‖; absent if the weights are 0.
    pub relative_update: Option<f64>,
    /// The trust ratio, for optimizers with one (LARS, LAMB).
    pub trust_ratio: Option<f64>,
    /// Whether this is a weight matrix or filter. Other parameters (biases, batch norm's scales and
    /// shifts) often start at 0, so their ratio does not bound the learning rate; LARS often
    /// excludes them for this reason.
    pub is_weight: bool,
}

/// The layer table of You, Gitman and Ginsburg 2017 (arXiv 1708.03888, table 2).
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct LayerTable {
    /// The parameters in the network's order.
    pub rows: Vec<LayerRow>,
    /// The weight with the smallest ‖w‖/‖∇w‖. It bounds a global learning rate, as its step is the
    /// first to become as long as the weight itself.
    pub bounding: Option<String>,
    /// Its ‖w‖/‖∇w‖. At this learning rate, one step is as long as the layer's weights.
    pub smallest_ratio: Option<f64>,
    /// The largest ‖w‖/‖∇w‖ divided by the smallest: how much the layers' suitable rates differ. At
    /// 1, LARS would change nothing.
    pub spread: Option<f64>,
}

/// A step of an optimizer, done or planned: Δw as a flat vector, and the trust ratio of each layer.
#[derive(Clone, PartialEq, Debug)]
pub struct Update {
    /// The step Δw.
    pub step: Vec<f64>,
    /// The trust ratio of each layer, if it has one.
    pub trust_ratios: Vec<Option<f64>>,
}

/// Makes the layer table from flat weights, their gradient and an optimizer's step. The caller
/// computes the gradient; nothing else costs anything.
///
/// # Errors
/// Vectors whose length differs from the layers' total.
pub fn layer_table(
    layers: &[Layer],
    w: &[f64],
    gradient: &[f64],
    update: Option<&Update>,
) -> Result<LayerTable, ProbeError> {
    let expected = layers.last().map_or(0, |l| l.range.end);
    for found in [
        w.len(),
        gradient.len(),
        update.map_or(expected, |u| u.step.len()),
    ] {
        if found != expected {
            return Err(ProbeError::Length { expected, found });
        }
    }
    let above_zero = |a: f64, b: f64| (b > 0.0).then(|| a / b);
    let rows: Vec<LayerRow> = layers
        .iter()
        .enumerate()
        .map(|(i, layer)| {
            let part = |x: &[f64]| norm(&x[layer.range.clone()]);
            let (weight, gradient) = (part(w), part(gradient));
            let step = update.map(|u| part(&u.step));
            LayerRow {
                path: layer.path.clone(),
                parameters: layer.range.len(),
                weight,
                gradient,
                ratio: above_zero(weight, gradient),
                update: step,
                relative_update: step.and_then(|step| above_zero(step, weight)),
                trust_ratio: update.and_then(|u| u.trust_ratios.get(i).copied().flatten()),
                is_weight: layer.shape.len() >= 2,
            }
        })
        .collect();
    let weights = || {
        rows.iter()
            .filter(|r| r.is_weight)
            .filter_map(|r| Some((r, r.ratio?)))
    };
    let least = weights().min_by(|a, b| a.1.total_cmp(&b.1));
    let most = weights().max_by(|a, b| a.1.total_cmp(&b.1));
    let bounding = least.map(|(row, _)| row.path.clone());
    let smallest_ratio = least.map(|(_, ratio)| ratio);
    let spread = least
        .zip(most)
        .and_then(|((_, a), (_, b))| above_zero(b, a));
    Ok(LayerTable {
        bounding,
        smallest_ratio,
        spread,
        rows,
    })
}

/// The step that a run's optimizer would take with this gradient and learning rate: from `state`
/// (see [`Run::optimizer`](crate::Run)), or its first step if there is no state. Clipping is not
/// applied.
///
/// # Errors
/// A state of another optimizer or model, or a gradient of the wrong length.
pub fn planned_update(
    experiment: &Experiment,
    network: &Network,
    gradient: &[f64],
    state: Option<&[u8]>,
    rate: f64,
) -> Result<Update, ProbeError> {
    let (layers, before) = flatten(network);
    if gradient.len() != before.len() {
        return Err(ProbeError::Length {
            expected: before.len(),
            found: gradient.len(),
        });
    }
    let mut driver = Driver::new(&*experiment.optimizer, network).map_err(TrainError::from)?;
    if let Some(state) = state {
        driver.load(state).map_err(TrainError::from)?;
    }
    let (network, trace) =
        driver.step_traced(rate, network.clone(), gradients_of(network, gradient));
    let (_, mut step) = flatten(&network);
    step.iter_mut()
        .zip(&before)
        .for_each(|(after, before)| *after -= before);
    let trust_ratios = layers
        .iter()
        .map(|l| {
            trace
                .iter()
                .find(|t| t.path == l.path)
                .and_then(|t| t.trust_ratio)
        })
        .collect();
    Ok(Update { step, trust_ratios })
}
