//! The driver's state as bytes: a safetensors file, identical on every machine.

use crate::{Driver, OptimError};
use burn::optim::{DynState, StateSink, StateSource};
use burn::tensor::{DType, TensorData};
use burn_pack::Scalar;
use safetensors::{Dtype, SafeTensors, tensor::TensorView};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, HashMap};

const KEY: &str = "largebatch.optim";
const VERSION: u64 = 1;

/// The header, as JSON in a single metadata entry, because the format's writer puts several in
/// random order.
#[derive(Serialize, Deserialize)]
struct Header {
    version: u64,
    optimizer: String,
    parameters: BTreeMap<String, Saved>,
}

#[derive(Serialize, Deserialize)]
struct Saved {
    shape: Vec<usize>,
    /// Whether the parameter has a state; without a gradient so far, it has none.
    stepped: bool,
}

type Leaf = (Dtype, Vec<usize>, Vec<u8>);

impl Driver {
    /// The state of every parameter as the bytes of a safetensors file: sorted entries `PATH.FIELD`
    /// for each tensor and count, and the optimizer's name and a schema version in the metadata.
    /// Equal states give equal bytes, on every machine and in every process.
    pub fn save(&self) -> Vec<u8> {
        let mut leaves = BTreeMap::new();
        let mut parameters = BTreeMap::new();
        for (path, slot) in &self.slots {
            parameters.insert(
                path.clone(),
                Saved {
                    shape: slot.shape.clone(),
                    stepped: slot.state.is_some(),
                },
            );
            if let Some(state) = &slot.state {
                let mut sink = StateSink::default();
                slot.rule.state_flatten(path, state, &mut sink);
                leaves.append(&mut leaves_of(sink));
            }
        }
        let header = Header {
            version: VERSION,
            optimizer: self.name().into(),
            parameters,
        };
        let header =
            serde_json::to_string(&header).expect("a header of strings and numbers is JSON");
        let views = leaves.iter().map(|(name, (dtype, shape, bytes))| {
            (
                name,
                TensorView::new(*dtype, shape.clone(), bytes)
                    .expect("a leaf's bytes match its shape and type"),
            )
        });
        safetensors::serialize(views, Some(HashMap::from([(KEY.into(), header)])))
            .expect("valid views serialize")
    }

    /// Loads a saved state, of [shared](Self::share) parameters only this process's. On an error,
    /// nothing changes.
    ///
    /// # Errors
    /// [`OptimError::NotAState`], [`OptimError::NewerState`], [`OptimError::OtherOptimizer`],
    /// [`OptimError::OtherModel`] (a parameter is missing, is extra, or has another shape) or
    /// [`OptimError::OtherOptions`].
    pub fn load(&mut self, bytes: &[u8]) -> Result<(), OptimError> {
        for (path, state) in self.read(bytes)? {
            if let Some(slot) = self.slots.get_mut(&path).filter(|slot| slot.is_mine) {
                slot.state = state;
            }
        }
        Ok(())
    }

    /// The saved states, by path.
    pub(crate) fn read(&self, bytes: &[u8]) -> Result<Vec<(String, Option<DynState>)>, OptimError> {
        let unfit = |e: &dyn std::fmt::Display| OptimError::NotAState(e.to_string());
        let file = SafeTensors::deserialize(bytes).map_err(|e| unfit(&e))?;
        let (_, metadata) = SafeTensors::read_metadata(bytes).map_err(|e| unfit(&e))?;
        let header = metadata
            .metadata()
            .as_ref()
            .and_then(|m| m.get(KEY))
            .ok_or_else(|| unfit(&format!("it has no entry `{KEY}`")))?;
        #[derive(Deserialize)]
        struct Version {
            version: u64,
        }
        let Version { version } = serde_json::from_str(header).map_err(|e| unfit(&e))?;
        if version > VERSION {
            return Err(OptimError::NewerState {
                found: version,
                known: VERSION,
            });
        }
        let header: Header = serde_json::from_str(header).map_err(|e| unfit(&e))?;
        if header.optimizer != self.name() {
            return Err(OptimError::OtherOptimizer {
                found: header.optimizer,
                expected: self.name(),
            });
        }
        let other = |path: &String, what: String| OptimError::OtherModel {
            path: path.clone(),
            what,
        };
        if let Some(path) = header
            .parameters
            .keys()
            .find(|p| !self.slots.contains_key(*p))
        {
            return Err(other(path, "the model has no such parameter".into()));
        }
        let mut source: Vec<(String, Leaf)> = file
            .iter()
            .map(|(name, view)| (name.into(), leaf_of(&view)))
            .collect();
        source.sort_by(|a, b| a.0.cmp(&b.0));
        let mut states = Vec::new();
        for (path, slot) in &self.slots {
            let saved = header
                .parameters
                .get(path)
                .ok_or_else(|| other(path, "the state has no such parameter".into()))?;
            if saved.shape != slot.shape {
                return Err(other(
                    path,
                    format!(
                        "its shape is {:?}, but in the state it is {:?}",
                        slot.shape, saved.shape
                    ),
                ));
            }
            let prefix = format!("{path}.");
            let mine = if saved.stepped {
                let from = source.partition_point(|(name, _)| name.as_str() < prefix.as_str());
                let leaves = source[from..]
                    .iter()
                    .take_while(|(name, _)| name.starts_with(&prefix));
                // A parameter `a` and a parameter `a.b` (an adapter of `a`) share a prefix. A leaf
                // belongs to the longest matching path.
                let owner = |name: &str| {
                    self.slots
                        .keys()
                        .filter(|p| name.starts_with(&format!("{p}.")))
                        .max_by_key(|p| p.len())
                };
                let leaves: BTreeMap<String, Leaf> = leaves
                    .filter(|(name, _)| owner(name) == Some(path))
                    .map(|(n, l)| (n.clone(), l.clone()))
                    .collect();
                Some(restore(path, slot, leaves)?)
            } else {
                None
            };
            states.push((path.clone(), mine));
        }
        Ok(states)
    }
}

