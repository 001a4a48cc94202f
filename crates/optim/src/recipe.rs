use crate::{ConfigError, Exclusions, Facts, GlobalClip};
use burn::optim::{DynOptimizer, DynState, Optimizer};
use burn::tensor::Tensor;
use burn::tensor::kind::BridgeTensor;
use serde::{Serialize, de::DeserializeOwned};
use std::fmt::Debug;
use std::sync::Arc;

/// Which parts of an optimizer apply to a parameter.
#[derive(Clone, Copy, PartialEq, Eq, Debug, PartialOrd, Ord)]
pub struct Part {
    /// Whether weight decay applies.
    pub decay: bool,
    /// Whether layer adaptation (LARS, LAMB) applies.
    pub adapt: bool,
}

impl Part {
    /// A parameter that is excluded from nothing.
    pub const ALL: Part = Part {
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

    /// Whether the rule takes its gradient at weights other than the current ones.
    fn looks_ahead(&self) -> bool {
        false
    }

    /// The weights at which the rule takes its gradient, for instance w − βv.
    fn ahead<const D: usize>(&self, w: Tensor<D>, _state: &Self::State<D>) -> Tensor<D> {
        w
    }
}

/// The configuration of an optimizer, with its description, presets and checks.
pub trait Recipe:
    Default + Clone + PartialEq + Debug + Serialize + DeserializeOwned + Send + Sync + 'static
{
    /// The rule that it configures.
    type Rule: Rule;

    /// Name, formula, options, presets, paper.
    const FACTS: &'static Facts;

    /// The configuration of a preset: `Some` for each name in [`Facts::presets`], else `None`. The
    /// first preset is `default()`.
    fn preset(name: &str) -> Option<Self>;

    /// Checks that every value is in its range and that no options contradict each other.
    fn check(&self) -> Result<(), ConfigError>;

    /// The rule for a parameter to which the parts in `part` apply.
    fn rule_for(&self, part: Part) -> Self::Rule;

    /// The rule for a parameter that is excluded from nothing, for use with Burn's
    /// `ModuleOptimizer`.
    fn rule(&self) -> Self::Rule {
        self.rule_for(Part::ALL)
    }

    /// Parameters excluded from decay and from adaptation.
    fn exclusions(&self) -> Exclusions {
        Exclusions::default()
    }

    /// Clipping by the global norm, if it is part of the optimizer. The caller applies it before
    /// the step, with [`clip_by_global_norm`](crate::clip_by_global_norm).
    fn global_clip(&self) -> Option<GlobalClip> {
        None
    }
}

/// A dyn-compatible [`Recipe`], as the [`Registry`](crate::Registry) returns it.
pub trait DynRecipe: Send + Sync + Debug {
    /// See [`Recipe::FACTS`].
    fn facts(&self) -> &'static Facts;
    /// Every option and its value.
    fn table(&self) -> toml::Table;
    /// See [`Recipe::check`].
    fn check(&self) -> Result<(), ConfigError>;
    /// See [`Recipe::rule_for`].
    fn dyn_rule(&self, part: Part) -> Arc<dyn DynRule>;
    /// See [`Recipe::exclusions`].
    fn exclusions(&self) -> Exclusions;
    /// See [`Recipe::global_clip`].
    fn global_clip(&self) -> Option<GlobalClip>;
    /// A copy.
    fn boxed(&self) -> Box<dyn DynRecipe>;
}

impl<R: Recipe> DynRecipe for R {
    fn facts(&self) -> &'static Facts {
        R::FACTS
    }
    fn table(&self) -> toml::Table {
        // A recipe that does not serialize to a table fails the conformance suite; here it shows no
        // options.
        toml::Table::try_from(self).unwrap_or_default()
    }
    fn check(&self) -> Result<(), ConfigError> {
        Recipe::check(self)
    }
    fn dyn_rule(&self, part: Part) -> Arc<dyn DynRule> {
        Arc::new(self.rule_for(part))
    }
    fn exclusions(&self) -> Exclusions {
        Recipe::exclusions(self)
    }
    fn global_clip(&self) -> Option<GlobalClip> {
        Recipe::global_clip(self)
    }
    fn boxed(&self) -> Box<dyn DynRecipe> {
        Box::new(self.clone())
    }
}

/// A dyn-compatible [`Rule`]: rank and state are known only at run time.
pub trait DynRule: DynOptimizer {
    /// See [`Rule::trust_ratio`].
    fn dyn_trust_ratio(&self, state: &DynState) -> Option<Tensor<1>>;
    /// See [`Rule::looks_ahead`].
    fn dyn_looks_ahead(&self) -> bool;
    /// See [`Rule::ahead`]; `w` has the state's rank.
    fn dyn_ahead(&self, w: BridgeTensor, state: &DynState) -> BridgeTensor;
}

/// Runs a body with the rank as a constant, for ranks up to 8, as Burn does.
macro_rules! with_rank {
    ($rank:expr, $d:ident => $body:expr, else $other:expr) => {
        with_rank!(@ $rank, $d, $body, $other, 1 2 3 4 5 6 7 8)
    };
    (@ $rank:expr, $d:ident, $body:expr, $other:expr, $($n:literal)*) => {
        match $rank {
            $($n => { const $d: usize = $n; $body })*
            _ => $other,
        }
    };
}
pub(crate) use with_rank;

impl<R: Rule> DynRule for R {
    fn dyn_trust_ratio(&self, state: &DynState) -> Option<Tensor<1>> {
        with_rank!(state.rank(), D => R::trust_ratio::<D>(state.downcast_ref::<R::State<D>>()), else None)
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
