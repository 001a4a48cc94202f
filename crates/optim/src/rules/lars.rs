//! LARS. Over 400 lines: it has most of the published variants, and an optimizer is one file.

use super::prelude::*;
use crate::ConfigError;
use crate::norm::{either_zero, finite_ratio, norm, scaled};

/// LARS, layer-wise adaptive rate scaling: SGD with momentum μ whose learning rate η is scaled in
/// each layer by a trust ratio r:
///
/// r = c ‖w‖ / (‖g‖ + λ‖w‖ + ε), and r = 1 if ‖w‖ or ‖g‖ is 0 (λ is `weight_decay`, c is
/// `trust_coefficient`).
///
/// Each difference between the published implementations is an option:
///
/// A preset holds the option values of one implementation; `docs/optimizers.md` has the table. You,
/// Gitman and Ginsburg 2017, arXiv 1708.03888.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema, WithSetters)]
#[serde(default, deny_unknown_fields)]
#[getset(set_with = "pub")]
pub struct LarsConfig {
    /// Momentum coefficient μ.
    #[schemars(range(min = 0.0), extend("exclusiveMaximum" = 1.0, "why" = FORGETS))]
    pub momentum: f64,
    /// Dampening d: the gradient is multiplied by 1 − d, except at the first step. Only with
    /// `rate` outside.
    #[schemars(range(min = 0.0, max = 1.0), extend("why" = "it is a fraction of the gradient"))]
    pub dampening: f64,
    /// Whether to step along μv + g instead of v (Nesterov, in PyTorch's form).
    pub nesterov: bool,
    /// Weight decay λ; 0 for none.
    #[schemars(range(min = 0.0), extend("why" = DECAYS))]
    pub weight_decay: f64,
    /// `l2`: add λw to the gradient; `decoupled`: w ← w − ηλw before the step.
    pub decay: Decay,
    /// Trust coefficient c, the relative size of a layer's step.
    #[schemars(extend("exclusiveMinimum" = 0.0, "why" = "at 0 no layer would move"))]
    pub trust_coefficient: f64,
    /// ε, added to the denominator of the trust ratio.
    #[schemars(range(min = 0.0), extend("why" = DIVIDES))]
    pub eps: f64,
    /// The denominator of the trust ratio.
    pub denominator: Denominator,
    /// Where learning rate η and trust ratio r are applied.
    pub rate: RatePlace,
    /// LARC: r becomes min(r/η, 1), so that a layer's rate never exceeds η.
    pub trust_clip: bool,
    /// Whether parameters without weight decay are adapted too.
    pub always_adapt: bool,
    /// How a layer moves whose ‖w‖ or ‖g‖ is 0.
    pub zero_norm: ZeroNorm,
    /// Parameters without weight decay.
    pub exclude_from_weight_decay: Exclude,
    /// Parameters without layer adaptation, which move as under the base optimizer.
    pub exclude_from_layer_adaptation: Exclude,
}

/// The denominator of the trust ratio.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Denominator {
    /// ‖g‖ + λ‖w‖ + ε.
    #[default]
    Sum,
    /// ‖g + λw‖ + ε.
    Combined,
}

/// Where learning rate η and trust ratio r are applied, with u = g + λw.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum RatePlace {
    /// v ← μv + ηru; w ← w − v.
    #[default]
    Inside,
    /// v ← μv + ru; w ← w − ηv.
    Outside,
    /// v ← μv + u; w ← w − ηrv with r = c‖w‖/(‖v‖ + ε).
    Velocity,
}

/// How a layer moves whose weights or gradients are all 0.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ZeroNorm {
    /// As under SGD: the trust ratio is 1.
    #[default]
    Plain,
    /// The trust ratio is 1, without weight decay and without LARC's clipping.
    Bare,
}

impl Default for LarsConfig {
    fn default() -> Self {
        LarsConfig {
            momentum: 0.9,
            dampening: 0.0,
            nesterov: false,
            weight_decay: 5e-4,
            decay: Decay::L2,
            trust_coefficient: 0.001,
            eps: 0.0,
            denominator: Denominator::Sum,
            rate: RatePlace::Inside,
            trust_clip: false,
            always_adapt: true,
            zero_norm: ZeroNorm::Plain,
            exclude_from_weight_decay: Exclude::none(),
            exclude_from_layer_adaptation: Exclude::none(),
        }
    }
}

