//! Kernels on arrays of Burn's CPU backend flex, using all threads.
//!
//! Sums are formed over fixed chunks and added in order: the same bits for any number of threads.

use std::marker::PhantomData;
use std::ops::Range;

use burn::backend::Flex;
use burn::backend::flex::FlexTensor;
use burn::tensor::{Tensor, TensorData};

use super::Kernel;
use crate::scratch::Scratch;

/// The number of elements that are processed together: many vectors of the processor.
const STRIP: usize = 256;
/// The number of elements that one thread takes at a time.
const CHUNK: usize = 1 << 13;
/// With fewer chunks than this, waking a thread does not pay.
const WORTH_SHARING: usize = 8;

/// Whether the tensor is on flex.
pub(super) fn holds<const D: usize>(t: &Tensor<D>) -> bool {
    t.clone().try_into_primitive::<Flex>().is_ok()
}

/// The elements of a tensor on flex, in their own buffer: a view into a larger buffer, a transposed
/// or an expanded tensor is copied.
pub(super) fn array<const D: usize>(t: Tensor<D>) -> FlexTensor {
    let t = t.try_into_primitive::<Flex>().expect("a tensor on flex");
    let whole = t.is_contiguous()
        && t.layout().start_offset() == 0
        && t.storage::<f32>().len() == t.layout().num_elements();
    if whole { t } else { t.to_contiguous() }
}

/// The elements of an array.
pub(super) fn slice(t: &FlexTensor) -> &[f32] {
    t.storage()
}

/// The elements of an array, to change them.
pub(super) fn slice_mut(t: &mut FlexTensor) -> &mut [f32] {
    t.storage_mut()
}

/// Converts an array back to a Burn tensor.
pub(super) fn tensor<const D: usize>(t: FlexTensor) -> Tensor<D> {
    Tensor::from_primitive::<Flex>(t)
}

/// A number as a tensor on flex.
pub(super) fn scalar(x: f32) -> Tensor<1> {
    Tensor::from_primitive::<Flex>(FlexTensor::from_data(TensorData::new(vec![x], [1])))
}

/// The order of a pass. A second pass goes in falling order, since the cache then holds the end of
/// the arrays.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Order {
    Rising,
    Falling,
}

/// Runs the kernel on all elements; returns the sums.
pub(super) fn run<K, const I: usize, const M: usize, const S: usize>(
    order: Order,
    kernel: &K,
    read: [&[f32]; I],
    changed: [&mut [f32]; M],
) -> [f64; S]
where
    K: Kernel<I, M, S>,
{
    let n = read.first().map_or_else(|| changed[0].len(), |r| r.len());
    if n <= CHUNK {
        return chunk_best(kernel, read, changed);
    }
    let count = n.div_ceil(CHUNK);
    let mut sums = Scratch::<f64>::zeros(count * S);
    let (changed, parts) = (changed.map(Shared::new), Shared::new(&mut sums[..]));
    let piece = |i: usize| {
        let (begin, end) = (i * CHUNK, ((i + 1) * CHUNK).min(n));
        let read = read.map(|r| &r[begin..end]);
        // SAFETY: each i occurs once, so no two of these slices overlap.
        unsafe {
            let changed = changed.each_ref().map(|c| c.part(begin, end));
            let sums = parts.part(i * S, (i + 1) * S);
            sums.copy_from_slice(&chunk_best(kernel, read, changed));
        }
    };
    match (rayon::current_num_threads(), order) {
        (threads, _) if threads > 1 && count >= WORTH_SHARING => {
            shared(0..count, threads, order, &piece);
        }
        (_, Order::Rising) => (0..count).for_each(piece),
        (_, Order::Falling) => (0..count).rev().for_each(piece),
    }
    let mut total = [0.0; S];
    for (i, sum) in sums.iter().enumerate() {
        total[i % S] += sum;
    }
    total
}

/// Runs `piece` for each number of a range, on `threads` threads. Each has its own stretch, unless
/// one is idle and takes a part of another's, so that a second loop finds in a thread's cache what
/// the first one left there.
fn shared(range: Range<usize>, threads: usize, order: Order, piece: &(impl Fn(usize) + Sync)) {
    let Range { start, end } = range;
    let middle = start.midpoint(end);
    let more = threads.div_ceil(2);
    let first = || shared(start..middle, more, order, piece);
    let second = || shared(middle..end, more, order, piece);
    match order {
        _ if end - start <= 1 => (start..end).for_each(piece),
        Order::Falling if threads == 1 => drop(rayon::join(second, first)),
        _ => drop(rayon::join(first, second)),
    }
}

/// A slice whose parts are changed by several threads.
struct Shared<'a, T>(*mut [T], PhantomData<&'a mut [T]>);

// SAFETY: as for `&mut [T]`; callers of `part` make sure that the parts do not overlap.
unsafe impl<T: Send> Sync for Shared<'_, T> {}

impl<'a, T> Shared<'a, T> {
    fn new(slice: &'a mut [T]) -> Self {
        Shared(slice, PhantomData)
    }

    /// # Safety
    /// No two parts that are in use at the same time may overlap.
    #[expect(clippy::mut_from_ref)]
    unsafe fn part(&self, begin: usize, end: usize) -> &mut [T] {
        assert!(begin <= end && end <= self.0.len());
        // SAFETY: inside the slice, which is borrowed as long as `self` lives; exclusive by the
        // caller's promise.
        unsafe { std::slice::from_raw_parts_mut(self.0.cast::<T>().add(begin), end - begin) }
    }
}

