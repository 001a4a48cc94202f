use super::adam::correction;
use super::{DECAYS, DIVIDES, FORGETS};
use crate::config::LEAST_DIVISOR;
use crate::norm::{cautious, root_plus_eps};
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

/// NAdam: Adam with Nesterov's momentum. m ← β₁m + (1 − β₁)g; v ← β₂v + (1 − β₂)g²; w ← w − η n̂ / (√v̂ + ε),
/// where n̂ looks one step ahead, in one of three forms ([`NadamCorrection`]).
///
/// Dozat 2016, *Incorporating Nesterov momentum into Adam* (OpenReview OM0jvwB8jIp57ZJjtNEZ); without
/// the schedule of the momentum: Choi et al. 2019, arXiv 1910.05446. Nado et al. 2021 (arXiv
/// 2102.06356) match LARS and LAMB at large batches with it.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema, WithSetters)]
#[serde(default, deny_unknown_fields)]
#[getset(set_with = "pub")]
pub struct NadamConfig {
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
    /// Weight decay λ; 0 for none.
    #[schemars(range(min = 0.0), extend("why" = DECAYS))]
    pub weight_decay: f64,
    /// `l2`: add λw to the gradient; `decoupled`: w ← w − ηλw before the step.
    pub decay: Decay,
    /// Move only where the update has the gradient's sign (cautious optimizers).
    pub caution: bool,
    /// Parameters without weight decay.
    pub exclude_from_weight_decay: Exclude,
}

/// The forms of n̂ in [`NadamConfig`], with c(β, t) = 1 − βᵗ.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum NadamCorrection {
    /// (1 − μₜ) g/(1 − Pₜ) + μₜ₊₁ m/(1 − Pₜ₊₁), where Pₜ is the product of the momenta μ₁ … μₜ. PyTorch
    /// and Keras.
    #[default]
    Product,
    /// β₁m/c(β₁, t + 1) + (1 − β₁)g/c(β₁, t). optax.
    Next,
    /// (β₁m + (1 − β₁)g)/c(β₁, t). timm's NAdamW and AlgoPerf.
    One,
}

impl Default for NadamConfig {
    fn default() -> Self {
        NadamConfig {
            beta1: 0.9,
            beta2: 0.999,
            eps: 1e-8,
            correction: NadamCorrection::Product,
            momentum_decay: 0.004,
            weight_decay: 0.0,
            decay: Decay::L2,
            caution: false,
            exclude_from_weight_decay: Exclude::none(),
        }
    }
}

impl OptimizerConfig for NadamConfig {
    type Rule = Nadam;

    const FACTS: Facts = Facts::new("nadam", "Adam with Nesterov's momentum")
        .formula(
            "m ← β₁ m + (1 − β₁) g; v ← β₂ v + (1 − β₂) g²; w ← w − η n̂ / (√v̂ + ε)\n\
             product: n̂ = (1 − μₜ) g/(1 − Pₜ) + μₜ₊₁ m/(1 − Pₜ₊₁), Pₜ = μ₁ … μₜ, μₜ = β₁ (1 − ½ 0.96^(tψ))\n\
             next: n̂ = β₁ m/(1 − β₁ᵗ⁺¹) + (1 − β₁) g/(1 − β₁ᵗ); one: n̂ = (β₁ m + (1 − β₁) g)/(1 − β₁ᵗ)",
        )
        .cost("28 bytes and 16 operations a weight")
        .paper("Dozat 2016, OpenReview OM0jvwB8jIp57ZJjtNEZ")
        .presets(&[
            ("torch", "PyTorch's NAdam"),
            ("optax", "optax.nadam: a constant momentum"),
            ("keras", "Keras' Nadam: ψ = 1, so the schedule is over after some 100 steps; ε = 1e-7"),
        ]);

    fn preset(name: &str) -> Option<Self> {
        let torch = NadamConfig::default();
        Some(match name {
            "torch" => torch,
            "optax" => NadamConfig {
                correction: NadamCorrection::Next,
                decay: Decay::Decoupled,
                ..torch
            },
            "keras" => NadamConfig {
                momentum_decay: 1.0,
                eps: 1e-7,
                decay: Decay::Decoupled,
                ..torch
            },
            _ => return None,
        })
    }

    fn rule_for(&self, group: ParameterGroup) -> Nadam {
        Nadam {
            weight_decay: WeightDecay::new(self.weight_decay, self.decay, group.decay),
            options: self.clone(),
        }
    }

    /// 2 (1 + β₁)/((1 − β₁)(1 + 2β₁)) with P = (1 − β₁ᵗ)(√v̂ + ε) in the form `one`; the others have it
    /// only in the limit.
    fn stability(&self) -> Option<Stability> {
        let (beta1, beta2, eps) = (self.beta1, self.beta2, self.eps);
        let divisor = move |v: f64, time: u64| {
            let root = (v / correction(beta2, time)).sqrt() + eps;
            correction(beta1, time) * root.max(LEAST_DIVISOR)
        };
        (self.correction == NadamCorrection::One).then(|| Stability {
            bound: 2.0 * (1.0 + beta1) / ((1.0 - beta1) * (1.0 + 2.0 * beta1)),
            decay: WeightDecay::new(self.weight_decay, self.decay, true).l2(),
            preconditioner: Some(Preconditioner {
                field: "square",
                divisor: Box::new(divisor),
            }),
        })
    }

