use super::{DECAYS, DIVIDES, FORGETS};
use crate::{
    Decay, Exclude, Exclusions, Nadam, NadamConfig, NadamCorrection, OptimizerConfig,
    ParameterGroup, Stability,
};
use getset::WithSetters;
use largebatch_component::Facts;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// NAdamW: w ← w − ηλw, then NAdam's step. It is [`NadamConfig`] with decoupled weight decay; AlgoPerf's
/// baseline.
///
/// Dozat 2016, with the decay of Loshchilov and Hutter 2019, arXiv 1711.05101.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema, WithSetters)]
#[serde(default, deny_unknown_fields)]
#[getset(set_with = "pub")]
pub struct NadamWConfig {
    /// Decay rate β₁ of the mean of gradients m.
    #[schemars(range(min = 0.0), extend("exclusiveMaximum" = 1.0, "why" = FORGETS))]
    pub beta1: f64,
    /// Decay rate β₂ of the mean of squared gradients v.
    #[schemars(range(min = 0.0), extend("exclusiveMaximum" = 1.0, "why" = FORGETS))]
    pub beta2: f64,
    /// ε, added to √v̂ in the denominator.
    #[schemars(range(min = 0.0), extend("why" = DIVIDES))]
    pub eps: f64,
    /// How the mean is corrected and looks ahead.
    pub correction: NadamCorrection,
    /// ψ of the momentum's schedule μₜ = β₁(1 − ½ 0.96^(tψ)); only with the correction `product`.
    #[schemars(range(min = 0.0))]
    pub momentum_decay: f64,
    /// Decoupled weight decay λ; 0 for none.
    #[schemars(range(min = 0.0), extend("why" = DECAYS))]
    pub weight_decay: f64,
    /// Move only where the update has the gradient's sign (cautious optimizers).
    pub caution: bool,
    /// Parameters without weight decay.
    pub exclude_from_weight_decay: Exclude,
}

impl Default for NadamWConfig {
    fn default() -> Self {
        NadamWConfig {
            beta1: 0.9,
            beta2: 0.999,
            eps: 1e-8,
            correction: NadamCorrection::One,
            momentum_decay: 0.004,
            weight_decay: 0.01,
            caution: false,
            exclude_from_weight_decay: Exclude::none(),
        }
    }
}

impl NadamWConfig {
    fn nadam(&self) -> NadamConfig {
        NadamConfig {
            beta1: self.beta1,
            beta2: self.beta2,
            eps: self.eps,
            correction: self.correction,
            momentum_decay: self.momentum_decay,
            weight_decay: self.weight_decay,
            decay: Decay::Decoupled,
            caution: self.caution,
            exclude_from_weight_decay: self.exclude_from_weight_decay.clone(),
        }
    }
}

impl OptimizerConfig for NadamWConfig {
    type Rule = Nadam;

    const FACTS: Facts = Facts::new("nadamw", "NAdam with decoupled weight decay")
        .formula("w ← w − η λ w; then NAdam: w ← w − η n̂ / (√v̂ + ε)")
        .cost("28 bytes and 17 operations a weight")
        .paper("Dozat 2016; at large batch: Nado et al. 2021, arXiv 2102.06356")
        .presets(&[
            (
                "timm",
                "timm.optim.NAdamW, and AlgoPerf's: a constant momentum",
            ),
            ("optax", "optax.nadamw: weight decay 1e-4"),
            (
                "torch",
                "PyTorch's NAdam(decoupled_weight_decay=True): weight decay 0",
            ),
        ]);

    fn preset(name: &str) -> Option<Self> {
        let timm = NadamWConfig::default();
        Some(match name {
            "timm" => timm,
            "optax" => NadamWConfig {
                correction: NadamCorrection::Next,
                weight_decay: 1e-4,
                ..timm
            },
            "torch" => NadamWConfig {
                correction: NadamCorrection::Product,
                weight_decay: 0.0,
                ..timm
            },
            _ => return None,
        })
    }

    fn rule_for(&self, group: ParameterGroup) -> Nadam {
        self.nadam().rule_for(group)
    }

    fn stability(&self) -> Option<Stability> {
        self.nadam().stability()
    }

    fn exclusions(&self) -> Exclusions {
        Exclusions::of_decay(&self.exclude_from_weight_decay)
    }
}
