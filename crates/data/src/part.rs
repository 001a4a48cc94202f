//! Examples with their labels: bytes of a mapped file, or a table.

use crate::{DataError, Labels};
use memmap2::Mmap;
use std::sync::Arc;

/// Bytes in memory or in a mapped file, which all processes that map it share.
#[derive(Clone)]
pub(crate) enum Bytes {
    Owned(Arc<Vec<u8>>),
    Mapped(Arc<Mmap>),
}

impl std::ops::Deref for Bytes {
    type Target = [u8];
    fn deref(&self) -> &[u8] {
        match self {
            Bytes::Owned(b) => b,
            Bytes::Mapped(m) => m,
        }
    }
}

/// Equally long records of one file: record `i` begins at `start + i · stride`.
#[derive(Clone)]
pub(crate) struct Block {
    pub bytes: Bytes,
    pub start: usize,
    pub stride: usize,
    pub count: usize,
}

#[derive(Clone)]
pub(crate) enum Features {
    /// Pixels 0 to `white`, in blocks; `ends[b]` is the number of examples up to and including block `b`.
    Bytes {
        blocks: Vec<Block>,
        ends: Vec<usize>,
        white: u8,
    },
    /// A table of numbers, row by row, as in the file; NaN marks a missing value.
    Table(Arc<Vec<f64>>),
}

impl Features {
    /// Whether these are the same examples in the same memory.
    pub fn is(&self, other: &Features) -> bool {
        let at = |b: &Block| (b.bytes.as_ptr(), b.start, b.stride, b.count);
        match (self, other) {
            (Features::Table(a), Features::Table(b)) => Arc::ptr_eq(a, b),
            (Features::Bytes { blocks: a, .. }, Features::Bytes { blocks: b, .. }) => {
                a.iter().map(at).eq(b.iter().map(at))
            }
            _ => false,
        }
    }
}

/// Examples with their labels: images as bytes (mapped from a file if possible), or a table of
/// numbers.
#[derive(Clone)]
pub struct Part {
    pub(crate) features: Features,
    shape: Vec<usize>,
    labels: Labels,
    /// The names of a table's columns; empty if the columns have no names.
    names: Arc<Vec<String>>,
    /// Per-channel mean and standard deviation of the values scaled to 0 to 1, if the catalogue
    /// lists them.
    pub(crate) statistics: Option<Statistics>,
}

/// Per-channel mean and population standard deviation of pixels scaled to 0 to 1.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Statistics {
    /// One mean per channel.
    pub mean: Vec<f64>,
    /// One standard deviation per channel.
    pub std: Vec<f64>,
}

impl Part {
    /// A part from a table, row by row; `shape` is the shape of one example: `[features]` or
    /// `[channels, height, width]`.
    ///
    /// # Errors
    /// If the table's length is not examples × values, or a value is not finite.
    pub fn from_table(
        values: Vec<f64>,
        shape: Vec<usize>,
        labels: Labels,
    ) -> Result<Part, DataError> {
        if let Some(i) = values.iter().position(|v| v.is_nan()) {
            return Err(not_finite(&values, i, &shape));
        }
        Part::with_missing(values, shape, labels)
    }

    /// Like [`Part::from_table`], but NaN marks a missing value; a [`crate::Pipeline`] replaces it
    /// by the training mean.
    pub(crate) fn with_missing(
        values: Vec<f64>,
        shape: Vec<usize>,
        labels: Labels,
    ) -> Result<Part, DataError> {
        let size: usize = shape.iter().product();
        if values.len() != size * labels.len() {
            return Err(DataError::setting(
                "table",
                values.len(),
                format!(
                    "{} labels of {size} values need {}",
                    labels.len(),
                    size * labels.len()
                ),
            ));
        }
        if let Some(i) = values.iter().position(|v| v.is_infinite()) {
            return Err(not_finite(&values, i, &shape));
        }
        Ok(Part {
            features: Features::Table(Arc::new(values)),
            shape,
            labels,
            names: Arc::default(),
            statistics: None,
        })
    }

    /// The same part with names for the columns of its table; `names` is ignored unless it has one
    /// name per column.
    #[must_use]
    pub fn named(mut self, names: Vec<String>) -> Part {
        if names.len() == self.size() {
            self.names = Arc::new(names);
        }
        self
    }

    /// The names of a table's columns; empty if there are none, as for images.
    pub fn feature_names(&self) -> &[String] {
        &self.names
    }

    /// How messages refer to a column: by its name, or by its number from 0.
    pub(crate) fn column(&self, index: usize) -> String {
        self.names.get(index).map_or_else(
            || format!("feature {index}"),
            |name| format!("column `{name}`"),
        )
    }

