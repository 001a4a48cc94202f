//! LAMB. Over 400 lines: it has most of the published variants, and an optimizer is one file.

use super::adam::correction;
use super::prelude::*;
use crate::norm::{cautious, finite_ratio, norm, root_plus_eps, scaled};
use crate::{ClipForm, ConfigError, GlobalClip};

/// LAMB, layer-wise adaptive moments: Adam whose step is scaled in each layer by a trust ratio r:
///
/// u = m̂ / (√v̂ + ε) + λw; w ← w − η r u with r = φ(‖w‖) / ‖u‖, and r = 1 if one of the two is 0.
///
/// Each difference between the published implementations is an option:
///
/// `max_grad_norm` and `pre_normalize` become [`OptimizerConfig::global_clip`], which the caller applies.
/// Burn's own `Lamb` has no exclusions, bounds or clipping, and its options are f32. You et al.
/// 2020, arXiv 1904.00962.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema, WithSetters)]
#[serde(default, deny_unknown_fields)]
#[getset(set_with = "pub")]
pub struct LambConfig {
    /// Decay rate β₁ of the mean of gradients m.
    #[schemars(range(min = 0.0), extend("exclusiveMaximum" = 1.0, "why" = FORGETS))]
    pub beta1: f64,
    /// Decay rate β₂ of the mean of squared gradients v.
    #[schemars(range(min = 0.0), extend("exclusiveMaximum" = 1.0, "why" = FORGETS))]
    pub beta2: f64,
    /// ε, added to √v̂ in the denominator.
    #[schemars(range(min = 0.0), extend("why" = DIVIDES))]
    pub eps: f64,
    /// Where the bias of m and v, which start at 0, is corrected.
    pub bias_correction: BiasCorrection,
    /// Whether the gradient is multiplied by 1 − β₁ in m, or by 1.
    pub grad_averaging: bool,
    /// Whether only coordinates whose update and gradient agree in sign move, scaled up.
    pub caution: bool,
    /// Weight decay λ; 0 for none.
    #[schemars(range(min = 0.0), extend("why" = DECAYS))]
    pub weight_decay: f64,
    /// `update`: λw is part of the update, and so of the trust ratio; `l2`: add λw to the
    /// gradient; `decoupled`: w ← w − ηλw before the norms.
    pub decay: LambDecay,
    /// For decoupled decay: w shrinks by λη²/`max_lr` a step, which is λη at the rate `max_lr`;
    /// inf: λη at every rate.
    #[schemars(extend("exclusiveMinimum" = 0.0, "infinite" = true, "why" = "the decay is divided by it"))]
    pub max_lr: f64,
    /// Lower bound of φ(‖w‖), at most `norm_max`.
    #[schemars(range(min = 0.0), extend("why" = "it is a bound of a norm"))]
    pub norm_min: f64,
    /// Upper bound of φ(‖w‖); inf for none.
    #[schemars(extend("exclusiveMinimum" = 0.0, "infinite" = true, "why" = "at 0 no layer would move"))]
    pub norm_max: f64,
    /// Lower bound of the trust ratio r, at most `ratio_max`.
    #[schemars(range(min = 0.0), extend("why" = "it is a bound of a ratio"))]
    pub ratio_min: f64,
    /// Upper bound of the trust ratio r; inf for none.
    #[schemars(extend("exclusiveMinimum" = 0.0, "infinite" = true, "why" = "at 0 no layer would move"))]
    pub ratio_max: f64,
    /// Whether parameters without weight decay are adapted too.
    pub always_adapt: bool,
    /// Clip all gradients to this global norm before the step; inf for no clipping.
    #[schemars(extend("exclusiveMinimum" = 0.0, "infinite" = true, "why" = "at 0 no gradient would be left; inf is no clipping"))]
    pub max_grad_norm: f64,
    /// Whether all gradients are divided by their global norm before the step.
    pub pre_normalize: bool,
    /// Parameters without weight decay.
    pub exclude_from_weight_decay: Exclude,
    /// Parameters without layer adaptation, which move as under Adam.
    pub exclude_from_layer_adaptation: Exclude,
}

