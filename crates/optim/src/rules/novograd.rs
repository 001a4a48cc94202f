use super::adam::correction;
use super::prelude::*;
use crate::EpsPlace;
use crate::norm::{lifted, norm, scaled};

/// NovoGrad: v ← β₂v + (1 − β₂)‖g‖², one number for each tensor; m ← β₁m + g/(√v + ε) + λw; w ← w − ηm.
///
/// The origins differ in nearly everything: the first v, the place of ε and of the rate, the averaging
/// of m, and the decay. A preset has all of one. `openseq2seq` is that program's formula; its code never
/// stores v, and so computes with β₂ = 0.
///
/// Ginsburg et al. 2019, arXiv 1905.11286.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema, WithSetters)]
#[serde(default, deny_unknown_fields)]
#[getset(set_with = "pub")]
pub struct NovogradConfig {
    /// Decay rate β₁ of m.
    #[schemars(range(min = 0.0), extend("exclusiveMaximum" = 1.0, "why" = FORGETS))]
    pub beta1: f64,
    /// Decay rate β₂ of the mean of squared norms v.
    #[schemars(range(min = 0.0), extend("exclusiveMaximum" = 1.0, "why" = FORGETS))]
    pub beta2: f64,
    /// ε, which keeps the denominator above 0.
    #[schemars(range(min = 0.0), extend("why" = DIVIDES))]
    pub eps: f64,
    /// Whether ε is inside or outside the square root.
    pub eps_place: EpsPlace,
    /// When v starts at ‖g‖² instead of its average with the past.
    pub first: NovogradFirst,
    /// When what enters m is multiplied by 1 − β₁.
    pub averaging: NovogradAveraging,
    /// Whether m averages normalised gradients, or is normalised itself.
    pub form: NovogradForm,
    /// Whether m and v are divided by 1 − β₁ᵗ and 1 − β₂ᵗ.
    pub bias_correction: bool,
    /// Whether the rate multiplies m, or what enters it.
    pub rate: NovogradRate,
    /// Divide by the root of the largest v so far.
    pub amsgrad: bool,
    /// Weight decay λ; 0 for none.
    #[schemars(range(min = 0.0), extend("why" = DECAYS))]
    pub weight_decay: f64,
    /// `moment`: λw enters m; `decoupled`: λw is added to the step, outside of m.
    pub decay: NovogradDecay,
    /// Parameters without weight decay.
    pub exclude_from_weight_decay: Exclude,
}

/// When v starts anew at ‖g‖² in [`NovogradConfig`].
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum NovogradFirst {
    /// Whenever v is 0: also after first gradients that are 0.
    #[default]
    Zero,
    /// At the first step only.
    Step,
    /// Never: v is an average from 0.
    None,
}

/// When 1 − β₁ multiplies what enters m in [`NovogradConfig`].
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum NovogradAveraging {
    /// Never: m is a sum.
    #[default]
    None,
    /// Always.
    Always,
    /// From the second step on.
    Later,
}

/// What is normalised in [`NovogradConfig`].
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum NovogradForm {
    /// The gradient: m averages g/(√v + ε).
    #[default]
    Gradient,
    /// The mean: m averages g, and the step is m/(√v + ε).
    Mean,
}

/// Where the learning rate stands in [`NovogradConfig`]; it matters when the rate changes.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum NovogradRate {
    /// w ← w − ηm.
    #[default]
    Outside,
    /// m ← β₁m + ηu; w ← w − m.
    Inside,
}

/// Where weight decay acts in [`NovogradConfig`].
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum NovogradDecay {
    /// u = g/(√v + ε) + λw enters m.
    #[default]
    Moment,
    /// The step is η(m + λw), with m without decay.
    Decoupled,
}

impl Default for NovogradConfig {
    fn default() -> Self {
        NovogradConfig {
            beta1: 0.95,
            beta2: 0.98,
            eps: 1e-8,
            eps_place: EpsPlace::Outside,
            first: NovogradFirst::Zero,
            averaging: NovogradAveraging::None,
            form: NovogradForm::Gradient,
            bias_correction: false,
            rate: NovogradRate::Outside,
            amsgrad: false,
            weight_decay: 0.0,
            decay: NovogradDecay::Moment,
            exclude_from_weight_decay: Exclude::none(),
        }
    }
}

impl OptimizerConfig for NovogradConfig {
    type Rule = Novograd;

    const FACTS: Facts = Facts::new(
        "novograd",
        "SGD with momentum whose gradients are divided, layer by layer, by the root of their mean squared norm",
    )
    .formula(
        "v ← β₂ v + (1 − β₂) ‖g‖²; u = g / (√v + ε) + λ w; m ← β₁ m + u; w ← w − η m\n\
         mean: m ← β₁ m + (1 − β₁) g; w ← w − η (m̂ / (√v̂ + ε) + λ w)",
    )
    .cost("24 bytes and 7 operations a weight: g is read twice, first for its norm")
    .paper("Ginsburg et al. 2019, arXiv 1905.11286")
    .presets(&[
        ("paper", "the paper's, and timm.optim.NvNovoGrad"),
        ("timm", "timm.optim.NvNovoGrad: the same"),
        ("jasper", "NVIDIA's Jasper: β₂ = 0, so v is this step's norm"),
        ("openseq2seq", "OpenSeq2Seq (TensorFlow 1): ε in the root"),
        ("tfa", "TensorFlow Addons: β 0.9 and 0.999, ε = 1e-7, the rate inside of m"),
        ("optax", "optax.novograd: β₂ = 0.25, ε = 1e-6"),
        ("apex", "apex.optimizers.FusedNovoGrad: m averages gradients that are not normalised, bias correction"),
    ]);

