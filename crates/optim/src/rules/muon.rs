use super::adam::correction;
use super::{DECAYS, DIVIDES, FORGETS};
use crate::norm::{lifted, norm, root_plus_eps, scaled};
use crate::{
    ConfigError, Decay, Exclude, Exclusions, Nadam, NadamConfig, NadamCorrection, NadamState,
    OptimizerConfig, ParameterGroup, Rule, WeightDecay,
};
use burn::optim::Optimizer;
use burn::tensor::{Device, Tensor};
use getset::WithSetters;
use largebatch_component::{ComponentError, Facts, Kind};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Muon: momentum whose matrices are orthogonalised before the step. m ← βm + (1 − β)g; u = (1 − β)g + βm;
/// w ← w(1 − ηλ) − η s NS(u).
///
/// NS(X) is `steps` iterations of Newton and Schulz, X ← aX + (bA + cA²)X with A = XXᵀ, from X/‖X‖: it
/// brings the singular values near 1. A matrix of Burn is [inputs, outputs]; a parameter of a higher
/// rank is [outputs, …] and flattened to [outputs, rest]. The factor s depends on both
/// ([`MuonScale`]).
///
/// Parameters of rank 0 and 1, and those of `exclude_from_orthogonalization`, take the fallback rule.
/// Exclude embeddings and the last layer, and in convolutional networks the first one.
///
/// Cost beyond momentum: for a matrix of sides m ≤ n, 4m²n + 2m³ operations in each iteration.
///
/// Jordan et al. 2024, kellerjordan.github.io/posts/muon; scaled: Liu et al. 2025, arXiv 2502.16982.
/// Burn's own `Muon` scales as if its matrices were [outputs, inputs].
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema, WithSetters)]
#[serde(default, deny_unknown_fields)]
#[getset(set_with = "pub")]
pub struct MuonConfig {
    /// Momentum β.
    #[schemars(range(min = 0.0), extend("exclusiveMaximum" = 1.0, "why" = FORGETS))]
    pub momentum: f64,
    /// Whether the step looks ahead: u = (1 − β)g + βm instead of m.
    pub nesterov: bool,
    /// Whether m is an average or a sum, and whether it is corrected.
    pub form: MuonForm,
    /// Iterations of Newton and Schulz.
    #[schemars(range(min = 1, max = 100))]
    pub steps: usize,
    /// Their coefficients a, b and c.
    pub coefficients: MuonCoefficients,
    /// ε in the first division by ‖X‖.
    #[schemars(range(min = 0.0), extend("why" = DIVIDES))]
    pub eps: f64,
    /// Whether ε is added to ‖X‖ or is its least value.
    pub eps_place: MuonEps,
    /// The factor s of an orthogonalised step.
    pub scale: MuonScale,
    /// Decoupled weight decay λ; 0 for none.
    #[schemars(range(min = 0.0), extend("why" = DECAYS))]
    pub weight_decay: f64,
    /// Parameters without weight decay.
    pub exclude_from_weight_decay: Exclude,
    /// Parameters that take the fallback rule, as all of rank 0 and 1 do.
    pub exclude_from_orthogonalization: Exclude,
    /// The rule of the other parameters.
    pub fallback: MuonFallback,
    /// Decay rate β₁ of the fallback rule.
    #[schemars(range(min = 0.0), extend("exclusiveMaximum" = 1.0, "why" = FORGETS))]
    pub fallback_beta1: f64,
    /// Decay rate β₂ of the fallback rule.
    #[schemars(range(min = 0.0), extend("exclusiveMaximum" = 1.0, "why" = FORGETS))]
    pub fallback_beta2: f64,
    /// ε of the fallback rule.
    #[schemars(range(min = 0.0), extend("why" = DIVIDES))]
    pub fallback_eps: f64,
    /// The fallback rule's rate, as a multiple of η.
    #[schemars(range(min = 0.0))]
    pub fallback_rate: f64,
    /// The fallback rule's decoupled weight decay, or `same` for λ.
    #[schemars(extend("values" = "\"same\", or a number, at least 0"))]
    pub fallback_weight_decay: FallbackDecay,
}

/// The momentum of [`MuonConfig`]; up to ε, all orthogonalise the same direction.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum MuonForm {
    /// m ← βm + (1 − β)g; u = (1 − β)g + βm.
    #[default]
    Average,
    /// m ← βm + g; u = g + βm.
    Sum,
    /// As `average`, with m/(1 − βᵗ⁺¹) and g/(1 − βᵗ); without Nesterov m/(1 − βᵗ).
    Corrected,
}

/// The coefficients (a, b, c) of each iteration in [`MuonConfig`].
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum MuonCoefficients {
    /// (3.4445, −4.7750, 2.0315) throughout. Keller Jordan's.
    #[default]
    Quintic,
    /// Five triples, one for each iteration; the last one repeats. timm's default.
    Tuned,
}

