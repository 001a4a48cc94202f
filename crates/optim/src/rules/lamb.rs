use super::adam::{BETA1, BETA2, EPS, correction};
use super::{EXCLUDE_ADAPTATION, EXCLUDE_DECAY, WEIGHT_DECAY, check_beta, check_decay, check_eps};
use crate::norm::{root_plus_eps, scaled, sum};
use crate::{
    ClipForm, ConfigError, Exclude, Exclusions, Facts, GlobalClip, Parameter, Part, Preset, Recipe,
    Rule, finite_ratio, norm, within,
};
use burn::optim::Optimizer;
use burn::tensor::{Device, Tensor};
use largebatch_kernels::steps;
use serde::{Deserialize, Serialize};

/// LAMB, layer-wise adaptive moments: Adam whose step is scaled in each layer by a trust ratio r:
///
/// u = m̂ / (√v̂ + ε) + λw; w ← w − η r u with r = φ(‖w‖) / ‖u‖, and r = 1 if one of the two is 0.
///
/// Each difference between the published implementations is an option:
///
/// | option | default (`paper`) | purpose |
/// | --- | --- | --- |
/// | `beta1`, `beta2`, `eps` | 0.9, 0.999, 1e-6 | as in Adam |
/// | `bias_correction` | `moments` | m̂ = m/(1 − β₁ᵗ), and v̂ likewise; `step-size`: η ← η √(1 − β₂ᵗ)/(1 − β₁ᵗ) instead, after the norm; `none`: no correction |
/// | `grad_averaging` | true | add (1 − β₁)g to β₁m; false: add g (apex, timm) |
/// | `caution` | false | move only the coordinates in which the update and g agree in sign, and scale their step up (timm; Liang et al. 2024, arXiv 2411.16085) |
/// | `weight_decay` | 0.01 | weight decay λ |
/// | `decay` | `update` | λw is part of u, as above; `l2`: added to the gradient; `decoupled`: w ← w − ηλw before the norms (timm) |
/// | `max_lr` | inf | for decoupled decay: w ← w − η (η / `max_lr`) λw, so that the decay also follows the schedule (timm's `corrected_weight_decay`, where `max_lr` is the rate at construction); inf: w ← w − ηλw |
/// | `norm_min`, `norm_max` | 0, inf | φ(z) = min(max(z, `norm_min`), `norm_max`) |
/// | `ratio_min`, `ratio_max` | 0, inf | bounds of r; `ratio_max = 1` is timm's `trust_clip` |
/// | `always_adapt` | true | adapt parameters without weight decay too (apex and timm: false; apex's `use_nvlamb`: true) |
/// | `max_grad_norm` | inf | first clip all gradients to this global norm: g / max(1, n/`max_grad_norm`) |
/// | `pre_normalize` | false | first divide all gradients by their global norm, instead of clipping them |
/// | `exclude_from_weight_decay`, `exclude_from_layer_adaptation` | none | see [`Exclude`] |
///
/// `max_grad_norm` and `pre_normalize` become [`Recipe::global_clip`], which the caller applies.
/// Burn's own `Lamb` has no exclusions, bounds or clipping, and its options are f32. You et al.
/// 2020, arXiv 1904.00962.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LambConfig {
    /// Decay rate β₁ of the mean of gradients m; 0 ≤ β₁ < 1, default 0.9.
    pub beta1: f64,
    /// Decay rate β₂ of the mean of squared gradients v; 0 ≤ β₂ < 1, default 0.999.
    pub beta2: f64,
    /// ε, added to √v̂; 0 or more, default 1e-6.
    pub eps: f64,
    /// Where the bias of m and v, which start at 0, is corrected; default in the moments.
    pub bias_correction: BiasCorrection,
    /// Whether the gradient is multiplied by 1 − β₁ in m, or by 1; default true.
    pub grad_averaging: bool,
    /// Whether only coordinates whose update and gradient agree in sign move, scaled up; default
    /// false.
    pub caution: bool,
    /// Weight decay λ; 0 or more, default 0.01.
    pub weight_decay: f64,
    /// Whether λw is part of the update (default), added to the gradient, or decoupled.
    pub decay: LambDecay,
    /// For decoupled decay: w shrinks by λη²/`max_lr` a step, which is λη at the learning rate
    /// `max_lr`. Above 0; default infinity, for λη at every rate.
    pub max_lr: f64,
    /// Lower bound of φ(‖w‖); 0 ≤ `norm_min` ≤ `norm_max`, default 0.
    pub norm_min: f64,
    /// Upper bound of φ(‖w‖); above 0, default infinity (no bound).
    pub norm_max: f64,
    /// Lower bound of the trust ratio r; 0 ≤ `ratio_min` ≤ `ratio_max`, default 0.
    pub ratio_min: f64,
    /// Upper bound of the trust ratio r; above 0, default infinity (no bound).
    pub ratio_max: f64,
    /// Whether parameters without weight decay are adapted too; default true.
    pub always_adapt: bool,
    /// Upper bound of the global norm of all gradients, to which they are clipped before the step;
    /// above 0, default infinity (no clipping).
    pub max_grad_norm: f64,
    /// Whether all gradients are divided by their global norm before the step; default false.
    pub pre_normalize: bool,
    /// Parameters excluded from weight decay; default none.
    pub exclude_from_weight_decay: Exclude,
    /// Parameters excluded from layer adaptation, which move as under Adam; default none.
    pub exclude_from_layer_adaptation: Exclude,
}

