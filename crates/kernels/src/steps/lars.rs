use burn::tensor::Tensor;
#[cfg(feature = "cube")]
use cubecl::prelude::*;

#[cfg(feature = "cube")]
use super::cube::{self, Launch, UNITS};
use super::velocity::Velocity;
#[cfg(feature = "cube")]
use super::velocity::{self, Constants};
use super::{Decay, Kernel, Place, decayed, flex, place};

/// ratio = coefficient · ‖w‖ / (‖g‖ + β‖w‖ + eps), or coefficient · ‖w‖ / (‖g + βw‖ + eps); 1 if a
/// norm is 0.
pub struct Trust {
    /// The factor of the ratio of the norms.
    pub coefficient: f32,
    /// A constant added to the denominator.
    pub eps: f32,
    /// Whether the denominator is ‖g + βw‖.
    pub combined: bool,
    /// The rate by which the ratio is divided before it is limited to 1.
    pub clip: Option<f32>,
}

impl Trust {
    fn ratio(&self, [w, g, u]: [f32; 3], beta: f32) -> f32 {
        let other = if self.combined { u } else { g };
        let denominator = if self.combined {
            u + self.eps
        } else {
            g + (w * beta + self.eps)
        };
        let ratio = if w > 0.0 && other > 0.0 {
            w * self.coefficient / denominator
        } else {
            1.0
        };
        match self.clip {
            None => ratio,
            // At rate 0 (the start of a warm-up) the quotient is infinite, and clipping makes it 1.
            Some(lr) => {
                let clipped = ratio / lr;
                if clipped > 1.0 { 1.0 } else { clipped }
            }
        }
    }

    /// As [`Trust::step`], on the elements; returns the ratio.
    pub fn step_slices(&self, mut velocity: Velocity, g: &[f32], [w, v]: [&mut [f32]; 2]) -> f32 {
        let norms = Norms {
            decay: velocity.decay,
        };
        let norms = flex::run(flex::Order::Rising, &norms, [&*w, g], []).map(|s| s.sqrt() as f32);
        let ratio = self.ratio(norms, velocity.decay.0);
        velocity.scale *= ratio;
        flex::run(flex::Order::Falling, &velocity, [g], [w, v]);
        ratio
    }

    /// The step of `velocity`, with its scale multiplied by the trust ratio. Returns the weights,
    /// velocity and ratio, or gives the tensors back if the kernels cannot run on them.
    pub fn step<const D: usize>(
        &self,
        velocity: Velocity,
        w: Tensor<D>,
        g: Tensor<D>,
        v: Tensor<D>,
    ) -> Result<([Tensor<D>; 2], Tensor<1>), [Tensor<D>; 3]> {
        match place([&w, &g, &v].into_iter()) {
            Some(Place::Flex) => {
                let [mut w, g, mut v] = [w, g, v].map(flex::array);
                let changed = [&mut w, &mut v].map(flex::slice_mut);
                let ratio = self.step_slices(velocity, flex::slice(&g), changed);
                Ok(([w, v].map(flex::tensor), flex::scalar(ratio)))
            }
            #[cfg(feature = "cube")]
            Some(Place::Cube) => {
                let [w, g, v] = [w, g, v].map(cube::array);
                let (w, v, on) = (cube::own(w), cube::own(v), Launch::over(&g));
                let (partial, ratio) = (cube::empty(&g, 3 * on.cubes), cube::empty(&g, 1));
                let [w_arg, g_arg, v_arg, partial_arg, ratio_arg] =
                    [&w, &g, &v, &partial, &ratio].map(cube::arg);
                let (l2, shrink) = velocity.decay;
                norms::launch(
                    &on.client,
                    on.count(),
                    on.dim(),
                    cube::arg(&w),
                    cube::arg(&g),
                    cube::arg(&partial),
                    l2,
                    shrink,
                );
                let by = ConstantsOfTrustLaunch::new(
                    self.coefficient,
                    self.eps,
                    self.clip.unwrap_or(1.0),
                    velocity.scale,
                    on.cubes,
                    self.combined,
                    self.clip.is_some(),
                );
                let args = (g_arg, w_arg, v_arg, partial_arg, ratio_arg);
                step::launch(
                    &on.client,
                    on.count(),
                    on.dim(),
                    args.0,
                    args.1,
                    args.2,
                    args.3,
                    args.4,
                    velocity.constants(),
                    by,
                );
                Ok(([w, v].map(cube::tensor), cube::tensor(ratio)))
            }
            None => Err([w, g, v]),
        }
    }
}

/// Sums the squares of the weights, of the gradient, and of the gradient with weight decay.
struct Norms {
    decay: Decay,
}

impl Kernel<2, 0, 3> for Norms {
    #[inline(always)]
    fn one(&self, [w, g]: [f32; 2], []: [f32; 0]) -> ([f32; 0], [f32; 3]) {
        let (w, u) = decayed(w, g, self.decay);
        ([], [w * w, g * g, u * u])
    }
}

#[cfg(feature = "cube")]
#[cube(launch)]
fn norms(w: &[f32], g: &[f32], partial: &mut [f32], l2: f32, shrink: f32) {
    let mut ww = 0.0f32;
    let mut gg = 0.0f32;
    let mut uu = 0.0f32;
    let mut i = ABSOLUTE_POS;
    while i < w.len() {
        let (kept, u) = cube::decayed(w[i], g[i], l2, shrink);
        ww += kept * kept;
        gg += g[i] * g[i];
        uu += u * u;
        i += CUBE_COUNT * UNITS;
    }
    let (ww, gg, uu) = (
        cube::over_cube(ww),
        cube::over_cube(gg),
        cube::over_cube(uu),
    );
    if UNIT_POS == 0 {
        partial[CUBE_POS] = ww;
        partial[CUBE_COUNT + CUBE_POS] = gg;
        partial[2 * CUBE_COUNT + CUBE_POS] = uu;
    }
}

/// The fields of [`Trust`], the scale that the ratio multiplies, and the number of partial sums of
/// each kind.
#[cfg(feature = "cube")]
#[derive(CubeType, CubeLaunch)]
struct ConstantsOfTrust {
    coefficient: f32,
    eps: f32,
    lr: f32,
    scale: f32,
    cubes: usize,
    #[cube(comptime)]
    combined: bool,
    #[cube(comptime)]
    clip: bool,
}

#[cfg(feature = "cube")]
#[cube(launch)]
fn step(
    g: &[f32],
    w: &mut [f32],
    v: &mut [f32],
    partial: &[f32],
    ratio_out: &mut [f32],
    by: &Constants,
    trust: &ConstantsOfTrust,
) {
    let wn = cube::over_cubes(partial, trust.cubes, 0usize).sqrt();
    let other = cube::over_cubes(
        partial,
        trust.cubes,
        comptime!(if trust.combined { 2usize } else { 1usize }),
    )
    .sqrt();
    let denominator = if comptime!(trust.combined) {
        other + trust.eps
    } else {
        other + (wn * by.l2 + trust.eps)
    };
    let mut ratio = 1.0f32;
    if wn > 0.0 && other > 0.0 {
        ratio = wn * trust.coefficient / denominator;
    }
    if comptime!(trust.clip) {
        // Also correct at rate 0, where the quotient on a GPU may not be infinite.
        if ratio > trust.lr {
            ratio = 1.0f32;
        } else {
            ratio = ratio / trust.lr;
        }
    }
    if ABSOLUTE_POS == 0 {
        ratio_out[0] = ratio;
    }
    velocity::step(g, w, v, by, ratio * trust.scale);
}
