//! The matrix product, computed in register tiles.

use std::cell::RefCell;
use std::mem::MaybeUninit;

use rayon::prelude::*;

use crate::layers::flex::written;
use crate::layers::level::{Level, Vector, leveled};

/// The number of terms of a sum per panel: 256 × 32 elements are 32 KiB.
const DEPTH: usize = 256;
/// The largest number of rows and columns of C in a task: the packed block of A stays in the L2
/// cache and is used for this many columns, and that of B for this many rows.
const BLOCK: [usize; 2] = [512, 512];
/// The same for processors without AVX-512. Their L2 cache is smaller, and rows of A are read in
/// place, again for each panel of B.
const SMALL_CACHE_BLOCK: [usize; 2] = [192, 512];
/// The number of elements in a cache line.
const CACHE_LINE: usize = 16;
/// A block with more elements than this is halved for load balancing.
const WORTH_PACKING: usize = 256 * 256;
/// With so few rows, or so few terms per sum, packing does not pay.
const FEW: usize = 4;

/// A matrix in memory: element (i, j) is at i `strides[0]` + j `strides[1]`, and one of the strides
/// is 1.
#[derive(Clone, Copy)]
pub(crate) struct Matrix<'a> {
    pub values: &'a [f32],
    pub strides: [usize; 2],
}

impl<'a> Matrix<'a> {
    /// A matrix stored row by row.
    pub fn rows(values: &'a [f32], columns: usize) -> Self {
        Matrix {
            values,
            strides: [columns, 1],
        }
    }

    /// The transpose.
    pub fn transposed(self) -> Self {
        Matrix {
            values: self.values,
            strides: [self.strides[1], self.strides[0]],
        }
    }
}

/// C = A B + bias, followed by ReLU if `relu`.
#[derive(Clone, Copy)]
pub(crate) struct Product<'a> {
    /// `[rows, columns, depth]`: C is `[rows, columns]`, A `[rows, depth]`.
    pub sizes: [usize; 3],
    pub a: Matrix<'a>,
    pub b: Matrix<'a>,
    /// One element per column.
    pub bias: Option<&'a [f32]>,
    pub relu: bool,
}

/// C, stored row by row.
///
/// The terms of an element are added in the same order whichever task computes it.
pub(crate) fn product(level: Level, what: Product) -> Vec<f32> {
    let [rows, columns, _] = what.sizes;
    // SAFETY: `fill` writes every element.
    unsafe {
        written(rows * columns, |c: &mut [MaybeUninit<f32>]| {
            fill(level, what, Target(c.as_mut_ptr().cast()));
        })
    }
}

/// As [`product`], into the memory of C.
///
/// # Panics
/// If C has another size.
pub(crate) fn product_into(level: Level, what: Product, c: &mut [f32]) {
    let [rows, columns, _] = what.sizes;
    assert_eq!(c.len(), rows * columns);
    // SAFETY: C has this size.
    unsafe { fill(level, what, Target(c.as_mut_ptr())) }
}

/// Writes every element of C.
///
/// # Safety
/// C must be valid for writing rows × columns elements.
unsafe fn fill(level: Level, what: Product, c: Target) {
    let Product {
        sizes: [rows, columns, depth],
        a,
        b,
        bias,
        ..
    } = what;
    assert!(
        a.values.len() >= rows * depth
            && b.values.len() >= depth * columns
            && bias.is_none_or(|bias| bias.len() == columns)
    );
    let few = match b.strides {
        [_, 1] => rows.min(depth) <= FEW,
        _ => rows <= FEW && a.strides[1] == 1,
    };
    let tile = level.tile();
    let mut block = if a.strides[1] == 1 && tile.1 < 32 {
        SMALL_CACHE_BLOCK
    } else {
        BLOCK
    };
    let worth_sharing = if few { 1 << 21 } else { 1 << 18 };
    let worth = rows * columns * depth >= worth_sharing;
    if columns == 1 && !worth && (b.strides[1] == 1 || !few) {
        return one_column(level, what, c);
    }
    let threads = if worth {
        rayon::current_num_threads()
    } else {
        1
    };
    let tasks = |block: [usize; 2]| rows.div_ceil(block[0]) * columns.div_ceil(block[1]);
    // At least one task per thread. Three per thread, which balances other load on the machine, if
    // the blocks are large enough to justify the packing.
    while (block[0] > 32 || block[1] > 64)
        && (tasks(block) < threads
            || (worth
                && tasks(block) < 3 * threads
                && block[0].min(rows) * block[1].min(columns) > WORTH_PACKING))
    {
        // Halve the longer side, measured in tiles: that adds less packing.
        let side = usize::from(
            block[0] <= 32 || (block[1] > 64 && block[1].min(columns) >= block[0].min(rows)),
        );
        block[side] /= 2;
    }
    let across = columns.div_ceil(block[1]);
    // Make all tasks equally high, and their number a multiple of the number of threads.
    let down = (rows.div_ceil(block[0])..)
        .find(|down| (down * across).is_multiple_of(threads))
        .unwrap_or(1);
    block[0] = rows.div_ceil(down).next_multiple_of(tile.0);
    // The tasks' blocks cover C, and each task writes only its own.
    let run = |task: usize| {
        let (i, j) = (task / across * block[0], task % across * block[1]);
        let block = Block {
            start: [i, j],
            size: [block[0].min(rows - i), block[1].min(columns - j)],
        };
        match few {
            true => few_rows(level, what, block, c),
            false => BUFFER.with_borrow_mut(|buffer| one_block(level, what, block, buffer, c)),
        }
    };
    match tasks(block) {
        1 => run(0),
        tasks => (0..tasks).into_par_iter().for_each(run),
    }
}