impl OptimizerConfig for LarsConfig {
    type Rule = Lars;

    const FACTS: Facts = Facts::new(
        "lars",
        "SGD with momentum whose learning rate is scaled in each layer by ‖w‖ / ‖g‖",
    )
    .formula("r = c ‖w‖ / (‖g‖ + λ ‖w‖ + ε); v ← μ v + η r (g + λ w); w ← w − v")
    .cost("28 bytes and 10 operations a weight: w and g are read twice, first for their norms")
    .paper("You, Gitman and Ginsburg 2017, arXiv 1708.03888")
    .presets(&[
        ("paper", "Algorithm 1 of the paper"),
        ("mlperf", "MLPerf's ResNet reference: weight decay 1e-4; biases and batch norm without decay and adaptation"),
        ("tf-models", "tensorflow/models (classic momentum): ‖g + λw‖, weight decay 0 by default"),
        ("optax", "optax.lars: ‖g + λw‖, weight decay 0 by default"),
        ("timm", "timm.optim.Lars: rate outside, momentum 0, no adaptation without weight decay"),
        ("apex-larc", "apex.parallel.LARC around SGD with momentum 0.9: clipped trust ratio, c = 0.02"),
        ("textbook", "the textbook form: w ← w − η ‖w‖/‖g‖ g"),
    ]);

    fn preset(name: &str) -> Option<Self> {
        let paper = Self::default();
        let no_decay = LarsConfig {
            weight_decay: 0.0,
            ..paper.clone()
        };
        Some(match name {
            "paper" => paper,
            "mlperf" => {
                let skipped =
                    Exclude::patterns(["batch_normalization", "bias", "layer:BatchNorm"]).ok()?;
                LarsConfig {
                    weight_decay: 1e-4,
                    exclude_from_weight_decay: skipped.clone(),
                    exclude_from_layer_adaptation: skipped,
                    ..paper
                }
            }
            "tf-models" | "optax" => LarsConfig {
                denominator: Denominator::Combined,
                ..no_decay
            },
            "timm" => LarsConfig {
                momentum: 0.0,
                eps: 1e-8,
                rate: RatePlace::Outside,
                always_adapt: false,
                ..no_decay
            },
            "apex-larc" => LarsConfig {
                trust_coefficient: 0.02,
                eps: 1e-8,
                rate: RatePlace::Outside,
                trust_clip: true,
                zero_norm: ZeroNorm::Bare,
                ..no_decay
            },
            "textbook" => LarsConfig {
                momentum: 0.0,
                trust_coefficient: 1.0,
                ..no_decay
            },
            _ => return None,
        })
    }

    fn check(&self) -> Result<(), ConfigError> {
        if self.dampening != 0.0 && self.rate != RatePlace::Outside {
            let why = "only the form with `rate` outside, as in timm, has dampening";
            return Err(ConfigError::Contradiction {
                option: "dampening",
                with: "rate `inside` or `velocity`",
                why,
            });
        }
        if self.nesterov && (self.momentum == 0.0 || self.dampening != 0.0) {
            let why = "Nesterov's step needs momentum without dampening";
            return Err(ConfigError::Contradiction {
                option: "nesterov",
                with: "momentum 0 or dampening",
                why,
            });
        }
        Ok(())
    }

    fn rule_for(&self, group: ParameterGroup) -> Lars {
        let weight_decay = WeightDecay::new(self.weight_decay, self.decay, group.decay);
        Lars {
            adapt: group.adapt && (self.always_adapt || weight_decay.rate != 0.0),
            weight_decay,
            options: self.clone(),
        }
    }

    fn exclusions(&self) -> Exclusions {
        Exclusions {
            weight_decay: self.exclude_from_weight_decay.clone(),
            layer_adaptation: self.exclude_from_layer_adaptation.clone(),
        }
    }
}

crate::state! {
    /// The state of [`Lars`].
    pub struct LarsState<const D: usize> {
        /// Velocity v, of the parameter's shape; `None` without momentum.
        pub velocity: Option<Tensor<D>>,
        /// The last trust ratio, of shape \[1\]; `None` for a layer that is not adapted.
        pub trust_ratio: Option<Tensor<1>>,
    }
}

