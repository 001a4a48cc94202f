mod rule;

pub use rule::{Muon, MuonState};

use super::prelude::*;
use crate::ConfigError;
use largebatch_component::{ComponentError, Kind};

/// Muon: momentum whose matrices are orthogonalised before the step. m ← βm + (1 − β)g; u = (1 − β)g + βm;
/// w ← w(1 − ηλ) − η s NS(u).
///
/// NS(X) is `steps` iterations of Newton and Schulz, X ← aX + (bA + cA²)X with A = XXᵀ, from X/‖X‖: it
/// brings the singular values near 1. A matrix of Burn is [inputs, outputs]; a parameter of a higher
/// rank is [outputs, …] and flattened to [outputs, rest], or taken apart ([`MuonKernels`]). The factor s
/// depends on both ([`MuonScale`]).
///
/// Parameters of rank 0 and 1, and those of `exclude_from_orthogonalization`, take the fallback rule.
/// Exclude embeddings and the last layer, and in convolutional networks the first one.
///
/// Cost beyond momentum: for a matrix of sides m ≤ n, 4m²n + 2m³ operations in each iteration.
///
/// Jordan et al. 2024, kellerjordan.github.io/posts/muon; scaled: Liu et al. 2025, arXiv 2502.16982.
/// Burn's own `Muon` scales as if its matrices were [outputs, inputs].
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema, WithSetters)]
#[serde(default, deny_unknown_fields)]
#[getset(set_with = "pub")]
pub struct MuonConfig {
    /// Momentum β.
    #[schemars(range(min = 0.0), extend("exclusiveMaximum" = 1.0, "why" = FORGETS))]
    pub momentum: f64,
    /// Whether the step looks ahead: u = (1 − β)g + βm instead of m.
    pub nesterov: bool,
    /// Whether m is an average or a sum, and whether it is corrected.
    pub form: MuonForm,
    /// Iterations of Newton and Schulz.
    #[schemars(range(min = 1, max = 100))]
    pub steps: usize,
    /// Their coefficients a, b and c.
    pub coefficients: MuonCoefficients,
    /// ε in the first division by ‖X‖.
    #[schemars(range(min = 0.0), extend("why" = DIVIDES))]
    pub eps: f64,
    /// Whether ε is added to ‖X‖ or is its least value.
    pub eps_place: MuonEps,
    /// The factor s of an orthogonalised step.
    pub scale: MuonScale,
    /// The matrices of a parameter of a rank above 2.
    pub kernels: MuonKernels,
    /// Whether the weights of an orthogonalised parameter are scaled to ‖w‖ = √outputs before the step;
    /// λ then changes nothing for them.
    pub fixed_norm: bool,
    /// Decoupled weight decay λ; 0 for none.
    #[schemars(range(min = 0.0), extend("why" = DECAYS))]
    pub weight_decay: f64,
    /// Parameters without weight decay.
    pub exclude_from_weight_decay: Exclude,
    /// Parameters that take the fallback rule, as all of rank 0 and 1 do.
    pub exclude_from_orthogonalization: Exclude,
    /// The rule of the other parameters.
    pub fallback: MuonFallback,
    /// Decay rate β₁ of the fallback rule, or its momentum.
    #[schemars(range(min = 0.0), extend("exclusiveMaximum" = 1.0, "why" = FORGETS))]
    pub fallback_beta1: f64,
    /// Decay rate β₂ of the fallback rule.
    #[schemars(range(min = 0.0), extend("exclusiveMaximum" = 1.0, "why" = FORGETS))]
    pub fallback_beta2: f64,
    /// ε of the fallback rule.
    #[schemars(range(min = 0.0), extend("why" = DIVIDES))]
    pub fallback_eps: f64,
    /// The fallback rule's rate, as a multiple of η.
    #[schemars(range(min = 0.0))]
    pub fallback_rate: f64,
    /// The fallback rule's weight decay, or `same` for λ; decoupled, but L2 for `nesterov`.
    #[schemars(extend("values" = "\"same\", or a number, at least 0"))]
    pub fallback_weight_decay: FallbackDecay,
}

