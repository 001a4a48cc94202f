use super::prelude::*;
use crate::ConfigError;

/// SGD with momentum μ, in three forms (v starts at 0):
///
/// - `torch`: v ← μv + (1 − d)g, but v ← g at the first step; w ← w − ηv. PyTorch's `SGD`.
/// - `ema`: v ← μv + (1 − μ)g; w ← w − ηv, a moving average. The textbook form.
/// - `heavy-ball`: v ← μv + ηg; w ← w − v. Polyak's form. At a constant
///   learning rate it equals `torch` with d = 0.
///
/// They differ when the learning rate changes: the velocity of `heavy-ball` contains the rates of
/// earlier steps.
///
/// Polyak 1964, *Some methods of speeding up the convergence of iteration methods*.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema, WithSetters)]
#[serde(default, deny_unknown_fields)]
#[getset(set_with = "pub")]
pub struct MomentumConfig {
    /// Momentum coefficient μ.
    #[schemars(range(min = 0.0), extend("exclusiveMaximum" = 1.0, "why" = FORGETS))]
    pub momentum: f64,
    /// Which of the three forms.
    pub form: MomentumForm,
    /// Dampening d: multiply the gradient by 1 − d, except at the first step; only in the form
    /// `torch`.
    #[schemars(range(min = 0.0, max = 1.0), extend("why" = "it is a fraction of the gradient"))]
    pub dampening: f64,
    /// Weight decay λ; 0 for none.
    #[schemars(range(min = 0.0), extend("why" = DECAYS))]
    pub weight_decay: f64,
    /// `l2`: add λw to the gradient; `decoupled`: w ← w − ηλw before the step.
    pub decay: Decay,
    /// Parameters without weight decay.
    pub exclude_from_weight_decay: Exclude,
}

/// The forms of momentum, see [`MomentumConfig`].
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum MomentumForm {
    /// v ← μv + (1 − d)g; w ← w − ηv.
    #[default]
    Torch,
    /// v ← μv + (1 − μ)g; w ← w − ηv.
    Ema,
    /// v ← μv + ηg; w ← w − v.
    HeavyBall,
}

impl Default for MomentumConfig {
    fn default() -> Self {
        MomentumConfig {
            momentum: 0.9,
            form: MomentumForm::Torch,
            dampening: 0.0,
            weight_decay: 0.0,
            decay: Decay::L2,
            exclude_from_weight_decay: Exclude::none(),
        }
    }
}

impl OptimizerConfig for MomentumConfig {
    type Rule = Momentum;

    const FACTS: Facts = Facts::new(
        "momentum",
        "SGD with momentum: PyTorch's form, the moving average, or heavy ball",
    )
    .formula(
        "torch: v ← μ v + (1 − d)(g + λ w), at first v ← g + λ w; w ← w − η v\n\
                  ema: v ← μ v + (1 − μ)(g + λ w); w ← w − η v\n\
                  heavy-ball: v ← μ v + η (g + λ w); w ← w − v",
    )
    .cost("20 bytes and 4 operations a weight")
    .paper("Polyak 1964, USSR Computational Mathematics and Mathematical Physics 4(5)")
    .presets(&[
        ("torch", "PyTorch's SGD(momentum=0.9)"),
        (
            "textbook",
            "the textbook form, a moving average of gradients",
        ),
        (
            "heavy-ball",
            "the textbook's equivalent form, with the learning rate inside the velocity",
        ),
    ]);

    fn preset(name: &str) -> Option<Self> {
        let form = match name {
            "torch" => MomentumForm::Torch,
            "textbook" => MomentumForm::Ema,
            "heavy-ball" => MomentumForm::HeavyBall,
            _ => return None,
        };
        Some(MomentumConfig {
            form,
            ..Self::default()
        })
    }

    fn check(&self) -> Result<(), ConfigError> {
        if self.dampening != 0.0 && self.form != MomentumForm::Torch {
            let why = "only the form `torch` has dampening";
            return Err(ConfigError::Contradiction {
                option: "dampening",
                with: "form `ema` or `heavy-ball`",
                why,
            });
        }
        Ok(())
    }

