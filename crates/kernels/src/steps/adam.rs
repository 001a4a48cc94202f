#[cfg(feature = "cube")]
use cubecl::prelude::*;

#[cfg(feature = "cube")]
use super::cube::{self, Arg, Launch, UNITS};
use super::{Decay, Kernel, Step, decayed, root_plus_eps};

/// m ← β₁m + e₁g; v ← β₂v + e₂g²; w ← w − rate · d / (√(v / correction) + eps) with d = m, or with a
/// look-ahead a₁m + a₂g. Reads g, changes w, m and v.
pub struct Adam {
    /// Weight decay.
    pub decay: Decay,
    /// The decay rates β₁ and β₂ of the moments.
    pub beta: [f32; 2],
    /// The factors e₁ and e₂ of the new gradient: 1 − β₁ and 1 − β₂, or 1.
    pub entering: [f32; 2],
    /// The bias correction of v: 1 − β₂ᵗ, or 1. That of m is part of the rate.
    pub correction: f32,
    /// A constant added to the root; if 0, the root is at least the smallest normal number.
    pub eps: f32,
    /// The factors a₁ and a₂ of m and g in a look-ahead step (NAdam); `None` steps along m.
    pub ahead: Option<[f32; 2]>,
    /// The learning rate.
    pub rate: f32,
}

impl Kernel<1, 3, 0> for Adam {
    #[inline(always)]
    fn one(&self, [g]: [f32; 1], [w, mean, square]: [f32; 3]) -> ([f32; 3], [f32; 0]) {
        let (w, g) = decayed(w, g, self.decay);
        let mean = mean * self.beta[0] + g * self.entering[0];
        let square = square * self.beta[1] + g * g * self.entering[1];
        let direction = self.ahead.map_or(mean, |[a, b]| mean * a + g * b);
        let update = direction / root_plus_eps(square / self.correction, self.eps);
        ([w - update * self.rate, mean, square], [])
    }
}

impl Step<1, 3> for Adam {
    #[cfg(feature = "cube")]
    fn launch(&self, on: &Launch, [g]: [Arg; 1], [w, mean, square]: [Arg; 3]) {
        let ((l2, shrink), [beta1, beta2], [entering1, entering2]) =
            (self.decay, self.beta, self.entering);
        let [of_mean, of_gradient] = self.ahead.unwrap_or_default();
        let by = ConstantsLaunch::new(
            l2,
            shrink,
            beta1,
            beta2,
            entering1,
            entering2,
            self.correction,
            self.eps,
            of_mean,
            of_gradient,
            self.rate,
            self.ahead.is_some(),
        );
        gpu::launch(&on.client, on.count(), on.dim(), g, w, mean, square, by);
    }
}

#[cfg(feature = "cube")]
#[derive(CubeType, CubeLaunch)]
struct Constants {
    l2: f32,
    shrink: f32,
    beta1: f32,
    beta2: f32,
    entering1: f32,
    entering2: f32,
    correction: f32,
    eps: f32,
    of_mean: f32,
    of_gradient: f32,
    rate: f32,
    #[cube(comptime)]
    looks_ahead: bool,
}

#[cfg(feature = "cube")]
#[cube(launch)]
fn gpu(g: &[f32], w: &mut [f32], mean: &mut [f32], square: &mut [f32], by: &Constants) {
    let mut i = ABSOLUTE_POS;
    while i < w.len() {
        let (kept, u) = cube::decayed(w[i], g[i], by.l2, by.shrink);
        let m = mean[i] * by.beta1 + u * by.entering1;
        let v = square[i] * by.beta2 + u * u * by.entering2;
        mean[i] = m;
        square[i] = v;
        let direction = if comptime!(by.looks_ahead) {
            m * by.of_mean + u * by.of_gradient
        } else {
            m
        };
        w[i] = kept - direction / cube::root_plus_eps(v / by.correction, by.eps) * by.rate;
        i += CUBE_COUNT * UNITS;
    }
}
