//! Batch norm's running statistics, from those that forward passes recorded.

use burn::module::{Module, ModuleMapper, Param};
use burn::tensor::Tensor;

use crate::{Network, Statistic};

/// The weight of a batch's statistics in the update of the running ones, as in PyTorch.
pub const RUNNING_MOMENTUM: f64 = 0.1;

impl Network {
    /// Updates batch norm's running statistics from the recorded ones: running ← 0.9 running + 0.1
    /// seen, once for each, in order.
    ///
    /// Pass the statistics of a step's micro-batches or workers one after the other in a fixed
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
