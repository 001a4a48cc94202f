//! Losses and their targets.

use burn::tensor::{Device, Int, Tensor, TensorData};
use largebatch_kernels::layers::{self, total};
use largebatch_kernels::slices;

use crate::ConfigError;

/// The loss f(output, target) of one example.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Loss {
    /// (o − y)², y real, one output.
    Squared,
    /// log(1 + e^(−y o)), y = ±1, one output.
    Logistic,
    /// −log softmax(o)_y, one output per class. With label smoothing s the target is (1 − s) e_y +
    /// s/C, as in PyTorch.
    CrossEntropy,
    /// max(0, −y o), y = ±1, one output. The gradient is −y x if y o < 0, and 0 otherwise; with
    /// `update_on_tie` it is −y x at y o = 0 too.
    Perceptron {
        /// Whether an example exactly on the boundary counts as wrong.
        update_on_tie: bool,
    },
}

/// The labels of a batch, on the host.
#[derive(Clone, Copy, Debug)]
pub enum Labels<'a> {
    /// Class numbers from 0. Losses of ±1 labels take class 1 as +1 and class 0 as −1.
    Classes(&'a [u32]),
    /// Real targets.
    Real(&'a [f32]),
}

/// The targets of a batch, on the device, in the form that a loss needs.
#[derive(Clone, Debug)]
#[allow(clippy::large_enum_variant)] // one per batch
pub enum Targets {
    /// Class numbers and their one-hot rows.
    Classes {
        /// `[batch]`.
        index: Tensor<1, Int>,
        /// `[batch, classes]`: the loss is then a product and a sum, without gather and scatter,
        /// whose order varies on a GPU.
        one_hot: Tensor<2>,
    },
    /// ±1, `[batch]`.
    Signs(Tensor<1>),
    /// Real targets, `[batch]`.
    Real(Tensor<1>),
}

impl Loss {
    /// Copies labels to the device in the form that this loss needs. `classes` is the field of that
    /// name in [`Io`](crate::Io).
    ///
    /// # Errors
    /// A class number that is not below `classes`, class labels for a loss with real targets, or
    /// vice versa.
    pub fn targets(
        self,
        labels: Labels<'_>,
        classes: Option<usize>,
        device: &Device,
    ) -> Result<Targets, ConfigError> {
        let device = &device.clone().inner();
        let mut values = Vec::new();
        self.target_values(labels, classes, &mut values)?;
        let vector = |values: Vec<f32>| {
            let n = values.len();
            Tensor::from_data(TensorData::new(values, [n]), device)
        };
        Ok(match (self, labels) {
            (Loss::CrossEntropy, Labels::Classes(classes)) => {
                let n = classes.len();
                let index: Vec<i32> = classes.iter().map(|class| *class as i32).collect();
                let shape = [n, values.len() / n.max(1)];
                Targets::Classes {
                    index: Tensor::from_data(TensorData::new(index, [n]), device),
                    one_hot: Tensor::from_data(TensorData::new(values, shape), device),
                }
            }
            (_, Labels::Classes(_)) => Targets::Signs(vector(values)),
            (_, Labels::Real(_)) => Targets::Real(vector(values)),
        })
    }

    /// The targets of [`Loss::targets`] as numbers, row by row: one-hot rows, ±1, or real targets.
    ///
    /// # Errors
    /// As [`Loss::targets`].
    pub fn target_values(
        self,
        labels: Labels<'_>,
        classes: Option<usize>,
        out: &mut Vec<f32>,
    ) -> Result<(), ConfigError> {
        out.clear();
        let bad = |position: usize, label: String, reason: String| ConfigError::Label {
            label,
            position,
            reason,
        };
        match (self, labels) {
            (Loss::Squared, Labels::Real(values)) => out.extend(values),
            (Loss::Squared, Labels::Classes(values)) => {
                let label = values
                    .first()
                    .map(|v| format!("class {v}"))
                    .unwrap_or_default();
                return Err(bad(
                    0,
                    label,
                    "this model needs real targets; use a classifier such as `softmax`".into(),
                ));
            }
            (_, Labels::Real(values)) => {
                let label = values.first().map(f32::to_string).unwrap_or_default();
                return Err(bad(
                    0,
                    label,
                    "this model needs class labels; use model `linear` for real targets".into(),
                ));
            }
            (Loss::CrossEntropy, Labels::Classes(values)) => {
                let classes = classes.unwrap_or(0);
                out.resize(values.len() * classes, 0.0);
                for (position, class) in values.iter().enumerate() {
                    if *class as usize >= classes {
                        return Err(bad(
                            position,
                            class.to_string(),
                            format!("the data set has {classes} classes, numbered from 0"),
                        ));
                    }
                    out[position * classes + *class as usize] = 1.0;
                }
            }
            (Loss::Logistic | Loss::Perceptron { .. }, Labels::Classes(values)) => {
                if let Some(position) = values.iter().position(|class| *class > 1) {
                    return Err(bad(
                        position,
                        values[position].to_string(),
                        "this model separates class 0 (−1) from class 1 (+1)".into(),
                    ));
                }
                out.extend(
                    values
                        .iter()
                        .map(|&class| if class == 1 { 1.0 } else { -1.0 }),
                );
            }
        }
        Ok(())
    }

    /// Whether label smoothing is defined for this loss.
    pub fn takes_label_smoothing(self) -> bool {
        self == Loss::CrossEntropy
    }

    /// The SUM of the loss over the batch's examples, `[1]`. Divide it by the size of the whole
    /// batch for the mean; accumulated micro-batches then equal the large batch. `outputs` is
    /// `[batch, classes]` or `[batch, 1]`. For [`Loss::Squared`] it is the sum of squared errors.
    ///
    /// # Panics
    /// If the targets were made for another loss.
    pub fn sum(self, outputs: Tensor<2>, targets: &Targets, label_smoothing: f64) -> Tensor<1> {
        // Outputs are f64 if a probe runs the network in double precision.
        let dtype = outputs.dtype();
        match (self, targets) {
            (Loss::CrossEntropy, Targets::Classes { one_hot, .. }) => {
                let classes = one_hot.dims()[1] as f64;
                let target = one_hot.clone().cast(dtype);
                let target = if label_smoothing == 0.0 {
                    target
                } else {
                    target * (1.0 - label_smoothing) + label_smoothing / classes
                };
                layers::cross_entropy(outputs, target)
            }
            (Loss::Squared, Targets::Real(y)) => {
                let error = column(outputs) - y.clone().cast(dtype);
                total(error.clone() * error)
            }
            (Loss::Logistic, Targets::Signs(y)) => {
                let y = y.clone().cast(dtype).reshape(outputs.dims());
                layers::logistic(outputs, y)
            }
            (Loss::Perceptron { update_on_tie }, Targets::Signs(y)) => {
                let margin = column(outputs) * y.clone().cast(dtype);
                let fixed = margin.clone().inner();
                // A mask instead of relu: it defines the gradient at 0.
                let wrong = if update_on_tie {
                    fixed.lower_equal_elem(0.0)
                } else {
                    fixed.lower_elem(0.0)
                };
                (margin * wrong.float().cast(dtype)).sum().neg()
            }
            _ => panic!("the targets were made for a loss other than {self:?}"),
        }
    }

    /// As [`Loss::sum`] on flex with kernels, the same bits: outputs and targets are rows of `width`
    /// numbers, the targets from [`Loss::target_values`]. Writes `by` times the gradient with respect
    /// to the outputs.
    pub fn sum_on_slices(
        self,
        outputs: &[f32],
        targets: &[f32],
        width: usize,
        by: f32,
        gradient: &mut [f32],
    ) -> f32 {
        let rows = || outputs.iter().zip(targets);
        match self {
            Loss::CrossEntropy => {
                let sum = slices::cross_entropy(outputs, targets, width, gradient);
                slices::scale(gradient, by);
                sum
            }
            Loss::Logistic => {
                let sum = slices::logistic(outputs, targets, gradient);
                slices::scale(gradient, by);
                sum
            }
            Loss::Squared => {
                for (g, (o, y)) in gradient.iter_mut().zip(rows()) {
                    let error = o - y;
                    *g = error * error;
                }
                let sum = slices::sum(gradient);
                for (g, (o, y)) in gradient.iter_mut().zip(rows()) {
                    // The graph adds the gradients of both factors.
                    let one = (o - y) * by;
                    *g = one + one;
                }
                sum
            }
            Loss::Perceptron { update_on_tie } => {
                let wrong =
                    |margin: f32| f32::from(margin < 0.0 || (update_on_tie && margin == 0.0));
                for (g, (o, y)) in gradient.iter_mut().zip(rows()) {
                    *g = o * y * wrong(o * y);
                }
                let sum = -slices::sum(gradient);
                for (g, (o, y)) in gradient.iter_mut().zip(rows()) {
                    *g = -by * wrong(o * y) * y;
                }
                sum
            }
        }
    }

    /// Smooths the targets of [`Loss::target_values`] as [`Loss::sum`] does.
    pub fn smooth(self, targets: &mut [f32], classes: usize, label_smoothing: f64) {
        let (kept, spread) = (1.0 - label_smoothing, label_smoothing / classes as f64);
        let (kept, spread) = (kept as f32, spread as f32);
        targets.iter_mut().for_each(|t| *t = *t * kept + spread);
    }

    /// As [`Loss::correct`], on the slices of [`Loss::sum_on_slices`].
    pub fn correct_on_slices(
        self,
        outputs: &[f32],
        targets: &[f32],
        width: usize,
    ) -> Option<usize> {
        (self != Loss::Squared).then(|| slices::correct(outputs, targets, width))
    }

    /// How many examples are classified correctly, `[1]` on the device; `None` for real targets.
    ///
    /// The predicted class is that of the largest output; for a single output it is +1 if the
    /// output is positive.
    pub fn correct(self, outputs: &Tensor<2>, targets: &Targets) -> Option<Tensor<1>> {
        let outputs = outputs.clone().inner();
        match targets {
            Targets::Classes { index, one_hot } => {
                Some(layers::correct(&outputs, one_hot).unwrap_or_else(|| {
                    total(outputs.argmax(1).reshape([-1]).equal(index.clone()).float())
                }))
            }
            Targets::Signs(y) => {
                if let Some(correct) = layers::correct(&outputs, &y.clone().reshape(outputs.dims()))
                {
                    return Some(correct);
                }
                let positive = column(outputs).greater_elem(0.0);
                Some(total(positive.equal(y.clone().greater_elem(0.0)).float()))
            }
            Targets::Real(_) => None,
        }
    }
}

impl Loss {
    /// The class predicted by one example's outputs, as counted by [`Loss::correct`]: the first of
    /// the largest outputs, or, for a single output, class 1 if it is positive and class 0
    /// otherwise. `None` for real targets.
    pub fn predicted(self, outputs: &[f32]) -> Option<u32> {
        match self {
            Loss::Squared => None,
            Loss::Logistic | Loss::Perceptron { .. } => {
                Some(u32::from(outputs.first().is_some_and(|o| *o > 0.0)))
            }
            Loss::CrossEntropy => {
                Some((1..outputs.len()).fold(
                    0,
                    |best, i| if outputs[i] > outputs[best] { i } else { best },
                ) as u32)
            }
        }
    }

    /// The probability of each class according to one example's outputs, in f64: softmax(o), or
    /// σ(−o) and σ(o) for [`Loss::Logistic`]. `None` for real targets and for the perceptron, whose
    /// outputs are not probabilities.
    pub fn probabilities(self, outputs: &[f32]) -> Option<Vec<f64>> {
        let outputs = match self {
            Loss::Squared | Loss::Perceptron { .. } => return None,
            Loss::Logistic => vec![0.0, f64::from(*outputs.first()?)],
            Loss::CrossEntropy => outputs.iter().map(|o| f64::from(*o)).collect(),
        };
        let most = outputs.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let powers: Vec<f64> = outputs.iter().map(|o| (o - most).exp()).collect();
        let sum: f64 = powers.iter().sum();
        Some(powers.iter().map(|p| p / sum).collect())
    }
}

/// Reshapes `[batch, 1]` to `[batch]`.
fn column(outputs: Tensor<2>) -> Tensor<1> {
    let [batch, _] = outputs.dims();
    outputs.reshape([batch])
}
