//! The statistics that preprocessing takes from the training examples: means and deviations, in
//! f64.

use crate::part::{Features, Statistics, channels};
use crate::{DataError, Labels, Normalise, Part, Preprocess, TargetScale};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

/// The statistics that a [`Pipeline`](crate::Pipeline) took from its training examples.
/// [`Pipeline::restore`](crate::Pipeline::restore) makes the same pipeline from them, bit for bit,
/// without the training examples.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Fitted {
    /// The preprocessing settings.
    pub preprocess: Preprocess,
    /// The shape of one example.
    pub shape: Vec<usize>,
    /// The byte value of white, for images; absent for tables.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub white: Option<u8>,
    /// The training mean of each feature of a table, which also replaces missing values. For
    /// images, if they are normalised: of each channel scaled to 0 to 1, or of each pixel as a
    /// byte.
    pub mean: Vec<f64>,
    /// The population standard deviations for the means, if values are divided by them; 1 if all
    /// values are equal.
    pub std: Vec<f64>,
    /// Mean and deviation of real targets, if they are standardised.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<Moments>,
}

/// A mean and a population standard deviation.
#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize)]
pub struct Moments {
    /// The mean.
    pub mean: f64,
    /// The standard deviation, or 1 if all values are equal.
    pub std: f64,
}

impl Fitted {
    /// Takes the statistics that `preprocess` needs from the examples at `indices`.
    pub(crate) fn new(
        preprocess: Preprocess,
        part: &Part,
        indices: &[u32],
    ) -> Result<Fitted, DataError> {
        let split = |moments: Vec<Moments>| moments.into_iter().map(|m| (m.mean, m.std)).unzip();
        let white = part.white();
        let (mean, std) = match preprocess.normalise.unwrap_or_default() {
            Normalise::Feature => split(features(part, indices)?),
            Normalise::None if white.is_none() => (split(features(part, indices)?).0, Vec::new()),
            Normalise::Channel => {
                let known = part.statistics.clone();
                let Statistics { mean, mut std } =
                    known.unwrap_or_else(|| statistics(part, indices));
                (std.iter_mut()).for_each(|s| *s = if *s > 0.0 { *s } else { 1.0 });
                (mean, std)
            }
            Normalise::None | Normalise::Unit => (Vec::new(), Vec::new()),
        };
        let target = match (preprocess.targets.unwrap_or_default(), part.labels()) {
            (TargetScale::None, _) => None,
            (TargetScale::Standardise, Labels::Classes(_)) => {
                let why = "the labels are classes; leave it out";
                return Err(DataError::setting("targets", "standardise", why));
            }
            (TargetScale::Standardise, Labels::Targets(all)) => {
                let each = |f: &mut dyn FnMut(usize, f64)| {
                    indices.iter().for_each(|&i| f(0, all[i as usize]))
                };
                Some(moments(1, each, &|_| "the target".into())?[0])
            }
        };
        Ok(Fitted {
            preprocess,
            shape: part.shape().to_vec(),
            white,
            mean,
            std,
            target,
        })
    }

    /// Refuses statistics that do not match the shape, or that no data can have.
    pub(crate) fn check(&self) -> Result<(), DataError> {
        let bad = |what: &str, found: usize, why: String| {
            Err(DataError::setting(
                what,
                found,
                format!("{why}; were the weights edited?"),
            ))
        };
        let size: usize = self.shape.iter().product();
        let channels = channels(&self.shape);
        let (means, stds) = match (self.white, self.preprocess.normalise.unwrap_or_default()) {
            (None, Normalise::None) => (size, 0),
            (_, Normalise::Feature) => (size, size),
            (Some(_), Normalise::Channel) => (channels, channels),
            (Some(_), _) => (0, 0),
            (None, _) => {
                let why = "it needs images of bytes; were the weights edited?";
                return Err(DataError::setting("normalise", "unit or channel", why));
            }
        };
        // One channel's statistics may serve for all channels, as in the catalogue.
        let fits = |n: usize, wanted: usize| {
            n == wanted || (wanted == channels && n > 0 && channels.is_multiple_of(n))
        };
        if size == 0 || !fits(self.mean.len(), means) || !fits(self.std.len(), stds) {
            return bad(
                "preprocessing",
                self.mean.len(),
                format!(
                    "the number of means does not match the shape {:?}",
                    self.shape
                ),
            );
        }
        let target = self.target.iter().map(|t| (t.mean, t.std));
        let std = self.std.iter().copied().chain(std::iter::repeat(1.0));
        if let Some(i) = self
            .mean
            .iter()
            .copied()
            .zip(std)
            .chain(target)
            .position(|(m, s)| !m.is_finite() || !usable(s))
        {
            return bad(
                "preprocessing",
                i,
                "this mean or deviation is not a usable number".into(),
            );
        }
        Ok(())
    }
}

/// Whether values can be divided by this deviation.
fn usable(std: f64) -> bool {
    std > 0.0 && std.is_normal() && (1.0 / std).is_normal()
}

/// The moments of each feature of a table, or of each byte of images.
fn features(part: &Part, indices: &[u32]) -> Result<Vec<Moments>, DataError> {
    let size = part.size();
    let each = |f: &mut dyn FnMut(usize, f64)| {
        for &i in indices {
            match &part.features {
                Features::Table(t) => t[i as usize * size..][..size]
                    .iter()
                    .enumerate()
                    .for_each(|(j, &x)| f(j, x)),
                Features::Bytes { .. } => part
                    .pixels(i)
                    .iter()
                    .enumerate()
                    .for_each(|(j, &x)| f(j, f64::from(x))),
            }
        }
    };
    moments(size, each, &|j| part.column(j))
}

