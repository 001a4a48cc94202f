#[cfg(feature = "cube")]
use cubecl::prelude::*;

#[cfg(feature = "cube")]
use super::cube::{self, Arg, Launch, UNITS};
use super::{Decay, Kernel, Step, decayed};

/// w ← w − rate · g. Reads g, changes w.
pub struct Sgd {
    /// Weight decay.
    pub decay: Decay,
    /// The learning rate.
    pub rate: f32,
}

impl Kernel<1, 1, 0> for Sgd {
    #[inline(always)]
    fn one(&self, [g]: [f32; 1], [w]: [f32; 1]) -> ([f32; 1], [f32; 0]) {
        let (w, g) = decayed(w, g, self.decay);
        ([w - g * self.rate], [])
    }
}

impl Step<1, 1> for Sgd {
    #[cfg(feature = "cube")]
    fn launch(&self, on: &Launch, [g]: [Arg; 1], [w]: [Arg; 1]) {
        gpu::launch(
            &on.client,
            on.count(),
            on.dim(),
            g,
            w,
            self.decay.0,
            self.decay.1,
            self.rate,
        );
    }
}

#[cfg(feature = "cube")]
#[cube(launch)]
fn gpu(g: &[f32], w: &mut [f32], l2: f32, shrink: f32, rate: f32) {
    let mut i = ABSOLUTE_POS;
    while i < w.len() {
        let (kept, u) = cube::decayed(w[i], g[i], l2, shrink);
        w[i] = kept - u * rate;
        i += CUBE_COUNT * UNITS;
    }
}
