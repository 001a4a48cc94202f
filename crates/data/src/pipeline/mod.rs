//! From stored examples to model inputs: augmentation and normalisation in one pass.

use crate::part::{Features, channels};
use crate::{DataError, Fitted, Labels, Normalise, Part, Preprocess};
use largebatch_random::Key;
use rayon::prelude::*;
use std::sync::Arc;

mod augment;

/// A fitted [`Preprocess`].
#[derive(Clone, Debug)]
pub struct Pipeline {
    fitted: Fitted,
    map: Map,
    /// Examples with their prepared values, see [`Pipeline::prepare`].
    ready: Vec<Ready>,
}

/// Examples, and their values as the model sees them.
#[derive(Clone)]
struct Ready {
    of: Features,
    values: Arc<Vec<f32>>,
}

impl std::fmt::Debug for Ready {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} values", self.values.len())
    }
}

#[derive(Clone, Debug)]
enum Map {
    /// For pixels: the result for each of the 256 values, by channel, rounded once.
    Channel(Vec<[f32; 256]>),
    /// For the value x of feature i: (x − mean_i) · scale_i, in f64, then rounded.
    Feature { mean: Vec<f64>, scale: Vec<f64> },
    /// For a table: the value, rounded; the mean if it is missing.
    Same { mean: Vec<f64> },
}

/// Fewer values than this are gathered by the calling thread: waking other threads would take
/// longer.
const PARALLEL_FROM: usize = 1 << 15;
/// Tables of at most this many values (1 GiB) are kept in prepared form.
const READY: usize = 1 << 28;
/// The same for images (16 MiB), whose values take four times the memory of their bytes.
const READY_PIXELS: usize = 1 << 22;

impl Pipeline {
    /// Prepares `config` for `part`; statistics come from the examples at `indices`.
    ///
    /// # Errors
    /// If `indices` is empty, or the setting does not suit the data: augmentation and pixel scaling
    /// need images.
    pub fn fit(config: Preprocess, part: &Part, indices: &[u32]) -> Result<Pipeline, DataError> {
        if indices.is_empty() {
            let why = "normalisation needs at least one example";
            return Err(DataError::setting("training examples", 0, why));
        }
        config.check(part)?;
        Ok(Pipeline::of(Fitted::new(config, part, indices)?))
    }

    /// The pipeline that these statistics came from, bit for bit.
    ///
    /// # Errors
    /// If the statistics do not match the shape or the setting.
    pub fn restore(fitted: Fitted) -> Result<Pipeline, DataError> {
        fitted.check()?;
        Ok(Pipeline::of(fitted))
    }

    fn of(fitted: Fitted) -> Pipeline {
        let map = match (
            fitted.preprocess.normalise.unwrap_or_default(),
            fitted.white,
        ) {
            (Normalise::Feature, _) => Map::Feature {
                mean: fitted.mean.clone(),
                scale: fitted.std.iter().map(|s| 1.0 / s).collect(),
            },
            (_, None) => Map::Same {
                mean: fitted.mean.clone(),
            },
            (Normalise::None, Some(_)) => Map::Channel(vec![std::array::from_fn(|v| v as f32)]),
            (Normalise::Unit, Some(white)) => Map::Channel(vec![std::array::from_fn(|v| {
                (v as f64 / f64::from(white)) as f32
            })]),
            (Normalise::Channel, Some(white)) => {
                let row = |(m, s): (&f64, &f64)| {
                    std::array::from_fn(|v| ((v as f64 / f64::from(white) - m) / s) as f32)
                };
                Map::Channel(fitted.mean.iter().zip(&fitted.std).map(row).collect())
            }
        };
        Pipeline {
            fitted,
            map,
            ready: Vec::new(),
        }
    }

    /// The statistics of the training examples.
    pub fn fitted(&self) -> &Fitted {
        &self.fitted
    }

    /// A real target as the model sees it.
    pub fn encode(&self, target: f64) -> f32 {
        self.fitted
            .target
            .map_or(target, |t| (target - t.mean) / t.std) as f32
    }

    /// A model's output in the target's original unit.
    pub fn decode(&self, output: f64) -> f64 {
        self.fitted
            .target
            .map_or(output, |t| output * t.std + t.mean)
    }

