//! Weights as safetensors, with PyTorch's names and layout.

use std::collections::BTreeMap;
use std::path::Path;

use burn::tensor::{DType, TensorData};
use largebatch_data::{Fitted, Pipeline};
use largebatch_models::Network;
use largebatch_store::digest;
use safetensors::tensor::{Dtype, SafeTensors, TensorView};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::{Experiment, TrainError};

/// The metadata key of [`ModelData`].
const KEY: &str = "largebatch";

/// The layout version of [`ModelData`].
pub(crate) const VERSION: u32 = 1;

/// No reader accepts a larger header (in bytes): the data's facts are then left out. The format's
/// limit is 100 MB.
const LARGEST_HEADER: usize = 90_000_000;

/// What a network learned from its data, as JSON under the key `largebatch` in the metadata of its
/// weights. Together with run.toml it is all that predictions need when the training data are gone.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct ModelData {
    /// The layout version of this object, 1.
    pub version: u32,
    /// The data set's name.
    pub dataset: String,
    /// The number of classes; `null` for a real target.
    pub classes: Option<usize>,
    /// One name per class; empty if the data have none.
    #[serde(default)]
    pub class_names: Vec<String>,
    /// One name per feature; empty if the data have none.
    #[serde(default)]
    pub feature_names: Vec<String>,
    /// The input's shape, and the preprocessing with the means and deviations of the training part.
    pub preprocessing: Fitted,
}

impl Experiment {
    /// Scales the data as they were scaled for the training of these weights, not as the present
    /// data would be. `place` names the weights in errors.
    ///
    /// # Errors
    /// Data of another shape, or whose columns or classes have other names or another order: the
    /// network would confuse them.
    pub fn adopt(&mut self, data: &ModelData, place: &Path) -> Result<(), TrainError> {
        let now = self.model_data();
        for (what, then, now) in [
            ("columns", &data.feature_names, &now.feature_names),
            ("classes", &data.class_names, &now.class_names),
        ] {
            if then != now {
                let list = |names: &[String]| {
                    if names.is_empty() {
                        "without names".into()
                    } else {
                        names.join(", ")
                    }
                };
                let (then, now) = (list(then), list(now));
                let message = format!(
                    "was trained on {what} {then}, but the data now have {what} {now}: restore the former names and their order"
                );
                return Err(TrainError::folder(place, message));
            }
        }
        if data.classes != now.classes {
            let count = |classes: Option<usize>| {
                classes.map_or("a real target".into(), |n| format!("{n} classes"))
            };
            let message = format!(
                "was trained on {}, but the data now have {}",
                count(data.classes),
                count(now.classes)
            );
            return Err(TrainError::folder(place, message));
        }
        let mut pipeline = Pipeline::restore(data.preprocessing.clone())?;
        [&self.dataset.train, &self.dataset.test]
            .into_iter()
            .try_for_each(|part| pipeline.prepare(part))?;
        self.pipeline = pipeline;
        Ok(())
    }

    /// What the network learned from its data, to be stored in the weights file.
    pub fn model_data(&self) -> ModelData {
        ModelData {
            version: VERSION,
            dataset: self.dataset.name.clone(),
            classes: self.io.classes,
            class_names: self.dataset.class_names.clone(),
            feature_names: self.dataset.train.feature_names().to_vec(),
            preprocessing: self.pipeline.fitted().clone(),
        }
    }
}

