//! One forward pass: training or evaluation, and the statistics it records.

use burn::module::{Module, ModuleMapper, Param, ParamId};
use burn::tensor::Tensor;
use largebatch_random::Key;

use crate::Network;

/// The weight of a batch's statistics in the update of the running ones, as in PyTorch.
pub const RUNNING_MOMENTUM: f64 = 0.1;

/// The settings of a forward pass, and the statistics that batch norm recorded in it.
pub struct ForwardPass<'a> {
    training: Option<Training<'a>>,
    statistics: Vec<Statistic>,
}

struct Training<'a> {
    dropout: Key,
    examples: &'a [u64],
    ghost_batch: Option<usize>,
}

/// A mean or a variance that one batch norm layer recorded in one chunk; see [`Network::update_running`].
#[derive(Clone, Debug)]
pub struct Statistic {
    running: ParamId,
    seen: Tensor<1>,
}

impl ForwardPass<'static> {
    /// An evaluation pass: no dropout, and batch norm uses its running statistics.
    pub fn eval() -> Self {
        ForwardPass {
            training: None,
            statistics: Vec::new(),
        }
    }
}

impl<'a> ForwardPass<'a> {
    /// A training pass. `dropout` is the key of this epoch's or step's masks. `examples` are the
    /// numbers of the batch's examples, one per row: an example's mask depends on its number, not
    /// on its position. `ghost_batch` is the size of batch norm's chunks, by default the whole
    /// batch.
    pub fn train(dropout: Key, examples: &'a [u64], ghost_batch: Option<usize>) -> Self {
        ForwardPass {
            training: Some(Training {
                dropout,
                examples,
                ghost_batch,
            }),
            statistics: Vec::new(),
        }
    }

    /// Whether this is a training pass.
    pub fn is_training(&self) -> bool {
        self.training.is_some()
    }

    /// The statistics that batch norm recorded, in order, for [`Network::update_running`]. They are plain
    /// tensors on the device, without a graph.
    pub fn into_statistics(self) -> Vec<Statistic> {
        self.statistics
    }

    pub(crate) fn dropout(&self) -> Option<(Key, &'a [u64])> {
        self.training.as_ref().map(|t| (t.dropout, t.examples))
    }

    pub(crate) fn ghost_batch(&self) -> Option<usize> {
        self.training.as_ref().and_then(|t| t.ghost_batch)
    }

    pub(crate) fn saw(&mut self, running: ParamId, seen: Tensor<1>) {
        self.statistics.push(Statistic { running, seen });
    }
}

impl Network {
    /// Updates batch norm's running statistics from the recorded ones: running ← 0.9 running + 0.1
    /// seen, once for each, in order.
    ///
    /// ForwardPass the statistics of a step's micro-batches or workers one after the other in a fixed
    /// order. This does not wait for the device.
    pub fn update_running(self, statistics: Vec<Statistic>) -> Self {
        if statistics.is_empty() {
            self
        } else {
            self.map(&mut UpdateRunning(statistics))
        }
    }

    /// Replaces batch norm's running statistics by the plain mean of the recorded ones, like
    /// PyTorch's `update_bn` with `momentum = None`. Use it for weights that no training pass has
    /// seen, such as the mean of two networks.
    pub fn average(self, statistics: Vec<Statistic>) -> Self {
        if statistics.is_empty() {
            self
        } else {
            self.map(&mut Average(statistics))
        }
    }
}

struct Average(Vec<Statistic>);

impl ModuleMapper for Average {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let id = param.id;
        let seen: Vec<&Statistic> = self.0.iter().filter(|s| s.running == id).collect();
        let n = seen.len() as f64;
        let Some(sum) = seen
            .into_iter()
            .map(|s| s.seen.clone())
            .reduce(|a, b| a + b)
        else {
            return param;
        };
        param.map(|running| {
            let mean = (sum / n).reshape(running.dims());
            if running.is_autodiff() {
                Tensor::from_inner(mean)
            } else {
                mean
            }
        })
    }
}

struct UpdateRunning(Vec<Statistic>);

impl ModuleMapper for UpdateRunning {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let id = param.id;
        let mut seen = self.0.iter().filter(|s| s.running == id).peekable();
        if seen.peek().is_none() {
            return param;
        }
        param.map(|running| {
            let (tracked, dims) = (running.is_autodiff(), running.dims());
            let running = seen.fold(running.inner(), |running, s| {
                running * (1.0 - RUNNING_MOMENTUM) + s.seen.clone().reshape(dims) * RUNNING_MOMENTUM
            });
            if tracked {
                Tensor::from_inner(running)
            } else {
                running
            }
        })
    }
}
