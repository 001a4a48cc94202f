//! Which examples are measured.

use largebatch_data::Labels;
use largebatch_random::Key;

/// Which examples of a part.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Subset {
    /// How many; `None` or more than there are: all.
    pub size: Option<usize>,
    /// The seed of the draw. Classes keep their shares, to within one example.
    pub seed: u64,
}

/// A subset of `all` that keeps the classes' shares, in increasing order.
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
            // Sorted by class, every (all/size)-th: each class has its share, rounded down or up.
            let mut by_class = shuffled;
            by_class.sort_by_key(|&i| classes[i as usize]);
            (0..size).map(|k| by_class[k * all.len() / size]).collect()
        }
    };
    chosen.sort_unstable();
    chosen
}
