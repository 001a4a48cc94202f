use super::{DECAYS, DIVIDES, FORGETS};
use crate::norm::root_plus_eps;
use crate::{
    Decay, Exclude, Exclusions, OptimizerConfig, ParameterGroup, Rule, SliceState, StepSlices,
    WeightDecay,
};
use burn::optim::Optimizer;
use burn::tensor::{Device, Tensor};
use getset::WithSetters;
use largebatch_component::Facts;
use largebatch_kernels::steps;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Adadelta: v ← ρv + (1 − ρ)g²; u = g √(d + ε)/√(v + ε); d ← ρd + (1 − ρ)u²; w ← w − ηu.
///
/// The step has the unit of the weights, so the rate is 1 in the paper.
///
/// Zeiler 2012, arXiv 1212.5701.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema, WithSetters)]
#[serde(default, deny_unknown_fields)]
#[getset(set_with = "pub")]
pub struct AdadeltaConfig {
    /// Decay rate ρ of the means of squared gradients and squared steps.
    #[schemars(range(min = 0.0), extend("exclusiveMaximum" = 1.0, "why" = FORGETS))]
    pub rho: f64,
    /// ε, in both square roots.
    #[schemars(range(min = 0.0), extend("why" = DIVIDES))]
    pub eps: f64,
    /// Weight decay λ; 0 for none.
    #[schemars(range(min = 0.0), extend("why" = DECAYS))]
    pub weight_decay: f64,
    /// `l2`: add λw to the gradient; `decoupled`: w ← w − ηλw before the step.
    pub decay: Decay,
    /// Parameters without weight decay.
    pub exclude_from_weight_decay: Exclude,
}

impl Default for AdadeltaConfig {
    fn default() -> Self {
        AdadeltaConfig {
            rho: 0.9,
            eps: 1e-6,
            weight_decay: 0.0,
            decay: Decay::L2,
            exclude_from_weight_decay: Exclude::none(),
        }
    }
}

impl OptimizerConfig for AdadeltaConfig {
    type Rule = Adadelta;

    const FACTS: Facts = Facts::new(
        "adadelta",
        "gradient, multiplied by the ratio of the mean sizes of past steps and gradients",
    )
    .formula("v ← ρ v + (1 − ρ) g²; u = g √(d + ε) / √(v + ε); d ← ρ d + (1 − ρ) u²; w ← w − η u")
    .cost("28 bytes and 16 operations a weight")
    .paper("Zeiler 2012, arXiv 1212.5701")
    .presets(&[
        ("torch", "PyTorch's Adadelta"),
        ("optax", "optax.adadelta: the same"),
    ]);

    fn preset(name: &str) -> Option<Self> {
        matches!(name, "torch" | "optax").then(Self::default)
    }

    fn rule_for(&self, group: ParameterGroup) -> Adadelta {
        Adadelta {
            rho: self.rho,
            eps: self.eps,
            weight_decay: WeightDecay::new(self.weight_decay, self.decay, group.decay),
        }
    }

    fn exclusions(&self) -> Exclusions {
        Exclusions::of_decay(&self.exclude_from_weight_decay)
    }
}

crate::state! {
    /// The state of [`Adadelta`].
    pub struct AdadeltaState<const D: usize> {
        /// Mean of squared gradients v, of the parameter's shape.
        pub square: Tensor<D>,
        /// Mean of squared steps d, of the parameter's shape.
        pub steps: Tensor<D>,
    }
}

/// The rule of [`AdadeltaConfig`].
#[derive(Clone, Debug)]
pub struct Adadelta {
    rho: f64,
    eps: f64,
    weight_decay: WeightDecay,
}

impl Rule for Adadelta {
    fn on_slices(&self) -> Option<&dyn StepSlices> {
        Some(self)
    }
}

impl StepSlices for Adadelta {
    fn step_slices(&self, lr: f64, w: &mut [f32], g: &mut [f32], state: &mut SliceState) {
        // The first step on tensors made both means.
        if let [square, steps] = &mut state.tensors[..] {
            steps::step_slices(&self.fused(lr), [g], [w, square, steps]);
        }
    }
}

impl Adadelta {
    fn fused(&self, lr: f64) -> steps::Adadelta {
        steps::Adadelta {
            decay: self.weight_decay.factors(lr),
            average: [self.rho as f32, (1.0 - self.rho) as f32],
            eps: self.eps as f32,
            rate: lr as f32,
        }
    }
}

impl Optimizer for Adadelta {
    type State<const D: usize> = AdadeltaState<D>;

    fn step<const D: usize>(
        &self,
        lr: f64,
        w: Tensor<D>,
        g: Tensor<D>,
        state: Option<AdadeltaState<D>>,
    ) -> (Tensor<D>, Option<AdadeltaState<D>>) {
        let past = state.unwrap_or_else(|| AdadeltaState {
            square: w.zeros_like(),
            steps: w.zeros_like(),
        });
        let fused = steps::step(&self.fused(lr), [g], [w, past.square, past.steps]);
        let [w, square, steps] = fused.unwrap_or_else(|([g], [w, square, steps])| {
            let (w, g) = self.weight_decay.apply(lr, w, g);
            let average = |past: Tensor<D>, new: Tensor<D>| {
                past.mul_scalar(self.rho) + new.square().mul_scalar(1.0 - self.rho)
            };
            let square = average(square, g.clone());
            let root = |x: Tensor<D>| root_plus_eps(x.add_scalar(self.eps), 0.0);
            let step = root(steps.clone()) / root(square.clone()) * g;
            let steps = average(steps, step.clone());
            [w - step.mul_scalar(lr), square, steps]
        });
        (w, Some(AdadeltaState { square, steps }))
    }

    fn to_device<const D: usize>(state: AdadeltaState<D>, device: &Device) -> AdadeltaState<D> {
        state.to_device(device)
    }
}
