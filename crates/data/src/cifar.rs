//! CIFAR's binary version: records of one label byte (CIFAR-10) or two (CIFAR-100: coarse, fine), then 3 x 32 x 32 pixels, plane by plane.

use crate::cache::Content;
use crate::part::Block;
use crate::{DataError, Labels, Part, formats::idx};

/// The examples of several files, in order; the last label byte is the class.
pub(crate) fn part(
    files: &[Content],
    label_bytes: usize,
    classes: usize,
) -> Result<Part, DataError> {
    let shape = vec![3, 32, 32];
    let stride = label_bytes + shape.iter().product::<usize>();
    let (mut blocks, mut labels) = (Vec::new(), Vec::new());
    for file in files {
        let length = file.bytes.len();
        if !length.is_multiple_of(stride) {
            let expected = format!("a multiple of {stride} bytes, the length of a record");
            return Err(DataError::format(
                &file.path,
                "the length",
                length,
                expected,
            ));
        }
        let here: Vec<u32> = file
            .bytes
            .iter()
            .skip(label_bytes - 1)
            .step_by(stride)
            .map(|&l| u32::from(l))
            .collect();
        idx::check(file, &here, classes)?;
        blocks.push(Block {
            bytes: file.bytes.clone(),
            start: label_bytes,
            stride,
            count: here.len(),
        });
        labels.extend(here);
    }
    Ok(Part::from_blocks(
        blocks,
        255,
        shape,
        Labels::Classes(labels),
    ))
}
