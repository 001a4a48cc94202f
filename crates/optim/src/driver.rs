use crate::groups::Part;
use crate::norm::norm;
use crate::{DynOptimizerConfig, DynRule, GlobalClip, OptimError};
use burn::module::{Module, ModuleMapper, ModuleVisitor, Param};
use burn::optim::{DynState, GradientsParams};
use burn::tensor::{DType, Device, Tensor};
use serde::Serialize;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Applies an optimizer to a whole module, as Burn's `ModuleOptimizer` does. Beyond that:
///
/// - it identifies a parameter by its path, not by an id that is random in each process, so the
///   saved state has the same bytes everywhere ([`Driver::save`], [`Driver::load`]);
/// - parameters can be excluded from decay and adaptation by path, rank or layer type, or have a rate
///   and options of their own ([`Grouped`](crate::Grouped));
/// - norms and trust ratios can be traced ([`Driver::step_traced`]);
/// - a rule can take its gradient at shifted weights ([`Driver::ahead`]).
///
/// The driver does not clip: before the step, the caller applies [`Driver::global_clip`] to the
/// gradients.
pub struct Driver {
    /// The groups, and last the optimizer of all other parameters.
    parts: Vec<Part>,
    pub(crate) slots: BTreeMap<String, Slot>,
}

/// What the driver keeps for one parameter.
pub(crate) struct Slot {
    pub rule: Arc<dyn DynRule>,
    pub lr_factor: f64,
    pub shape: Vec<usize>,
    pub device: Device,
    /// Whether this process steps it and keeps its state.
    pub is_mine: bool,
    pub state: Option<DynState>,
}

impl Slot {
    /// The trust ratio of the last step, read from the device.
    fn trust_ratio(&self) -> Option<f64> {
        let state = self.state.as_ref()?;
        self.rule.dyn_trust_ratio(state).map(read)
    }
}

/// One layer at one step.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct LayerTrace {
    /// The parameter's path.
    pub path: String,
    /// ‖w‖₂ before the step.
    pub w: f64,
    /// ‖g‖₂ of the gradient that the rule received, so after clipping.
    pub g: f64,
    /// ‖Δw‖₂, the norm of the weights' change.
    pub delta: f64,
    /// The layer's trust ratio; `None` if the rule has none or the parameter is excluded.
    pub trust_ratio: Option<f64>,
    /// The effective learning rate: the learning rate times the trust ratio.
    pub rate: f64,
}

impl Driver {
    /// Makes an optimizer for this module: checks the recipe, and resolves its exclusions against
    /// the module's paths, ranks and layer types.
    pub fn new<M: Module>(
        recipe: &dyn DynOptimizerConfig,
        module: &M,
    ) -> Result<Driver, OptimError> {
        let mut driver = Driver::empty(recipe)?;
        module.visit(&mut Enroll {
            driver: &mut driver,
            place: Place::default(),
        });
        for part in &driver.parts {
            part.check(driver.slots.keys().map(String::as_str))?;
        }
        Ok(driver)
    }

    /// An optimizer without parameters; [`Driver::register`] adds them.
    pub(crate) fn empty(recipe: &dyn DynOptimizerConfig) -> Result<Driver, OptimError> {
        recipe.check()?;
        let groups = recipe.groups()?.into_iter();
        let mut parts: Vec<Part> = groups
            .map(|group| Part::new(Some(group.parameters), group.lr_factor, group.optimizer))
            .collect();
        parts.push(Part::new(None, 1.0, recipe.boxed()));
        Ok(Driver {
            parts,
            slots: BTreeMap::new(),
        })
    }

    pub(crate) fn register(
        &mut self,
        path: String,
        layers: &[String],
        shape: Vec<usize>,
        device: Device,
    ) {
        let mut parts = self.parts.iter_mut();
        let rule =
            parts.find_map(|part| Some((part.rule(&path, shape.len(), layers)?, part.lr_factor)));
        let (rule, lr_factor) = rule.expect("the last part has all parameters");
        self.slots.insert(
            path,
            Slot {
                rule,
                lr_factor,
                shape,
                device,
                is_mine: true,
                state: None,
            },
        );
    }

