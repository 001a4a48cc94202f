//! An optimizer of your own: its configuration with its facts, its rule and its state.

use burn::optim::Optimizer;
use burn::tensor::{Device, Tensor};
use largebatch::component::Facts;
use largebatch::optim::{Decay, OptimizerConfig, ParameterGroup, Rule, WeightDecay};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// AdaBelief: Adam that divides by how far the gradient is from its average.
///
/// m ← β₁m + (1 − β₁)g; s ← β₂s + (1 − β₂)(g − m)² + ε; w ← w − η m̂ / (√ŝ + ε), with decoupled decay.
/// Zhuang et al. 2020, arXiv 2010.07468, Algorithm 2.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct AdaBeliefConfig {
    /// Decay rate β₁ of the mean of gradients m.
    #[schemars(range(min = 0.0), extend("exclusiveMaximum" = 1.0, "why" = "at 1 the average would never change"))]
    pub beta1: f64,
    /// Decay rate β₂ of the mean of squared surprises s.
    #[schemars(range(min = 0.0), extend("exclusiveMaximum" = 1.0, "why" = "at 1 the average would never change"))]
    pub beta2: f64,
    /// ε, in s and in the denominator.
    #[schemars(extend("exclusiveMinimum" = 0.0, "why" = "it keeps a denominator above 0"))]
    pub eps: f64,
    /// Decoupled weight decay λ; 0 for none.
    #[schemars(range(min = 0.0), extend("why" = "with a negative value the weights would grow without bound"))]
    pub weight_decay: f64,
}

impl Default for AdaBeliefConfig {
    fn default() -> Self {
        AdaBeliefConfig {
            beta1: 0.9,
            beta2: 0.999,
            eps: 1e-8,
            weight_decay: 0.0,
        }
    }
}

impl OptimizerConfig for AdaBeliefConfig {
    type Rule = AdaBelief;

    const FACTS: Facts = Facts::new(
        "adabelief",
        "Adam that divides by how far the gradient is from its average",
    )
    .formula(
        "m ← β₁ m + (1 − β₁) g; s ← β₂ s + (1 − β₂) (g − m)² + ε\n\
         w ← w − η m̂ / (√ŝ + ε), m̂ = m / (1 − β₁ᵗ), ŝ = s / (1 − β₂ᵗ)",
    )
    .paper("Zhuang et al. 2020, arXiv 2010.07468")
    .presets(&[
        ("paper", "Algorithm 2, with ε = 1e-8"),
        ("gan", "the paper's values for GANs: β₁ = 0.5, ε = 1e-12"),
    ]);

    fn preset(name: &str) -> Option<Self> {
        match name {
            "paper" => Some(AdaBeliefConfig::default()),
            "gan" => Some(AdaBeliefConfig {
                beta1: 0.5,
                eps: 1e-12,
                ..AdaBeliefConfig::default()
            }),
            _ => None,
        }
    }

    fn rule_for(&self, group: ParameterGroup) -> AdaBelief {
        AdaBelief {
            decay: WeightDecay::new(self.weight_decay, Decay::Decoupled, group.decay),
            options: self.clone(),
        }
    }
}

largebatch::optim::state! {
    /// The state of AdaBelief for a parameter.
    pub struct AdaBeliefState<const D: usize> {
        /// Mean of gradients m, of the parameter's shape.
        pub mean: Tensor<D>,
        /// Mean of squared surprises s, of the parameter's shape.
        pub surprise: Tensor<D>,
        /// Number of steps done.
        pub time: u64,
    }
}

/// The rule of [`AdaBeliefConfig`].
#[derive(Clone, Debug)]
pub struct AdaBelief {
    options: AdaBeliefConfig,
    decay: WeightDecay,
}

impl Rule for AdaBelief {}

impl Optimizer for AdaBelief {
    type State<const D: usize> = AdaBeliefState<D>;

    fn step<const D: usize>(
        &self,
        lr: f64,
        w: Tensor<D>,
        g: Tensor<D>,
        state: Option<AdaBeliefState<D>>,
    ) -> (Tensor<D>, Option<AdaBeliefState<D>>) {
        let o = &self.options;
        let (w, g) = self.decay.apply(lr, w, g);
        let past = state.unwrap_or_else(|| AdaBeliefState {
            mean: w.zeros_like(),
            surprise: w.zeros_like(),
            time: 0,
        });
        let time = past.time + 1;
        let correction = |beta: f64| 1.0 - beta.powf(time as f64);
        let mean = past.mean.mul_scalar(o.beta1) + g.clone().mul_scalar(1.0 - o.beta1);
        let surprise = past.surprise.mul_scalar(o.beta2)
            + (g - mean.clone()).square().mul_scalar(1.0 - o.beta2);
        let surprise = surprise.add_scalar(o.eps);
        let divisor = surprise.clone().div_scalar(correction(o.beta2)).sqrt();
        let update = mean.clone() / divisor.add_scalar(o.eps);
        (
            w - update.mul_scalar(lr / correction(o.beta1)),
            Some(AdaBeliefState {
                mean,
                surprise,
                time,
            }),
        )
    }

    fn to_device<const D: usize>(state: AdaBeliefState<D>, device: &Device) -> AdaBeliefState<D> {
        state.to_device(device)
    }
}
