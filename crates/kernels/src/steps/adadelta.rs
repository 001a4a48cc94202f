#[cfg(feature = "cube")]
use cubecl::prelude::*;

#[cfg(feature = "cube")]
use super::cube::{self, Arg, Launch, UNITS};
use super::{Decay, Kernel, Step, decayed, root_plus_eps};

/// v ← ρv + (1 − ρ)g²; u = g √(d + ε)/√(v + ε); d ← ρd + (1 − ρ)u²; w ← w − rate · u. Reads g, changes
/// w, v and d. A root is at least the smallest normal number.
pub struct Adadelta {
    /// Weight decay.
    pub decay: Decay,
    /// The factors ρ and 1 − ρ.
    pub average: [f32; 2],
    /// ε.
    pub eps: f32,
    /// The learning rate.
    pub rate: f32,
}

impl Kernel<1, 3, 0> for Adadelta {
    #[inline(always)]
    fn one(&self, [g]: [f32; 1], [w, square, steps]: [f32; 3]) -> ([f32; 3], [f32; 0]) {
        let (w, g) = decayed(w, g, self.decay);
        let average = |past: f32, new: f32| past * self.average[0] + new * new * self.average[1];
        let root = |x: f32| root_plus_eps(x + self.eps, 0.0);
        let square = average(square, g);
        let step = root(steps) / root(square) * g;
        ([w - step * self.rate, square, average(steps, step)], [])
    }
}

impl Step<1, 3> for Adadelta {
    #[cfg(feature = "cube")]
    fn launch(&self, on: &Launch, [g]: [Arg; 1], [w, square, steps]: [Arg; 3]) {
        let ((l2, shrink), [kept, entering]) = (self.decay, self.average);
        let by = ConstantsLaunch::new(l2, shrink, kept, entering, self.eps, self.rate);
        gpu::launch(&on.client, on.count(), on.dim(), g, w, square, steps, by);
    }
}

#[cfg(feature = "cube")]
#[derive(CubeType, CubeLaunch)]
struct Constants {
    l2: f32,
    shrink: f32,
    kept: f32,
    entering: f32,
    eps: f32,
    rate: f32,
}

#[cfg(feature = "cube")]
#[cube(launch)]
fn gpu(g: &[f32], w: &mut [f32], square: &mut [f32], steps: &mut [f32], by: &Constants) {
    let mut i = ABSOLUTE_POS;
    while i < w.len() {
        let (shrunk, u) = cube::decayed(w[i], g[i], by.l2, by.shrink);
        let v = square[i] * by.kept + u * u * by.entering;
        let d = steps[i];
        let above = cube::root_plus_eps(d + by.eps, 0.0);
        let step = above / cube::root_plus_eps(v + by.eps, 0.0) * u;
        square[i] = v;
        steps[i] = d * by.kept + step * step * by.entering;
        w[i] = shrunk - step * by.rate;
        i += CUBE_COUNT * UNITS;
    }
}
