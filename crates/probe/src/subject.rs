//! A network of a run, and the examples on which it is measured.

use std::path::Path;

use burn::module::Module;
use burn::optim::GradientsParams;
use burn::tensor::{DType, Tensor};
use largebatch_models::{Forward, ForwardPass, Network, Targets};
use largebatch_random::Key;
use largebatch_train::{Experiment, Split};

use crate::flat::{AddGradient, Cast, Unflatten, flatten};
use crate::subset::draw;
use crate::vector::scale;
use crate::{Examples, Layer, Objective, ProbeError, Subset};

/// Examples per pass; fixed, so that the sums are the same for every subset that contains them in
/// this order.
const MICROBATCH: usize = 250;
/// Inputs with at most this many numbers in all stay on the device; larger ones are gathered again
/// for each gradient.
const KEPT: usize = 1 << 24;

#[derive(Clone)]
struct Batch {
    inputs: Tensor<2>,
    targets: Targets,
}

/// The loss L(w) of a network as a function of its flat parameters: the mean training loss (with
/// the run's label smoothing, without weight decay) over some examples. It is a fixed smooth
/// function of w: without augmentation and dropout, and with batch norm frozen at its running
/// statistics.
///
/// The parameters are in the network's order. On CPU devices everything is computed in f64, on
/// others in f32. Gradients are computed in microbatches of 250 examples, so memory does not grow
/// with the number of examples.
pub struct Subject<'a> {
    experiment: &'a Experiment,
    which: Split,
    examples: Vec<u32>,
    dtype: DType,
    layers: Vec<Layer>,
    weights: Vec<f64>,
    network: Network,
    /// The current weights of `network`.
    at: Vec<f64>,
    kept: Vec<Batch>,
    gradients: u64,
    passes: u64,
    batch_statistics: bool,
}

impl<'a> Subject<'a> {
    /// A network of an experiment, on a part of its data.
    ///
    /// # Errors
    /// An empty part or subset.
    pub fn new(
        experiment: &'a Experiment,
        network: &Network,
        which: Split,
        subset: Subset,
    ) -> Result<Self, ProbeError> {
        let (part, all) = experiment.indices(which);
        if all.is_empty() {
            return Err(ProbeError::value(
                "part",
                format!("{which:?}").to_lowercase(),
                "the run has no examples in this part; choose another part",
            ));
        }
        if subset.size == Some(0) {
            let why = "at least one example is needed";
            return Err(ProbeError::value("subset", 0, why));
        }
        let examples = draw(part.labels(), all, subset);
        let dtype = if is_double(experiment) {
            DType::F64
        } else {
            DType::F32
        };
        // Including batch norm's running statistics, so that everything has the same type.
        let network = network.clone().map(&mut Cast(dtype));
        let (layers, values) = flatten(&network);
        Ok(Subject {
            experiment,
            which,
            examples,
            dtype,
            layers,
            at: values.clone(),
            weights: values,
            network,
            kept: Vec::new(),
            gradients: 0,
            passes: 0,
            batch_statistics: false,
        })
    }

    /// Refuses weights that are not finite.
    ///
    /// # Errors
    /// Names the first such weight; `place` is its file in the message.
    pub fn check(&self, place: &Path) -> Result<(), ProbeError> {
        let Some(i) = self.weights.iter().position(|w| !w.is_finite()) else {
            return Ok(());
        };
        let layer = self.layers.iter().find(|l| l.range.contains(&i));
        let (path, start) = layer.map_or((String::new(), 0), |l| (l.path.clone(), l.range.start));
        Err(ProbeError::Weights {
            path: place.to_owned(),
            layer: path,
            index: i - start,
            value: self.weights[i],
        })
    }

    /// The weights that the network had when the subject was made.
    pub fn weights(&self) -> &[f64] {
        &self.weights
    }

    /// The parameters in the order of the flat vector.
    pub fn layers(&self) -> &[Layer] {
        &self.layers
    }