/// Where the bias of m and v, which start at 0, is corrected.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum BiasCorrection {
    /// In the moments: m / (1 − β₁ᵗ), v / (1 − β₂ᵗ).
    #[default]
    Moments,
    /// In the step size: η √(1 − β₂ᵗ) / (1 − β₁ᵗ), outside the trust ratio.
    StepSize,
    /// No correction.
    None,
}

/// How LAMB applies weight decay.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum LambDecay {
    /// As part of the update, and so of the trust ratio: u ← u + λw.
    #[default]
    Update,
    /// As L2 in the gradient, after clipping: g ← g + λw.
    L2,
    /// Decoupled: w ← w − ηλw before the norms are taken.
    Decoupled,
}

impl Default for LambConfig {
    fn default() -> Self {
        LambConfig {
            beta1: 0.9,
            beta2: 0.999,
            eps: 1e-6,
            bias_correction: BiasCorrection::Moments,
            grad_averaging: true,
            caution: false,
            weight_decay: 0.01,
            decay: LambDecay::Update,
            max_lr: f64::INFINITY,
            norm_min: 0.0,
            norm_max: f64::INFINITY,
            ratio_min: 0.0,
            ratio_max: f64::INFINITY,
            always_adapt: true,
            max_grad_norm: f64::INFINITY,
            pre_normalize: false,
            exclude_from_weight_decay: Exclude::none(),
            exclude_from_layer_adaptation: Exclude::none(),
        }
    }
}

impl LambConfig {
    /// The factor by which decoupled decay multiplies λ.
    fn decay_rate(&self, lr: f64) -> f64 {
        if self.max_lr.is_finite() {
            lr * lr / self.max_lr
        } else {
            lr
        }
    }
}

impl OptimizerConfig for LambConfig {
    type Rule = Lamb;

    const FACTS: Facts = Facts::new(
        "lamb",
        "Adam whose step is scaled in each layer by ‖w‖ / ‖step‖",
    )
    .formula("u = m̂ / (√v̂ + ε) + λ w; w ← w − η φ(‖w‖) / ‖u‖ u")
    .cost("40 bytes and 20 operations a weight: the update is written before its norm is known")
    .paper("You et al. 2020, arXiv 1904.00962")
    .presets(&[
        ("paper", "Algorithm 2 of the paper, with bias correction and weight decay 0.01"),
        ("paper-v3", "the paper's third version and pytorch-lamb: no bias correction, ‖w‖ at most 10"),
        ("optax", "optax.lamb: weight decay 0 by default"),
        ("timm", "timm.optim.Lamb: gradients clipped to global norm 1, no adaptation without weight decay"),
        ("apex", "apex.optimizers.FusedLAMB: the same as timm"),
        ("nvlamb", "FusedLAMB(use_nvlamb=True): every layer is adapted"),
        ("deepspeed", "DeepSpeed's FusedLamb: trust ratio from 0.01 to 10, bias correction in the step size (its newest source: in the moments)"),
        ("textbook", "the textbook form: w ← w − η ‖w‖/‖u‖ u with Adam's update u"),
    ]);

    fn preset(name: &str) -> Option<Self> {
        let paper = Self::default();
        let no_decay = LambConfig {
            weight_decay: 0.0,
            ..paper.clone()
        };
        Some(match name {
            "paper" => paper,
            "paper-v3" => LambConfig {
                bias_correction: BiasCorrection::None,
                norm_max: 10.0,
                ..paper
            },
            "optax" => no_decay,
            "timm" | "apex" => LambConfig {
                always_adapt: false,
                max_grad_norm: 1.0,
                ..paper
            },
            "nvlamb" => LambConfig {
                max_grad_norm: 1.0,
                ..paper
            },
            "deepspeed" => LambConfig {
                eps: 1e-8,
                bias_correction: BiasCorrection::StepSize,
                ratio_min: 0.01,
                ratio_max: 10.0,
                ..no_decay
            },
            "textbook" => LambConfig {
                eps: 1e-8,
                ..no_decay
            },
            _ => return None,
        })
    }

