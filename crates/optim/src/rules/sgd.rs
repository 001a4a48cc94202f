use super::prelude::*;

/// Stochastic gradient descent: w ← w − η(g + λw), as PyTorch's `SGD` without momentum and as the
/// textbooks.
///
/// Robbins and Monro 1951, *A stochastic approximation method*.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize, JsonSchema, WithSetters)]
#[serde(default, deny_unknown_fields)]
#[getset(set_with = "pub")]
pub struct SgdConfig {
    /// Weight decay λ; 0 for none.
    #[schemars(range(min = 0.0), extend("why" = DECAYS))]
    pub weight_decay: f64,
    /// `l2`: add λw to the gradient; `decoupled`: w ← w − ηλw before the step.
    pub decay: Decay,
    /// Parameters without weight decay.
    pub exclude_from_weight_decay: Exclude,
}

impl OptimizerConfig for SgdConfig {
    type Rule = Sgd;

    const FACTS: Facts = Facts::new("sgd", "stochastic gradient descent")
        .formula("w ← w − η (g + λ w)")
        .cost("12 bytes and 2 operations a weight")
        .paper("Robbins and Monro 1951, Annals of Mathematical Statistics 22(3)")
        .presets(&[
            ("torch", "PyTorch's SGD with momentum 0"),
            ("textbook", "the textbook form, the same: w ← w − η g"),
        ]);

    fn preset(name: &str) -> Option<Self> {
        matches!(name, "torch" | "textbook").then(Self::default)
    }

    fn rule_for(&self, group: ParameterGroup) -> Sgd {
        Sgd {
            weight_decay: WeightDecay::new(self.weight_decay, self.decay, group.decay),
        }
    }

    fn stability(&self) -> Option<Stability> {
        Some(Stability {
            bound: 2.0,
            decay: WeightDecay::new(self.weight_decay, self.decay, true).l2(),
            preconditioner: None,
        })
    }

    fn exclusions(&self) -> Exclusions {
        Exclusions::of_decay(&self.exclude_from_weight_decay)
    }
}

/// The rule of [`SgdConfig`]. It has no state.
#[derive(Clone, Debug)]
pub struct Sgd {
    weight_decay: WeightDecay,
}

impl Rule for Sgd {
    fn on_slices(&self) -> Option<&dyn StepSlices> {
        Some(self)
    }
}

impl StepSlices for Sgd {
    fn step_slices(&self, lr: f64, w: &mut [f32], g: &mut [f32], _: &mut SliceState) {
        steps::step_slices(&self.fused(lr), [g], [w]);
    }
}

impl Optimizer for Sgd {
    type State<const D: usize> = ();

    fn step<const D: usize>(
        &self,
        lr: f64,
        w: Tensor<D>,
        g: Tensor<D>,
        _: Option<()>,
    ) -> (Tensor<D>, Option<()>) {
        let [w] = steps::step(&self.fused(lr), [g], [w]).unwrap_or_else(|([g], [w])| {
            let (w, g) = self.weight_decay.apply(lr, w, g);
            [w - g.mul_scalar(lr)]
        });
        (w, None)
    }

    fn to_device<const D: usize>(_: (), _: &Device) {}
}

impl Sgd {
    fn fused(&self, lr: f64) -> steps::Sgd {
        steps::Sgd {
            decay: self.weight_decay.factors(lr),
            rate: lr as f32,
        }
    }
}
