use super::prelude::*;
use crate::norm::cautious;

/// Lion: w ← w − ηλw; w ← w − η sign(β₁m + (1 − β₁)g); then m ← β₂m + (1 − β₂)g.
///
/// The sign of 0 is 0. Every step has the length η in each coordinate, so the rate is 3 to 10 times
/// smaller than AdamW's, and the decay as many times larger. Where β₁m + (1 − β₁)g is 0 up to rounding,
/// two programs may take different signs.
///
/// Chen et al. 2023, arXiv 2302.06675, Algorithm 2.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema, WithSetters)]
#[serde(default, deny_unknown_fields)]
#[getset(set_with = "pub")]
pub struct LionConfig {
    /// Coefficient β₁ of the average in the step.
    #[schemars(range(min = 0.0), extend("exclusiveMaximum" = 1.0, "why" = FORGETS))]
    pub beta1: f64,
    /// Decay rate β₂ of the average m.
    #[schemars(range(min = 0.0), extend("exclusiveMaximum" = 1.0, "why" = FORGETS))]
    pub beta2: f64,
    /// Decoupled weight decay λ; 0 for none.
    #[schemars(range(min = 0.0), extend("why" = DECAYS))]
    pub weight_decay: f64,
    /// Move only where the step has the gradient's sign (cautious optimizers).
    pub caution: bool,
    /// Parameters without weight decay.
    pub exclude_from_weight_decay: Exclude,
}

impl Default for LionConfig {
    fn default() -> Self {
        LionConfig {
            beta1: 0.9,
            beta2: 0.99,
            weight_decay: 0.0,
            caution: false,
            exclude_from_weight_decay: Exclude::none(),
        }
    }
}

impl OptimizerConfig for LionConfig {
    type Rule = Lion;

    const FACTS: Facts = Facts::new(
        "lion",
        "every weight moves by the learning rate, against the sign of a mix of the gradient and its average",
    )
    .formula("w ← w − η λ w; w ← w − η sign(β₁ m + (1 − β₁) g); m ← β₂ m + (1 − β₂) g")
    .cost("20 bytes and 9 operations a weight")
    .paper("Chen et al. 2023, arXiv 2302.06675")
    .presets(&[
        ("paper", "Algorithm 2 of the paper; the authors' code, lion-pytorch and Burn"),
        ("timm", "timm.optim.Lion: the same"),
        ("optax", "optax.lion: weight decay 1e-3"),
    ]);

    fn preset(name: &str) -> Option<Self> {
        Some(match name {
            "paper" | "timm" => LionConfig::default(),
            "optax" => LionConfig {
                weight_decay: 1e-3,
                ..LionConfig::default()
            },
            _ => return None,
        })
    }

    fn rule_for(&self, group: ParameterGroup) -> Lion {
        Lion {
            options: self.clone(),
            weight_decay: WeightDecay::new(self.weight_decay, Decay::Decoupled, group.decay),
        }
    }

    fn exclusions(&self) -> Exclusions {
        Exclusions::of_decay(&self.exclude_from_weight_decay)
    }
}

crate::state! {
    /// The state of [`Lion`].
    pub struct LionState<const D: usize> {
        /// Average gradient m, of the parameter's shape.
        pub mean: Tensor<D>,
    }
}

/// The rule of [`LionConfig`].
#[derive(Clone, Debug)]
pub struct Lion {
    options: LionConfig,
    weight_decay: WeightDecay,
}

impl Rule for Lion {
    fn on_slices(&self) -> Option<&dyn StepSlices> {
        (!self.options.caution).then_some(self)
    }
}

impl StepSlices for Lion {
    fn step_slices(&self, lr: f64, w: &mut [f32], g: &mut [f32], state: &mut SliceState) {
        // The first step on tensors made the mean.
        if let [mean] = &mut state.tensors[..] {
            steps::step_slices(&self.fused(lr), [g], [w, mean]);
        }
    }
}

impl Optimizer for Lion {
    type State<const D: usize> = LionState<D>;

    fn step<const D: usize>(
        &self,
        lr: f64,
        w: Tensor<D>,
        g: Tensor<D>,
        state: Option<LionState<D>>,
    ) -> (Tensor<D>, Option<LionState<D>>) {
        let o = &self.options;
        let past = state.map_or_else(|| g.zeros_like(), |state| state.mean);
        let fused = match o.caution {
            true => Err(([g], [w, past])),
            false => steps::step(&self.fused(lr), [g], [w, past]),
        };
        let [w, mean] = fused.unwrap_or_else(|([g], [w, past])| {
            let (w, g) = self.weight_decay.apply(lr, w, g);
            let mixed = past.clone().mul_scalar(o.beta1) + g.clone().mul_scalar(1.0 - o.beta1);
            let step = match o.caution {
                true => cautious(mixed.sign(), g.clone()),
                false => mixed.sign(),
            };
            let mean = past.mul_scalar(o.beta2) + g.mul_scalar(1.0 - o.beta2);
            [w - step.mul_scalar(lr), mean]
        });
        (w, Some(LionState { mean }))
    }

    fn to_device<const D: usize>(state: LionState<D>, device: &Device) -> LionState<D> {
        state.to_device(device)
    }
}

impl Lion {
    fn fused(&self, lr: f64) -> steps::Lion {
        let o = &self.options;
        steps::Lion {
            decay: self.weight_decay.factors(lr),
            beta: [o.beta1 as f32, o.beta2 as f32],
            entering: [(1.0 - o.beta1) as f32, (1.0 - o.beta2) as f32],
            rate: lr as f32,
        }
    }
}
