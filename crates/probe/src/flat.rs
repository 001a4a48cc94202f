//! Conversion between a network's parameters and one flat vector.

use std::ops::Range;

use burn::module::{Module, ModuleMapper, ModuleVisitor, Param};
use burn::optim::GradientsParams;
use burn::tensor::{DType, Tensor, TensorData};
use largebatch_models::Network;

/// A parameter of the network and its position in the flat vector.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Layer {
    /// Its path, the same as its name in PyTorch's `state_dict`.
    pub path: String,
    /// Its shape as stored; weights of rank 2 are `[in, out]`, the transpose of PyTorch's.
    pub shape: Vec<usize>,
    /// Its range in the flat vector, in row-major order.
    pub range: Range<usize>,
}

#[derive(Default)]
struct Flatten {
    path: Vec<String>,
    layers: Vec<Layer>,
    values: Vec<f64>,
}

impl ModuleVisitor for Flatten {
    fn enter_module(&mut self, name: &str, _: &str) {
        self.path.push(name.into());
    }
    fn exit_module(&mut self, _: &str, _: &str) {
        self.path.pop();
    }
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        if !param.is_require_grad() {
            return;
        }
        let value = param.val().inner();
        let start = self.values.len();
        let shape = value.dims().to_vec();
        self.values.extend(host(value));
        self.layers.push(Layer {
            path: self.path.join("."),
            shape,
            range: start..self.values.len(),
        });
    }
}

/// A network's parameters and their flat vector.
pub(crate) fn flatten(network: &Network) -> (Vec<Layer>, Vec<f64>) {
    let mut flatten = Flatten::default();
    network.visit(&mut flatten);
    (flatten.layers, flatten.values)
}

/// Converts a flat gradient to the form that an optimizer takes, in f32 like the network.
pub(crate) fn gradients_of(network: &Network, gradient: &[f64]) -> GradientsParams {
    let mut gather = Gather {
        gradient,
        next: 0,
        gradients: GradientsParams::new(),
    };
    network.visit(&mut gather);
    gather.gradients
}

struct Gather<'a> {
    gradient: &'a [f64],
    next: usize,
    gradients: GradientsParams,
}

impl ModuleVisitor for Gather<'_> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        if !param.is_require_grad() {
            return;
        }
        let value = param.val().inner();
        let size = value.shape().num_elements();
        let part = self.gradient[self.next..self.next + size].to_vec();
        self.next += size;
        let part = Tensor::<D>::from_data(
            TensorData::new(part, value.dims()),
            (&value.device(), value.dtype()),
        );
        self.gradients.register(param.id, part);
    }
}

/// The numbers of a tensor, in row-major order.
fn host<const D: usize>(value: Tensor<D>) -> Vec<f64> {
    value.into_data().iter::<f64>().collect()
}

/// Casts every tensor, including batch norm's running statistics.
pub(crate) struct Cast(pub(crate) DType);

impl ModuleMapper for Cast {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let (id, value, mapper) = param.consume();
        let trained = value.is_require_grad();
        let cast = Tensor::from_inner(value.inner().cast(self.0));
        Param::from_mapped_value(id, if trained { cast.require_grad() } else { cast }, mapper)
    }
}

/// Writes a flat vector into a network.
pub(crate) struct Unflatten<'a> {
    pub(crate) values: &'a [f64],
    pub(crate) next: usize,
    pub(crate) dtype: DType,
}

impl ModuleMapper for Unflatten<'_> {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        if !param.is_require_grad() {
            return param;
        }
        let (id, value, mapper) = param.consume();
        let shape = value.dims();
        let size: usize = shape.iter().product();
        let new = &self.values[self.next..self.next + size];
        self.next += size;
        let device = value.device().inner();
        let new =
            Tensor::<D>::from_data(TensorData::new(new.to_vec(), shape), (&device, self.dtype));
        Param::from_mapped_value(id, Tensor::from_inner(new).require_grad(), mapper)
    }
}

/// Adds gradients to a flat vector.
pub(crate) struct AddGradient<'a> {
    pub(crate) gradients: &'a GradientsParams,
    pub(crate) sum: &'a mut [f64],
    pub(crate) next: usize,
}

impl ModuleVisitor for AddGradient<'_> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        if !param.is_require_grad() {
            return;
        }
        let size = param.lazy_shape().num_elements();
        let sum = &mut self.sum[self.next..self.next + size];
        self.next += size;
        // A parameter that the loss does not depend on has no gradient.
        if let Some(gradient) = self.gradients.get::<D>(param.id) {
            let data = gradient.into_data();
            match data.as_slice::<f64>() {
                Ok(terms) => sum.iter_mut().zip(terms).for_each(|(s, t)| *s += t),
                Err(_) => sum
                    .iter_mut()
                    .zip(data.iter::<f64>())
                    .for_each(|(s, t)| *s += t),
            }
        }
    }
}
