use super::adam::correction;
use super::{DECAYS, DIVIDES, FORGETS};
use crate::config::LEAST_DIVISOR;
use crate::norm::lifted;
use crate::{
    Decay, Exclude, Exclusions, OptimizerConfig, ParameterGroup, Preconditioner, Rule, SliceState,
    Stability, StepSlices, WeightDecay,
};
use burn::optim::Optimizer;
use burn::tensor::{Device, Tensor};
use getset::WithSetters;
use largebatch_component::Facts;
use largebatch_kernels::steps;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Adamax: m ← β₁m + (1 − β₁)g; n ← max(β₂n, |g| + ε); w ← w − η/(1 − β₁ᵗ) m/n.
///
/// It is Adam with the infinity norm of past gradients. Keras adds ε outside of the maximum.
///
/// Kingma and Ba 2015, arXiv 1412.6980, section 7.1.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema, WithSetters)]
#[serde(default, deny_unknown_fields)]
#[getset(set_with = "pub")]
pub struct AdamaxConfig {
    /// Decay rate β₁ of the mean of gradients m.
    #[schemars(range(min = 0.0), extend("exclusiveMaximum" = 1.0, "why" = FORGETS))]
    pub beta1: f64,
    /// Decay rate β₂ of the largest gradient n.
    #[schemars(range(min = 0.0), extend("exclusiveMaximum" = 1.0, "why" = FORGETS))]
    pub beta2: f64,
    /// ε, which keeps the denominator above 0.
    #[schemars(range(min = 0.0), extend("why" = DIVIDES))]
    pub eps: f64,
    /// Whether ε is added inside or outside the maximum.
    pub eps_place: AdamaxEps,
    /// Weight decay λ; 0 for none.
    #[schemars(range(min = 0.0), extend("why" = DECAYS))]
    pub weight_decay: f64,
    /// `l2`: add λw to the gradient; `decoupled`: w ← w − ηλw before the step.
    pub decay: Decay,
    /// Parameters without weight decay.
    pub exclude_from_weight_decay: Exclude,
}

/// Where ε stands in [`AdamaxConfig`].
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum AdamaxEps {
    /// n ← max(β₂n, |g| + ε). PyTorch and optax.
    #[default]
    Maximum,
    /// m/(n + ε). Keras.
    Outside,
}

impl Default for AdamaxConfig {
    fn default() -> Self {
        AdamaxConfig {
            beta1: 0.9,
            beta2: 0.999,
            eps: 1e-8,
            eps_place: AdamaxEps::Maximum,
            weight_decay: 0.0,
            decay: Decay::L2,
            exclude_from_weight_decay: Exclude::none(),
        }
    }
}

impl OptimizerConfig for AdamaxConfig {
    type Rule = Adamax;

    const FACTS: Facts = Facts::new(
        "adamax",
        "mean of gradients, divided by the largest past gradient, which fades",
    )
    .formula(
        "m ← β₁ m + (1 − β₁) g; maximum: n ← max(β₂ n, |g| + ε); w ← w − η m̂ / n, m̂ = m / (1 − β₁ᵗ)\n\
         outside: n ← max(β₂ n, |g|); w ← w − η m̂ / (n + ε)",
    )
    .cost("28 bytes and 10 operations a weight")
    .paper("Kingma and Ba 2015, arXiv 1412.6980, 7.1")
    .presets(&[
        ("torch", "PyTorch's Adamax"),
        ("optax", "optax.adamax and adamaxw: decoupled weight decay"),
        ("keras", "Keras' Adamax: ε = 1e-7 outside of the maximum"),
    ]);

    fn preset(name: &str) -> Option<Self> {
        Some(match name {
            "torch" => Self::default(),
            "optax" => AdamaxConfig {
                decay: Decay::Decoupled,
                ..Self::default()
            },
            "keras" => AdamaxConfig {
                eps: 1e-7,
                eps_place: AdamaxEps::Outside,
                decay: Decay::Decoupled,
                ..Self::default()
            },
            _ => return None,
        })
    }

    fn rule_for(&self, group: ParameterGroup) -> Adamax {
        Adamax {
            weight_decay: WeightDecay::new(self.weight_decay, self.decay, group.decay),
            options: self.clone(),
        }
    }

