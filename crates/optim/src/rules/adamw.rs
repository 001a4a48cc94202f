use super::prelude::*;
use crate::{Adam, AdamConfig};

/// AdamW: w ← w − ηλw, then Adam's step. It is [`AdamConfig`](crate::AdamConfig) with decoupled
/// weight decay and PyTorch's defaults.
///
/// As in PyTorch and optax, λ is multiplied by the learning rate. Loshchilov and Hutter 2019, arXiv
/// 1711.05101.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema, WithSetters)]
#[serde(default, deny_unknown_fields)]
#[getset(set_with = "pub")]
pub struct AdamWConfig {
    /// Decay rate β₁ of the mean of gradients m.
    #[schemars(range(min = 0.0), extend("exclusiveMaximum" = 1.0, "why" = FORGETS))]
    pub beta1: f64,
    /// Decay rate β₂ of the mean of squared gradients v.
    #[schemars(range(min = 0.0), extend("exclusiveMaximum" = 1.0, "why" = FORGETS))]
    pub beta2: f64,
    /// ε, added to √v̂ in the denominator.
    #[schemars(range(min = 0.0), extend("why" = DIVIDES))]
    pub eps: f64,
    /// AMSGrad: divide by the root of the largest v so far.
    pub amsgrad: bool,
    /// Decoupled weight decay λ; 0 for none.
    #[schemars(range(min = 0.0), extend("why" = DECAYS))]
    pub weight_decay: f64,
    /// Parameters without weight decay.
    pub exclude_from_weight_decay: Exclude,
}

impl Default for AdamWConfig {
    fn default() -> Self {
        AdamWConfig {
            beta1: 0.9,
            beta2: 0.999,
            eps: 1e-8,
            amsgrad: false,
            weight_decay: 0.01,
            exclude_from_weight_decay: Exclude::none(),
        }
    }
}

impl AdamWConfig {
    fn adam(&self) -> AdamConfig {
        AdamConfig {
            beta1: self.beta1,
            beta2: self.beta2,
            eps: self.eps,
            amsgrad: self.amsgrad,
            weight_decay: self.weight_decay,
            decay: Decay::Decoupled,
            exclude_from_weight_decay: self.exclude_from_weight_decay.clone(),
        }
    }
}

impl OptimizerConfig for AdamWConfig {
    type Rule = Adam;

    const FACTS: Facts = Facts::new("adamw", "Adam with decoupled weight decay")
        .formula("w ← w − η λ w; then Adam: w ← w − η m̂ / (√v̂ + ε)")
        .cost("28 bytes and 14 operations a weight")
        .paper("Loshchilov and Hutter 2019, arXiv 1711.05101")
        .presets(&[("torch", "PyTorch's AdamW")]);

    fn preset(name: &str) -> Option<Self> {
        (name == "torch").then(Self::default)
    }

    fn rule_for(&self, group: ParameterGroup) -> Adam {
        self.adam().rule_for(group)
    }

    fn stability(&self) -> Option<Stability> {
        self.adam().stability()
    }

    fn exclusions(&self) -> Exclusions {
        Exclusions::of_decay(&self.exclude_from_weight_decay)
    }
}
