//! The IDX format of MNIST: two zero bytes, a type, the number of dimensions, each dimension as a big-endian 32-bit number, then the values.

use crate::cache::Content;
use crate::files::Files;
use crate::part::Block;
use crate::spec::{Known, Reader, Unlabelled};
use crate::{DataError, Dataset, Labels, Normalise, Part, Preprocess, Task};
use largebatch_component::Facts;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// A pair of IDX files, or two pairs.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct IdxSpec {
    /// The set's name in reports; by default the training file's name up to the first dot.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The images to train on.
    pub train_images: PathBuf,
    /// Their labels.
    pub train_labels: PathBuf,
    /// The images to test on. Without them, a stratified fifth of the training images is held out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub test_images: Option<PathBuf>,
    /// Their labels.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub test_labels: Option<PathBuf>,
    /// The number of classes; by default the largest label of the training file plus one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub classes: Option<usize>,
}

impl Reader for IdxSpec {
    const FACTS: Facts = Facts::new(
        "idx",
        "a pair of IDX files (MNIST's format) with byte values",
    );

    fn open(&self, files: &Files<'_>) -> Result<Dataset, DataError> {
        let (images, labels) = (
            files.content(&self.train_images)?,
            files.content(&self.train_labels)?,
        );
        let alone = |given: &str, path: &Path, other: &str| {
            let why = format!("test_{other} is missing; give both or none");
            DataError::setting(&format!("dataset.test_{given}"), path.display(), why)
        };
        let tests = match (&self.test_images, &self.test_labels) {
            (Some(images), Some(labels)) => Some((files.content(images)?, files.content(labels)?)),
            (None, None) => None,
            (Some(path), None) => return Err(alone("images", path, "labels")),
            (None, Some(path)) => return Err(alone("labels", path, "images")),
        };
        let (part, classes) = pair(&images, &labels, self.classes)?;
        let test = tests
            .as_ref()
            .map(|(i, l)| pair(i, l, Some(classes)).map(|(part, _)| part))
            .transpose()?;
        if let (Some((images, _)), Some(test)) = (&tests, &test)
            && test.shape() != part.shape()
        {
            let found = format!("{:?}", test.shape());
            let expected = format!("{:?}, as in the training file", part.shape());
            return Err(bad(images, "the shape of an example", found, expected));
        }
        let preprocess = Preprocess {
            normalise: Some(Normalise::Channel),
            ..Preprocess::default()
        };
        files.dataset(
            &self.name,
            part,
            test,
            Task::Classes(classes),
            (0..classes).map(|c| c.to_string()).collect(),
            preprocess,
        )
    }

    fn features(&self, file: &Content, known: &Known<'_>) -> Result<Unlabelled, DataError> {
        let part = read_features(file, known.shape, known.white.unwrap_or(255))?;
        Ok((part, Vec::new()))
    }
}

/// The images and the shape of one of them.
fn images(file: &Content) -> Result<(Block, Vec<usize>), DataError> {
    let (dims, start) = header(file)?;
    let shape = match dims[..] {
        [_, features] => vec![features],
        [_, height, width] => vec![1, height, width],
        [_, channels, height, width] => vec![channels, height, width],
        _ => {
            let expected = "2 to 4: examples, then features or an image";
            return Err(bad(file, "the number of dimensions", dims.len(), expected));
        }
    };
    Ok((
        Block {
            bytes: file.bytes.clone(),
            start,
            stride: shape.iter().product(),
            count: dims[0],
        },
        shape,
    ))
}

/// Images without labels; all count as class 0. Shape and value range must be those of the training
/// images.
pub(crate) fn read_features(file: &Content, like: &[usize], white: u8) -> Result<Part, DataError> {
    let (block, shape) = images(file)?;
    if shape != like {
        return Err(bad(
            file,
            "the shape of an example",
            format!("{shape:?}"),
            format!("{like:?}, as in training"),
        ));
    }
    let pixels = &file.bytes[block.start..];
    if let Some(at) = pixels.iter().position(|&p| p > white) {
        let found = format!(
            "{} (example {}, counted from 0)",
            pixels[at],
            at / block.stride
        );
        let expected = format!("0 to {white}, as in training");
        return Err(bad(file, "a pixel", found, expected));
    }
    let labels = Labels::Classes(vec![0; block.count]);
    Ok(Part::from_blocks(vec![block], white, shape, labels))
}

