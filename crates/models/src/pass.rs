//! One forward pass: training or evaluation, and the statistics it records.

use burn::module::ParamId;
use burn::tensor::Tensor;
use largebatch_kernels::layers::Together;
use largebatch_random::Key;

/// The settings of a forward pass, and the statistics that batch norm recorded in it.
pub struct ForwardPass<'a> {
    training: Option<Training<'a>>,
    statistics: Vec<Statistic>,
}

struct Training<'a> {
    dropout: Key,
    examples: &'a [u64],
    ghost_batch: Option<usize>,
    together: Option<Together>,
}

/// A mean or a variance that one batch norm layer recorded in one chunk; see [`Network::update_running`](crate::Network::update_running).
#[derive(Clone, Debug)]
pub struct Statistic {
    /// The running statistic that it updates.
    pub running: ParamId,
    /// The statistic of each channel.
    pub seen: Tensor<1>,
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
                together: None,
            }),
            statistics: Vec::new(),
        }
    }

    /// A training pass of a part of a batch, with batch norm's statistics of the whole one. The first
    /// part records them.
    pub fn part(dropout: Key, examples: &'a [u64], together: Together) -> Self {
        ForwardPass {
            training: Some(Training {
                dropout,
                examples,
                ghost_batch: None,
                together: Some(together),
            }),
            statistics: Vec::new(),
        }
    }

    /// Whether this is a training pass.
    pub fn is_training(&self) -> bool {
        self.training.is_some()
    }

    /// The statistics that batch norm recorded, in order, for [`Network::update_running`](crate::Network::update_running). They are plain
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

    pub(crate) fn together(&self) -> Option<&Together> {
        self.training.as_ref().and_then(|t| t.together.as_ref())
    }

    pub(crate) fn saw(&mut self, running: ParamId, seen: Tensor<1>) {
        self.statistics.push(Statistic { running, seen });
    }
}
