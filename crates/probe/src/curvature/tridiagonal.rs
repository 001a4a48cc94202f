//! Eigenvalues and eigenvectors of a symmetric tridiagonal matrix.

/// Eigenvalues in decreasing order and their unit eigenvectors, of the matrix with diagonal `alpha`
/// and off-diagonal `beta` (one shorter).
///
/// The implicit QL algorithm with Wilkinson's shift (Bowdler, Martin, Reinsch and Wilkinson 1968,
/// EISPACK's `tql2`): at most 30 sweeps of rotations per eigenvalue, O(m³) in all.
pub(crate) fn eigen(alpha: &[f64], beta: &[f64]) -> (Vec<f64>, Vec<Vec<f64>>) {
    let n = alpha.len();
    let mut d = alpha.to_vec();
    let mut e = beta.to_vec();
    e.resize(n, 0.0);
    // Rows of z are eigenvectors.
    let mut z: Vec<Vec<f64>> = (0..n)
        .map(|i| (0..n).map(|j| if i == j { 1.0 } else { 0.0 }).collect())
        .collect();
    for l in 0..n {
        for _ in 0..60 {
            let Some(m) = (l..n).find(|&m| {
                m + 1 == n || e[m].abs() <= f64::EPSILON * (d[m].abs() + d[m + 1].abs())
            }) else {
                break;
            };
            if m == l {
                break;
            }
            let mut g = (d[l + 1] - d[l]) / (2.0 * e[l]);
            let mut r = g.hypot(1.0);
            g = d[m] - d[l] + e[l] / (g + r.copysign(g));
            let (mut s, mut c, mut p) = (1.0, 1.0, 0.0);
            let mut early = false;
            for i in (l..m).rev() {
                let f = s * e[i];
                let b = c * e[i];
                r = f.hypot(g);
                e[i + 1] = r;
                if r == 0.0 {
                    d[i + 1] -= p;
                    e[m] = 0.0;
                    early = true;
                    break;
                }
                s = f / r;
                c = g / r;
                g = d[i + 1] - p;
                r = (d[i] - g) * s + 2.0 * c * b;
                p = s * r;
                d[i + 1] = g + p;
                g = c * r - b;
                let (left, right) = z.split_at_mut(i + 1);
                for (a, b) in left[i].iter_mut().zip(right[0].iter_mut()) {
                    let f = *b;
                    *b = s * *a + c * f;
                    *a = c * *a - s * f;
                }
            }
            if !early {
                d[l] -= p;
                e[l] = g;
                e[m] = 0.0;
            }
        }
    }
    let mut order: Vec<usize> = (0..n).collect();
    order.sort_by(|&a, &b| d[b].total_cmp(&d[a]));
    (
        order.iter().map(|&i| d[i]).collect(),
        order.iter().map(|&i| std::mem::take(&mut z[i])).collect(),
    )
}

#[cfg(test)]
mod tests {
    use super::eigen;

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
