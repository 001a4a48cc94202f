//! A random linear subspace of the parameters, stored with one bit per entry.

use largebatch_random::Key;
use rand::Rng as _;

use crate::lu::Lu;

/// An n × p matrix A of independent random signs ±1, with a direction of the parameters in each
/// column.
///
/// Keskar et al. say that the columns of A are random, but not how they are drawn. Signs have the
/// mean 0 and the variance 1 of standard normal entries and take 1/64 of the memory: 100 directions
/// of 25 million parameters take 320 MB. Linearly dependent columns would span fewer than p
/// directions. With few parameters, random signs are often dependent (with two, in half of all
/// pairs), so a column that depends on earlier ones is drawn again.
pub(crate) struct Signs {
    /// The columns; a set bit means −1. Bits beyond n are 0.
    columns: Vec<Vec<u64>>,
    /// AᵀA, in row-major order.
    gram: Vec<f64>,
}

/// The smallest fraction of a column's squared length that must be outside the span of the earlier
/// columns.
const INDEPENDENT: f64 = 1e-9;

impl Signs {
    /// p directions of n parameters, p at most n.
    pub(crate) fn new(n: usize, p: usize, key: Key) -> Self {
        assert!(
            p <= n,
            "{p} directions of {n} parameters cannot be independent"
        );
        let tail = match n % 64 {
            0 => u64::MAX,
            bits => (1 << bits) - 1,
        };
        let mut columns: Vec<Vec<u64>> = Vec::new();
        let mut gram = vec![0.0; p * p];
        // The rows of the Cholesky factor L of AᵀA: L_jj² is the squared length of column j outside
        // the span of earlier columns.
        let mut factor: Vec<Vec<f64>> = Vec::new();
        for j in 0..p {
            let mut rng = key.number(j as u64).rng();
            loop {
                let mut words: Vec<u64> = (0..n.div_ceil(64)).map(|_| rng.next_u64()).collect();
                if let Some(last) = words.last_mut() {
                    *last &= tail;
                }
                let products: Vec<f64> = columns
                    .iter()
                    .map(|column| product(n, column, &words))
                    .collect();
                let mut row: Vec<f64> = Vec::new();
                for (i, product) in products.iter().enumerate() {
                    let sum: f64 = row.iter().zip(&factor[i]).map(|(a, b)| a * b).sum();
                    row.push((product - sum) / factor[i][i]);
                }
                let outside = n as f64 - row.iter().map(|x| x * x).sum::<f64>();
                if outside > INDEPENDENT * n as f64 {
                    row.push(outside.sqrt());
                    factor.push(row);
                    for (i, product) in products.into_iter().chain([n as f64]).enumerate() {
                        gram[i * p + j] = product;
                        gram[j * p + i] = product;
                    }
                    columns.push(words);
                    break;
                }
            }
        }
        Signs { columns, gram }
    }

    /// x + A y.
    pub(crate) fn shift(&self, x: &[f64], y: &[f64]) -> Vec<f64> {
        let mut out = x.to_vec();
        for (column, y) in self.columns.iter().zip(y).filter(|(_, y)| **y != 0.0) {
            for (word, out) in column.iter().zip(out.chunks_mut(64)) {
                out.iter_mut()
                    .enumerate()
                    .for_each(|(i, out)| *out += signed(*y, word >> i));
            }
        }
        out
    }

    /// Aᵀ g.
    pub(crate) fn transposed(&self, g: &[f64]) -> Vec<f64> {
        let along = |column: &Vec<u64>| {
            let words = column.iter().zip(g.chunks(64));
            words
                .map(|(word, g)| {
                    g.iter()
                        .enumerate()
                        .map(|(i, g)| signed(*g, word >> i))
                        .sum::<f64>()
                })
                .sum()
        };
        self.columns.iter().map(along).collect()
    }

    /// A⁺ x = (AᵀA)⁻¹ Aᵀ x.
    pub(crate) fn pseudo_inverse(&self, x: &[f64]) -> Vec<f64> {
        let solver = Lu::new(self.gram.clone(), self.columns.len())
            .expect("the Gram matrix of independent columns is invertible");
        solver.solve(&self.transposed(x))
    }
}

/// The dot product of two columns of n signs.
fn product(n: usize, a: &[u64], b: &[u64]) -> f64 {
    let differ: u64 = a
        .iter()
        .zip(b)
        .map(|(a, b)| u64::from((a ^ b).count_ones()))
        .sum();
    n as f64 - 2.0 * differ as f64
}

/// The value, negated if the word's lowest bit is set.
fn signed(value: f64, word: u64) -> f64 {
    f64::from_bits(value.to_bits() ^ (word << 63))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_products_are_those_of_the_written_out_matrix() {
        let (n, p) = (131, 7);
        let a = Signs::new(n, p, Key::new(1));
        let entry = |i: usize, j: usize| {
            if a.columns[j][i / 64] >> (i % 64) & 1 == 1 {
                -1.0
            } else {
                1.0
            }
        };
        let x: Vec<f64> = (0..n).map(|i| (i as f64).sin()).collect();
        let y: Vec<f64> = (0..p).map(|j| (j as f64 + 1.0).cos()).collect();
        for (i, v) in a.shift(&x, &y).iter().enumerate() {
            assert!((v - x[i] - (0..p).map(|j| entry(i, j) * y[j]).sum::<f64>()).abs() < 1e-12);
        }
        for (j, v) in a.transposed(&x).iter().enumerate() {
            assert!((v - (0..n).map(|i| entry(i, j) * x[i]).sum::<f64>()).abs() < 1e-12);
        }
        // A⁺ A y = y.
        let back = a.pseudo_inverse(&a.shift(&vec![0.0; n], &y));
        assert!(back.iter().zip(&y).all(|(a, b)| (a - b).abs() < 1e-12));
        let ones: u32 = Signs::new(64_000, 1, Key::new(2)).columns[0]
            .iter()
            .map(|w| w.count_ones())
            .sum();
        assert!((31_000..33_000).contains(&ones), "{ones}");
    }

    /// As many directions as parameters form a basis: A A⁺ x = x. For two parameters, plain random
    /// signs are a basis only in half of all cases.
    #[test]
    fn directions_are_independent_however_few_the_parameters() {
        for n in 1..=12 {
            let x: Vec<f64> = (0..n).map(|i| (i as f64 + 0.5).sin()).collect();
            for seed in 0..200 {
                let a = Signs::new(n, n, Key::new(seed));
                let back = a.shift(&vec![0.0; n], &a.pseudo_inverse(&x));
                assert!(
                    back.iter().zip(&x).all(|(a, b)| (a - b).abs() < 1e-9),
                    "{n} parameters, seed {seed}: {back:?} for {x:?}"
                );
            }
        }
    }
}
