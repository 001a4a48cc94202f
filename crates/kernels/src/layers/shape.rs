//! The sizes of a convolution, and the padded copy of an image that the kernels read.

/// The sizes of one convolution: x `[batch, inputs, height, width]`, weight `[outputs, inputs, kernel, kernel]`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Shape {
    pub batch: usize,
    pub inputs: usize,
    pub outputs: usize,
    /// Height and width of x.
    pub size: [usize; 2],
    pub kernel: [usize; 2],
    pub stride: [usize; 2],
    pub padding: [usize; 2],
    /// Height and width of y.
    pub out: [usize; 2],
}

impl Shape {
    /// `None` if the kernel does not fit into the padded image, or something is empty.
    pub fn new(
        x: [usize; 4],
        weight: [usize; 4],
        stride: [usize; 2],
        padding: [usize; 2],
    ) -> Option<Self> {
        let ([batch, inputs, height, width], [outputs, _, kernel_h, kernel_w]) = (x, weight);
        let side = |i: usize, size: usize, kernel: usize| {
            (size + 2 * padding[i])
                .checked_sub(kernel)
                .map(|left| left / stride[i] + 1)
        };
        let shape = Shape {
            batch,
            inputs,
            outputs,
            size: [height, width],
            kernel: [kernel_h, kernel_w],
            stride,
            padding,
            out: [side(0, height, kernel_h)?, side(1, width, kernel_w)?],
        };
        (batch * inputs * outputs * height * width * kernel_h * kernel_w > 0).then_some(shape)
    }

    pub fn pixels(&self) -> usize {
        self.size[0] * self.size[1]
    }

    pub fn out_pixels(&self) -> usize {
        self.out[0] * self.out[1]
    }

    pub fn kernel_area(&self) -> usize {
        self.kernel[0] * self.kernel[1]
    }
}

/// How far a kernel may read beyond the end of a row.
pub(crate) const SLACK: usize = 64;

/// An image with zeros around it. Columns are grouped by their index modulo the stride, so that the
/// pixels that one row of outputs reads with one kernel element are contiguous.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Frame {
    channels: usize,
    size: [usize; 2],
    before: [usize; 2],
    split: usize,
    /// The number of columns per residue.
    residue: usize,
    pub pitch: usize,
    plane: usize,
}

impl Frame {
    /// A frame for `channels` images of `size`, with `before` zeros above and to the left, and
    /// `full` rows and columns in total.
    pub fn new(
        channels: usize,
        size: [usize; 2],
        before: [usize; 2],
        full: [usize; 2],
        split: usize,
    ) -> Self {
        let residue = full[1].div_ceil(split);
        let pitch = residue * split;
        Frame {
            channels,
            size,
            before,
            split,
            residue,
            pitch,
            plane: full[0] * pitch,
        }
    }

    /// A buffer of zeros.
    pub fn buffer(&self) -> Vec<f32> {
        vec![0.0; self.channels * self.plane + SLACK]
    }

    /// The offset of a pixel of the padded image.
    pub fn offset(&self, channel: usize, row: usize, column: usize) -> usize {
        channel * self.plane
            + row * self.pitch
            + column % self.split * self.residue
            + column / self.split
    }

    /// Copies one image, `[channels, height, width]`, into the frame; the zeros around it stay.
    pub fn fill(&self, image: &[f32], buffer: &mut [f32]) {
        let [height, width] = self.size;
        for (i, row) in image.chunks_exact(width).enumerate() {
            let (channel, y) = (i / height, i % height + self.before[0]);
            let start = self.offset(channel, y, 0);
            for residue in 0..self.split {
                // The image's first column whose index in the frame is `residue` modulo the split.
                let first = (residue + self.split - self.before[1] % self.split) % self.split;
                let to = start + residue * self.residue + (first + self.before[1]) / self.split;
                let row = row.get(first..).unwrap_or_default();
                if self.split == 1 {
                    copy(row, &mut buffer[to..to + width]);
                } else {
                    let count = row.len().div_ceil(self.split);
                    buffer[to..to + count]
                        .iter_mut()
                        .zip(row.iter().step_by(self.split))
                        .for_each(|(to, from)| *to = *from);
                }
            }
        }
    }
}

/// Copies without calling a function, since rows are short.
#[inline(always)]
fn copy(from: &[f32], to: &mut [f32]) {
    let ((from, from_rest), (to, to_rest)) = (from.as_chunks::<8>(), to.as_chunks_mut::<8>());
    to.iter_mut().zip(from).for_each(|(to, from)| *to = *from);
    to_rest
        .iter_mut()
        .zip(from_rest)
        .for_each(|(to, from)| *to = *from);
}