/// Where ε stands in [`MuonConfig`].
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum MuonEps {
    /// X/(‖X‖ + ε).
    #[default]
    Added,
    /// X/max(‖X‖, ε).
    Floor,
}

/// The factor s in [`MuonConfig`], for o outputs and i inputs.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum MuonScale {
    /// √max(1, o/i).
    #[default]
    Aspect,
    /// As `aspect` for matrices; for kernels √max(1, height/width), as Keller Jordan's code computes.
    Kernel,
    /// 0.2 √max(o, i), which gives the step the size of AdamW's.
    Rms,
    /// √(o/i).
    Spectral,
    /// 1.
    None,
}

/// Weight decay of the fallback rule of [`MuonConfig`].
#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum FallbackDecay {
    /// The same as that of the orthogonalised parameters; written `"same"`.
    Same(Same),
    /// This.
    Rate(f64),
}

/// The word `same`.
#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Same {
    /// The same value.
    Same,
}

/// The rule of what [`MuonConfig`] does not orthogonalise.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum MuonFallback {
    /// AdamW.
    #[default]
    Adamw,
    /// AdamW with √v̂ + ε replaced by (√v + ε)/√(1 − β₂ᵗ). Moonlight and Keras.
    AdamwRawEps,
    /// NAdamW in optax's form.
    Nadamw,
    /// NAdamW in timm's form, which its Muon takes with Nesterov.
    NadamwOne,
}

impl Default for MuonConfig {
    fn default() -> Self {
        MuonConfig {
            momentum: 0.95,
            nesterov: true,
            form: MuonForm::Average,
            steps: 5,
            coefficients: MuonCoefficients::Quintic,
            eps: 1e-7,
            eps_place: MuonEps::Added,
            scale: MuonScale::Aspect,
            weight_decay: 0.0,
            exclude_from_weight_decay: Exclude::none(),
            exclude_from_orthogonalization: Exclude::none(),
            fallback: MuonFallback::Adamw,
            fallback_beta1: 0.9,
            fallback_beta2: 0.95,
            fallback_eps: 1e-10,
            fallback_rate: 0.015,
            fallback_weight_decay: FallbackDecay::Same(Same::Same),
        }
    }
}

impl OptimizerConfig for MuonConfig {
    type Rule = Muon;

    const FACTS: Facts = Facts::new(
        "muon",
        "momentum whose matrices are orthogonalised before the step; AdamW for the rest",
    )
    .formula(
        "m ← β m + (1 − β) g; u = (1 − β) g + β m; w ← w (1 − η λ) − η s NS(u)\n\
         NS(X): X ← X / ‖X‖; steps times: A = X Xᵀ, X ← a X + (b A + c A²) X\n\
         vectors and excluded parameters: AdamW or NAdamW with a rate of their own",
    )
    .paper(
        "Jordan et al. 2024, kellerjordan.github.io/posts/muon; Liu et al. 2025, arXiv 2502.16982",
    )
    .presets(&[
        (
            "keller",
            "Keller Jordan's Muon, with the scale of kernels off the flattened matrix",
        ),
        ("torch", "PyTorch's Muon, with its AdamW for the rest"),
        (
            "moonlight",
            "Liu et al. 2025: the size of AdamW's steps, one rate and decay for all",
        ),
        (
            "optax",
            "optax.contrib.muon: corrected momentum, NAdamW for the rest",
        ),
        (
            "timm",
            "timm.optim.Muon: five triples of coefficients, no Nesterov, AdamW for the rest",
        ),
        ("keras", "Keras' Muon: a sum, the size of AdamW's steps"),
    ]);

    fn preset(name: &str) -> Option<Self> {
        let keller = Self::default();
        Some(match name {
            "keller" => keller,
            "torch" => MuonConfig {
                eps_place: MuonEps::Floor,
                weight_decay: 0.1,
                fallback_beta2: 0.999,
                fallback_eps: 1e-8,
                fallback_rate: 1.0,
                fallback_weight_decay: FallbackDecay::Rate(0.01),
                ..keller
            },
            "moonlight" => MuonConfig {
                form: MuonForm::Sum,
                scale: MuonScale::Rms,
                weight_decay: 0.1,
                fallback: MuonFallback::AdamwRawEps,
                fallback_eps: 1e-8,
                fallback_rate: 1.0,
                ..keller
            },
            "optax" => MuonConfig {
                form: MuonForm::Corrected,
                eps: 1e-8,
                fallback: MuonFallback::Nadamw,
                fallback_beta2: 0.999,
                fallback_eps: 1e-8,
                fallback_rate: 1.0,
                fallback_weight_decay: FallbackDecay::Rate(0.0),
                ..keller
            },
            "timm" => MuonConfig {
                nesterov: false,
                coefficients: MuonCoefficients::Tuned,
                eps_place: MuonEps::Floor,
                scale: MuonScale::Rms,
                fallback_eps: 1e-7,
                fallback_rate: 1.0,
                ..keller
            },
            "keras" => MuonConfig {
                form: MuonForm::Sum,
                scale: MuonScale::Rms,
                weight_decay: 0.004,
                fallback: MuonFallback::AdamwRawEps,
                fallback_beta2: 0.999,
                fallback_eps: 1e-7,
                fallback_rate: 1.0,
                fallback_weight_decay: FallbackDecay::Rate(0.004),
                ..keller
            },
            _ => return None,
        })
    }

