//! Means, variances and sums by channel, in an order that does not depend on the number of threads.

use rayon::prelude::*;

use crate::layers::level::{Level, Vector, leveled};
use crate::scratch::Scratch;

/// The number of rows of `[batch, channels]` that are summed as one group.
const ROWS_TOGETHER: usize = 64;

/// x as `[batch, channels, length]`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Layout {
    pub batch: usize,
    pub channels: usize,
    pub length: usize,
}

impl Layout {
    pub fn any(dims: &[usize]) -> Self {
        Layout {
            batch: dims[0],
            channels: dims[1],
            length: dims[2..].iter().product(),
        }
    }

    /// `None` for shapes for which these loops are slow.
    pub fn of(dims: &[usize]) -> Option<Self> {
        let layout = Layout::any(dims);
        let suits = layout.batch > 0
            && (layout.length >= 16 || (layout.length == 1 && layout.channels >= 16));
        suits.then_some(layout)
    }

    /// The number of values per channel.
    pub fn values(&self) -> usize {
        self.batch * self.length
    }

    /// The number of elements in an inner loop: an image of one channel or, without images, all
    /// channels of an example.
    pub fn row(&self) -> usize {
        if self.length == 1 {
            self.channels
        } else {
            self.length
        }
    }

    /// The number of examples in a group with its own sums.
    fn group(&self) -> usize {
        if self.length == 1 { ROWS_TOGETHER } else { 1 }
    }

    /// The number of elements per task: whole groups, about half the L2 cache.
    pub fn chunk(&self) -> usize {
        let group = self.group() * self.channels * self.length;
        group * (65_536 / group).clamp(1, self.batch.div_ceil(self.group() * 4).max(1))
    }
}

/// The moments of each channel.
#[derive(Clone, Debug, Default)]
pub(crate) struct Moments {
    pub mean: Vec<f32>,
    /// The biased variance.
    pub variance: Vec<f32>,
    /// 1 / √(variance + ε).
    pub inverse: Vec<f32>,
}

/// One pass over x: each group's mean and sum of squares in f32, combined in f64 (Chan et al.
/// 1983).
pub(crate) fn moments(level: Level, layout: &Layout, x: &[f32], epsilon: f64, to: &mut Moments) {
    let (c, per_group) = (
        layout.channels,
        layout.group() * layout.channels * layout.length,
    );
    let groups = x.len().div_ceil(per_group);
    let mut parts = Scratch::<f32>::zeros(groups * 2 * c);
    let each = layout.chunk();
    parts
        .par_chunks_mut(each / per_group * 2 * c)
        .zip(x.par_chunks(each))
        .for_each(|(parts, x)| {
            parts
                .chunks_exact_mut(2 * c)
                .zip(x.chunks(per_group))
                .for_each(|(part, x)| group_moments(level, layout, x, part));
        });
    let count = |group: usize| (x.len() - group * per_group).min(per_group) as f64 / c as f64;
    let values = layout.values() as f64;
    let (mut mean, mut variance) = (Scratch::<f64>::zeros(c), Scratch::<f64>::zeros(c));
    for (group, part) in parts.chunks_exact(2 * c).enumerate() {
        mean.iter_mut()
            .zip(part)
            .for_each(|(mean, part)| *mean += f64::from(*part) * count(group) / values);
    }
    for (group, part) in parts.chunks_exact(2 * c).enumerate() {
        for i in 0..c {
            variance[i] += (f64::from(part[c + i])
                + count(group) * (f64::from(part[i]) - mean[i]).powi(2))
                / values;
        }
    }
    let write = |to: &mut Vec<f32>, from: &[f64], map: &dyn Fn(f64) -> f64| {
        to.clear();
        to.extend(from.iter().map(|v| map(*v) as f32));
    };
    write(&mut to.mean, &mean, &|v| v);
    write(&mut to.variance, &variance, &|v| v);
    write(&mut to.inverse, &variance, &|v| 1.0 / (v + epsilon).sqrt());
}