/// Mean and population standard deviation of each of `size` columns. `each` passes all values in a
/// fixed order, so the bits are the same on every machine. NaN is a missing value and is not
/// counted.
///
/// Values are taken relative to the column's first value, and squares in units of its largest
/// distance from it: time stamps keep their seconds, and the squares of neither 1e-200 nor 1e200
/// leave the range of f64. A column whose values are all equal has the deviation 0 exactly, and
/// gets 1.
fn moments(
    size: usize,
    each: impl Fn(&mut dyn FnMut(usize, f64)),
    name: &dyn Fn(usize) -> String,
) -> Result<Vec<Moments>, DataError> {
    #[derive(Clone, Copy, Default)]
    struct Column {
        first: f64,
        n: u64,
        sum: f64,
        /// The largest distance from the first value; later the power of two just below it.
        reach: f64,
        mean: f64,
        squares: f64,
    }
    let mut columns = vec![Column::default(); size];
    each(&mut |j, x| {
        let c = &mut columns[j];
        if x.is_nan() {
            return;
        }
        if c.n == 0 {
            c.first = x;
        }
        c.n += 1;
        c.sum += x - c.first;
        c.reach = c.reach.max((x - c.first).abs());
    });
    for (j, c) in columns.iter_mut().enumerate() {
        if c.n == 0 {
            let problem = "it has no value in the training part, so there is no mean to replace the missing ones; remove the column".into();
            return Err(DataError::Column {
                column: name(j),
                problem,
            });
        }
        c.mean = c.first + c.sum / c.n as f64;
        // Keeps only the exponent: dividing by it is exact.
        c.reach = f64::from_bits(c.reach.to_bits() & 0x7ff0_0000_0000_0000).max(f64::MIN_POSITIVE);
    }
    each(&mut |j, x| {
        let c = &mut columns[j];
        if !x.is_nan() {
            let z = (x - c.mean) / c.reach;
            c.squares += z * z;
        }
    });
    let finish = |(j, c): (usize, &Column)| {
        let std = if c.squares > 0.0 {
            c.reach * (c.squares / c.n as f64).sqrt()
        } else {
            1.0
        };
        if c.mean.is_finite() && usable(std) {
            return Ok(Moments { mean: c.mean, std });
        }
        let problem = format!(
            "its values (the first is {:e}) are too large or too close together for 64-bit numbers; rescale or remove it",
            c.first
        );
        Err(DataError::Column {
            column: name(j),
            problem,
        })
    };
    columns.iter().enumerate().map(finish).collect()
}

/// Mean and population standard deviation of each channel's pixels scaled to 0 to 1. They are
/// computed from counts, so the result is exact for any number of threads.
fn statistics(part: &Part, indices: &[u32]) -> Statistics {
    // Tables have no channels; `Preprocess::check` refuses them.
    let white = f64::from(part.white().unwrap_or(u8::MAX));
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
                a.iter_mut()
                    .flatten()
                    .zip(b.iter().flatten())
                    .for_each(|(a, b)| *a += b);
                a
            },
        );
    let n = (indices.len() * plane) as f64;
    let moments = counts.iter().map(|counts| {
        let value = |v: usize| v as f64 / white;
        let mean = counts
            .iter()
            .enumerate()
            .map(|(v, &k)| value(v) * k as f64)
            .sum::<f64>()
            / n;
        let variance = counts
            .iter()
            .enumerate()
            .map(|(v, &k)| (value(v) - mean).powi(2) * k as f64)
            .sum::<f64>()
            / n;
        (mean, variance.sqrt())
    });
    let (mean, std) = moments.unzip();
    Statistics { mean, std }
}

#[cfg(test)]
mod tests {
    use crate::{Labels, Normalise, Part, Pipeline, Preprocess};

    fn part(values: Vec<f64>, size: usize) -> Part {
        let n = values.len() / size;
        Part::with_missing(values, vec![size], Labels::Classes(vec![0; n])).unwrap()
    }

    fn prepared(normalise: Normalise, part: &Part, fit: &[u32]) -> Vec<f32> {
        let mut pipeline = Pipeline::fit(
            Preprocess {
                normalise: Some(normalise),
                ..Preprocess::default()
            },
            part,
            fit,
        )
        .unwrap();
        pipeline.prepare(part).unwrap();
        assert!(pipeline.notes(part, fit).is_empty());
        let mut out = Vec::new();
        pipeline.gather(
            part,
            &(0..part.len() as u32).collect::<Vec<_>>(),
            None,
            &mut out,
        );
        out
    }

    /// 1, –, 3 | 100: the mean of the training values 1 and 3 is 2, their deviation 1.
    #[test]
    fn a_missing_value_becomes_the_training_mean() {
        let part = part(vec![f64::NAN, 1.0, 3.0, f64::NAN, 100.0], 1);
        assert_eq!(
            prepared(Normalise::Feature, &part, &[0, 1, 2]),
            [0.0, -1.0, 1.0, 0.0, 98.0]
        );
        assert_eq!(
            prepared(Normalise::None, &part, &[0, 1, 2]),
            [2.0, 1.0, 3.0, 2.0, 100.0]
        );
    }

    #[test]
    fn a_column_without_a_training_value_is_named() {
        let part = part(vec![1.0, f64::NAN, 2.0, f64::NAN, 3.0, 4.0], 2)
            .named(vec!["a".into(), "b".into()]);
        for normalise in [Normalise::None, Normalise::Feature] {
            let config = Preprocess {
                normalise: Some(normalise),
                ..Preprocess::default()
            };
            let error = Pipeline::fit(config, &part, &[0, 1])
                .unwrap_err()
                .to_string();
            assert!(
                error.contains("column `b`") && error.contains("no value"),
                "{error}"
            );
            assert!(Pipeline::fit(config, &part, &[0, 1, 2]).is_ok());
        }
    }
}
