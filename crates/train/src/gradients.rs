//! The gradient of one batch: at once, or as the sum over its parts.

use std::ops::Range;
use std::panic::resume_unwind;

use burn::module::{Module, ModuleVisitor, Param};
use burn::optim::GradientsParams;
use burn::tensor::Tensor;
use largebatch_kernels::layers::Together;
use largebatch_models::{Forward, ForwardPass, Network, Statistic};
use largebatch_parallel::{Node, finish, push, share};
use largebatch_random::Key;
use rayon::prelude::*;

use crate::meeting::{Leaves, Meeting};
use crate::ranks::Ranks;
use crate::{Experiment, RunConfig, TrainError};

/// The gradient of the mean loss over a batch, and what its passes collected.
pub struct BatchGradient {
    /// ∇ (1/n) Σ loss, by parameter.
    pub gradients: GradientsParams,
    /// Σ loss over the batch, one term per part, still on the device.
    pub loss: Vec<Tensor<1>>,
    /// The number of correctly classified examples, one term per part; empty for real
    /// targets.
    pub correct: Vec<Tensor<1>>,
    /// The statistics that batch norm collected, for [`Network::update_running`].
    pub statistics: Vec<Statistic>,
}

/// Squared norms of the gradients of one step: of the batch's parts and of the whole batch, before clipping and without weight decay.
///
/// The gradient noise scale follows from them without further gradients (McCandlish et al. 2018,
/// arXiv 1812.06162, appendix A.1).
#[derive(Clone, PartialEq, Debug)]
pub struct SquaredNorms {
    /// The size of each part, and |g|² of the gradient of its mean loss.
    pub parts: Vec<(usize, f64)>,
    /// |g|² of the gradient of the whole batch's mean loss.
    pub whole: f64,
}

/// The random keys of one step.
#[derive(Clone, Copy)]
pub struct StepKeys {
    /// The key of augmentation.
    pub augment: Key,
    /// The key of the dropout masks.
    pub dropout: Key,
}

/// How a batch is cut into consecutive parts.
#[derive(Clone, Copy)]
pub(crate) struct Cut {
    examples: usize,
    /// The number of parts: at most one for each example.
    pub parts: usize,
    /// The number of parts that are computed at the same time.
    pub workers: usize,
}

impl Cut {
    pub fn new(config: &RunConfig, examples: usize) -> Self {
        Cut {
            examples,
            parts: config.parts().min(examples),
            workers: config.workers,
        }
    }

    /// The examples of a part, as places in the batch.
    pub fn range(self, part: usize) -> Range<usize> {
        share(self.examples, self.parts, part)
    }

    /// The parts of this process.
    pub fn mine(self, ranks: Option<&Ranks<'_>>) -> Range<usize> {
        ranks.map_or(0..self.parts, |ranks| ranks.parts(self.parts))
    }

    /// The parts of this process, in groups that are computed at the same time.
    pub fn groups(self, ranks: Option<&Ranks<'_>>) -> impl Iterator<Item = Range<usize>> {
        let mine = self.mine(ranks);
        let firsts = mine.clone().step_by(self.workers);
        firsts.map(move |first| first..(first + self.workers).min(mine.end))
    }
}

impl Experiment {
    /// The gradient of the mean loss over the training examples `indices`.
    ///
    /// The batch is cut into [`RunConfig::parts`] consecutive parts whose sizes differ by at most
    /// one. Each part's gradient is that of its summed loss divided by the size of the WHOLE batch,
    /// and the parts are added in a balanced tree ([`largebatch_parallel`]). So the sum equals the
    /// large batch's gradient up to rounding, and has the same bits for any number of workers. With
    /// batch norm each part has its own statistics (ghost batch norm, Hoffer et al. 2017, arXiv
    /// 1705.08741), unless [`sync_batch_norm`](RunConfig::sync_batch_norm) is set. PyTorch's usual accumulation loop divides each micro-batch's mean by the number
    /// of micro-batches, which is wrong if the last one is smaller.
    ///
    /// # Errors
    /// Labels that the model's loss does not accept.
    pub fn gradient(
        &self,
        network: &Network,
        indices: &[u32],
        keys: StepKeys,
    ) -> Result<BatchGradient, TrainError> {
        Ok(self.gradient_over(network, indices, keys, false, None)?.0)
    }

