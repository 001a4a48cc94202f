//! A new optimizer in one file: Signum, which steps along the sign of its momentum. The command
//! line knows it by its name.
//!
//! ```text
//! cargo run --release -p largebatch-examples --example new_optimizer -- optimizers signum
//! cargo run --release -p largebatch-examples --example new_optimizer -- train --dataset digits --model mlp --optimizer signum --lr 0.0003
//! ```
//!
//! `external/` in this folder does the same in a separate crate, with the tests that every
//! optimizer of largebatch must pass.

use std::process::ExitCode;

use burn::optim::Optimizer;
use burn::tensor::{Device, Tensor};
use largebatch::Lab;
use largebatch::component::Facts;
use largebatch::optim::{OptimizerConfig, ParameterGroup, Rule};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Signum: m ← μm + (1 − μ)g; w ← w − η sign(m).
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
struct SignumConfig {
    /// Momentum coefficient μ.
    #[schemars(range(min = 0.0), extend("exclusiveMaximum" = 1.0, "why" = "at 1 the average would never change"))]
    momentum: f64,
}

impl Default for SignumConfig {
    fn default() -> Self {
        SignumConfig { momentum: 0.9 }
    }
}

impl OptimizerConfig for SignumConfig {
    type Rule = Signum;

    const FACTS: Facts = Facts::new(
        "signum",
        "every weight moves by the learning rate, against the sign of its averaged gradient",
    )
    .formula("m ← μ m + (1 − μ) g; w ← w − η sign(m)")
    .paper("Bernstein et al. 2018, arXiv 1802.04434")
    .presets(&[
        ("paper", "μ = 0.9"),
        ("signsgd", "μ = 0: the sign of the gradient itself"),
    ]);

    fn preset(name: &str) -> Option<Self> {
        match name {
            "paper" => Some(SignumConfig::default()),
            "signsgd" => Some(SignumConfig { momentum: 0.0 }),
            _ => None,
        }
    }

    fn rule_for(&self, _part: ParameterGroup) -> Signum {
        Signum {
            beta: self.momentum,
        }
    }
}

largebatch::optim::state! {
    /// The state of Signum for a parameter. The macro also defines how it is saved, loaded and
    /// moved to another device.
    pub struct Memory<const D: usize> {
        /// Average gradient m, of the parameter's shape.
        pub momentum: Tensor<D>,
    }
}

/// The rule of [`SignumConfig`].
#[derive(Clone, Debug)]
struct Signum {
    beta: f64,
}

impl Rule for Signum {}

impl Optimizer for Signum {
    type State<const D: usize> = Memory<D>;

    fn step<const D: usize>(
        &self,
        lr: f64,
        w: Tensor<D>,
        g: Tensor<D>,
        state: Option<Memory<D>>,
    ) -> (Tensor<D>, Option<Memory<D>>) {
        let entering = g.mul_scalar(1.0 - self.beta);
        let momentum = match state {
            Some(state) => state.momentum.mul_scalar(self.beta) + entering,
            None => entering,
        };
        (
            w - momentum.clone().sign().mul_scalar(lr),
            Some(Memory { momentum }),
        )
    }

    fn to_device<const D: usize>(state: Memory<D>, device: &Device) -> Memory<D> {
        state.to_device(device)
    }
}

fn main() -> ExitCode {
    largebatch::cli::main(Lab::standard().optimizer::<SignumConfig>())
}
