//! The examples to measure.

use largebatch_data::Labels;
use largebatch_random::Key;

/// A choice of examples of a part.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Subset {
    /// The number of examples; all for `None` or a number above the total.
    pub size: Option<usize>,
    /// The seed of the draw. Each class keeps its share, to within one example.
    pub seed: u64,
}

/// Draws a subset of `all` that keeps the classes' shares, in increasing order.
pub(crate) fn draw(labels: &Labels, all: &[u32], subset: Subset) -> Vec<u32> {
    let size = subset.size.unwrap_or(all.len());
    if size >= all.len() {
        return all.to_vec();
    }
    let key = Key::new(subset.seed).word("probe subset");
    let shuffled: Vec<u32> = key
        .permutation(all.len())
        .into_iter()
        .map(|i| all[i as usize])
        .collect();
    let mut chosen: Vec<u32> = match labels {
        Labels::Targets(_) => shuffled[..size].to_vec(),
        Labels::Classes(classes) => {
            // Every (all/size)-th example, sorted by class: each class keeps its share, rounded
            // down or up.
            let mut by_class = shuffled;
            by_class.sort_by_key(|&i| classes[i as usize]);
            (0..size).map(|k| by_class[k * all.len() / size]).collect()
        }
    };
    chosen.sort_unstable();
    chosen
}
