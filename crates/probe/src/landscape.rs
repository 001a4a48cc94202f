//! The loss and the accuracy of a run's model at any weights.

use std::collections::BTreeMap;
use std::path::Path;

use burn::module::Module;
use burn::tensor::TensorData;
use largebatch_data::Part;
use largebatch_models::{Forward, ForwardPass, Network, is_buffer, load_state_dict, state_dict};
use largebatch_train::{Experiment, Split};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::ProbeError;
use crate::cost::least_seconds;

/// Examples per pass; fixed, so that the sums are the same for every batch size.
const BATCH: usize = 1000;

/// Where batch norm's statistics come from at weights that no training produced.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Statistics {
    /// Recomputed for these weights: averages over training passes of the examples, as in PyTorch's
    /// `update_bn`.
    Recompute,
    /// Taken from the state: on a line, interpolated like the weights (with variances of at least
    /// 0); on a surface, those of the origin.
    Given,
}

/// A network's state: its parameters, and batch norm's running statistics.
#[derive(Debug, Clone, PartialEq)]
pub struct State {
    /// The parameters in the order and layout of PyTorch's `state_dict`.
    pub parameters: Vec<f64>,
    /// Batch norm's running statistics.
    pub buffers: Vec<f64>,
}

/// Mean loss and accuracy at one point.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Height {
    /// The mean loss; `null` if it is not finite.
    pub loss: Option<f64>,
    /// The fraction of examples classified correctly; `null` for regression.
    pub accuracy: Option<f64>,
}

/// The loss of an experiment as a function of the weights: without dropout, augmentation or label
/// smoothing, in f32 like training.
pub struct Landscape<'a> {
    experiment: &'a Experiment,
    network: Network,
    layout: Vec<(String, Vec<usize>)>,
    statistics: Statistics,
    train: Vec<u32>,
}

impl State {
    /// Reads a network's state; `place` is the source of its weights, for errors.
    ///
    /// # Errors
    /// Weights that are not finite, as a diverged run leaves them.
    pub fn of(network: &Network, place: &Path) -> Result<Self, ProbeError> {
        let mut state = State {
            parameters: Vec::new(),
            buffers: Vec::new(),
        };
        for (layer, data) in state_dict(network) {
            let values: Vec<f64> = data.iter::<f64>().collect();
            if let Some(index) = values.iter().position(|v| !v.is_finite()) {
                return Err(ProbeError::Weights {
                    path: place.to_owned(),
                    layer,
                    index,
                    value: values[index],
                });
            }
            if is_buffer(&layer) {
                state.buffers.extend(values)
            } else {
                state.parameters.extend(values)
            }
        }
        Ok(state)
    }

    /// (1 − t) · self + t · other, for parameters and statistics; t may be outside [0, 1].
    pub fn towards(&self, other: &Self, t: f64) -> Self {
        let mix = |a: &[f64], b: &[f64]| {
            a.iter()
                .zip(b)
                .map(|(a, b)| (1.0 - t) * a + t * b)
                .collect()
        };
        State {
            parameters: mix(&self.parameters, &other.parameters),
            buffers: mix(&self.buffers, &other.buffers),
        }
    }
}

impl<'a> Landscape<'a> {
    /// The landscape over `examples` training examples, drawn with the experiment's seed; over all
    /// of them for `None` or a larger number.
    ///
    /// # Errors
    /// `examples` is 0.
    pub fn new(
        experiment: &'a Experiment,
        statistics: Statistics,
        examples: Option<usize>,
    ) -> Result<Self, ProbeError> {
        let network = experiment.initial_model()?.network;
        let layout = state_dict(&network)
            .into_iter()
            .map(|(path, data)| (path, data.shape().to_vec()))
            .collect();
        let (_, all) = experiment.indices(Split::Train);
        let train = match examples {
            Some(0) => {
                let why = "at least one example is needed";
                return Err(ProbeError::value("subset", 0, why));
            }
            Some(n) if n < all.len() => {
                let order = experiment.key("landscape").permutation(all.len());
                let mut some: Vec<u32> = order[..n].iter().map(|&i| all[i as usize]).collect();
                some.sort_unstable();
                some
            }
            _ => all.to_vec(),
        };
        Ok(Landscape {
            experiment,
            network,
            layout,
            statistics,
            train,
        })
    }

    /// The number of training examples over which the loss is computed.
    pub fn examples(&self) -> usize {
        self.train.len()
    }

    /// Whether the model has batch norm.
    pub fn has_batch_norm(&self) -> bool {
        self.network.has_batch_norm()
    }

    /// Where batch norm's statistics come from.
    pub fn statistics(&self) -> Statistics {
        self.statistics
    }

