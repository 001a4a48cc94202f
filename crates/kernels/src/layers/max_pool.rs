//! Max pooling with ReLU.

use std::mem::MaybeUninit;

use burn::backend::Flex;
use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::checkpoint::strategy::NoCheckpointing;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::tensor::{DType, Tensor};
use rayon::prelude::*;

use crate::layers::flex::{Tracked, contiguous, numbers, plain, tensor, tracked, written};
use crate::layers::level::{Level, Vector, leveled};

/// Marks a window whose output is 0 and has no gradient.
const NONE: u8 = u8::MAX;

#[derive(Clone, Copy, Debug)]
struct Fields {
    /// `[batch, channels, height, width]` of x.
    dims: [usize; 4],
    kernel: [usize; 2],
    stride: [usize; 2],
    padding: [usize; 2],
    out: [usize; 2],
}

impl Fields {
    fn new(
        dims: [usize; 4],
        kernel: [usize; 2],
        stride: [usize; 2],
        padding: [usize; 2],
        ceil: bool,
    ) -> Option<Self> {
        let side = |i: usize| {
            let (size, padding, stride) = (dims[2 + i], padding[i], stride[i]);
            let left = (size + 2 * padding).checked_sub(kernel[i])?;
            let out = if ceil {
                left.div_ceil(stride)
            } else {
                left / stride
            } + 1;
            // Every window contains a pixel of the image, as PyTorch also requires.
            (2 * padding <= kernel[i]).then_some(if (out - 1) * stride >= size + padding {
                out - 1
            } else {
                out
            })
        };
        let out = [side(0)?, side(1)?];
        let fits = dims.iter().all(|&d| d > 0) && kernel[0] * kernel[1] < usize::from(NONE);
        fits.then_some(Fields {
            dims,
            kernel,
            stride,
            padding,
            out,
        })
    }

    fn planes(&self) -> usize {
        self.dims[0] * self.dims[1]
    }

    fn size(&self) -> usize {
        self.dims[2] * self.dims[3]
    }

    fn out_size(&self) -> usize {
        self.out[0] * self.out[1]
    }

    /// The number of planes per task.
    fn together(&self) -> usize {
        (self.planes() / (8 * rayon::current_num_threads())).max(1)
    }
}

pub(crate) fn max_pool2d_relu(
    x: &Tensor<4>,
    kernel: [usize; 2],
    stride: [usize; 2],
    padding: [usize; 2],
    ceil: bool,
) -> Option<Tensor<4>> {
    let fields =
        Fields::new(x.dims(), kernel, stride, padding, ceil).filter(|_| x.dtype() == DType::F32)?;
    let dims = [fields.dims[0], fields.dims[1], fields.out[0], fields.out[1]];
    if !x.is_autodiff() {
        let (y, _) = forward(Level::best(), &fields, numbers(&plain(x)?));
        return Some(Tensor::from_primitive::<Flex>(tensor(y, dims)));
    }
    let x = tracked(x)?;
    let node = x.node();
    let (y, places) = forward(
        Level::best(),
        &fields,
        numbers(&contiguous(x.into_primitive())),
    );
    let y = tensor(y, dims);
    Some(Tensor::from_primitive::<Tracked>(
        match MaxPool
            .prepare::<NoCheckpointing>([node])
            .compute_bound()
            .stateful()
        {
            OpsKind::Tracked(p) => p.finish((fields, places), y),
            OpsKind::UnTracked(p) => p.finish(y),
        },
    ))
}

#[derive(Debug)]
struct MaxPool;

impl Backward<Flex, 1> for MaxPool {
    type State = (Fields, Vec<u8>);

    fn backward(self, ops: Ops<Self::State, 1>, grads: &mut Gradients, _: &mut Checkpointer) {
        let (fields, places) = ops.state;
        let gradient = contiguous(grads.consume::<Flex>(&ops.node));
        if let [Some(node)] = ops.parents {
            grads.register::<Flex>(
                node.id,
                tensor(backward(&fields, &places, numbers(&gradient)), fields.dims),
            );
        }
    }
}

/// y, and for each output the position of the largest element in its window.
fn forward(level: Level, fields: &Fields, x: &[f32]) -> (Vec<f32>, Vec<u8>) {
    let (size, together) = (fields.out_size(), fields.together());
    let mut places = Vec::new();
    // SAFETY: `pool` writes every output of a plane and its position.
    let y = unsafe {
        written(fields.planes() * size, |y| {
            places = written(fields.planes() * size, |places| {
                y.par_chunks_mut(together * size)
                    .zip(places.par_chunks_mut(together * size))
                    .zip(x.par_chunks(together * fields.size()))
                    .for_each(|((y, places), x)| pool(level, fields, x, y, places));
            });
        })
    };
    (y, places)
}

leveled! {
    /// Pools some planes.
    pool = pool_body(fields: &Fields, x: &[f32], y: &mut [MaybeUninit<f32>], places: &mut [MaybeUninit<u8>])
}

