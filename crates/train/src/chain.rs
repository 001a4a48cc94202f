//! A training step without a graph, for networks that apply one layer after the other.
//!
//! Weights, gradients and the optimizer's state are slices, which are allocated once. Every number
//! has the same bits as on Burn's graph, because the graph's operations call the same kernels.

use largebatch_data::Labels;
use largebatch_kernels::slices;
use largebatch_models::layers::Activation;
use largebatch_models::{Forward, Link, Network};
use largebatch_optim::{Driver, GlobalClip, Slices, clip_slices_by_global_norm};

use crate::gradients::{Cut, StepKeys};
use crate::{Experiment, SquaredNorms, TrainError};

/// The layers, the weights, and the memory of a step.
pub(crate) struct Chain {
    layers: Vec<Layer>,
    slices: Slices,
    /// The gradient of a part of the batch, and of the parts so far, by parameter.
    gradients: [Vec<Vec<f32>>; 2],
    /// The inputs of each layer, then the outputs of the last one.
    x: Vec<Vec<f32>>,
    /// The gradients with respect to the outputs and inputs of a layer.
    g: [Vec<f32>; 2],
    classes: Vec<u32>,
    reals: Vec<f32>,
    targets: Vec<f32>,
}

/// A fully connected layer, with the ReLU that follows it.
struct Layer {
    inputs: usize,
    outputs: usize,
    /// The places of weight and bias among the parameters.
    weight: usize,
    bias: Option<usize>,
    relu: bool,
}

/// What a step's passes found.
pub(crate) struct Found {
    /// Σ loss, and the number of correct examples, of each part.
    pub loss: Vec<f32>,
    pub correct: Vec<f32>,
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
    /// The weights of a network and the optimizer's states, after at least one step; `None` if there
    /// is an [`obstacle`].
    pub fn take(network: &Network, driver: &Driver) -> Option<Chain> {
        let slices = Slices::take(driver, network)?;
        let layers = layers(&network.links()?, |id| slices.index(id))?;
        let zeros = || slices.weights.iter().map(|w| vec![0.0; w.len()]).collect();
        Some(Chain {
            gradients: [zeros(), Vec::new()],
            x: vec![Vec::new(); layers.len() + 1],
            layers,
            slices,
            g: Default::default(),
            classes: Vec::new(),
            reals: Vec::new(),
            targets: Vec::new(),
        })
    }

    /// The network with the weights of the chain; the driver gets the optimizer's states.
    pub fn give(&self, driver: &mut Driver, network: Network) -> Network {
        self.slices.give(driver, network)
    }

