//! What a network reaches on a part of the data: loss, accuracy, outputs, confusion matrix.

use burn::module::Module;
use burn::tensor::{Device, Tensor};
use largebatch_data::{Labels, Part, Pipeline};
use largebatch_models::{Forward, ForwardPass, Loss, Network};

use crate::divergence::STRETCH;
use crate::experiment::inputs;
use crate::{Confusion, Experiment, Metrics, Split, TrainError};

/// Examples in each batch of an evaluation; fixed, so that the sums are the same for every training
/// batch size.
const EVALUATION_BATCH: usize = 1000;

/// A network's outputs, one row per example.
#[derive(Clone, PartialEq, Debug)]
pub struct Outputs {
    /// Values per row: the number of classes, or 1 for a model with one output.
    pub width: usize,
    /// The values, row after row.
    pub values: Vec<f32>,
}

impl Outputs {
    /// Iterates over the rows.
    pub fn rows(&self) -> impl Iterator<Item = &[f32]> {
        self.values.chunks_exact(self.width.max(1))
    }
}

impl Experiment {
    /// The model's means over a part: without dropout or augmentation, with batch norm's running
    /// statistics. `None` for an empty part.
    ///
    /// # Errors
    /// Labels that the model's loss does not accept.
    pub fn evaluate(&self, network: &Network, which: Split) -> Result<Option<Metrics>, TrainError> {
        let (part, indices) = self.indices(which);
        self.means(network, part, indices)
    }

    /// The training loss of the best constant prediction, that is, of a model that has learned
    /// nothing. For classes it is the entropy of their frequencies (smoothed if the labels are).
    /// For real targets, as the model sees them, it is their variance. `None` for the perceptron,
    /// whose loss is 0 for a constant output of 0, and when all targets are equal.
    pub fn constant_loss(&self) -> Option<f64> {
        let (part, indices) = self.indices(Split::Train);
        let n = indices.len() as f64;
        let loss = match (part.labels(), self.loss) {
            (Labels::Classes(labels), Loss::CrossEntropy | Loss::Logistic) => {
                let mut counts = vec![0.0; self.io.classes?];
                for &i in indices {
                    // The first batch reports a label outside the classes.
                    *counts.get_mut(labels[i as usize] as usize)? += 1.0;
                }
                // The best constant prediction is the distribution of the smoothed targets, and its
                // loss is their entropy.
                let smoothing = self.config.label_smoothing;
                let share =
                    |count: &f64| (1.0 - smoothing) * count / n + smoothing / counts.len() as f64;
                -counts
                    .iter()
                    .map(share)
                    .filter(|p| *p > 0.0)
                    .map(|p| p * p.ln())
                    .sum::<f64>()
            }
            (Labels::Targets(targets), Loss::Squared) => {
                let values = || {
                    indices
                        .iter()
                        .map(|&i| f64::from(self.pipeline.encode(targets[i as usize])))
                };
                let mean = values().sum::<f64>() / n;
                let variance = values().map(|y| (y - mean).powi(2)).sum::<f64>() / n;
                // Equal targets differ from their mean only by its rounding.
                if variance > (mean * f64::from(f32::EPSILON)).powi(2) {
                    variance
                } else {
                    0.0
                }
            }
            _ => return None,
        };
        Some(loss).filter(|loss| *loss > 0.0)
    }

    /// The unit that `stop.divergence` multiplies: the loss of the constant prediction, or of the
    /// initial weights if that is larger, as with data that are not normalised. So a training whose
    /// loss starts high is not stopped before it begins.
    pub(crate) fn divergence_unit(&self, initial: &Network) -> Result<Option<f64>, TrainError> {
        let Some(constant) = self.constant_loss() else {
            return Ok(None);
        };
        let start = self.loss_in_training(initial, STRETCH)?;
        Ok(Some(if start.is_finite() {
            constant.max(start)
        } else {
            constant
        }))
    }

    /// The mean loss on at most `n` examples spread evenly over the training part, computed as in
    /// training: with dropout (always the same masks), batch norm with the statistics of these
    /// examples, and label smoothing, but without augmentation.
    ///
    /// # Errors
    /// Labels that the model's loss does not accept.
    pub fn loss_in_training(&self, network: &Network, n: usize) -> Result<f64, TrainError> {
        let some = self.spread(n);
        let examples: Vec<u64> = some.iter().map(|&i| u64::from(i)).collect();
        let (inputs, targets) = self.batch(&self.dataset.train, &some, None)?;
        let mut pass = ForwardPass::train(self.key("dropout"), &examples, self.config.ghost_batch);
        let outputs = network.valid().forward(inputs, &mut pass);
        Ok(scalar(
            self.loss
                .sum(outputs, &targets, self.config.label_smoothing),
        ) / some.len() as f64)
    }

    /// At most `n` examples spread evenly over the training part.
    pub(crate) fn spread(&self, n: usize) -> Vec<u32> {
        let all = &self.holdout.train;
        let n = n.min(all.len());
        (0..n).map(|i| all[i * all.len() / n]).collect()
    }

