#[cfg(feature = "cube")]
use cubecl::prelude::*;

#[cfg(feature = "cube")]
use super::cube::{self, Arg, Launch, UNITS};
use super::{Decay, Kernel, Step, decayed};

/// e = scale · g; v ← βv + kept · e; w ← w − rate · v, or w ← w − rate · (e + ahead · v). Reads g, changes w and v.
pub struct Velocity {
    /// Weight decay.
    pub decay: Decay,
    /// The factor of the gradient.
    pub scale: f32,
    /// The momentum coefficient β.
    pub beta: f32,
    /// The share of the scaled gradient that enters v.
    pub kept: f32,
    /// The factor of v in a look-ahead step (Nesterov); `None` steps along v.
    pub ahead: Option<f32>,
    /// The learning rate.
    pub rate: f32,
}

impl Kernel<1, 2, 0> for Velocity {
    #[inline(always)]
    fn one(&self, [g]: [f32; 1], [w, v]: [f32; 2]) -> ([f32; 2], [f32; 0]) {
        let (w, g) = decayed(w, g, self.decay);
        let entering = g * self.scale;
        let v = v * self.beta + entering * self.kept;
        let direction = self.ahead.map_or(v, |ahead| entering + v * ahead);
        ([w - direction * self.rate, v], [])
    }
}

impl Step<1, 2> for Velocity {
    #[cfg(feature = "cube")]
    fn launch(&self, on: &Launch, [g]: [Arg; 1], [w, v]: [Arg; 2]) {
        gpu::launch(
            &on.client,
            on.count(),
            on.dim(),
            g,
            w,
            v,
            self.constants(),
            self.scale,
        );
    }
}

#[cfg(feature = "cube")]
impl Velocity {
    pub(super) fn constants(&self) -> ConstantsLaunch {
        let (l2, shrink) = self.decay;
        ConstantsLaunch::new(
            l2,
            shrink,
            self.beta,
            self.kept,
            self.ahead.unwrap_or(0.0),
            self.rate,
            self.ahead.is_some(),
        )
    }
}

/// The fields of [`Velocity`] except the scale.
#[cfg(feature = "cube")]
#[derive(CubeType, CubeLaunch)]
pub(super) struct Constants {
    pub l2: f32,
    shrink: f32,
    beta: f32,
    kept: f32,
    ahead: f32,
    rate: f32,
    #[cube(comptime)]
    looks_ahead: bool,
}

#[cfg(feature = "cube")]
#[cube(launch)]
fn gpu(g: &[f32], w: &mut [f32], v: &mut [f32], by: &Constants, scale: f32) {
    step(g, w, v, by, scale);
}

#[cfg(feature = "cube")]
#[cube]
pub(super) fn step(g: &[f32], w: &mut [f32], v: &mut [f32], by: &Constants, scale: f32) {
    let mut i = ABSOLUTE_POS;
    while i < w.len() {
        let (kept, u) = cube::decayed(w[i], g[i], by.l2, by.shrink);
        let entering = u * scale;
        let moved = v[i] * by.beta + entering * by.kept;
        let direction = if comptime!(by.looks_ahead) {
            entering + moved * by.ahead
        } else {
            moved
        };
        v[i] = moved;
        w[i] = kept - direction * by.rate;
        i += CUBE_COUNT * UNITS;
    }
}
