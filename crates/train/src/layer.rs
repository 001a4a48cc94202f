//! The layers of a [`Chain`](crate::chain::Chain).

use std::ops::Range;

use burn::module::ParamId;
use largebatch_kernels::slices::{self, Moments};
use largebatch_models::layers::{Activation, BatchNorm, Dropout};
use largebatch_models::{Link, RUNNING_MOMENTUM};
use largebatch_random::Key;

use crate::passes::Passes;

/// A layer, with what its gradient needs of the forward pass.
pub(crate) struct Layer {
    /// The widths of its inputs and outputs.
    pub inputs: usize,
    pub outputs: usize,
    kind: Kind,
}

/// Numbers are the places of parameters; `relu` is for the ReLU that follows.
enum Kind {
    Linear {
        weight: usize,
        bias: Option<usize>,
        relu: bool,
    },
    BatchNorm {
        gamma: usize,
        beta: usize,
        running: [usize; 2],
        relu: bool,
        /// The elements and the moments of each chunk.
        seen: Vec<(Range<usize>, Moments)>,
        /// The gradients of one chunk with respect to γ and β.
        part: [Vec<f32>; 2],
    },
    Activation(Activation),
    /// With the mask.
    Dropout(Dropout, Vec<f32>),
}

/// What the layers need to know of a part of a batch.
pub(crate) struct Pass<'a> {
    /// The key of the dropout masks.
    pub dropout: Option<Key>,
    /// The numbers of the examples.
    pub examples: &'a [u64],
    pub ghost_batch: Option<usize>,
}

