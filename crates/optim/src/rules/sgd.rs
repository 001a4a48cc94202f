use super::{DECAY, EXCLUDE_DECAY, WEIGHT_DECAY, check_decay};
use crate::{
    ConfigError, Decay, Exclude, Exclusions, Facts, Part, Preset, Recipe, Rule, WeightDecay,
};
use burn::optim::Optimizer;
use burn::tensor::{Device, Tensor};
use largebatch_kernels::steps;
use serde::{Deserialize, Serialize};

/// Stochastic gradient descent: w ← w − η(g + λw), as PyTorch's `SGD` without momentum and as the
/// lecture.
///
/// | option | default | purpose |
/// | --- | --- | --- |
/// | `weight_decay` | 0 | weight decay λ |
/// | `decay` | `l2` | add λw to the gradient, or `decoupled`: w ← w − ηλw |
/// | `exclude_from_weight_decay` | none | see [`Exclude`] |
///
/// Robbins and Monro 1951, *A stochastic approximation method*.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SgdConfig {
    /// Weight decay λ; 0 or more, default 0 (none).
    pub weight_decay: f64,
    /// Whether λw is added to the gradient (L2, the default) or decoupled from it.
    pub decay: Decay,
    /// Parameters excluded from weight decay; default none.
    pub exclude_from_weight_decay: Exclude,
}

impl Recipe for SgdConfig {
    type Rule = Sgd;

    const FACTS: &'static Facts = &Facts {
        name: "sgd",
        summary: "stochastic gradient descent",
        formula: "w ← w − η (g + λ w)",
        paper: "Robbins and Monro 1951, Annals of Mathematical Statistics 22(3)",
        parameters: &[WEIGHT_DECAY, DECAY, EXCLUDE_DECAY],
        presets: &[
            Preset {
                name: "torch",
                summary: "PyTorch's SGD with momentum 0",
            },
            Preset {
                name: "lecture",
                summary: "the lecture's form, the same: w ← w − η g",
            },
        ],
    };

    fn preset(name: &str) -> Option<Self> {
        matches!(name, "torch" | "lecture").then(Self::default)
    }

    fn check(&self) -> Result<(), ConfigError> {
        check_decay(self.weight_decay)
    }

    fn rule_for(&self, part: Part) -> Sgd {
        Sgd {
            weight_decay: WeightDecay::new(self.weight_decay, self.decay, part.decay),
        }
    }

    fn exclusions(&self) -> Exclusions {
        Exclusions {
            weight_decay: self.exclude_from_weight_decay.clone(),
            layer_adaptation: Exclude::none(),
        }
    }
}

/// The rule of [`SgdConfig`]. It has no state.
#[derive(Clone, Debug)]
pub struct Sgd {
    weight_decay: WeightDecay,
}

impl Rule for Sgd {}

impl Optimizer for Sgd {
    type State<const D: usize> = ();

    fn step<const D: usize>(
        &self,
        lr: f64,
        w: Tensor<D>,
        g: Tensor<D>,
        _: Option<()>,
    ) -> (Tensor<D>, Option<()>) {
        let (w, g) = match steps::step(
            &steps::Sgd {
                decay: self.weight_decay.factors(lr),
                rate: lr as f32,
            },
            [g],
            [w],
        ) {
            Ok([w]) => return (w, None),
            Err(([g], [w])) => (w, g),
        };
        let (w, g) = self.weight_decay.apply(lr, w, g);
        (w - g.mul_scalar(lr), None)
    }

    fn to_device<const D: usize>(_: (), _: &Device) {}
}