/// # Safety
/// The processor must have V's instructions.
#[inline(always)]
unsafe fn pool_body<V: Vector, const ROWS: usize>(
    fields: &Fields,
    x: &[f32],
    y: &mut [MaybeUninit<f32>],
    places: &mut [MaybeUninit<u8>],
) {
    let ([_, _, height, width], [out_height, out_width]) = (fields.dims, fields.out);
    let whole = out_width.next_multiple_of(V::N);
    let (mut largest, mut place) = (vec![0.0f32; whole], vec![0.0f32; whole]);
    // A row padded with −∞.
    let mut line =
        vec![
            f32::NEG_INFINITY;
            width.max(whole * fields.stride[1]) + fields.padding[1] + fields.kernel[1] + 2 * V::N
        ];
    let rows = y
        .chunks_exact_mut(out_width)
        .zip(places.chunks_exact_mut(out_width))
        .enumerate();
    for (number, (y, places)) in rows {
        let (plane, row) = (
            &x[number / out_height * fields.size()..][..fields.size()],
            number % out_height,
        );
        largest.fill(f32::NEG_INFINITY);
        for i in 0..fields.kernel[0] {
            let above = row * fields.stride[0] + i;
            if above < fields.padding[0] || above - fields.padding[0] >= height {
                continue;
            }
            line[fields.padding[1]..][..width]
                .copy_from_slice(&plane[(above - fields.padding[0]) * width..][..width]);
            for j in 0..fields.kernel[1] {
                let tap = (i * fields.kernel[1] + j) as f32;
                for start in (0..out_width).step_by(V::N) {
                    let from = &line[start * fields.stride[1] + j..];
                    let (largest, place) = (&mut largest[start..], &mut place[start..]);
                    // SAFETY: the caller's promise about V.
                    unsafe { compare::<V>(from, fields.stride[1], tap, largest, place) };
                }
            }
        }
        for (((y, places), largest), place) in y.iter_mut().zip(places).zip(&largest).zip(&place) {
            // NaN is propagated.
            let dead = *largest <= 0.0;
            y.write(if dead { 0.0 } else { *largest });
            places.write(if dead { NONE } else { *place as u8 });
        }
    }
}

/// A vector of windows: compares every `stride`th element of `from` with the largest so far.
///
/// # Safety
/// The processor must have V's instructions.
#[inline(always)]
unsafe fn compare<V: Vector>(
    from: &[f32],
    stride: usize,
    tap: f32,
    largest: &mut [f32],
    place: &mut [f32],
) {
    assert!(from.len() >= V::N * stride.max(2) && largest.len() >= V::N && place.len() >= V::N);
    // SAFETY: the lengths are checked above.
    unsafe {
        let values = match stride {
            1 => V::load(from.as_ptr()),
            2 => V::load_even(from.as_ptr()),
            _ => {
                let mut values = [0.0; 16];
                (0..V::N).for_each(|i| values[i] = from[i * stride]);
                V::load(values.as_ptr())
            }
        };
        let (mut most, mut at) = (V::load(largest.as_ptr()), V::load(place.as_ptr()));
        values.keep(V::splat(tap), &mut most, &mut at);
        most.store(largest.as_mut_ptr());
        at.store(place.as_mut_ptr());
    }
}

/// Adds each output's gradient at the stored position.
fn backward(fields: &Fields, places: &[u8], gradient: &[f32]) -> Vec<f32> {
    let (size, out_size, together, width) = (
        fields.size(),
        fields.out_size(),
        fields.together(),
        fields.dims[3],
    );
    let mut sums = vec![0.0f32; fields.planes() * size];
    let offsets: Vec<usize> = (0..fields.kernel[0] * fields.kernel[1])
        .map(|tap| tap / fields.kernel[1] * width + tap % fields.kernel[1])
        .collect();
    let before = fields.padding[0] * width + fields.padding[1];
    sums.par_chunks_mut(together * size)
        .zip(
            places
                .par_chunks(together * out_size)
                .zip(gradient.par_chunks(together * out_size)),
        )
        .for_each(|(sums, (places, gradient))| {
            let planes = places
                .chunks_exact(out_size)
                .zip(gradient.chunks_exact(out_size));
            for (sums, (places, gradient)) in sums.chunks_exact_mut(size).zip(planes) {
                let rows = places
                    .chunks_exact(fields.out[1])
                    .zip(gradient.chunks_exact(fields.out[1]));
                for (row, (places, gradient)) in rows.enumerate() {
                    let mut corner = row * fields.stride[0] * width;
                    for (place, gradient) in places.iter().zip(gradient) {
                        if *place != NONE {
                            sums[corner + offsets[usize::from(*place)] - before] += gradient;
                        }
                        corner += fields.stride[1];
                    }
                }
            }
        });
    sums
}

#[cfg(test)]
mod tests {
    use super::{Fields, forward};
    use crate::layers::level::Level;
    use crate::layers::tests::value;

    #[test]
    fn every_level_gives_the_same_maxima() {
        for (kernel, stride, padding) in [
            ([2, 2], [2, 2], [0, 0]),
            ([3, 3], [2, 2], [1, 1]),
            ([3, 2], [1, 3], [1, 0]),
        ] {
            let fields = Fields::new([2, 3, 9, 37], kernel, stride, padding, true).unwrap();
            let x = value(2 * 3 * 9 * 37, 1);
            let portable = Level::all().last().unwrap();
            let plain = forward(portable, &fields, &x);
            for level in Level::all() {
                assert_eq!(forward(level, &fields, &x), plain, "{level:?}");
            }
        }
    }
}
