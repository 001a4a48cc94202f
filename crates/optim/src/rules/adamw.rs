use super::adam::{AMSGRAD, BETA1, BETA2, EPS};
use super::{EXCLUDE_DECAY, WEIGHT_DECAY, check_beta, check_decay, check_eps};
use crate::{
    Adam, ConfigError, Decay, Exclude, Exclusions, Facts, Part, Preset, Recipe, WeightDecay,
};
use serde::{Deserialize, Serialize};

/// AdamW: w ← w − ηλw, then Adam's step. It is [`AdamConfig`](crate::AdamConfig) with decoupled
/// weight decay and PyTorch's defaults.
///
/// | option | default | purpose |
/// | --- | --- | --- |
/// | `beta1`, `beta2`, `eps`, `amsgrad` | 0.9, 0.999, 1e-8, false | as in Adam |
/// | `weight_decay` | 0.01 | weight decay λ (optax: 1e-4) |
/// | `exclude_from_weight_decay` | none | see [`Exclude`] |
///
/// As in PyTorch and optax, λ is multiplied by the learning rate. Loshchilov and Hutter 2019, arXiv
/// 1711.05101.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AdamWConfig {
    /// Decay rate β₁ of the mean of gradients m; 0 ≤ β₁ < 1, default 0.9.
    pub beta1: f64,
    /// Decay rate β₂ of the mean of squared gradients v; 0 ≤ β₂ < 1, default 0.999.
    pub beta2: f64,
    /// ε, added to √v̂; 0 or more, default 1e-8.
    pub eps: f64,
    /// AMSGrad: divide by the root of the largest v so far; default false.
    pub amsgrad: bool,
    /// Decoupled weight decay λ; 0 or more, default 0.01.
    pub weight_decay: f64,
    /// Parameters excluded from weight decay; default none.
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

impl Recipe for AdamWConfig {
    type Rule = Adam;

    const FACTS: &'static Facts = &Facts {
        name: "adamw",
        summary: "Adam with decoupled weight decay",
        formula: "w ← w − η λ w; then Adam: w ← w − η m̂ / (√v̂ + ε)",
        paper: "Loshchilov and Hutter 2019, arXiv 1711.05101",
        parameters: &[BETA1, BETA2, EPS, AMSGRAD, WEIGHT_DECAY, EXCLUDE_DECAY],
        presets: &[Preset {
            name: "torch",
            summary: "PyTorch's AdamW",
        }],
    };

    fn preset(name: &str) -> Option<Self> {
        (name == "torch").then(Self::default)
    }

    fn check(&self) -> Result<(), ConfigError> {
        check_beta("beta1", self.beta1)?;
        check_beta("beta2", self.beta2)?;
        check_eps(self.eps)?;
        check_decay(self.weight_decay)
    }

    fn rule_for(&self, part: Part) -> Adam {
        let weight_decay = WeightDecay::new(self.weight_decay, Decay::Decoupled, part.decay);
        Adam {
            beta1: self.beta1,
            beta2: self.beta2,
            eps: self.eps,
            amsgrad: self.amsgrad,
            weight_decay,
        }
    }

    fn exclusions(&self) -> Exclusions {
        Exclusions {
            weight_decay: self.exclude_from_weight_decay.clone(),
            layer_adaptation: Exclude::none(),
        }
    }
}
