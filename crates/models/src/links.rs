//! A network as a chain of layers: one description for its forward pass and for training without a
//! graph.

use burn::tensor::Tensor;

use crate::ForwardPass;
use crate::layers::{Activation, BatchNorm, Dropout, Linear};

/// A layer of a network that applies one layer after the other.
#[derive(Clone, Copy, Debug)]
pub enum Link<'a> {
    /// The fully connected layer.
    Linear(&'a Linear),
    /// Batch norm.
    BatchNorm(&'a BatchNorm),
    /// An activation function.
    Activation(Activation),
    /// Dropout.
    Dropout(&'a Dropout),
}

impl Link<'_> {
    /// Whether this is a ReLU.
    pub fn is_relu(&self) -> bool {
        matches!(self, Link::Activation(Activation::Relu))
    }
}

/// Applies the layers to x, `[batch, features]`. A ReLU is part of the layer before it if that has a
/// kernel for both.
pub(crate) fn forward(links: &[Link<'_>], x: Tensor<2>, pass: &mut ForwardPass) -> Tensor<2> {
    let mut links = links.iter().peekable();
    let mut x = x;
    while let Some(link) = links.next() {
        let fuses = matches!(link, Link::Linear(_) | Link::BatchNorm(_));
        let relu = fuses && links.next_if(|next| next.is_relu()).is_some();
        x = match link {
            Link::Linear(linear) if relu => linear.forward_activated(x, Activation::Relu),
            Link::Linear(linear) => crate::Forward::forward(*linear, x, pass),
            Link::BatchNorm(norm) if relu => norm.forward_relu(x, pass),
            Link::BatchNorm(norm) => norm.forward(x, pass),
            Link::Activation(activation) => activation.forward(x),
            Link::Dropout(dropout) => dropout.forward(x, pass),
        };
    }
    x
}