/// Writes Σ g and Σ g (x − mean) / σ of each channel.
pub(crate) fn products(
    level: Level,
    layout: &Layout,
    gradient: &[f32],
    x: &[f32],
    moments: &Moments,
    [to_sums, to_products]: [&mut [f32]; 2],
) {
    let (c, per_group) = (
        layout.channels,
        layout.group() * layout.channels * layout.length,
    );
    let mut parts = Scratch::<f32>::zeros(x.len().div_ceil(per_group) * 2 * c);
    let each = layout.chunk();
    parts
        .par_chunks_mut(each / per_group * 2 * c)
        .zip(gradient.par_chunks(each).zip(x.par_chunks(each)))
        .for_each(|(parts, (g, x))| {
            let groups = g.chunks(per_group).zip(x.chunks(per_group));
            parts
                .chunks_exact_mut(2 * c)
                .zip(groups)
                .for_each(|(part, (g, x))| {
                    group_products(level, layout, g, x, &moments.mean, part)
                });
        });
    let mut sums = Scratch::<f64>::zeros(2 * c);
    for part in parts.chunks_exact(2 * c) {
        sums.iter_mut()
            .zip(part)
            .for_each(|(sum, part)| *sum += f64::from(*part));
    }
    for i in 0..c {
        to_sums[i] = sums[i] as f32;
        to_products[i] = (sums[c + i] * f64::from(moments.inverse[i])) as f32;
    }
}

leveled! {
    /// The means, then the sums of squared deviations from them.
    group_moments = group_moments_body(layout: &Layout, x: &[f32], part: &mut [f32])
}

#[inline(always)]
fn group_moments_body<V: Vector, const ROWS: usize>(layout: &Layout, x: &[f32], part: &mut [f32]) {
    let (mean, squares) = part.split_at_mut(layout.channels);
    if layout.length == 1 {
        for row in x.chunks_exact(layout.channels) {
            mean.iter_mut().zip(row).for_each(|(mean, x)| *mean += x);
        }
        let count = (x.len() / layout.channels) as f32;
        mean.iter_mut().for_each(|mean| *mean /= count);
        for row in x.chunks_exact(layout.channels) {
            squares
                .iter_mut()
                .zip(&*mean)
                .zip(row)
                .for_each(|((square, mean), x)| *square += (x - mean) * (x - mean));
        }
    } else {
        for ((mean, squares), row) in mean
            .iter_mut()
            .zip(squares)
            .zip(x.chunks_exact(layout.length))
        {
            *mean = sum(row, row, |x, _| x) / layout.length as f32;
            *squares = sum(row, row, |x, _| (x - *mean) * (x - *mean));
        }
    }
}

leveled! {
    group_products = group_products_body(layout: &Layout, gradient: &[f32], x: &[f32], mean: &[f32], part: &mut [f32])
}

#[inline(always)]
fn group_products_body<V: Vector, const ROWS: usize>(
    layout: &Layout,
    gradient: &[f32],
    x: &[f32],
    mean: &[f32],
    part: &mut [f32],
) {
    let (sums, products) = part.split_at_mut(layout.channels);
    if layout.length == 1 {
        for (g, x) in gradient
            .chunks_exact(layout.channels)
            .zip(x.chunks_exact(layout.channels))
        {
            for (i, (sum, product)) in sums.iter_mut().zip(&mut *products).enumerate() {
                *sum += g[i];
                *product += g[i] * (x[i] - mean[i]);
            }
        }
    } else {
        let rows = gradient
            .chunks_exact(layout.length)
            .zip(x.chunks_exact(layout.length))
            .zip(mean);
        for ((sum_, product), ((g, x), mean)) in sums.iter_mut().zip(products).zip(rows) {
            *sum_ = sum(g, g, |g, _| g);
            *product = sum(g, x, |g, x| g * (x - mean));
        }
    }
}

/// Σ f(a, b), 32 elements at a time.
#[inline(always)]
fn sum(a: &[f32], b: &[f32], f: impl Fn(f32, f32) -> f32) -> f32 {
    let ((a, rest_a), (b, rest_b)) = (a.as_chunks::<32>(), b.as_chunks::<32>());
    let mut sums = [0.0f32; 32];
    for (a, b) in a.iter().zip(b) {
        for i in 0..32 {
            sums[i] += f(a[i], b[i]);
        }
    }
    let rest: f32 = rest_a.iter().zip(rest_b).map(|(a, b)| f(*a, *b)).sum();
    sums.iter().sum::<f32>() + rest
}