    fn check(&self) -> Result<(), ConfigError> {
        let refuse = |option, with, why| Err(ConfigError::Contradiction { option, with, why });
        if self.max_lr.is_finite() && self.decay != LambDecay::Decoupled {
            return refuse(
                "max_lr",
                "decay `update` or `l2`",
                "it is for decoupled decay: set decay = \"decoupled\", or leave max_lr out",
            );
        }
        if self.norm_min > self.norm_max {
            return refuse("norm_min", "a smaller norm_max", "it is the lower bound");
        }
        if self.ratio_min > self.ratio_max {
            return refuse("ratio_min", "a smaller ratio_max", "it is the lower bound");
        }
        Ok(())
    }

    fn rule_for(&self, group: ParameterGroup) -> Lamb {
        let weight_decay = if group.decay { self.weight_decay } else { 0.0 };
        Lamb {
            weight_decay,
            adapt: group.adapt && (self.always_adapt || weight_decay != 0.0),
            options: self.clone(),
        }
    }

    fn exclusions(&self) -> Exclusions {
        Exclusions {
            weight_decay: self.exclude_from_weight_decay.clone(),
            layer_adaptation: self.exclude_from_layer_adaptation.clone(),
        }
    }

    fn global_clip(&self) -> Option<GlobalClip> {
        if self.pre_normalize {
            return Some(GlobalClip {
                max_norm: 1.0,
                form: ClipForm::Normalize,
            });
        }
        self.max_grad_norm.is_finite().then_some(GlobalClip {
            max_norm: self.max_grad_norm,
            form: ClipForm::Exact,
        })
    }
}

crate::state! {
    /// The state of [`Lamb`].
    pub struct LambState<const D: usize> {
        /// Mean of gradients m, of the parameter's shape.
        pub mean: Tensor<D>,
        /// Mean of squared gradients v, of the parameter's shape.
        pub square: Tensor<D>,
        /// The last trust ratio, of shape \[1\]; `None` for a layer that is not adapted.
        pub trust_ratio: Option<Tensor<1>>,
        /// Number of steps done.
        pub time: u64,
    }
}

/// The rule of [`LambConfig`].
#[derive(Clone, Debug)]
pub struct Lamb {
    options: LambConfig,
    weight_decay: f64,
    adapt: bool,
}

impl Rule for Lamb {
    fn on_slices(&self) -> Option<&dyn StepSlices> {
        (!self.options.caution).then_some(self)
    }

    fn trust_ratio<const D: usize>(state: &LambState<D>) -> Option<Tensor<1>> {
        state.trust_ratio.clone()
    }
}

impl StepSlices for Lamb {
    fn step_slices(&self, lr: f64, w: &mut [f32], g: &mut [f32], state: &mut SliceState) {
        // The first step on tensors made the moments.
        if let [mean, square] = &mut state.tensors[..] {
            state.time += 1;
            state.trust_ratio = self
                .kernel(lr, state.time)
                .step_slices([w, g, mean, square]);
        }
    }
}

impl Optimizer for Lamb {
    type State<const D: usize> = LambState<D>;

    fn step<const D: usize>(
        &self,
        lr: f64,
        w: Tensor<D>,
        g: Tensor<D>,
        state: Option<LambState<D>>,
    ) -> (Tensor<D>, Option<LambState<D>>) {
        let (mean, square, time) = match state {
            Some(s) => (s.mean, s.square, s.time + 1),
            None => (w.zeros_like(), w.zeros_like(), 1),
        };
        let changed = [w, g, mean, square];
        let fused = match self.options.caution {
            true => Err(changed),
            false => self.kernel(lr, time).step(changed),
        };
        let ([w, mean, square], trust_ratio) =
            fused.unwrap_or_else(|changed| self.composed(lr, time, changed));
        let state = LambState {
            mean,
            square,
            trust_ratio,
            time,
        };
        (w, Some(state))
    }