/// The rule of [`LarsConfig`].
#[derive(Clone, Debug)]
pub struct Lars {
    options: LarsConfig,
    weight_decay: WeightDecay,
    adapt: bool,
}

impl Rule for Lars {
    fn on_slices(&self) -> Option<&dyn StepSlices> {
        (self.fuses() && self.options.momentum != 0.0).then_some(self)
    }

    fn trust_ratio<const D: usize>(state: &LarsState<D>) -> Option<Tensor<1>> {
        state.trust_ratio.clone()
    }
}

impl Lars {
    /// The trust ratio r for this denominator; `guards` are the norms that must not be 0.
    fn ratio(
        &self,
        lr: f64,
        w: &Tensor<1>,
        denominator: Tensor<1>,
        guards: [Tensor<1>; 2],
    ) -> Tensor<1> {
        let o = &self.options;
        let unfit = (o.zero_norm == ZeroNorm::Bare && o.trust_clip).then(|| either_zero(&guards));
        let ratio = finite_ratio(
            w.clone().mul_scalar(o.trust_coefficient),
            denominator,
            guards,
        );
        if !o.trust_clip {
            return ratio;
        }
        // At rate 0 (the start of a warm-up) the quotient is infinite and the clip makes it 1.
        let clipped = ratio.div_scalar(lr).clamp_max(1.0);
        match unfit {
            Some(unfit) => clipped.mask_fill(unfit, 1.0),
            None => clipped,
        }
    }

    /// The gradient with its decay, and the trust ratio unless it comes from the velocity.
    fn gradient<const D: usize>(
        &self,
        lr: f64,
        w: &Tensor<D>,
        g: Tensor<D>,
    ) -> (Tensor<D>, Option<Tensor<1>>) {
        let (o, beta) = (&self.options, self.weight_decay.l2());
        let bare = o.zero_norm == ZeroNorm::Bare && self.adapt;
        let norms =
            (bare || (self.adapt && o.rate != RatePlace::Velocity)).then(|| (norm(w), norm(&g)));
        let u = match &norms {
            _ if beta == 0.0 => g,
            Some((wn, gn)) if bare => {
                let unfit = either_zero(&[wn.clone(), gn.clone()]);
                g + scaled(w.clone(), gn.full_like(beta).mask_fill(unfit, 0.0))
            }
            _ => g + w.clone().mul_scalar(beta),
        };
        let ratio = match norms {
            Some((wn, gn)) if self.adapt && o.rate != RatePlace::Velocity => {
                Some(match o.denominator {
                    Denominator::Sum => {
                        let denominator =
                            gn.clone() + wn.clone().mul_scalar(beta).add_scalar(o.eps);
                        self.ratio(lr, &wn.clone(), denominator, [wn, gn])
                    }
                    Denominator::Combined => {
                        let un = if beta == 0.0 { gn } else { norm(&u) };
                        self.ratio(lr, &wn.clone(), un.clone().add_scalar(o.eps), [wn, un])
                    }
                })
            }
            _ => None,
        };
        (u, ratio)
    }
}

impl StepSlices for Lars {
    fn step_slices(&self, lr: f64, w: &mut [f32], g: &mut [f32], state: &mut SliceState) {
        // The first step on tensors made the velocity.
        let [v] = &mut state.tensors[..] else { return };
        let step = self.velocity(lr);
        if self.adapt {
            state.trust_ratio = Some(self.trust(lr).step_slices(step, g, [w, v]));
        } else {
            steps::step_slices(&step, [g], [w, v]);
        }
    }
}

impl Optimizer for Lars {
    type State<const D: usize> = LarsState<D>;

