//! The suite of tests that every optimizer must pass: those of this crate, and yours.
//!
//! ```
//! use largebatch_optim::conformance::{Reference, check};
//! use largebatch_optim::SgdConfig;
//!
//! // The expected steps, written a second time, from the paper.
//! let reference = Reference::by_hand("Robbins and Monro", |p| {
//!     for (w, g) in p.w.iter_mut().zip(p.g) {
//!         *w -= p.lr * g;
//!     }
//! });
//! println!("{}", check::<SgdConfig>(&[reference])?);
//! # Ok::<(), largebatch_optim::conformance::Failures>(())
//! ```

mod landscape;
mod suite;

use crate::{Named, OptimError, OptimizerConfig, Trajectory};
use burn::tensor::{DType, Device};
use std::fmt;

/// The largest relative deviation, in norm, that is allowed in f64.
pub const TOLERANCE_F64: f64 = 1e-12;
/// The largest relative deviation, in norm, that is allowed in f32.
pub const TOLERANCE_F32: f64 = 1e-5;

/// The expected weights after each step of a trajectory, from another source than the optimizer's
/// own code.
#[derive(Clone, Debug)]
pub struct Reference {
    /// The source, such as a package and its version.
    pub origin: String,
    /// The preset that should reproduce it; `None` for the default.
    pub preset: Option<String>,
    /// Options that override the preset.
    pub options: toml::Table,
    /// The initial weights, gradients and rates.
    pub trajectory: Trajectory,
    /// The expected weights: `[step][parameter][element]`.
    pub expected: Vec<Vec<Vec<f64>>>,
}

/// One parameter at one step of a hand-written reference.
pub struct Hand<'a> {
    /// The weights, which the rule updates in place.
    pub w: &'a mut [f64],
    /// The gradient.
    pub g: &'a [f64],
    /// The learning rate.
    pub lr: f64,
    /// The number of the step, from 1.
    pub t: usize,
    /// What the rule keeps between steps for this parameter; empty at the first step.
    pub memory: &'a mut Vec<Vec<f64>>,
}

impl Reference {
    /// A reference from a rule on plain numbers, for the default options, along
    /// [`standard_trajectory`].
    pub fn by_hand(origin: &str, mut rule: impl FnMut(Hand)) -> Reference {
        let trajectory = standard_trajectory();
        let mut weights: Vec<Vec<f64>> = trajectory
            .parameters
            .iter()
            .map(|p| p.init.clone())
            .collect();
        let mut memories = vec![Vec::new(); weights.len()];
        let mut expected = Vec::new();
        for (step, &lr) in trajectory.rates.iter().enumerate() {
            for (i, p) in trajectory.parameters.iter().enumerate() {
                rule(Hand {
                    w: &mut weights[i],
                    g: &p.grads[step],
                    lr,
                    t: step + 1,
                    memory: &mut memories[i],
                });
            }
            expected.push(weights.clone());
        }
        Reference {
            origin: origin.into(),
            preset: None,
            options: toml::Table::new(),
            trajectory,
            expected,
        }
    }

    /// Sets the preset to compare.
    pub fn preset(mut self, name: &str) -> Reference {
        self.preset = Some(name.into());
        self
    }

    /// Sets an option of the optimizer to compare.
    pub fn option(mut self, name: &str, value: impl Into<toml::Value>) -> Reference {
        self.options.insert(name.into(), value.into());
        self
    }

    /// The optimizer's largest relative deviation from this reference, in norm, over parameters and
    /// steps.
    pub fn deviation<C: OptimizerConfig>(
        &self,
        dtype: DType,
        device: &Device,
    ) -> Result<f64, OptimError> {
        let mut options = self.options.clone();
        options.extend(self.preset.clone().map(|p| ("preset".into(), p.into())));
        let recipe = crate::entry::<C>().configure(options)?;
        let found = self.trajectory.follow(&*recipe, dtype, device)?;
        Ok(self
            .trajectory
            .deviations(&found, &self.expected)
            .into_values()
            .fold(0.0, f64::max))
    }
}

