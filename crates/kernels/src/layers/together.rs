//! Sums over all parts of a batch, within a layer.

use std::fmt::Debug;
use std::sync::Arc;

use crate::layers::moments::{Layout, Moments};

/// Adds numbers over the parts of a batch, which are computed at the same time by threads, and
/// perhaps by other processes.
pub trait AllSum: Debug + Send + Sync {
    /// Replaces the numbers by their sums over all parts. Each part makes the same calls in the same
    /// order, and waits for the others.
    fn sum(&self, part: usize, numbers: &mut [f32]);
}

/// One of the parts of a batch, whose statistics are those of the whole batch.
#[derive(Clone, Debug)]
pub struct Together {
    /// Adds numbers over the parts.
    pub sums: Arc<dyn AllSum>,
    /// The number of this part.
    pub part: usize,
    /// The examples of the whole batch.
    pub examples: usize,
}

impl Together {
    /// The number of values of a channel in the whole batch.
    pub(crate) fn values(&self, layout: &Layout) -> usize {
        self.examples * layout.length
    }

    /// Replaces the moments of the part by those of the whole batch (Chan et al. 1983).
    pub(crate) fn moments(&self, layout: &Layout, epsilon: f64, seen: &mut Moments) {
        let share = layout.values() as f64 / self.values(layout) as f64;
        let weighted = |x: f64| (x * share) as f32;
        let own = seen.mean.clone();
        seen.mean
            .iter_mut()
            .for_each(|mean| *mean = weighted(f64::from(*mean)));
        self.sums.sum(self.part, &mut seen.mean);
        for ((variance, own), mean) in seen.variance.iter_mut().zip(own).zip(&seen.mean) {
            let apart = f64::from(own) - f64::from(*mean);
            *variance = weighted(f64::from(*variance) + apart * apart);
        }
        self.sums.sum(self.part, &mut seen.variance);
        let inverse = |variance: &f32| (1.0 / (f64::from(*variance) + epsilon).sqrt()) as f32;
        seen.inverse = seen.variance.iter().map(inverse).collect();
    }
}
