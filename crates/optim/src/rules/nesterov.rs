use super::prelude::*;
use crate::MomentumState;

/// Nesterov's accelerated gradient, in two forms (v starts at 0):
///
/// - `torch`: v ← μv + g; w ← w − η(g + μv), with all gradients at w. PyTorch's
///   `SGD(nesterov=True)`.
/// - `look-ahead`: v ← μv + ηg(w − μv); w ← w − v. The gradient is taken at w − μv, where the
///   velocity alone would move w. The textbook form.
///
/// At a constant learning rate both are the same method: the weights of `torch` are the shifted
/// points w − μv. In the form `look-ahead`, the caller must evaluate the gradient on
/// [`Driver::ahead`](crate::Driver::ahead), as the training loop does; under Burn's
/// `ModuleOptimizer` it would be plain heavy ball. The weights that are saved and evaluated are w,
/// not w − μv.
///
/// Nesterov 1983, *A method of solving a convex programming problem with convergence rate O(1/k²)*; the form of Sutskever et al. 2013.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema, WithSetters)]
#[serde(default, deny_unknown_fields)]
#[getset(set_with = "pub")]
pub struct NesterovConfig {
    /// Momentum coefficient μ.
    #[schemars(range(min = 0.0), extend("exclusiveMaximum" = 1.0, "why" = FORGETS))]
    pub momentum: f64,
    /// `torch`: gradient at w; `look-ahead`: gradient at w − μv, which needs a second copy of the
    /// weights.
    pub form: NesterovForm,
    /// Weight decay λ; 0 for none.
    #[schemars(range(min = 0.0), extend("why" = DECAYS))]
    pub weight_decay: f64,
    /// `l2`: add λw to the gradient; `decoupled`: w ← w − ηλw before the step.
    pub decay: Decay,
    /// Parameters without weight decay.
    pub exclude_from_weight_decay: Exclude,
}

/// The forms of Nesterov's method, see [`NesterovConfig`].
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum NesterovForm {
    /// v ← μv + g; w ← w − η(g + μv).
    #[default]
    Torch,
    /// v ← μv + ηg(w − μv); w ← w − v.
    LookAhead,
}

impl Default for NesterovConfig {
    fn default() -> Self {
        NesterovConfig {
            momentum: 0.9,
            form: NesterovForm::Torch,
            weight_decay: 0.0,
            decay: Decay::L2,
            exclude_from_weight_decay: Exclude::none(),
        }
    }
}

impl OptimizerConfig for NesterovConfig {
    type Rule = Nesterov;

    const FACTS: Facts = Facts::new(
        "nesterov",
        "Nesterov's accelerated gradient: PyTorch's form, or the form with a look-ahead gradient",
    )
    .formula(
        "torch: v ← μ v + g + λ w; w ← w − η (g + λ w + μ v)\n\
                  look-ahead: v ← μ v + η (∇f(w − μ v) + λ w); w ← w − v",
    )
    .cost("20 bytes and 6 operations a weight")
    .paper("Nesterov 1983, Doklady AN SSSR 269; Sutskever et al. 2013, ICML")
    .presets(&[
        ("torch", "PyTorch's SGD(momentum=0.9, nesterov=True)"),
        (
            "textbook",
            "the textbook form, with the look-ahead gradient",
        ),
    ]);

    fn preset(name: &str) -> Option<Self> {
        let form = match name {
            "torch" => NesterovForm::Torch,
            "textbook" => NesterovForm::LookAhead,
            _ => return None,
        };
        Some(NesterovConfig {
            form,
            ..Self::default()
        })
    }

    fn rule_for(&self, group: ParameterGroup) -> Nesterov {
        Nesterov {
            weight_decay: WeightDecay::new(self.weight_decay, self.decay, group.decay),
            options: self.clone(),
        }
    }

    /// 2 (1 + μ)/(1 + 2μ).
    fn stability(&self) -> Option<Stability> {
        Some(Stability {
            bound: 2.0 * (1.0 + self.momentum) / (1.0 + 2.0 * self.momentum),
            decay: WeightDecay::new(self.weight_decay, self.decay, true).l2(),
            preconditioner: None,
        })
    }

    fn exclusions(&self) -> Exclusions {
        Exclusions::of_decay(&self.exclude_from_weight_decay)
    }
}

/// The rule of [`NesterovConfig`].
#[derive(Clone, Debug)]
pub struct Nesterov {
    options: NesterovConfig,
    weight_decay: WeightDecay,
}

impl Rule for Nesterov {
    fn on_slices(&self) -> Option<&dyn StepSlices> {
        Some(self)
    }

    fn looks_ahead(&self) -> bool {
        self.options.form == NesterovForm::LookAhead
    }

    fn ahead<const D: usize>(&self, w: Tensor<D>, state: &MomentumState<D>) -> Tensor<D> {
        match self.options.form {
            NesterovForm::LookAhead => w - state.velocity.clone().mul_scalar(self.options.momentum),
            NesterovForm::Torch => w,
        }
    }
}

impl StepSlices for Nesterov {
    fn step_slices(&self, lr: f64, w: &mut [f32], g: &mut [f32], state: &mut SliceState) {
        // The first step on tensors made the velocity.
        if let [v] = &mut state.tensors[..] {
            steps::step_slices(&self.fused(lr), [g], [w, v]);
        }
    }

    fn ahead_slices(&self, w: &[f32], state: &SliceState, ahead: &mut [f32]) {
        if let [v] = &state.tensors[..] {
            let beta = self.options.momentum as f32;
            let each = ahead.iter_mut().zip(w.iter().zip(v));
            each.for_each(|(ahead, (w, v))| *ahead = w - v * beta);
        }
    }
}

impl Optimizer for Nesterov {
    type State<const D: usize> = MomentumState<D>;

    fn step<const D: usize>(
        &self,
        lr: f64,
        w: Tensor<D>,
        g: Tensor<D>,
        state: Option<MomentumState<D>>,
    ) -> (Tensor<D>, Option<MomentumState<D>>) {
        let beta = self.options.momentum;
        let composed = |w: Tensor<D>, g: Tensor<D>, past: Option<Tensor<D>>| {
            let (w, g) = self.weight_decay.apply(lr, w, g);
            let velocity = |entering: Tensor<D>| match past {
                Some(past) => past.mul_scalar(beta) + entering,
                None => entering,
            };
            match self.options.form {
                NesterovForm::Torch => {
                    let velocity = velocity(g.clone());
                    let direction = g + velocity.clone().mul_scalar(beta);
                    [w - direction.mul_scalar(lr), velocity]
                }
                NesterovForm::LookAhead => {
                    let velocity = velocity(g.mul_scalar(lr));
                    [w - velocity.clone(), velocity]
                }
            }
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

impl Nesterov {
    fn fused(&self, lr: f64) -> steps::Velocity {
        let beta = self.options.momentum as f32;
        let (scale, ahead, rate) = match self.options.form {
            NesterovForm::Torch => (1.0, Some(beta), lr as f32),
            NesterovForm::LookAhead => (lr as f32, None, 1.0),
        };
        steps::Velocity {
            decay: self.weight_decay.factors(lr),
            scale,
            beta,
            kept: 1.0,
            ahead,
            rate,
        }
    }
}
