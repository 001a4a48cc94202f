#[cfg(feature = "cube")]
use cubecl::prelude::*;

#[cfg(feature = "cube")]
use super::cube::{self, Arg, Launch, UNITS};
use super::{Decay, Kernel, Step, decayed, root_plus_eps};

/// G ← kept · G + entering · g²; w ← w − rate · g / (√(G + inside) + outside): Adagrad, and RMSprop.
/// Reads g, changes w and G.
pub struct Adagrad {
    /// Weight decay.
    pub decay: Decay,
    /// The factors of G and of g².
    pub average: [f32; 2],
    /// A constant added to G under the root.
    pub inside: f32,
    /// A constant added to the root; if 0, the root is at least the smallest normal number.
    pub outside: f32,
    /// The learning rate.
    pub rate: f32,
}

impl Kernel<1, 2, 0> for Adagrad {
    #[inline(always)]
    fn one(&self, [g]: [f32; 1], [w, sum]: [f32; 2]) -> ([f32; 2], [f32; 0]) {
        let (w, g) = decayed(w, g, self.decay);
        let sum = sum * self.average[0] + g * g * self.average[1];
        let update = g / root_plus_eps(sum + self.inside, self.outside);
        ([w - update * self.rate, sum], [])
    }
}

impl Step<1, 2> for Adagrad {
    #[cfg(feature = "cube")]
    fn launch(&self, on: &Launch, [g]: [Arg; 1], [w, sum]: [Arg; 2]) {
        let ((l2, shrink), [kept, entering]) = (self.decay, self.average);
        let by = ConstantsLaunch::new(
            l2,
            shrink,
            kept,
            entering,
            self.inside,
            self.outside,
            self.rate,
        );
        gpu::launch(&on.client, on.count(), on.dim(), g, w, sum, by);
    }
}

#[cfg(feature = "cube")]
#[derive(CubeType, CubeLaunch)]
struct Constants {
    l2: f32,
    shrink: f32,
    kept: f32,
    entering: f32,
    inside: f32,
    outside: f32,
    rate: f32,
}

#[cfg(feature = "cube")]
#[cube(launch)]
fn gpu(g: &[f32], w: &mut [f32], sum: &mut [f32], by: &Constants) {
    let mut i = ABSOLUTE_POS;
    while i < w.len() {
        let (kept, u) = cube::decayed(w[i], g[i], by.l2, by.shrink);
        let squares = sum[i] * by.kept + u * u * by.entering;
        sum[i] = squares;
        w[i] = kept - u / cube::root_plus_eps(squares + by.inside, by.outside) * by.rate;
        i += CUBE_COUNT * UNITS;
    }
}
