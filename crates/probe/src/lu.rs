//! Small systems of linear equations.

/// A small square matrix, factorized with partial pivoting.
pub(crate) struct Lu {
    entries: Vec<f64>,
    order: Vec<usize>,
}

impl Lu {
    pub(crate) fn empty() -> Self {
        Lu {
            entries: Vec::new(),
            order: Vec::new(),
        }
    }

    /// Factorizes a row-major n × n matrix; `None` if it is singular or not finite.
    pub(crate) fn new(mut a: Vec<f64>, n: usize) -> Option<Self> {
        let mut order: Vec<usize> = (0..n).collect();
        for column in 0..n {
            let pivot = (column..n)
                .max_by(|&i, &j| a[i * n + column].abs().total_cmp(&a[j * n + column].abs()))?;
            let value = a[pivot * n + column];
            if value == 0.0 || !value.is_finite() {
                return None;
            }
            if pivot != column {
                order.swap(pivot, column);
                for j in 0..n {
                    a.swap(pivot * n + j, column * n + j);
                }
            }
            for i in column + 1..n {
                let factor = a[i * n + column] / value;
                a[i * n + column] = factor;
                for j in column + 1..n {
                    a[i * n + j] -= factor * a[column * n + j];
                }
            }
        }
        Some(Lu { entries: a, order })
    }

    pub(crate) fn solve(&self, b: &[f64]) -> Vec<f64> {
        let n = self.order.len();
        let mut x: Vec<f64> = self.order.iter().map(|&i| b[i]).collect();
        for i in 0..n {
            let sum: f64 = (0..i).map(|j| self.entries[i * n + j] * x[j]).sum();
            x[i] -= sum;
        }
        for i in (0..n).rev() {
            let sum: f64 = (i + 1..n).map(|j| self.entries[i * n + j] * x[j]).sum();
            x[i] = (x[i] - sum) / self.entries[i * n + i];
        }
        x
    }
}