/// The momentum of [`MuonConfig`]; up to ε, all orthogonalise the same direction.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum MuonForm {
    /// m ← βm + (1 − β)g; u = (1 − β)g + βm.
    #[default]
    Average,
    /// m ← βm + g; u = g + βm.
    Sum,
    /// As `average`, with m/(1 − βᵗ⁺¹) and g/(1 − βᵗ); without Nesterov m/(1 − βᵗ).
    Corrected,
}

/// The coefficients (a, b, c) of each iteration in [`MuonConfig`].
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum MuonCoefficients {
    /// (3.4445, −4.7750, 2.0315) throughout. Keller Jordan's.
    #[default]
    Quintic,
    /// Five triples, one for each iteration; the last one repeats. timm's default.
    Tuned,
}

/// Where ε stands in [`MuonConfig`].
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum MuonEps {
    /// X/(‖X‖ + ε).
    #[default]
    Added,
    /// X/max(‖X‖, ε).
    Floor,
}

/// The factor s in [`MuonConfig`], for o outputs and i inputs.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum MuonScale {
    /// √max(1, o/i).
    #[default]
    Aspect,
    /// As `aspect` for matrices; for kernels √max(1, height/width), as Keller Jordan's code computes.
    Kernel,
    /// 0.2 √max(o, i), which gives the step the size of AdamW's.
    Rms,
    /// √(o/i).
    Spectral,
    /// 1.
    None,
}

/// The matrices of a parameter [outputs, inputs, …] of a rank above 2 in [`MuonConfig`].
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum MuonKernels {
    /// One, [outputs, rest].
    #[default]
    Flattened,
    /// One [outputs, inputs] for each place in the kernel; their step is divided by √places. timm's
    /// `conv_mode="batched"`.
    Batched,
}

/// Weight decay of the fallback rule of [`MuonConfig`].
#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum FallbackDecay {
    /// The same as that of the orthogonalised parameters; written `"same"`.
    Same(Same),
    /// This.
    Rate(f64),
}

/// The word `same`.
#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Same {
    /// The same value.
    Same,
}

/// The rule of what [`MuonConfig`] does not orthogonalise.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum MuonFallback {
    /// AdamW.
    #[default]
    Adamw,
    /// AdamW with √v̂ + ε replaced by (√v + ε)/√(1 − β₂ᵗ). Moonlight and Keras.
    AdamwRawEps,
    /// NAdamW in optax's form.
    Nadamw,
    /// NAdamW in timm's form, which its Muon takes with Nesterov.
    NadamwOne,
    /// SGD with Nesterov's momentum β₁ and L2 decay, in PyTorch's form. airbench.
    Nesterov,
}

impl Default for MuonConfig {
    fn default() -> Self {
        MuonConfig {
            momentum: 0.95,
            nesterov: true,
            form: MuonForm::Average,
            steps: 5,
            coefficients: MuonCoefficients::Quintic,
            eps: 1e-7,
            eps_place: MuonEps::Added,
            scale: MuonScale::Aspect,
            kernels: MuonKernels::Flattened,
            fixed_norm: false,
            weight_decay: 0.0,
            exclude_from_weight_decay: Exclude::none(),
            exclude_from_orthogonalization: Exclude::none(),
            fallback: MuonFallback::Adamw,
            fallback_beta1: 0.9,
            fallback_beta2: 0.95,
            fallback_eps: 1e-10,
            fallback_rate: 0.015,
            fallback_weight_decay: FallbackDecay::Same(Same::Same),
        }
    }
}

impl OptimizerConfig for MuonConfig {
    type Rule = Muon;

    const FACTS: Facts = Facts::new(
        "muon",
        "momentum whose matrices are orthogonalised before the step; AdamW for the rest",
    )
    .formula(
        "m ← β m + (1 − β) g; u = (1 − β) g + β m; w ← w (1 − η λ) − η s NS(u)\n\
         NS(X): X ← X / ‖X‖; steps times: A = X Xᵀ, X ← a X + (b A + c A²) X\n\
         vectors and excluded parameters: AdamW or NAdamW with a rate of their own",
    )
    .cost("20 bytes and 10 operations a weight, and of a matrix of sides m ≤ n\n4 m² n + 2 m³ operations in each iteration; in five, 20 m² n + 10 m³")
    .paper(
        "Jordan et al. 2024, kellerjordan.github.io/posts/muon; Liu et al. 2025, arXiv 2502.16982",
    )
    .presets(&[
        (
            "keller",
            "Keller Jordan's Muon, with the scale of kernels off the flattened matrix",
        ),
        ("torch", "PyTorch's Muon, with its AdamW for the rest"),
        (
            "moonlight",
            "Liu et al. 2025: the size of AdamW's steps, one rate and decay for all",
        ),
        (
            "optax",
            "optax.contrib.muon: corrected momentum, NAdamW for the rest",
        ),
        (
            "timm",
            "timm.optim.Muon: five triples of coefficients, no Nesterov, AdamW for the rest",
        ),
        ("keras", "Keras' Muon: a sum, the size of AdamW's steps"),
        (
            "po",
            "pytorch_optimizer's Muon: as keller, no decay for the rest",
        ),
        (
            "airbench",
            "Keller Jordan's CIFAR-10 record: matrices of fixed norm, Nesterov for the rest; rate 0.24",
        ),
    ]);