    /// A network's outputs for some examples of a part, in their order: without dropout or
    /// augmentation, with batch norm's running statistics. Labels are not read.
    pub fn outputs(&self, network: &Network, part: &Part, indices: &[u32]) -> Outputs {
        outputs(network, &self.pipeline, &self.device, part, indices)
    }

    /// The confusion matrix of a part; `None` for real targets and for an empty part.
    pub fn confusion(&self, network: &Network, which: Split) -> Option<Confusion> {
        let (part, indices) = self.indices(which);
        let (Some(classes), Labels::Classes(labels)) = (self.io.classes, part.labels()) else {
            return None;
        };
        if indices.is_empty() {
            return None;
        }
        let outputs = self.outputs(network, part, indices);
        let predicted = outputs.rows().filter_map(|row| self.loss.predicted(row));
        Some(Confusion::of(
            classes,
            indices.iter().map(|&i| labels[i as usize]).zip(predicted),
        ))
    }

    fn sums(&self, network: &Network, part: &Part, some: &[u32]) -> Result<Sums, TrainError> {
        let (inputs, targets) = self.batch(part, some, None)?;
        let outputs = network.forward(inputs, &mut ForwardPass::eval());
        let squares = match part.labels() {
            Labels::Classes(_) => 0.0,
            Labels::Targets(all) => {
                self.squared_errors(all, some, outputs.clone().into_data().iter::<f64>())
            }
        };
        Ok(Sums {
            correct: self.loss.correct(&outputs, &targets).map(scalar),
            loss: scalar(self.loss.sum(outputs, &targets, 0.0)),
            squares,
        })
    }

    /// The sum of squared errors of the outputs for some examples: in the target's own unit and in
    /// f64, so that no precision is lost.
    pub(crate) fn squared_errors(
        &self,
        targets: &[f64],
        some: &[u32],
        outputs: impl Iterator<Item = f64>,
    ) -> f64 {
        let error = |(&i, o): (&u32, f64)| targets[i as usize] - self.pipeline.decode(o);
        some.iter().zip(outputs).map(error).map(|e| e * e).sum()
    }

    /// As [`evaluate`](Self::evaluate), on these examples of a part.
    pub(crate) fn means(
        &self,
        network: &Network,
        part: &Part,
        indices: &[u32],
    ) -> Result<Option<Metrics>, TrainError> {
        let network = network.valid();
        self.metrics(part, indices, |some| self.sums(&network, part, some))
    }

    /// The means over some examples of a part, whose `sums` are added chunk by chunk. `None` without
    /// examples.
    pub(crate) fn metrics(
        &self,
        part: &Part,
        indices: &[u32],
        mut sums: impl FnMut(&[u32]) -> Result<Sums, TrainError>,
    ) -> Result<Option<Metrics>, TrainError> {
        if indices.is_empty() {
            return Ok(None);
        }
        let (mut loss, mut correct, mut squares) = (0.0, None, 0.0);
        for some in indices.chunks(EVALUATION_BATCH) {
            let sums = sums(some)?;
            loss += sums.loss;
            if let Some(right) = sums.correct {
                *correct.get_or_insert(0.0) += right;
            }
            squares += sums.squares;
        }
        let n = indices.len() as f64;
        let (mut rmse, mut r2) = (None, None);
        if let Labels::Targets(all) = part.labels() {
            let first = all[indices[0] as usize];
            let mean = first
                + indices
                    .iter()
                    .map(|&i| all[i as usize] - first)
                    .sum::<f64>()
                    / n;
            let total: f64 = indices
                .iter()
                .map(|&i| (all[i as usize] - mean).powi(2))
                .sum();
            rmse = Some((squares / n).sqrt());
            r2 = (total > 0.0).then(|| 1.0 - squares / total);
        }
        Ok(Some(Metrics {
            n: indices.len() as u64,
            loss: loss / n,
            accuracy: correct.map(|c| c / n),
            rmse,
            r2,
        }))
    }
}

/// The sums over some examples of an evaluation.
pub(crate) struct Sums {
    pub loss: f64,
    /// `None` for real targets.
    pub correct: Option<f64>,
    /// Squared errors in the target's own unit; 0 for classes.
    pub squares: f64,
}

/// Reads a tensor's only number; waits for the device.
pub(crate) fn scalar(tensor: Tensor<1>) -> f64 {
    f64::from(tensor.into_scalar::<f32>())
}

/// A network's outputs for some examples of a part, in their order: without dropout or
/// augmentation, with batch norm's running statistics.
pub(crate) fn outputs(
    network: &Network,
    pipeline: &Pipeline,
    device: &Device,
    part: &Part,
    indices: &[u32],
) -> Outputs {
    let network = network.valid();
    let (mut width, mut values) = (0, Vec::new());
    for some in indices.chunks(EVALUATION_BATCH) {
        let outputs = network.forward(
            inputs(pipeline, device, part, some, None),
            &mut ForwardPass::eval(),
        );
        width = outputs.dims()[1];
        values.extend(outputs.into_data().iter::<f32>());
    }
    Outputs { width, values }
}
