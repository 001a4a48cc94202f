//! A tile of a product: sums that stay in registers, over operands that are packed for it.

use crate::layers::level::Vector;

/// Copies `count` lanes of `depth` elements, where element k of lane i is at i `strides[0]` + k
/// `strides[1]`, next to each other into rows of `wide`. The rest of a row is undefined: results
/// computed from it are discarded.
///
/// # Safety
/// The processor must have V's instructions.
#[inline(always)]
pub(crate) unsafe fn lanes<V: Vector>(
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
///
/// # Safety
/// The processor must have V's instructions.
#[inline(always)]
pub(crate) unsafe fn tile<V: Vector, const ROWS: usize, const WIDE: usize>(
    weights: &[f32],
    panel: &[f32],
    sums: &mut [f32],
    stride: usize,
) {
    let depth = weights.len() / ROWS;
    assert!(depth * 2 * V::N <= panel.len() && (ROWS - 1) * stride + WIDE * V::N <= sums.len());
    let rows = std::array::from_fn(|i| weights[i..].as_ptr());
    // SAFETY: the lengths are checked above.
    unsafe {
        let to = sums.as_mut_ptr();
        let from = (to.cast_const(), stride);
        tile_at::<V, ROWS, WIDE, ROWS>(depth, rows, panel.as_ptr(), from, (to, stride))
    }
}

/// See [`tile`]; weight (k, i) is at `rows[i]` + k `STEP`. The sums begin with what is at `from` and go
/// `to`; each is a pointer with the distance of its rows.
///
/// # Safety
/// The pointers must be valid for as many elements as the sizes say, and the caller must be
/// compiled for V's level.
#[inline(always)]
pub(crate) unsafe fn tile_at<V: Vector, const ROWS: usize, const WIDE: usize, const STEP: usize>(
    depth: usize,
    rows: [*const f32; ROWS],
    panel: *const f32,
    (from, apart): (*const f32, usize),
    (to, stride): (*mut f32, usize),
) {
    unsafe {
        let mut acc: [[V; WIDE]; ROWS] = std::array::from_fn(|i| {
            std::array::from_fn(|j| V::load(from.add(i * apart + j * V::N)))
        });
        add_terms::<V, ROWS, WIDE, STEP>(depth, rows, panel, &mut acc);
        for i in 0..ROWS {
            for j in 0..WIDE {
                acc[i][j].store(to.add(i * stride + j * V::N));
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
