//! The order of the training examples.

use crate::DataError;
use largebatch_random::{Key, below};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How a batch is drawn.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Sampling {
    /// Without replacement: each epoch is a new permutation of the examples (PyTorch's `shuffle=True`).
    #[default]
    Shuffled,
    /// With replacement: each example of a batch is drawn uniformly from all. An epoch is as many draws as there are examples
    /// (PyTorch's `RandomSampler(replacement=True)`).
    Replacement,
    /// One example per step, drawn uniformly with replacement, whatever the batch size: SGD in the
    /// narrow sense.
    One,
    /// All examples in every step, in their stored order, whatever the batch size: gradient
    /// descent.
    Full,
}

/// A place in an [`Order`]: an epoch, and the number of its examples that were already drawn.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Position {
    /// The epoch, from 0.
    pub epoch: u64,
    /// The number of examples of this epoch that were handed out so far.
    pub offset: u64,
}

/// A cursor over the training examples. The order of an epoch depends only on the key and the
/// epoch's number, so seeking to a position gives the same batches as stepping there. The batch
/// size may change between calls; a batch never crosses the end of an epoch.
#[derive(Clone, Debug)]
pub struct Order {
    indices: Vec<u32>,
    sampling: Sampling,
    drop_last: bool,
    key: Key,
    position: Position,
    /// One epoch's number and its order of the indices.
    current: Option<(u64, Vec<u32>)>,
}

impl Order {
    /// A cursor at the beginning of epoch 0. With `drop_last`, an incomplete last batch is left
    /// out.
    ///
    /// # Errors
    /// If there are no indices.
    pub fn new(
        indices: Vec<u32>,
        sampling: Sampling,
        drop_last: bool,
        key: Key,
    ) -> Result<Order, DataError> {
        if indices.is_empty() {
            let why = "there is nothing to train on; make the validation split smaller";
            return Err(DataError::setting("training examples", 0, why));
        }
        Ok(Order {
            indices,
            sampling,
            drop_last,
            key,
            position: Position::default(),
            current: None,
        })
    }

    /// The number of examples of an epoch.
    pub fn len(&self) -> usize {
        self.indices.len()
    }

    /// Always false: [`Order::new`] refuses an empty list.
    pub fn is_empty(&self) -> bool {
        false
    }

    /// The actual batch size of a step: 1 with [`Sampling::One`], all examples with
    /// [`Sampling::Full`], else `batch`.
    ///
    /// # Errors
    /// If `batch` is 0 or larger than the number of examples.
    pub fn check(&self, batch: usize) -> Result<usize, DataError> {
        let why = match self.sampling {
            Sampling::Shuffled | Sampling::Replacement if batch == 0 => {
                "it must be at least 1".into()
            }
            Sampling::Shuffled | Sampling::Replacement if batch > self.len() => {
                let n = self.len();
                format!("it must be at most {n}, the number of training examples")
            }
            _ => return Ok(self.clamp(batch)),
        };
        Err(DataError::setting("batch size", batch, why))
    }

    /// The number of steps of an epoch whose batches all have this size.
    pub fn steps_per_epoch(&self, batch: usize) -> usize {
        let batch = self.clamp(batch);
        if self.drop_last {
            self.len() / batch
        } else {
            self.len().div_ceil(batch)
        }
    }

    fn clamp(&self, batch: usize) -> usize {
        match self.sampling {
            Sampling::One => 1,
            Sampling::Full => self.len(),
            _ => batch.clamp(1, self.len()),
        }
    }

    /// The next batch: its epoch, and 1 to `batch` indices. A size that [`Order::check`] refuses is
    /// replaced by the nearest allowed one.
    pub fn next(&mut self, batch: usize) -> (u64, Vec<u32>) {
        let mut indices = Vec::new();
        (self.next_into(batch, &mut indices), indices)
    }

    /// As [`Order::next`], with the indices in a list that is overwritten; returns the epoch.
    pub fn next_into(&mut self, batch: usize, indices: &mut Vec<u32>) -> u64 {
        let batch = self.clamp(batch) as u64;
        let n = self.len() as u64;
        let left = n.saturating_sub(self.position.offset);
        if left == 0 || (self.drop_last && left < batch) {
            self.position = Position {
                epoch: self.position.epoch + 1,
                offset: 0,
            };
        }
        let Position { epoch, offset } = self.position;
        let end = (offset + batch).min(n);
        indices.clear();
        indices.extend_from_slice(&self.epoch(epoch)[offset as usize..end as usize]);
        self.position.offset = end;
        epoch
    }

    fn epoch(&mut self, epoch: u64) -> &[u32] {
        if self.sampling == Sampling::Full {
            return &self.indices;
        }
        if self.current.as_ref().is_none_or(|(e, _)| *e != epoch) {
            let (key, n) = (self.key.number(epoch), self.indices.len());
            let order = if self.sampling == Sampling::Shuffled {
                key.permutation(n)
                    .into_iter()
                    .map(|i| self.indices[i as usize])
                    .collect()
            } else {
                let mut rng = key.rng();
                (0..n)
                    .map(|_| self.indices[below(&mut rng, n as u32) as usize])
                    .collect()
            };
            self.current = Some((epoch, order));
        }
        match &self.current {
            Some((_, order)) => order,
            None => &[], // set just above
        }
    }

    /// Where the next batch begins.
    pub fn position(&self) -> Position {
        self.position
    }

    /// Continues from a position returned by [`Order::position`].
    pub fn seek(&mut self, position: Position) {
        self.position = position;
    }
}
