//! A pass over a part of a batch, forward and backward, on slices.

use largebatch_data::{Labels, Part};
use largebatch_models::Loss;
use largebatch_random::Key;

use crate::gradients::StepKeys;
use crate::layer::{Layer, Pass};
use crate::{Experiment, TrainError};

/// The layers, and the memory of a pass over a part of the batch.
pub(crate) struct Worker {
    pub layers: Vec<Layer>,
    /// The inputs of each layer, then the outputs of the last one; longer than a part needs after a
    /// larger one.
    pub x: Vec<Vec<f32>>,
    /// The gradients with respect to the outputs and inputs of a layer.
    pub g: [Vec<f32>; 2],
    /// The labels of a part, and its examples' numbers.
    classes: Vec<u32>,
    reals: Vec<f32>,
    pub targets: Vec<f32>,
    examples: Vec<u64>,
}

/// What all workers read in a step.
#[derive(Clone, Copy)]
pub(crate) struct Shared<'a> {
    pub experiment: &'a Experiment,
    pub weights: &'a [Vec<f32>],
    pub keys: Option<StepKeys>,
    /// The size of the whole batch.
    pub whole: usize,
}

impl Worker {
    pub fn new(layers: Vec<Layer>) -> Self {
        Worker {
            x: vec![Vec::new(); layers.len() + 1],
            layers,
            g: Default::default(),
            classes: Vec::new(),
            reals: Vec::new(),
            targets: Vec::new(),
            examples: Vec::new(),
        }
    }

    /// Passes over some examples of the training part, forward and backward. Writes the gradient of
    /// the sum of their losses over the size of the whole batch; returns the sum, and the number of
    /// correctly classified examples, `None` for real targets.
    pub fn pass(
        &mut self,
        shared: Shared<'_>,
        indices: &[u32],
        gradient: &mut [Vec<f32>],
    ) -> Result<(f32, Option<usize>), TrainError> {
        let Shared {
            experiment,
            weights,
            keys,
            whole,
        } = shared;
        let augment = keys.map(|keys| keys.augment);
        self.gather(experiment, &experiment.dataset.train, indices, augment)?;
        self.forward(experiment, weights, keys.map(|keys| keys.dropout));
        let batch = indices.len();
        let (loss, width) = (experiment.loss, self.width());
        let correct = self.correct(loss);
        let smoothing = experiment.config.label_smoothing;
        if smoothing != 0.0 {
            loss.smooth(&mut self.targets, width, smoothing);
        }
        let sum = self.loss(loss, 1.0 / whole as f32);
        let [g, by_x] = &mut self.g;
        for (l, layer) in self.layers.iter_mut().enumerate().rev() {
            let (inputs, outputs) = (batch * layer.inputs, batch * layer.outputs);
            let xy = [&self.x[l][..inputs], &self.x[l + 1][..outputs]];
            let wanted = (l > 0).then(|| first(by_x, inputs));
            layer.backward(weights, xy, &mut g[..outputs], wanted, gradient);
            std::mem::swap(g, by_x);
        }
        Ok((sum, correct))
    }

    /// The number of outputs of an example.
    pub fn width(&self) -> usize {
        self.layers.last().map_or(0, |last| last.outputs)
    }

    /// The outputs of the gathered examples.
    pub fn outputs(&self) -> &[f32] {
        &self.x[self.layers.len()][..self.examples.len() * self.width()]
    }

    /// The number of gathered examples that are classified correctly, `None` for real targets.
    pub fn correct(&self, loss: Loss) -> Option<usize> {
        loss.correct_on_slices(self.outputs(), &self.targets, self.width())
    }

    /// The sum of the gathered examples' losses; the gradient with respect to the outputs, times
    /// `by`, is then in `g[0]`.
    pub fn loss(&mut self, loss: Loss, by: f32) -> f32 {
        let (width, n) = (self.width(), self.examples.len());
        let outputs = &self.x[self.layers.len()][..n * width];
        let g = first(&mut self.g[0], n * width);
        loss.sum_on_slices(outputs, &self.targets, width, by, g)
    }

    /// The training pass of the gathered examples. Without a key nothing may be
    /// [random](crate::chain::Chain::is_random).
    pub fn forward(&mut self, experiment: &Experiment, weights: &[Vec<f32>], dropout: Option<Key>) {
        let pass = Pass {
            dropout,
            examples: &self.examples,
            ghost_batch: experiment.config.ghost_batch,
        };
        for (l, layer) in self.layers.iter_mut().enumerate() {
            let ((x, y), n) = (self.x.split_at_mut(l + 1), self.examples.len());
            let x = &x[l][..n * layer.inputs];
            layer.forward(weights, x, first(&mut y[0], n * layer.outputs), &pass);
        }
    }

    /// Fills the inputs of the first layer, the targets and the examples' numbers.
    pub fn gather(
        &mut self,
        experiment: &Experiment,
        part: &Part,
        indices: &[u32],
        augment: Option<Key>,
    ) -> Result<(), TrainError> {
        let pipeline = &experiment.pipeline;
        let x = first(&mut self.x[0], indices.len() * part.size());
        pipeline.gather_into(part, indices, augment, x);
        self.examples.clear();
        self.examples.extend(indices.iter().map(|&i| u64::from(i)));
        let labels = match part.labels() {
            Labels::Classes(all) => {
                self.classes.clear();
                let each = indices.iter().map(|&i| all[i as usize]);
                self.classes.extend(each);
                largebatch_models::Labels::Classes(&self.classes)
            }
            Labels::Targets(all) => {
                self.reals.clear();
                let each = indices.iter().map(|&i| pipeline.encode(all[i as usize]));
                self.reals.extend(each);
                largebatch_models::Labels::Real(&self.reals)
            }
        };
        let (loss, classes) = (experiment.loss, experiment.io.classes);
        Ok(loss.target_values(labels, classes, &mut self.targets)?)
    }
}

/// The first n elements of a list that only grows: sizes of parts and of evaluations alternate.
pub(crate) fn first(list: &mut Vec<f32>, n: usize) -> &mut [f32] {
    if list.len() < n {
        list.resize(n, 0.0);
    }
    &mut list[..n]
}