fn restore(
    path: &str,
    slot: &crate::driver::Slot,
    leaves: BTreeMap<String, Leaf>,
) -> Result<DynState, OptimError> {
    let other = |what: String| OptimError::OtherOptions {
        path: path.into(),
        what,
    };
    let mut scalars = BTreeMap::new();
    let mut tensors = Vec::new();
    for (name, (dtype, shape, bytes)) in &leaves {
        let unsupported = || other(format!("`{name}` has the unsupported type {dtype}"));
        if shape.is_empty() {
            let scalar = scalar_of(*dtype, bytes).ok_or_else(unsupported)?;
            scalars.insert(name.clone(), scalar);
        } else {
            let dtype = burn_dtype(*dtype).ok_or_else(unsupported)?;
            let data = TensorData::try_from_bytes_vec(bytes.clone(), shape.clone(), dtype);
            tensors.push((name.clone(), data.map_err(|e| other(e.to_string()))?));
        }
    }
    let mut source = StateSource::new(scalars);
    for (name, data) in tensors {
        source.insert_tensor(name, data);
    }
    let state = slot
        .rule
        .state_unflatten(slot.shape.len(), path, &mut source, &slot.device)
        .ok_or_else(|| other("a field is missing or has another rank".into()))?;
    // The restored state must equal the saved one: no entry left over, and f64 still f64.
    let mut sink = StateSink::default();
    slot.rule.state_flatten(path, &state, &mut sink);
    let again = leaves_of(sink);
    match leaves
        .keys()
        .find(|k| !again.contains_key(*k))
        .or_else(|| again.keys().find(|k| !leaves.contains_key(*k)))
    {
        Some(name) => Err(other(format!(
            "`{name}` is in the file or in the rule's state, but not in both"
        ))),
        None if again != leaves => Err(other(
            "it changes when it is saved and loaded; define the rule's state with `state!`".into(),
        )),
        None => Ok(state),
    }
}

fn leaves_of(sink: StateSink) -> BTreeMap<String, Leaf> {
    let tensors = sink.tensors.into_iter().map(|(name, data)| {
        let dtype = file_dtype(data.dtype())
            .expect("an optimizer's state holds floats, integers or booleans");
        (
            name,
            (dtype, data.shape().to_vec(), data.as_bytes().to_vec()),
        )
    });
    let scalars = sink.scalars.into_iter().map(|(name, value)| {
        let (dtype, bytes) = match value {
            Scalar::Int(x) => (Dtype::I64, x.to_le_bytes().to_vec()),
            Scalar::UInt(x) => (Dtype::U64, x.to_le_bytes().to_vec()),
            Scalar::Float(x) => (Dtype::F64, x.to_le_bytes().to_vec()),
            Scalar::Bool(x) => (Dtype::BOOL, vec![u8::from(x)]),
        };
        (name, (dtype, vec![], bytes))
    });
    tensors.chain(scalars).collect()
}

fn leaf_of(view: &TensorView) -> Leaf {
    (view.dtype(), view.shape().to_vec(), view.data().to_vec())
}

fn scalar_of(dtype: Dtype, bytes: &[u8]) -> Option<Scalar> {
    Some(match dtype {
        Dtype::I64 => Scalar::Int(i64::from_le_bytes(bytes.try_into().ok()?)),
        Dtype::U64 => Scalar::UInt(u64::from_le_bytes(bytes.try_into().ok()?)),
        Dtype::F64 => Scalar::Float(f64::from_le_bytes(bytes.try_into().ok()?)),
        Dtype::BOOL => Scalar::Bool(*bytes.first()? != 0),
        _ => return None,
    })
}

/// The types of a state's tensors, here and in a file.
const TYPES: [(DType, Dtype); 6] = [
    (DType::F64, Dtype::F64),
    (DType::F32, Dtype::F32),
    (DType::F16, Dtype::F16),
    (DType::BF16, Dtype::BF16),
    (DType::I64, Dtype::I64),
    (DType::I32, Dtype::I32),
];

fn file_dtype(dtype: DType) -> Option<Dtype> {
    TYPES.iter().find(|t| t.0 == dtype).map(|t| t.1)
}

fn burn_dtype(dtype: Dtype) -> Option<DType> {
    TYPES.iter().find(|t| t.1 == dtype).map(|t| t.0)
}