    /// Computes the gradient of a batch, as [`Experiment::gradient`] does, part by part.
    pub fn gradient(
        &mut self,
        experiment: &Experiment,
        indices: &[u32],
        keys: StepKeys,
        norms: bool,
    ) -> Result<Found, TrainError> {
        let cut = Cut::new(&experiment.config, indices.len());
        let mut found = Found {
            loss: Vec::with_capacity(cut.parts),
            correct: Vec::with_capacity(cut.parts),
            norms: None,
        };
        let mut parts = Vec::new();
        for part in 0..cut.parts {
            let some = &indices[cut.range(part)];
            let (loss, correct) = self.part(experiment, some, indices.len(), keys)?;
            found.loss.push(loss);
            found.correct.extend(correct.map(|n| n as f32));
            if norms && cut.parts > 1 {
                // A part's gradient is that of its summed loss over the whole batch's size.
                let scale = indices.len() as f64 / some.len() as f64;
                parts.push((some.len(), scale.powi(2) * squared_norm(&self.gradients[0])));
            }
            if cut.parts > 1 {
                self.add(part);
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

    /// Adds the gradient of a part to those before it, in `gradients[1]`.
    fn add(&mut self, part: usize) {
        let [new, sum] = &mut self.gradients;
        if part == 0 {
            sum.clone_from(new);
            return;
        }
        for (sum, new) in sum.iter_mut().zip(new) {
            sum.iter_mut().zip(new).for_each(|(sum, g)| *sum += *g);
        }
    }

    /// Clips the gradient by the global norm.
    pub fn clip_by_global_norm(&mut self, clip: GlobalClip) {
        clip_slices_by_global_norm(&mut self.gradients[0], clip);
    }

    /// Clamps every element of the gradient to \[−limit, limit\].
    pub fn clip_by_value(&mut self, limit: f64) {
        let limit = limit as f32;
        for gradient in &mut self.gradients[0] {
            gradient
                .iter_mut()
                .for_each(|g| *g = g.clamp(-limit, limit));
        }
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
        keys: StepKeys,
    ) -> Result<(f32, Option<usize>), TrainError> {
        self.gather(experiment, indices, keys)?;
        self.forward(indices.len());
        let (loss, outputs) = (experiment.loss, self.x.last().map_or(&[][..], |x| x));
        let width = outputs.len() / indices.len();
        let correct = loss.correct_on_slices(outputs, &self.targets, width);
        let smoothing = experiment.config.label_smoothing;
        if smoothing != 0.0 {
            loss.smooth(&mut self.targets, width, smoothing);
        }
        self.g[0].resize(outputs.len(), 0.0);
        let by = 1.0 / whole as f32;
        let sum = loss.sum_on_slices(outputs, &self.targets, width, by, &mut self.g[0]);
        self.backward(indices.len());
        Ok((sum, correct))
    }

    /// Fills the inputs of the first layer, and the targets.
    fn gather(
        &mut self,
        experiment: &Experiment,
        indices: &[u32],
        keys: StepKeys,
    ) -> Result<(), TrainError> {
        let part = &experiment.dataset.train;
        let pipeline = &experiment.pipeline;
        pipeline.gather(part, indices, Some(keys.augment), &mut self.x[0]);
        let labels = match part.labels() {
            Labels::Classes(all) => {
                self.classes.clear();
                self.classes
                    .extend(indices.iter().map(|&i| all[i as usize]));
                largebatch_models::Labels::Classes(&self.classes)
            }
            Labels::Targets(all) => {
                self.reals.clear();
                let each = indices.iter().map(|&i| pipeline.encode(all[i as usize]));
                self.reals.extend(each);
                largebatch_models::Labels::Real(&self.reals)
            }
        };
        let classes = experiment.io.classes;
        Ok(experiment
            .loss
            .target_values(labels, classes, &mut self.targets)?)
    }

    fn forward(&mut self, batch: usize) {
        for (l, layer) in self.layers.iter().enumerate() {
            let [x, y] = &mut self.x[l..l + 2] else {
                unreachable!("there is one x more than layers")
            };
            y.resize(batch * layer.outputs, 0.0);
            let weights = &self.slices.weights;
            let bias = layer.bias.map(|at| &weights[at][..]);
            slices::linear(
                [batch, layer.inputs, layer.outputs],
                x,
                &weights[layer.weight],
                bias,
                layer.relu,
                y,
            );
        }
    }

    /// The gradient of every parameter, from that of the outputs in `g[0]`.
    fn backward(&mut self, batch: usize) {
        let ([g, by_x], [gradients, _]) = (&mut self.g, &mut self.gradients);
        for (l, layer) in self.layers.iter().enumerate().rev() {
            let sizes = [batch, layer.inputs, layer.outputs];
            if layer.relu {
                slices::relu_gradient(g, &self.x[l + 1]);
            }
            if l > 0 {
                by_x.resize(batch * layer.inputs, 0.0);
                let weight = &self.slices.weights[layer.weight];
                slices::linear_by_input(sizes, g, weight, by_x);
            }
            slices::linear_by_weight(sizes, g, &self.x[l], &mut gradients[layer.weight]);
            if let Some(at) = layer.bias {
                slices::linear_by_bias(g, &mut gradients[at]);
            }
            std::mem::swap(g, by_x);
        }
    }
}

/// The layers of these links, with the places of their parameters; `None` if a link is not among
/// them.
fn layers(
    links: &[Link<'_>],
    place: impl Fn(burn::module::ParamId) -> Option<usize>,
) -> Option<Vec<Layer>> {
    let mut layers: Vec<Layer> = Vec::new();
    for link in links {
        match link {
            Link::Linear(linear) => {
                let [inputs, outputs] = linear.weight.lazy_shape().dims();
                layers.push(Layer {
                    inputs,
                    outputs,
                    weight: place(linear.weight.id)?,
                    bias: match &linear.bias {
                        Some(bias) => Some(place(bias.id)?),
                        None => None,
                    },
                    relu: false,
                });
            }
            Link::Activation(Activation::Relu) => layers.last_mut()?.relu = true,
            Link::Dropout(dropout) if dropout.is_off() => (),
            _ => return None,
        }
    }
    (!layers.is_empty()).then_some(layers)
}

/// |g|² over all parameters, summed in f64 parameter by parameter.
fn squared_norm(gradients: &[Vec<f32>]) -> f64 {
    let square = |g: &Vec<f32>| g.iter().map(|x| f64::from(*x).powi(2)).sum::<f64>();
    // From 0, as on the graph.
    gradients.iter().fold(0.0, |sum, g| sum + square(g))
}