    fn recipe(&self) -> &dyn DynOptimizerConfig {
        let last = self.parts.last();
        &*last.expect("the last part has all parameters").recipe
    }

    /// The optimizer's name.
    pub fn name(&self) -> &'static str {
        self.recipe().facts().name
    }

    /// The clipping that is part of the optimizer, if any. Apply it before the step, with
    /// [`clip_by_global_norm`](crate::clip_by_global_norm).
    pub fn global_clip(&self) -> Option<GlobalClip> {
        self.recipe().global_clip()
    }

    /// One step with learning rate `lr`. Parameters without a gradient stay as they are. Pass the
    /// module by move: tensors that nothing else holds are updated in place.
    pub fn step<M: Module>(&mut self, lr: f64, module: M, grads: GradientsParams) -> M {
        module.map(&mut Stepper {
            driver: self,
            grads,
            lr,
            place: Place::default(),
            trace: None,
        })
    }

    /// As [`Driver::step`], and returns what the step did to each layer. It reads the norms, so it
    /// waits for the device.
    pub fn step_traced<M: Module>(
        &mut self,
        lr: f64,
        module: M,
        grads: GradientsParams,
    ) -> (M, Vec<LayerTrace>) {
        let mut trace = Vec::new();
        let module = module.map(&mut Stepper {
            driver: self,
            grads,
            lr,
            place: Place::default(),
            trace: Some(&mut trace),
        });
        (module, trace)
    }

    /// The trust ratio of each parameter at the last step, by path. Empty for rules without one;
    /// excluded parameters are missing. It reads the ratios, so it waits for the device.
    pub fn trust_ratios(&self) -> BTreeMap<String, f64> {
        let slots = self.slots.iter();
        slots
            .filter_map(|(path, slot)| Some((path.clone(), slot.trust_ratio()?)))
            .collect()
    }

    /// A copy of the module at the weights at which the rule wants its next gradient, such as w −
    /// βv for Nesterov's look-ahead. Keep the original for [`Driver::step`]. `None` if the rule
    /// wants the gradient at the current weights, and before the first step, when both are the
    /// same.
    ///
    /// The copy shares batch norm's running statistics with the original, as all clones in Burn do:
    /// the forward pass at the shifted weights updates both.
    pub fn ahead<M: Module>(&self, module: &M) -> Option<M> {
        let wanted = self
            .slots
            .values()
            .any(|slot| slot.state.is_some() && slot.rule.dyn_looks_ahead());
        wanted.then(|| {
            module.clone().map(&mut Ahead {
                driver: self,
                place: Place::default(),
            })
        })
    }

    /// One step of one parameter, on tensors that autodiff does not track.
    pub(crate) fn advance<const D: usize>(
        slot: &mut Slot,
        lr: f64,
        w: Tensor<D>,
        g: Tensor<D>,
        trace: Option<(&mut Vec<LayerTrace>, &str)>,
    ) -> Tensor<D> {
        let lr = lr * slot.lr_factor;
        let before = trace.is_some().then(|| (w.clone(), norm(&g)));
        let dtype = w.dtype();
        // In half precision an eps of 1e-8 vanishes and a sum of squares overflows or loses digits,
        // so the step is done in f32.
        let (w, g) = if matches!(dtype, DType::F16 | DType::BF16) {
            (w.cast(DType::F32), g.cast(DType::F32))
        } else {
            (w, g)
        };
        let device = g.device();
        let state = slot.state.take().map(|s| {
            if slot.device == device {
                s
            } else {
                slot.rule.to_device_dyn(s, &device)
            }
        });
        slot.device = device;
        let (w, state) = slot
            .rule
            .step_dyn(D, lr, w.into_bridge(), g.into_bridge(), state);
        slot.state = state;
        let w = Tensor::<D>::from_bridge(w);
        let w = if w.dtype() == dtype { w } else { w.cast(dtype) };
        if let (Some((layers, path)), Some((old, g))) = (trace, before) {
            let ratio = slot.trust_ratio();
            layers.push(LayerTrace {
                path: path.into(),
                w: read(norm(&old)),
                g: read(g),
                delta: read(norm(&(w.clone() - old))),
                trust_ratio: ratio,
                rate: lr * ratio.unwrap_or(1.0),
            });
        }
        w
    }
}

