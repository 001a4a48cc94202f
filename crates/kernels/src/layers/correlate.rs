//! y = Σ over taps of weight × shifted image: the forward pass and the gradient with respect to the
//! input.
//!
//! For each tile of neighbouring output pixels, the values that its taps read are copied into a
//! panel `[taps, pixels]` that stays in the L1 cache; a register tile of outputs × pixels runs over
//! it. The full im2col matrix is never formed.

use std::mem::MaybeUninit;

use rayon::prelude::*;

use crate::layers::flex::written;
use crate::layers::level::{Level, Vector, leveled};
use crate::layers::shape::{Frame, SLACK, Shape};
use crate::layers::tile::tile;

/// The number of taps in a panel: 256 × 32 elements are 32 KiB.
const DEPTH: usize = 256;

/// One correlation of a frame that writes a regular grid of output pixels.
struct Correlation {
    /// The offset that each tap reads for the first pixel.
    taps: Vec<usize>,
    /// Weights `[outputs / rows, taps, rows]`.
    weights: Vec<f32>,
    grid: [usize; 2],
    /// The distance in the frame from one row of the grid to the next.
    step: usize,
    /// Where the first pixel is written; `strides` are the steps from there.
    first: usize,
    strides: [usize; 2],
}

/// All passes that produce one output image.
pub(crate) struct Plan {
    level: Level,
    frame: Frame,
    outputs: usize,
    out_pixels: usize,
    image: usize,
    passes: Vec<Correlation>,
}

impl Plan {
    /// The forward pass, y from x.
    pub fn forward(shape: &Shape, weight: &[f32], level: Level) -> Self {
        let Shape {
            inputs,
            outputs,
            size,
            kernel,
            stride,
            padding,
            out,
            ..
        } = *shape;
        let full = [0, 1].map(|i| ((out[i] - 1) * stride[i] + kernel[i]).max(size[i] + padding[i]));
        let frame = Frame::new(inputs, size, padding, full, stride[1]);
        let mut taps = Vec::with_capacity(inputs * shape.kernel_area());
        for c in 0..inputs {
            for i in 0..kernel[0] {
                taps.extend((0..kernel[1]).map(|j| frame.offset(c, i, j)));
            }
        }
        let depth = taps.len();
        let weights = pack(level, outputs, depth, |o, tap| weight[o * depth + tap]);
        let pass = Correlation {
            taps,
            weights,
            grid: out,
            step: stride[0] * frame.pitch,
            first: 0,
            strides: [out[1], 1],
        };
        Plan {
            level,
            frame,
            outputs,
            out_pixels: shape.out_pixels(),
            image: inputs * shape.pixels(),
            passes: vec![pass],
        }
    }

    /// The gradient with respect to x from that with respect to y: one pass for each residue of
    /// rows and columns modulo the stride.
    ///
    /// x's row s i + a meets y's row i + c − t through the kernel's row r + s t, where r = (a + padding) mod s, c = (a + padding) / s.
    pub fn input_gradient(shape: &Shape, weight: &[f32], level: Level) -> Self {
        let Shape {
            inputs,
            outputs,
            size,
            kernel,
            stride,
            padding,
            out,
            ..
        } = *shape;
        let reach = |i: usize| (kernel[i] - 1) / stride[i];
        let before = [reach(0), reach(1)];
        let full = [0, 1].map(|i| before[i] + out[i].max((size[i] + padding[i]) / stride[i] + 1));
        let frame = Frame::new(outputs, out, before, full, 1);
        let mut passes = Vec::new();
        for a in 0..stride[0].min(size[0]) {
            for b in 0..stride[1].min(size[1]) {
                let [(r0, c0), (r1, c1)] = [(a, 0), (b, 1)]
                    .map(|(a, i)| ((a + padding[i]) % stride[i], (a + padding[i]) / stride[i]));
                let (mut taps, mut places) = (Vec::new(), Vec::new());
                for o in 0..outputs {
                    for (t0, i) in (r0..kernel[0]).step_by(stride[0]).enumerate() {
                        for (t1, j) in (r1..kernel[1]).step_by(stride[1]).enumerate() {
                            taps.push(frame.offset(o, before[0] + c0 - t0, before[1] + c1 - t1));
                            places.push((o * inputs * kernel[0] + i) * kernel[1] + j);
                        }
                    }
                }
                let weights = pack(level, inputs, taps.len(), |c, tap| {
                    weight[places[tap] + c * shape.kernel_area()]
                });
                passes.push(Correlation {
                    taps,
                    weights,
                    grid: [
                        (size[0] - a).div_ceil(stride[0]),
                        (size[1] - b).div_ceil(stride[1]),
                    ],
                    step: frame.pitch,
                    first: a * size[1] + b,
                    strides: [stride[0] * size[1], stride[1]],
                });
            }
        }
        Plan {
            level,
            frame,
            outputs: inputs,
            out_pixels: shape.pixels(),
            image: outputs * shape.out_pixels(),
            passes,
        }
    }