/// The weights and running statistics as the bytes of a safetensors file, with PyTorch's names and
/// layout: `torch.nn.Module.load_state_dict` accepts them. The header's keys are sorted, so the
/// same weights and data give the same bytes.
///
/// # Errors
/// A parameter whose element type is neither f32 nor f64.
pub fn to_safetensors(network: &Network, data: Option<&ModelData>) -> Result<Vec<u8>, TrainError> {
    let state = largebatch_models::state_dict(network);
    let mut views = BTreeMap::new();
    for (path, data) in &state {
        let dtype = match data.dtype() {
            DType::F32 => Dtype::F32,
            DType::F64 => Dtype::F64,
            other => {
                return Err(TrainError::value(
                    path.clone(),
                    format!("{other:?}"),
                    "only f32 and f64 weights can be written",
                ));
            }
        };
        let view = TensorView::new(dtype, data.shape().to_vec(), data.as_bytes());
        views.insert(
            path.as_str(),
            view.map_err(|e| TrainError::value(path.clone(), format!("{dtype:?}"), e.to_string()))?,
        );
    }
    let failed = |e: &dyn std::fmt::Display| TrainError::value("weights", "(all)", e.to_string());
    let plain = safetensors::serialize(views, None).map_err(|e| failed(&e))?;
    // The format's writer puts the metadata entries in random order, so we write the header again,
    // with our entries and sorted.
    let (length, rest) = plain.split_at(8);
    let length = length
        .iter()
        .rev()
        .fold(0, |n, byte| n << 8 | *byte as usize);
    let (old, tensors) = rest.split_at(length);
    let mut header: BTreeMap<String, Value> =
        serde_json::from_slice(old).map_err(|e| failed(&e))?;
    let data = data
        .map(serde_json::to_string)
        .transpose()
        .map_err(|e| failed(&e))?;
    let mut metadata = json!({ "format": "pt", "digest": "0".repeat(DIGITS) });
    if let Some(data) = data.filter(|data| data.len() + length < LARGEST_HEADER) {
        metadata[KEY] = data.into();
    }
    header.insert("__metadata__".into(), metadata);
    let mut header = serde_json::to_vec(&header).map_err(|e| failed(&e))?;
    header.resize(header.len().next_multiple_of(8), b' ');
    let mut bytes = [
        &(header.len() as u64).to_le_bytes(),
        header.as_slice(),
        tensors,
    ]
    .concat();
    let found = digest(&bytes);
    if let Some(place) = place_of_digest(&bytes) {
        bytes[place].copy_from_slice(found.as_bytes());
    }
    Ok(bytes)
}

/// The number of hexadecimal digits in a digest.
const DIGITS: usize = 64;

/// Where a weights file stores its digest: the digest of all its bytes, with zeros in this place.
fn place_of_digest(bytes: &[u8]) -> Option<std::ops::Range<usize>> {
    const KEY: &[u8] = b"\"digest\":\"";
    let length = u64::from_le_bytes(bytes.get(..8)?.try_into().ok()?);
    let header = bytes.get(8..8usize.checked_add(usize::try_from(length).ok()?)?)?;
    // The metadata come first and their keys are sorted, so no name or text of the user's precedes
    // it.
    let begin = 8 + header.windows(KEY.len()).position(|window| window == KEY)? + KEY.len();
    (bytes.get(begin + DIGITS) == Some(&b'"')).then_some(begin..begin + DIGITS)
}

/// Refuses a weights file of ours in which a byte has changed since it was written. Files from
/// PyTorch and from versions before 0.3 have no digest.
///
/// # Errors
/// A changed file, with the remedy.
pub(crate) fn check_digest(bytes: &[u8], place: &Path) -> Result<(), TrainError> {
    let whole = match place_of_digest(bytes) {
        Some(range) => {
            let mut zeroed = bytes.to_vec();
            zeroed[range.clone()].fill(b'0');
            digest(&zeroed).as_bytes() == &bytes[range]
        }
        // Our files have both entries or neither.
        None => !matches!(model_data(bytes, place), Ok(Some(_))),
    };
    if whole {
        return Ok(());
    }
    let message = "these weights have changed since they were written (their digest differs): restore a copy, or train again";
    Err(TrainError::folder(place, message))
}

