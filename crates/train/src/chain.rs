//! A training step without a graph, for networks that apply one layer after the other.
//!
//! Weights, gradients and the optimizer's state are slices, which are allocated once. Every number
//! has the same bits as on Burn's graph, because the graph's operations call the same kernels.

use largebatch_data::{Labels, Part};
use largebatch_models::{Forward, Network};
use largebatch_optim::{Driver, GlobalClip, Slices, clip_slices_by_global_norm};
use largebatch_parallel::{Node, add, copy, finish, push};
use rayon::prelude::*;

use crate::evaluate::Sums;
use crate::gradients::{Cut, StepKeys};
use crate::layer::{Layer, layers, update_running};
use crate::passes::Passes;
use crate::ranks::Ranks;
use crate::worker::{Shared, Worker, first};
use crate::{Experiment, SquaredNorms, TrainError};

/// The weights, the workers, and the memory of a step.
pub(crate) struct Chain {
    slices: Slices,
    /// The weights at which the optimizer wants the gradient, if it looks ahead.
    ahead: Vec<Vec<f32>>,
    /// The gradient of the batch, and its lengths.
    gradient: Gradient,
    lengths: Vec<usize>,
    workers: Vec<Worker>,
    /// Memory of the sum over the parts.
    spare: Vec<Gradient>,
    done: Vec<Result<Done, TrainError>>,
    sums: Vec<(Node, Gradient)>,
    passes: Passes,
    norms: Vec<f32>,
}

/// A part's size, loss, number of correctly classified examples, and gradient.
type Done = (usize, f32, Option<usize>, Gradient);

/// A gradient by parameter; empty for batch norm's running statistics.
type Gradient = Vec<Vec<f32>>;

