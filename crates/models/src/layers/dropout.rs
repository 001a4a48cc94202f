//! Dropout with masks that depend on the example.

use burn::tensor::{Tensor, TensorData};
use largebatch_random::{Key, either};
use rayon::prelude::*;

use crate::{Builder, ForwardPass};

/// In training, sets each unit to 0 with probability p and scales the others by 1 / (1 − p).
///
/// Srivastava et al. 2014, in the "inverted" form of PyTorch. The mask is drawn on the host from
/// the pass's key, the layer's path and the example's number. It does not depend on the rest of the
/// batch, the backend, or the worker that computes it.
#[derive(Clone, Debug)]
pub struct Dropout {
    path: String,
    probability: f64,
}

impl Dropout {
    /// Dropout with `probability` in [0, 1).
    pub fn new(b: &Builder, name: &str, probability: f64) -> Self {
        Dropout {
            path: b.path(name),
            probability,
        }
    }

    /// Whether nothing is dropped.
    pub fn is_off(&self) -> bool {
        self.probability <= 0.0
    }

    /// Applies the mask to x, `[batch, units]`.
    pub fn forward(&self, x: Tensor<2>, pass: &ForwardPass) -> Tensor<2> {
        let Some((key, examples)) = pass.dropout().filter(|_| !self.is_off()) else {
            return x;
        };
        let [batch, units] = x.dims();
        assert_eq!(
            examples.len(),
            batch,
            "a pass contains the number of every example in its batch"
        );
        let mut mask = vec![0.0; batch * units];
        self.mask(key, examples, units, &mut mask);
        let (device, dtype) = (x.device().inner(), x.dtype());
        x * Tensor::from_data(TensorData::new(mask, [batch, units]), (&device, dtype))
    }

    /// The factors of `units` units of each example: 0, or 1 / (1 − p).
    pub fn mask(&self, key: Key, examples: &[u64], units: usize, mask: &mut [f32]) {
        let key = key.word(&self.path);
        let factors = [0.0, (1.0 / (1.0 - self.probability)) as f32];
        mask.par_chunks_mut(units.max(1))
            .zip(examples)
            .for_each(|(mask, example)| {
                either(&mut key.stream(*example), self.probability, factors, mask);
            });
    }
}