/// Where the bias of m and v, which start at 0, is corrected.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
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
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
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

impl Recipe for LambConfig {
    type Rule = Lamb;

    const FACTS: &'static Facts = &Facts {
        name: "lamb",
        summary: "Adam whose step is scaled in each layer by ‖w‖ / ‖step‖",
        formula: "u = m̂ / (√v̂ + ε) + λ w; w ← w − η φ(‖w‖) / ‖u‖ u",
        paper: "You et al. 2020, arXiv 1904.00962",
        parameters: &[
            BETA1,
            BETA2,
            EPS,
            Parameter {
                name: "bias_correction",
                purpose: "correct the bias of m and v in the moments, in the step size after the norm, or not at all",
                range: "\"moments\", \"step-size\", \"none\"",
            },
            Parameter {
                name: "grad_averaging",
                purpose: "multiply the gradient by 1 − β₁ in m; false: by 1",
                range: "true, false",
            },
            Parameter {
                name: "caution",
                purpose: "move only coordinates whose update and gradient agree in sign, divided by the fraction of such coordinates",
                range: "true, false",
            },
            WEIGHT_DECAY,
            Parameter {
                name: "decay",
                purpose: "update: add λw to the update, and so to the trust ratio; l2: to the gradient; decoupled: w ← w − ηλw before the norms",
                range: "\"update\", \"l2\", \"decoupled\"",
            },
            Parameter {
                name: "max_lr",
                purpose: "decoupled decay is λη²/max_lr, with max_lr the schedule's highest learning rate; inf: λη",
                range: "above 0, inf for no correction",
            },
            Parameter {
                name: "norm_min",
                purpose: "lower bound of ‖w‖ in the trust ratio",
                range: "0 ≤ norm_min ≤ norm_max",
            },
            Parameter {
                name: "norm_max",
                purpose: "upper bound of ‖w‖ in the trust ratio",
                range: "above 0, inf for no bound",
            },
            Parameter {
                name: "ratio_min",
                purpose: "lower bound of the trust ratio",
                range: "0 ≤ ratio_min ≤ ratio_max",
            },
            Parameter {
                name: "ratio_max",
                purpose: "upper bound of the trust ratio",
                range: "above 0, inf for no bound",
            },
            Parameter {
                name: "always_adapt",
                purpose: "adapt parameters without weight decay too",
                range: "true, false",
            },
            Parameter {
                name: "max_grad_norm",
                purpose: "first clip all gradients to this global norm",
                range: "above 0, inf for no clipping",
            },
            Parameter {
                name: "pre_normalize",
                purpose: "first divide all gradients by their global norm",
                range: "true, false",
            },
            EXCLUDE_DECAY,
            EXCLUDE_ADAPTATION,
        ],
        presets: &[
            Preset {
                name: "paper",
                summary: "Algorithm 2 of the paper, with bias correction and weight decay 0.01",
            },
            Preset {
                name: "paper-v3",
                summary: "the paper's third version and pytorch-lamb: no bias correction, ‖w‖ at most 10",
            },
            Preset {
                name: "optax",
                summary: "optax.lamb: weight decay 0 by default",
            },
            Preset {
                name: "timm",
                summary: "timm.optim.Lamb: gradients clipped to global norm 1, no adaptation without weight decay",
            },
            Preset {
                name: "apex",
                summary: "apex.optimizers.FusedLAMB: the same as timm",
            },
            Preset {
                name: "nvlamb",
                summary: "FusedLAMB(use_nvlamb=True): every layer is adapted",
            },
            Preset {
                name: "deepspeed",
                summary: "DeepSpeed's FusedLamb: trust ratio from 0.01 to 10, bias correction in the step size (its newest source: in the moments)",
            },
            Preset {
                name: "lecture",
                summary: "the lecture's form: w ← w − η ‖w‖/‖u‖ u with Adam's update u",
            },
        ],
    };

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
            "lecture" => LambConfig {
                eps: 1e-8,
                ..no_decay
            },
            _ => return None,
        })
    }

    fn check(&self) -> Result<(), ConfigError> {
        check_beta("beta1", self.beta1)?;
        check_beta("beta2", self.beta2)?;
        check_eps(self.eps)?;
        check_decay(self.weight_decay)?;
        let positive = f64::MIN_POSITIVE..=f64::INFINITY;
        within(
            "max_lr",
            self.max_lr,
            positive.clone(),
            "the decay is divided by it",
        )?;
        if self.max_lr.is_finite() && self.decay != LambDecay::Decoupled {
            let why = "it applies only to `decay = \"decoupled\"`: set that, or leave max_lr out";
            return Err(ConfigError::OutOfRange {
                option: "max_lr",
                value: self.max_lr,
                range: "inf".into(),
                why,
            });
        }
        within(
            "norm_max",
            self.norm_max,
            positive.clone(),
            "at 0 no layer would move",
        )?;
        within(
            "norm_min",
            self.norm_min,
            0.0..=self.norm_max.min(f64::MAX),
            "it is a lower bound, so it cannot exceed norm_max",
        )?;
        within(
            "ratio_max",
            self.ratio_max,
            positive.clone(),
            "at 0 no layer would move",
        )?;
        within(
            "ratio_min",
            self.ratio_min,
            0.0..=self.ratio_max.min(f64::MAX),
            "it is a lower bound, so it cannot exceed ratio_max",
        )?;
        within(
            "max_grad_norm",
            self.max_grad_norm,
            positive,
            "at 0 every gradient would become 0; inf is no clipping",
        )
    }

    fn rule_for(&self, part: Part) -> Lamb {
        let weight_decay = if part.decay { self.weight_decay } else { 0.0 };
        Lamb {
            weight_decay,
            adapt: part.adapt && (self.always_adapt || weight_decay != 0.0),
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
    fn trust_ratio<const D: usize>(state: &LambState<D>) -> Option<Tensor<1>> {
        state.trust_ratio.clone()
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
        let (w, g, mean, square) = match self.fused(lr, w, g, mean, square, time) {
            Ok((w, state)) => return (w, Some(state)),
            Err([w, g, mean, square]) => (w, g, mean, square),
        };
        let (o, decay) = (&self.options, self.weight_decay);
        let decays = |how| decay != 0.0 && o.decay == how;
        let g = if decays(LambDecay::L2) {
            g + w.clone().mul_scalar(decay)
        } else {
            g
        };
        let w = if decays(LambDecay::Decoupled) {
            w.mul_scalar(1.0 - o.decay_rate(lr) * decay)
        } else {
            w
        };

        let entering = if o.grad_averaging {
            g.clone().mul_scalar(1.0 - o.beta1)
        } else {
            g.clone()
        };
        let seen = o.caution.then(|| g.clone());
        let mean = mean.mul_scalar(o.beta1) + entering;
        let square = square.mul_scalar(o.beta2) + g.square().mul_scalar(1.0 - o.beta2);

        let (correction1, correction2) = (correction(o.beta1, time), correction(o.beta2, time));
        let (update, rate) = match o.bias_correction {
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
        let update = match seen {
            Some(g) => cautious(update, g),
            None => update,
        };
        let update = if decays(LambDecay::Update) {
            update + w.clone().mul_scalar(decay)
        } else {
            update
        };

        if !self.adapt {
            return (
                w - update.mul_scalar(rate),
                Some(LambState {
                    mean,
                    square,
                    trust_ratio: None,
                    time,
                }),
            );
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
        (
            w - delta,
            Some(LambState {
                mean,
                square,
                trust_ratio: Some(ratio),
                time,
            }),
        )
    }

    fn to_device<const D: usize>(state: LambState<D>, device: &Device) -> LambState<D> {
        state.to_device(device)
    }
}

/// Keeps the update in coordinates in which it has the gradient's sign and sets it to 0 elsewhere,
/// then divides by the fraction of coordinates kept (at least 1e-3).
fn cautious<const D: usize>(update: Tensor<D>, g: Tensor<D>) -> Tensor<D> {
    let agree = (update.clone() * g).greater_scalar(0.0);
    let n = update.shape().num_elements();
    let mask = update.zeros_like().mask_fill(agree, 1.0);
    let part = sum(mask.clone().reshape([n]))
        .div_scalar(n as f64)
        .clamp_min(1e-3);
    scaled(update * mask, part.recip())
}

impl Lamb {
    /// The step in two passes: the update and the norms, then the weights. Returns the tensors
    /// unchanged if no kernel can do it.
    fn fused<const D: usize>(
        &self,
        lr: f64,
        w: Tensor<D>,
        g: Tensor<D>,
        mean: Tensor<D>,
        square: Tensor<D>,
        time: u64,
    ) -> Result<(Tensor<D>, LambState<D>), [Tensor<D>; 4]> {
        let (o, decay) = (&self.options, self.weight_decay);
        if o.caution {
            return Err([w, g, mean, square]);
        }
        let by = |how| if o.decay == how { decay } else { 0.0 };
        let shrink = (1.0 - o.decay_rate(lr) * by(LambDecay::Decoupled)) as f32;
        let corrections = (correction(o.beta1, time), correction(o.beta2, time));
        let (corrections, rate) = match o.bias_correction {
            BiasCorrection::Moments => (corrections, lr),
            BiasCorrection::StepSize => ((1.0, 1.0), lr * corrections.1.sqrt() / corrections.0),
            BiasCorrection::None => ((1.0, 1.0), lr),
        };
        let kernel = steps::Lamb {
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
        };
        let ([w, mean, square], trust_ratio) = kernel.step([w, g, mean, square])?;
        Ok((
            w,
            LambState {
                mean,
                square,
                trust_ratio,
                time,
            },
        ))
    }
}