    /// Runs over all images of `input`; images are independent, so the result does not depend on
    /// the threads.
    pub fn run(&self, input: &[f32], bias: Option<&[f32]>) -> Vec<f32> {
        let (batch, image) = (input.len() / self.image, self.outputs * self.out_pixels);
        let together = batch.div_ceil(4 * rayon::current_num_threads()).max(1);
        // SAFETY: every pass writes its grid in each image, and the grids cover the image.
        unsafe {
            written(batch * image, |output| {
                output
                    .par_chunks_mut(together * image)
                    .zip(input.par_chunks(together * self.image))
                    .for_each(|(output, input)| {
                        let mut work = Work::new(self);
                        for (output, input) in output
                            .chunks_exact_mut(image)
                            .zip(input.chunks_exact(self.image))
                        {
                            self.frame.fill(input, &mut work.frame);
                            for pass in &self.passes {
                                correlate(self.level, pass, self, bias, &mut work, output);
                            }
                        }
                    });
            })
        }
    }
}

/// The weights in the order in which the kernel reads them; rows beyond the last output are zero.
fn pack(
    level: Level,
    outputs: usize,
    depth: usize,
    weight: impl Fn(usize, usize) -> f32,
) -> Vec<f32> {
    let rows = level.tile().0;
    let mut packed = vec![0.0; outputs.div_ceil(rows) * rows * depth];
    for o in 0..outputs {
        let block = &mut packed[o / rows * rows * depth..];
        for tap in 0..depth {
            block[tap * rows + o % rows] = weight(o, tap);
        }
    }
    packed
}

/// A thread's buffers.
struct Work {
    frame: Vec<f32>,
    panel: Vec<f32>,
    sums: Vec<f32>,
    runs: Vec<Run>,
}

/// Neighbouring pixels in one row: lane in the panel, offset in the frame, length, offset in the
/// output.
#[derive(Clone, Copy)]
struct Run {
    lane: usize,
    base: usize,
    length: usize,
    target: usize,
}

impl Work {
    fn new(plan: &Plan) -> Self {
        let (rows, columns) = plan.level.tile();
        Work {
            frame: plan.frame.buffer(),
            panel: vec![0.0; DEPTH * columns + SLACK],
            sums: vec![0.0; plan.outputs.next_multiple_of(rows) * columns],
            runs: Vec::new(),
        }
    }
}

leveled! {
    /// One pass over one image.
    correlate = correlate_body(pass: &Correlation, plan: &Plan, bias: Option<&[f32]>, work: &mut Work, output: &mut [MaybeUninit<f32>])
}

