use super::prelude::*;
use crate::config::LEAST_DIVISOR;
use crate::norm::root_plus_eps;

/// Adagrad: G ← G + g²; then w ← w − η g / (√G + ε) (`outside`, as PyTorch) or w ← w − η g / √(G +
/// ε) (`inside`, as in textbooks).
///
/// Optax's `adagrad` starts at 0.1, with ε = 1e-7 inside. Duchi et al. 2011, JMLR 12.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema, WithSetters)]
#[serde(default, deny_unknown_fields)]
#[getset(set_with = "pub")]
pub struct AdagradConfig {
    /// ε, which keeps the denominator above 0.
    #[schemars(range(min = 0.0), extend("why" = DIVIDES))]
    pub eps: f64,
    /// Whether ε is inside or outside the square root.
    pub eps_place: EpsPlace,
    /// Initial value of G, the sum of squared gradients.
    #[schemars(range(min = 0.0), extend("why" = "it is a sum of squares"))]
    pub initial_accumulator: f64,
    /// Decay d of the learning rate as in PyTorch: η / (1 + (t − 1)d) at step t = 1, 2, ….
    #[schemars(range(min = 0.0), extend("why" = "with a negative value the learning rate would grow without bound"))]
    pub lr_decay: f64,
    /// Weight decay λ; 0 for none.
    #[schemars(range(min = 0.0), extend("why" = DECAYS))]
    pub weight_decay: f64,
    /// `l2`: add λw to the gradient; `decoupled`: w ← w − ηλw before the step.
    pub decay: Decay,
    /// Parameters without weight decay.
    pub exclude_from_weight_decay: Exclude,
}

/// Where ε is added, inside or outside the square root.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum EpsPlace {
    /// Divide by √G + ε.
    #[default]
    Outside,
    /// Divide by √(G + ε).
    Inside,
}

impl EpsPlace {
    /// √v + ε or √(v + ε).
    pub(super) fn divisor<const D: usize>(self, v: Tensor<D>, eps: f64) -> Tensor<D> {
        match self {
            EpsPlace::Outside => root_plus_eps(v, eps),
            EpsPlace::Inside => root_plus_eps(v.add_scalar(eps), 0.0),
        }
    }

    /// The same for a number.
    pub(super) fn divisor_of(self, v: f64, eps: f64) -> f64 {
        let root = match self {
            EpsPlace::Outside => v.sqrt() + eps,
            EpsPlace::Inside => (v + eps).sqrt(),
        };
        root.max(LEAST_DIVISOR)
    }

    /// ε inside the root, and outside.
    pub(super) fn split(self, eps: f64) -> [f32; 2] {
        match self {
            EpsPlace::Outside => [0.0, eps as f32],
            EpsPlace::Inside => [eps as f32, 0.0],
        }
    }
}

impl Default for AdagradConfig {
    fn default() -> Self {
        AdagradConfig {
            eps: 1e-10,
            eps_place: EpsPlace::Outside,
            initial_accumulator: 0.0,
            lr_decay: 0.0,
            weight_decay: 0.0,
            decay: Decay::L2,
            exclude_from_weight_decay: Exclude::none(),
        }
    }
}

impl OptimizerConfig for AdagradConfig {
    type Rule = Adagrad;

    const FACTS: Facts = Facts::new(
        "adagrad",
        "SGD whose learning rate falls, for each weight, with the sum of its squared gradients",
    )
    .formula("G ← G + g²; outside: w ← w − η g / (√G + ε); inside: w ← w − η g / √(G + ε)")
    .cost("20 bytes and 7 operations a weight")
    .paper("Duchi et al. 2011, JMLR 12")
    .presets(&[
        (
            "torch",
            "PyTorch's Adagrad: eps 1e-10 outside the square root",
        ),
        (
            "textbook",
            "the textbook form: eps (here 1e-8) inside the square root",
        ),
    ]);

