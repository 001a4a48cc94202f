use crate::{ConfigError, ConfiguredGroup, Exclusions, GlobalClip, StepSlices};
use burn::optim::{DynOptimizer, DynState, ModuleOptimizer, Optimizer};
use burn::tensor::Tensor;
use burn::tensor::kind::BridgeTensor;
use largebatch_component::{Config, Facts, Kind, check};
use largebatch_kernels::with_rank;
use std::fmt::Debug;
use std::sync::Arc;

/// A group of parameters: which parts of an optimizer apply to them.
#[derive(Clone, Copy, PartialEq, Eq, Debug, PartialOrd, Ord)]
pub struct ParameterGroup {
    /// Whether weight decay applies.
    pub decay: bool,
    /// Whether layer adaptation (LARS, LAMB) applies.
    pub adapt: bool,
}

impl ParameterGroup {
    /// A parameter that is excluded from nothing.
    pub const ALL: ParameterGroup = ParameterGroup {
        decay: true,
        adapt: true,
    };
}

/// The arithmetic of one step on one parameter: Burn's [`Optimizer`], and what the
/// [`Driver`](crate::Driver) supports beyond it.
///
/// `impl Rule for MyRule {}` is enough for a rule that needs nothing more.
pub trait Rule: Optimizer {
    /// The factor by which the last step scaled this layer's learning rate, of shape \[1\]; `None`
    /// for a rule without one. Only the trace reads it.
    fn trust_ratio<const D: usize>(_state: &Self::State<D>) -> Option<Tensor<1>> {
        None
    }

    /// The step on slices, for a training without a graph; by default, or if a setting has none,
    /// `None`: then such a training uses a graph.
    fn on_slices(&self) -> Option<&dyn StepSlices> {
        None
    }

    /// Whether the rule takes its gradient at weights other than the current ones.
    fn looks_ahead(&self) -> bool {
        false
    }

    /// The weights at which the rule takes its gradient, for instance w − βv.
    fn ahead<const D: usize>(&self, w: Tensor<D>, _state: &Self::State<D>) -> Tensor<D> {
        w
    }
}

/// The configuration of an optimizer, which says everything about it. One file each.
///
/// The type derives what a [`Config`] needs.
pub trait OptimizerConfig: Config + Default {
    /// The rule that it configures.
    type Rule: Rule;

    /// Name, formula, paper, presets.
    const FACTS: Facts;

    /// The configuration of a preset: `Some` for each name in [`Facts::presets`], else `None`. The
    /// first preset is `default()`.
    fn preset(name: &str) -> Option<Self>;

    /// Refuses options that contradict each other. Ranges are checked before.
    ///
    /// # Errors
    /// [`ConfigError::Contradiction`].
    fn check(&self) -> Result<(), ConfigError> {
        Ok(())
    }

    /// The rule for a parameter to which the parts in `part` apply.
    fn rule_for(&self, group: ParameterGroup) -> Self::Rule;

    /// The rule for a parameter that is excluded from nothing, for use with Burn's
    /// `ModuleOptimizer`.
    ///
    /// # Errors
    /// A value out of its range, or options that contradict each other.
    fn rule(&self) -> Result<Self::Rule, ConfigError> {
        DynOptimizerConfig::check(self)?;
        Ok(self.rule_for(ParameterGroup::ALL))
    }

    /// Burn's optimizer with this rule, for parameters that are excluded from nothing. For exclusions
    /// and a saved state see [`Driver`](crate::Driver).
    ///
    /// # Errors
    /// As [`OptimizerConfig::rule`].
    fn init(&self) -> Result<ModuleOptimizer, ConfigError> {
        Ok(ModuleOptimizer::from(self.rule()?))
    }

    /// Parameters excluded from decay and from adaptation.
    fn exclusions(&self) -> Exclusions {
        Exclusions::default()
    }

    /// How the rule behaves on a quadratic, if that is known; `largebatch probe curvature` asks for
    /// it.
    fn stability(&self) -> Option<Stability> {
        None
    }

    /// Clipping by the global norm, if it is part of the optimizer. The caller applies it before
    /// the step, with [`clip_by_global_norm`](crate::clip_by_global_norm).
    fn global_clip(&self) -> Option<GlobalClip> {
        None
    }
}

/// How a rule behaves on a quadratic ½λw²: it is stable if η (λ + `decay`) is below `bound`. With a
/// preconditioner, λ is an eigenvalue of the preconditioned Hessian.
pub struct Stability {
    /// The bound on the product of learning rate and curvature.
    pub bound: f64,
    /// Weight decay λ that acts as curvature: L2 decay; 0 for decoupled decay.
    pub decay: f64,
    /// The diagonal by which the rule divides the gradient; `None` if it does not.
    pub preconditioner: Option<Preconditioner>,
}