    /// The experiment: data, model and configuration.
    pub fn experiment(&self) -> &'a Experiment {
        self.experiment
    }

    /// The examples, as indices into the part.
    pub fn examples(&self) -> &[u32] {
        &self.examples
    }

    /// The part of the data.
    pub fn part(&self) -> Split {
        self.which
    }

    /// Whether everything is computed in f64.
    pub fn is_double(&self) -> bool {
        self.dtype == DType::F64
    }

    /// From now on, computes the loss as in training: batch norm uses the statistics of each
    /// microbatch of 250, with gradients through them, and dropout uses fixed masks. With frozen
    /// statistics, a network with batch norm is much more sensitive to its weights than in
    /// training.
    pub fn use_batch_statistics(&mut self) {
        self.batch_statistics = true;
    }

    /// Number of gradient evaluations so far, over all examples or over one batch.
    pub fn gradients(&self) -> u64 {
        self.gradients
    }

    /// Number of forward and backward passes of single examples so far: the total cost, in units
    /// that do not depend on the batch size.
    pub fn example_gradients(&self) -> u64 {
        self.passes
    }

    /// The network with the weights w, in the subject's precision and with the original batch-norm
    /// statistics.
    ///
    /// # Errors
    /// A vector of the wrong length.
    pub fn network_at(&mut self, w: &[f64]) -> Result<&Network, ProbeError> {
        if w.len() != self.weights.len() {
            return Err(ProbeError::Length {
                expected: self.weights.len(),
                found: w.len(),
            });
        }
        if self.at != w {
            let network = self.network.clone();
            self.network = network.map(&mut Unflatten {
                values: w,
                next: 0,
                dtype: self.dtype,
            });
            self.at.copy_from_slice(w);
        }
        Ok(&self.network)
    }

    /// The mean loss at w and, for classification, the fraction of examples classified correctly.
    ///
    /// # Errors
    /// A vector of the wrong length; labels that the loss cannot take.
    pub fn measure(&mut self, w: &[f64]) -> Result<(f64, Option<f64>), ProbeError> {
        let network = self.network_at(w)?.valid();
        let (mut sum, mut correct) = (0.0, None);
        for i in 0..self.examples.len().div_ceil(MICROBATCH) {
            let Batch { inputs, targets } = self.batch(i)?;
            let rows = rows(&inputs);
            let outputs = network.forward(inputs, &mut self.pass(&rows));
            if let Some(right) = self.experiment.loss.correct(&outputs, &targets) {
                *correct.get_or_insert(0.0) += right.into_scalar::<f64>();
            }
            sum += self
                .experiment
                .loss
                .sum(outputs, &targets, self.experiment.config.label_smoothing)
                .into_scalar::<f64>();
        }
        let n = self.examples.len() as f64;
        Ok((sum / n, correct.map(|c| c / n)))
    }

    /// The `i`-th microbatch of the subject's own examples.
    fn batch(&mut self, i: usize) -> Result<Batch, ProbeError> {
        let all = self.examples.len();
        if self.kept.is_empty() {
            let (part, _) = self.experiment.indices(self.which);
            if all * part.size() <= KEPT {
                self.kept = self
                    .examples
                    .chunks(MICROBATCH)
                    .map(|some| self.load(some))
                    .collect::<Result<_, _>>()?;
            }
        }
        match self.kept.get(i) {
            Some(batch) => Ok(batch.clone()),
            None => self.load(&self.examples[i * MICROBATCH..all.min((i + 1) * MICROBATCH)]),
        }
    }

    fn pass<'b>(&self, rows: &'b [u64]) -> ForwardPass<'b> {
        if self.batch_statistics {
            ForwardPass::train(Key::new(0).word("probe dropout"), rows, None)
        } else {
            ForwardPass::eval()
        }
    }

    fn load(&self, examples: &[u32]) -> Result<Batch, ProbeError> {
        let (part, _) = self.experiment.indices(self.which);
        let (inputs, targets) = self.experiment.batch(part, examples, None)?;
        Ok(Batch {
            inputs: inputs.cast(self.dtype),
            targets,
        })
    }

    /// The mean loss at w and its gradient, over the `n` examples of some microbatches.
    fn mean(
        &mut self,
        w: &[f64],
        n: usize,
        batches: usize,
        batch: impl Fn(&mut Self, usize) -> Result<Batch, ProbeError>,
    ) -> Result<(f64, Vec<f64>), ProbeError> {
        self.network_at(w)?;
        self.gradients += 1;
        let (mut loss, mut gradient) = (0.0, vec![0.0; w.len()]);
        for i in 0..batches {
            let batch = batch(self, i)?;
            loss += self.add(batch, &mut gradient);
        }
        scale(1.0 / n as f64, &mut gradient);
        Ok((loss / n as f64, gradient))
    }

    /// Adds ∇ Σ ℓ of one microbatch to `gradient`, and returns Σ ℓ. The caller divides by the
    /// number of examples, because Burn 0.22 rounds the scalar of a division to f32 in the backward
    /// pass.
    fn add(&mut self, batch: Batch, gradient: &mut [f64]) -> f64 {
        let rows = rows(&batch.inputs);
        self.passes += rows.len() as u64;
        let outputs = self.network.forward(batch.inputs, &mut self.pass(&rows));
        let sum = self.experiment.loss.sum(
            outputs,
            &batch.targets,
            self.experiment.config.label_smoothing,
        );
        let loss = sum.clone().inner().into_scalar::<f64>();
        let gradients = GradientsParams::from_grads(sum.backward(), &self.network);
        self.network.visit(&mut AddGradient {
            gradients: &gradients,
            sum: gradient,
            next: 0,
        });
        loss
    }
}

impl Objective for Subject<'_> {
    fn dim(&self) -> usize {
        self.weights.len()
    }

    fn loss(&mut self, w: &[f64]) -> Result<f64, ProbeError> {
        Ok(self.measure(w)?.0)
    }

    fn gradient(&mut self, w: &[f64]) -> Result<(f64, Vec<f64>), ProbeError> {
        let batches = self.examples.len().div_ceil(MICROBATCH);
        self.mean(w, self.examples.len(), batches, Self::batch)
    }
}

impl Examples for Subject<'_> {
    fn count(&self) -> usize {
        self.examples.len()
    }

    fn batch_gradient(
        &mut self,
        w: &[f64],
        places: &[usize],
    ) -> Result<(f64, Vec<f64>), ProbeError> {
        if places.is_empty() {
            let why = "a gradient needs at least one example";
            return Err(ProbeError::value("batch", 0, why));
        }
        let examples: Vec<u32> = places.iter().map(|&p| self.examples[p]).collect();
        let batches: Vec<&[u32]> = examples.chunks(MICROBATCH).collect();
        self.mean(w, examples.len(), batches.len(), |subject, i| {
            subject.load(batches[i])
        })
    }
}

/// Whether the subjects of an experiment compute in f64.
fn is_double(experiment: &Experiment) -> bool {
    let device = experiment.config.device.split(':').next();
    matches!(device, Some("flex" | "ndarray"))
}

/// Refuses single precision, for probes that take differences of gradients.
pub(crate) fn need_double(experiment: &Experiment) -> Result<(), ProbeError> {
    if is_double(experiment) {
        return Ok(());
    }
    Err(ProbeError::Precision {
        device: experiment.config.device.clone(),
    })
}

/// The row numbers of a batch, from which dropout draws its masks.
fn rows(inputs: &Tensor<2>) -> Vec<u64> {
    (0..inputs.dims()[0] as u64).collect()
}
