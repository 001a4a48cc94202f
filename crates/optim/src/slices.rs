//! Steps on slices of f32, without tensors.

use std::collections::BTreeMap;
use std::sync::Arc;

use burn::module::{Module, ModuleMapper, ModuleVisitor, Param, ParamId};
use burn::optim::{StateSink, StateSource};
use burn::tensor::{Tensor, TensorData};
use burn_pack::Scalar;

use crate::driver::replaced;
use crate::{Driver, DynRule};

/// A rule's step on the elements of a parameter, with the same bits as its step on tensors of Burn's
/// CPU backend with kernels.
pub trait StepSlices {
    /// Changes the weights and the state; may overwrite the gradient. The state is that after a
    /// step on tensors.
    fn step_slices(&self, lr: f64, w: &mut [f32], g: &mut [f32], state: &mut SliceState);

    /// Writes the weights of [`Rule::ahead`](crate::Rule::ahead); called only if the rule looks
    /// ahead.
    fn ahead_slices(&self, _w: &[f32], _state: &SliceState, _ahead: &mut [f32]) {}
}

/// A rule's state of one parameter, as numbers.
#[derive(Clone, Debug, Default)]
pub struct SliceState {
    /// The state's tensors of the parameter's shape, in the order of its fields.
    pub tensors: Vec<Vec<f32>>,
    /// The state's fields of f64, in their order.
    pub numbers: Vec<f64>,
    /// The field `time`, the number of steps done; 0 without such a field.
    pub time: u64,
    /// The field `trust_ratio`.
    pub trust_ratio: Option<f32>,
}

/// The weights of a module, and the states of their rules, for steps without tensors.
///
/// While a training steps on them, the module and the driver stay as they were; [`Slices::give`]
/// brings both up to date.
pub struct Slices {
    parameters: Vec<Parameter>,
    /// The weights of each parameter, in the module's order.
    pub weights: Vec<Vec<f32>>,
    /// Whether a rule looks ahead.
    looks_ahead: bool,
}

struct Parameter {
    id: ParamId,
    path: String,
    rule: Arc<dyn DynRule>,
    lr_factor: f64,
    /// Whether this process steps it.
    is_mine: bool,
    /// The names of the state's tensors, then of its numbers.
    names: [Vec<String>; 2],
    /// Whether there is a state; SGD has none.
    stateful: bool,
    state: SliceState,
}

const TIME: &str = "time";
const TRUST_RATIO: &str = "trust_ratio";

impl Driver {
    /// Whether every rule can [step on slices](StepSlices).
    pub fn steps_on_slices(&self) -> bool {
        self.slots
            .values()
            .all(|slot| slot.rule.dyn_on_slices().is_some())
    }
}

impl Slices {
    /// The weights of a module and the states of its driver, after at least one step on tensors;
    /// `None` if a parameter is not of f32.
    pub fn take<M: Module>(driver: &Driver, module: &M) -> Option<Slices> {
        let mut take = Take {
            driver,
            path: Vec::new(),
            slices: Some(Slices {
                parameters: Vec::new(),
                weights: Vec::new(),
                looks_ahead: false,
            }),
        };
        module.visit(&mut take);
        let mut slices = take.slices?;
        // The same in all processes that share the parameters, whether or not they have a state.
        slices.looks_ahead = slices.parameters.iter().any(|p| p.rule.dyn_looks_ahead());
        Some(slices)
    }

    /// The place of a parameter in [`Slices::weights`].
    pub fn index(&self, id: ParamId) -> Option<usize> {
        self.parameters.iter().position(|p| p.id == id)
    }

    /// One step with learning rate `lr`; `gradients` are in the order of the weights, and are
    /// overwritten; an empty one leaves its parameter as it is.
    pub fn step(&mut self, lr: f64, gradients: &mut [Vec<f32>]) {
        let weights = self.weights.iter_mut().zip(gradients);
        for (parameter, (w, g)) in self.parameters.iter_mut().zip(weights) {
            // Batch norm's running statistics have no gradient.
            if !g.is_empty()
                && parameter.is_mine
                && let Some(rule) = parameter.rule.dyn_on_slices()
            {
                rule.step_slices(lr * parameter.lr_factor, w, g, &mut parameter.state);
            }
        }
    }