    fn rule_for(&self, group: ParameterGroup) -> Momentum {
        Momentum {
            weight_decay: WeightDecay::new(self.weight_decay, self.decay, group.decay),
            options: self.clone(),
        }
    }

    /// 2 (1 + μ)/(1 − d), as a moving average 2 (1 + μ)/(1 − μ).
    fn stability(&self) -> Option<Stability> {
        let kept = match self.form {
            MomentumForm::Ema => 1.0 - self.momentum,
            MomentumForm::Torch | MomentumForm::HeavyBall => 1.0 - self.dampening,
        };
        Some(Stability {
            bound: 2.0 * (1.0 + self.momentum) / kept,
            decay: WeightDecay::new(self.weight_decay, self.decay, true).l2(),
            preconditioner: None,
        })
    }

    fn exclusions(&self) -> Exclusions {
        Exclusions::of_decay(&self.exclude_from_weight_decay)
    }
}

crate::state! {
    /// The state of [`Momentum`] and of [`Nesterov`](crate::Nesterov).
    pub struct MomentumState<const D: usize> {
        /// Velocity v, of the parameter's shape.
        pub velocity: Tensor<D>,
    }
}

/// The rule of [`MomentumConfig`].
#[derive(Clone, Debug)]
pub struct Momentum {
    options: MomentumConfig,
    weight_decay: WeightDecay,
}

impl Rule for Momentum {
    fn on_slices(&self) -> Option<&dyn StepSlices> {
        Some(self)
    }
}

impl StepSlices for Momentum {
    fn step_slices(&self, lr: f64, w: &mut [f32], g: &mut [f32], state: &mut SliceState) {
        // The first step on tensors made the velocity.
        if let [v] = &mut state.tensors[..] {
            steps::step_slices(&self.fused(lr), [g], [w, v]);
        }
    }
}

impl Optimizer for Momentum {
    type State<const D: usize> = MomentumState<D>;

    fn step<const D: usize>(
        &self,
        lr: f64,
        w: Tensor<D>,
        g: Tensor<D>,
        state: Option<MomentumState<D>>,
    ) -> (Tensor<D>, Option<MomentumState<D>>) {
        let o = &self.options;
        let composed = |w: Tensor<D>, g: Tensor<D>, past: Option<Tensor<D>>| {
            let (w, g) = self.weight_decay.apply(lr, w, g);
            let entering = match o.form {
                MomentumForm::Torch if past.is_none() => g,
                MomentumForm::Torch => g.mul_scalar(1.0 - o.dampening),
                MomentumForm::Ema => g.mul_scalar(1.0 - o.momentum),
                MomentumForm::HeavyBall => g.mul_scalar(lr),
            };
            let velocity = match past {
                Some(past) => past.mul_scalar(o.momentum) + entering,
                None => entering,
            };
            let step = match o.form {
                MomentumForm::HeavyBall => velocity.clone(),
                _ => velocity.clone().mul_scalar(lr),
            };
            [w - step, velocity]
        };
        let [w, velocity] = match state {
            None => composed(w, g, None),
            Some(MomentumState { velocity }) => steps::step(&self.fused(lr), [g], [w, velocity])
                .unwrap_or_else(|([g], [w, velocity])| composed(w, g, Some(velocity))),
        };
        (w, Some(MomentumState { velocity }))
    }

    fn to_device<const D: usize>(state: MomentumState<D>, device: &Device) -> MomentumState<D> {
        state.to_device(device)
    }
}

impl Momentum {
    fn fused(&self, lr: f64) -> steps::Velocity {
        let o = &self.options;
        let (entering, rate) = match o.form {
            MomentumForm::Torch => (1.0 - o.dampening, lr),
            MomentumForm::Ema => (1.0 - o.momentum, lr),
            MomentumForm::HeavyBall => (lr, 1.0),
        };
        steps::Velocity {
            decay: self.weight_decay.factors(lr),
            scale: entering as f32,
            beta: o.momentum as f32,
            kept: 1.0,
            ahead: None,
            rate: rate as f32,
        }
    }
}
