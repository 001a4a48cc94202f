use super::prelude::*;
use crate::config::LEAST_DIVISOR;
use crate::norm::root_plus_eps;

/// Adam: m ← β₁m + (1 − β₁)g; v ← β₂v + (1 − β₂)g²; m̂ = m/(1 − β₁ᵗ); v̂ = v/(1 − β₂ᵗ); w ← w − η m̂ / (√v̂ + ε).
///
/// With `amsgrad`, the largest v so far replaces v (Reddi et al. 2018): the maximum before the bias
/// correction, as in PyTorch (optax takes it after the correction).
///
/// Kingma and Ba 2015, arXiv 1412.6980.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema, WithSetters)]
#[serde(default, deny_unknown_fields)]
#[getset(set_with = "pub")]
pub struct AdamConfig {
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
    /// Weight decay λ; 0 for none.
    #[schemars(range(min = 0.0), extend("why" = DECAYS))]
    pub weight_decay: f64,
    /// `l2`: add λw to the gradient; `decoupled`: w ← w − ηλw before the step.
    pub decay: Decay,
    /// Parameters without weight decay.
    pub exclude_from_weight_decay: Exclude,
}

impl Default for AdamConfig {
    fn default() -> Self {
        AdamConfig {
            beta1: 0.9,
            beta2: 0.999,
            eps: 1e-8,
            amsgrad: false,
            weight_decay: 0.0,
            decay: Decay::L2,
            exclude_from_weight_decay: Exclude::none(),
        }
    }
}

impl OptimizerConfig for AdamConfig {
    type Rule = Adam;

    const FACTS: Facts = Facts::new(
        "adam",
        "mean of gradients, divided by the root of the mean of squared gradients",
    )
    .formula(
        "m ← β₁ m + (1 − β₁) g; v ← β₂ v + (1 − β₂) g²\n\
                  w ← w − η m̂ / (√v̂ + ε), m̂ = m / (1 − β₁ᵗ), v̂ = v / (1 − β₂ᵗ)",
    )
    .cost("28 bytes and 13 operations a weight")
    .paper("Kingma and Ba 2015, arXiv 1412.6980; AMSGrad: Reddi et al. 2018, arXiv 1904.09237")
    .presets(&[
        ("torch", "PyTorch's Adam"),
        ("textbook", "the textbook form, the same as torch"),
        ("amsgrad", "PyTorch's Adam(amsgrad=True)"),
    ]);

    fn preset(name: &str) -> Option<Self> {
        match name {
            "torch" | "textbook" => Some(Self::default()),
            "amsgrad" => Some(AdamConfig {
                amsgrad: true,
                ..Self::default()
            }),
            _ => None,
        }
    }

    fn rule_for(&self, group: ParameterGroup) -> Adam {
        Adam {
            weight_decay: WeightDecay::new(self.weight_decay, self.decay, group.decay),
            options: self.clone(),
        }
    }

    /// 2 (1 + β₁)/(1 − β₁), with P = (1 − β₁ᵗ) (√(v/(1 − β₂ᵗ)) + ε); with AMSGrad, v is the largest so
    /// far (Cohen et al. 2022, arXiv 2207.14484).
    fn stability(&self) -> Option<Stability> {
        let (beta1, beta2, eps) = (self.beta1, self.beta2, self.eps);
        let divisor = move |v: f64, time: u64| {
            let root = (v / correction(beta2, time)).sqrt();
            correction(beta1, time) * (root + eps).max(LEAST_DIVISOR)
        };
        Some(Stability {
            bound: 2.0 * (1.0 + beta1) / (1.0 - beta1),
            decay: WeightDecay::new(self.weight_decay, self.decay, true).l2(),
            preconditioner: Some(Preconditioner {
                field: if self.amsgrad { "largest" } else { "square" },
                divisor: Box::new(divisor),
            }),
        })
    }

