#[cfg(feature = "cube")]
use cubecl::prelude::*;

#[cfg(feature = "cube")]
use super::cube::{self, Arg, Launch, UNITS};
use super::{Decay, Kernel, Step, decayed};

/// m ← β₁m + (1 − β₁)g; n ← max(β₂n, |g| + inside); w ← w − rate · m / (n + outside). Reads g, changes
/// w, m and n.
pub struct Adamax {
    /// Weight decay.
    pub decay: Decay,
    /// The decay rates β₁ and β₂.
    pub beta: [f32; 2],
    /// The factor 1 − β₁ of the gradient.
    pub entering: f32,
    /// A constant added to |g|.
    pub inside: f32,
    /// A constant added to n; if 0, n is at least the smallest normal number.
    pub outside: f32,
    /// The learning rate.
    pub rate: f32,
}

impl Kernel<1, 3, 0> for Adamax {
    #[inline(always)]
    fn one(&self, [g]: [f32; 1], [w, mean, largest]: [f32; 3]) -> ([f32; 3], [f32; 0]) {
        let (w, g) = decayed(w, g, self.decay);
        let mean = mean * self.beta[0] + g * self.entering;
        let (past, new) = (largest * self.beta[1], g.abs() + self.inside);
        let largest = if past < new { new } else { past };
        // NaN is propagated.
        let divisor = if self.outside > 0.0 {
            largest + self.outside
        } else if largest < f32::MIN_POSITIVE {
            f32::MIN_POSITIVE
        } else {
            largest
        };
        ([w - mean / divisor * self.rate, mean, largest], [])
    }
}

impl Step<1, 3> for Adamax {
    #[cfg(feature = "cube")]
    fn launch(&self, on: &Launch, [g]: [Arg; 1], [w, mean, largest]: [Arg; 3]) {
        let ((l2, shrink), [beta1, beta2]) = (self.decay, self.beta);
        let by = ConstantsLaunch::new(
            l2,
            shrink,
            beta1,
            beta2,
            self.entering,
            self.inside,
            self.outside,
            self.rate,
        );
        gpu::launch(&on.client, on.count(), on.dim(), g, w, mean, largest, by);
    }
}

#[cfg(feature = "cube")]
#[derive(CubeType, CubeLaunch)]
struct Constants {
    l2: f32,
    shrink: f32,
    beta1: f32,
    beta2: f32,
    entering: f32,
    inside: f32,
    outside: f32,
    rate: f32,
}

#[cfg(feature = "cube")]
#[cube(launch)]
fn gpu(g: &[f32], w: &mut [f32], mean: &mut [f32], largest: &mut [f32], by: &Constants) {
    let mut i = ABSOLUTE_POS;
    while i < w.len() {
        let (kept, u) = cube::decayed(w[i], g[i], by.l2, by.shrink);
        let m = mean[i] * by.beta1 + u * by.entering;
        let (past, new) = (largest[i] * by.beta2, u.abs() + by.inside);
        let n = select(past < new, new, past);
        mean[i] = m;
        largest[i] = n;
        let sum = n + by.outside;
        let divisor = select(sum < f32::MIN_POSITIVE, f32::MIN_POSITIVE.runtime(), sum);
        w[i] = kept - m / divisor * by.rate;
        i += CUBE_COUNT * UNITS;
    }
}