/// Processes one chunk with the widest instructions of the processor. All give the same bits: no
/// operation is fused or reordered.
fn chunk_best<K, const I: usize, const M: usize, const S: usize>(
    kernel: &K,
    read: [&[f32]; I],
    changed: [&mut [f32]; M],
) -> [f64; S]
where
    K: Kernel<I, M, S>,
{
    #[cfg(target_arch = "x86_64")]
    {
        #[target_feature(enable = "avx512f,avx512vl,avx2")]
        fn avx512<K: Kernel<I, M, S>, const I: usize, const M: usize, const S: usize>(
            k: &K,
            r: [&[f32]; I],
            c: [&mut [f32]; M],
        ) -> [f64; S] {
            chunk(k, r, c)
        }
        #[target_feature(enable = "avx2")]
        fn avx2<K: Kernel<I, M, S>, const I: usize, const M: usize, const S: usize>(
            k: &K,
            r: [&[f32]; I],
            c: [&mut [f32]; M],
        ) -> [f64; S] {
            chunk(k, r, c)
        }
        if is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("avx512vl") {
            // SAFETY: the processor has these instructions.
            return unsafe { avx512(kernel, read, changed) };
        }
        if is_x86_feature_detected!("avx2") {
            // SAFETY: as above.
            return unsafe { avx2(kernel, read, changed) };
        }
    }
    chunk(kernel, read, changed)
}

/// Uses loops, not closures: a closure is not compiled for the instruction set of the enclosing
/// function.
#[inline(always)]
fn chunk<K, const I: usize, const M: usize, const S: usize>(
    kernel: &K,
    read: [&[f32]; I],
    mut changed: [&mut [f32]; M],
) -> [f64; S]
where
    K: Kernel<I, M, S>,
{
    let n = if I > 0 {
        read[0].len()
    } else {
        changed[0].len()
    };
    if S == 0 {
        strip(kernel, &read, &mut changed, 0, n, &mut [[0.0; STRIP]; S]);
        return [0.0; S];
    }
    // Each position in a strip has its own sum. It is in f32, since so short a sum loses nothing
    // that matters; the totals are in f64.
    let mut sums = [[0.0_f32; STRIP]; S];
    let mut at = 0;
    while at < n {
        let end = (at + STRIP).min(n);
        strip(kernel, &read, &mut changed, at, end, &mut sums);
        at = end;
    }
    let mut result = [0.0; S];
    for k in 0..S {
        // Adds by halves, which the compiler can vectorise.
        let mut total = [0.0_f64; STRIP / 2];
        for i in 0..STRIP / 2 {
            total[i] = f64::from(sums[k][i]) + f64::from(sums[k][i + STRIP / 2]);
        }
        let mut width = STRIP / 4;
        while width > 0 {
            for i in 0..width {
                total[i] += total[i + width];
            }
            width /= 2;
        }
        result[k] = total[0];
    }
    result
}

/// Processes the elements from `begin` to `end`: at most one strip if there are sums.
#[inline(always)]
fn strip<K, const I: usize, const M: usize, const S: usize>(
    kernel: &K,
    read: &[&[f32]; I],
    changed: &mut [&mut [f32]; M],
    begin: usize,
    end: usize,
    sums: &mut [[f32; STRIP]; S],
) where
    K: Kernel<I, M, S>,
{
    let n = end - begin;
    // The compiler can see that these slices have length n, so the loop has no bounds checks.
    let mut from = [&[][..]; I];
    for (from, read) in from.iter_mut().zip(read) {
        *from = &read[begin..][..n];
    }
    let mut to: [&mut [f32]; M] = std::array::from_fn(|_| Default::default());
    for (to, changed) in to.iter_mut().zip(changed) {
        *to = &mut changed[begin..][..n];
    }
    let mut into: [&mut [f32]; S] = std::array::from_fn(|_| Default::default());
    for (into, sums) in into.iter_mut().zip(sums) {
        *into = &mut sums[..n];
    }
    for i in 0..n {
        let (mut r, mut c) = ([0.0; I], [0.0; M]);
        for k in 0..I {
            r[k] = from[k][i];
        }
        for k in 0..M {
            c[k] = to[k][i];
        }
        let (values, terms) = kernel.one(r, c);
        for k in 0..M {
            to[k][i] = values[k];
        }
        for k in 0..S {
            into[k][i] += terms[k];
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Double;

    impl Kernel<1, 1, 1> for Double {
        fn one(&self, [x]: [f32; 1], [y]: [f32; 1]) -> ([f32; 1], [f32; 1]) {
            ([y + 2.0 * x], [x])
        }
    }

    /// Around the lengths of a strip and a chunk: whole numbers, so the results are exact, with one
    /// thread and with three.
    #[test]
    fn every_number_is_met_once() {
        for n in [
            1,
            STRIP - 1,
            STRIP,
            STRIP + 1,
            CHUNK - 1,
            CHUNK,
            CHUNK + 1,
            3 * CHUNK + 5,
            40 * CHUNK + 130,
        ] {
            let tensor = |factor: f32| {
                let values = (0..n).map(|i| factor * (i % 1000) as f32).collect();
                FlexTensor::from_data(TensorData::new::<f32, _>(values, [n]))
            };
            for threads in [1, 3] {
                let pool = rayon::ThreadPoolBuilder::new()
                    .num_threads(threads)
                    .build()
                    .unwrap();
                let (x, mut y) = (tensor(1.0), tensor(10.0));
                let [sum] =
                    pool.install(|| run(Order::Rising, &Double, [slice(&x)], [slice_mut(&mut y)]));
                assert_eq!(sum, (0..n).map(|i| (i % 1000) as f64).sum::<f64>());
                let wanted: Vec<f32> = (0..n).map(|i| 12.0 * (i % 1000) as f32).collect();
                assert_eq!(y.storage::<f32>(), &wanted[..]);
            }
        }
    }
}