/// The layers that compute these links. `place` says where a parameter's values are. `None` if a
/// link needs a graph.
pub(crate) fn layers(
    links: &[Link<'_>],
    place: impl Fn(ParamId) -> Option<usize>,
) -> Option<Vec<Layer>> {
    let mut layers: Vec<Layer> = Vec::new();
    for link in links {
        if link.is_relu() && layers.last_mut().is_some_and(Layer::takes_relu) {
            continue;
        }
        let width = layers.last().map(|layer| layer.outputs);
        let (inputs, outputs, kind) = match link {
            Link::Linear(linear) => {
                let [inputs, outputs] = linear.weight.lazy_shape().dims();
                let bias = linear.bias.as_ref();
                let kind = Kind::Linear {
                    weight: place(linear.weight.id)?,
                    bias: bias.map(|bias| place(bias.id).ok_or(())).transpose().ok()?,
                    relu: false,
                };
                (inputs, outputs, kind)
            }
            Link::BatchNorm(norm) => {
                let [channels] = norm.weight.lazy_shape().dims();
                if !slices::normalises(channels) {
                    return None;
                }
                let kind = Kind::BatchNorm {
                    gamma: place(norm.weight.id)?,
                    beta: place(norm.bias.id)?,
                    running: [place(norm.running_mean.id)?, place(norm.running_var.id)?],
                    relu: false,
                    seen: Vec::new(),
                    part: [vec![0.0; channels], vec![0.0; channels]],
                };
                (channels, channels, kind)
            }
            Link::Activation(activation) => (width?, width?, Kind::Activation(*activation)),
            Link::Dropout(dropout) if dropout.is_off() => continue,
            Link::Dropout(dropout) => {
                let kind = Kind::Dropout((*dropout).clone(), Vec::new());
                (width?, width?, kind)
            }
        };
        layers.push(Layer {
            inputs,
            outputs,
            kind,
        });
    }
    (!layers.is_empty()).then_some(layers)
}

impl Layer {
    /// Makes a ReLU part of the layer, if it can be one.
    fn takes_relu(&mut self) -> bool {
        match &mut self.kind {
            Kind::Linear { relu, .. } | Kind::BatchNorm { relu, .. } if !*relu => {
                *relu = true;
                true
            }
            _ => false,
        }
    }

    /// The places of the parameters that have a gradient.
    pub fn trained(&self) -> impl Iterator<Item = usize> {
        let places = match self.kind {
            Kind::Linear { weight, bias, .. } => [Some(weight), bias],
            Kind::BatchNorm { gamma, beta, .. } => [Some(gamma), Some(beta)],
            Kind::Activation(_) | Kind::Dropout(..) => [None, None],
        };
        places.into_iter().flatten()
    }

    /// Whether the layer draws random numbers.
    pub fn is_random(&self) -> bool {
        matches!(self.kind, Kind::Dropout(..))
    }

    /// Writes the outputs y of a training pass.
    pub fn forward(&mut self, weights: &[Vec<f32>], x: &[f32], y: &mut [f32], pass: &Pass<'_>) {
        let (batch, width) = (pass.examples.len(), self.inputs);
        match &mut self.kind {
            Kind::Linear { weight, bias, relu } => {
                let sizes = [batch, width, self.outputs];
                let bias = bias.map(|at| &weights[at][..]);
                slices::linear(sizes, x, &weights[*weight], bias, *relu, y);
            }
            Kind::BatchNorm {
                gamma,
                beta,
                relu,
                seen,
                ..
            } => {
                let by = [&weights[*gamma][..], &weights[*beta]];
                let chunks = BatchNorm::chunks(batch, pass.ghost_batch);
                seen.resize_with(chunks.len(), Default::default);
                for (rows, (part, moments)) in chunks.zip(seen) {
                    *part = rows.start * width..rows.end * width;
                    let (x, y) = (&x[part.clone()], &mut y[part.clone()]);
                    slices::batch_norm(x, by, BatchNorm::EPSILON, *relu, y, moments);
                }
            }
            Kind::Activation(activation) => slices::activation(activation.kernel(), x, y),
            Kind::Dropout(dropout, mask) => {
                let Some(key) = pass.dropout else { return };
                mask.resize(x.len(), 0.0);
                dropout.mask(key, pass.examples, width, mask);
                let factors = x.iter().zip(&*mask);
                y.iter_mut().zip(factors).for_each(|(y, (x, m))| *y = x * m);
            }
        }
    }

    /// Writes the outputs y of an evaluation: without dropout, with batch norm's running statistics.
    pub fn evaluate(&self, weights: &[Vec<f32>], x: &[f32], y: &mut [f32]) {
        let width = self.inputs;
        match &self.kind {
            Kind::Linear { weight, bias, relu } => {
                let sizes = [x.len() / width, width, self.outputs];
                let bias = bias.map(|at| &weights[at][..]);
                slices::linear(sizes, x, &weights[*weight], bias, *relu, y);
            }
            Kind::BatchNorm {
                gamma,
                beta,
                running,
                relu,
                ..
            } => {
                let by = [*gamma, *beta, running[0], running[1]].map(|at| &weights[at][..]);
                slices::batch_norm_eval(x, by, BatchNorm::EPSILON, *relu, y);
            }
            Kind::Activation(activation) => slices::activation(activation.kernel(), x, y),
            Kind::Dropout(..) => y.copy_from_slice(x),
        }
    }

    /// Writes the gradients with respect to the parameters and, if wanted, the inputs. `g` is that
    /// with respect to the outputs, and is overwritten.
    pub fn backward(
        &mut self,
        weights: &[Vec<f32>],
        [x, y]: [&[f32]; 2],
        g: &mut [f32],
        by_x: Option<&mut [f32]>,
        gradients: &mut [Vec<f32>],
    ) {
        let sizes = [x.len() / self.inputs, self.inputs, self.outputs];
        match &mut self.kind {
            Kind::Linear { weight, bias, relu } => {
                if *relu {
                    slices::relu_gradient(g, y);
                }
                if let Some(by_x) = by_x {
                    slices::linear_by_input(sizes, g, &weights[*weight], by_x);
                }
                slices::linear_by_weight(sizes, g, x, &mut gradients[*weight]);
                if let Some(at) = *bias {
                    slices::linear_by_bias(g, &mut gradients[at]);
                }
            }
            Kind::BatchNorm {
                gamma,
                beta,
                relu,
                seen,
                part: found,
                ..
            } => {
                let Some(by_x) = by_x else { return };
                if *relu {
                    slices::relu_gradient(g, y);
                }
                // The graph goes through the chunks from the last to the first.
                for (i, (part, moments)) in seen.iter().rev().enumerate() {
                    let part = || part.clone();
                    let (x, g, by_x) = (&x[part()], &g[part()], &mut by_x[part()]);
                    let to = found.each_mut().map(|found| &mut found[..]);
                    slices::batch_norm_gradient(x, &weights[*gamma], moments, g, by_x, to);
                    for (at, new) in [*gamma, *beta].into_iter().zip(&*found) {
                        match i {
                            0 => gradients[at].copy_from_slice(new),
                            _ => add(&mut gradients[at], new),
                        }
                    }
                }
            }
            Kind::Activation(activation) => {
                if let Some(by_x) = by_x {
                    slices::activation_gradient(activation.kernel(), [x, y], g, by_x);
                }
            }
            Kind::Dropout(_, mask) => {
                let Some(by_x) = by_x else { return };
                let factors = g.iter().zip(&*mask);
                let by_x = by_x.iter_mut().zip(factors);
                by_x.for_each(|(by_x, (g, m))| *by_x = g * m);
            }
        }
    }

    /// Adds the means and variances that batch norm found in the last pass, each with the place of
    /// the running statistic that it updates.
    pub fn statistics(&self, found: &mut Passes) {
        let Kind::BatchNorm { running, seen, .. } = &self.kind else {
            return;
        };
        for (part, moments) in seen {
            let values = part.len() / self.inputs;
            if values < 2 {
                continue;
            }
            let unbiased = (values as f64 / (values - 1) as f64) as f32;
            let variance = moments.variance().iter().map(|v| v * unbiased);
            found.add_statistic(running[0] as u64, moments.mean().iter().copied());
            found.add_statistic(running[1] as u64, variance);
        }
    }
}

/// Updates a running statistic, as
/// [`Network::update_running`](largebatch_models::Network::update_running) does.
pub(crate) fn update_running(running: &mut [f32], seen: &[f32]) {
    let (kept, entering) = ((1.0 - RUNNING_MOMENTUM) as f32, RUNNING_MOMENTUM as f32);
    for (running, seen) in running.iter_mut().zip(seen) {
        *running = *running * kept + seen * entering;
    }
}

/// sum ← sum + term.
pub(crate) fn add(sum: &mut [f32], term: &[f32]) {
    let both = sum.iter_mut().zip(term);
    both.for_each(|(sum, term)| *sum += term);
}