    /// Prepares a part for [`Pipeline::gather`]: a table, or few images, are
    /// normalised once, so that gathering a batch is a copy. Without it the values are the same, bit for bit.
    ///
    /// Refuses a part that this pipeline cannot process: one with a different shape or kind than
    /// the part it was fitted to, or with a value or target beyond the range of 32 bits.
    ///
    /// # Errors
    /// What differs, or the first such value with its column.
    pub fn prepare(&mut self, part: &Part) -> Result<(), DataError> {
        let white = part.white();
        let kind = |white: Option<u8>| {
            white.map_or("a table".into(), |w| format!("images of bytes 0 to {w}"))
        };
        if (part.shape(), white) != (&self.fitted.shape, self.fitted.white) {
            return Err(DataError::setting(
                "examples",
                format!("{} of shape {:?}", kind(white), part.shape()),
                format!(
                    "the network was trained on {} of shape {:?}",
                    kind(self.fitted.white),
                    self.fitted.shape
                ),
            ));
        }
        let beyond = |column: String, value: f64, unit: bool| {
            let (after, remedy) = match unit {
                true => (" once it is standardised", "correct or remove it"),
                false => ("", "correct or remove it, or standardise"),
            };
            Err(DataError::Column {
                column,
                problem: format!(
                    "the value {value:e} exceeds the range of 32 bits{after}; {remedy}"
                ),
            })
        };
        let mut values = Vec::new();
        if let Features::Table(table) = &part.features {
            let size = part.size();
            values.resize(table.len(), 0.0);
            let rows = values
                .par_chunks_exact_mut(size)
                .zip(table.par_chunks_exact(size));
            rows.with_min_len(PARALLEL_FROM.div_ceil(2 * size))
                .for_each(|(out, row)| self.row(row, out));
            if let Some(i) = values.iter().position(|x| !x.is_finite()) {
                return beyond(
                    part.column(i % size),
                    table[i],
                    matches!(self.map, Map::Feature { .. }),
                );
            }
        } else if part.len() * part.size() <= READY_PIXELS {
            let all: Vec<u32> = (0..part.len() as u32).collect();
            self.gather(part, &all, None, &mut values);
        }
        if (1..=READY).contains(&values.len()) {
            self.ready.push(Ready {
                of: part.features.clone(),
                values: Arc::new(values),
            });
        }
        if let Labels::Targets(all) = part.labels()
            && let Some(&y) = all.iter().find(|&&y| !self.encode(y).is_finite())
        {
            return beyond("the target".into(), y, self.fitted.target.is_some());
        }
        Ok(())
    }

    /// A warning for each column, and for the target, that has fewer distinct values once they are
    /// rounded to 32 bits: the model cannot tell those apart. Looks at up to 10,000 of the
    /// examples; one value in a thousand may coincide by chance.
    pub fn notes(&self, part: &Part, indices: &[u32]) -> Vec<String> {
        let n = indices.len().min(10_000);
        let some: Vec<usize> = (0..n)
            .map(|k| indices[k * indices.len() / n] as usize)
            .collect();
        let among = if n < indices.len() {
            format!(" among {n} examples")
        } else {
            String::new()
        };
        let note = |name: String,
                    mut values: Vec<f64>,
                    rounded: &dyn Fn(f64) -> f32,
                    standardised: bool| {
            values.retain(|x| !x.is_nan());
            values.sort_unstable_by(f64::total_cmp);
            values.dedup();
            let mut left: Vec<f32> = values.iter().map(|&x| rounded(x)).collect();
            left.dedup();
            let remedy = match standardised {
                true => {
                    "a few values are far from all others: correct or clip them, or take logarithms"
                }
                false => "standardise them",
            };
            let lost = values.len() - left.len();
            (1000 * lost > values.len()).then(|| {
                format!(
                    "{name}: {} distinct values become {} in 32 bits{among}; {remedy}",
                    values.len(),
                    left.len()
                )
            })
        };
        let mut notes = Vec::new();
        if let Features::Table(table) = &part.features {
            let (size, standardised) = (part.size(), matches!(self.map, Map::Feature { .. }));
            let column = |j: usize| some.iter().map(|i| table[i * size + j]).collect();
            let each = |j: usize| {
                note(
                    part.column(j),
                    column(j),
                    &|x| self.value(j, x),
                    standardised,
                )
            };
            notes = (0..size).into_par_iter().filter_map(each).collect();
            if let Some(more @ 1..) = notes.len().checked_sub(5) {
                notes.truncate(5);
                notes.push(format!("the same holds for {more} more columns"));
            }
        }
        if let Labels::Targets(all) = part.labels() {
            let values = some.iter().map(|&i| all[i]).collect();
            notes.extend(note(
                "the target".into(),
                values,
                &|y| self.encode(y),
                self.fitted.target.is_some(),
            ));
        }
        notes
    }

