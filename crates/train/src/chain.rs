//! A training step without a graph, for networks that apply one layer after the other.
//!
//! Weights, gradients and the optimizer's state are slices, which are allocated once. Every number
//! has the same bits as on Burn's graph, because the graph's operations call the same kernels.

use largebatch_data::Labels;
use largebatch_models::{Forward, Network};
use largebatch_optim::{Driver, GlobalClip, Slices, clip_slices_by_global_norm};

use crate::gradients::{Cut, StepKeys};
use crate::layer::{Layer, Pass, add, layers};
use crate::{Experiment, SquaredNorms, TrainError};

/// The layers, the weights, and the memory of a step.
pub(crate) struct Chain {
    layers: Vec<Layer>,
    slices: Slices,
    /// The weights at which the optimizer wants the gradient, if it looks ahead.
    ahead: Vec<Vec<f32>>,
    looks_ahead: bool,
    /// The gradient of a part of the batch, and the sum over the parts before it, by parameter;
    /// empty for batch norm's running statistics.
    gradients: [Vec<Vec<f32>>; 2],
    /// The inputs of each layer, then the outputs of the last one.
    x: Vec<Vec<f32>>,
    /// The gradients with respect to the outputs and inputs of a layer.
    g: [Vec<f32>; 2],
    /// The labels of a part, and its examples' numbers.
    classes: Vec<u32>,
    reals: Vec<f32>,
    targets: Vec<f32>,
    examples: Vec<u64>,
}

/// What the passes over a batch found, besides its gradient.
pub(crate) struct Found {
    /// The sum of the losses.
    pub loss: f64,
    /// The number of correctly classified examples; `None` for real targets.
    pub correct: Option<f64>,
    /// As of [`Experiment::gradient_with_norms`].
    pub norms: Option<SquaredNorms>,
}

/// Why a training of this network needs a graph; `None` if it can be trained without.
pub(crate) fn obstacle(
    experiment: &Experiment,
    network: &Network,
    driver: &Driver,
) -> Option<&'static str> {
    if experiment.config.device != "flex" {
        return Some("the device is not flex");
    }
    if !largebatch_kernels::enabled() {
        return Some("kernels are off");
    }
    let Some(links) = network.links() else {
        return Some("the model is not a chain of layers");
    };
    if layers(&links, |_| Some(0)).is_none() {
        return Some("the model has a layer that needs one");
    }
    if !driver.steps_on_slices() {
        return Some("the optimizer needs one");
    }
    None
}

impl Chain {
    /// The weights of a network and the optimizer's states, after at least one step; `None` if they
    /// are not of f32.
    pub fn take(network: &Network, driver: &Driver) -> Option<Chain> {
        let slices = Slices::take(driver, network)?;
        let layers = layers(&network.links()?, |id| slices.index(id))?;
        let mut gradients = vec![Vec::new(); slices.weights.len()];
        for at in layers.iter().flat_map(Layer::trained) {
            gradients[at] = vec![0.0; slices.weights[at].len()];
        }
        Some(Chain {
            gradients: [gradients, Vec::new()],
            x: vec![Vec::new(); layers.len() + 1],
            layers,
            slices,
            ahead: Vec::new(),
            looks_ahead: false,
            g: Default::default(),
            classes: Vec::new(),
            reals: Vec::new(),
            targets: Vec::new(),
            examples: Vec::new(),
        })
    }

    /// The network with the weights of the chain; the driver gets the optimizer's states.
    pub fn give(&self, driver: &mut Driver, network: Network) -> Network {
        self.slices.give(driver, network)
    }

    /// Whether a step draws random numbers.
    pub fn is_random(&self, experiment: &Experiment) -> bool {
        experiment.pipeline.augments() || self.layers.iter().any(Layer::is_random)
    }

