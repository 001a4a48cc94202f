//! Weights as safetensors, in PyTorch's names and layout.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use burn::tensor::{DType, TensorData};
use largebatch_models::Network;
use safetensors::tensor::{Dtype, SafeTensors, TensorView};

use crate::TrainError;

/// The weights and running statistics as the bytes of a safetensors file, in PyTorch's names and layout: `torch.nn.Module.load_state_dict` takes them.
/// The same weights give the same bytes.
///
/// # Errors
/// A parameter whose element type safetensors has no name for.
pub fn to_safetensors(network: &Network) -> Result<Vec<u8>, TrainError> {
    let state = largebatch_models::state_dict(network);
    let mut views = BTreeMap::new();
    for (path, data) in &state {
        let dtype = match data.dtype() {
            DType::F32 => Dtype::F32,
            DType::F64 => Dtype::F64,
            other => return Err(TrainError::value(path.clone(), format!("{other:?}"), "only f32 and f64 weights are written")),
        };
        let view = TensorView::new(dtype, data.shape().to_vec(), data.as_bytes());
        views.insert(path.as_str(), view.map_err(|e| TrainError::value(path.clone(), format!("{dtype:?}"), e.to_string()))?);
    }
    let metadata = HashMap::from([("format".to_owned(), "pt".to_owned())]);
    safetensors::serialize(views, Some(metadata)).map_err(|e| TrainError::value("weights", "(all)", e.to_string()))
}

/// A network with the weights of a safetensors file; `place` is its name in errors.
///
/// # Errors
/// Bytes that are not safetensors; parameters that are missing, unknown, or of another shape.
pub fn from_safetensors(network: Network, bytes: &[u8], place: &Path) -> Result<Network, TrainError> {
    let file = SafeTensors::deserialize(bytes).map_err(|e| TrainError::folder(place, format!("not a safetensors file ({e})")))?;
    let mut state = BTreeMap::new();
    for (path, view) in file.tensors() {
        let dtype = match view.dtype() {
            Dtype::F32 => DType::F32,
            Dtype::F64 => DType::F64,
            // Counters of PyTorch's batch norm, which need no place here.
            Dtype::I64 if path.ends_with("num_batches_tracked") => continue,
            other => return Err(TrainError::folder(place, format!("{path} has the element type {other:?}; f32 and f64 are read"))),
        };
        let bytes = burn::tensor::Bytes::from_bytes_vec(view.data().to_vec());
        state.insert(path, TensorData::from_bytes(bytes, view.shape().to_vec(), dtype));
    }
    largebatch_models::load_state_dict(network, state).map_err(|e| TrainError::folder(place, e.to_string()))
}