    fn exclusions(&self) -> Exclusions {
        Exclusions::of_decay(&self.exclude_from_weight_decay)
    }
}

crate::state! {
    /// The state of [`Nadam`].
    pub struct NadamState<const D: usize> {
        /// Mean of gradients m, of the parameter's shape.
        pub mean: Tensor<D>,
        /// Mean of squared gradients v, of the parameter's shape.
        pub square: Tensor<D>,
        /// The product of the momenta so far, Pₜ.
        pub product: f64,
        /// Number of steps done.
        pub time: u64,
    }
}

/// The rule of [`NadamConfig`] and of [`NadamWConfig`](crate::NadamWConfig).
#[derive(Clone, Debug)]
pub struct Nadam {
    pub(super) options: NadamConfig,
    pub(super) weight_decay: WeightDecay,
}

impl Rule for Nadam {
    fn on_slices(&self) -> Option<&dyn StepSlices> {
        (!self.options.caution).then_some(self)
    }
}

impl StepSlices for Nadam {
    fn step_slices(&self, lr: f64, w: &mut [f32], g: &mut [f32], state: &mut SliceState) {
        // The first step on tensors made the moments and the product.
        if let ([mean, square], [product]) = (&mut state.tensors[..], &mut state.numbers[..]) {
            state.time += 1;
            let ahead = self.ahead(state.time, product);
            let fused = self.fused(lr, state.time, ahead);
            steps::step_slices(&fused, [g], [w, mean, square]);
        }
    }
}

impl Nadam {
    /// The factors of m and g in n̂; updates the product of the momenta.
    fn ahead(&self, time: u64, product: &mut f64) -> [f64; 2] {
        let (o, c) = (&self.options, |t: u64| correction(self.options.beta1, t));
        match o.correction {
            NadamCorrection::Product => {
                let decay = |t: u64| 0.96f64.powf(t as f64 * o.momentum_decay);
                let momentum = |t: u64| o.beta1 * (1.0 - 0.5 * decay(t));
                let (now, next) = (momentum(time), momentum(time + 1));
                *product *= now;
                [
                    next / (1.0 - *product * next),
                    (1.0 - now) / (1.0 - *product),
                ]
            }
            NadamCorrection::Next => [o.beta1 / c(time + 1), (1.0 - o.beta1) / c(time)],
            NadamCorrection::One => [o.beta1 / c(time), (1.0 - o.beta1) / c(time)],
        }
    }

    fn fused(&self, lr: f64, time: u64, ahead: [f64; 2]) -> steps::Adam {
        let o = &self.options;
        steps::Adam {
            decay: self.weight_decay.factors(lr),
            beta: [o.beta1 as f32, o.beta2 as f32],
            entering: [(1.0 - o.beta1) as f32, (1.0 - o.beta2) as f32],
            correction: correction(o.beta2, time) as f32,
            eps: o.eps as f32,
            ahead: Some(ahead.map(|factor| factor as f32)),
            rate: lr as f32,
        }
    }
}

impl Optimizer for Nadam {
    type State<const D: usize> = NadamState<D>;

    fn step<const D: usize>(
        &self,
        lr: f64,
        w: Tensor<D>,
        g: Tensor<D>,
        state: Option<NadamState<D>>,
    ) -> (Tensor<D>, Option<NadamState<D>>) {
        let o = &self.options;
        let state = state.unwrap_or_else(|| NadamState {
            mean: w.zeros_like(),
            square: w.zeros_like(),
            product: 1.0,
            time: 0,
        });
        let time = state.time + 1;
        let mut product = state.product;
        let ahead = self.ahead(time, &mut product);
        let changed = [w, state.mean, state.square];
        let fused = match o.caution {
            true => Err(([g], changed)),
            false => steps::step(&self.fused(lr, time, ahead), [g], changed),
        };
        let [w, mean, square] = fused.unwrap_or_else(|([g], [w, mean, square])| {
            let (w, g) = self.weight_decay.apply(lr, w, g);
            let mean = mean.mul_scalar(o.beta1) + g.clone().mul_scalar(1.0 - o.beta1);
            let square = square.mul_scalar(o.beta2) + g.clone().square().mul_scalar(1.0 - o.beta2);
            let corrected = square.clone().div_scalar(correction(o.beta2, time));
            let divisor = root_plus_eps(corrected, o.eps);
            let [of_mean, of_gradient] = ahead;
            let ahead = mean.clone().mul_scalar(of_mean) + g.clone().mul_scalar(of_gradient);
            let update = match o.caution {
                true => cautious(ahead / divisor, g),
                false => ahead / divisor,
            };
            [w - update.mul_scalar(lr), mean, square]
        });
        let state = NadamState {
            mean,
            square,
            product,
            time,
        };
        (w, Some(state))
    }

    fn to_device<const D: usize>(state: NadamState<D>, device: &Device) -> NadamState<D> {
        state.to_device(device)
    }
}