/// The diagonal by which a rule divides the gradient.
pub struct Preconditioner {
    /// The field of the state, of the parameter's shape, from which it is computed. The state also
    /// has the field `time`, the number of steps.
    pub field: &'static str,
    /// The divisor, from the field's value and the number of steps.
    pub divisor: Box<dyn Fn(f64, u64) -> f64>,
}

/// A divisor is at least this: a weight without any gradient so far would be divided by 0.
pub(crate) const LEAST_DIVISOR: f64 = 1e-30;

/// A dyn-compatible [`OptimizerConfig`], as the [`Registry`](crate::Registry) returns it.
pub trait DynOptimizerConfig: Send + Sync + Debug {
    /// See [`OptimizerConfig::FACTS`].
    fn facts(&self) -> Facts;
    /// Every option and its value.
    fn table(&self) -> toml::Table;
    /// Checks ranges, and options that contradict each other.
    ///
    /// # Errors
    /// The first value that is refused.
    fn check(&self) -> Result<(), ConfigError>;
    /// See [`OptimizerConfig::rule_for`].
    fn dyn_rule(&self, group: ParameterGroup) -> Arc<dyn DynRule>;
    /// See [`OptimizerConfig::exclusions`].
    fn exclusions(&self) -> Exclusions;
    /// Parameters with a rate or options of their own: see [`Grouped`](crate::Grouped).
    ///
    /// # Errors
    /// A group's options are refused.
    fn groups(&self) -> Result<Vec<ConfiguredGroup>, ConfigError> {
        Ok(Vec::new())
    }
    /// See [`OptimizerConfig::stability`].
    fn stability(&self) -> Option<Stability>;
    /// See [`OptimizerConfig::global_clip`].
    fn global_clip(&self) -> Option<GlobalClip>;
    /// A copy.
    fn boxed(&self) -> Box<dyn DynOptimizerConfig>;
}

impl<C: OptimizerConfig> DynOptimizerConfig for C {
    fn facts(&self) -> Facts {
        C::FACTS
    }
    fn table(&self) -> toml::Table {
        // A recipe that does not serialize to a table fails the conformance suite; here it shows no
        // options.
        toml::Table::try_from(self).unwrap_or_default()
    }
    fn check(&self) -> Result<(), ConfigError> {
        check(Kind::Optimizer, C::FACTS.name, self)?;
        OptimizerConfig::check(self)
    }
    fn dyn_rule(&self, group: ParameterGroup) -> Arc<dyn DynRule> {
        Arc::new(self.rule_for(group))
    }
    fn exclusions(&self) -> Exclusions {
        OptimizerConfig::exclusions(self)
    }
    fn stability(&self) -> Option<Stability> {
        OptimizerConfig::stability(self)
    }
    fn global_clip(&self) -> Option<GlobalClip> {
        OptimizerConfig::global_clip(self)
    }
    fn boxed(&self) -> Box<dyn DynOptimizerConfig> {
        Box::new(self.clone())
    }
}

/// A dyn-compatible [`Rule`]: rank and state are known only at run time.
pub trait DynRule: DynOptimizer {
    /// See [`Rule::trust_ratio`].
    fn dyn_trust_ratio(&self, state: &DynState) -> Option<Tensor<1>>;
    /// See [`Rule::on_slices`].
    fn dyn_on_slices(&self) -> Option<&dyn StepSlices>;
    /// See [`Rule::looks_ahead`].
    fn dyn_looks_ahead(&self) -> bool;
    /// See [`Rule::ahead`]; `w` has the state's rank.
    fn dyn_ahead(&self, w: BridgeTensor, state: &DynState) -> BridgeTensor;
}

impl<R: Rule> DynRule for R {
    fn dyn_trust_ratio(&self, state: &DynState) -> Option<Tensor<1>> {
        with_rank!(state.rank(), D => R::trust_ratio::<D>(state.downcast_ref::<R::State<D>>()), else None)
    }
    fn dyn_on_slices(&self) -> Option<&dyn StepSlices> {
        self.on_slices()
    }
    fn dyn_looks_ahead(&self) -> bool {
        self.looks_ahead()
    }
    fn dyn_ahead(&self, w: BridgeTensor, state: &DynState) -> BridgeTensor {
        with_rank!(state.rank(), D => {
            self.ahead(Tensor::<D>::from_bridge(w), state.downcast_ref::<R::State<D>>()).into_bridge()
        }, else w)
    }
}