    /// The shapes of the parameters, in order and in PyTorch's layout.
    pub fn shapes(&self) -> Vec<Vec<usize>> {
        self.layout
            .iter()
            .filter(|(path, _)| !is_buffer(path))
            .map(|(_, shape)| shape.clone())
            .collect()
    }

    /// The model at a state. If the landscape recomputes batch norm's statistics, this costs a
    /// forward pass over the examples.
    ///
    /// # Errors
    /// The state belongs to another model.
    pub fn network(&self, state: &State) -> Result<Network, ProbeError> {
        let mut left = [state.parameters.as_slice(), state.buffers.as_slice()];
        let mut by_path = BTreeMap::new();
        for (path, shape) in &self.layout {
            let n = shape.iter().product();
            let side = &mut left[usize::from(is_buffer(path))];
            let Some((values, rest)) = side.split_at_checked(n) else {
                return Err(self.other_model(state));
            };
            *side = rest;
            let floor = if path.ends_with("running_var") {
                0.0
            } else {
                f64::NEG_INFINITY
            };
            let values: Vec<f32> = values.iter().map(|v| v.max(floor) as f32).collect();
            by_path.insert(path.clone(), TensorData::new(values, shape.clone()));
        }
        if left.iter().any(|side| !side.is_empty()) {
            return Err(self.other_model(state));
        }
        let network =
            load_state_dict(self.network.clone(), by_path).map_err(|_| self.other_model(state))?;
        if self.statistics != Statistics::Recompute || !network.has_batch_norm() {
            return Ok(network);
        }
        let plain = network.valid();
        let mut seen = Vec::new();
        let parts = self.train.len().div_ceil(BATCH);
        for part in 0..parts {
            let some =
                &self.train[part * self.train.len() / parts..(part + 1) * self.train.len() / parts];
            let (inputs, _) = self
                .experiment
                .batch(&self.experiment.dataset.train, some, None)?;
            let numbers: Vec<u64> = some.iter().map(|&i| u64::from(i)).collect();
            let mut pass = ForwardPass::train(self.experiment.key("landscape"), &numbers, None);
            plain.forward(inputs, &mut pass);
            seen.extend(pass.into_statistics());
        }
        Ok(network.average(seen))
    }

    /// The seconds that the loss at a state takes over `examples` examples, extrapolated from at most
    /// a thousand of them.
    pub(crate) fn seconds(&self, state: &State, examples: usize) -> Result<f64, ProbeError> {
        let some = Landscape::new(self.experiment, self.statistics, Some(1000))?;
        let seconds = least_seconds(|| some.train(&some.network(state)?).map(drop))?;
        Ok(seconds * examples as f64 / some.examples() as f64)
    }

    fn other_model(&self, state: &State) -> ProbeError {
        let count = |buffer: bool| -> usize {
            self.layout
                .iter()
                .filter(|(p, _)| is_buffer(p) == buffer)
                .map(|(_, shape)| shape.iter().product::<usize>())
                .sum()
        };
        let (found, expected) = (
            (state.parameters.len(), state.buffers.len()),
            (count(false), count(true)),
        );
        let why = format!(
            "the model has {} with {} running statistics, so the weights belong to another model",
            expected.0, expected.1
        );
        ProbeError::value(
            "parameters",
            format!("{} with {} running statistics", found.0, found.1),
            why,
        )
    }

    /// Loss and accuracy over the landscape's training examples.
    ///
    /// # Errors
    /// Labels that the model's loss cannot take.
    pub fn train(&self, network: &Network) -> Result<Height, ProbeError> {
        self.height(network, &self.experiment.dataset.train, &self.train)
    }

    /// Loss and accuracy over the test part.
    ///
    /// # Errors
    /// Labels that the model's loss cannot take.
    pub fn test(&self, network: &Network) -> Result<Height, ProbeError> {
        let (part, indices) = self.experiment.indices(Split::Test);
        self.height(network, part, indices)
    }

    fn height(
        &self,
        network: &Network,
        part: &Part,
        indices: &[u32],
    ) -> Result<Height, ProbeError> {
        let network = network.valid();
        let (mut loss, mut correct) = (0.0, None);
        for some in indices.chunks(BATCH) {
            let (inputs, targets) = self.experiment.batch(part, some, None)?;
            let outputs = network.forward(inputs, &mut ForwardPass::eval());
            if let Some(right) = self.experiment.loss.correct(&outputs, &targets) {
                *correct.get_or_insert(0.0) += f64::from(right.into_scalar::<f32>());
            }
            loss += f64::from(
                self.experiment
                    .loss
                    .sum(outputs, &targets, 0.0)
                    .into_scalar::<f32>(),
            );
        }
        let n = indices.len() as f64;
        Ok(Height {
            loss: Some(loss / n).filter(|loss| loss.is_finite()),
            accuracy: correct.map(|c| c / n),
        })
    }
}