/// 52 steps with a learning rate that warms up from 0, decays and jumps. The parameters have ranks
/// 1 to 5; one starts at 0, one has a gradient that is always 0, one has magnitude 1e15 and one
/// 1e-15.
pub fn standard_trajectory() -> Trajectory {
    // A fixed pseudo-random sequence in [−1, 1) (Knuth's 64-bit multiplier), the same everywhere.
    let mut seed = 7u64;
    let mut draw = || {
        seed = seed
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (seed >> 11) as f64 / (1u64 << 52) as f64 - 1.0
    };
    let steps = 52;
    let rate = |t: usize| match t {
        0..5 => 0.06 * t as f64,
        20..23 => 1.7,
        _ => 0.3 * (1.0 - t as f64 / 60.0).powi(2),
    };
    let shapes: [(&str, &[usize], f64, f64); 9] = [
        ("first.bias", &[5], 1.0, 1.0),
        ("first.weight", &[3, 4], 1.0, 1.0),
        ("rank3.weight", &[2, 3, 2], 0.1, 0.03),
        ("conv.weight", &[2, 1, 2, 2], 1.0, 5.0),
        ("rank5.weight", &[1, 2, 1, 2, 2], 3.0, 0.5),
        ("zero.weight", &[2, 3], 0.0, 1.0),
        ("quiet.weight", &[2, 2], 1.0, 0.0),
        ("huge.weight", &[2, 2], 1e15, 1e15),
        ("tiny.weight", &[2, 2], 1e-15, 1e-15),
    ];
    let parameters = shapes.map(|(name, shape, weight, grad)| {
        let n = shape.iter().product::<usize>();
        let mut draws = |scale: f64, shift: f64| {
            (0..n)
                .map(|_| scale * (draw() + shift))
                .collect::<Vec<f64>>()
        };
        let init = draws(weight, 0.0);
        let grads = (0..steps)
            .map(|t| {
                draws(
                    if (13..16).contains(&t) { 0.0 } else { grad },
                    (0.2 * t as f64).sin(),
                )
            })
            .collect();
        Named {
            name: name.into(),
            shape: shape.to_vec(),
            init,
            grads,
        }
    });
    Trajectory {
        rates: (0..steps).map(rate).collect(),
        parameters: parameters.into(),
    }
}

/// Everything that is wrong with a component.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("`{component}` does not conform:\n- {}", failures.join("\n- "))]
pub struct Failures {
    /// The component's name.
    pub component: &'static str,
    /// One line for each failure.
    pub failures: Vec<String>,
}

/// What the suite measured. Its `Display` writes the rows of a Markdown table.
#[derive(Clone, Debug)]
pub struct Report {
    /// The optimizer's name.
    pub optimizer: &'static str,
    /// Its deviation from each reference.
    pub rows: Vec<Row>,
}

/// The deviation from one reference.
#[derive(Clone, Debug)]
pub struct Row {
    /// The reference's source.
    pub origin: String,
    /// Preset and options.
    pub variant: String,
    /// Largest relative deviation in f64.
    pub f64: f64,
    /// Largest relative deviation in f32.
    pub f32: f64,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        for row in &self.rows {
            writeln!(
                f,
                "| {} | {} | {} | {:.0e} | {:.0e} |",
                self.optimizer, row.variant, row.origin, row.f64, row.f32
            )?;
        }
        Ok(())
    }
}

/// Checks an optimizer on the backend flex, in f64 and f32:
///
/// - it has a name, a summary, a formula, a paper, and a preset that is its default;
/// - every option is documented;
/// - configurations survive a round trip through TOML, and unknown keys are refused;
/// - it agrees with every reference to [`TOLERANCE_F64`] and [`TOLERANCE_F32`], and has at least
///   one;
/// - every preset, saved and loaded in the middle of a run, ends with the same bits;
/// - every preset stays finite on ranks 1 to 5, with zero weights, zero gradients and magnitudes of
///   1e±15;
/// - every preset finds the minimum of a parabola and of Rosenbrock's function at one of a list of
///   learning rates; one that holds the norm of the weights, which even a step of rate 0 then
///   rescales, finds a point where the gradient is parallel to the weights.
///
/// # Errors
/// All [`Failures`], not only the first.
pub fn check<C: OptimizerConfig>(references: &[Reference]) -> Result<Report, Failures> {
    let mut suite = suite::Suite::default();
    suite.facts::<C>();
    suite.options::<C>();
    let rows = suite.references::<C>(references);
    for preset in C::FACTS.presets {
        if let Some(recipe) = C::preset(preset.0) {
            suite.finite_and_resumed(preset.0, &recipe);
            suite.converges(preset.0, &recipe);
        }
    }
    match suite.failures.is_empty() {
        true => Ok(Report {
            optimizer: C::FACTS.name,
            rows,
        }),
        false => Err(Failures {
            component: C::FACTS.name,
            failures: suite.failures,
        }),
    }
}