/// What the passes over a batch found, besides its gradient.
pub(crate) struct Found {
    /// The sum of the losses.
    pub loss: f64,
    /// The number of correctly classified examples; `None` for real targets.
    pub correct: Option<f64>,
    /// If they are wanted and the batch is in several parts.
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
    if experiment.config.log.layers_every_steps == Some(1) {
        return Some("the norms of every step are logged");
    }
    if !largebatch_kernels::enabled() {
        return Some("kernels are off");
    }
    if experiment.config.sync_batch_norm && network.has_batch_norm() {
        return Some("batch norm is synchronised");
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
    /// are not of f32. Each step computes as many parts at the same time as there are workers.
    pub fn take(network: &Network, driver: &Driver, workers: usize) -> Option<Chain> {
        let slices = Slices::take(driver, network)?;
        let layers = || layers(&network.links()?, |id| slices.index(id));
        let mut lengths = vec![0; slices.weights.len()];
        for at in layers()?.iter().flat_map(Layer::trained) {
            lengths[at] = slices.weights[at].len();
        }
        let workers = (0..workers).map(|_| Some(Worker::new(layers()?)));
        Some(Chain {
            workers: workers.collect::<Option<_>>()?,
            slices,
            ahead: Vec::new(),
            gradient: zeros(&lengths),
            lengths,
            spare: Vec::new(),
            done: Vec::new(),
            sums: Vec::new(),
            passes: Passes::default(),
            norms: Vec::new(),
        })
    }

    /// The network with the weights of the chain; the driver gets the optimizer's states.
    pub fn give(&self, driver: &mut Driver, network: Network) -> Network {
        self.slices.give(driver, network)
    }

    /// Whether a step draws random numbers.
    pub fn is_random(&self, experiment: &Experiment) -> bool {
        experiment.pipeline.augments() || self.workers[0].layers.iter().any(Layer::is_random)
    }

    /// Computes the gradient of a batch, as [`Experiment::gradient`] does. Without keys nothing may
    /// be [random](Self::is_random).
    pub fn gradient(
        &mut self,
        experiment: &Experiment,
        indices: &[u32],
        keys: Option<StepKeys>,
        wants_norms: bool,
        mut ranks: Option<&mut Ranks<'_>>,
    ) -> Result<Found, TrainError> {
        let cut = Cut::new(&experiment.config, indices.len());
        let wants_norms = wants_norms && cut.parts > 1;
        let looks_ahead = self.slices.ahead(&mut self.ahead);
        if let Some(ranks) = ranks.as_deref_mut().filter(|_| looks_ahead) {
            ranks.spread(&mut self.ahead);
        }
        let shared = Shared {
            experiment,
            weights: match looks_ahead {
                true => &self.ahead,
                false => &self.slices.weights,
            },
            keys,
            whole: indices.len(),
        };
        if cut.parts == 1 && ranks.is_none() {
            let (worker, passes) = (&mut self.workers[0], &mut self.passes);
            let (loss, correct) = worker.pass(shared, indices, &mut self.gradient)?;
            passes.clear();
            worker.layers.iter().for_each(|l| l.statistics(passes));
            self.update_running();
            return Ok(Found {
                loss: f64::from(loss),
                correct: correct.map(|n| n as f64),
                norms: None,
            });
        }
        let (spare, lengths) = (&mut self.spare, &self.lengths);
        spare.push(std::mem::take(&mut self.gradient));
        let (sums, passes, done) = (&mut self.sums, &mut self.passes, &mut self.done);
        passes.clear();
        for group in cut.groups(ranks.as_deref()) {
            let workers = self.workers.iter_mut().zip(group.clone());
            let tasks = workers.map(|(worker, part)| {
                let gradient = spare.pop().unwrap_or_else(|| zeros(lengths));
                (worker, &indices[cut.range(part)], gradient)
            });
            let compute = |(worker, some, mut gradient): (&mut Worker, &[u32], Gradient)| {
                let found = worker.pass(shared, some, &mut gradient);
                found.map(|(loss, correct)| (some.len(), loss, correct, gradient))
            };
            if group.len() == 1 {
                done.extend(tasks.map(compute));
            } else {
                let tasks: Vec<_> = tasks.collect();
                done.par_extend(tasks.into_par_iter().with_max_len(1).map(compute));
            }
            for ((part, done), worker) in group.zip(done.drain(..)).zip(&self.workers) {
                let (size, loss, correct, gradient) = done?;
                passes.losses.push(loss);
                passes.correct.extend(correct.map(|n| n as f32));
                if wants_norms {
                    // A part's gradient is that of its summed loss over the whole batch's size.
                    let scale = indices.len() as f64 / size as f64;
                    let square = squared_norm(&gradient);
                    passes.norms.push((size, scale.powi(2) * square));
                }
                let layers = worker.layers.iter();
                layers.for_each(|layer| layer.statistics(passes));
                push(sums, Node::part(part), gradient, &mut |l, r| {
                    plus(l, r, spare)
                });
            }
        }
        self.gradient = match ranks {
            None => finish(sums, &mut |l, r| plus(l, r, spare)).unwrap_or_default(),
            Some(ranks) => {
                *passes = ranks.gather(passes);
                let pack = |sum: &Gradient, mut flat: &mut [f32]| {
                    for values in sum {
                        let (these, rest) = flat.split_at_mut(values.len());
                        copy(values, these);
                        flat = rest;
                    }
                };
                let mut total = ranks.sum(cut.parts, lengths.iter().sum(), sums, pack);
                spare.extend(sums.drain(..).map(|(_, sum)| sum));
                let mut gradient = spare.pop().unwrap_or_else(|| zeros(lengths));
                for values in &mut gradient {
                    let (these, rest) = total.split_at(values.len());
                    copy(these, values);
                    total = rest;
                }
                gradient
            }
        };
        self.update_running();
        let (passes, sum) = (&mut self.passes, |list: &[f32]| {
            list.iter().copied().map(f64::from).sum()
        });
        Ok(Found {
            loss: sum(&passes.losses),
            correct: (!passes.correct.is_empty()).then(|| sum(&passes.correct)),
            norms: wants_norms.then(|| SquaredNorms {
                parts: std::mem::take(&mut passes.norms),
                whole: squared_norm(&self.gradient),
            }),
        })
    }

    /// Updates batch norm's running statistics by those of the last passes.
    fn update_running(&mut self) {
        for (at, seen) in self.passes.statistics() {
            update_running(&mut self.slices.weights[at as usize], seen);
        }
    }

    /// Clips the gradient by the global norm.
    pub fn clip_by_global_norm(&mut self, clip: GlobalClip) {
        let memory = [&mut self.norms, &mut self.workers[0].g[0]];
        clip_slices_by_global_norm(&mut self.gradient, clip, memory);
    }

    /// Clamps every element of the gradient to \[−limit, limit\].
    pub fn clip_by_value(&mut self, limit: f64) {
        let limit = limit as f32;
        let each = self.gradient.iter_mut().flatten();
        each.for_each(|g| *g = g.clamp(-limit, limit));
    }

    /// Steps along the gradient, which is overwritten.
    pub fn step(&mut self, lr: f64, ranks: Option<&mut Ranks<'_>>) {
        self.slices.step(lr, &mut self.gradient);
        if let Some(ranks) = ranks {
            ranks.spread(&mut self.slices.weights);
        }
    }

    /// As [`Experiment::loss_in_training`], at the current weights.
    pub fn loss_in_training(
        &mut self,
        experiment: &Experiment,
        n: usize,
    ) -> Result<f64, TrainError> {
        let some = experiment.spread(n);
        let (worker, weights) = (&mut self.workers[0], &self.slices.weights);
        worker.gather(experiment, &experiment.dataset.train, &some, None)?;
        worker.forward(experiment, weights, Some(experiment.key("dropout")));
        let (loss, width) = (experiment.loss, worker.width());
        let smoothing = experiment.config.label_smoothing;
        if smoothing != 0.0 {
            loss.smooth(&mut worker.targets, width, smoothing);
        }
        let sum = worker.loss(loss, 1.0);
        Ok(f64::from(sum) / some.len() as f64)
    }

    /// The sums over some examples of a part for [`Experiment::metrics`], at the current weights.
    pub fn sums(
        &mut self,
        experiment: &Experiment,
        part: &Part,
        some: &[u32],
    ) -> Result<Sums, TrainError> {
        let (worker, weights) = (&mut self.workers[0], &self.slices.weights);
        worker.gather(experiment, part, some, None)?;
        for (l, layer) in worker.layers.iter().enumerate() {
            let (x, y) = worker.x.split_at_mut(l + 1);
            let x = &x[l][..some.len() * layer.inputs];
            layer.evaluate(weights, x, first(&mut y[0], some.len() * layer.outputs));
        }
        Ok(Sums {
            correct: worker.correct(experiment.loss).map(|count| count as f64),
            loss: f64::from(worker.loss(experiment.loss, 1.0)),
            squares: match part.labels() {
                Labels::Classes(_) => 0.0,
                Labels::Targets(all) => {
                    let outputs = worker.outputs().iter().map(|&o| f64::from(o));
                    experiment.squared_errors(all, some, outputs)
                }
            },
        })
    }
}

fn zeros(lengths: &[usize]) -> Gradient {
    lengths.iter().map(|n| vec![0.0; *n]).collect()
}

/// left + right, in the memory of `left`; that of `right` is then spare.
fn plus(mut left: Gradient, right: Gradient, spare: &mut Vec<Gradient>) -> Gradient {
    let both = left.iter_mut().zip(&right);
    both.for_each(|(left, right)| add(left, right));
    spare.push(right);
    left
}

/// |g|² over all parameters, summed in f64 parameter by parameter.
fn squared_norm(gradients: &[Vec<f32>]) -> f64 {
    let square = |g: &Vec<f32>| g.iter().map(|x| f64::from(*x).powi(2)).sum::<f64>();
    gradients
        .iter()
        .filter(|g| !g.is_empty())
        .fold(0.0, |sum, g| sum + square(g))
}
