//! Planes in the space of the parameters: random and filter-normalized, through three points, or of
//! a path's principal components.

use largebatch_random::{Key, normal};
use serde::Serialize;

use crate::ProbeError;
use crate::vector::{dot, extent, norm, plus};

/// A plane origin + a·u + b·v.
#[derive(Debug, Clone, PartialEq)]
pub struct Plane {
    /// The origin, at coordinates (0, 0).
    pub origin: Vec<f64>,
    /// The direction of the first coordinate.
    pub u: Vec<f64>,
    /// The direction of the second coordinate.
    pub v: Vec<f64>,
    /// Points of interest: the centre, the three points, or the path.
    pub marks: Vec<Mark>,
    /// The fractions of the path's variance along the two directions; only for a path's plane.
    pub explained: Option<[f64; 2]>,
}

/// A named point of a plane.
#[derive(Debug, Clone, PartialEq, Serialize, serde::Deserialize)]
pub struct Mark {
    /// Its name.
    pub label: String,
    /// Its first coordinate.
    pub a: f64,
    /// Its second coordinate.
    pub b: f64,
}

impl Plane {
    /// Two filter-normalised random directions about a point (Li, Xu, Taylor, Studer and Goldstein 2018, arXiv 1712.09913).
    ///
    /// The entries are drawn from a normal distribution; then each filter d is scaled to the norm
    /// of the network's filter w, d ← d ‖w‖/‖d‖. A filter is a row in PyTorch's layout `[out, …]`,
    /// in a dense layer the weights of one output. Biases and batch norm's parameters do not move,
    /// as in the paper's programs (`--xignore biasbn`). The picture then does not depend on the
    /// scale of the weights, so pictures of different networks can be compared. `shapes` are the
    /// parameters' shapes in the order of the vector.
    ///
    /// # Errors
    /// Shapes that do not add up to the vector.
    pub fn random(x: &[f64], shapes: &[Vec<usize>], seed: u64) -> Result<Self, ProbeError> {
        let total: usize = shapes.iter().map(|s| s.iter().product::<usize>()).sum();
        if total != x.len() {
            let why = format!("must add up to the {} parameters", x.len());
            return Err(ProbeError::value("shapes", total, why));
        }
        let direction = |number: u64| {
            let mut rng = Key::new(seed).word("surface").number(number).rng();
            let mut out = Vec::with_capacity(x.len());
            for shape in shapes {
                let n: usize = shape.iter().product();
                if shape.len() < 2 {
                    out.resize(out.len() + n, 0.0);
                    continue;
                }
                let filter = (n / shape[0].max(1)).max(1);
                for w in x[out.len()..out.len() + n].chunks(filter) {
                    let d: Vec<f64> = w.iter().map(|_| normal(&mut rng)).collect();
                    let scale = norm(w) / norm(&d);
                    out.extend(d.iter().map(|d| d * scale));
                }
            }
            out
        };
        let marks = vec![Mark {
            label: "the run's weights".into(),
            a: 0.0,
            b: 0.0,
        }];
        Ok(Plane {
            origin: x.to_vec(),
            u: direction(0),
            v: direction(1),
            marks,
            explained: None,
        })
    }

    /// The plane through three points, with orthonormal directions. The first point is the origin,
    /// and the second is on the first axis.
    ///
    /// # Errors
    /// Points on one line, which do not span a plane.
    pub fn through(points: [(&str, &[f64]); 3]) -> Result<Self, ProbeError> {
        let [(_, a), (_, b), (_, c)] = points;
        let (mut u, mut v) = (plus(b, -1.0, a), plus(c, -1.0, a));
        let (ab, ac) = (norm(&u), norm(&v));
        u.iter_mut().for_each(|u| *u /= ab);
        let along = dot(&u, &v);
        v.iter_mut().zip(&u).for_each(|(v, u)| *v -= along * u);
        let height = norm(&v);
        // Written so that NaN is refused too.
        if !(ab > 0.0 && height > 1e-9 * ac) {
            let names = points.map(|(name, _)| name).join(", ");
            let why = "the three points are on one line and do not span a plane; choose others";
            return Err(ProbeError::value("points", names, why));
        }
        v.iter_mut().for_each(|v| *v /= height);
        let at = [(0.0, 0.0), (ab, 0.0), (along, height)];
        let marks = points
            .iter()
            .zip(at)
            .map(|((name, _), (a, b))| Mark {
                label: (*name).into(),
                a,
                b,
            })
            .collect();
        Ok(Plane {
            origin: a.to_vec(),
            u,
            v,
            marks,
            explained: None,
        })
    }

