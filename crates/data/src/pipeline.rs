//! From stored examples to the numbers that a model reads: augmentation and normalisation, in one pass.

use crate::part::{Features, Statistics};
use crate::{DataError, Part};
use largebatch_random::{Key, below};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

/// How values are scaled. Statistics come from the training examples, never from validation or test.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Normalise {
    /// As stored.
    #[default]
    None,
    /// Pixels to 0 to 1: x / 255 (x / 16 for `digits`), as torchvision's `ToTensor`.
    Unit,
    /// Each channel to mean 0 and standard deviation 1: (x / 255 − mean) / std, as torchvision's `Normalize`. Where the catalogue knows the
    /// statistics of the training part, they are used; else they are computed from the training examples.
    Channel,
    /// Each feature to mean 0 and population standard deviation 1, as scikit-learn's `StandardScaler`; a constant feature becomes 0.
    Feature,
}

/// Normalisation and augmentation, as it stands in a run's configuration.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Preprocess {
    /// How values are scaled.
    pub normalise: Normalise,
    /// Mirror each image left to right with probability 1/2.
    pub flip: bool,
    /// Pad each side with this many black pixels and cut a random window of the old size (He et al. 2016 on CIFAR: 4). 0 is off.
    pub crop_pad: usize,
    /// Shift by up to this many pixels each way, the border filled by reflection (as airbench does). 0 is off.
    pub translate: usize,
}

/// A fitted [`Preprocess`].
#[derive(Clone, Debug)]
pub struct Pipeline {
    config: Preprocess,
    map: Map,
    shape: Vec<usize>,
}

#[derive(Clone, Debug)]
enum Map {
    /// For pixels: what each of the 256 values becomes, by channel; rounded once.
    Channel(Vec<[f32; 256]>),
    /// For the value x of feature i: (x − mean_i) · scale_i.
    Feature { mean: Vec<f32>, scale: Vec<f32> },
    /// For a table: as it is, with the mean for what is missing.
    Same { mean: Vec<f32> },
}

/// Fewer values than this are gathered by the calling thread: waking others would take longer.
const PARALLEL_FROM: usize = 1 << 15;

impl Pipeline {
    /// Prepares `config` for `part`; statistics come from the examples at `indices`.
    ///
    /// # Errors
    /// If there is no index, or the setting does not suit the data: augmentation and pixel scaling need images.
    pub fn fit(config: Preprocess, part: &Part, indices: &[u32]) -> Result<Pipeline, DataError> {
        let Preprocess { normalise, crop_pad, translate, .. } = config;
        if indices.is_empty() {
            return Err(DataError::setting("training examples", 0, "normalisation needs at least one"));
        }
        let shape = part.shape().to_vec();
        let pixels = matches!(part.features, Features::Bytes { .. }) && shape.len() == 3;
        for (key, value, limit) in [
            ("flip", config.flip as usize, 1),
            ("crop_pad", crop_pad, shape.last().map_or(0, |&w| w.min(shape[shape.len() - 2.min(shape.len())]))),
            ("translate", translate, shape.last().map_or(0, |&w| (w.min(shape[shape.len() - 2.min(shape.len())])).saturating_sub(1))),
        ] {
            if value > 0 && !pixels {
                return Err(DataError::setting(
                    key,
                    value,
                    format!("augmentation needs images, but an example here has the shape {shape:?}; leave it out"),
                ));
            }
            if value > limit {
                return Err(DataError::setting(key, value, format!("it must be at most {limit} for examples of the shape {shape:?}")));
            }
        }
        if crop_pad > 0 && translate > 0 {
            return Err(DataError::setting("translate", translate, "crop_pad shifts already; use one of the two"));
        }
        let map = match (normalise, &part.features) {
            (Normalise::Unit | Normalise::Channel, Features::Table(_)) => {
                let value = if normalise == Normalise::Unit { "unit" } else { "channel" };
                return Err(DataError::setting(
                    "normalise",
                    value,
                    "it needs images of bytes; for a table of numbers use \"feature\" or \"none\"",
                ));
            }
            (Normalise::None, Features::Table(_)) => match feature(part, indices)? {
                Map::Feature { mean, .. } => Map::Same { mean },
                map => map,
            },
            (Normalise::Feature, _) => feature(part, indices)?,
            (Normalise::None, Features::Bytes { .. }) => Map::Channel(vec![std::array::from_fn(|v| v as f32)]),
            (Normalise::Unit, Features::Bytes { white, .. }) => {
                Map::Channel(vec![std::array::from_fn(|v| (v as f64 / f64::from(*white)) as f32)])
            }
            (Normalise::Channel, Features::Bytes { white, .. }) => {
                let Statistics { mean, std } = part.statistics.clone().unwrap_or_else(|| statistics(part, indices));
                let row = |(m, s): (&f64, &f64)| {
                    let s = if *s > 0.0 { *s } else { 1.0 };
                    std::array::from_fn(|v| ((v as f64 / f64::from(*white) - m) / s) as f32)
                };
                Map::Channel(mean.iter().zip(&std).map(row).collect())
            }
        };
        Ok(Pipeline { config, map, shape })
    }

