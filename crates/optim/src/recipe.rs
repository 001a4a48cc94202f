use crate::{ConfigError, Exclusions, Facts, GlobalClip};
use burn::optim::{DynOptimizer, DynState, Optimizer};
use burn::tensor::Tensor;
use burn::tensor::kind::BridgeTensor;
use serde::{Serialize, de::DeserializeOwned};
use std::fmt::Debug;
use std::sync::Arc;

/// In which parts of an optimizer a parameter takes part.
#[derive(Clone, Copy, PartialEq, Eq, Debug, PartialOrd, Ord)]
pub struct Part {
    /// It is decayed.
    pub decay: bool,
    /// Its rate is adapted by its norm (LARS, LAMB).
    pub adapt: bool,
}

impl Part {
    /// A parameter that is left out of nothing.
    pub const ALL: Part = Part {
        decay: true,
        adapt: true,
    };
}

/// The arithmetic of a step on one parameter: Burn's [`Optimizer`], and what the [`Driver`](crate::Driver) can do beyond Burn's.
///
/// `impl Rule for MyRule {}` is enough for a rule that needs none of it.
pub trait Rule: Optimizer {
    /// The ratio by which the last step scaled this layer's rate, of shape \[1\], if the rule has one. It is read for the trace only.
    fn trust_ratio<const D: usize>(_state: &Self::State<D>) -> Option<Tensor<1>> {
        None
    }

    /// Whether the rule wants its gradient at other weights than the present ones.
    fn looks_ahead(&self) -> bool {
        false
    }

    /// The weights at which it wants the gradient, for instance w − βv.
    fn ahead<const D: usize>(&self, w: Tensor<D>, _state: &Self::State<D>) -> Tensor<D> {
        w
    }
}

/// The configuration of an optimizer, and everything known about it. One file each.
pub trait Recipe:
    Default + Clone + PartialEq + Debug + Serialize + DeserializeOwned + Send + Sync + 'static
{
    /// The rule it configures.
    type Rule: Rule;

    /// Name, formula, options, presets, paper.
    const FACTS: &'static Facts;

    /// The configuration of a preset. Every name in [`Facts::presets`] has one, and `default()` is the first of them.
    fn preset(name: &str) -> Option<Self>;

    /// Whether every value is in its range and nothing contradicts.
    fn check(&self) -> Result<(), ConfigError>;

    /// The rule for a parameter that takes part as `part` says.
    fn rule_for(&self, part: Part) -> Self::Rule;

    /// The rule for a parameter that is left out of nothing, for use with Burn's own `ModuleOptimizer`.
    fn rule(&self) -> Self::Rule {
        self.rule_for(Part::ALL)
    }

    /// Who is left out of decay and of adaptation.
    fn exclusions(&self) -> Exclusions {
        Exclusions::default()
    }

    /// The clipping by the global norm of all gradients that belongs to the optimizer. Whoever drives the rule applies it before the step,
    /// with [`clip_by_global_norm`](crate::clip_by_global_norm).
    fn global_clip(&self) -> Option<GlobalClip> {
        None
    }
}

/// A [`Recipe`] behind a pointer: what [`Registry`](crate::Registry) hands out.
pub trait DynRecipe: Send + Sync + Debug {
    /// See [`Recipe::FACTS`].
    fn facts(&self) -> &'static Facts;
    /// Every option with its value.
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
        // A recipe that is no table of options fails its conformance test; here it shows none.
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

/// A [`Rule`] behind a pointer: rank and state are known at run time.
pub trait DynRule: DynOptimizer {
    /// See [`Rule::trust_ratio`].
    fn dyn_trust_ratio(&self, state: &DynState) -> Option<Tensor<1>>;
    /// See [`Rule::looks_ahead`].
    fn dyn_looks_ahead(&self) -> bool;
    /// See [`Rule::ahead`]; `w` is of the state's rank.
    fn dyn_ahead(&self, w: BridgeTensor, state: &DynState) -> BridgeTensor;
}

/// Runs a body with a constant rank, as Burn does for ranks up to 8.
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