    fn step<const D: usize>(
        &self,
        lr: f64,
        w: Tensor<D>,
        g: Tensor<D>,
        state: Option<LarsState<D>>,
    ) -> (Tensor<D>, Option<LarsState<D>>) {
        let o = &self.options;
        let (w, g, past) = match state.and_then(|s| s.velocity) {
            Some(velocity) => match self.fused(lr, [w, g, velocity]) {
                Ok(([w, velocity], trust_ratio)) => {
                    let velocity = Some(velocity);
                    return (
                        w,
                        Some(LarsState {
                            velocity,
                            trust_ratio,
                        }),
                    );
                }
                Err([w, g, velocity]) => (w, g, Some(velocity)),
            },
            None => (w, g, None),
        };
        let w = match self.weight_decay.decay {
            Decay::Decoupled if self.weight_decay.rate != 0.0 => {
                w.mul_scalar(1.0 - lr * self.weight_decay.rate)
            }
            _ => w,
        };
        let (u, mut trust_ratio) = self.gradient(lr, &w, g);
        // The term that is added to the velocity.
        let entering = match (o.rate, &trust_ratio) {
            (RatePlace::Inside, Some(ratio)) => scaled(u, ratio.clone().mul_scalar(lr)),
            (RatePlace::Inside, None) => u.mul_scalar(lr),
            (_, Some(ratio)) => scaled(u, ratio.clone()),
            (_, None) => u,
        };
        let (direction, velocity) = if o.momentum == 0.0 {
            (entering, None)
        } else {
            let velocity = match past {
                None => entering.clone(),
                Some(v) if o.dampening == 0.0 => v.mul_scalar(o.momentum) + entering.clone(),
                Some(v) => {
                    v.mul_scalar(o.momentum) + entering.clone().mul_scalar(1.0 - o.dampening)
                }
            };
            let direction = if o.nesterov {
                entering + velocity.clone().mul_scalar(o.momentum)
            } else {
                velocity.clone()
            };
            (direction, Some(velocity))
        };
        let delta = match o.rate {
            RatePlace::Inside => direction,
            RatePlace::Outside => direction.mul_scalar(lr),
            RatePlace::Velocity if self.adapt => {
                let (wn, dn) = (norm(&w), norm(&direction));
                let ratio = self.ratio(lr, &wn.clone(), dn.clone().add_scalar(o.eps), [wn, dn]);
                trust_ratio = Some(ratio.clone());
                scaled(direction, ratio.mul_scalar(lr))
            }
            RatePlace::Velocity => direction.mul_scalar(lr),
        };
        let state = LarsState {
            velocity,
            trust_ratio,
        };
        (w - delta, Some(state))
    }

    fn to_device<const D: usize>(state: LarsState<D>, device: &Device) -> LarsState<D> {
        state.to_device(device)
    }
}

impl Lars {
    /// The step with momentum in two passes: the norms, then velocity and weights. Returns the
    /// tensors unchanged if no kernel can do it.
    #[allow(clippy::type_complexity)] // as `steps::Trust::step`
    fn fused<const D: usize>(
        &self,
        lr: f64,
        [w, g, velocity]: [Tensor<D>; 3],
    ) -> Result<([Tensor<D>; 2], Option<Tensor<1>>), [Tensor<D>; 3]> {
        if !self.fuses() {
            return Err([w, g, velocity]);
        }
        let step = self.velocity(lr);
        if self.adapt {
            let (changed, ratio) = self.trust(lr).step(step, w, g, velocity)?;
            return Ok((changed, Some(ratio)));
        }
        steps::step(&step, [g], [w, velocity])
            .map(|changed| (changed, None))
            .map_err(|([g], [w, velocity])| [w, g, velocity])
    }

    /// Whether the kernels have this step.
    fn fuses(&self) -> bool {
        self.options.rate != RatePlace::Velocity && self.options.zero_norm != ZeroNorm::Bare
    }

    fn velocity(&self, lr: f64) -> steps::Velocity {
        let o = &self.options;
        let (scale, rate) = if o.rate == RatePlace::Inside {
            (lr as f32, 1.0)
        } else {
            (1.0, lr as f32)
        };
        let momentum = o.momentum as f32;
        steps::Velocity {
            decay: self.weight_decay.factors(lr),
            scale,
            beta: momentum,
            kept: (1.0 - o.dampening) as f32,
            ahead: o.nesterov.then_some(momentum),
            rate,
        }
    }

    fn trust(&self, lr: f64) -> steps::Trust {
        let o = &self.options;
        steps::Trust {
            coefficient: o.trust_coefficient as f32,
            eps: o.eps as f32,
            combined: o.denominator == Denominator::Combined,
            clip: o.trust_clip.then_some(lr as f32),
        }
    }
}