/// Images and their labels. Without `classes`, the number of classes is the largest label plus one.
pub(crate) fn pair(
    images: &Content,
    labels: &Content,
    classes: Option<usize>,
) -> Result<(Part, usize), DataError> {
    let (block, shape) = self::images(images)?;
    let (label_dims, label_start) = header(labels)?;
    let [count] = label_dims[..] else {
        return Err(bad(
            labels,
            "the number of dimensions",
            label_dims.len(),
            "1, a list of labels",
        ));
    };
    if count != block.count {
        return Err(DataError::Counts {
            examples_file: images.path.clone(),
            examples: block.count,
            labels_file: labels.path.clone(),
            labels: count,
        });
    }
    let labels_of: Vec<u32> = labels.bytes[label_start..]
        .iter()
        .map(|&l| u32::from(l))
        .collect();
    let classes = classes.unwrap_or_else(|| labels_of.iter().max().map_or(0, |&l| l as usize + 1));
    check(labels, &labels_of, classes)?;
    Ok((
        Part::from_blocks(vec![block], 255, shape, Labels::Classes(labels_of)),
        classes,
    ))
}

/// Refuses a label that is not below the number of classes.
pub(crate) fn check(file: &Content, labels: &[u32], classes: usize) -> Result<(), DataError> {
    match labels.iter().position(|&l| l as usize >= classes) {
        None => Ok(()),
        Some(index) => Err(DataError::Label {
            path: file.path.clone(),
            index,
            label: labels[index].to_string(),
            classes: format!("0 to {}", classes.saturating_sub(1)),
        }),
    }
}

/// The dimensions and the offset of the values. The file's length must agree with the dimensions,
/// and there must be at least one value.
fn header(file: &Content) -> Result<(Vec<usize>, usize), DataError> {
    let bytes = &file.bytes;
    let magic = bytes
        .get(..4)
        .ok_or_else(|| bad(file, "the length", bytes.len(), "at least 4 bytes"))?;
    let rank = match magic {
        [0, 0, 8, rank] if *rank > 0 => usize::from(*rank),
        _ => {
            let found = format!(
                "{:#010x}",
                u32::from_be_bytes([magic[0], magic[1], magic[2], magic[3]])
            );
            let expected = "0x000008NN (IDX, unsigned bytes, NN dimensions)";
            return Err(bad(file, "the magic number", found, expected));
        }
    };
    let start = 4 + 4 * rank;
    let numbers = bytes.get(4..start).ok_or_else(|| {
        bad(
            file,
            "the length",
            bytes.len(),
            format!("at least {start} bytes"),
        )
    })?;
    let dims: Vec<usize> = numbers
        .chunks_exact(4)
        .map(|d| u32::from_be_bytes([d[0], d[1], d[2], d[3]]) as usize)
        .collect();
    let values = dims
        .iter()
        .try_fold(1usize, |n, &d| n.checked_mul(d))
        .and_then(|n| n.checked_add(start));
    match values {
        Some(n) if n == bytes.len() && n > start => Ok((dims, start)),
        Some(n) if n == start => Err(bad(
            file,
            "the shape",
            format!("{dims:?}"),
            "at least one value",
        )),
        _ => {
            let expected = values.map_or("a length that fits into memory".into(), |n| {
                format!("{n} bytes, as the dimensions {dims:?} say")
            });
            Err(bad(file, "the length", bytes.len(), expected))
        }
    }
}

fn bad(file: &Content, what: &str, found: impl ToString, expected: impl Into<String>) -> DataError {
    DataError::format(&file.path, what, found, expected.into())
}
