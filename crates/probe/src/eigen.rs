//! Eigenvalues of small symmetric matrices.

use crate::vector::norm;

/// Eigenvalues in decreasing order and their unit vectors, of a symmetric n × n matrix, by Jacobi
/// rotations.
pub(crate) fn symmetric(mut m: Vec<f64>, n: usize) -> (Vec<f64>, Vec<Vec<f64>>) {
    let mut vectors = vec![0.0; n * n];
    (0..n).for_each(|i| vectors[i * n + i] = 1.0);
    let size = norm(&m);
    for _sweep in 0..60 {
        let off: f64 = (0..n)
            .flat_map(|i| (0..i).map(move |j| (i, j)))
            .map(|(i, j)| m[i * n + j].powi(2))
            .sum();
        if off.sqrt() <= 1e-15 * size {
            break;
        }
        for p in 0..n {
            for q in p + 1..n {
                if m[p * n + q] == 0.0 {
                    continue;
                }
                let theta = (m[q * n + q] - m[p * n + p]) / (2.0 * m[p * n + q]);
                let t = theta.signum() / (theta.abs() + (theta * theta + 1.0).sqrt());
                let c = 1.0 / (t * t + 1.0).sqrt();
                let s = t * c;
                for k in 0..n {
                    let (a, b) = (m[k * n + p], m[k * n + q]);
                    (m[k * n + p], m[k * n + q]) = (c * a - s * b, s * a + c * b);
                }
                for k in 0..n {
                    let (a, b) = (m[p * n + k], m[q * n + k]);
                    (m[p * n + k], m[q * n + k]) = (c * a - s * b, s * a + c * b);
                    let (a, b) = (vectors[p * n + k], vectors[q * n + k]);
                    (vectors[p * n + k], vectors[q * n + k]) = (c * a - s * b, s * a + c * b);
                }
            }
        }
    }
    let mut order: Vec<usize> = (0..n).collect();
    order.sort_by(|&i, &j| m[j * n + j].total_cmp(&m[i * n + i]));
    let values = order.iter().map(|&i| m[i * n + i]).collect();
    (
        values,
        order
            .iter()
            .map(|&i| vectors[i * n..(i + 1) * n].to_vec())
            .collect(),
    )
}

#[cfg(test)]
mod tests {
    use super::symmetric;

    fn eigen(diagonal: &[f64], beside: &[f64]) -> (Vec<f64>, Vec<Vec<f64>>) {
        let n = diagonal.len();
        let mut m = vec![0.0; n * n];
        diagonal
            .iter()
            .enumerate()
            .for_each(|(i, x)| m[i * n + i] = *x);
        for (i, x) in beside.iter().enumerate() {
            (m[i * n + i + 1], m[(i + 1) * n + i]) = (*x, *x);
        }
        symmetric(m, n)
    }

    /// The second difference matrix: λ_k = 2 − 2 cos(kπ/(n+1)), v_k(j) ∝ sin(jkπ/(n+1)).
    #[test]
    fn second_differences() {
        let n = 40;
        let (values, vectors) = eigen(&vec![2.0; n], &vec![-1.0; n - 1]);
        for (i, (value, v)) in values.iter().zip(&vectors).enumerate() {
            let angle = (n - i) as f64 * std::f64::consts::PI / (n as f64 + 1.0);
            assert!(
                (value - (2.0 - 2.0 * angle.cos())).abs() < 1e-13,
                "{i}: {value}"
            );
            let exact: Vec<f64> = (1..=n)
                .map(|j| (j as f64 * angle).sin() * (2.0 / (n as f64 + 1.0)).sqrt())
                .collect();
            let cosine: f64 = v.iter().zip(&exact).map(|(a, b)| a * b).sum();
            assert!((cosine.abs() - 1.0).abs() < 1e-12, "{i}: {cosine}");
        }
    }

    #[test]
    fn one_number_and_a_diagonal() {
        assert_eq!(eigen(&[3.0], &[]).0, [3.0]);
        assert_eq!(eigen(&[1.0, 5.0, 2.0], &[0.0, 0.0]).0, [5.0, 2.0, 1.0]);
    }
}
