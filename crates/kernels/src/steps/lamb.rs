use burn::tensor::Tensor;
#[cfg(feature = "cube")]
use cubecl::prelude::*;

#[cfg(feature = "cube")]
use super::cube::{self, Launch, UNITS};
use super::{Decay, Kernel, Place, decayed, flex, place, root_plus_eps};

/// m ← β₁m + e₁g; v ← β₂v + e₂g²; u = c₁m / (√(c₂v) + eps) + λw; w ← w − rate · ratio · u with ratio = ‖w‖/‖u‖ within bounds.
pub struct Lamb {
    /// Weight decay.
    pub decay: Decay,
    /// The decay rates β₁ and β₂ of the moments.
    pub beta: [f32; 2],
    /// The factors e₁ and e₂ of the new gradient: 1 − β₁ and 1 − β₂, or 1.
    pub entering: [f32; 2],
    /// The factors c₁ and c₂ of m and v; a factor, because a division would take longer than all
    /// the rest.
    pub corrections: [f32; 2],
    /// A constant added to the root; if 0, the root is at least the smallest normal number.
    pub eps: f32,
    /// The weight decay λ inside the update.
    pub update_decay: f32,
    /// The learning rate.
    pub rate: f32,
    /// The smallest and largest ‖w‖, then the smallest and largest ratio; with `None` the ratio
    /// is 1.
    pub bounds: Option<[f32; 4]>,
}

impl Lamb {
    /// As [`Lamb::step`], on the elements of w, g, m and v; the update overwrites g. Returns the
    /// ratio.
    pub fn step_slices(&self, [w, g, mean, square]: [&mut [f32]; 4]) -> Option<f32> {
        let [phi, un] = flex::run(flex::Order::Rising, self, [&*w], [&mut *g, mean, square])
            .map(|s| s.sqrt() as f32);
        let ratio = self
            .bounds
            .map(|[norm_min, norm_max, ratio_min, ratio_max]| {
                let phi = if phi.is_nan() {
                    phi
                } else {
                    phi.clamp(norm_min, norm_max)
                };
                if phi > 0.0 && un > 0.0 { phi / un } else { 1.0 }.clamp(ratio_min, ratio_max)
            });
        let apply = Apply {
            shrink: self.decay.1,
            rate: self.rate * ratio.unwrap_or(1.0),
        };
        flex::run(flex::Order::Falling, &apply, [&*g], [w]);
        ratio
    }

    /// Returns the weights, m, v and the ratio, or gives the tensors back if the kernels cannot run
    /// on them.
    pub fn step<const D: usize>(
        &self,
        [w, g, mean, square]: [Tensor<D>; 4],
    ) -> Result<([Tensor<D>; 3], Option<Tensor<1>>), [Tensor<D>; 4]> {
        match place([&w, &g, &mean, &square].into_iter()) {
            Some(Place::Flex) => {
                let [mut w, mut g, mut mean, mut square] = [w, g, mean, square].map(flex::array);
                let changed = [&mut w, &mut g, &mut mean, &mut square].map(flex::slice_mut);
                let ratio = self.step_slices(changed);
                Ok(([w, mean, square].map(flex::tensor), ratio.map(flex::scalar)))
            }
            #[cfg(feature = "cube")]
            Some(Place::Cube) => {
                let [w, g, mean, square] = [w, g, mean, square].map(cube::array).map(cube::own);
                let on = Launch::over(&w);
                let partial = cube::empty(&w, 2 * on.cubes);
                let args = [&w, &g, &mean, &square, &partial].map(cube::arg);
                let [w_arg, g_arg, mean_arg, square_arg, partial_arg] = args;
                update::launch(
                    &on.client,
                    on.count(),
                    on.dim(),
                    w_arg,
                    g_arg,
                    mean_arg,
                    square_arg,
                    partial_arg,
                    self.constants(),
                );
                let ratio = self.bounds.map(|bounds| {
                    let ratio = cube::empty(&w, 1);
                    let [w_arg, g_arg, partial_arg, ratio_arg] =
                        [&w, &g, &partial, &ratio].map(cube::arg);
                    // A shader may not support infinity.
                    let [norm_min, norm_max, ratio_min, ratio_max] =
                        bounds.map(|b| b.min(f32::MAX));
                    let bounds =
                        BoundsLaunch::new(norm_min, norm_max, ratio_min, ratio_max, on.cubes);
                    let (shrink, rate) = (self.decay.1, self.rate);
                    apply::launch(
                        &on.client,
                        on.count(),
                        on.dim(),
                        g_arg,
                        w_arg,
                        partial_arg,
                        ratio_arg,
                        shrink,
                        rate,
                        bounds,
                    );
                    cube::tensor(ratio)
                });
                Ok(([w, mean, square].map(cube::tensor), ratio))
            }
            None => Err([w, g, mean, square]),
        }
    }
}

