use super::prelude::*;
use crate::EpsPlace;

/// RMSprop: v ← αv + (1 − α)g²; u = g/(√v + ε); b ← μb + u; w ← w − ηb.
///
/// Centered, v − ḡ² replaces v, where ḡ is the average of g (Graves 2013, arXiv 1308.0850). The origins
/// differ in the place of ε, in the first v, and in whether the rate is inside the momentum.
///
/// Hinton 2012, *Neural networks for machine learning*, lecture 6e.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema, WithSetters)]
#[serde(default, deny_unknown_fields)]
#[getset(set_with = "pub")]
pub struct RmspropConfig {
    /// Decay rate α of the mean of squared gradients v.
    #[schemars(range(min = 0.0), extend("exclusiveMaximum" = 1.0, "why" = FORGETS))]
    pub alpha: f64,
    /// ε, which keeps the denominator above 0.
    #[schemars(range(min = 0.0), extend("why" = DIVIDES))]
    pub eps: f64,
    /// Whether ε is inside or outside the square root.
    pub eps_place: EpsPlace,
    /// Initial value of v.
    #[schemars(range(min = 0.0))]
    pub initial_accumulator: f64,
    /// Momentum μ; 0 for none.
    #[schemars(range(min = 0.0), extend("exclusiveMaximum" = 1.0, "why" = FORGETS))]
    pub momentum: f64,
    /// Whether the rate multiplies the momentum, or what enters it.
    pub rate: RmspropRate,
    /// Whether to subtract the square of the mean gradient from v.
    pub centered: bool,
    /// Weight decay λ; 0 for none.
    #[schemars(range(min = 0.0), extend("why" = DECAYS))]
    pub weight_decay: f64,
    /// `l2`: add λw to the gradient; `decoupled`: w ← w − ηλw before the step.
    pub decay: Decay,
    /// Parameters without weight decay.
    pub exclude_from_weight_decay: Exclude,
}

/// Where the learning rate stands in [`RmspropConfig`]; it matters when the rate changes.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum RmspropRate {
    /// b ← μb + u; w ← w − ηb. PyTorch.
    #[default]
    Outside,
    /// b ← μb + ηu; w ← w − b. TensorFlow, timm, optax and Keras.
    Inside,
}

impl Default for RmspropConfig {
    fn default() -> Self {
        RmspropConfig {
            alpha: 0.99,
            eps: 1e-8,
            eps_place: EpsPlace::Outside,
            initial_accumulator: 0.0,
            momentum: 0.0,
            rate: RmspropRate::Outside,
            centered: false,
            weight_decay: 0.0,
            decay: Decay::L2,
            exclude_from_weight_decay: Exclude::none(),
        }
    }
}

impl OptimizerConfig for RmspropConfig {
    type Rule = Rmsprop;

    const FACTS: Facts = Facts::new(
        "rmsprop",
        "gradient, divided by the root of the mean of squared gradients",
    )
    .formula(
        "v ← α v + (1 − α) g²; outside: u = g / (√v + ε); inside: u = g / √(v + ε)\n\
         centered: v − ḡ² for v, ḡ ← α ḡ + (1 − α) g\n\
         rate outside: b ← μ b + u; w ← w − η b; rate inside: b ← μ b + η u; w ← w − b",
    )
    .cost("20 bytes and 9 operations a weight")
    .paper("Hinton 2012, lecture 6e; centered: Graves 2013, arXiv 1308.0850")
    .presets(&[
        ("torch", "PyTorch's RMSprop"),
        (
            "tf",
            "TensorFlow's, and timm.optim.RMSpropTF: α = 0.9, ε = 1e-10 in the root, v starts at 1",
        ),
        ("optax", "optax.rmsprop: α = 0.9, ε in the root"),
        ("keras", "Keras' RMSprop: α = 0.9, ε = 1e-7 in the root"),
    ]);

    fn preset(name: &str) -> Option<Self> {
        let inside = RmspropConfig {
            alpha: 0.9,
            eps_place: EpsPlace::Inside,
            rate: RmspropRate::Inside,
            decay: Decay::Decoupled,
            ..Self::default()
        };
        Some(match name {
            "torch" => Self::default(),
            "tf" => RmspropConfig {
                eps: 1e-10,
                initial_accumulator: 1.0,
                decay: Decay::L2,
                ..inside
            },
            "optax" => inside,
            "keras" => RmspropConfig {
                eps: 1e-7,
                ..inside
            },
            _ => return None,
        })
    }

    fn rule_for(&self, group: ParameterGroup) -> Rmsprop {
        Rmsprop {
            weight_decay: WeightDecay::new(self.weight_decay, self.decay, group.decay),
            options: self.clone(),
        }
    }