    fn to_device<const D: usize>(state: LambState<D>, device: &Device) -> LambState<D> {
        state.to_device(device)
    }
}

impl Lamb {
    /// The step in tensor operations, and the trust ratio.
    fn composed<const D: usize>(
        &self,
        lr: f64,
        time: u64,
        [mut w, mut g, mean, square]: [Tensor<D>; 4],
    ) -> ([Tensor<D>; 3], Option<Tensor<1>>) {
        let (o, decay) = (&self.options, self.weight_decay);
        let decays = |how| decay != 0.0 && o.decay == how;
        if decays(LambDecay::L2) {
            g = g + w.clone().mul_scalar(decay);
        }
        if decays(LambDecay::Decoupled) {
            w = w.mul_scalar(1.0 - o.decay_rate(lr) * decay);
        }

        let entering = if o.grad_averaging {
            g.clone().mul_scalar(1.0 - o.beta1)
        } else {
            g.clone()
        };
        let seen = o.caution.then(|| g.clone());
        let mean = mean.mul_scalar(o.beta1) + entering;
        let square = square.mul_scalar(o.beta2) + g.square().mul_scalar(1.0 - o.beta2);

        let (correction1, correction2) = (correction(o.beta1, time), correction(o.beta2, time));
        let (mut update, rate) = match o.bias_correction {
            BiasCorrection::Moments => {
                let divisor = root_plus_eps(square.clone().div_scalar(correction2), o.eps);
                (mean.clone().div_scalar(correction1) / divisor, lr)
            }
            BiasCorrection::StepSize => (
                mean.clone() / root_plus_eps(square.clone(), o.eps),
                lr * correction2.sqrt() / correction1,
            ),
            BiasCorrection::None => (mean.clone() / root_plus_eps(square.clone(), o.eps), lr),
        };
        if let Some(g) = seen {
            update = cautious(update, g);
        }
        if decays(LambDecay::Update) {
            update = update + w.clone().mul_scalar(decay);
        }
        if !self.adapt {
            return ([w - update.mul_scalar(rate), mean, square], None);
        }
        let mut phi = norm(&w);
        if o.norm_min > 0.0 || o.norm_max < f64::INFINITY {
            phi = phi.clamp(o.norm_min, o.norm_max);
        }
        let un = norm(&update);
        let mut ratio = finite_ratio(phi.clone(), un.clone(), [phi, un]);
        if o.ratio_min > 0.0 || o.ratio_max < f64::INFINITY {
            ratio = ratio.clamp(o.ratio_min, o.ratio_max);
        }
        let delta = scaled(update, ratio.clone().mul_scalar(rate));
        ([w - delta, mean, square], Some(ratio))
    }

    fn kernel(&self, lr: f64, time: u64) -> steps::Lamb {
        let (o, decay) = (&self.options, self.weight_decay);
        let by = |how| if o.decay == how { decay } else { 0.0 };
        let shrink = (1.0 - o.decay_rate(lr) * by(LambDecay::Decoupled)) as f32;
        let corrections = (correction(o.beta1, time), correction(o.beta2, time));
        let (corrections, rate) = match o.bias_correction {
            BiasCorrection::Moments => (corrections, lr),
            BiasCorrection::StepSize => ((1.0, 1.0), lr * corrections.1.sqrt() / corrections.0),
            BiasCorrection::None => ((1.0, 1.0), lr),
        };
        steps::Lamb {
            decay: (by(LambDecay::L2) as f32, shrink),
            beta: [o.beta1 as f32, o.beta2 as f32],
            entering: [
                if o.grad_averaging {
                    (1.0 - o.beta1) as f32
                } else {
                    1.0
                },
                (1.0 - o.beta2) as f32,
            ],
            corrections: [(1.0 / corrections.0) as f32, (1.0 / corrections.1) as f32],
            eps: o.eps as f32,
            update_decay: by(LambDecay::Update) as f32,
            rate: rate as f32,
            bounds: self
                .adapt
                .then_some([o.norm_min, o.norm_max, o.ratio_min, o.ratio_max].map(|b| b as f32)),
        }
    }
}
