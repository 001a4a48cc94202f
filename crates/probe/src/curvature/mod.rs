//! The curvature of the loss: eigenvalues, trace and density of its Hessian.

mod density;
mod edge;
mod lanczos;
mod operator;
mod preconditioner;
mod probe;
mod top;
mod trace;
mod tridiagonal;

use largebatch_random::Key;
use largebatch_train::nullable;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use density::{Density, density, quadrature};
pub use edge::Edge;
pub use lanczos::{Eigen, largest};
pub use operator::{Hessian, Operator, STEP};
pub use preconditioner::preconditioner;
pub use top::top;
pub use trace::{Estimate, hutch_plus_plus, hutchinson};

use crate::{Objective, ProbeError, Watch};

/// What is measured of the curvature, and how precisely: the options of the probe `curvature`.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct CurvatureOptions {
    /// Number of largest eigenvalues to find.
    #[schemars(range(min = 1))]
    pub top: usize,
    /// The Lanczos method ends when each residual is at most this fraction of λ_max.
    #[schemars(extend("exclusiveMinimum" = 0.0))]
    pub tolerance: f64,
    /// Most Lanczos iterations; each stores a vector of d numbers.
    #[schemars(range(min = 1), extend("alias" = "most"))]
    pub iterations: usize,
    /// Products for each of the two trace estimates; 0 skips both, 1 and 2 skip Hutch++.
    pub samples: usize,
    /// Random vectors for the density; 0 skips it.
    #[schemars(extend("alias" = "probes"))]
    pub vectors: usize,
    /// Lanczos steps for each of these vectors.
    #[schemars(range(min = 1))]
    pub steps: usize,
    /// The seed of the random vectors; the probe takes that of its sample.
    #[serde(skip)]
    pub seed: u64,
}

impl Default for CurvatureOptions {
    fn default() -> Self {
        CurvatureOptions {
            top: 5,
            tolerance: 1e-4,
            iterations: 60,
            samples: 30,
            vectors: 2,
            steps: 40,
            seed: 0,
        }
    }
}

impl CurvatureOptions {
    /// Maximum number of gradient evaluations for d parameters, two for each product. A kink in the
    /// loss may need more, see [`top`](fn@top).
    pub fn gradients(&self, d: usize) -> u64 {
        let traces = self.samples
            + if self.samples >= 3 {
                3 * (self.samples / 3)
            } else {
                0
            };
        2 * (self.iterations.min(d) + self.top.min(d) + traces + self.vectors * self.steps.min(d))
            as u64
    }
}

/// The measurements of the Hessian at a point.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct Curvature {
    /// L = λ_max, the largest eigenvalue: the gradient's Lipschitz constant near w.
    #[serde(with = "nullable")]
    pub lambda_max: f64,
    /// 2/L: the largest learning rate at which gradient descent is stable here; absent if L is not
    /// above 0.
    pub stable_rate: Option<f64>,
    /// The largest eigenvalues, decreasing.
    #[serde(with = "nullable")]
    pub eigenvalues: Vec<f64>,
    /// The residual ‖H v − λ v‖ of each, which bounds its error.
    #[serde(with = "nullable")]
    pub residuals: Vec<f64>,
    /// Whether all of them are within the tolerance.
    pub converged: bool,
    /// The smallest eigenvalue met in the same search: an upper bound of the Hessian's smallest.
    #[serde(with = "nullable")]
    pub least: f64,
    /// The trace by Hutchinson's estimator.
    pub trace: Option<Estimate>,
    /// The trace by Hutch++.
    pub trace_plus: Option<Estimate>,
    /// The density of the eigenvalues.
    pub density: Option<Density>,
    /// The optimizer's distance from the edge of stability.
    pub edge: Option<Edge>,
}

/// Measures the Hessian of `objective` at w: the largest eigenvalues by the Lanczos method, the
/// trace in two ways, and the density.
///
/// The cost is at most [`CurvatureOptions::gradients`]. If `watch` returns `false`, returns the
/// results so far and `false`.
///
/// # Errors
/// Options out of range; errors of the model.
pub fn curvature(
    objective: &mut impl Objective,
    w: &[f64],
    options: &CurvatureOptions,
    watch: Watch,
) -> Result<(Curvature, bool), ProbeError> {
    let d = objective.dim();
    let key = Key::new(options.seed).word("curvature");
    let all = options.gradients(d);
    let mut hessian = Hessian::new(objective, w);
    let (mut before, mut proceed) = (0, true);
    let eigen = top(
        &mut hessian,
        options.top.min(d),
        key.word("start"),
        options.tolerance,
        options.iterations,
        &mut |done, _| {
            proceed = watch(2 * done, all);
            proceed
        },
    )?;
    before += 2 * eigen.products;
    let lambda_max = eigen.values.first().copied().unwrap_or(f64::NAN);
    let mut found = Curvature {
        lambda_max,
        stable_rate: (lambda_max > 0.0).then(|| 2.0 / lambda_max),
        eigenvalues: eigen.values,
        residuals: eigen.residuals,
        converged: eigen.converged,
        least: eigen.least,
        ..Curvature::default()
    };
    // The rest of the plan no longer counts the products that the Lanczos method did not need.
    let all = all - 2 * (options.iterations.min(d) + options.top.min(d)) as u64 + before;
    let mut watch_part = |before: u64, done: u64| {
        proceed = watch(before + 2 * done, all);
        proceed
    };
    if options.samples > 0 && watch_part(before, 0) {
        let trace = hutchinson(
            &mut hessian,
            options.samples,
            key.word("trace"),
            &mut |done, _| watch_part(before, done),
        )?;
        before += 2 * trace.products;
        found.trace = Some(trace);
    }
    if options.samples >= 3 && watch_part(before, 0) {
        let trace = hutch_plus_plus(
            &mut hessian,
            options.samples,
            key.word("trace"),
            &mut |done, _| watch_part(before, done),
        )?;
        before += trace.map_or(0, |t| 2 * t.products);
        found.trace_plus = trace;
    }
    if options.vectors > 0 && watch_part(before, 0) {
        found.density = Some(density(
            &mut hessian,
            options.vectors,
            options.steps,
            key.word("density"),
            &mut |done, _| watch_part(before, done),
        )?);
    }
    Ok((found, proceed))
}