    /// A part from images of bytes 0 to 255, one after the other; `shape` is `[channels, height, width]`.
    ///
    /// # Errors
    /// If the length is not examples × values.
    pub fn from_images(
        pixels: Vec<u8>,
        shape: Vec<usize>,
        labels: Labels,
    ) -> Result<Part, DataError> {
        let size: usize = shape.iter().product();
        if pixels.len() != size * labels.len() {
            return Err(DataError::setting(
                "images",
                pixels.len(),
                format!(
                    "{} labels of {size} pixels need {}",
                    labels.len(),
                    size * labels.len()
                ),
            ));
        }
        let block = Block {
            bytes: Bytes::Owned(Arc::new(pixels)),
            start: 0,
            stride: size,
            count: labels.len(),
        };
        Ok(Part::from_blocks(vec![block], 255, shape, labels))
    }

    /// The caller has checked that the blocks hold as many records as there are labels.
    pub(crate) fn from_blocks(
        blocks: Vec<Block>,
        white: u8,
        shape: Vec<usize>,
        labels: Labels,
    ) -> Part {
        let ends = blocks
            .iter()
            .scan(0, |end, b| {
                Some({
                    *end += b.count;
                    *end
                })
            })
            .collect();
        Part {
            features: Features::Bytes {
                blocks,
                ends,
                white,
            },
            shape,
            labels,
            names: Arc::default(),
            statistics: None,
        }
    }

    /// How many examples there are.
    pub fn len(&self) -> usize {
        self.labels.len()
    }

    /// Whether there are no examples.
    pub fn is_empty(&self) -> bool {
        self.labels.is_empty()
    }

    /// The shape of one example: `[features]` or `[channels, height, width]`.
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// The number of values of one example.
    pub fn size(&self) -> usize {
        self.shape.iter().product()
    }

    /// The labels, one per example.
    pub fn labels(&self) -> &Labels {
        &self.labels
    }

    /// A copy of some of the examples, in the order of `indices`.
    ///
    /// # Panics
    /// If an index is not below [`Part::len`].
    pub fn select(&self, indices: &[u32]) -> Part {
        let size = self.size();
        let labels = self.labels.select(indices);
        let mut part = match &self.features {
            Features::Table(table) => {
                let values = indices
                    .iter()
                    .flat_map(|&i| &table[i as usize * size..][..size])
                    .copied()
                    .collect();
                let (features, shape) = (Features::Table(Arc::new(values)), self.shape.clone());
                Part {
                    features,
                    shape,
                    labels,
                    names: self.names.clone(),
                    statistics: None,
                }
            }
            Features::Bytes { white, .. } => {
                let pixels = indices
                    .iter()
                    .flat_map(|&i| self.pixels(i))
                    .copied()
                    .collect();
                let block = Block {
                    bytes: Bytes::Owned(Arc::new(pixels)),
                    start: 0,
                    stride: size,
                    count: indices.len(),
                };
                Part::from_blocks(vec![block], *white, self.shape.clone(), labels)
            }
        };
        part.statistics = self.statistics.clone();
        part
    }

    /// The examples of one part followed by those of another, as cross-validation needs them.
    ///
    /// # Errors
    /// If the parts differ in shape, or in the kind of features or labels.
    pub fn concat(first: &Part, second: &Part) -> Result<Part, DataError> {
        let labels = match (&first.labels, &second.labels) {
            (Labels::Classes(a), Labels::Classes(b)) => Labels::Classes([a.as_slice(), b].concat()),
            (Labels::Targets(a), Labels::Targets(b)) => Labels::Targets([a.as_slice(), b].concat()),
            _ => {
                return Err(DataError::setting(
                    "parts",
                    "labels",
                    "one part holds classes and the other real targets",
                ));
            }
        };
        if first.shape != second.shape {
            return Err(DataError::setting(
                "parts",
                format!("{:?} and {:?}", first.shape, second.shape),
                "the shapes must be equal",
            ));
        }
        let mut part = match (&first.features, &second.features) {
            (Features::Table(a), Features::Table(b)) => Part {
                features: Features::Table(Arc::new([a.as_slice(), b].concat())),
                shape: first.shape.clone(),
                labels,
                names: first.names.clone(),
                statistics: None,
            },
            (
                Features::Bytes {
                    blocks: a, white, ..
                },
                Features::Bytes {
                    blocks: b,
                    white: other,
                    ..
                },
            ) if white == other => Part::from_blocks(
                [a.as_slice(), b].concat(),
                *white,
                first.shape.clone(),
                labels,
            ),
            _ => {
                return Err(DataError::setting(
                    "parts",
                    "features",
                    "one part holds images and the other a table, or the images have different value ranges",
                ));
            }
        };
        part.statistics = first.statistics.clone();
        Ok(part)
    }

    /// The bytes of one image; empty for a table.
    pub(crate) fn pixels(&self, index: u32) -> &[u8] {
        let Features::Bytes { blocks, ends, .. } = &self.features else {
            return &[];
        };
        let index = index as usize;
        let b = ends.partition_point(|&end| end <= index);
        let block = &blocks[b];
        let within = index - (ends[b] - block.count);
        &block.bytes[block.start + within * block.stride..][..self.size()]
    }
}

fn not_finite(values: &[f64], i: usize, shape: &[usize]) -> DataError {
    let size = shape.iter().product::<usize>().max(1);
    DataError::setting(
        "table",
        values[i],
        format!("value {} of example {} is not finite", i % size, i / size),
    )
}