    /// The plane through the end of a path, along the two principal components with the largest
    /// variance. The points are centered first.
    ///
    /// # Errors
    /// Fewer than three points, or points on one line.
    pub fn principal(path: &[(String, Vec<f64>)]) -> Result<Self, ProbeError> {
        let few = || {
            ProbeError::value(
                "checkpoints",
                path.len(),
                "the plane of a path needs at least three checkpoints that are not on one line",
            )
        };
        let Some((_, end)) = path.last().filter(|_| path.len() >= 3) else {
            return Err(few());
        };
        let n = path.len();
        let mean: Vec<f64> = (0..end.len())
            .map(|i| path.iter().map(|(_, p)| p[i]).sum::<f64>() / n as f64)
            .collect();
        let centred: Vec<Vec<f64>> = path.iter().map(|(_, p)| plus(p, -1.0, &mean)).collect();
        let mut gram = vec![0.0; n * n];
        for i in 0..n {
            for j in 0..=i {
                let product = dot(&centred[i], &centred[j]);
                gram[i * n + j] = product;
                gram[j * n + i] = product;
            }
        }
        let trace: f64 = (0..n).map(|i| gram[i * n + i]).sum();
        let (values, vectors) = symmetric_eigen(gram, n);
        if !(values[1] > 1e-12 * values[0]) {
            return Err(few());
        }
        let direction = |k: usize| {
            let mut d: Vec<f64> = (0..end.len())
                .map(|i| (0..n).map(|t| vectors[k][t] * centred[t][i]).sum())
                .collect();
            let length = norm(&d);
            // The sign is arbitrary: chosen so that the path comes from the left and from below.
            let start: f64 = (0..d.len()).map(|i| (path[0].1[i] - end[i]) * d[i]).sum();
            let sign = if start > 0.0 { -1.0 } else { 1.0 };
            d.iter_mut().for_each(|d| *d *= sign / length);
            d
        };
        let (u, v) = (direction(0), direction(1));
        let place = |p: &[f64], d: &[f64]| {
            p.iter()
                .zip(end)
                .zip(d)
                .map(|((p, e), d)| (p - e) * d)
                .sum::<f64>()
        };
        let marks = path
            .iter()
            .map(|(label, p)| Mark {
                label: label.clone(),
                a: place(p, &u),
                b: place(p, &v),
            })
            .collect();
        Ok(Plane {
            origin: end.clone(),
            u,
            v,
            marks,
            explained: Some([values[0] / trace, values[1] / trace]),
        })
    }

    /// The point at coordinates (a, b).
    pub fn at(&self, a: f64, b: f64) -> Vec<f64> {
        (0..self.origin.len())
            .map(|i| self.origin[i] + a * self.u[i] + b * self.v[i])
            .collect()
    }

    /// Ranges of both coordinates that contain every mark, with a margin on each side of `share`
    /// times the larger range.
    pub fn window(&self, share: f64) -> [(f64, f64); 2] {
        let range = |of: fn(&Mark) -> f64| extent(self.marks.iter().map(of));
        let (a, b) = (range(|m| m.a), range(|m| m.b));
        let room = share * (a.1 - a.0).max(b.1 - b.0);
        [(a.0 - room, a.1 + room), (b.0 - room, b.1 + room)]
    }
}

/// Eigenvalues in decreasing order and their unit vectors, of a symmetric n × n matrix, by Jacobi
/// rotations.
fn symmetric_eigen(mut m: Vec<f64>, n: usize) -> (Vec<f64>, Vec<Vec<f64>>) {
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
