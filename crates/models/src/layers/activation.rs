//! Activations.

use burn::tensor::Tensor;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// An element-wise activation function.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Activation {
    /// max(0, x).
    #[default]
    Relu,
    /// tanh x.
    Tanh,
    /// x Φ(x), where Φ is the normal distribution function (the exact form, PyTorch's default).
    Gelu,
    /// 1 / (1 + e⁻ˣ).
    Sigmoid,
}

impl Activation {
    /// Applies the function to every element.
    pub fn forward<const D: usize>(self, x: Tensor<D>) -> Tensor<D> {
        self.kernel().forward(x)
    }

    /// The function as the kernels know it.
    pub fn kernel(self) -> largebatch_kernels::layers::Activation {
        use largebatch_kernels::layers::Activation as Kernel;
        match self {
            Activation::Relu => Kernel::Relu,
            Activation::Tanh => Kernel::Tanh,
            Activation::Gelu => Kernel::Gelu,
            Activation::Sigmoid => Kernel::Sigmoid,
        }
    }
}