/// Computes the moments and the update, which overwrites the gradient; sums the squares of the
/// weights and of the update.
impl Kernel<1, 3, 2> for Lamb {
    #[inline(always)]
    fn one(&self, [w]: [f32; 1], [g, mean, square]: [f32; 3]) -> ([f32; 3], [f32; 2]) {
        let (w, g) = decayed(w, g, self.decay);
        let mean = mean * self.beta[0] + g * self.entering[0];
        let square = square * self.beta[1] + g * g * self.entering[1];
        let divisor = root_plus_eps(square * self.corrections[1], self.eps);
        let update = mean * self.corrections[0] / divisor + w * self.update_decay;
        ([update, mean, square], [w * w, update * update])
    }
}

/// w ← shrink · w − rate · u.
struct Apply {
    shrink: f32,
    rate: f32,
}

impl Kernel<1, 1, 0> for Apply {
    #[inline(always)]
    fn one(&self, [u]: [f32; 1], [w]: [f32; 1]) -> ([f32; 1], [f32; 0]) {
        ([w * self.shrink - u * self.rate], [])
    }
}

#[cfg(feature = "cube")]
impl Lamb {
    fn constants(&self) -> ConstantsLaunch {
        let ((l2, shrink), [beta1, beta2], [entering1, entering2]) =
            (self.decay, self.beta, self.entering);
        let ([correction1, correction2], whole) = (self.corrections, self.bounds.is_none());
        ConstantsLaunch::new(
            l2,
            shrink,
            beta1,
            beta2,
            entering1,
            entering2,
            correction1,
            correction2,
            self.eps,
            self.update_decay,
            self.rate,
            whole,
        )
    }
}

/// The fields of [`Lamb`].
#[cfg(feature = "cube")]
#[derive(CubeType, CubeLaunch)]
struct Constants {
    l2: f32,
    shrink: f32,
    beta1: f32,
    beta2: f32,
    entering1: f32,
    entering2: f32,
    correction1: f32,
    correction2: f32,
    eps: f32,
    update_decay: f32,
    rate: f32,
    /// Without a ratio the weights are changed in the same pass.
    #[cube(comptime)]
    whole: bool,
}

#[cfg(feature = "cube")]
#[cube(launch)]
fn update(
    w: &mut [f32],
    g: &mut [f32],
    mean: &mut [f32],
    square: &mut [f32],
    partial: &mut [f32],
    by: &Constants,
) {
    let mut ww = 0.0f32;
    let mut uu = 0.0f32;
    let mut i = ABSOLUTE_POS;
    while i < w.len() {
        let (kept, u) = cube::decayed(w[i], g[i], by.l2, by.shrink);
        let m = mean[i] * by.beta1 + u * by.entering1;
        let v = square[i] * by.beta2 + u * u * by.entering2;
        let update = m * by.correction1 / cube::root_plus_eps(v * by.correction2, by.eps)
            + kept * by.update_decay;
        mean[i] = m;
        square[i] = v;
        if comptime!(by.whole) {
            w[i] = kept - update * by.rate;
        } else {
            g[i] = update;
            ww += kept * kept;
            uu += update * update;
        }
        i += CUBE_COUNT * UNITS;
    }
    if comptime!(!by.whole) {
        let (ww, uu) = (cube::over_cube(ww), cube::over_cube(uu));
        if UNIT_POS == 0 {
            partial[CUBE_POS] = ww;
            partial[CUBE_COUNT + CUBE_POS] = uu;
        }
    }
}

/// The bounds of ‖w‖ and of the ratio, and the number of partial sums of each kind.
#[cfg(feature = "cube")]
#[derive(CubeType, CubeLaunch)]
struct Bounds {
    norm_min: f32,
    norm_max: f32,
    ratio_min: f32,
    ratio_max: f32,
    cubes: usize,
}

#[cfg(feature = "cube")]
#[cube(launch)]
fn apply(
    u: &[f32],
    w: &mut [f32],
    partial: &[f32],
    ratio_out: &mut [f32],
    shrink: f32,
    rate: f32,
    bounds: &Bounds,
) {
    let norm = cube::over_cubes(partial, bounds.cubes, 0usize).sqrt();
    let phi = clamp(norm, bounds.norm_min, bounds.norm_max);
    let un = cube::over_cubes(partial, bounds.cubes, 1usize).sqrt();
    let mut ratio = 1.0f32;
    if phi > 0.0 && un > 0.0 {
        ratio = phi / un;
    }
    ratio = clamp(ratio, bounds.ratio_min, bounds.ratio_max);
    if ABSOLUTE_POS == 0 {
        ratio_out[0] = ratio;
    }
    let mut i = ABSOLUTE_POS;
    while i < w.len() {
        w[i] = w[i] * shrink - u[i] * (rate * ratio);
        i += CUBE_COUNT * UNITS;
    }
}
