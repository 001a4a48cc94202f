//! Products with few rows, few terms or one column, whose operands are read in place.

use crate::layers::level::{Vector, leveled};
use crate::layers::product::{Block, Product, Target, begin, rectify};

leveled! {
    pub(crate) unsafe one_column = one_column_body(what: Product<'_>, c: Target)
}

/// Like [`few_rows`] for the whole of a C with one column; B is contiguous.
///
/// # Safety
/// For `c`, see [`Target`].
#[inline(always)]
unsafe fn one_column_body<V: Vector, const ROWS: usize>(what: Product, c: Target) {
    /// Sums that are computed at the same time, because one alone would wait for each of its terms.
    const TOGETHER: usize = 8;
    let Product {
        sizes: [rows, _, depth],
        a,
        b,
        bias,
        relu,
    } = what;
    let start = bias.map_or(0.0, |bias| bias[0]);
    // SAFETY: the caller's promise about C; its elements are written before the slice is made.
    let c = unsafe {
        (0..rows).for_each(|i| c.0.add(i).write(start));
        std::slice::from_raw_parts_mut(c.0, rows)
    };
    let b = &b.values[..depth];
    if a.strides[1] == 1 {
        let row = |i: usize| &a.values[i * a.strides[0]..][..depth];
        for (block, c) in c.chunks_exact_mut(TOGETHER).enumerate() {
            let rows: [&[f32]; TOGETHER] = std::array::from_fn(|r| row(block * TOGETHER + r));
            let mut sums = [start; TOGETHER];
            for (k, by) in b.iter().enumerate() {
                for r in 0..TOGETHER {
                    sums[r] = V::add_product_of_numbers(sums[r], rows[r][k], *by);
                }
            }
            c.copy_from_slice(&sums);
        }
        for (i, sum) in c.iter_mut().enumerate().skip(rows - rows % TOGETHER) {
            let mut one = start;
            for (x, by) in row(i).iter().zip(b) {
                one = V::add_product_of_numbers(one, *x, *by);
            }
            *sum = one;
        }
    } else {
        for (k, by) in b.iter().enumerate() {
            let column = &a.values[k * a.strides[1]..][..rows];
            for (sum, x) in c.iter_mut().zip(column) {
                *sum = V::add_product_of_numbers(*sum, *x, *by);
            }
        }
    }
    if relu {
        rectify(c);
    }
}

leveled! {
    pub(crate) unsafe few_rows = few_rows_body(what: Product<'_>, block: Block, c: Target)
}

/// Like [`one_block`](crate::layers::product), but reads A and B in place.
///
/// # Safety
/// The processor must have V's instructions; for `c`, see [`Target`].
#[inline(always)]
unsafe fn few_rows_body<V: Vector, const ROWS: usize>(what: Product, block: Block, c: Target) {
    let Product {
        sizes: [_, columns, depth],
        a,
        b,
        bias,
        relu,
    } = what;
    let ([i0, j0], [height, width]) = (block.start, block.size);
    for i in i0..i0 + height {
        // SAFETY: the caller's promise about `c`.
        let row = unsafe {
            let start = c.0.add(i * columns + j0);
            begin(start, width, bias.map(|bias| &bias[j0..]));
            std::slice::from_raw_parts_mut(start, width)
        };
        if b.strides[1] == 1 {
            let term = |k: usize| a.values[i * a.strides[0] + k * a.strides[1]];
            let (mut at, from) = (0, &b.values[j0..]);
            // SAFETY: the caller's promise about V.
            unsafe {
                while at + 8 * V::N <= width {
                    add_rows::<V, 8>(depth, term, &from[at..], b.strides[0], &mut row[at..]);
                    at += 8 * V::N;
                }
                while at + V::N <= width {
                    add_rows::<V, 1>(depth, term, &from[at..], b.strides[0], &mut row[at..]);
                    at += V::N;
                }
                if at < width {
                    add_edge::<V>(depth, term, &from[at..], b.strides[0], &mut row[at..]);
                }
            }
        } else {
            let x = &a.values[i * a.strides[0]..][..depth];
            for (j, sum) in row.iter_mut().enumerate() {
                // SAFETY: the caller's promise about V.
                *sum += unsafe { dot::<V>(x, &b.values[(j0 + j) * b.strides[1]..][..depth]) };
            }
        }
        if relu {
            rectify(row);
        }
    }
}

/// sums += Σ_k term(k) × the k-th row of B, for the first `WIDE` vectors.
///
/// # Safety
/// The processor must have V's instructions.
#[inline(always)]
unsafe fn add_rows<V: Vector, const WIDE: usize>(
    depth: usize,
    term: impl Fn(usize) -> f32,
    b: &[f32],
    stride: usize,
    sums: &mut [f32],
) {
    assert!(
        depth > 0 && (depth - 1) * stride + WIDE * V::N <= b.len() && WIDE * V::N <= sums.len()
    );
    // SAFETY: the lengths are checked above.
    unsafe {
        let mut acc: [V; WIDE] = std::array::from_fn(|j| V::load(sums.as_ptr().add(j * V::N)));
        for k in 0..depth {
            let weight = V::splat(term(k));
            for (j, acc) in acc.iter_mut().enumerate() {
                *acc = acc.add_product(weight, V::load(b.as_ptr().add(k * stride + j * V::N)));
            }
        }
        for (j, acc) in acc.into_iter().enumerate() {
            acc.store(sums.as_mut_ptr().add(j * V::N));
        }
    }
}

/// The same for sums that do not fill a vector.
///
/// # Safety
/// The processor must have V's instructions.
#[inline(always)]
unsafe fn add_edge<V: Vector>(
    depth: usize,
    term: impl Fn(usize) -> f32,
    b: &[f32],
    stride: usize,
    sums: &mut [f32],
) {
    let (mut acc, mut from) = ([0.0f32; 16], [0.0f32; 16]);
    acc[..sums.len()].copy_from_slice(sums);
    for k in 0..depth {
        from[..sums.len()].copy_from_slice(&b[k * stride..][..sums.len()]);
        // SAFETY: a vector has at most 16 elements.
        unsafe {
            V::load(acc.as_ptr())
                .add_product(V::splat(term(k)), V::load(from.as_ptr()))
                .store(acc.as_mut_ptr())
        };
    }
    sums.copy_from_slice(&acc[..sums.len()]);
}

/// Σ x y: four vectors of sums, then the rest.
///
/// # Safety
/// The processor must have V's instructions.
#[inline(always)]
unsafe fn dot<V: Vector>(x: &[f32], y: &[f32]) -> f32 {
    assert_eq!(x.len(), y.len());
    let (whole, mut lanes) = (x.len() - x.len() % (4 * V::N), [0.0f32; 64]);
    // SAFETY: within the first `whole` elements of both; four vectors are at most 64 elements.
    unsafe {
        let mut acc: [V; 4] = std::array::from_fn(|_| V::splat(0.0));
        for k in (0..whole).step_by(4 * V::N) {
            for (i, acc) in acc.iter_mut().enumerate() {
                *acc = acc.add_product(
                    V::load(x.as_ptr().add(k + i * V::N)),
                    V::load(y.as_ptr().add(k + i * V::N)),
                );
            }
        }
        for (i, acc) in acc.into_iter().enumerate() {
            acc.store(lanes.as_mut_ptr().add(i * V::N));
        }
    }
    let rest: f32 = x[whole..].iter().zip(&y[whole..]).map(|(x, y)| x * y).sum();
    lanes.iter().sum::<f32>() + rest
}
