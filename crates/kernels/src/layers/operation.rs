//! The convolution as one operation of Burn's automatic differentiation on flex.

use burn::backend::Flex;
use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::checkpoint::strategy::NoCheckpointing;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::flex::FlexTensor;
use burn::tensor::{DType, Tensor};

use crate::layers::correlate::Plan;
use crate::layers::flex::{Tracked, contiguous, numbers, plain, tensor, tracked};
use crate::layers::level::Level;
use crate::layers::shape::Shape;
use crate::layers::weight_gradient::weight_gradient;

/// The operation, or `None` if it does not apply and Burn's own must be used.
pub(crate) fn conv2d(
    x: &Tensor<4>,
    weight: &Tensor<4>,
    bias: Option<&Tensor<1>>,
    stride: [usize; 2],
    padding: [usize; 2],
) -> Option<Tensor<4>> {
    let tensors = [
        x.dtype(),
        weight.dtype(),
        bias.map_or(DType::F32, Tensor::dtype),
    ];
    if tensors != [DType::F32; 3] || x.dims()[1] != weight.dims()[1] {
        return None;
    }
    let shape = Shape::new(x.dims(), weight.dims(), stride, padding)?;
    if !(x.is_autodiff() || weight.is_autodiff() || bias.is_some_and(Tensor::is_autodiff)) {
        let bias = match bias {
            Some(bias) => Some(plain(bias)?),
            None => None,
        };
        return Some(Tensor::from_primitive::<Flex>(forward(
            &shape,
            &plain(x)?,
            &plain(weight)?,
            bias.as_ref(),
        )));
    }
    let (x, weight) = (tracked(x)?, tracked(weight)?);
    let dims = shape;
    let y = match bias {
        Some(bias) => {
            let bias = tracked(bias)?;
            let nodes = [x.node(), weight.node(), bias.node()];
            let (x, weight, bias) = (
                contiguous(x.into_primitive()),
                contiguous(weight.into_primitive()),
                contiguous(bias.into_primitive()),
            );
            let y = forward(&dims, &x, &weight, Some(&bias));
            match Convolution
                .prepare::<NoCheckpointing>(nodes)
                .compute_bound()
                .stateful()
            {
                OpsKind::Tracked(p) => p.finish((dims, x, weight), y),
                OpsKind::UnTracked(p) => p.finish(y),
            }
        }
        None => {
            let nodes = [x.node(), weight.node()];
            let (x, weight) = (
                contiguous(x.into_primitive()),
                contiguous(weight.into_primitive()),
            );
            let y = forward(&dims, &x, &weight, None);
            match Convolution
                .prepare::<NoCheckpointing>(nodes)
                .compute_bound()
                .stateful()
            {
                OpsKind::Tracked(p) => p.finish((dims, x, weight), y),
                OpsKind::UnTracked(p) => p.finish(y),
            }
        }
    };
    Some(Tensor::from_primitive::<Tracked>(y))
}

fn forward(
    shape: &Shape,
    x: &FlexTensor,
    weight: &FlexTensor,
    bias: Option<&FlexTensor>,
) -> FlexTensor {
    let plan = Plan::forward(shape, numbers(weight), Level::best());
    tensor(
        plan.run(numbers(x), bias.map(numbers)),
        [shape.batch, shape.outputs, shape.out[0], shape.out[1]],
    )
}

/// The parents are x, weight and, if N = 3, bias.
#[derive(Debug)]
struct Convolution;

impl<const N: usize> Backward<Flex, N> for Convolution {
    type State = (Shape, FlexTensor, FlexTensor);

    fn backward(self, ops: Ops<Self::State, N>, grads: &mut Gradients, _: &mut Checkpointer) {
        let (shape, x, weight) = ops.state;
        let gradient = contiguous(grads.consume::<Flex>(&ops.node));
        let mut parents = ops.parents.into_iter();
        let mut parent = || parents.next().flatten();
        if let Some(node) = parent() {
            let values = Plan::input_gradient(&shape, numbers(&weight), Level::best())
                .run(numbers(&gradient), None);
            grads.register::<Flex>(
                node.id,
                tensor(
                    values,
                    [shape.batch, shape.inputs, shape.size[0], shape.size[1]],
                ),
            );
        }
        let (node_weight, node_bias) = (parent(), parent());
        if node_weight.is_some() || node_bias.is_some() {
            let (by_weight, by_bias) =
                weight_gradient(&shape, numbers(&x), numbers(&gradient), Level::best());
            if let Some(node) = node_weight {
                grads.register::<Flex>(
                    node.id,
                    tensor(
                        by_weight,
                        [
                            shape.outputs,
                            shape.inputs,
                            shape.kernel[0],
                            shape.kernel[1],
                        ],
                    ),
                );
            }
            if let Some(node) = node_bias {
                grads.register::<Flex>(node.id, tensor(by_bias, [shape.outputs]));
            }
        }
    }
}