    fn preset(name: &str) -> Option<Self> {
        let keller = Self::default();
        Some(match name {
            "keller" => keller,
            "torch" => MuonConfig {
                eps_place: MuonEps::Floor,
                weight_decay: 0.1,
                fallback_beta2: 0.999,
                fallback_eps: 1e-8,
                fallback_rate: 1.0,
                fallback_weight_decay: FallbackDecay::Rate(0.01),
                ..keller
            },
            "moonlight" => MuonConfig {
                form: MuonForm::Sum,
                scale: MuonScale::Rms,
                weight_decay: 0.1,
                fallback: MuonFallback::AdamwRawEps,
                fallback_eps: 1e-8,
                fallback_rate: 1.0,
                ..keller
            },
            "optax" => MuonConfig {
                form: MuonForm::Corrected,
                eps: 1e-8,
                fallback: MuonFallback::Nadamw,
                fallback_beta2: 0.999,
                fallback_eps: 1e-8,
                fallback_rate: 1.0,
                fallback_weight_decay: FallbackDecay::Rate(0.0),
                ..keller
            },
            "timm" => MuonConfig {
                nesterov: false,
                coefficients: MuonCoefficients::Tuned,
                eps_place: MuonEps::Floor,
                scale: MuonScale::Rms,
                fallback_eps: 1e-7,
                fallback_rate: 1.0,
                ..keller
            },
            "keras" => MuonConfig {
                form: MuonForm::Sum,
                scale: MuonScale::Rms,
                weight_decay: 0.004,
                fallback: MuonFallback::AdamwRawEps,
                fallback_beta2: 0.999,
                fallback_eps: 1e-7,
                fallback_rate: 1.0,
                fallback_weight_decay: FallbackDecay::Rate(0.004),
                ..keller
            },
            "po" => MuonConfig {
                eps_place: MuonEps::Floor,
                fallback_weight_decay: FallbackDecay::Rate(0.0),
                ..keller
            },
            "airbench" => MuonConfig {
                momentum: 0.6,
                form: MuonForm::Sum,
                steps: 3,
                scale: MuonScale::None,
                fixed_norm: true,
                fallback: MuonFallback::Nesterov,
                fallback_beta1: 0.85,
                // Its rates are 0.24 for matrices and 0.053 for the rest.
                fallback_rate: 0.053 / 0.24,
                fallback_weight_decay: FallbackDecay::Rate(0.004 / 0.053),
                ..keller
            },
            _ => return None,
        })
    }

    fn check(&self) -> Result<(), ConfigError> {
        match self.fallback_weight_decay {
            FallbackDecay::Rate(rate) if !(rate >= 0.0 && rate.is_finite()) => {
                Err(ConfigError::Component(ComponentError::Range {
                    kind: Kind::Optimizer,
                    component: Self::FACTS.name.into(),
                    option: "fallback_weight_decay".into(),
                    value: rate.to_string(),
                    range: "\"same\", or a number, at least 0".into(),
                    why: DECAYS.into(),
                }))
            }
            _ => Ok(()),
        }
    }

    fn rule_for(&self, group: ParameterGroup) -> Muon {
        Muon {
            decay: group.decay,
            orthogonalize: group.adapt,
            options: self.clone(),
        }
    }

    fn exclusions(&self) -> Exclusions {
        Exclusions {
            weight_decay: self.exclude_from_weight_decay.clone(),
            layer_adaptation: self.exclude_from_orthogonalization.clone(),
        }
    }
}
