//! Updates in one pass over memory, in place, for f32 on Burn's CPU backend flex. Everywhere else a rule is composed of tensor operations.
//!
//! A rule's operations are done number by number in the order in which the composed rule does them, so elementwise rules give the same bits either way.
//! Norms are summed over fixed chunks and added in order: the same bits for any number of threads.

use std::sync::LazyLock;

use burn::backend::Flex;
use burn::backend::flex::FlexTensor;
use burn::tensor::{DType, Tensor, TensorData};
use rayon::prelude::*;

/// Numbers that are worked on together.
const LANES: usize = 16;
/// Numbers that one thread takes at a time.
const CHUNK: usize = 1 << 15;

/// Numbers that are summed in f32, 32 in each lane.
const FLUSH: usize = 32 * LANES;

/// A block of numbers.
pub(crate) type Block = [f32; LANES];

/// What is done to each number: `I` arrays are read, `M` are changed, `S` sums are formed.
pub(crate) trait Kernel<const I: usize, const M: usize, const S: usize>: Sync {
    fn block(&self, read: &[Block; I], changed: &mut [Block; M], sums: &mut [Block; S]);
}

/// The tensors' numbers on flex. The tensors are given back if these kernels cannot work on them, or were switched off by `LARGEBATCH_KERNELS=off`.
pub(crate) fn open<const D: usize, const N: usize>(tensors: [Tensor<D>; N]) -> Result<[FlexTensor; N], [Tensor<D>; N]> {
    static ENABLED: LazyLock<bool> = LazyLock::new(|| std::env::var_os("LARGEBATCH_KERNELS").is_none_or(|v| v != "off"));
    let fits = |t: &Tensor<D>| {
        t.dtype() == DType::F32 && t.shape() == tensors[0].shape() && !t.is_autodiff() && t.clone().try_into_primitive::<Flex>().is_ok()
    };
    if !*ENABLED || !tensors.iter().all(fits) {
        return Err(tensors);
    }
    Ok(tensors.map(|t| {
        let t = t.try_into_primitive::<Flex>().expect("tried above");
        // A view into a larger buffer, a transposed or an expanded tensor gets a buffer of its own.
        if t.is_contiguous() && t.layout().start_offset() == 0 && t.storage::<f32>().len() == t.layout().num_elements() {
            t
        } else {
            t.to_contiguous()
        }
    }))
}

/// Back to Burn.
pub(crate) fn close<const D: usize>(t: FlexTensor) -> Tensor<D> {
    Tensor::from_primitive::<Flex>(t)
}

/// A number as a tensor on flex.
pub(crate) fn scalar(x: f32) -> Tensor<1> {
    Tensor::from_primitive::<Flex>(FlexTensor::from_data(TensorData::new(vec![x], [1])))
}

/// The kernel over all numbers; returns the sums.
pub(crate) fn run<K, const I: usize, const M: usize, const S: usize>(
    kernel: &K,
    read: [&FlexTensor; I],
    changed: [&mut FlexTensor; M],
) -> [f64; S]
where
    K: Kernel<I, M, S>,
{
    let read = read.map(|t| t.storage::<f32>());
    let changed = changed.map(|t| t.storage_mut::<f32>());
    let mut total = [0.0; S];
    let mut add = |sums: [f64; S]| total.iter_mut().zip(sums).for_each(|(t, s)| *t += s);
    let n = read.first().map_or_else(|| changed[0].len(), |r| r.len());
    if n <= CHUNK {
        add(chunk_best(kernel, read, changed));
        return total;
    }
    let mut rest = changed.map(|c| c.chunks_mut(CHUNK));
    let parts: Vec<_> = (0..n.div_ceil(CHUNK))
        .map(|i| {
            let read = read.map(|r| &r[i * CHUNK..((i + 1) * CHUNK).min(n)]);
            (read, rest.each_mut().map(|r| r.next().expect("all are as long as the first")))
        })
        .collect();
    let sums: Vec<_> = parts.into_par_iter().map(|(read, changed)| chunk_best(kernel, read, changed)).collect();
    sums.into_iter().for_each(add);
    total
}