    /// Computes the gradient of a batch, as [`Experiment::gradient`] does, part by part. Without
    /// keys nothing may be [random](Self::is_random).
    pub fn gradient(
        &mut self,
        experiment: &Experiment,
        indices: &[u32],
        keys: Option<StepKeys>,
        norms: bool,
    ) -> Result<Found, TrainError> {
        let cut = Cut::new(&experiment.config, indices.len());
        let mut found = Found {
            // The neutral element: the sum of losses of −0 is −0, as on the graph.
            loss: -0.0,
            correct: None,
            norms: None,
        };
        self.looks_ahead = self.slices.ahead(&mut self.ahead);
        let mut parts = Vec::new();
        for part in 0..cut.parts {
            let some = &indices[cut.range(part)];
            let (loss, correct) = self.part(experiment, some, indices.len(), keys)?;
            found.loss += f64::from(loss);
            if let Some(correct) = correct {
                *found.correct.get_or_insert(0.0) += correct as f64;
            }
            if cut.parts == 1 {
                break;
            }
            if norms {
                // A part's gradient is that of its summed loss over the whole batch's size.
                let scale = indices.len() as f64 / some.len() as f64;
                let square = squared_norm(&self.gradients[0]);
                parts.push((some.len(), scale.powi(2) * square));
            }
            let [new, sum] = &mut self.gradients;
            match part {
                0 => sum.clone_from(new),
                _ => sum.iter_mut().zip(new).for_each(|(sum, new)| add(sum, new)),
            }
        }
        if cut.parts > 1 {
            self.gradients.swap(0, 1);
        }
        found.norms = (parts.len() > 1).then(|| SquaredNorms {
            parts,
            whole: squared_norm(&self.gradients[0]),
        });
        Ok(found)
    }

    /// Clips the gradient by the global norm.
    pub fn clip_by_global_norm(&mut self, clip: GlobalClip) {
        clip_slices_by_global_norm(&mut self.gradients[0], clip);
    }

    /// Clamps every element of the gradient to \[−limit, limit\].
    pub fn clip_by_value(&mut self, limit: f64) {
        let limit = limit as f32;
        let each = self.gradients[0].iter_mut().flatten();
        each.for_each(|g| *g = g.clamp(-limit, limit));
    }

    /// Steps along the gradient, which is overwritten.
    pub fn step(&mut self, lr: f64) {
        self.slices.step(lr, &mut self.gradients[0]);
    }

    /// The sum of the losses of some examples of the training part, the number of correct ones, and
    /// in `gradients[0]` the gradient of the sum over `whole`.
    fn part(
        &mut self,
        experiment: &Experiment,
        indices: &[u32],
        whole: usize,
        keys: Option<StepKeys>,
    ) -> Result<(f32, Option<usize>), TrainError> {
        self.gather(experiment, indices, keys)?;
        let batch = indices.len();
        let weights = match self.looks_ahead {
            true => &self.ahead,
            false => &self.slices.weights,
        };
        let pass = Pass {
            dropout: keys.map(|keys| keys.dropout),
            examples: &self.examples,
            ghost_batch: experiment.config.ghost_batch,
        };
        for (l, layer) in self.layers.iter_mut().enumerate() {
            let (x, y) = self.x.split_at_mut(l + 1);
            y[0].resize(batch * layer.outputs, 0.0);
            layer.forward(weights, &x[l], &mut y[0], &pass);
        }

        let (loss, last) = (experiment.loss, self.layers.len());
        let outputs = &self.x[last];
        let width = outputs.len() / batch;
        let correct = loss.correct_on_slices(outputs, &self.targets, width);
        let smoothing = experiment.config.label_smoothing;
        if smoothing != 0.0 {
            loss.smooth(&mut self.targets, width, smoothing);
        }
        let [g, by_x] = &mut self.g;
        g.resize(outputs.len(), 0.0);
        let sum = loss.sum_on_slices(outputs, &self.targets, width, 1.0 / whole as f32, g);

        for (l, layer) in self.layers.iter_mut().enumerate().rev() {
            let xy = [&self.x[l][..], &self.x[l + 1]];
            by_x.resize(batch * layer.inputs, 0.0);
            let wanted = (l > 0).then_some(&mut by_x[..]);
            layer.backward(weights, xy, g, wanted, &mut self.gradients[0]);
            std::mem::swap(g, by_x);
        }
        let weights = &mut self.slices.weights;
        let layers = self.layers.iter();
        layers.for_each(|layer| layer.update_running(weights));
        Ok((sum, correct))
    }

    /// Fills the inputs of the first layer, the targets and the examples' numbers.
    fn gather(
        &mut self,
        experiment: &Experiment,
        indices: &[u32],
        keys: Option<StepKeys>,
    ) -> Result<(), TrainError> {
        let (part, pipeline) = (&experiment.dataset.train, &experiment.pipeline);
        let augment = keys.map(|keys| keys.augment);
        pipeline.gather(part, indices, augment, &mut self.x[0]);
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

/// |g|² over all parameters, summed in f64 parameter by parameter.
fn squared_norm(gradients: &[Vec<f32>]) -> f64 {
    let square = |g: &Vec<f32>| g.iter().map(|x| f64::from(*x).powi(2)).sum::<f64>();
    gradients
        .iter()
        .filter(|g| !g.is_empty())
        .fold(0.0, |sum, g| sum + square(g))
}
