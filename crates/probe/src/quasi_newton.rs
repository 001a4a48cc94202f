//! The limited-memory quadratic model of L-BFGS-B, and its minimizers within a box.

use crate::lu::Lu;
use crate::vector::dot;

/// B = θI − W M Wᵀ of the last pairs.
pub(crate) struct Model {
    memory: usize,
    s: Vec<Vec<f64>>,
    y: Vec<Vec<f64>>,
    theta: f64,
    /// The inverse of M, factorized.
    middle: Lu,
}

impl Model {
    pub fn new(memory: usize) -> Self {
        Model {
            memory,
            s: Vec::new(),
            y: Vec::new(),
            theta: 1.0,
            middle: Lu::empty(),
        }
    }

    pub fn is_empty(&self) -> bool {
        self.s.is_empty()
    }

    pub fn forget(&mut self) {
        *self = Model::new(self.memory);
    }

    /// Adds a pair, unless its curvature is not positive, and prepares M.
    pub fn learn(&mut self, s: Vec<f64>, y: Vec<f64>) {
        let (sy, yy) = (dot(&s, &y), dot(&y, &y));
        // Written so that NaN is refused.
        if !(sy > f64::EPSILON * yy) {
            return;
        }
        if self.s.len() == self.memory {
            self.s.remove(0);
            self.y.remove(0);
        }
        self.s.push(s);
        self.y.push(y);
        self.theta = yy / sy;
        let k = self.s.len();
        // M⁻¹ = [[−D, Lᵀ], [L, θ SᵀS]] with D the diagonal of SᵀY and L its part below.
        let mut inverse = vec![0.0; 4 * k * k];
        for i in 0..k {
            for j in 0..=i {
                let cross = dot(&self.s[i], &self.y[j]);
                if i == j {
                    inverse[i * 2 * k + i] = -cross;
                } else {
                    inverse[(k + i) * 2 * k + j] = cross;
                    inverse[j * 2 * k + k + i] = cross;
                }
                let ss = self.theta * dot(&self.s[i], &self.s[j]);
                inverse[(k + i) * 2 * k + k + j] = ss;
                inverse[(k + j) * 2 * k + k + i] = ss;
            }
        }
        match Lu::new(inverse, 2 * k) {
            Some(lu) => self.middle = lu,
            None => self.forget(),
        }
    }

    /// Row `i` of W.
    fn row(&self, i: usize, out: &mut [f64]) {
        let k = self.s.len();
        for j in 0..k {
            out[j] = self.y[j][i];
            out[k + j] = self.theta * self.s[j][i];
        }
    }

    /// The minimizer of the model, towards which the line search goes; `None` if rounding makes the
    /// algebra fail.
    pub fn target(&self, x: &[f64], g: &[f64], lower: &[f64], upper: &[f64]) -> Option<Vec<f64>> {
        let (cauchy, c) = self.cauchy(x, g, lower, upper)?;
        if self.is_empty() {
            return Some(cauchy);
        }
        let newton = self.subspace(x, g, lower, upper, &cauchy, &c)?;
        let projected: Vec<f64> = (0..x.len())
            .map(|i| newton[i].clamp(lower[i], upper[i]))
            .collect();
        // Morales and Nocedal: the projected minimizer if it descends, else the step to it,
        // truncated at the box.
        let slope: f64 = (0..x.len()).map(|i| g[i] * (projected[i] - x[i])).sum();
        if slope < 0.0 {
            return Some(projected);
        }
        let mut cut = 1.0f64;
        for i in 0..x.len() {
            let d = newton[i] - cauchy[i];
            let bound = if d < 0.0 { lower[i] } else { upper[i] };
            if d != 0.0 && bound.is_finite() {
                cut = cut.min((bound - cauchy[i]) / d);
            }
        }
        Some(
            (0..x.len())
                .map(|i| {
                    (cauchy[i] + cut.max(0.0) * (newton[i] - cauchy[i])).clamp(lower[i], upper[i])
                })
                .collect(),
        )
    }

