//! Points in the unit cube: random, Halton and Sobol.

use largebatch_random::{Key, unit};
use schemars::JsonSchema;
use serde::Deserialize;

/// How the tuned settings are searched.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Method {
    /// Every combination.
    #[default]
    Grid,
    /// Independent uniform points.
    Random,
    /// Halton's sequence (1960) in the bases 2, 3, 5, …, with each coordinate shifted by a random
    /// number modulo 1 (Cranley and Patterson 1976).
    Halton,
    /// Sobol's sequence with the direction numbers of Joe and Kuo (2008), with each coordinate's
    /// bits XORed with random bits. The method of Shallue et al. is also quasi-random.
    Sobol,
}

/// The most settings that the Halton and Sobol sequences support here.
pub(crate) const MAX_DIMENSIONS: usize = 10;

impl Method {
    /// The first `n` points in [0, 1)^`dimensions`. The same seed gives the same points; another
    /// seed gives another shift of the same sequence.
    ///
    /// # Panics
    /// For `Grid`, and above [`MAX_DIMENSIONS`] for the sequences.
    pub(crate) fn points(self, n: usize, dimensions: usize, seed: u64) -> Vec<Vec<f64>> {
        let key = Key::new(seed).word("search");
        let shift: Vec<f64> = {
            let mut rng = key.word("shift").rng();
            (0..dimensions).map(|_| unit(&mut rng)).collect()
        };
        match self {
            Method::Grid => panic!("a grid has no points in the unit cube"),
            Method::Random => (0..n as u64)
                .map(|i| {
                    let mut rng = key.number(i).rng();
                    (0..dimensions).map(|_| unit(&mut rng)).collect()
                })
                .collect(),
            Method::Halton => (0..n as u64)
                .map(|i| {
                    (0..dimensions)
                        .map(|d| (radical_inverse(i, PRIMES[d]) + shift[d]).fract())
                        .collect()
                })
                .collect(),
            Method::Sobol => {
                let shift: Vec<u32> = shift.iter().map(|u| (u * 4_294_967_296.0) as u32).collect();
                sobol(n, dimensions)
                    .into_iter()
                    .map(|p| {
                        p.iter()
                            .zip(&shift)
                            .map(|(x, s)| f64::from(x ^ s) / 4_294_967_296.0)
                            .collect()
                    })
                    .collect()
            }
        }
    }
}

const PRIMES: [u64; MAX_DIMENSIONS] = [2, 3, 5, 7, 11, 13, 17, 19, 23, 29];

/// The digits of `i` in `base`, mirrored at the radix point.
fn radical_inverse(mut i: u64, base: u64) -> f64 {
    let (mut digits, mut scale) = (0u64, 1u64);
    while i > 0 {
        digits = digits * base + i % base;
        scale *= base;
        i /= base;
    }
    digits as f64 / scale as f64
}

/// Joe and Kuo's `new-joe-kuo-6.21201`: degree s, coefficients a, and initial numbers m of dimensions 2 to 10.
const JOE_KUO: [(u32, u32, &[u32]); MAX_DIMENSIONS - 1] = [
    (1, 0, &[1]),
    (2, 1, &[1, 3]),
    (3, 1, &[1, 3, 1]),
    (3, 2, &[1, 1, 1]),
    (4, 1, &[1, 1, 3, 3]),
    (4, 4, &[1, 3, 5, 13]),
    (5, 2, &[1, 1, 5, 5, 17]),
    (5, 4, &[1, 1, 5, 5, 5]),
    (5, 7, &[1, 1, 7, 11, 19]),
];

/// The first `n` Sobol points as 32-bit fractions, in Gray-code order (Antonov and Saleev 1979),
/// starting at 0.
fn sobol(n: usize, dimensions: usize) -> Vec<Vec<u32>> {
    let directions: Vec<[u32; 32]> = (0..dimensions)
        .map(|d| {
            let mut v = [0u32; 32];
            if d == 0 {
                for (k, v) in v.iter_mut().enumerate() {
                    *v = 1 << (31 - k);
                }
                return v;
            }
            let (degree, coefficients, m) = JOE_KUO[d - 1];
            let s = degree as usize;
            for k in 0..32 {
                v[k] = if k < s {
                    m[k] << (31 - k)
                } else {
                    (1..s)
                        .filter(|j| coefficients >> (s - 1 - j) & 1 == 1)
                        .fold(v[k - s] ^ (v[k - s] >> s), |x, j| x ^ v[k - j])
                };
            }
            v
        })
        .collect();
    let mut x = vec![0u32; dimensions];
    (0..n)
        .map(|i| {
            let point = x.clone();
            let bit = (i as u32).trailing_ones() as usize;
            x.iter_mut()
                .zip(&directions)
                .for_each(|(x, v)| *x ^= v[bit.min(31)]);
            point
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// scipy.stats.qmc.Sobol(10, scramble=False, bits=32).random(1000) and Halton(10, scramble=False): see `tests/golden.py`.
    #[test]
    fn sequences_are_scipys() {
        let golden: serde_json::Value =
            serde_json::from_str(include_str!("../tests/golden.json")).unwrap();
        let rows = |name: &str| -> Vec<(usize, Vec<f64>)> {
            serde_json::from_value(golden[name].clone()).unwrap()
        };
        let points = sobol(1000, 10);
        for (i, row) in rows("sobol") {
            let ours: Vec<f64> = points[i]
                .iter()
                .map(|&x| f64::from(x) / 4_294_967_296.0)
                .collect();
            assert_eq!(ours, row, "Sobol point {i}");
        }
        for (i, row) in rows("halton") {
            for (d, x) in row.iter().enumerate() {
                assert!(
                    (radical_inverse(i as u64, PRIMES[d]) - x).abs() < 1e-14,
                    "Halton point {i}, dimension {d}"
                );
            }
        }
    }

    #[test]
    fn points_lie_in_the_cube_and_follow_the_seed() {
        for method in [Method::Random, Method::Halton, Method::Sobol] {
            let points = method.points(100, 10, 1);
            assert!(
                points.iter().flatten().all(|x| (0.0..1.0).contains(x)),
                "{method:?}"
            );
            assert_eq!(
                points[..50],
                method.points(50, 10, 1),
                "{method:?}: more points keep the first ones"
            );
            assert_ne!(points, method.points(100, 10, 2), "{method:?}");
            let mean = points.iter().map(|p| p[0]).sum::<f64>() / 100.0;
            assert!((mean - 0.5).abs() < 0.1, "{method:?}: {mean}");
        }
    }
}
