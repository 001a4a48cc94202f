//! Batch normalisation with explicit running statistics.

use std::ops::Range;

use burn::module::{Module, Param};
use burn::tensor::{Tensor, activation, module};
use largebatch_kernels::layers::{batch_norm_together, batch_norm_train};

use crate::{Builder, ForwardPass};

/// y = γ (x − μ) / √(σ² + 1e-5) + β for every channel (Ioffe and Szegedy 2015, arXiv 1502.03167), x `[batch, channels, ..]`.
///
/// In training, μ and the biased σ² are those of the batch, or of each ghost batch (Hoffer et al.
/// 2017, arXiv 1705.08741): consecutive chunks of the size given in the pass, or of the batch of which
/// the pass computes a part. In evaluation they are the running ones.
///
/// A forward pass never changes the running statistics. It records its own in the [`ForwardPass`], and
/// [`crate::Network::update_running`] updates the running ones: running ← 0.9 running + 0.1 seen, with the
/// unbiased variance, as in PyTorch. There is one update per chunk, in order, so ghost batch norm
/// and accumulated micro-batches of the same size give the same bits. In Burn's own layer, by
/// contrast, clones share running statistics, which are updated late.
///
/// A chunk with a single value per channel has no variance (PyTorch raises an error). A single last
/// example joins the chunk before it; if there is none, the output is β and nothing is absorbed.
#[derive(Module, Debug)]
pub struct BatchNorm {
    /// The scale γ, `[channels]`, initially 1.
    pub weight: Param<Tensor<1>>,
    /// The shift β, `[channels]`, initially 0.
    pub bias: Param<Tensor<1>>,
    /// The running mean, `[channels]`; no gradient.
    pub running_mean: Param<Tensor<1>>,
    /// The running variance, `[channels]`; no gradient.
    pub running_var: Param<Tensor<1>>,
}

impl BatchNorm {
    /// ε, added to the variance, as in PyTorch.
    pub const EPSILON: f64 = 1e-5;

    /// A layer for `channels` channels.
    pub fn new(b: &mut Builder, channels: usize) -> Self {
        BatchNorm {
            weight: b.constant("weight", [channels], 1.0),
            bias: b.constant("bias", [channels], 0.0),
            running_mean: b.buffer("running_mean", [channels], 0.0),
            running_var: b.buffer("running_var", [channels], 1.0),
        }
    }

    /// Normalises x, `[batch, channels, ..]`.
    pub fn forward<const D: usize>(&self, x: Tensor<D>, pass: &mut ForwardPass) -> Tensor<D> {
        self.apply(x, None, false, pass)
    }

    /// max(0, y): the layer followed by ReLU.
    pub fn forward_relu<const D: usize>(&self, x: Tensor<D>, pass: &mut ForwardPass) -> Tensor<D> {
        self.apply(x, None, true, pass)
    }

    /// max(0, y + plus), the end of a residual block.
    pub fn forward_plus_relu<const D: usize>(
        &self,
        x: Tensor<D>,
        plus: Tensor<D>,
        pass: &mut ForwardPass,
    ) -> Tensor<D> {
        self.apply(x, Some(plus), true, pass)
    }

    fn apply<const D: usize>(
        &self,
        x: Tensor<D>,
        plus: Option<Tensor<D>>,
        relu: bool,
        pass: &mut ForwardPass,
    ) -> Tensor<D> {
        if !pass.is_training() {
            let (mean, variance) = (self.running_mean.val(), self.running_var.val());
            let y = module::batch_norm(
                x,
                self.weight.val(),
                self.bias.val(),
                mean,
                variance,
                Self::EPSILON,
            );
            let y = match plus {
                Some(plus) => y + plus,
                None => y,
            };
            return if relu { activation::relu(y) } else { y };
        }
        let batch = x.dims()[0];
        let chunks = Self::chunks(batch, pass.ghost_batch());
        if chunks.len() == 1 {
            return self.normalise(x, plus, relu, pass);
        }
        let parts = chunks
            .map(|rows| {
                let part = |t: &Tensor<D>| t.clone().narrow(0, rows.start, rows.len());
                self.normalise(part(&x), plus.as_ref().map(part), relu, pass)
            })
            .collect();
        Tensor::cat(parts, 0)
    }

    fn normalise<const D: usize>(
        &self,
        x: Tensor<D>,
        plus: Option<Tensor<D>>,
        relu: bool,
        pass: &mut ForwardPass,
    ) -> Tensor<D> {
        let dims = x.dims();
        let (weight, bias) = (self.weight.val(), self.bias.val());
        let (seen, examples, records) = match pass.together() {
            Some(t) => {
                let seen = batch_norm_together(x, [weight, bias], Self::EPSILON, plus, relu, t);
                (seen, t.examples, t.part == 0)
            }
            None => {
                let seen = batch_norm_train(x, weight, bias, Self::EPSILON, plus, relu);
                (seen, dims[0], true)
            }
        };
        let values = examples * dims[2..].iter().product::<usize>();
        if values > 1 && records {
            let unbiased = values as f64 / (values - 1) as f64;
            pass.saw(self.running_mean.id, seen.mean);
            pass.saw(self.running_var.id, seen.variance * unbiased);
        }
        seen.output
    }

    /// The examples of each ghost batch of `size` examples; without it there is one.
    pub fn chunks(
        batch: usize,
        size: Option<usize>,
    ) -> impl ExactSizeIterator<Item = Range<usize>> {
        let size = size.unwrap_or(batch).max(1);
        let joined = size > 1 && batch > size && batch % size == 1;
        let count = batch.div_ceil(size) - usize::from(joined);
        (0..count).map(move |i| match i + 1 == count {
            true => i * size..batch,
            false => i * size..(i + 1) * size,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::BatchNorm;

    #[test]
    fn chunks_cover_the_batch() {
        let chunks = |batch, size| -> Vec<_> {
            let chunks = BatchNorm::chunks(batch, size);
            chunks.map(|rows| (rows.start, rows.len())).collect()
        };
        assert_eq!(chunks(5, None), [(0, 5)]);
        assert_eq!(chunks(6, Some(4)), [(0, 4), (4, 2)]);
        assert_eq!(chunks(5, Some(4)), [(0, 5)]);
        assert_eq!(chunks(9, Some(4)), [(0, 4), (4, 5)]);
        assert_eq!(chunks(1, Some(4)), [(0, 1)]);
        assert_eq!(chunks(3, Some(1)), [(0, 1), (1, 1), (2, 1)]);
    }
}