    fn preset(name: &str) -> Option<Self> {
        match name {
            "torch" => Some(Self::default()),
            "textbook" => Some(AdagradConfig {
                eps: 1e-8,
                eps_place: EpsPlace::Inside,
                ..Self::default()
            }),
            _ => None,
        }
    }

    fn rule_for(&self, group: ParameterGroup) -> Adagrad {
        Adagrad {
            weight_decay: WeightDecay::new(self.weight_decay, self.decay, group.decay),
            options: self.clone(),
        }
    }

    /// 2, with P = (√G + ε) or √(G + ε), times 1 + (t − 1) `lr_decay`.
    fn stability(&self) -> Option<Stability> {
        let (eps, place, lr_decay) = (self.eps, self.eps_place, self.lr_decay);
        let divisor = move |g: f64, time: u64| {
            (1.0 + (time - 1) as f64 * lr_decay) * place.divisor_of(g, eps)
        };
        Some(Stability {
            bound: 2.0,
            decay: WeightDecay::new(self.weight_decay, self.decay, true).l2(),
            preconditioner: Some(Preconditioner {
                field: "accumulator",
                divisor: Box::new(divisor),
            }),
        })
    }

    fn exclusions(&self) -> Exclusions {
        Exclusions::of_decay(&self.exclude_from_weight_decay)
    }
}

crate::state! {
    /// The state of [`Adagrad`].
    pub struct AdagradState<const D: usize> {
        /// Sum of squared gradients G, of the parameter's shape.
        pub accumulator: Tensor<D>,
        /// Number of steps done.
        pub time: u64,
    }
}

/// The rule of [`AdagradConfig`].
#[derive(Clone, Debug)]
pub struct Adagrad {
    options: AdagradConfig,
    weight_decay: WeightDecay,
}

impl Rule for Adagrad {
    fn on_slices(&self) -> Option<&dyn StepSlices> {
        Some(self)
    }
}

impl StepSlices for Adagrad {
    fn step_slices(&self, lr: f64, w: &mut [f32], g: &mut [f32], state: &mut SliceState) {
        // The first step on tensors made the accumulator.
        if let [accumulator] = &mut state.tensors[..] {
            steps::step_slices(&self.fused(lr, state.time), [g], [w, accumulator]);
            state.time += 1;
        }
    }
}

impl Optimizer for Adagrad {
    type State<const D: usize> = AdagradState<D>;

    fn step<const D: usize>(
        &self,
        lr: f64,
        w: Tensor<D>,
        g: Tensor<D>,
        state: Option<AdagradState<D>>,
    ) -> (Tensor<D>, Option<AdagradState<D>>) {
        let AdagradState { accumulator, time } = state.unwrap_or_else(|| AdagradState {
            accumulator: w.full_like(self.options.initial_accumulator),
            time: 0,
        });
        let fused = steps::step(&self.fused(lr, time), [g], [w, accumulator]);
        let [w, accumulator] = fused.unwrap_or_else(|([g], [w, accumulator])| {
            let (w, g) = self.weight_decay.apply(lr, w, g);
            let accumulator = accumulator + g.clone().square();
            let AdagradConfig { eps_place, eps, .. } = self.options;
            let update = g / eps_place.divisor(accumulator.clone(), eps);
            [w - update.mul_scalar(self.rate(lr, time)), accumulator]
        });
        let time = time + 1;
        (w, Some(AdagradState { accumulator, time }))
    }

    fn to_device<const D: usize>(state: AdagradState<D>, device: &Device) -> AdagradState<D> {
        state.to_device(device)
    }
}

impl Adagrad {
    /// The learning rate after `time` steps.
    fn rate(&self, lr: f64, time: u64) -> f64 {
        lr / (1.0 + time as f64 * self.options.lr_decay)
    }

    fn fused(&self, lr: f64, time: u64) -> steps::Adagrad {
        let [inside, outside] = self.options.eps_place.split(self.options.eps);
        steps::Adagrad {
            decay: self.weight_decay.factors(lr),
            average: [1.0, 1.0],
            inside,
            outside,
            rate: self.rate(lr, time) as f32,
        }
    }
}