    /// A table's row, as the model sees it.
    fn row(&self, row: &[f64], out: &mut [f32]) {
        for (j, (o, &x)) in out.iter_mut().zip(row).enumerate() {
            *o = self.value(j, x);
        }
    }

    /// A table's value in column `j`, as the model sees it.
    fn value(&self, j: usize, x: f64) -> f32 {
        match &self.map {
            Map::Feature { .. } if x.is_nan() => 0.0,
            Map::Feature { mean, scale } => ((x - mean[j]) * scale[j]) as f32,
            Map::Same { mean } if x.is_nan() => mean[j] as f32,
            Map::Same { .. } | Map::Channel(_) => x as f32,
        }
    }

    /// Whether [`gather`](Self::gather) changes examples at random.
    pub fn augments(&self) -> bool {
        let config = &self.fitted.preprocess;
        config.flip || config.crop_pad > 0 || config.translate > 0
    }

    /// Writes the examples at `indices` into `out`, one after the other, each in the shape of the
    /// part: normalised and, if `augment` is given, augmented. `augment` is the key of (seed,
    /// "augment", epoch). The random draws of an example depend only on this key and the example's
    /// index, so the bits are the same for any number of threads and any batch.
    ///
    /// # Panics
    /// If an index is not below `part.len()`, or `part` differs in shape or kind from the part that
    /// the pipeline was fitted to.
    pub fn gather(&self, part: &Part, indices: &[u32], augment: Option<Key>, out: &mut Vec<f32>) {
        out.resize(indices.len() * part.size(), 0.0);
        self.gather_into(part, indices, augment, out);
    }

    /// As [`gather`](Self::gather), into memory of the right size.
    ///
    /// # Panics
    /// Also if `out` has another size.
    pub fn gather_into(&self, part: &Part, indices: &[u32], augment: Option<Key>, out: &mut [f32]) {
        assert_eq!(out.len(), indices.len() * part.size());
        assert_eq!(
            part.shape(),
            self.fitted.shape,
            "a part of the shape that the pipeline was fitted to"
        );
        let size = part.size();
        let augment = augment.filter(|_| self.augments());
        let ready = self.ready.iter().find(|r| r.of.is(&part.features));
        let ready = ready.filter(|_| augment.is_none());
        let one = |(out, &index): (&mut [f32], &u32)| match ready {
            Some(ready) => out.copy_from_slice(&ready.values[index as usize * size..][..size]),
            None => self.example(part, index, augment, out),
        };
        if out.len() < PARALLEL_FROM {
            out.chunks_exact_mut(size).zip(indices).for_each(one);
        } else {
            let least = PARALLEL_FROM.div_ceil(2 * size);
            out.par_chunks_exact_mut(size)
                .zip(indices)
                .with_min_len(least)
                .for_each(one);
        }
    }

    fn example(&self, part: &Part, index: u32, augment: Option<Key>, out: &mut [f32]) {
        match (&part.features, &self.map) {
            (Features::Table(table), _) => {
                let at = index as usize * out.len();
                self.row(&table[at..][..out.len()], out);
            }
            (Features::Bytes { .. }, map) => {
                let pixels = part.pixels(index);
                if let Some(key) = augment {
                    self.augmented(pixels, key.stream(u64::from(index)), out);
                } else {
                    let plane = out.len() / channels(&self.fitted.shape);
                    for (c, (out, pixels)) in out
                        .chunks_exact_mut(plane)
                        .zip(pixels.chunks_exact(plane))
                        .enumerate()
                    {
                        match map {
                            Map::Channel(rows) => {
                                let row = &rows[c % rows.len()];
                                out.iter_mut()
                                    .zip(pixels)
                                    .for_each(|(o, &p)| *o = row[p as usize]);
                            }
                            Map::Feature { mean, scale } => {
                                let (mean, scale) = (&mean[c * plane..], &scale[c * plane..]);
                                out.iter_mut()
                                    .zip(pixels)
                                    .zip(mean.iter().zip(scale))
                                    .for_each(|((o, &p), (m, s))| {
                                        *o = ((f64::from(p) - m) * s) as f32
                                    });
                            }
                            Map::Same { .. } => unreachable!("`fit` uses it only for tables"),
                        }
                    }
                }
            }
        }
    }
}
