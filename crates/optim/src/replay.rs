use crate::trajectory::Run;
use crate::{DynOptimizerConfig, LayerTrace, Named, OptimError, Trajectory};
use burn::tensor::{DType, Device};
use safetensors::tensor::{Dtype, SafeTensors, TensorView};
use serde::Serialize;
use std::collections::BTreeMap;
use std::path::Path;

/// What an optimizer did along a trajectory.
#[derive(Clone, Debug, Serialize)]
pub struct Replayed {
    /// The optimizer's name.
    pub optimizer: &'static str,
    /// Its options, resolved.
    pub options: toml::Table,
    /// Every step.
    pub steps: Vec<ReplayedStep>,
    #[serde(skip)]
    trajectory: Trajectory,
    #[serde(skip)]
    dtype: DType,
}

/// One step of a replay.
#[derive(Clone, Debug, Serialize)]
pub struct ReplayedStep {
    /// The number of the step, from 0.
    pub step: usize,
    /// The learning rate.
    pub lr: f64,
    /// What happened to each parameter.
    pub layers: Vec<LayerTrace>,
    /// The weights after the step: `[parameter][element]`, in the trajectory's order.
    #[serde(skip)]
    pub weights: Vec<Vec<f64>>,
}

/// Drives an optimizer along the trajectory in a safetensors file with the entries `PARAM/init`,
/// `PARAM/grad/T` for T = 0, 1, …, and `lr/T` (one element).
///
/// The optimizer's own clipping by the global norm is applied. A rule that looks ahead takes the
/// gradients as those at its shifted weights. Numbers are converted to `dtype` (F32 or F64) and
/// computed on `device`. Parameters have no layer types here, so the exclusion `layer:NAME` matches
/// nothing.
///
/// # Errors
/// [`OptimError::Trajectory`] names the file, the entry and the remedy: for an unknown entry, a
/// missing step, a shape other than the weights', a NaN or infinity, or a type that is not F32 or
/// F64.
pub fn replay(
    input: &Path,
    recipe: &dyn DynOptimizerConfig,
    dtype: DType,
    device: &Device,
) -> Result<Replayed, OptimError> {
    let trajectory = Trajectory::read(input)?;
    let mut run = Run::new(recipe, &trajectory, dtype, device, true)?;
    let mut steps = Vec::new();
    for (step, &lr) in trajectory.rates.iter().enumerate() {
        let layers = run.step(lr, &trajectory.gradients(step));
        steps.push(ReplayedStep {
            step,
            lr,
            layers,
            weights: run.weights(),
        });
    }
    Ok(Replayed {
        optimizer: recipe.facts().name,
        options: recipe.table(),
        steps,
        trajectory,
        dtype,
    })
}

impl Replayed {
    /// Writes `PARAM/T`, the weights after each step, to a safetensors file, in the type in which
    /// they were computed. The file is written under a temporary name and then renamed.
    pub fn save(&self, output: &Path) -> Result<(), OptimError> {
        let mut tensors = BTreeMap::new();
        for step in &self.steps {
            for (parameter, weights) in self.trajectory.parameters.iter().zip(&step.weights) {
                let bytes: Vec<u8> = match self.dtype {
                    DType::F64 => weights.iter().flat_map(|x| x.to_le_bytes()).collect(),
                    _ => weights
                        .iter()
                        .flat_map(|x| (*x as f32).to_le_bytes())
                        .collect(),
                };
                tensors.insert(
                    format!("{}/{}", parameter.name, step.step),
                    (parameter.shape.clone(), bytes),
                );
            }
        }
        let dtype = if self.dtype == DType::F64 {
            Dtype::F64
        } else {
            Dtype::F32
        };
        let broken = |what: String| OptimError::Trajectory {
            place: output.display().to_string(),
            what,
            remedy: "check that the device computes this type".into(),
        };
        let views = tensors
            .iter()
            .map(|(name, (shape, bytes))| Ok((name, TensorView::new(dtype, shape.clone(), bytes)?)))
            .collect::<Result<Vec<_>, safetensors::SafeTensorError>>()
            .map_err(|e| broken(e.to_string()))?;
        let bytes = safetensors::serialize(views, None).map_err(|e| broken(e.to_string()))?;
        let failed = |source| OptimError::Io {
            action: "write",
            path: output.display().to_string(),
            source,
        };
        if output.exists() && !output.is_file() {
            return std::fs::write(output, bytes).map_err(failed); // a pipe or a device cannot be renamed over
        }
        largebatch_store::write_whole(output, &bytes).map_err(failed)
    }
}

impl Trajectory {
    /// Reads a trajectory, see [`replay`].
    pub fn read(input: &Path) -> Result<Trajectory, OptimError> {
        let shown = input.display().to_string();
        let bytes = std::fs::read(input).map_err(|source| OptimError::Io {
            action: "read",
            path: shown.clone(),
            source,
        })?;
        let file = SafeTensors::deserialize(&bytes).map_err(|e| OptimError::Trajectory {
            place: shown.clone(),
            what: format!("it is not a safetensors file: {e}"),
            remedy: "write it with safetensors' save_file".into(),
        })?;
        Reader { file: shown }.read(&file)
    }
}

