//! Loops over long slices, on all cores.

use rayon::prelude::*;

/// The elements that a core takes at a time.
const CHUNK: usize = 1 << 15;

/// left ← left + right, element by element.
pub fn add(left: &mut [f32], right: &[f32]) {
    each(left, right, |left, right| *left += right);
}

/// right ← left + right: [`add`] with the result in the other slice.
pub(crate) fn add_to_right(left: &[f32], right: &mut [f32]) {
    each(right, left, |right, left| *right = left + *right);
}

/// Copies a slice to one of the same length.
pub fn copy(from: &[f32], to: &mut [f32]) {
    to.par_chunks_mut(CHUNK)
        .zip(from.par_chunks(CHUNK))
        .for_each(|(to, from)| to.copy_from_slice(from));
}

fn each(to: &mut [f32], from: &[f32], change: impl Fn(&mut f32, f32) + Sync) {
    to.par_chunks_mut(CHUNK)
        .zip(from.par_chunks(CHUNK))
        .for_each(|(to, from)| {
            to.iter_mut()
                .zip(from)
                .for_each(|(to, from)| change(to, *from));
        });
}