    /// Writes the weights at which the rules want the next gradient, as [`Driver::ahead`] does; false
    /// if they want it at the current ones.
    pub fn ahead(&self, ahead: &mut Vec<Vec<f32>>) -> bool {
        if !self.looks_ahead {
            return false;
        }
        ahead.clone_from(&self.weights);
        let weights = self.weights.iter().zip(ahead);
        for (parameter, (w, ahead)) in self.parameters.iter().zip(weights) {
            if parameter.looks_ahead()
                && let Some(rule) = parameter.rule.dyn_on_slices()
            {
                rule.ahead_slices(w, &parameter.state, ahead);
            }
        }
        true
    }

    /// The module with these weights; the driver gets the states.
    pub fn give<M: Module>(&self, driver: &mut Driver, module: M) -> M {
        for parameter in self.parameters.iter().filter(|p| p.stateful) {
            if let Some(slot) = driver.slots.get_mut(&parameter.path) {
                let (path, shape) = (&parameter.path, slot.shape.clone());
                let mut source = parameter.source(&shape);
                slot.state =
                    slot.rule
                        .state_unflatten(shape.len(), path, &mut source, &slot.device);
            }
        }
        module.map(&mut Give(self))
    }
}

impl Parameter {
    fn looks_ahead(&self) -> bool {
        self.stateful && self.rule.dyn_looks_ahead()
    }

    /// The state as Burn saves it.
    fn source(&self, shape: &[usize]) -> StateSource {
        let [tensors, numbers] = &self.names;
        let values = self.state.numbers.iter().map(|x| Scalar::Float(*x));
        let mut scalars: BTreeMap<_, _> = numbers.iter().cloned().zip(values).collect();
        scalars.insert(
            format!("{}.{TIME}", self.path),
            Scalar::from(self.state.time),
        );
        let mut source = StateSource::new(scalars);
        for (name, values) in tensors.iter().zip(&self.state.tensors) {
            source.insert_tensor(
                name.clone(),
                TensorData::new(values.clone(), shape.to_vec()),
            );
        }
        if let Some(ratio) = self.state.trust_ratio {
            let name = format!("{}.{TRUST_RATIO}", self.path);
            source.insert_tensor(name, TensorData::new(vec![ratio], [1]));
        }
        source
    }
}

struct Take<'a> {
    driver: &'a Driver,
    path: Vec<String>,
    slices: Option<Slices>,
}

impl Take<'_> {
    fn parameter(&self, id: ParamId) -> Option<Parameter> {
        let path = self.path.join(".");
        let slot = self.driver.slots.get(&path)?;
        let mut sink = StateSink::default();
        if let Some(state) = &slot.state {
            slot.rule.state_flatten(&path, state, &mut sink);
        }
        let mut state = SliceState::default();
        let mut names = [Vec::new(), Vec::new()];
        for (name, data) in sink.tensors {
            let values = data.try_into_vec::<f32>().ok()?;
            if name.ends_with(TRUST_RATIO) {
                state.trust_ratio = values.first().copied();
            } else {
                names[0].push(name);
                state.tensors.push(values);
            }
        }
        for (name, value) in sink.scalars {
            match value {
                Scalar::Float(x) => {
                    names[1].push(name);
                    state.numbers.push(x);
                }
                time => state.time = u64::try_from(time).ok()?,
            }
        }
        Some(Parameter {
            id,
            path,
            rule: slot.rule.clone(),
            lr_factor: slot.lr_factor,
            is_mine: slot.is_mine,
            names,
            stateful: slot.state.is_some(),
            state,
        })
    }
}

impl ModuleVisitor for Take<'_> {
    fn enter_module(&mut self, name: &str, _: &str) {
        self.path.push(name.into());
    }
    fn exit_module(&mut self, _: &str, _: &str) {
        self.path.pop();
    }
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let parameter = self.parameter(param.id);
        let weights = param.val().inner().into_data().try_into_vec::<f32>();
        self.slices = match (self.slices.take(), parameter, weights) {
            (Some(mut slices), Some(parameter), Ok(weights)) => {
                slices.parameters.push(parameter);
                slices.weights.push(weights);
                Some(slices)
            }
            _ => None,
        };
    }
}

struct Give<'a>(&'a Slices);

impl ModuleMapper for Give<'_> {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let Some(index) = self.0.index(param.id) else {
            return param;
        };
        replaced(param, |w| {
            let data = TensorData::new(self.0.weights[index].clone(), w.dims());
            Tensor::from_data(data, &w.device())
        })
    }
}
