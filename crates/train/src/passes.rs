//! What the passes over the parts of a batch found, as words to send.

use burn::tensor::Tensor;
use largebatch_parallel::Node;

use crate::evaluate::scalar;
use crate::gradients::BatchGradient;
use crate::packed::values;

/// What the passes over consecutive parts found, besides their gradients: a list by part each.
#[derive(Default)]
pub(crate) struct Passes {
    /// The sums of the losses.
    pub losses: Vec<f32>,
    /// The numbers of correctly classified examples; empty for real targets.
    pub correct: Vec<f32>,
    /// Size and |g|², if wanted, as of [`SquaredNorms`](crate::SquaredNorms).
    pub norms: Vec<(usize, f64)>,
    /// Batch norm's statistics: the number of the running one, and the length of each.
    statistics: Vec<(u64, usize)>,
    /// Their values, one after the other.
    seen: Vec<f32>,
}

impl Passes {
    /// Reads from the device.
    pub fn of(sums: &[(Node, BatchGradient)], norms: Vec<(usize, f64)>) -> Passes {
        let sums = || sums.iter().map(|(_, sum)| sum);
        let read = |x: &Tensor<1>| scalar(x.clone()) as f32;
        let mut passes = Passes {
            losses: sums().flat_map(|sum| &sum.loss).map(read).collect(),
            correct: sums().flat_map(|sum| &sum.correct).map(read).collect(),
            norms,
            ..Passes::default()
        };
        for s in sums().flat_map(|sum| &sum.statistics) {
            passes.add_statistic(s.running.val(), values(s.seen.clone().into_data()));
        }
        passes
    }

    /// Empties the lists, and keeps their memory.
    pub fn clear(&mut self) {
        self.losses.clear();
        self.correct.clear();
        self.norms.clear();
        self.statistics.clear();
        self.seen.clear();
    }

    /// Adds a statistic of batch norm, with the number of the running one.
    pub fn add_statistic(&mut self, running: u64, seen: impl IntoIterator<Item = f32>) {
        let before = self.seen.len();
        self.seen.extend(seen);
        self.statistics.push((running, self.seen.len() - before));
    }

    /// Batch norm's statistics, each with the number of the running one.
    pub fn statistics(&self) -> impl Iterator<Item = (u64, &[f32])> {
        let mut rest = &self.seen[..];
        self.statistics.iter().map(move |(running, n)| {
            let (seen, later) = rest.split_at(*n);
            rest = later;
            (*running, seen)
        })
    }

    pub fn to_words(&self) -> Vec<u32> {
        let mut words = Vec::new();
        for list in [&self.losses, &self.correct] {
            words.push(list.len() as u32);
            words.extend(list.iter().map(|x| x.to_bits()));
        }
        words.push(self.norms.len() as u32);
        for (size, square) in &self.norms {
            words.push(*size as u32);
            words.extend(long(square.to_bits()));
        }
        words.push(self.statistics.len() as u32);
        for (id, seen) in self.statistics() {
            words.extend(long(id));
            words.push(seen.len() as u32);
            words.extend(seen.iter().map(|x| x.to_bits()));
        }
        words
    }

    /// Adds those of a later process.
    pub fn read(&mut self, words: &mut impl Iterator<Item = u32>) {
        let mut next = || words.next().unwrap_or(0);
        for list in [&mut self.losses, &mut self.correct] {
            let n = next();
            list.extend((0..n).map(|_| f32::from_bits(next())));
        }
        for _ in 0..next() {
            let size = next() as usize;
            let square = joined([next(), next()]);
            self.norms.push((size, f64::from_bits(square)));
        }
        for _ in 0..next() {
            let id = joined([next(), next()]);
            let n = next();
            self.add_statistic(id, (0..n).map(|_| f32::from_bits(next())));
        }
    }
}

/// A number as its lower and its upper half.
pub(crate) fn long(n: u64) -> [u32; 2] {
    [n as u32, (n >> 32) as u32]
}

pub(crate) fn joined([low, high]: [u32; 2]) -> u64 {
    u64::from(low) | u64::from(high) << 32
}
