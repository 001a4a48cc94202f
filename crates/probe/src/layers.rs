//! The layer table: norms and their ratios, parameter by parameter.

use serde::{Deserialize, Serialize};

use largebatch_models::Network;
use largebatch_optim::Driver;
use largebatch_report::plot::{Plot, Scale};
use largebatch_train::{Experiment, TrainError, nullable};

use crate::flat::{flatten, gradients_of};
use crate::vector::norm;
use crate::{Layer, ProbeError};

/// One parameter of the layer table.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct LayerRow {
    /// The parameter's path.
    pub path: String,
    /// How many numbers it holds.
    pub parameters: usize,
    /// ‖w‖₂.
    #[serde(with = "nullable")]
    pub weight: f64,
    /// ‖∇w‖₂.
    #[serde(with = "nullable")]
    pub gradient: f64,
    /// ‖w‖/‖∇w‖: the rate at which a step of gradient descent is as long as the weights themselves; absent where the gradient is 0.
    pub ratio: Option<f64>,
    /// ‖Δw‖ of a step of the run's optimizer.
    pub update: Option<f64>,
    /// ‖Δw‖/‖w‖; absent where the weights are 0.
    pub relative_update: Option<f64>,
    /// The trust ratio of rules that have one (LARS, LAMB).
    pub trust_ratio: Option<f64>,
    /// Whether this is a weight matrix or filter. The others (biases, the scales and shifts of batch norm) may well be 0 and grow from there, so that
    /// they bound nothing; LARS leaves them out for that reason.
    pub is_weight: bool,
}

/// The layer table of You, Gitman and Ginsburg 2017 (arXiv 1708.03888, table 2).
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct LayerTable {
    /// The parameters in the network's order.
    pub rows: Vec<LayerRow>,
    /// The weight with the smallest ‖w‖/‖∇w‖: with one global rate it is the first whose step is as long as itself, and so it bounds the rate.
    pub bounding: Option<String>,
    /// Its ‖w‖/‖∇w‖: a rate of that size replaces the layer in one step.
    pub smallest_ratio: Option<f64>,
    /// Largest ‖w‖/‖∇w‖ over the smallest: by how much the layers disagree about the rate. 1 would leave LARS nothing to do.
    pub spread: Option<f64>,
}

/// What an optimizer did, or would do, to each parameter: the step Δw as a flat vector, and the trust ratio of each layer.
#[derive(Clone, PartialEq, Debug)]
pub struct Update {
    /// Δw.
    pub step: Vec<f64>,
    /// One a layer.
    pub trust_ratios: Vec<Option<f64>>,
}

/// The layer table from flat weights, their gradient and an optimizer's step. One gradient evaluation, which the caller has made.
///
/// # Errors
/// Vectors of another length than the layers'.
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

impl LayerTable {
    /// The table as a chart: one row a parameter.
    pub fn figure(&self, caption: &str) -> largebatch_report::Figure {
        let column = |f: &dyn Fn(&LayerRow) -> Option<f64>| -> Vec<(f64, f64)> {
            self.rows
                .iter()
                .enumerate()
                .filter_map(|(i, r)| Some((f(r)?, i as f64)))
                .collect()
        };
        Plot::new("layers", "Weights, gradients and steps of each layer")
            .x("l2 norm or ratio", Scale::Log)
            .y_names(self.rows.iter().map(|r| r.path.clone()))
            .points("‖w‖", column(&|r| Some(r.weight)))
            .points("‖∇w‖", column(&|r| Some(r.gradient)))
            .points("‖w‖/‖∇w‖", column(&|r| r.ratio))
            .points("‖Δw‖/‖w‖", column(&|r| r.relative_update))
            .caption(caption)
            .figure()
    }
}

/// The step that a run's optimizer would make with this gradient and rate, from `state` (see [`Run::optimizer`](crate::Run)) or, without one, as its
/// very first. Clipping is left out.
///
/// # Errors
/// A state of another optimizer or model, a gradient of another length.
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