    fn check(&self) -> Result<(), ConfigError> {
        match self.fallback_weight_decay {
            FallbackDecay::Rate(rate) if !(rate >= 0.0 && rate.is_finite()) => {
                Err(ConfigError::Component(ComponentError::Range {
                    kind: Kind::Optimizer,
                    component: Self::FACTS.name.into(),
                    option: "fallback_weight_decay".into(),
                    value: rate.to_string(),
                    range: "\"same\", or a number, at least 0".into(),
                    why: DECAYS.into(),
                }))
            }
            _ => Ok(()),
        }
    }

    fn rule_for(&self, group: ParameterGroup) -> Muon {
        Muon {
            decay: group.decay,
            orthogonalize: group.adapt,
            options: self.clone(),
        }
    }

    fn exclusions(&self) -> Exclusions {
        Exclusions {
            weight_decay: self.exclude_from_weight_decay.clone(),
            layer_adaptation: self.exclude_from_orthogonalization.clone(),
        }
    }
}

crate::state! {
    /// The state of [`Muon`].
    pub struct MuonState<const D: usize> {
        /// The momentum m, or the fallback rule's mean of gradients, of the parameter's shape.
        pub mean: Tensor<D>,
        /// The fallback rule's mean of squared gradients; absent for an orthogonalised parameter.
        pub square: Option<Tensor<D>>,
        /// Number of steps done.
        pub time: u64,
    }
}

/// The rule of [`MuonConfig`].
#[derive(Clone, Debug)]
pub struct Muon {
    options: MuonConfig,
    decay: bool,
    orthogonalize: bool,
}

impl Rule for Muon {}

impl Optimizer for Muon {
    type State<const D: usize> = MuonState<D>;

    fn step<const D: usize>(
        &self,
        lr: f64,
        w: Tensor<D>,
        g: Tensor<D>,
        state: Option<MuonState<D>>,
    ) -> (Tensor<D>, Option<MuonState<D>>) {
        let o = &self.options;
        if !self.orthogonalize || D < 2 {
            return self.fall_back(lr, w, g, state);
        }
        let (w, g) = self.decay(o.weight_decay).apply(lr, w, g);
        let (mean, time) = match state {
            Some(state) => (state.mean, state.time + 1),
            None => (w.zeros_like(), 1),
        };
        let entering = match o.form {
            MuonForm::Sum => 1.0,
            MuonForm::Average | MuonForm::Corrected => 1.0 - o.momentum,
        };
        let new = g.mul_scalar(entering);
        let mean = mean.mul_scalar(o.momentum) + new.clone();
        let c = |t: u64| match o.form {
            MuonForm::Corrected => correction(o.momentum, t),
            MuonForm::Average | MuonForm::Sum => 1.0,
        };
        let direction = match o.nesterov {
            true => {
                mean.clone().mul_scalar(o.momentum / c(time + 1)) + new.mul_scalar(1.0 / c(time))
            }
            false => mean.clone().mul_scalar(1.0 / c(time)),
        };
        let dims = w.dims();
        // Burn's matrices are [inputs, outputs]; all other weights are [outputs, …].
        let (outputs, inputs) = match D {
            2 => (dims[1], dims[0]),
            _ => (dims[0], dims[1..].iter().product()),
        };
        let matrix = match D {
            2 => direction.reshape([inputs, outputs]),
            _ => direction.reshape([outputs, inputs]),
        };
        let update: Tensor<D> = o.orthogonal(matrix).reshape(dims);
        let scale = o.factor(outputs as f64, inputs as f64, &dims);
        (
            w - update.mul_scalar(lr * scale),
            Some(MuonState {
                mean,
                square: None,
                time,
            }),
        )
    }

    fn to_device<const D: usize>(state: MuonState<D>, device: &Device) -> MuonState<D> {
        state.to_device(device)
    }
}

impl Muon {
    fn decay(&self, rate: f64) -> WeightDecay {
        WeightDecay::new(rate, Decay::Decoupled, self.decay)
    }