    /// As [`Experiment::gradient`], with the squared norms if they are wanted and the batch is in
    /// several parts. Each process of `ranks` computes some of the parts.
    pub(crate) fn gradient_over(
        &self,
        network: &Network,
        indices: &[u32],
        keys: StepKeys,
        wants_norms: bool,
        mut ranks: Option<&mut Ranks<'_>>,
    ) -> Result<(BatchGradient, Option<SquaredNorms>), TrainError> {
        let n = indices.len();
        let cut = Cut::new(&self.config, n);
        let wants_norms = wants_norms && cut.parts > 1;
        let some = |part: usize| &indices[cut.range(part)];
        let mut add = |left: BatchGradient, right| left.plus(right, network);
        let (mut sums, mut norms) = (Vec::new(), Vec::new());
        let together = self.config.sync_batch_norm && network.has_batch_norm();
        let groups: Vec<Range<usize>> = match together {
            true => vec![cut.mine(ranks.as_deref())],
            false => cut.groups(ranks.as_deref()).collect(),
        };
        // Each replica has its own leaves, so that the graphs share nothing; the storage of the
        // weights is shared and only read.
        let replicas = |group: &Range<usize>| -> Vec<Network> {
            let forks = group.clone().map(|_| network.clone().fork(&self.device));
            forks.collect()
        };
        for group in groups {
            let gradients: Vec<_> = if together {
                let meeting = Meeting::new(group.clone());
                let compute = |(part, replica): (usize, Network)| {
                    // It leaves at a panic, too.
                    let _leaves = Leaves(&meeting);
                    let together = Some(meeting.part(part, n));
                    self.part_gradient(&replica, some(part), n, keys, together)
                };
                std::thread::scope(|scope| {
                    let threads = group.clone().zip(replicas(&group));
                    let threads: Vec<_> = threads.map(|of| scope.spawn(|| compute(of))).collect();
                    meeting.serve(cut.parts, ranks.as_deref_mut());
                    let ends = threads.into_iter().map(|thread| thread.join());
                    ends.map(|end| end.unwrap_or_else(|panic| resume_unwind(panic)))
                        .collect()
                })
            } else if group.len() == 1 {
                vec![self.part_gradient(network, some(group.start), n, keys, None)]
            } else {
                let replicas = replicas(&group);
                let parts = replicas.par_iter().zip(group.clone()).with_max_len(1);
                parts
                    .map(|(replica, part)| self.part_gradient(replica, some(part), n, keys, None))
                    .collect()
            };
            for (part, gradient) in group.zip(gradients) {
                let gradient = gradient?;
                if wants_norms {
                    let size = cut.range(part).len();
                    // A part's gradient is that of its summed loss over the whole batch's size.
                    let scale = n as f64 / size as f64;
                    let square = squared_norm(&gradient.gradients, network);
                    norms.push((size, scale.powi(2) * square));
                }
                push(&mut sums, Node::part(part), gradient, &mut add);
            }
        }
        let sum = match ranks {
            Some(ranks) => {
                let device = self.device.clone().inner();
                Some(ranks.gradient(cut.parts, sums, &mut norms, network, &device))
            }
            None => finish(&mut sums, &mut add),
        };
        let Some(sum) = sum else {
            let why = "a gradient needs at least one example";
            return Err(TrainError::value("batch", 0, why));
        };
        let norms = wants_norms.then(|| SquaredNorms {
            parts: norms,
            whole: squared_norm(&sum.gradients, network),
        });
        Ok((sum, norms))
    }

    fn part_gradient(
        &self,
        network: &Network,
        indices: &[u32],
        whole: usize,
        keys: StepKeys,
        together: Option<Together>,
    ) -> Result<BatchGradient, TrainError> {
        let (inputs, targets) = self.batch(&self.dataset.train, indices, Some(keys.augment))?;
        let examples: Vec<u64> = indices.iter().map(|&i| u64::from(i)).collect();
        let mut pass = match together {
            Some(together) => ForwardPass::part(keys.dropout, &examples, together),
            None => ForwardPass::train(keys.dropout, &examples, self.config.ghost_batch),
        };
        let outputs = network.forward(inputs, &mut pass);
        let correct = self.loss.correct(&outputs, &targets).into_iter().collect();
        let sum = self
            .loss
            .sum(outputs, &targets, self.config.label_smoothing);
        let loss = vec![sum.clone().inner()];
        let gradients = GradientsParams::from_grads((sum / whole as f64).backward(), network);
        Ok(BatchGradient {
            gradients,
            loss,
            correct,
            statistics: pass.into_statistics(),
        })
    }
}

impl BatchGradient {
    fn plus(mut self, mut other: BatchGradient, network: &Network) -> Self {
        network.visit(&mut Add {
            sum: &mut self.gradients,
            term: &mut other.gradients,
        });
        self.loss.append(&mut other.loss);
        self.correct.append(&mut other.correct);
        self.statistics.append(&mut other.statistics);
        self
    }
}

/// |g|² over all parameters, summed in f64 on the host.
fn squared_norm(gradients: &GradientsParams, network: &Network) -> f64 {
    let mut squares = Squares {
        gradients,
        sum: 0.0,
    };
    network.visit(&mut squares);
    squares.sum
}

struct Squares<'a> {
    gradients: &'a GradientsParams,
    sum: f64,
}

impl ModuleVisitor for Squares<'_> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        // A parameter that the loss does not depend on has no gradient.
        if let Some(gradient) = self.gradients.get::<D>(param.id) {
            let data = gradient.into_data();
            self.sum += match data.as_slice::<f32>() {
                Ok(values) => values.iter().map(|x| f64::from(*x).powi(2)).sum::<f64>(),
                Err(_) => data.iter::<f64>().map(|x| x * x).sum(),
            };
        }
    }
}

struct Add<'a> {
    sum: &'a mut GradientsParams,
    term: &'a mut GradientsParams,
}

impl ModuleVisitor for Add<'_> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        if let Some(term) = self.term.remove::<D>(param.id) {
            let sum = match self.sum.remove::<D>(param.id) {
                Some(sum) => sum + term,
                None => term,
            };
            self.sum.register(param.id, sum);
        }
    }
}
