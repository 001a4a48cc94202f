//! The matrix product, computed in register tiles.

use std::cell::RefCell;
use std::mem::MaybeUninit;

use rayon::prelude::*;

use crate::layers::few_rows::{few_rows, one_column};
use crate::layers::flex::written;
use crate::layers::level::{Level, Vector, leveled};
use crate::layers::tile::{lanes, tile, tile_at};

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
/// C must be valid for writing rows × columns elements, which nothing else uses meanwhile.
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
    if columns == 1 && b.strides[0] == 1 && !worth && (b.strides[1] == 1 || !few) {
        // SAFETY: the caller's promise about C.
        return unsafe { one_column(level, what, c) };
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
    let run = |task: usize| {
        let (i, j) = (task / across * block[0], task % across * block[1]);
        let block = Block {
            start: [i, j],
            size: [block[0].min(rows - i), block[1].min(columns - j)],
        };
        // SAFETY: the tasks' blocks cover C, whose rows are `columns` apart, and do not overlap;
        // each task writes all of its own.
        unsafe {
            match few {
                true => few_rows(level, what, block, c),
                false => BUFFER.with_borrow_mut(|buffer| one_block(level, what, block, buffer, c)),
            }
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

/// A pointer to C, for several tasks. Who writes to it promises that it points to C, stored row by
/// row as its product's sizes say, and that no other task uses the same [`Block`].
#[derive(Clone, Copy)]
pub(crate) struct Target(pub *mut f32);
// SAFETY: the pointer is only used under the promise above.
unsafe impl Send for Target {}
unsafe impl Sync for Target {}

/// A block of C.
#[derive(Clone, Copy)]
pub(crate) struct Block {
    pub start: [usize; 2],
    pub size: [usize; 2],
}

leveled! {
    pub(crate) unsafe one_block = one_block_body(what: Product<'_>, block: Block, buffer: &mut Vec<f32>, c: Target)
}

/// # Safety
/// The processor must have V's instructions; for `c`, see [`Target`].
#[inline(always)]
unsafe fn one_block_body<V: Vector, const ROWS: usize>(
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
    // SAFETY: the caller's promise about `c`.
    let at = |i: usize, j: usize| unsafe { c.0.add((i0 + i) * columns + j0 + j) };
    if depth == 0 {
        let bias = bias.map(|bias| &bias[j0..]);
        // SAFETY: as above.
        (0..height).for_each(|i| unsafe { begin(at(i, 0), width, bias) });
    }
    let blocks = height.div_ceil(ROWS);
    let needed = (blocks * ROWS + wide) * DEPTH + CACHE_LINE;
    if buffer.len() < needed {
        buffer.resize(needed, 0.0);
    }
    let start = buffer.as_ptr().align_offset(4 * CACHE_LINE);
    let (packed, packed_a) = buffer[start..].split_at_mut(wide * DEPTH);
    let (mut edge, zeros) = ([0.0f32; 256], [0.0f32; 32]);
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
            // SAFETY: the caller's promise about V; here and below.
            unsafe { lanes::<V>(from, a.strides, ROWS.min(height - i), deep, ROWS, packed) };
        }
        for j in (0..width).step_by(wide) {
            let from = &b.values[first * b.strides[0] + (j0 + j) * b.strides[1]..];
            let count = wide.min(width - j);
            let turned = [b.strides[1], b.strides[0]];
            unsafe { lanes::<V>(from, turned, count, deep, wide, packed) };
            // What the sums begin with, if not with C: the same for all rows.
            let begin = (first == 0).then(|| bias.map_or(&zeros[..], |bias| &bias[j0 + j..]));
            for (block, packed_a) in packed_a.chunks_exact(ROWS * DEPTH).take(blocks).enumerate() {
                let (i, weights) = (block * ROWS, &packed_a[..deep * ROWS]);
                let high = ROWS.min(height - i);
                // SAFETY: rows i to i + ROWS of A have `depth` elements each, of which at most
                // `first + deep` are read, and only if there are so many rows.
                let in_place = |r: usize| unsafe {
                    a.values.as_ptr().add((i0 + i + r) * a.strides[0] + first)
                };
                if high == ROWS && count == wide {
                    let (to, packed) = (at(i, j), packed.as_ptr());
                    let from = match begin {
                        Some(begin) => (begin.as_ptr(), 0),
                        None => (to.cast_const(), columns),
                    };
                    // SAFETY: the tile is inside the task's block, whose rows are `columns` apart;
                    // the data that is read is in A or was packed above, and `begin` has a tile's
                    // width.
                    unsafe {
                        match direct {
                            true => {
                                let rows = std::array::from_fn(in_place);
                                tile_at::<V, ROWS, 2, 1>(deep, rows, packed, from, (to, columns))
                            }
                            false => {
                                let rows = std::array::from_fn(|r| weights.as_ptr().add(r));
                                tile_at::<V, ROWS, 2, ROWS>(deep, rows, packed, from, (to, columns))
                            }
                        }
                    };
                    continue;
                }
                let edge = &mut edge[..ROWS * wide];
                for r in 0..high {
                    let from = begin.map_or(at(i + r, j).cast_const(), <[f32]>::as_ptr);
                    // SAFETY: `count` elements are inside C or `begin`, and inside the edge's row.
                    unsafe { copy_few(from, edge[r * wide..].as_mut_ptr(), count) };
                }
                // Called directly, not through a pointer: it must be inlined into the function that
                // is compiled for the level.
                // SAFETY: as above; the edge has ROWS rows of two vectors.
                unsafe {
                    let (to, panel) = (edge.as_mut_ptr(), packed.as_ptr());
                    let from = (to.cast_const(), wide);
                    match (direct && high == ROWS, count <= V::N) {
                        (true, true) => {
                            let rows = std::array::from_fn(in_place);
                            tile_at::<V, ROWS, 1, 1>(deep, rows, panel, from, (to, wide))
                        }
                        (true, false) => {
                            let rows = std::array::from_fn(in_place);
                            tile_at::<V, ROWS, 2, 1>(deep, rows, panel, from, (to, wide))
                        }
                        (false, true) => tile::<V, ROWS, 1>(weights, packed, edge, wide),
                        (false, false) => tile::<V, ROWS, 2>(weights, packed, edge, wide),
                    }
                }
                for r in 0..high {
                    // SAFETY: as above.
                    unsafe { copy_few(edge[r * wide..].as_ptr(), at(i + r, j), count) };
                }
            }
        }
    }
    if relu {
        // SAFETY: a row of the task's block, all of which is written.
        let row = |i| unsafe { std::slice::from_raw_parts_mut(at(i, 0), width) };
        (0..height).for_each(|i| rectify(row(i)));
    }
}

/// Copies a few numbers; faster than a call of `memcpy`.
///
/// # Safety
/// Both must be valid for n numbers, and not overlap.
#[inline(always)]
unsafe fn copy_few(from: *const f32, to: *mut f32, n: usize) {
    // The last numbers of more than eight, or four, are copied together with some before them.
    unsafe {
        let some = |at: usize| {
            to.add(at)
                .cast::<[f32; 8]>()
                .write_unaligned(from.add(at).cast::<[f32; 8]>().read_unaligned())
        };
        let four = |at: usize| {
            to.add(at)
                .cast::<[f32; 4]>()
                .write_unaligned(from.add(at).cast::<[f32; 4]>().read_unaligned())
        };
        match n {
            8.. => {
                (0..n - 8).step_by(8).for_each(some);
                some(n - 8);
            }
            4..8 => {
                four(0);
                four(n - 4);
            }
            _ => (0..n).for_each(|i| *to.add(i) = *from.add(i)),
        }
    }
}

/// Writes the initial value of a row's sums: the bias, or 0.
///
/// # Safety
/// `row` must be valid for writing `width` elements.
#[inline(always)]
pub(crate) unsafe fn begin(row: *mut f32, width: usize, bias: Option<&[f32]>) {
    unsafe {
        match bias {
            Some(bias) => row.copy_from_nonoverlapping(bias[..width].as_ptr(), width),
            None => row.write_bytes(0, width),
        }
    }
}

/// NaN is propagated.
#[inline(always)]
pub(crate) fn rectify(row: &mut [f32]) {
    row.iter_mut()
        .for_each(|v| *v = if *v <= 0.0 { 0.0 } else { *v });
}
