//! Images that are flipped and shifted at random.

use largebatch_random::below;

use super::{Map, Pipeline};

impl Pipeline {
    /// One image, flipped and shifted by draws of `rng`: first the flip, then the shift down, then
    /// right.
    pub(super) fn augmented(&self, pixels: &[u8], mut rng: impl rand::Rng, out: &mut [f32]) {
        let config = &self.fitted.preprocess;
        let [_, h, w] = self.fitted.shape[..] else {
            unreachable!("`fit` refuses augmentation unless the examples are images")
        };
        let flip = config.flip && below(&mut rng, 2) == 1;
        let reach = config.crop_pad.max(config.translate);
        let mirror = config.translate > 0;
        let mut shift = || {
            if reach > 0 {
                below(&mut rng, 2 * reach as u32 + 1) as isize - reach as isize
            } else {
                0
            }
        };
        let (down, right) = (shift(), shift());
        let columns: Vec<Option<usize>> = (0..w)
            .map(|x| from(if flip { w - 1 - x } else { x }, right, w, mirror))
            .collect();
        for (i, out) in out.chunks_exact_mut(w).enumerate() {
            let (c, y) = (i / h, i % h);
            let row = from(y, down, h, mirror).map(|y| &pixels[(c * h + y) * w..][..w]);
            for (x, (o, column)) in out.iter_mut().zip(&columns).enumerate() {
                let p = match (row, column) {
                    (Some(row), Some(column)) => row[*column],
                    _ => 0,
                };
                *o = match &self.map {
                    Map::Channel(rows) => rows[c % rows.len()][p as usize],
                    Map::Feature { mean, scale } => {
                        ((f64::from(p) - mean[i * w + x]) * scale[i * w + x]) as f32
                    }
                    Map::Same { .. } => unreachable!("`fit` uses it only for tables"),
                };
            }
        }
    }
}

/// The source of the pixel at `at` in a line of `n` after a shift: reflected at the border (which
/// is not repeated) if `mirror`, or `None` outside.
fn from(at: usize, shift: isize, n: usize, mirror: bool) -> Option<usize> {
    let (source, last) = (at as isize + shift, n as isize - 1);
    let reflected = if source < 0 {
        -source
    } else {
        source.min(2 * last - source)
    };
    (mirror || reflected == source).then_some(reflected as usize)
}
