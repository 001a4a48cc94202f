use super::{DECAYS, DIVIDES};
use crate::config::LEAST_DIVISOR;
use crate::norm::root_plus_eps;
use crate::{
    Decay, Exclude, Exclusions, OptimizerConfig, ParameterGroup, Preconditioner, Rule, SliceState,
    Stability, StepSlices, WeightDecay,
};
use burn::optim::Optimizer;
use burn::tensor::{Device, Tensor};
use getset::WithSetters;
use largebatch_component::Facts;
use largebatch_kernels::steps;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

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
        let weight_decay = WeightDecay::new(self.weight_decay, self.decay, group.decay);
        Adagrad {
            eps: self.eps,
            eps_place: self.eps_place,
            initial: self.initial_accumulator,
            lr_decay: self.lr_decay,
            weight_decay,
        }
    }

    /// 2, with P = (√G + ε) or √(G + ε), times 1 + (t − 1) `lr_decay`.
    fn stability(&self) -> Option<Stability> {
        let (eps, place, lr_decay) = (self.eps, self.eps_place, self.lr_decay);
        let divisor = move |g: f64, time: u64| {
            let root = match place {
                EpsPlace::Inside => (g + eps).sqrt(),
                EpsPlace::Outside => g.sqrt() + eps,
            };
            (1.0 + (time - 1) as f64 * lr_decay) * root.max(LEAST_DIVISOR)
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
    eps: f64,
    eps_place: EpsPlace,
    initial: f64,
    lr_decay: f64,
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
            accumulator: w.full_like(self.initial),
            time: 0,
        });
        let (w, g, accumulator) = match steps::step(&self.fused(lr, time), [g], [w, accumulator]) {
            Ok([w, accumulator]) => {
                return (
                    w,
                    Some(AdagradState {
                        accumulator,
                        time: time + 1,
                    }),
                );
            }
            Err(([g], [w, accumulator])) => (w, g, accumulator),
        };
        let (w, g) = self.weight_decay.apply(lr, w, g);
        let accumulator = accumulator + g.clone().square();
        let divisor = match self.eps_place {
            EpsPlace::Outside => root_plus_eps(accumulator.clone(), self.eps),
            EpsPlace::Inside => root_plus_eps(accumulator.clone().add_scalar(self.eps), 0.0),
        };
        (
            w - (g / divisor).mul_scalar(self.rate(lr, time)),
            Some(AdagradState {
                accumulator,
                time: time + 1,
            }),
        )
    }

    fn to_device<const D: usize>(state: AdagradState<D>, device: &Device) -> AdagradState<D> {
        state.to_device(device)
    }
}

impl Adagrad {
    /// The learning rate after `time` steps.
    fn rate(&self, lr: f64, time: u64) -> f64 {
        lr / (1.0 + time as f64 * self.lr_decay)
    }

    fn fused(&self, lr: f64, time: u64) -> steps::Adagrad {
        let (inside, outside) = match self.eps_place {
            EpsPlace::Outside => (0.0, self.eps as f32),
            EpsPlace::Inside => (self.eps as f32, 0.0),
        };
        steps::Adagrad {
            decay: self.weight_decay.factors(lr),
            average: [1.0, 1.0],
            inside,
            outside,
            rate: self.rate(lr, time) as f32,
        }
    }
}