    /// 2 (1 + β₁)/(1 − β₁) with P = (1 − β₁ᵗ) n, or (1 − β₁ᵗ)(n + ε).
    fn stability(&self) -> Option<Stability> {
        let (beta1, outside) = (self.beta1, self.outside());
        let divisor =
            move |n: f64, time: u64| correction(beta1, time) * (n + outside).max(LEAST_DIVISOR);
        Some(Stability {
            bound: 2.0 * (1.0 + beta1) / (1.0 - beta1),
            decay: WeightDecay::new(self.weight_decay, self.decay, true).l2(),
            preconditioner: Some(Preconditioner {
                field: "largest",
                divisor: Box::new(divisor),
            }),
        })
    }

    fn exclusions(&self) -> Exclusions {
        Exclusions::of_decay(&self.exclude_from_weight_decay)
    }
}

impl AdamaxConfig {
    fn outside(&self) -> f64 {
        match self.eps_place {
            AdamaxEps::Maximum => 0.0,
            AdamaxEps::Outside => self.eps,
        }
    }
}

crate::state! {
    /// The state of [`Adamax`].
    pub struct AdamaxState<const D: usize> {
        /// Mean of gradients m, of the parameter's shape.
        pub mean: Tensor<D>,
        /// The largest past gradient n, which fades, of the parameter's shape.
        pub largest: Tensor<D>,
        /// Number of steps done.
        pub time: u64,
    }
}

/// The rule of [`AdamaxConfig`].
#[derive(Clone, Debug)]
pub struct Adamax {
    options: AdamaxConfig,
    weight_decay: WeightDecay,
}

impl Rule for Adamax {
    fn on_slices(&self) -> Option<&dyn StepSlices> {
        Some(self)
    }
}

impl StepSlices for Adamax {
    fn step_slices(&self, lr: f64, w: &mut [f32], g: &mut [f32], state: &mut SliceState) {
        // The first step on tensors made both.
        if let [mean, largest] = &mut state.tensors[..] {
            state.time += 1;
            steps::step_slices(&self.fused(lr, state.time), [g], [w, mean, largest]);
        }
    }
}

impl Adamax {
    fn fused(&self, lr: f64, time: u64) -> steps::Adamax {
        let (o, outside) = (&self.options, self.options.outside());
        steps::Adamax {
            decay: self.weight_decay.factors(lr),
            beta: [o.beta1 as f32, o.beta2 as f32],
            entering: (1.0 - o.beta1) as f32,
            inside: (o.eps - outside) as f32,
            outside: outside as f32,
            rate: (lr / correction(o.beta1, time)) as f32,
        }
    }
}

impl Optimizer for Adamax {
    type State<const D: usize> = AdamaxState<D>;

    fn step<const D: usize>(
        &self,
        lr: f64,
        w: Tensor<D>,
        g: Tensor<D>,
        state: Option<AdamaxState<D>>,
    ) -> (Tensor<D>, Option<AdamaxState<D>>) {
        let o = &self.options;
        let past = state.unwrap_or_else(|| AdamaxState {
            mean: w.zeros_like(),
            largest: w.zeros_like(),
            time: 0,
        });
        let (time, outside) = (past.time + 1, o.outside());
        let fused = steps::step(&self.fused(lr, time), [g], [w, past.mean, past.largest]);
        let [w, mean, largest] = fused.unwrap_or_else(|([g], [w, mean, largest])| {
            let (w, g) = self.weight_decay.apply(lr, w, g);
            let mean = mean.mul_scalar(o.beta1) + g.clone().mul_scalar(1.0 - o.beta1);
            let entering = g.abs().add_scalar(o.eps - outside);
            let largest = largest.mul_scalar(o.beta2).max_pair(entering);
            let divisor = match outside > 0.0 {
                true => largest.clone().add_scalar(outside),
                false => lifted(largest.clone()),
            };
            let update = mean.clone() / divisor;
            let rate = lr / correction(o.beta1, time);
            [w - update.mul_scalar(rate), mean, largest]
        });
        let state = AdamaxState {
            mean,
            largest,
            time,
        };
        (w, Some(state))
    }

    fn to_device<const D: usize>(state: AdamaxState<D>, device: &Device) -> AdamaxState<D> {
        state.to_device(device)
    }
}