thread_local! {
    /// The packed data of a thread.
    static BUFFER: RefCell<Vec<f32>> = const { RefCell::new(Vec::new()) };
}

/// A pointer to C.
#[derive(Clone, Copy)]
struct Target(*mut f32);
// SAFETY: the tasks write disjoint blocks.
unsafe impl Send for Target {}
unsafe impl Sync for Target {}

/// A block of C.
#[derive(Clone, Copy)]
struct Block {
    start: [usize; 2],
    size: [usize; 2],
}

leveled! {
    one_block = one_block_body(what: Product<'_>, block: Block, buffer: &mut Vec<f32>, c: Target)
}

#[inline(always)]
fn one_block_body<V: Vector, const ROWS: usize>(
    what: Product,
    block: Block,
    buffer: &mut Vec<f32>,
    c: Target,
) {
    let Product {
        sizes: [_, columns, depth],
        a,
        b,
        bias,
        relu,
    } = what;
    let ([i0, j0], [height, width], wide) = (block.start, block.size, 2 * V::N);
    for i in 0..height {
        // SAFETY: `product` gives each task its own block inside C, whose rows are `columns` apart.
        unsafe {
            begin(
                c.0.add((i0 + i) * columns + j0),
                width,
                bias.map(|bias| &bias[j0..]),
            )
        };
    }
    // SAFETY: as above, and written above.
    let row = |i: usize| unsafe {
        std::slice::from_raw_parts_mut(c.0.add((i0 + i) * columns + j0), width)
    };
    let blocks = height.div_ceil(ROWS);
    buffer.resize((blocks * ROWS + wide) * DEPTH + CACHE_LINE, 0.0);
    let start = buffer.as_ptr().align_offset(4 * CACHE_LINE);
    let (packed, packed_a) = buffer[start..].split_at_mut(wide * DEPTH);
    let mut edge = [0.0f32; 256];
    // Rows of A that are contiguous in memory are read in place, except the last ones.
    let direct = a.strides[1] == 1;
    for first in (0..depth).step_by(DEPTH) {
        let deep = DEPTH.min(depth - first);
        for (block, packed) in packed_a
            .chunks_exact_mut(ROWS * DEPTH)
            .take(blocks)
            .enumerate()
        {
            let i = block * ROWS;
            if direct && i + ROWS <= height {
                continue;
            }
            let from = &a.values[(i0 + i) * a.strides[0] + first * a.strides[1]..];
            lanes::<V>(from, a.strides, ROWS.min(height - i), deep, ROWS, packed);
        }
        for j in (0..width).step_by(wide) {
            let from = &b.values[first * b.strides[0] + (j0 + j) * b.strides[1]..];
            let count = wide.min(width - j);
            lanes::<V>(
                from,
                [b.strides[1], b.strides[0]],
                count,
                deep,
                wide,
                packed,
            );
            for (block, packed_a) in packed_a.chunks_exact(ROWS * DEPTH).take(blocks).enumerate() {
                let (i, weights) = (block * ROWS, &packed_a[..deep * ROWS]);
                let high = ROWS.min(height - i);
                // SAFETY: rows i to i + ROWS of A have `depth` elements each, of which at most
                // `first + deep` are read, and only if there are so many rows.
                let in_place = |r: usize| unsafe {
                    a.values.as_ptr().add((i0 + i + r) * a.strides[0] + first)
                };
                if high == ROWS && direct && count == wide {
                    // SAFETY: as below.
                    unsafe {
                        tile_at::<V, ROWS, 2, 1>(
                            deep,
                            std::array::from_fn(in_place),
                            packed.as_ptr(),
                            c.0.add((i0 + i) * columns + j0 + j),
                            columns,
                        )
                    };
                    continue;
                }
                if high == ROWS && count == wide {
                    // SAFETY: the tile is inside the task's block, whose rows are `columns` apart;
                    // the data that is read was packed above.
                    unsafe {
                        let rows = std::array::from_fn(|r| weights.as_ptr().add(r));
                        tile_at::<V, ROWS, 2, ROWS>(
                            deep,
                            rows,
                            packed.as_ptr(),
                            c.0.add((i0 + i) * columns + j0 + j),
                            columns,
                        )
                    };
                    continue;
                }
                let edge = &mut edge[..ROWS * wide];
                for r in 0..high {
                    edge[r * wide..][..count].copy_from_slice(&row(i + r)[j..j + count]);
                }
                // Called directly, not through a pointer: it must be inlined into the function that
                // is compiled for the level.
                match (direct && high == ROWS, count <= V::N) {
                    // SAFETY: as above; the edge has ROWS rows of two vectors.
                    (true, true) => unsafe {
                        let (rows, edge) = (std::array::from_fn(in_place), edge.as_mut_ptr());
                        tile_at::<V, ROWS, 1, 1>(deep, rows, packed.as_ptr(), edge, wide)
                    },
                    // SAFETY: as above.
                    (true, false) => unsafe {
                        let (rows, edge) = (std::array::from_fn(in_place), edge.as_mut_ptr());
                        tile_at::<V, ROWS, 2, 1>(deep, rows, packed.as_ptr(), edge, wide)
                    },
                    (false, true) => tile::<V, ROWS, 1>(weights, packed, edge, wide),
                    (false, false) => tile::<V, ROWS, 2>(weights, packed, edge, wide),
                }
                for r in 0..high {
                    row(i + r)[j..j + count].copy_from_slice(&edge[r * wide..][..count]);
                }
            }
        }
    }
    if relu {
        (0..height).for_each(|i| rectify(row(i)));
    }
}

/// Writes the initial value of a row's sums: the bias, or 0.
///
/// # Safety
/// `row` must be valid for writing `width` elements.
#[inline(always)]
unsafe fn begin(row: *mut f32, width: usize, bias: Option<&[f32]>) {
    unsafe {
        match bias {
            Some(bias) => row.copy_from_nonoverlapping(bias[..width].as_ptr(), width),
            None => row.write_bytes(0, width),
        }
    }
}

/// NaN is propagated.
#[inline(always)]
fn rectify(row: &mut [f32]) {
    row.iter_mut()
        .for_each(|v| *v = if *v <= 0.0 { 0.0 } else { *v });
}

leveled! {
    one_column = one_column_body(what: Product<'_>, c: Target)
}

/// Like [`one_block`] for the whole of a C with one column, in place.
#[inline(always)]
fn one_column_body<V: Vector, const ROWS: usize>(what: Product, c: Target) {
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
    // SAFETY: C has so many elements, and they are written before the slice is made.
    let c = unsafe {
        (0..rows).for_each(|i| c.0.add(i).write(start));
        std::slice::from_raw_parts_mut(c.0, rows)
    };
    let term = |k: usize| b.values[k * b.strides[0]];
    if a.strides[1] == 1 {
        for (block, c) in c.chunks_mut(TOGETHER).enumerate() {
            let row = |r: usize| block * TOGETHER + r.min(c.len() - 1);
            let rows: [&[f32]; TOGETHER] =
                std::array::from_fn(|r| &a.values[row(r) * a.strides[0]..][..depth]);
            let mut sums = [start; TOGETHER];
            for k in 0..depth {
                let by = term(k);
                for r in 0..TOGETHER {
                    sums[r] = V::add_product_of_numbers(sums[r], rows[r][k], by);
                }
            }
            c.copy_from_slice(&sums[..c.len()]);
        }
    } else {
        for k in 0..depth {
            let by = term(k);
            let column = &a.values[k * a.strides[1]..][..rows];
            for (sum, x) in c.iter_mut().zip(column) {
                *sum = V::add_product_of_numbers(*sum, *x, by);
            }
        }
    }
    if relu {
        rectify(c);
    }
}

leveled! {
    few_rows = few_rows_body(what: Product<'_>, block: Block, c: Target)
}

/// Like [`one_block`], but reads A and B in place.
#[inline(always)]
fn few_rows_body<V: Vector, const ROWS: usize>(what: Product, block: Block, c: Target) {
    let Product {
        sizes: [_, columns, depth],
        a,
        b,
        bias,
        relu,
    } = what;
    let ([i0, j0], [height, width]) = (block.start, block.size);
    for i in i0..i0 + height {
        // SAFETY: `product` gives each task its own block inside C, whose rows are `columns` apart.
        let row = unsafe {
            let start = c.0.add(i * columns + j0);
            begin(start, width, bias.map(|bias| &bias[j0..]));
            std::slice::from_raw_parts_mut(start, width)
        };
        if b.strides[1] == 1 {
            let term = |k: usize| a.values[i * a.strides[0] + k * a.strides[1]];
            let (mut at, from) = (0, &b.values[j0..]);
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
        } else {
            let x = &a.values[i * a.strides[0]..][..depth];
            for (j, sum) in row.iter_mut().enumerate() {
                *sum += dot::<V>(x, &b.values[(j0 + j) * b.strides[1]..][..depth]);
            }
        }
        if relu {
            rectify(row);
        }
    }
}

/// sums += Σ_k term(k) × the k-th row of B, for the first `WIDE` vectors.
#[inline(always)]
fn add_rows<V: Vector, const WIDE: usize>(
    depth: usize,
    term: impl Fn(usize) -> f32,
    b: &[f32],
    stride: usize,
    sums: &mut [f32],
) {
    assert!(
        depth > 0 && (depth - 1) * stride + WIDE * V::N <= b.len() && WIDE * V::N <= sums.len()
    );
    // SAFETY: the lengths are checked above; the caller is compiled for V's level.
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
#[inline(always)]
fn add_edge<V: Vector>(
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
        // SAFETY: a vector has at most 16 elements; the caller is compiled for V's level.
        unsafe {
            V::load(acc.as_ptr())
                .add_product(V::splat(term(k)), V::load(from.as_ptr()))
                .store(acc.as_mut_ptr())
        };
    }
    sums.copy_from_slice(&acc[..sums.len()]);
}

/// Σ x y: four vectors of sums, then the rest.
#[inline(always)]
fn dot<V: Vector>(x: &[f32], y: &[f32]) -> f32 {
    assert_eq!(x.len(), y.len());
    let (whole, mut lanes) = (x.len() - x.len() % (4 * V::N), [0.0f32; 64]);
    // SAFETY: within the first `whole` elements of both; four vectors are at most 64 elements; the
    // caller is compiled for V's level.
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

/// Copies `count` lanes of `depth` elements, where element k of lane i is at i `strides[0]` + k
/// `strides[1]`, next to each other into rows of `wide`. The rest of a row is undefined: results
/// computed from it are discarded.
#[inline(always)]
pub(crate) fn lanes<V: Vector>(
    from: &[f32],
    strides: [usize; 2],
    count: usize,
    depth: usize,
    wide: usize,
    to: &mut [f32],
) {
    assert!(count <= wide && depth * wide <= to.len());
    if depth == 0 || count == 0 {
        return;
    }
    assert!((count - 1) * strides[0] + (depth - 1) * strides[1] < from.len());
    if strides[0] == 1 {
        // Eight elements at a time: the excess is overwritten by the next row, and the last rows
        // are copied element by element.
        let ahead = count.next_multiple_of(8);
        let fits = |k: usize| k * strides[1] + ahead <= from.len() && k * wide + ahead <= to.len();
        let whole = if fits(depth - 1) {
            depth
        } else {
            (0..depth).rev().find(|&k| fits(k)).map_or(0, |k| k + 1)
        };
        for k in 0..whole {
            for i in (0..count).step_by(8) {
                // SAFETY: both ends are checked above; copied like this, arrays of eight elements
                // need no stricter alignment.
                unsafe {
                    let from = from.as_ptr().add(k * strides[1] + i).cast::<[f32; 8]>();
                    to.as_mut_ptr()
                        .add(k * wide + i)
                        .cast::<[f32; 8]>()
                        .write_unaligned(from.read_unaligned());
                }
            }
        }
        for k in whole..depth {
            to[k * wide..][..count].copy_from_slice(&from[k * strides[1]..][..count]);
        }
        return;
    }
    let (whole_lanes, whole_depth) = if strides[1] == 1 {
        (count / 8 * 8, depth / 8 * 8)
    } else {
        (0, 0)
    };
    for i in (0..whole_lanes).step_by(8) {
        for k in (0..whole_depth).step_by(8) {
            // SAFETY: eight lanes with eight elements each are inside both, by the checks above.
            unsafe {
                V::turn(
                    from.as_ptr().add(i * strides[0] + k),
                    strides[0],
                    to.as_mut_ptr().add(k * wide + i),
                    wide,
                )
            };
        }
    }
    for i in 0..count {
        let start = if i < whole_lanes { whole_depth } else { 0 };
        for k in start..depth {
            to[k * wide + i] = from[i * strides[0] + k * strides[1]];
        }
    }
}

/// sums += weightsᵀ panel: weights `[depth, ROWS]`, panel `[depth, two vectors]`, of which the
/// first `WIDE` are used; rows of sums are `stride` apart.
#[inline(always)]
pub(crate) fn tile<V: Vector, const ROWS: usize, const WIDE: usize>(
    weights: &[f32],
    panel: &[f32],
    sums: &mut [f32],
    stride: usize,
) {
    let depth = weights.len() / ROWS;
    assert!(depth * 2 * V::N <= panel.len() && (ROWS - 1) * stride + WIDE * V::N <= sums.len());
    let rows = std::array::from_fn(|i| weights[i..].as_ptr());
    // SAFETY: the lengths are checked above; the caller is compiled for V's level.
    unsafe {
        tile_at::<V, ROWS, WIDE, ROWS>(depth, rows, panel.as_ptr(), sums.as_mut_ptr(), stride)
    }
}

/// See [`tile`]; weight (k, i) is at `rows[i]` + k `STEP`.
///
/// # Safety
/// The pointers must be valid for as many elements as the sizes say, and the caller must be
/// compiled for V's level.
#[inline(always)]
unsafe fn tile_at<V: Vector, const ROWS: usize, const WIDE: usize, const STEP: usize>(
    depth: usize,
    rows: [*const f32; ROWS],
    panel: *const f32,
    sums: *mut f32,
    stride: usize,
) {
    unsafe {
        let mut acc: [[V; WIDE]; ROWS] = std::array::from_fn(|i| {
            std::array::from_fn(|j| V::load(sums.add(i * stride + j * V::N)))
        });
        add_terms::<V, ROWS, WIDE, STEP>(depth, rows, panel, &mut acc);
        for i in 0..ROWS {
            for j in 0..WIDE {
                acc[i][j].store(sums.add(i * stride + j * V::N));
            }
        }
    }
}

/// acc += `depth` terms of weights and panel, which are stored as in [`tile_at`].
///
/// # Safety
/// As for [`tile_at`].
#[inline(always)]
pub(crate) unsafe fn add_terms<
    V: Vector,
    const ROWS: usize,
    const WIDE: usize,
    const STEP: usize,
>(
    depth: usize,
    rows: [*const f32; ROWS],
    panel: *const f32,
    acc: &mut [[V; WIDE]; ROWS],
) {
    /// Terms per loop iteration. Unrolling helps because a core that runs two threads is limited by
    /// instruction throughput, not by arithmetic; with 8 the compiler runs out of registers.
    const TERMS: usize = 4;
    let whole = depth - depth % TERMS;
    for k in (0..whole).step_by(TERMS) {
        for term in 0..TERMS {
            unsafe { add_term::<V, ROWS, WIDE, STEP>(k + term, rows, panel, acc) };
        }
    }
    for k in whole..depth {
        unsafe { add_term::<V, ROWS, WIDE, STEP>(k, rows, panel, acc) };
    }
}

#[inline(always)]
unsafe fn add_term<V: Vector, const ROWS: usize, const WIDE: usize, const STEP: usize>(
    k: usize,
    rows: [*const f32; ROWS],
    panel: *const f32,
    acc: &mut [[V; WIDE]; ROWS],
) {
    unsafe {
        let x: [V; WIDE] = std::array::from_fn(|j| V::load(panel.add((2 * k + j) * V::N)));
        for i in 0..ROWS {
            let w = V::splat(*rows[i].add(k * STEP));
            for j in 0..WIDE {
                acc[i][j] = acc[i][j].add_product(w, x[j]);
            }
        }
    }
}