    /// 2 (1 + μ) with P = √v + ε or √(v + ε); not known if centered.
    fn stability(&self) -> Option<Stability> {
        let (eps, place) = (self.eps, self.eps_place);
        let divisor = move |v: f64, _: u64| place.divisor_of(v, eps);
        (!self.centered).then(|| Stability {
            bound: 2.0 * (1.0 + self.momentum),
            decay: WeightDecay::new(self.weight_decay, self.decay, true).l2(),
            preconditioner: Some(Preconditioner {
                field: "square",
                divisor: Box::new(divisor),
            }),
        })
    }

    fn exclusions(&self) -> Exclusions {
        Exclusions::of_decay(&self.exclude_from_weight_decay)
    }
}

crate::state! {
    /// The state of [`Rmsprop`].
    pub struct RmspropState<const D: usize> {
        /// Mean of squared gradients v, of the parameter's shape.
        pub square: Tensor<D>,
        /// Mean of gradients ḡ; only if centered.
        pub mean: Option<Tensor<D>>,
        /// Momentum b; only with momentum.
        pub velocity: Option<Tensor<D>>,
        /// Number of steps done.
        pub time: u64,
    }
}

/// The rule of [`RmspropConfig`].
#[derive(Clone, Debug)]
pub struct Rmsprop {
    options: RmspropConfig,
    weight_decay: WeightDecay,
}

impl Rule for Rmsprop {
    fn on_slices(&self) -> Option<&dyn StepSlices> {
        self.is_fused().then_some(self)
    }
}

impl StepSlices for Rmsprop {
    fn step_slices(&self, lr: f64, w: &mut [f32], g: &mut [f32], state: &mut SliceState) {
        // The first step on tensors made the mean of squares.
        if let [square] = &mut state.tensors[..] {
            state.time += 1;
            steps::step_slices(&self.fused(lr), [g], [w, square]);
        }
    }
}

impl Rmsprop {
    fn is_fused(&self) -> bool {
        !self.options.centered && self.options.momentum == 0.0
    }

    fn fused(&self, lr: f64) -> steps::Adagrad {
        let o = &self.options;
        let [inside, outside] = o.eps_place.split(o.eps);
        steps::Adagrad {
            decay: self.weight_decay.factors(lr),
            average: [o.alpha as f32, (1.0 - o.alpha) as f32],
            inside,
            outside,
            rate: lr as f32,
        }
    }
}

impl Optimizer for Rmsprop {
    type State<const D: usize> = RmspropState<D>;

    fn step<const D: usize>(
        &self,
        lr: f64,
        w: Tensor<D>,
        g: Tensor<D>,
        state: Option<RmspropState<D>>,
    ) -> (Tensor<D>, Option<RmspropState<D>>) {
        let o = &self.options;
        let mut state = state.unwrap_or_else(|| RmspropState {
            square: w.full_like(o.initial_accumulator),
            mean: o.centered.then(|| w.zeros_like()),
            velocity: (o.momentum > 0.0).then(|| w.zeros_like()),
            time: 0,
        });
        state.time += 1;
        let changed = [w, state.square];
        let fused = match self.is_fused() {
            true => steps::step(&self.fused(lr), [g], changed),
            false => Err(([g], changed)),
        };
        let w;
        [w, state.square] = fused.unwrap_or_else(|([g], [w, square])| {
            let (w, g) = self.weight_decay.apply(lr, w, g);
            let average = |past: Tensor<D>, new: Tensor<D>| {
                past.mul_scalar(o.alpha) + new.mul_scalar(1.0 - o.alpha)
            };
            let square = average(square, g.clone().square());
            state.mean = state.mean.take().map(|mean| average(mean, g.clone()));
            let variance = match &state.mean {
                // Below 0 by rounding only.
                Some(mean) => (square.clone() - mean.clone().square()).clamp_min(0.0),
                None => square.clone(),
            };
            let (inside, outside) = match o.rate {
                RmspropRate::Outside => (1.0, lr),
                RmspropRate::Inside => (lr, 1.0),
            };
            let mut step = (g / o.eps_place.divisor(variance, o.eps)).mul_scalar(inside);
            if let Some(velocity) = &mut state.velocity {
                step = velocity.clone().mul_scalar(o.momentum) + step;
                *velocity = step.clone();
            }
            [w - step.mul_scalar(outside), square]
        });
        (w, Some(state))
    }

    fn to_device<const D: usize>(state: RmspropState<D>, device: &Device) -> RmspropState<D> {
        state.to_device(device)
    }
}