    /// The step of a parameter that is not orthogonalised.
    fn fall_back<const D: usize>(
        &self,
        lr: f64,
        w: Tensor<D>,
        g: Tensor<D>,
        state: Option<MuonState<D>>,
    ) -> (Tensor<D>, Option<MuonState<D>>) {
        let (o, lr) = (&self.options, lr * self.options.fallback_rate);
        let weight_decay = self.decay(match o.fallback_weight_decay {
            FallbackDecay::Same(_) => o.weight_decay,
            FallbackDecay::Rate(rate) => rate,
        });
        let (beta1, beta2, eps) = (o.fallback_beta1, o.fallback_beta2, o.fallback_eps);
        let state = state.unwrap_or_else(|| MuonState {
            mean: w.zeros_like(),
            square: Some(w.zeros_like()),
            time: 0,
        });
        let square = state.square.unwrap_or_else(|| w.zeros_like());
        let kept = |mean, square, time| {
            Some(MuonState {
                mean,
                square: Some(square),
                time,
            })
        };
        let form = match o.fallback {
            MuonFallback::NadamwOne => Some(NadamCorrection::One),
            MuonFallback::Nadamw => Some(NadamCorrection::Next),
            MuonFallback::Adamw | MuonFallback::AdamwRawEps => None,
        };
        if let Some(correction) = form {
            let rule = Nadam {
                options: NadamConfig {
                    beta1,
                    beta2,
                    eps,
                    correction,
                    ..NadamConfig::default()
                },
                weight_decay,
            };
            let state = NadamState {
                mean: state.mean,
                square,
                product: 1.0,
                time: state.time,
            };
            let (w, state) = rule.step(lr, w, g, Some(state));
            return (w, state.and_then(|s| kept(s.mean, s.square, s.time)));
        }
        let (w, g) = weight_decay.apply(lr, w, g);
        let time = state.time + 1;
        let mean = state.mean.mul_scalar(beta1) + g.clone().mul_scalar(1.0 - beta1);
        let square = square.mul_scalar(beta2) + g.square().mul_scalar(1.0 - beta2);
        let (c1, c2) = (correction(beta1, time), correction(beta2, time));
        let (divisor, rate) = match o.fallback {
            MuonFallback::AdamwRawEps => (root_plus_eps(square.clone(), eps), lr * c2.sqrt() / c1),
            _ => (root_plus_eps(square.clone().div_scalar(c2), eps), lr / c1),
        };
        let update = mean.clone() / divisor;
        (w - update.mul_scalar(rate), kept(mean, square, time))
    }
}

impl MuonConfig {
    /// NS(X): the iterations on the matrix with at least as many columns as rows.
    fn orthogonal(&self, x: Tensor<2>) -> Tensor<2> {
        let [rows, columns] = x.dims();
        let is_tall = rows > columns;
        let mut x = if is_tall { x.transpose() } else { x };
        let length = norm(&x);
        let divisor = match self.eps_place {
            MuonEps::Added => length.add_scalar(self.eps),
            MuonEps::Floor => length.clamp_min(self.eps),
        };
        x = scaled(x, lifted(divisor).recip());
        for step in 0..self.steps {
            let [a, b, c] = self.coefficients.of(step);
            let square = x.clone().matmul(x.clone().transpose());
            let fourth = square.clone().matmul(square.clone());
            let polynomial = square.mul_scalar(b) + fourth.mul_scalar(c);
            x = x.clone().mul_scalar(a) + polynomial.matmul(x);
        }
        if is_tall { x.transpose() } else { x }
    }

    fn factor(&self, outputs: f64, inputs: f64, dims: &[usize]) -> f64 {
        let aspect = |above: f64, below: f64| (above / below).max(1.0).sqrt();
        match (self.scale, dims) {
            (MuonScale::Kernel, [_, .., height, width]) if dims.len() > 2 => {
                aspect(*height as f64, *width as f64)
            }
            (MuonScale::Aspect | MuonScale::Kernel, _) => aspect(outputs, inputs),
            (MuonScale::Rms, _) => 0.2 * outputs.max(inputs).sqrt(),
            (MuonScale::Spectral, _) => (outputs / inputs).sqrt(),
            (MuonScale::None, _) => 1.0,
        }
    }
}

impl MuonCoefficients {
    /// (a, b, c) of an iteration, from 0.
    fn of(self, step: usize) -> [f64; 3] {
        const TUNED: [[f64; 3]; 5] = [
            [4.0848, -6.8946, 2.9270],
            [3.9505, -6.3029, 2.6377],
            [3.7418, -5.5913, 2.3037],
            [2.8769, -3.1427, 1.2046],
            [2.8366, -3.0525, 1.2012],
        ];
        match self {
            MuonCoefficients::Quintic => [3.4445, -4.7750, 2.0315],
            MuonCoefficients::Tuned => TUNED[step.min(TUNED.len() - 1)],
        }
    }
}
