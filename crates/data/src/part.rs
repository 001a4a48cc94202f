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

impl Block {
    /// `count` records of `stride` bytes.
    fn owned(bytes: Vec<u8>, stride: usize, count: usize) -> Block {
        Block {
            bytes: Bytes::Owned(Arc::new(bytes)),
            start: 0,
            stride,
            count,
        }
    }
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
    fn bytes(blocks: Vec<Block>, white: u8) -> Features {
        let ends = blocks.iter().scan(0, |end, block| {
            *end += block.count;
            Some(*end)
        });
        Features::Bytes {
            ends: ends.collect(),
            blocks,
            white,
        }
    }

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
        check_size("table", "values", values.len(), &shape, &labels)?;
        if let Some(i) = values.iter().position(|v| v.is_infinite()) {
            return Err(not_finite(&values, i, &shape));
        }
        Ok(Part::new(Features::Table(Arc::new(values)), shape, labels))
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
        let size = check_size("images", "pixels", pixels.len(), &shape, &labels)?;
        let block = Block::owned(pixels, size, labels.len());
        Ok(Part::from_blocks(vec![block], 255, shape, labels))
    }

    /// The caller has checked that the blocks hold as many records as there are labels.
    pub(crate) fn from_blocks(
        blocks: Vec<Block>,
        white: u8,
        shape: Vec<usize>,
        labels: Labels,
    ) -> Part {
        Part::new(Features::bytes(blocks, white), shape, labels)
    }

    fn new(features: Features, shape: Vec<usize>, labels: Labels) -> Part {
        Part {
            features,
            shape,
            labels,
            names: Arc::default(),
            statistics: None,
        }
    }

    /// Other examples of the same kind.
    fn with(&self, features: Features, labels: Labels) -> Part {
        Part {
            features,
            labels,
            shape: self.shape.clone(),
            names: self.names.clone(),
            statistics: self.statistics.clone(),
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
        let features = match &self.features {
            Features::Table(table) => {
                let rows = indices
                    .iter()
                    .flat_map(|&i| &table[i as usize * size..][..size]);
                Features::Table(Arc::new(rows.copied().collect()))
            }
            Features::Bytes { white, .. } => {
                let pixels = indices.iter().flat_map(|&i| self.pixels(i));
                let block = Block::owned(pixels.copied().collect(), size, indices.len());
                Features::bytes(vec![block], *white)
            }
        };
        self.with(features, self.labels.select(indices))
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
                let why = "one part holds classes and the other real targets";
                return Err(DataError::setting("parts", "labels", why));
            }
        };
        if first.shape != second.shape {
            return Err(DataError::setting(
                "parts",
                format!("{:?} and {:?}", first.shape, second.shape),
                "the shapes must be equal",
            ));
        }
        let features = match (&first.features, &second.features) {
            (Features::Table(a), Features::Table(b)) => {
                Features::Table(Arc::new([a.as_slice(), b].concat()))
            }
            (
                Features::Bytes {
                    blocks: a, white, ..
                },
                Features::Bytes { blocks: b, .. },
            ) if second.white() == Some(*white) => {
                Features::bytes([a.as_slice(), b].concat(), *white)
            }
            _ => {
                let why = "one part holds images and the other a table, or the images have different value ranges";
                return Err(DataError::setting("parts", "features", why));
            }
        };
        Ok(first.with(features, labels))
    }

    /// The byte value of white, for images.
    pub(crate) fn white(&self) -> Option<u8> {
        match self.features {
            Features::Bytes { white, .. } => Some(white),
            Features::Table(_) => None,
        }
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

/// The number of channels; bytes that are not shaped as images count as one.
pub(crate) fn channels(shape: &[usize]) -> usize {
    if shape.len() == 3 { shape[0] } else { 1 }
}

/// The number of values of an example, of `n` values in all.
fn check_size(
    key: &str,
    values: &str,
    n: usize,
    shape: &[usize],
    labels: &Labels,
) -> Result<usize, DataError> {
    let (size, count) = (shape.iter().product(), labels.len());
    if n == size * count {
        return Ok(size);
    }
    let why = format!("{count} labels of {size} {values} need {}", size * count);
    Err(DataError::setting(key, n, why))
}

fn not_finite(values: &[f64], i: usize, shape: &[usize]) -> DataError {
    let size = shape.iter().product::<usize>().max(1);
    DataError::setting(
        "table",
        values[i],
        format!("value {} of example {} is not finite", i % size, i / size),
    )
}