/// # Safety
/// The processor must have V's instructions.
#[inline(always)]
unsafe fn correlate_body<V: Vector, const ROWS: usize>(
    pass: &Correlation,
    plan: &Plan,
    bias: Option<&[f32]>,
    work: &mut Work,
    output: &mut [MaybeUninit<f32>],
) {
    let (pixels, depth, columns) = (pass.grid[0] * pass.grid[1], pass.taps.len(), 2 * V::N);
    for start in (0..pixels).step_by(columns) {
        let count = columns.min(pixels - start);
        runs(pass, start, count, &mut work.runs);
        for (o, sums) in work.sums.chunks_exact_mut(columns).enumerate() {
            sums.fill(bias.and_then(|b| b.get(o)).copied().unwrap_or(0.0));
        }
        for first in (0..depth).step_by(DEPTH) {
            let taps = &pass.taps[first..depth.min(first + DEPTH)];
            fill_panel(columns, taps, &work.runs, &work.frame, &mut work.panel);
            for (block, sums) in work.sums.chunks_exact_mut(ROWS * columns).enumerate() {
                let weights = &pass.weights[(block * depth + first) * ROWS..][..taps.len() * ROWS];
                // Called directly, not through a pointer: it must be inlined into the function that
                // is compiled for the level.
                // SAFETY: the caller's promise about V.
                unsafe {
                    if count <= V::N {
                        tile::<V, ROWS, 1>(weights, &work.panel, sums, columns)
                    } else {
                        tile::<V, ROWS, 2>(weights, &work.panel, sums, columns)
                    }
                }
            }
        }
        store(
            columns, pass, plan, start, count, &work.sums, &work.runs, output,
        );
    }
}

fn runs(pass: &Correlation, start: usize, count: usize, runs: &mut Vec<Run>) {
    runs.clear();
    let mut lane = 0;
    while lane < count {
        let (row, column) = ((start + lane) / pass.grid[1], (start + lane) % pass.grid[1]);
        let length = (pass.grid[1] - column).min(count - lane);
        let target = pass.first + row * pass.strides[0] + column * pass.strides[1];
        runs.push(Run {
            lane,
            base: row * pass.step + column,
            length,
            target,
        });
        lane += length;
    }
}

/// Copies 16 elements at a time, beyond a run's end: the excess is overwritten by the next run or
/// is not a pixel.
#[inline(always)]
fn fill_panel(columns: usize, taps: &[usize], runs: &[Run], frame: &[f32], panel: &mut [f32]) {
    let last = runs.iter().map(|r| r.base + r.length).max().unwrap_or(0)
        + taps.iter().max().copied().unwrap_or(0);
    assert!(last + 16 <= frame.len() && taps.len() * columns + 16 <= panel.len());
    let (frame, panel) = (frame.as_ptr(), panel.as_mut_ptr());
    for (k, tap) in taps.iter().enumerate() {
        for run in runs {
            let mut i = 0;
            while i < run.length {
                // SAFETY: a read ends at most 16 elements after the last pixel of the last tap, and
                // a write at most 16 after the panel's last row; both are checked above. Copied
                // like this, arrays of 16 elements need no stricter alignment than one element.
                unsafe {
                    let from = frame.add(tap + run.base + i).cast::<[f32; 16]>();
                    panel
                        .add(k * columns + run.lane + i)
                        .cast::<[f32; 16]>()
                        .write_unaligned(from.read_unaligned());
                }
                i += 16;
            }
        }
    }
}

#[inline(always)]
fn store(
    columns: usize,
    pass: &Correlation,
    plan: &Plan,
    start: usize,
    count: usize,
    sums: &[f32],
    runs: &[Run],
    output: &mut [MaybeUninit<f32>],
) {
    let contiguous = pass.strides[1] == 1 && pass.strides[0] == pass.grid[1];
    for (sums, output) in sums
        .chunks_exact(columns)
        .zip(output.chunks_exact_mut(plan.out_pixels))
    {
        if contiguous {
            output[pass.first + start..][..count].write_copy_of_slice(&sums[..count]);
        } else {
            for run in runs {
                let pixels = output[run.target..].iter_mut().step_by(pass.strides[1]);
                pixels
                    .zip(&sums[run.lane..][..run.length])
                    .for_each(|(pixel, sum)| _ = pixel.write(*sum));
            }
        }
    }
}
