use super::adam::correction;
use super::prelude::*;
use crate::norm::{finite_ratio, norm, root_plus_eps, scaled};

/// LANS: LAMB with normalised gradients and Nesterov's momentum. g̃ = g/‖g‖; m ← β₁m + (1 − β₁)g̃;
/// v ← β₂v + (1 − β₂)g̃²; d = √v̂ + ε; r = m̂/d + λw; q = g̃/d + λw;
/// w ← w − η‖w‖ (β₁ r/‖r‖ + (1 − β₁) q/‖q‖).
///
/// Where ‖w‖ or the norm of an update is 0, that ratio is 1.
///
/// Zheng et al. 2020, arXiv 2006.13484, Algorithm 2, trained BERT with batches of 96K.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema, WithSetters)]
#[serde(default, deny_unknown_fields)]
#[getset(set_with = "pub")]
pub struct LansConfig {
    /// Decay rate β₁ of the mean of gradients m, and the weight of its part of the step.
    #[schemars(range(min = 0.0), extend("exclusiveMaximum" = 1.0, "why" = FORGETS))]
    pub beta1: f64,
    /// Decay rate β₂ of the mean of squared gradients v.
    #[schemars(range(min = 0.0), extend("exclusiveMaximum" = 1.0, "why" = FORGETS))]
    pub beta2: f64,
    /// ε, added to √v̂ in the denominator.
    #[schemars(range(min = 0.0), extend("why" = DIVIDES))]
    pub eps: f64,
    /// How the gradient is normalised.
    pub normalize: LansNormalize,
    /// Whether 1 − β₁ multiplies the gradient in m and in the second part of the step; else 1.
    pub grad_averaging: bool,
    /// Weight decay λ, in both parts of the step; 0 for none.
    #[schemars(range(min = 0.0), extend("why" = DECAYS))]
    pub weight_decay: f64,
    /// Parameters without weight decay.
    pub exclude_from_weight_decay: Exclude,
    /// Parameters whose step is not scaled by ‖w‖.
    pub exclude_from_layer_adaptation: Exclude,
}

/// How the gradient of a parameter is normalised in [`LansConfig`]; a gradient of 0 stays 0.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum LansNormalize {
    /// g/‖g‖.
    #[default]
    Plain,
    /// g/(‖g‖ + ε).
    Eps,
}

impl Default for LansConfig {
    fn default() -> Self {
        LansConfig {
            beta1: 0.9,
            beta2: 0.999,
            eps: 1e-6,
            normalize: LansNormalize::Plain,
            grad_averaging: true,
            weight_decay: 0.01,
            exclude_from_weight_decay: Exclude::none(),
            exclude_from_layer_adaptation: Exclude::none(),
        }
    }
}

impl OptimizerConfig for LansConfig {
    type Rule = Lans;

    const FACTS: Facts = Facts::new(
        "lans",
        "LAMB with normalised gradients and Nesterov's momentum",
    )
    .formula(
        "g̃ = g / ‖g‖; m ← β₁ m + (1 − β₁) g̃; v ← β₂ v + (1 − β₂) g̃²\n\
             r = m̂ / (√v̂ + ε) + λ w; q = g̃ / (√v̂ + ε) + λ w\n\
             w ← w − η ‖w‖ (β₁ r / ‖r‖ + (1 − β₁) q / ‖q‖)",
    )
    .cost("48 bytes and 30 operations a weight: all is read twice and g once more, for the norms")
    .paper("Zheng et al. 2020, arXiv 2006.13484")
    .presets(&[
        ("paper", "Algorithm 2 of the paper, with weight decay 0.01"),
        ("apex", "FusedLANS of apex: g/(‖g‖ + ε)"),
    ]);

    fn preset(name: &str) -> Option<Self> {
        Some(match name {
            "paper" => Self::default(),
            "apex" => LansConfig {
                normalize: LansNormalize::Eps,
                ..Self::default()
            },
            _ => return None,
        })
    }

    fn rule_for(&self, group: ParameterGroup) -> Lans {
        Lans {
            weight_decay: if group.decay { self.weight_decay } else { 0.0 },
            adapt: group.adapt,
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
    /// The state of [`Lans`].
    pub struct LansState<const D: usize> {
        /// Mean of normalised gradients m, of the parameter's shape.
        pub mean: Tensor<D>,
        /// Mean of squared normalised gradients v, of the parameter's shape.
        pub square: Tensor<D>,
        /// The ratio ‖w‖/‖r‖ of the last step; absent for a parameter that is not adapted.
        pub trust_ratio: Option<Tensor<1>>,
        /// Number of steps done.
        pub time: u64,
    }
}

/// The rule of [`LansConfig`].
#[derive(Clone, Debug)]
pub struct Lans {
    options: LansConfig,
    weight_decay: f64,
    adapt: bool,
}

impl Rule for Lans {
    fn trust_ratio<const D: usize>(state: &LansState<D>) -> Option<Tensor<1>> {
        state.trust_ratio.clone()
    }
}

impl Optimizer for Lans {
    type State<const D: usize> = LansState<D>;

    fn step<const D: usize>(
        &self,
        lr: f64,
        w: Tensor<D>,
        g: Tensor<D>,
        state: Option<LansState<D>>,
    ) -> (Tensor<D>, Option<LansState<D>>) {
        let o = &self.options;
        let (mean, square, time) = match state {
            Some(s) => (s.mean, s.square, s.time + 1),
            None => (w.zeros_like(), w.zeros_like(), 1),
        };
        let length = norm(&g);
        let divisor = match o.normalize {
            LansNormalize::Plain => length.clone(),
            LansNormalize::Eps => length.clone().add_scalar(o.eps),
        };
        let one = length.ones_like();
        let g = scaled(g, finite_ratio(one, divisor, [length.clone(), length]));
        let new = if o.grad_averaging { 1.0 - o.beta1 } else { 1.0 };
        let mean = mean.mul_scalar(o.beta1) + g.clone().mul_scalar(new);
        let square = square.mul_scalar(o.beta2) + g.clone().square().mul_scalar(1.0 - o.beta2);
        let (c1, c2) = (correction(o.beta1, time), correction(o.beta2, time));
        let divisor = root_plus_eps(square.clone().div_scalar(c2), o.eps);
        let with_decay = |x: Tensor<D>| match self.weight_decay == 0.0 {
            true => x,
            false => x + w.clone().mul_scalar(self.weight_decay),
        };
        let past = with_decay(mean.clone().div_scalar(c1) / divisor.clone());
        let present = with_decay(g / divisor);
        let weight = self.adapt.then(|| norm(&w));
        let part = |x: Tensor<D>, factor: f64| match &weight {
            None => (x.mul_scalar(lr * factor), None),
            Some(weight) => {
                let length = norm(&x);
                let ratio = finite_ratio(weight.clone(), length.clone(), [weight.clone(), length]);
                (
                    scaled(x, ratio.clone().mul_scalar(lr * factor)),
                    Some(ratio),
                )
            }
        };
        let (of_past, trust_ratio) = part(past, o.beta1);
        let (of_present, _) = part(present, new);
        (
            w - of_past - of_present,
            Some(LansState {
                mean,
                square,
                trust_ratio,
                time,
            }),
        )
    }

    fn to_device<const D: usize>(state: LansState<D>, device: &Device) -> LansState<D> {
        state.to_device(device)
    }
}