    /// Writes the examples at `indices` into `out`, one after the other, each of the shape of the part: normalised and, where `augment` is
    /// given, augmented. `augment` is the key of (seed, "augment", epoch); the draws of an example depend on it and the example's index
    /// alone, so the bits are the same with any number of threads and any batch.
    ///
    /// # Panics
    /// If an index is not below `part.len()`, or `part` has another shape or kind than the part that the pipeline was fitted to.
    pub fn gather(&self, part: &Part, indices: &[u32], augment: Option<Key>, out: &mut Vec<f32>) {
        assert_eq!(part.shape(), self.shape, "a part of the shape that the pipeline was fitted to");
        let size = part.size();
        out.resize(indices.len() * size, 0.0);
        let augment = augment.filter(|_| self.config.flip || self.config.crop_pad > 0 || self.config.translate > 0);
        let one = |(out, &index): (&mut [f32], &u32)| self.example(part, index, augment, out);
        if out.len() < PARALLEL_FROM {
            out.chunks_exact_mut(size).zip(indices).for_each(one);
        } else {
            let least = PARALLEL_FROM.div_ceil(2 * size);
            out.par_chunks_exact_mut(size).zip(indices).with_min_len(least).for_each(one);
        }
    }

    fn example(&self, part: &Part, index: u32, augment: Option<Key>, out: &mut [f32]) {
        match (&part.features, &self.map) {
            (Features::Table(table), map) => {
                out.copy_from_slice(&table[index as usize * out.len()..][..out.len()]);
                if let Map::Feature { mean, .. } | Map::Same { mean } = map {
                    out.iter_mut().zip(mean).filter(|(x, _)| x.is_nan()).for_each(|(x, m)| *x = *m);
                }
                if let Map::Feature { mean, scale } = map {
                    out.iter_mut().zip(mean.iter().zip(scale)).for_each(|(x, (m, s))| *x = (*x - m) * s);
                }
            }
            (Features::Bytes { .. }, map) => {
                let pixels = part.pixels(index);
                if let Some(key) = augment {
                    self.augmented(pixels, key.stream(u64::from(index)), out);
                } else {
                    let plane = out.len() / channels(&self.shape);
                    for (c, (out, pixels)) in out.chunks_exact_mut(plane).zip(pixels.chunks_exact(plane)).enumerate() {
                        match map {
                            Map::Channel(rows) => {
                                let row = &rows[c % rows.len()];
                                out.iter_mut().zip(pixels).for_each(|(o, &p)| *o = row[p as usize]);
                            }
                            Map::Feature { mean, scale } => {
                                let (mean, scale) = (&mean[c * plane..], &scale[c * plane..]);
                                out.iter_mut()
                                    .zip(pixels)
                                    .zip(mean.iter().zip(scale))
                                    .for_each(|((o, &p), (m, s))| *o = (f32::from(p) - m) * s);
                            }
                            Map::Same { .. } => out.iter_mut().zip(pixels).for_each(|(o, &p)| *o = f32::from(p)),
                        }
                    }
                }
            }
        }
    }

    /// One image, shifted and flipped by draws of `rng`: first the flip, then down, then right.
    fn augmented(&self, pixels: &[u8], mut rng: impl rand::Rng, out: &mut [f32]) {
        let [_, h, w] = self.shape[..] else { unreachable!("fit refuses augmentation of anything but images") };
        let flip = self.config.flip && below(&mut rng, 2) == 1;
        let reach = self.config.crop_pad.max(self.config.translate);
        let mirror = self.config.translate > 0;
        let mut shift = || if reach > 0 { below(&mut rng, 2 * reach as u32 + 1) as isize - reach as isize } else { 0 };
        let (down, right) = (shift(), shift());
        let columns: Vec<Option<usize>> = (0..w).map(|x| from(if flip { w - 1 - x } else { x }, right, w, mirror)).collect();
        for (i, out) in out.chunks_exact_mut(w).enumerate() {
            let (c, y) = (i / h, i % h);
            let row = from(y, down, h, mirror).map(|y| &pixels[(c * h + y) * w..][..w]);
            for (x, (o, column)) in out.iter_mut().zip(&columns).enumerate() {
                let p = match (row, column) {
                    (Some(row), Some(column)) => row[*column],
                    _ => 0,
                };
                *o = match &self.map {
                    Map::Channel(rows) => rows[c % rows.len()][p as usize],
                    Map::Feature { mean, scale } => (f32::from(p) - mean[i * w + x]) * scale[i * w + x],
                    Map::Same { .. } => f32::from(p),
                };
            }
        }
    }
}

