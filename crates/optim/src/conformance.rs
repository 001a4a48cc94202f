//! The suite that every optimizer passes by being one: those of this crate, and yours.
//!
//! ```
//! use largebatch_optim::conformance::{Reference, check};
//! use largebatch_optim::SgdConfig;
//!
//! // What the steps ought to be, written down a second time, from the paper.
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

use crate::{Named, OptimError, Recipe, Trajectory};
use burn::tensor::{DType, Device};
use std::fmt;

/// A relative deviation, in norm, that is allowed in f64.
pub const TOLERANCE_F64: f64 = 1e-12;
/// A relative deviation, in norm, that is allowed in f32.
pub const TOLERANCE_F32: f64 = 1e-5;

/// Where an optimizer must get: weights after each step of a trajectory, from another source than its own code.
#[derive(Clone, Debug)]
pub struct Reference {
    /// The source, such as a package and its version.
    pub origin: String,
    /// The preset that stands for it; `None` for the default.
    pub preset: Option<String>,
    /// Options over the preset.
    pub options: toml::Table,
    /// What drives it.
    pub trajectory: Trajectory,
    /// The weights: `[step][parameter][element]`.
    pub expected: Vec<Vec<Vec<f64>>>,
}

/// One parameter at one step of a reference that is written by hand.
pub struct Hand<'a> {
    /// The weights, to be changed.
    pub w: &'a mut [f64],
    /// The gradient.
    pub g: &'a [f64],
    /// The learning rate.
    pub lr: f64,
    /// The step, from 1 on.
    pub t: usize,
    /// What the rule remembers of this parameter; empty at the first step.
    pub memory: &'a mut Vec<Vec<f64>>,
}

impl Reference {
    /// A rule written out on plain numbers, for the default options, along [`standard_trajectory`].
    pub fn by_hand(origin: &str, rule: impl FnMut(Hand)) -> Reference {
        Reference::by_hand_along(origin, standard_trajectory(), rule)
    }

    /// A rule written out on plain numbers, along a trajectory of your own.
    pub fn by_hand_along(
        origin: &str,
        trajectory: Trajectory,
        mut rule: impl FnMut(Hand),
    ) -> Reference {
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

    /// The reference of a preset.
    pub fn preset(mut self, name: &str) -> Reference {
        self.preset = Some(name.into());
        self
    }

    /// The reference of an option's value.
    pub fn option(mut self, name: &str, value: impl Into<toml::Value>) -> Reference {
        self.options.insert(name.into(), value.into());
        self
    }

    /// The largest relative deviation in norm, over parameters and steps, of the optimizer from this reference.
    pub fn deviation<C: Recipe>(&self, dtype: DType, device: &Device) -> Result<f64, OptimError> {
        let recipe = crate::Registry::default()
            .with::<C>()
            .named(C::FACTS.name)?
            .configure(self.preset.as_deref(), self.options.clone())?;
        let found = self.trajectory.follow(&*recipe, dtype, device)?;
        Ok(self
            .trajectory
            .deviations(&found, &self.expected)
            .into_values()
            .fold(0.0, f64::max))
    }
}

/// 52 steps with a rate that warms up from 0, decays and jumps; parameters of rank 1 to 5, one that starts at 0, one whose gradient is always 0,
/// and one of magnitude 1e15 and one of 1e-15.
pub fn standard_trajectory() -> Trajectory {
    // A fixed sequence of numbers in [−1, 1) (Knuth's 64-bit multiplier), the same on every machine.
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

/// Everything that is wrong with an optimizer.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("optimizer `{optimizer}` does not conform:\n- {}", failures.join("\n- "))]
pub struct Failures {
    /// Its name.
    pub optimizer: &'static str,
    /// One line each.
    pub failures: Vec<String>,
}

/// What the suite measured; shown as the rows of a Markdown table.
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
    /// The source.
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

/// Puts an optimizer through everything that is asked of one. On the backend flex, in f64 and f32.
///
/// It has a name, a summary, a formula, a paper, and a preset that is its default; every option is documented; configurations go through TOML
/// unchanged and a mistyped key is refused; it agrees with every reference to [`TOLERANCE_F64`] and [`TOLERANCE_F32`], and there is one at least;
/// for every preset: interrupted, saved and loaded it goes on to the same bits; it stays finite on every rank from 1 to 5, with zero weights, zero
/// gradients and magnitudes of 1e±15; and it finds the minimum of a parabola and of Rosenbrock's function at one rate of a list.
///
/// # Errors
/// All [`Failures`] together, not only the first.
pub fn check<C: Recipe>(references: &[Reference]) -> Result<Report, Failures> {
    let mut suite = suite::Suite::<C>::default();
    suite.facts();
    suite.options();
    let rows = suite.references(references);
    for preset in C::FACTS.presets {
        if let Some(recipe) = C::preset(preset.name) {
            suite.finite_and_resumed(preset.name, &recipe);
            suite.converges(preset.name, &recipe);
        }
    }
    match suite.failures.is_empty() {
        true => Ok(Report {
            optimizer: C::FACTS.name,
            rows,
        }),
        false => Err(Failures {
            optimizer: C::FACTS.name,
            failures: suite.failures,
        }),
    }
}
