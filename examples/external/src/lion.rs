//! An optimizer of your own: its configuration with its facts, its rule and its state.

use burn::optim::Optimizer;
use burn::tensor::{Device, Tensor};
use largebatch::component::Facts;
use largebatch::optim::{Decay, OptimizerConfig, ParameterGroup, Rule, WeightDecay};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Lion: u = sign(β₁m + (1 − β₁)g); w ← w − η(u + λw); m ← β₂m + (1 − β₂)g.
///
/// The decay is decoupled, as in the paper's Algorithm 2 and in optax's `lion`. Chen et al. 2023, arXiv 2302.06675.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct LionConfig {
    /// Coefficient β₁ of the average in the step.
    #[schemars(range(min = 0.0), extend("exclusiveMaximum" = 1.0, "why" = "at 1 the average would never change"))]
    pub beta1: f64,
    /// Decay rate β₂ of the average.
    #[schemars(range(min = 0.0), extend("exclusiveMaximum" = 1.0, "why" = "at 1 the average would never change"))]
    pub beta2: f64,
    /// Decoupled weight decay λ; 0 for none.
    #[schemars(range(min = 0.0), extend("why" = "with a negative value the weights would grow without bound"))]
    pub weight_decay: f64,
}

impl Default for LionConfig {
    fn default() -> Self {
        LionConfig {
            beta1: 0.9,
            beta2: 0.99,
            weight_decay: 0.0,
        }
    }
}

impl OptimizerConfig for LionConfig {
    type Rule = Lion;

    const FACTS: Facts = Facts::new(
        "lion",
        "every weight moves by the learning rate, against the sign of a mix of the gradient and its average",
    )
    .formula("u = sign(β₁ m + (1 − β₁) g); w ← w − η (u + λ w); m ← β₂ m + (1 − β₂) g")
    .paper("Chen et al. 2023, arXiv 2302.06675")
    .presets(&[
        ("paper", "β₁ = 0.9, β₂ = 0.99"),
        ("language", "β₁ = 0.95, β₂ = 0.98: the paper's values for language models"),
    ]);

    fn preset(name: &str) -> Option<Self> {
        match name {
            "paper" => Some(LionConfig::default()),
            "language" => Some(LionConfig {
                beta1: 0.95,
                beta2: 0.98,
                ..LionConfig::default()
            }),
            _ => None,
        }
    }

    fn rule_for(&self, group: ParameterGroup) -> Lion {
        let decay = WeightDecay::new(self.weight_decay, Decay::Decoupled, group.decay);
        Lion {
            beta1: self.beta1,
            beta2: self.beta2,
            decay,
        }
    }
}

largebatch::optim::state! {
    /// The state of Lion for a parameter.
    pub struct LionState<const D: usize> {
        /// Average gradient m, of the parameter's shape.
        pub momentum: Tensor<D>,
    }
}

/// The rule of [`LionConfig`].
#[derive(Clone, Debug)]
pub struct Lion {
    beta1: f64,
    beta2: f64,
    decay: WeightDecay,
}

impl Rule for Lion {}

impl Optimizer for Lion {
    type State<const D: usize> = LionState<D>;

    fn step<const D: usize>(
        &self,
        lr: f64,
        w: Tensor<D>,
        g: Tensor<D>,
        state: Option<LionState<D>>,
    ) -> (Tensor<D>, Option<LionState<D>>) {
        let (w, g) = self.decay.apply(lr, w, g);
        let past = state.map_or_else(|| g.zeros_like(), |state| state.momentum);
        let step =
            (past.clone().mul_scalar(self.beta1) + g.clone().mul_scalar(1.0 - self.beta1)).sign();
        let momentum = past.mul_scalar(self.beta2) + g.mul_scalar(1.0 - self.beta2);
        (w - step.mul_scalar(lr), Some(LionState { momentum }))
    }

    fn to_device<const D: usize>(state: LionState<D>, device: &Device) -> LionState<D> {
        state.to_device(device)
    }
}
