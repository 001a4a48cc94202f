//! Keyed, reproducible randomness.
//!
//! Every random number of a training run comes from a [`Key`]: a seed, refined by words and numbers
//! that say what it is for. The same key gives the same numbers on every machine, in every thread
//! and in every process, whatever ran before. So a run that is resumed, repeated, or run in
//! parallel with others draws the same weights, batches, masks and crops.
//!
//! ```
//! use largebatch_random::Key;
//!
//! let order = Key::new(7).word("order").number(3).permutation(5);   // epoch 3 of seed 7
//! assert_eq!(order, Key::new(7).word("order").number(3).permutation(5));
//! ```
//!
//! A key is hashed with BLAKE3 and seeds a ChaCha8 stream; both are fixed by their publications, and test vectors pin them here.

use rand::{Rng, RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rand_distr::StandardNormal;

/// A seed together with what it is used for.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[must_use]
pub struct Key([u8; 32]);

impl Key {
    /// The root key of a seed.
    pub fn new(seed: u64) -> Self {
        Key(*blake3::Hasher::new_derive_key("largebatch 2026 seed")
            .update(&seed.to_le_bytes())
            .finalize()
            .as_bytes())
    }

    /// The key refined by a word: a purpose (`"weights"`, `"order"`) or a parameter's path.
    pub fn word(self, word: &str) -> Self {
        self.refined(b"w", word.as_bytes())
    }

    /// The key refined by a number: an epoch, a step, an example's index.
    pub fn number(self, number: u64) -> Self {
        self.refined(b"n", &number.to_le_bytes())
    }

    fn refined(self, kind: &[u8], by: &[u8]) -> Self {
        let mut hasher = blake3::Hasher::new_keyed(&self.0);
        Key(*hasher.update(kind).update(by).finalize().as_bytes())
    }

    /// The stream of random numbers of this key.
    pub fn rng(self) -> ChaCha8Rng {
        ChaCha8Rng::from_seed(self.0)
    }

    /// The stream of one of the 2⁶⁴ members of this key, such as one example of a batch. Unlike
    /// [`Key::number`], it needs no hash.
    pub fn stream(self, member: u64) -> ChaCha8Rng {
        let mut rng = self.rng();
        rng.set_stream(member);
        rng
    }

    /// A uniformly random order of `0..n` (Fisher and Yates).
    ///
    /// # Panics
    /// If `n` is above 2³² − 1.
    pub fn permutation(self, n: usize) -> Vec<u32> {
        let n = u32::try_from(n).expect("a permutation of fewer than 2^32 members");
        let mut rng = self.rng();
        let mut order: Vec<u32> = (0..n).collect();
        for i in (1..n).rev() {
            order.swap(i as usize, below(&mut rng, i + 1) as usize);
        }
        order
    }
}

/// A uniform integer in `0..bound` without bias (Lemire 2019, arXiv 1805.10941).
///
/// # Panics
/// If `bound` is 0.
pub fn below(rng: &mut impl Rng, bound: u32) -> u32 {
    assert!(bound > 0, "a draw below 0");
    let threshold = bound.wrapping_neg() % bound;
    loop {
        let product = u64::from(rng.next_u32()) * u64::from(bound);
        if product as u32 >= threshold {
            return (product >> 32) as u32;
        }
    }
}

/// A uniform number in [0, 1) with 53 random bits.
pub fn unit(rng: &mut impl Rng) -> f64 {
    (rng.next_u64() >> 11) as f64 * (1.0 / (1u64 << 53) as f64)
}

/// Writes the first value where the next [`unit`](fn@unit) is below a probability, and the second elsewhere.
pub fn either(rng: &mut impl Rng, probability: f64, values: [f32; 2], to: &mut [f32]) {
    // Integers are compared, and numbers drawn many at a time: that is faster.
    let least = (probability * (1u64 << 53) as f64).ceil() as u64;
    let mut bytes = [0; 512];
    for to in to.chunks_mut(64) {
        let (drawn, _) = bytes[..8 * to.len()].as_chunks_mut::<8>();
        rng.fill_bytes(drawn.as_flattened_mut());
        for (to, drawn) in to.iter_mut().zip(drawn) {
            // Not a branch, which would be mispredicted.
            *to = values[usize::from(u64::from_le_bytes(*drawn) >> 11 >= least)];
        }
    }
}

/// A draw from the standard normal distribution N(0, 1).
pub fn normal(rng: &mut impl Rng) -> f64 {
    rng.sample(StandardNormal)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The ChaCha8 key stream of an all-zero key, from the test vectors that Strombergson published
    /// (draft-strombergson-chacha-test-vectors-01, TC1, 8 rounds): the generator is the published one.
    #[test]
    fn chacha8_is_the_published_one() {
        let mut rng = ChaCha8Rng::from_seed([0; 32]);
        let mut bytes = [0u8; 16];
        rng.fill_bytes(&mut bytes);
        assert_eq!(
            bytes,
            [
                0x3e, 0x00, 0xef, 0x2f, 0x89, 0x5f, 0x40, 0xd6, 0x7f, 0x5b, 0xb8, 0xe8, 0x1f, 0x09,
                0xa5, 0xa1
            ]
        );
    }

    #[test]
    fn keys_differ_by_seed_word_and_number() {
        let k = Key::new(1).word("order");
        let all = [
            k,
            Key::new(2).word("order"),
            Key::new(1).word("mask"),
            k.number(0),
            k.number(1),
            k.word(""),
        ];
        for (i, a) in all.iter().enumerate() {
            assert!(all[i + 1..].iter().all(|b| a != b));
        }
        assert_ne!(k.stream(0).next_u64(), k.stream(1).next_u64());
    }

    /// Pinned: a change here would silently change every run that was ever recorded.
    #[test]
    fn vectors_are_pinned() {
        assert_eq!(
            Key::new(0).word("order").number(0).permutation(10),
            PERMUTATION
        );
        let mut rng = Key::new(0).word("weights").rng();
        let normals: Vec<u64> = (0..4).map(|_| normal(&mut rng).to_bits()).collect();
        assert_eq!(normals, NORMALS);
    }
    const PERMUTATION: [u32; 10] = [2, 9, 8, 6, 4, 7, 3, 0, 5, 1];
    const NORMALS: [u64; 4] = [
        13829583521649639857,
        13824467123685184451,
        4607437322924320520,
        13833028641039567735,
    ];

    #[test]
    fn either_is_the_first_below_the_probability() {
        for (probability, count) in [(0.4, 200), (0.5, 7), (0.0, 64), (1.0, 65), (1e-9, 1)] {
            let mut values = vec![f32::NAN; count];
            let mut rng = Key::new(5).stream(8);
            either(&mut rng, probability, [0.0, 2.5], &mut values);
            let mut rng = Key::new(5).stream(8);
            for value in values {
                let below = unit(&mut rng) < probability;
                assert_eq!(value, if below { 0.0 } else { 2.5 });
            }
        }
    }

    #[test]
    fn moments_are_right() {
        let (mut rng, n) = (Key::new(3).rng(), 200_000);
        let draws: Vec<f64> = (0..n).map(|_| normal(&mut rng)).collect();
        let mean = draws.iter().sum::<f64>() / n as f64;
        let variance = draws.iter().map(|x| x * x).sum::<f64>() / n as f64;
        assert!(
            mean.abs() < 0.01 && (variance - 1.0).abs() < 0.02,
            "{mean} {variance}"
        );
        let mean = (0..n).map(|_| unit(&mut rng)).sum::<f64>() / n as f64;
        assert!((mean - 0.5).abs() < 0.005);
    }

    /// Each of the 24 orders of four members comes up equally often: χ² with 23 degrees of freedom, 99.9 % quantile 49.7.
    #[test]
    fn permutations_are_uniform() {
        let mut counts = std::collections::BTreeMap::new();
        for i in 0..24_000 {
            *counts.entry(Key::new(i).permutation(4)).or_insert(0.0) += 1.0;
        }
        let chi2: f64 = counts
            .values()
            .map(|c: &f64| (c - 1000.0) * (c - 1000.0) / 1000.0)
            .sum();
        assert!(counts.len() == 24 && chi2 < 49.7, "{chi2}");
    }
}