/// Bytes without the shape of an image count as one channel.
fn channels(shape: &[usize]) -> usize {
    if shape.len() == 3 { shape[0] } else { 1 }
}

/// Where the pixel at `at` of a line of `n` comes from after a shift: reflected at the border (its own pixel not repeated), or nowhere.
fn from(at: usize, shift: isize, n: usize, mirror: bool) -> Option<usize> {
    let (source, last) = (at as isize + shift, n as isize - 1);
    if (0..=last).contains(&source) {
        Some(source as usize)
    } else if mirror {
        Some(if source < 0 { -source } else { 2 * last - source } as usize)
    } else {
        None
    }
}

/// Mean and population standard deviation of each feature, summed in f64 in the order of the indices: the same bits on every machine. Missing
/// values, NaN, do not count.
fn feature(part: &Part, indices: &[u32]) -> Result<Map, DataError> {
    let size = part.size();
    let each = |f: &mut dyn FnMut(usize, f64)| {
        for &i in indices {
            match &part.features {
                Features::Table(t) => t[i as usize * size..][..size].iter().enumerate().for_each(|(j, &x)| f(j, f64::from(x))),
                Features::Bytes { .. } => part.pixels(i).iter().enumerate().for_each(|(j, &x)| f(j, f64::from(x))),
            }
        }
    };
    let (mut mean, mut square, mut n) = (vec![0.0; size], vec![0.0; size], vec![0.0; size]);
    each(&mut |j, x| {
        if !x.is_nan() {
            mean[j] += x;
            n[j] += 1.0;
        }
    });
    if let Some(j) = n.iter().position(|&n| n == 0.0) {
        return Err(DataError::setting(
            "missing",
            "mean",
            format!("feature {j} (counted from 0) has no value in the training part; remove it"),
        ));
    }
    mean.iter_mut().zip(&n).for_each(|(m, n)| *m /= n);
    each(&mut |j, x| {
        if !x.is_nan() {
            square[j] += (x - mean[j]) * (x - mean[j]);
        }
    });
    let scale = square.iter().zip(&mean).zip(&n).map(|((s, m), n)| {
        let std = (s / n).sqrt();
        // A constant column may leave rounding behind.
        if std > 1e-10 * m.abs() && std > 0.0 { (1.0 / std) as f32 } else { 1.0 }
    });
    Ok(Map::Feature { scale: scale.collect(), mean: mean.iter().map(|&m| m as f32).collect() })
}

/// Mean and population standard deviation of each channel's pixels in 0 to 1, from counts, so exact whatever the number of threads.
pub(crate) fn statistics(part: &Part, indices: &[u32]) -> Statistics {
    let Features::Bytes { white, .. } = part.features else { return Statistics { mean: vec![0.0], std: vec![1.0] } };
    let channels = channels(part.shape());
    let plane = part.size() / channels;
    let counts = indices
        .par_chunks(1024)
        .map(|chunk| {
            let mut counts = vec![[0u64; 256]; channels];
            for &i in chunk {
                for (c, pixels) in part.pixels(i).chunks_exact(plane).enumerate() {
                    pixels.iter().for_each(|&p| counts[c][p as usize] += 1);
                }
            }
            counts
        })
        .reduce(
            || vec![[0; 256]; channels],
            |mut a, b| {
                a.iter_mut().flatten().zip(b.iter().flatten()).for_each(|(a, b)| *a += b);
                a
            },
        );
    let n = (indices.len() * plane) as f64;
    let moments = counts.iter().map(|counts| {
        let value = |v: usize| v as f64 / f64::from(white);
        let mean = counts.iter().enumerate().map(|(v, &k)| value(v) * k as f64).sum::<f64>() / n;
        let variance = counts.iter().enumerate().map(|(v, &k)| (value(v) - mean).powi(2) * k as f64).sum::<f64>() / n;
        (mean, variance.sqrt())
    });
    let (mean, std) = moments.unzip();
    Statistics { mean, std }
}