    fn preset(name: &str) -> Option<Self> {
        let paper = Self::default();
        Some(match name {
            "paper" | "timm" => paper,
            "jasper" => NovogradConfig {
                beta2: 0.0,
                ..paper
            },
            "openseq2seq" => NovogradConfig {
                eps_place: EpsPlace::Inside,
                ..paper
            },
            "tfa" => NovogradConfig {
                beta1: 0.9,
                beta2: 0.999,
                eps: 1e-7,
                first: NovogradFirst::Step,
                rate: NovogradRate::Inside,
                ..paper
            },
            "optax" => NovogradConfig {
                beta1: 0.9,
                beta2: 0.25,
                eps: 1e-6,
                first: NovogradFirst::Step,
                ..paper
            },
            "apex" => NovogradConfig {
                beta1: 0.9,
                beta2: 0.999,
                first: NovogradFirst::Step,
                averaging: NovogradAveraging::Always,
                form: NovogradForm::Mean,
                bias_correction: true,
                decay: NovogradDecay::Decoupled,
                ..paper
            },
            _ => return None,
        })
    }

    fn rule_for(&self, group: ParameterGroup) -> Novograd {
        Novograd {
            weight_decay: if group.decay { self.weight_decay } else { 0.0 },
            options: self.clone(),
        }
    }

    fn exclusions(&self) -> Exclusions {
        Exclusions::of_decay(&self.exclude_from_weight_decay)
    }
}

crate::state! {
    /// The state of [`Novograd`].
    pub struct NovogradState<const D: usize> {
        /// The average m, of the parameter's shape.
        pub mean: Tensor<D>,
        /// Mean of squared norms v, one number.
        pub square: Tensor<1>,
        /// The largest v so far; only with `amsgrad`.
        pub largest: Option<Tensor<1>>,
        /// Number of steps done.
        pub time: u64,
    }
}

/// The rule of [`NovogradConfig`].
#[derive(Clone, Debug)]
pub struct Novograd {
    options: NovogradConfig,
    weight_decay: f64,
}

impl Rule for Novograd {}

impl Optimizer for Novograd {
    type State<const D: usize> = NovogradState<D>;

    fn step<const D: usize>(
        &self,
        lr: f64,
        w: Tensor<D>,
        g: Tensor<D>,
        state: Option<NovogradState<D>>,
    ) -> (Tensor<D>, Option<NovogradState<D>>) {
        let o = &self.options;
        let now = norm(&g).square();
        let past = state.unwrap_or_else(|| NovogradState {
            mean: w.zeros_like(),
            square: now.zeros_like(),
            largest: o.amsgrad.then(|| now.zeros_like()),
            time: 0,
        });
        let time = past.time + 1;
        let average =
            past.square.clone().mul_scalar(o.beta2) + now.clone().mul_scalar(1.0 - o.beta2);
        let square = match o.first {
            NovogradFirst::Zero => average.mask_where(past.square.equal_scalar(0.0), now),
            NovogradFirst::Step if time == 1 => now,
            NovogradFirst::Step | NovogradFirst::None => average,
        };
        let largest = past.largest.map(|largest| largest.max_pair(square.clone()));
        let (c1, c2) = match o.bias_correction {
            true => (correction(o.beta1, time), correction(o.beta2, time)),
            false => (1.0, 1.0),
        };
        let divided = largest
            .clone()
            .unwrap_or_else(|| square.clone())
            .div_scalar(c2);
        let divisor = match o.eps_place {
            EpsPlace::Outside => divided.sqrt().add_scalar(o.eps),
            EpsPlace::Inside => divided.add_scalar(o.eps).sqrt(),
        };
        // A gradient of zero stays zero, also without ε.
        let scale = lifted(divisor).recip();

        let decay = |how: NovogradDecay| match o.decay == how {
            true => self.weight_decay,
            false => 0.0,
        };
        let with_decay = |x: Tensor<D>, rate: f64| match rate == 0.0 {
            true => x,
            false => x + w.clone().mul_scalar(rate),
        };
        let entering = match o.form {
            NovogradForm::Gradient => scaled(g, scale.clone()),
            NovogradForm::Mean => g,
        };
        let mut weight = match o.averaging {
            NovogradAveraging::Always => 1.0 - o.beta1,
            NovogradAveraging::Later if time > 1 => 1.0 - o.beta1,
            NovogradAveraging::None | NovogradAveraging::Later => 1.0,
        };
        let mut rate = lr;
        if o.rate == NovogradRate::Inside {
            weight *= lr;
            rate = 1.0;
        }
        let entering = with_decay(entering, decay(NovogradDecay::Moment)).mul_scalar(weight);
        let mean = past.mean.mul_scalar(o.beta1) + entering;
        let corrected = mean.clone().div_scalar(c1);
        let update = match o.form {
            NovogradForm::Gradient => corrected,
            NovogradForm::Mean => scaled(corrected, scale),
        };
        let apart = decay(NovogradDecay::Decoupled);
        let w = match apart == 0.0 {
            true => w,
            false => w.mul_scalar(1.0 - lr * apart),
        };
        (
            w - update.mul_scalar(rate),
            Some(NovogradState {
                mean,
                square,
                largest,
                time,
            }),
        )
    }

    fn to_device<const D: usize>(state: NovogradState<D>, device: &Device) -> NovogradState<D> {
        state.to_device(device)
    }
}