    /// The generalized Cauchy point and c = Wᵀ(x_c − x): the paper's algorithm CP.
    fn cauchy(
        &self,
        x: &[f64],
        g: &[f64],
        lower: &[f64],
        upper: &[f64],
    ) -> Option<(Vec<f64>, Vec<f64>)> {
        let (n, k2) = (x.len(), 2 * self.s.len());
        let mut direction = vec![0.0; n];
        let mut breaks: Vec<(f64, usize)> = Vec::new();
        for i in 0..n {
            let bound = if g[i] < 0.0 { upper[i] } else { lower[i] };
            let t = if g[i] == 0.0 {
                f64::INFINITY
            } else {
                (x[i] - bound) / g[i]
            };
            if t > 0.0 {
                direction[i] = -g[i];
                if t.is_finite() {
                    breaks.push((t, i));
                }
            }
        }
        breaks.sort_unstable_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
        let mut p = vec![0.0; k2];
        for j in 0..k2 / 2 {
            p[j] = dot(&self.y[j], &direction);
            p[k2 / 2 + j] = self.theta * dot(&self.s[j], &direction);
        }
        let mut c = vec![0.0; k2];
        let mut w = vec![0.0; k2];
        let mut point = x.to_vec();
        let mut slope = -dot(&direction, &direction);
        if slope == 0.0 {
            return Some((point, c));
        }
        let mut curvature = -self.theta * slope - dot(&p, &self.middle.solve(&p));
        let floor = f64::EPSILON * curvature.abs();
        let (mut old, mut least) = (0.0, -slope / curvature);
        let mut fixed = vec![false; n];
        for &(t, b) in &breaks {
            let dt = t - old;
            if least < dt {
                break;
            }
            point[b] = if direction[b] > 0.0 {
                upper[b]
            } else {
                lower[b]
            };
            fixed[b] = true;
            let (z, gb) = (point[b] - x[b], g[b]);
            c.iter_mut().zip(&p).for_each(|(c, p)| *c += dt * p);
            slope += dt * curvature + gb * gb + self.theta * gb * z;
            curvature -= self.theta * gb * gb;
            if k2 > 0 {
                self.row(b, &mut w);
                let mw = self.middle.solve(&w);
                slope -= gb * dot(&mw, &c);
                curvature -= 2.0 * gb * dot(&mw, &p) + gb * gb * dot(&mw, &w);
                p.iter_mut().zip(&w).for_each(|(p, w)| *p += gb * w);
            }
            curvature = curvature.max(floor);
            direction[b] = 0.0;
            old = t;
            // Up to rounding, all variables are at their bounds: the path ends here.
            least = if slope < 0.0 { -slope / curvature } else { 0.0 };
        }
        if !least.is_finite() {
            return None;
        }
        for i in (0..n).filter(|&i| !fixed[i]) {
            point[i] = (x[i] + (old + least) * direction[i]).clamp(lower[i], upper[i]);
        }
        c.iter_mut().zip(&p).for_each(|(c, p)| *c += least * p);
        Some((point, c))
    }

    /// The model's minimizer over the variables that are free at the Cauchy point, without their bounds: the paper's direct primal method.
    fn subspace(
        &self,
        x: &[f64],
        g: &[f64],
        lower: &[f64],
        upper: &[f64],
        cauchy: &[f64],
        c: &[f64],
    ) -> Option<Vec<f64>> {
        let k2 = 2 * self.s.len();
        let free: Vec<usize> = (0..x.len())
            .filter(|&i| cauchy[i] > lower[i] && cauchy[i] < upper[i])
            .collect();
        let mc = self.middle.solve(c);
        let mut w = vec![0.0; k2];
        let mut reduced = vec![0.0; free.len()];
        let mut v = vec![0.0; k2];
        let mut gram = vec![0.0; k2 * k2];
        for (r, &i) in reduced.iter_mut().zip(&free) {
            self.row(i, &mut w);
            *r = g[i] + self.theta * (cauchy[i] - x[i]) - dot(&w, &mc);
            for a in 0..k2 {
                v[a] += w[a] * *r;
                for b in 0..=a {
                    gram[a * k2 + b] += w[a] * w[b];
                }
            }
        }
        for a in 0..k2 {
            for b in 0..a {
                gram[b * k2 + a] = gram[a * k2 + b];
            }
        }
        // (I − M WᵀZZᵀW / θ) v' = M v, by Sherman, Morrison and Woodbury.
        let mut n = vec![0.0; k2 * k2];
        for b in 0..k2 {
            let column: Vec<f64> = (0..k2).map(|a| gram[a * k2 + b] / self.theta).collect();
            for (a, value) in self.middle.solve(&column).into_iter().enumerate() {
                n[a * k2 + b] = f64::from(a == b) - value;
            }
        }
        let v = Lu::new(n, k2)?.solve(&self.middle.solve(&v));
        let mut newton = cauchy.to_vec();
        for (r, &i) in reduced.iter().zip(&free) {
            self.row(i, &mut w);
            newton[i] -= r / self.theta + dot(&w, &v) / (self.theta * self.theta);
        }
        newton.iter().all(|v| v.is_finite()).then_some(newton)
    }
}