/// One chunk, with the widest instructions that the processor has. All give the same bits: nothing is contracted or reordered.
fn chunk_best<K, const I: usize, const M: usize, const S: usize>(kernel: &K, read: [&[f32]; I], changed: [&mut [f32]; M]) -> [f64; S]
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
        fn avx2<K: Kernel<I, M, S>, const I: usize, const M: usize, const S: usize>(k: &K, r: [&[f32]; I], c: [&mut [f32]; M]) -> [f64; S] {
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

#[inline(always)]
fn chunk<K, const I: usize, const M: usize, const S: usize>(kernel: &K, read: [&[f32]; I], changed: [&mut [f32]; M]) -> [f64; S]
where
    K: Kernel<I, M, S>,
{
    let n = if I > 0 { read[0].len() } else { changed[0].len() };
    let (mut total, mut sums) = ([0.0; S], [[0.0; LANES]; S]);
    // A short sum in f32 loses nothing that counts and is four times as fast; it is then added in f64.
    let mut flush = |sums: &mut [Block; S]| {
        for k in 0..S {
            total[k] += sums[k].iter().map(|x| f64::from(*x)).sum::<f64>();
            sums[k] = [0.0; LANES];
        }
    };
    let (mut r, mut c) = ([[0.0; LANES]; I], [[0.0; LANES]; M]);
    let whole = n - n % LANES;
    let mut at = 0;
    while at < whole {
        for k in 0..I {
            r[k].copy_from_slice(&read[k][at..at + LANES]);
        }
        for k in 0..M {
            c[k].copy_from_slice(&changed[k][at..at + LANES]);
        }
        kernel.block(&r, &mut c, &mut sums);
        for k in 0..M {
            changed[k][at..at + LANES].copy_from_slice(&c[k]);
        }
        at += LANES;
        if at % FLUSH == 0 {
            flush(&mut sums);
        }
    }
    if whole < n {
        // The rest stands beside zeros, which every kernel maps to zeros and adds as zeros.
        (r, c) = ([[0.0; LANES]; I], [[0.0; LANES]; M]);
        for k in 0..I {
            r[k][..n - whole].copy_from_slice(&read[k][whole..]);
        }
        for k in 0..M {
            c[k][..n - whole].copy_from_slice(&changed[k][whole..]);
        }
        kernel.block(&r, &mut c, &mut sums);
        for k in 0..M {
            changed[k][whole..].copy_from_slice(&c[k][..n - whole]);
        }
    }
    flush(&mut sums);
    total
}

/// Adds the squares.
#[inline(always)]
pub(crate) fn add_squares(x: &Block, sums: &mut Block) {
    for (sum, x) in sums.iter_mut().zip(x) {
        *sum += x * x;
    }
}

/// √v + eps, or √v lifted to the smallest normal number; a NaN stays one.
#[inline(always)]
pub(crate) fn root_plus_eps(v: f32, eps: f32) -> f32 {
    let root = v.sqrt();
    if eps > 0.0 {
        root + eps
    } else if root < f32::MIN_POSITIVE {
        f32::MIN_POSITIVE
    } else {
        root
    }
}

/// Weight and gradient with [`WeightDecay`](crate::WeightDecay)'s factors.
#[inline(always)]
pub(crate) fn decayed(w: f32, g: f32, (l2, shrink): (f32, f32)) -> (f32, f32) {
    (w * shrink, if l2 == 0.0 { g } else { g + w * l2 })
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::Device;

    struct Double;

    impl Kernel<1, 1, 1> for Double {
        fn block(&self, [x]: &[Block; 1], [y]: &mut [Block; 1], [sum]: &mut [Block; 1]) {
            for i in 0..LANES {
                y[i] += 2.0 * x[i];
                sum[i] += x[i];
            }
        }
    }

    /// Around the lengths of a block and of a chunk: whole numbers, so the results are exact; and the same for one thread and three.
    #[test]
    fn every_number_is_met_once() {
        for n in [1, LANES - 1, LANES, LANES + 1, CHUNK - 1, CHUNK, CHUNK + 1, 3 * CHUNK + 5] {
            let tensor = |factor: f32| {
                let values = (0..n).map(|i| factor * (i % 1000) as f32).collect();
                Tensor::<1>::from_data(TensorData::new::<f32, _>(values, [n]), &Device::flex())
            };
            for threads in [1, 3] {
                let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
                let [x, mut y] = open([tensor(1.0), tensor(10.0)]).expect("f32 on flex");
                let [sum] = pool.install(|| run(&Double, [&x], [&mut y]));
                assert_eq!(sum, (0..n).map(|i| (i % 1000) as f64).sum::<f64>());
                let wanted: Vec<f32> = (0..n).map(|i| 12.0 * (i % 1000) as f32).collect();
                assert_eq!(y.storage::<f32>(), &wanted[..]);
            }
        }
    }
}