    fn exclusions(&self) -> Exclusions {
        Exclusions::of_decay(&self.exclude_from_weight_decay)
    }
}

crate::state! {
    /// The state of [`Adam`].
    pub struct AdamState<const D: usize> {
        /// Mean of gradients m, of the parameter's shape.
        pub mean: Tensor<D>,
        /// Mean of squared gradients v, of the parameter's shape.
        pub square: Tensor<D>,
        /// The largest v so far; only with `amsgrad`.
        pub largest: Option<Tensor<D>>,
        /// Number of steps done.
        pub time: u64,
    }
}

/// The rule of [`AdamConfig`] and of [`AdamWConfig`](crate::AdamWConfig).
#[derive(Clone, Debug)]
pub struct Adam {
    options: AdamConfig,
    weight_decay: WeightDecay,
}

impl Rule for Adam {
    fn on_slices(&self) -> Option<&dyn StepSlices> {
        (!self.options.amsgrad).then_some(self)
    }
}

impl StepSlices for Adam {
    fn step_slices(&self, lr: f64, w: &mut [f32], g: &mut [f32], state: &mut SliceState) {
        // The first step on tensors made the moments.
        if let [mean, square] = &mut state.tensors[..] {
            state.time += 1;
            steps::step_slices(&self.fused(lr, state.time), [g], [w, mean, square]);
        }
    }
}

impl Optimizer for Adam {
    type State<const D: usize> = AdamState<D>;

    fn step<const D: usize>(
        &self,
        lr: f64,
        w: Tensor<D>,
        g: Tensor<D>,
        state: Option<AdamState<D>>,
    ) -> (Tensor<D>, Option<AdamState<D>>) {
        let mut state = state.unwrap_or_else(|| AdamState {
            mean: w.zeros_like(),
            square: w.zeros_like(),
            largest: None,
            time: 0,
        });
        state.time += 1;
        let (o, time, changed) = (&self.options, state.time, [w, state.mean, state.square]);
        let fused = match o.amsgrad {
            true => Err(([g], changed)),
            false => steps::step(&self.fused(lr, time), [g], changed),
        };
        let w;
        [w, state.mean, state.square] = fused.unwrap_or_else(|([g], [w, mean, square])| {
            let (w, g) = self.weight_decay.apply(lr, w, g);
            let mean = mean.mul_scalar(o.beta1) + g.clone().mul_scalar(1.0 - o.beta1);
            let square = square.mul_scalar(o.beta2) + g.square().mul_scalar(1.0 - o.beta2);
            if o.amsgrad {
                let largest = state.largest.take();
                state.largest = Some(match largest {
                    Some(largest) => largest.max_pair(square.clone()),
                    None => square.clone(),
                });
            }
            let largest = state.largest.as_ref().unwrap_or(&square).clone();
            let corrected = largest.div_scalar(correction(o.beta2, time));
            let update = mean.clone() / root_plus_eps(corrected, o.eps);
            let rate = lr / correction(o.beta1, time);
            [w - update.mul_scalar(rate), mean, square]
        });
        (w, Some(state))
    }

    fn to_device<const D: usize>(state: AdamState<D>, device: &Device) -> AdamState<D> {
        state.to_device(device)
    }
}

/// 1 − βᵗ: the total weight of the gradients in a moving average that started at 0.
pub(super) fn correction(beta: f64, time: u64) -> f64 {
    1.0 - beta.powf(time as f64)
}

impl Adam {
    fn fused(&self, lr: f64, time: u64) -> steps::Adam {
        let o = &self.options;
        let entering = [(1.0 - o.beta1) as f32, (1.0 - o.beta2) as f32];
        steps::Adam {
            decay: self.weight_decay.factors(lr),
            beta: [o.beta1 as f32, o.beta2 as f32],
            entering,
            correction: correction(o.beta2, time) as f32,
            eps: o.eps as f32,
            ahead: None,
            rate: (lr / correction(o.beta1, time)) as f32,
        }
    }
}