/// Reads the number from the device; NaN if the device failed.
pub(crate) fn read(x: Tensor<1>) -> f64 {
    x.try_into_scalar::<f64>().unwrap_or(f64::NAN)
}

/// The position in a visit of a module: names and types of the enclosing modules.
#[derive(Default)]
struct Place {
    names: Vec<String>,
    layers: Vec<String>,
}

impl Place {
    fn enter(&mut self, name: &str, layer: &str) {
        self.names.push(name.into());
        self.layers.push(layer.into());
    }
    fn exit(&mut self) {
        self.names.pop();
        self.layers.pop();
    }
    fn path(&self) -> String {
        self.names.join(".")
    }
}

struct Enroll<'a> {
    driver: &'a mut Driver,
    place: Place,
}

impl ModuleVisitor for Enroll<'_> {
    fn enter_module(&mut self, name: &str, layer: &str) {
        self.place.enter(name, layer);
    }
    fn exit_module(&mut self, _: &str, _: &str) {
        self.place.exit();
    }
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let shape = param.lazy_shape().to_vec();
        self.driver.register(
            self.place.path(),
            &self.place.layers,
            shape,
            param.lazy_device().inner(),
        );
    }
}

struct Stepper<'a> {
    driver: &'a mut Driver,
    grads: GradientsParams,
    lr: f64,
    place: Place,
    trace: Option<&'a mut Vec<LayerTrace>>,
}

impl ModuleMapper for Stepper<'_> {
    fn enter_module(&mut self, name: &str, layer: &str) {
        self.place.enter(name, layer);
    }
    fn exit_module(&mut self, _: &str, _: &str) {
        self.place.exit();
    }
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let Some(g) = self.grads.remove::<D>(param.id) else {
            return param;
        };
        let path = self.place.path();
        if !self.driver.slots.contains_key(&path) {
            // A layer that was added to the module after the driver was made.
            let shape = param.lazy_shape().to_vec();
            let layers = &self.place.layers;
            self.driver
                .register(path.clone(), layers, shape, g.device());
        }
        let slot = self.driver.slots.get_mut(&path);
        let Some(slot) = slot.filter(|slot| slot.is_mine) else {
            return param;
        };
        let trace = self
            .trace
            .as_mut()
            .map(|layers| (&mut **layers, path.as_str()));
        let (lr, g) = (self.lr, g.inner());
        replaced(param, |w| {
            let is_there = w.device() == g.device();
            let w = if is_there {
                w
            } else {
                w.to_device(&g.device())
            };
            Driver::advance(slot, lr, w, g, trace)
        })
    }
}

struct Ahead<'a> {
    driver: &'a Driver,
    place: Place,
}

impl ModuleMapper for Ahead<'_> {
    fn enter_module(&mut self, name: &str, layer: &str) {
        self.place.enter(name, layer);
    }
    fn exit_module(&mut self, _: &str, _: &str) {
        self.place.exit();
    }
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let Some(slot) = self.driver.slots.get(&self.place.path()) else {
            return param;
        };
        let Some(state) = &slot.state else {
            return param;
        };
        replaced(param, |w| {
            let dtype = w.dtype();
            let w = slot.rule.dyn_ahead(w.into_bridge(), state);
            let w = Tensor::<D>::from_bridge(w);
            if w.dtype() == dtype { w } else { w.cast(dtype) }
        })
    }
}

/// The parameter with another value, computed without a graph from the old one.
pub(crate) fn replaced<const D: usize>(
    param: Param<Tensor<D>>,
    change: impl FnOnce(Tensor<D>) -> Tensor<D>,
) -> Param<Tensor<D>> {
    let (id, w, mapper) = param.consume();
    let (tracked, checkpointing) = (w.is_require_grad(), w.gradient_checkpointing_strategy());
    let mut w = change(w.inner());
    if let Some(strategy) = checkpointing {
        w = Tensor::from_inner(w).with_gradient_checkpointing_strategy(strategy);
    }
    if tracked {
        w = w.require_grad();
    }
    Param::from_mapped_value(id, w, mapper)
}