/// Shape and numbers of an entry.
type Values = (Vec<usize>, Vec<f64>);

struct Reader {
    file: String,
}

impl Reader {
    fn error(&self, entry: &str, what: impl Into<String>, remedy: impl Into<String>) -> OptimError {
        OptimError::Trajectory {
            place: format!("{}, entry `{entry}`", self.file),
            what: what.into(),
            remedy: remedy.into(),
        }
    }

    fn read(&self, file: &SafeTensors) -> Result<Trajectory, OptimError> {
        let mut rates = BTreeMap::new();
        let mut inits = BTreeMap::new();
        let mut grads: BTreeMap<String, BTreeMap<usize, Values>> = BTreeMap::new();
        for (name, view) in file.iter() {
            let values = self.numbers(name, &view)?;
            let shape = view.shape().to_vec();
            if let Some(t) = name.strip_prefix("lr/").and_then(number) {
                if !(shape.is_empty() || shape == [1]) {
                    let what = format!("its shape is {shape:?}");
                    return Err(self.error(
                        name,
                        what,
                        "store a rate as one element, of shape [] or [1]",
                    ));
                }
                rates.insert(t, values[0]);
            } else if let Some(parameter) = name.strip_suffix("/init") {
                inits.insert(parameter.to_string(), (shape, values));
            } else if let Some((parameter, t)) = name
                .rsplit_once("/grad/")
                .and_then(|(p, t)| Some((p, number(t)?)))
            {
                grads
                    .entry(parameter.into())
                    .or_default()
                    .insert(t, (shape, values));
            } else {
                return Err(self.error(
                    name,
                    "its name is not `PARAM/init`, `PARAM/grad/T` or `lr/T`",
                    "rename it or remove it",
                ));
            }
        }
        if inits.is_empty() {
            return Err(self.error(
                "PARAM/init",
                "the file has no such entry",
                "store each parameter's initial weights under this name",
            ));
        }
        // One more than the largest step in any entry, so that the error can name each missing
        // entry.
        let last = rates
            .keys()
            .chain(grads.values().flat_map(BTreeMap::keys))
            .max();
        let steps = last.map_or(0, |t| t + 1);
        if rates.is_empty() {
            return Err(self.error(
                "lr/0",
                "the file has no such entry",
                "store the learning rate of each step, from 0",
            ));
        }
        self.contiguous(rates.keys(), steps, "lr/")?;
        if let Some(parameter) = grads.keys().find(|p| !inits.contains_key(*p)) {
            let entry = format!("{parameter}/init");
            return Err(self.error(
                &entry,
                "it is missing, but the parameter has gradients",
                "store the parameter's initial weights",
            ));
        }
        let mut parameters = Vec::new();
        for (name, (shape, init)) in inits {
            let all = grads.remove(&name).unwrap_or_default();
            let prefix = format!("{name}/grad/");
            self.contiguous(all.keys(), steps, &prefix)?;
            let mut mine = Vec::new();
            for (t, (of, values)) in all {
                if of != shape {
                    let what =
                        format!("its shape is {of:?}, but that of `{name}/init` is {shape:?}");
                    return Err(self.error(
                        &format!("{prefix}{t}"),
                        what,
                        "store gradients of the same shape as the weights",
                    ));
                }
                mine.push(values);
            }
            parameters.push(Named {
                name,
                shape,
                init,
                grads: mine,
            });
        }
        Ok(Trajectory {
            rates: rates.into_values().collect(),
            parameters,
        })
    }

    /// Checks that the steps are 0, 1, … without a gap.
    fn contiguous<'a>(
        &self,
        keys: impl Iterator<Item = &'a usize>,
        steps: usize,
        prefix: &str,
    ) -> Result<(), OptimError> {
        let mut next = 0;
        for &t in keys {
            if t != next {
                break;
            }
            next += 1;
        }
        if next < steps {
            let what = format!("it is missing, but the trajectory has {steps} steps");
            return Err(self.error(
                &format!("{prefix}{next}"),
                what,
                "store every step from 0, without a gap",
            ));
        }
        Ok(())
    }

    fn numbers(&self, name: &str, view: &TensorView) -> Result<Vec<f64>, OptimError> {
        let bytes = view.data();
        let values: Vec<f64> = match view.dtype() {
            Dtype::F64 => bytes
                .as_chunks()
                .0
                .iter()
                .map(|b| f64::from_le_bytes(*b))
                .collect(),
            Dtype::F32 => bytes
                .as_chunks()
                .0
                .iter()
                .map(|b| f64::from(f32::from_le_bytes(*b)))
                .collect(),
            other => {
                return Err(self.error(
                    name,
                    format!("its type is {other}"),
                    "store it as F64 or F32",
                ));
            }
        };
        if values.is_empty() {
            return Err(self.error(name, "it is empty", "remove the parameter"));
        }
        match values.iter().position(|x| !x.is_finite()) {
            Some(i) => Err(self.error(
                name,
                format!("element {i} is {}", values[i]),
                "store finite numbers",
            )),
            None => Ok(values),
        }
    }
}

/// A step number in plain form: not `+1` or `01`.
fn number(text: &str) -> Option<usize> {
    text.parse().ok().filter(|t: &usize| t.to_string() == text)
}
