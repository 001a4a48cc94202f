//! The fully connected layer, which is also the whole network of every linear model.

use burn::module::{Module, Param};
use burn::tensor::Tensor;

use super::Activation;
use crate::{Builder, Forward, ForwardPass, Link};

/// y = x W + b, x `[batch, in]`, y `[batch, out]`.
///
/// W is stored as `[in, out]`, the transpose of PyTorch's; [`crate::state_dict`] writes PyTorch's
/// layout.
#[derive(Module, Debug)]
pub struct Linear {
    /// The weights W, `[in, out]`.
    pub weight: Param<Tensor<2>>,
    /// The bias b, `[out]`.
    pub bias: Option<Param<Tensor<1>>>,
}

impl Linear {
    /// A layer from `inputs` to `outputs` features.
    pub fn new(b: &mut Builder, inputs: usize, outputs: usize, bias: bool) -> Self {
        Linear {
            weight: b.weight("weight", [inputs, outputs], (inputs, outputs)),
            bias: bias.then(|| b.bias("bias", outputs, inputs)),
        }
    }
}

impl Linear {
    /// The layer followed by an activation: `[batch, in]` to `[batch, out]`.
    pub fn forward_activated(&self, x: Tensor<2>, activation: Activation) -> Tensor<2> {
        let relu = activation == Activation::Relu;
        let y = largebatch_kernels::layers::linear(
            x,
            self.weight.val(),
            self.bias.as_ref().map(Param::val),
            relu,
        );
        if relu { y } else { activation.forward(y) }
    }
}

impl Forward for Linear {
    fn forward(&self, x: Tensor<2>, _: &mut ForwardPass) -> Tensor<2> {
        largebatch_kernels::layers::linear(
            x,
            self.weight.val(),
            self.bias.as_ref().map(Param::val),
            false,
        )
    }

    fn links(&self) -> Option<Vec<Link<'_>>> {
        Some(vec![Link::Linear(self)])
    }
}
