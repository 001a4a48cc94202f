#[cfg(feature = "cube")]
use cubecl::prelude::*;

#[cfg(feature = "cube")]
use super::cube::{self, Arg, Launch, UNITS};
use super::{Decay, Kernel, Step, decayed};

/// w ← w − rate · sign(β₁m + e₁g); m ← β₂m + e₂g. Reads g, changes w and m. The sign of 0 is 0.
pub struct Lion {
    /// Weight decay.
    pub decay: Decay,
    /// The coefficients β₁ and β₂ of m.
    pub beta: [f32; 2],
    /// The factors e₁ and e₂ of the gradient.
    pub entering: [f32; 2],
    /// The learning rate.
    pub rate: f32,
}

impl Kernel<1, 2, 0> for Lion {
    #[inline(always)]
    fn one(&self, [g]: [f32; 1], [w, mean]: [f32; 2]) -> ([f32; 2], [f32; 0]) {
        let (w, g) = decayed(w, g, self.decay);
        let mixed = mean * self.beta[0] + g * self.entering[0];
        let sign = f32::from(mixed > 0.0) - f32::from(mixed < 0.0);
        let mean = mean * self.beta[1] + g * self.entering[1];
        ([w - sign * self.rate, mean], [])
    }
}

impl Step<1, 2> for Lion {
    #[cfg(feature = "cube")]
    fn launch(&self, on: &Launch, [g]: [Arg; 1], [w, mean]: [Arg; 2]) {
        let ((l2, shrink), [beta1, beta2], [entering1, entering2]) =
            (self.decay, self.beta, self.entering);
        let by = ConstantsLaunch::new(l2, shrink, beta1, beta2, entering1, entering2, self.rate);
        gpu::launch(&on.client, on.count(), on.dim(), g, w, mean, by);
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
    rate: f32,
}

#[cfg(feature = "cube")]
#[cube(launch)]
fn gpu(g: &[f32], w: &mut [f32], mean: &mut [f32], by: &Constants) {
    let mut i = ABSOLUTE_POS;
    while i < w.len() {
        let (kept, u) = cube::decayed(w[i], g[i], by.l2, by.shrink);
        let mixed = mean[i] * by.beta1 + u * by.entering1;
        let below = select(mixed < 0.0, -by.rate, 0.0f32.runtime());
        mean[i] = mean[i] * by.beta2 + u * by.entering2;
        w[i] = kept - select(mixed > 0.0, by.rate, below);
        i += CUBE_COUNT * UNITS;
    }
}
