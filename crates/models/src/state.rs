//! A network's parameters and buffers by path, in PyTorch's layout.

use std::collections::BTreeMap;

use burn::module::{Module, ModuleMapper, ModuleVisitor, Param};
use burn::tensor::{Tensor, TensorData};

use crate::{Network, StateError};

/// Whether this is the path of a value without gradient (batch norm's running statistics).
pub fn is_buffer(path: &str) -> bool {
    matches!(
        path.rsplit('.').next(),
        Some("running_mean" | "running_var")
    )
}

/// All parameters and buffers by path, in the network's order, read from the device.
///
/// Names are those of PyTorch's `state_dict`, and weights of rank 2 are transposed to PyTorch's
/// `[out, in]`. Batch norm's `num_batches_tracked` is omitted; PyTorch fills it in.
pub fn state_dict(network: &Network) -> Vec<(String, TensorData)> {
    let mut reader = Reader::default();
    network.visit(&mut reader);
    reader.state
}

/// The network with every parameter and buffer replaced by those of `state`, as written by
/// [`state_dict`] or PyTorch.
///
/// # Errors
/// [`StateError`] for missing or unknown paths, wrong shapes, or integers; `num_batches_tracked` is
/// ignored.
pub fn load_state_dict(
    network: Network,
    state: BTreeMap<String, TensorData>,
) -> Result<Network, StateError> {
    let mut shapes = Shapes::default();
    network.visit(&mut shapes);
    let missing: Vec<String> = shapes
        .shapes
        .iter()
        .filter(|(path, _)| !state.contains_key(path))
        .map(|(path, _)| path.clone())
        .collect();
    let known: BTreeMap<&str, &Vec<usize>> = shapes
        .shapes
        .iter()
        .map(|(path, shape)| (path.as_str(), shape))
        .collect();
    let extra: Vec<String> = state
        .keys()
        .filter(|path| !known.contains_key(path.as_str()) && !path.ends_with("num_batches_tracked"))
        .cloned()
        .collect();
    if !missing.is_empty() || !extra.is_empty() {
        return Err(StateError::Paths { missing, extra });
    }
    for (path, expected) in &known {
        let found = &state[*path];
        if found.shape().as_slice() != expected.as_slice() {
            return Err(StateError::Shape {
                path: path.to_string(),
                expected: expected.to_vec(),
                found: found.shape().to_vec(),
            });
        }
        if !found.dtype().is_float() {
            return Err(StateError::Type {
                path: path.to_string(),
                found: format!("{:?}", found.dtype()),
            });
        }
    }
    Ok(network.map(&mut Writer {
        path: Vec::new(),
        state,
    }))
}

impl Network {
    /// The number of trained values, without batch norm's running statistics.
    pub fn parameter_count(&self) -> usize {
        let mut shapes = Shapes::default();
        self.visit(&mut shapes);
        shapes
            .shapes
            .iter()
            .filter(|(path, _)| !is_buffer(path))
            .map(|(_, shape)| shape.iter().product::<usize>())
            .sum()
    }

    /// Whether the network contains batch norm, so that it cannot be trained on a batch of one
    /// example.
    pub fn has_batch_norm(&self) -> bool {
        let mut shapes = Shapes::default();
        self.visit(&mut shapes);
        shapes.shapes.iter().any(|(path, _)| is_buffer(path))
    }
}

#[derive(Default)]
struct Shapes {
    path: Vec<String>,
    shapes: Vec<(String, Vec<usize>)>,
}

impl ModuleVisitor for Shapes {
    fn enter_module(&mut self, name: &str, _: &str) {
        self.path.push(name.into());
    }
    fn exit_module(&mut self, _: &str, _: &str) {
        self.path.pop();
    }
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let mut shape = param.lazy_shape().to_vec();
        if D == 2 {
            shape.reverse();
        }
        self.shapes.push((self.path.join("."), shape));
    }
}

#[derive(Default)]
struct Reader {
    path: Vec<String>,
    state: Vec<(String, TensorData)>,
}

impl ModuleVisitor for Reader {
    fn enter_module(&mut self, name: &str, _: &str) {
        self.path.push(name.into());
    }
    fn exit_module(&mut self, _: &str, _: &str) {
        self.path.pop();
    }
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let value = param.val().inner();
        let value = if D == 2 { value.swap_dims(0, 1) } else { value };
        self.state.push((self.path.join("."), value.into_data()));
    }
}

struct Writer {
    path: Vec<String>,
    state: BTreeMap<String, TensorData>,
}

impl ModuleMapper for Writer {
    fn enter_module(&mut self, name: &str, _: &str) {
        self.path.push(name.into());
    }
    fn exit_module(&mut self, _: &str, _: &str) {
        self.path.pop();
    }
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        // It was checked above that every path exists.
        let Some(data) = self.state.remove(&self.path.join(".")) else {
            return param;
        };
        let value = Tensor::<D>::from_data(data, &param.lazy_device());
        // A copy in memory order: a transposed view would slow down every later product.
        let value = if D == 2 {
            Tensor::from_data(value.swap_dims(0, 1).into_data(), &param.lazy_device())
        } else {
            value
        };
        let id = param.id;
        param.transform_for_load(value, id)
    }
}
