//! The gradients with respect to weight and bias: Σ over images and pixels of image × output
//! gradient.
//!
//! The output gradient is transposed so that output channels are contiguous; a register tile of
//! taps × channels runs over the pixels and reads the image in place.

use rayon::prelude::*;

use crate::layers::level::{Level, Vector, leveled};
use crate::layers::shape::{Frame, Shape};
use crate::layers::tile::{add_terms, lanes};

/// The number of parts of the batch that are summed separately and then added in order: the same
/// for any number of threads.
const PARTS: usize = 16;
/// The smallest number of images in a part.
const LEAST: usize = 4;

struct Plan {
    frame: Frame,
    /// The offset that each tap reads for the first pixel; padded to whole tiles with reads that
    /// are discarded.
    taps: Vec<usize>,
    out: [usize; 2],
    step: usize,
    outputs: usize,
}

/// The sums of a part.
struct Sums {
    /// `[outputs / columns, taps, columns]`.
    weight: Vec<f32>,
    bias: Vec<f32>,
}

/// `(weight gradient, bias gradient)`.
pub(crate) fn weight_gradient(
    shape: &Shape,
    x: &[f32],
    gradient: &[f32],
    level: Level,
) -> (Vec<f32>, Vec<f32>) {
    let Shape {
        batch,
        inputs,
        outputs,
        size,
        kernel,
        stride,
        padding,
        out,
        ..
    } = *shape;
    let (rows, columns) = level.tile();
    let full = [0, 1].map(|i| ((out[i] - 1) * stride[i] + kernel[i]).max(size[i] + padding[i]));
    let frame = Frame::new(inputs, size, padding, full, stride[1]);
    let mut taps = Vec::new();
    for c in 0..inputs {
        for i in 0..kernel[0] {
            taps.extend((0..kernel[1]).map(|j| frame.offset(c, i, j)));
        }
    }
    let depth = taps.len();
    taps.resize(depth.next_multiple_of(rows), 0);
    let plan = Plan {
        frame,
        taps,
        out,
        step: stride[0] * frame.pitch,
        outputs,
    };
    let images = batch.div_ceil(PARTS).max(LEAST);
    let parts: Vec<Sums> = x
        .par_chunks(images * inputs * shape.pixels())
        .zip(gradient.par_chunks(images * outputs * shape.out_pixels()))
        .map(|(x, gradient)| {
            let blocks = outputs.div_ceil(columns);
            let mut part = Sums {
                weight: vec![0.0; blocks * columns * plan.taps.len()],
                bias: vec![0.0; outputs],
            };
            let mut buffer = plan.frame.buffer();
            let mut turned = vec![0.0; blocks * columns * shape.out_pixels()];
            for (x, gradient) in x
                .chunks_exact(inputs * shape.pixels())
                .zip(gradient.chunks_exact(outputs * shape.out_pixels()))
            {
                plan.frame.fill(x, &mut buffer);
                accumulate(level, &plan, &buffer, gradient, &mut turned, &mut part);
            }
            part
        })
        .collect();
    let mut weight = vec![0.0; outputs * depth];
    weight
        .par_chunks_mut(depth)
        .enumerate()
        .for_each(|(o, row)| {
            let start = o / columns * columns * plan.taps.len() + o % columns;
            for part in &parts {
                for (sum, value) in row
                    .iter_mut()
                    .zip(part.weight[start..].iter().step_by(columns))
                {
                    *sum += value;
                }
            }
        });
    let bias = (0..outputs)
        .map(|o| parts.iter().map(|p| p.bias[o]).sum())
        .collect();
    (weight, bias)
}

leveled! {
    /// Adds one image.
    accumulate = accumulate_body(plan: &Plan, frame: &[f32], gradient: &[f32], turned: &mut [f32], part: &mut Sums)
}

/// # Safety
/// The processor must have V's instructions.
#[inline(always)]
unsafe fn accumulate_body<V: Vector, const ROWS: usize>(
    plan: &Plan,
    frame: &[f32],
    gradient: &[f32],
    turned: &mut [f32],
    part: &mut Sums,
) {
    let (pixels, columns) = (plan.out[0] * plan.out[1], 2 * V::N);
    for (row, bias) in gradient.chunks_exact(pixels).zip(&mut part.bias) {
        *bias += sum(row);
    }
    for (block, turned) in turned.chunks_exact_mut(pixels * columns).enumerate() {
        let channels = (plan.outputs - block * columns).min(columns);
        let from = &gradient[block * columns * pixels..];
        // SAFETY: the caller's promise about V; here and below.
        unsafe { lanes::<V>(from, [pixels, 1], channels, pixels, columns, turned) };
    }
    let most =
        plan.taps.iter().max().copied().unwrap_or(0) + (plan.out[0] - 1) * plan.step + plan.out[1];
    assert!(
        most <= frame.len() && turned.len() == plan.outputs.div_ceil(columns) * columns * pixels
    );
    for (turned, sums) in turned
        .chunks_exact(pixels * columns)
        .zip(part.weight.chunks_exact_mut(plan.taps.len() * columns))
    {
        for (taps, sums) in plan
            .taps
            .chunks_exact(ROWS)
            .zip(sums.chunks_exact_mut(ROWS * columns))
        {
            unsafe {
                if plan.outputs <= V::N {
                    tile::<V, ROWS, 1>(plan, frame, taps, turned, sums);
                } else {
                    tile::<V, ROWS, 2>(plan, frame, taps, turned, sums);
                }
            }
        }
    }
}

/// # Safety
/// The processor must have V's instructions.
#[inline(always)]
unsafe fn tile<V: Vector, const ROWS: usize, const WIDE: usize>(
    plan: &Plan,
    frame: &[f32],
    taps: &[usize],
    turned: &[f32],
    sums: &mut [f32],
) {
    let columns = 2 * V::N;
    assert!(
        taps.len() == ROWS
            && turned.len() == plan.out[0] * plan.out[1] * columns
            && sums.len() == ROWS * columns
    );
    let (mut turned, sums) = (turned.as_ptr(), sums.as_mut_ptr());
    // SAFETY: lengths are checked above, and the caller checks that the last pixel of the farthest
    // tap is inside the frame.
    unsafe {
        // Starts at 0 for each image: one sum over all images would be too long for f32.
        let mut acc = [[V::splat(0.0); WIDE]; ROWS];
        for y in 0..plan.out[0] {
            let base: [*const f32; ROWS] =
                std::array::from_fn(|i| frame.as_ptr().add(taps[i] + y * plan.step));
            add_terms::<V, ROWS, WIDE, 1>(plan.out[1], base, turned, &mut acc);
            turned = turned.add(plan.out[1] * columns);
        }
        for i in 0..ROWS {
            for j in 0..WIDE {
                let sum = sums.add(i * columns + j * V::N);
                acc[i][j]
                    .add_product(V::splat(1.0), V::load(sum))
                    .store(sum);
            }
        }
    }
}

/// A sum in a fixed order, 16 elements at a time.
#[inline(always)]
fn sum(row: &[f32]) -> f32 {
    let (chunks, rest) = row.as_chunks::<16>();
    let mut sums = [0.0f32; 16];
    for chunk in chunks {
        for i in 0..16 {
            sums[i] += chunk[i];
        }
    }
    sums.iter().chain(rest).sum()
}