/// What a weights file says about its data; `None` for weights from PyTorch or from versions before
/// 0.3. `place` names the file in errors.
///
/// # Errors
/// Bytes that are not safetensors, or an entry that this version cannot read.
pub fn model_data(bytes: &[u8], place: &Path) -> Result<Option<ModelData>, TrainError> {
    let (_, header) = SafeTensors::read_metadata(bytes)
        .map_err(|e| TrainError::folder(place, format!("not a safetensors file ({e})")))?;
    let Some(text) = header
        .metadata()
        .as_ref()
        .and_then(|metadata| metadata.get(KEY))
    else {
        return Ok(None);
    };
    let unread = |why: String| {
        TrainError::folder(
            place,
            format!("this version cannot read the metadata entry `{KEY}` ({why})"),
        )
    };
    let data: ModelData = serde_json::from_str(text).map_err(|e| unread(e.to_string()))?;
    if data.version != VERSION {
        return Err(unread(format!(
            "its version is {}, not {VERSION}",
            data.version
        )));
    }
    Ok(Some(data))
}

/// A network with the weights of a safetensors file; `place` names the file in errors.
///
/// # Errors
/// Bytes that are not safetensors; weights of ours that have changed since they were written;
/// parameters that are missing, unknown or of another shape.
pub fn from_safetensors(
    network: Network,
    bytes: &[u8],
    place: &Path,
) -> Result<Network, TrainError> {
    check_digest(bytes, place)?;
    let file = SafeTensors::deserialize(bytes)
        .map_err(|e| TrainError::folder(place, format!("not a safetensors file ({e})")))?;
    let mut state = BTreeMap::new();
    for (path, view) in file.tensors() {
        let dtype = match view.dtype() {
            Dtype::F32 => DType::F32,
            Dtype::F64 => DType::F64,
            // Counters of PyTorch's batch norm, which we do not need.
            Dtype::I64 if path.ends_with("num_batches_tracked") => continue,
            other => {
                return Err(TrainError::folder(
                    place,
                    format!("{path} has the element type {other:?}; only f32 and f64 can be read"),
                ));
            }
        };
        let bytes = burn::tensor::Bytes::from_bytes_vec(view.data().to_vec());
        state.insert(
            path,
            TensorData::from_bytes(bytes, view.shape().to_vec(), dtype),
        );
    }
    largebatch_models::load_state_dict(network, state)
        .map_err(|e| TrainError::folder(place, e.to_string()))
}

/// Loads a network from a run's folder or a safetensors file, for evaluation and probes.
///
/// # Errors
/// Weights of another model, and file system errors.
pub fn load_network(
    experiment: &Experiment,
    weights: &[u8],
    place: &Path,
) -> Result<Network, TrainError> {
    from_safetensors(experiment.initial_model()?.network, weights, place)
}

#[cfg(test)]
mod tests {
    use crate::Lab;
    use largebatch_data::Search;

    use super::*;
    use crate::{Choice, Experiment, RunConfig};

    #[test]
    fn every_flipped_bit_of_our_weights_is_found() {
        let config = RunConfig {
            dataset: Choice::plain("digits"),
            model: Choice::plain("softmax"),
            ..RunConfig::default()
        };
        let experiment = Experiment::open(config, &Lab::standard(), &Search::default()).unwrap();
        let network = || experiment.initial_model().unwrap().network;
        let whole = to_safetensors(&network(), Some(&experiment.model_data())).unwrap();
        let place = Path::new("run/model.safetensors");
        from_safetensors(network(), &whole, place).unwrap();
        let header = 8 + u64::from_le_bytes(whole[..8].try_into().unwrap()) as usize;
        for bit in (0..header * 8)
            .step_by(3)
            .chain((header * 8..whole.len() * 8).step_by(101))
        {
            let mut flipped = whole.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            let error = from_safetensors(network(), &flipped, place)
                .err()
                .map(|e| e.to_string())
                .unwrap_or_default();
            assert!(
                error.contains("run/model.safetensors"),
                "bit {bit}: '{error}'"
            );
        }
    }
}
