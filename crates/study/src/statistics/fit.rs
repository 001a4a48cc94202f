//! Fits of steps against batch size.

use super::interval::t_quantile;
use super::mean;

/// A power law y = c · x^exponent, fitted by least squares in the logarithms.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct PowerLaw {
    /// The exponent. If x is the batch size and y the best rate, 0.5 is the square-root rule and 1
    /// the linear rule.
    pub exponent: f64,
    /// Its 95 % interval (Student's t); `None` for two points, which any power law fits.
    pub interval: Option<(f64, f64)>,
    /// The factor c.
    pub factor: f64,
}

/// Fits a power law to points (x, y) above 0. `None` with fewer than two different x, or with a
/// value that is not above 0 and finite. The interval is that of `scipy.stats.linregress` on the
/// logarithms.
pub fn power_law(points: &[(f64, f64)]) -> Option<PowerLaw> {
    if !positive(points) {
        return None;
    }
    let (x, y): (Vec<f64>, Vec<f64>) = points.iter().map(|(x, y)| (x.ln(), y.ln())).unzip();
    let (mx, my) = (mean(&x), mean(&y));
    let spread: f64 = x.iter().map(|x| (x - mx).powi(2)).sum();
    if x.len() < 2 || spread == 0.0 {
        return None;
    }
    let exponent = x
        .iter()
        .zip(&y)
        .map(|(x, y)| (x - mx) * (y - my))
        .sum::<f64>()
        / spread;
    let residual: f64 = x
        .iter()
        .zip(&y)
        .map(|(x, y)| (y - my - exponent * (x - mx)).powi(2))
        .sum();
    let freedom = x.len() as f64 - 2.0;
    let half =
        (freedom > 0.0).then(|| t_quantile(0.975, freedom) * (residual / freedom / spread).sqrt());
    Some(PowerLaw {
        exponent,
        interval: half.map(|h| (exponent - h, exponent + h)),
        factor: (my - exponent * mx).exp(),
    })
}

/// Steps needed at `batch` with perfect scaling: those of the smallest batch size, halved with
/// every doubling. `points` are (batch size, steps to the target).
pub fn perfect_scaling(points: &[(f64, f64)], batch: f64) -> Option<f64> {
    let (b0, s0) = points.iter().copied().min_by(|a, b| a.0.total_cmp(&b.0))?;
    Some(s0 * b0 / batch)
}

/// The hyperbola (S/S_min − 1)(E/E_min − 1) = 1, which with E = S·B is S = S_min (1 + B_crit/B)
/// (McCandlish et al. 2018, arXiv 1812.06162).
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Hyperbola {
    /// The least number of steps at any batch size, S_min.
    pub s_min: f64,
    /// The least number of examples at any batch size, E_min = S_min · B_crit.
    pub e_min: f64,
    /// The batch size that needs twice S_min steps and twice E_min examples, B_crit.
    pub b_crit: f64,
}

impl Hyperbola {
    /// Steps at a batch size.
    pub fn steps(&self, batch: f64) -> f64 {
        self.s_min * (1.0 + self.b_crit / batch)
    }
}

/// Fits the hyperbola to (batch size, steps to the target), by least squares in log steps. `None`
/// with fewer than three batch sizes, or if the points do not bend: B_crit is then more than
/// 100-fold outside the measured batch sizes, and the data do not determine it.
pub fn hyperbola(points: &[(f64, f64)]) -> Option<Hyperbola> {
    let sizes = distinct(points)?;
    let (low, high) = (
        (sizes[0] / 100.0).ln(),
        (sizes[sizes.len() - 1] * 100.0).ln(),
    );
    // For a given B_crit the best S_min has a closed form, so only one dimension remains.
    let fit = |log_b: f64| {
        let parts: Vec<f64> = points
            .iter()
            .map(|(b, s)| s.ln() - (log_b.exp() / b).ln_1p())
            .collect();
        let log_s = mean(&parts);
        (
            parts.iter().map(|p| (p - log_s).powi(2)).sum::<f64>(),
            log_s,
        )
    };
    let grid = 400;
    let at = |i: usize| low + (high - low) * i as f64 / grid as f64;
    let best = (0..=grid).min_by(|&i, &j| fit(at(i)).0.total_cmp(&fit(at(j)).0))?;
    if best == 0 || best == grid {
        return None;
    }
    // Golden-section search around the best grid point.
    let (mut a, mut b) = (at(best - 1), at(best + 1));
    let golden = (5f64.sqrt() - 1.0) / 2.0;
    for _ in 0..80 {
        let (c, d) = (b - golden * (b - a), a + golden * (b - a));
        if fit(c).0 < fit(d).0 { b = d } else { a = c }
    }
    let (b_crit, s_min) = (f64::midpoint(a, b).exp(), fit(f64::midpoint(a, b)).1.exp());
    Some(Hyperbola {
        s_min,
        e_min: s_min * b_crit,
        b_crit,
    })
}

/// The batch size at which larger batches stop saving steps.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum UsefulBatch {
    /// The corner of the fit: steps halve with each doubling below it, and stay the same above.
    At(f64),
    /// All batch sizes scale perfectly: it is at least this, the largest one.
    AtLeast(f64),
    /// No batch size saves steps over the smallest one: it is at most this.
    AtMost(f64),
}

/// The maximum useful batch (Shallue et al. 2019, arXiv 1811.03600), fitted: log S = max(log a −
/// log B, log c) by least squares over (batch size, steps); the corner is at a / c. It is in the
/// middle of the bend that they call diminishing returns. `None` with fewer than three batch sizes.
pub fn useful_batch(points: &[(f64, f64)]) -> Option<UsefulBatch> {
    let sizes = distinct(points)?;
    // Each split of the sizes into a falling and a flat part has a closed form; a corner outside
    // its own split cannot be the best one of a maximum.
    let mut best: Option<(f64, UsefulBatch)> = None;
    for k in [0, sizes.len()].into_iter().chain(1..sizes.len()) {
        let (falling, flat): (Vec<_>, Vec<_>) =
            points.iter().partition(|(b, _)| sizes[..k].contains(b));
        let log_a = mean(
            &falling
                .iter()
                .map(|(b, s)| (b * s).ln())
                .collect::<Vec<_>>(),
        );
        let log_c = mean(&flat.iter().map(|(_, s)| s.ln()).collect::<Vec<_>>());
        let found = match k {
            0 => UsefulBatch::AtMost(sizes[0]),
            k if k == sizes.len() => UsefulBatch::AtLeast(sizes[k - 1]),
            _ => UsefulBatch::At((log_a - log_c).exp()),
        };
        let model = |b: f64| match found {
            UsefulBatch::AtMost(_) => log_c,
            UsefulBatch::AtLeast(_) => log_a - b.ln(),
            UsefulBatch::At(_) => (log_a - b.ln()).max(log_c),
        };
        let error: f64 = points
            .iter()
            .map(|(b, s)| (s.ln() - model(*b)).powi(2))
            .sum();
        // Perfect data fit in more than one way, up to rounding: then the simplest comes first.
        if best.is_none_or(|(e, _)| error < e - 1e-20) {
            best = Some((error, found));
        }
    }
    best.map(|b| b.1)
}

/// The distinct batch sizes, ascending; `None` with fewer than three, or with a value that is not
/// above 0 and finite.
fn distinct(points: &[(f64, f64)]) -> Option<Vec<f64>> {
    if !positive(points) {
        return None;
    }
    let mut sizes: Vec<f64> = points.iter().map(|p| p.0).collect();
    sizes.sort_by(f64::total_cmp);
    sizes.dedup();
    (sizes.len() >= 3).then_some(sizes)
}

fn positive(points: &[(f64, f64)]) -> bool {
    let mut all = points.iter().flat_map(|(x, y)| [x, y]);
    all.all(|x| x.is_finite() && *x > 0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIZES: [f64; 8] = [16.0, 32.0, 64.0, 128.0, 256.0, 512.0, 1024.0, 2048.0];

    fn golden(name: &str) -> serde_json::Value {
        serde_json::from_str::<serde_json::Value>(include_str!("../../tests/golden.json")).unwrap()
            [name]
            .clone()
    }

    #[test]
    fn known_exponents_come_back() {
        for exponent in [0.0, 0.5, 1.0, -1.0] {
            let points: Vec<_> = SIZES
                .iter()
                .map(|b| (*b, 0.02 * b.powf(exponent)))
                .collect();
            let fit = power_law(&points).unwrap();
            assert!(
                (fit.exponent - exponent).abs() < 1e-12 && (fit.factor - 0.02).abs() < 1e-12,
                "{fit:?}"
            );
        }
        assert_eq!(power_law(&[(1.0, 1.0)]), None);
        assert_eq!(power_law(&[(1.0, 1.0), (1.0, 2.0)]), None);
        assert_eq!(power_law(&[(1.0, 0.0), (2.0, 2.0)]), None);
        assert_eq!(power_law(&[(1.0, 1.0), (4.0, 2.0)]).unwrap().interval, None);
    }

    #[test]
    fn exponents_are_scipys() {
        let g = golden("power");
        let column = |k: &str| serde_json::from_value::<Vec<f64>>(g[k].clone()).unwrap();
        let fit = power_law(&column("x").into_iter().zip(column("y")).collect::<Vec<_>>()).unwrap();
        let (low, high) = fit.interval.unwrap();
        for (ours, name) in [(fit.exponent, "exponent"), (low, "low"), (high, "high")] {
            assert!(
                (ours - g[name].as_f64().unwrap()).abs() < 1e-9,
                "{name}: {ours}"
            );
        }
    }

    #[test]
    fn a_hyperbola_comes_back_and_is_scipys() {
        let truth = Hyperbola {
            s_min: 150.0,
            e_min: 150.0 * 300.0,
            b_crit: 300.0,
        };
        let points: Vec<_> = SIZES.iter().map(|b| (*b, truth.steps(*b))).collect();
        let fit = hyperbola(&points).unwrap();
        assert!(
            (fit.s_min / 150.0 - 1.0).abs() < 1e-6 && (fit.b_crit / 300.0 - 1.0).abs() < 1e-6,
            "{fit:?}"
        );
        for (b, s) in points {
            let product = (s / fit.s_min - 1.0) * (s * b / fit.e_min - 1.0);
            assert!((product - 1.0).abs() < 1e-4, "{product}");
        }
        let g = golden("hyperbola");
        let column = |k: &str| serde_json::from_value::<Vec<f64>>(g[k].clone()).unwrap();
        let fit = hyperbola(
            &column("batch")
                .into_iter()
                .zip(column("steps"))
                .collect::<Vec<_>>(),
        )
        .unwrap();
        assert!(
            (fit.s_min / g["s_min"].as_f64().unwrap() - 1.0).abs() < 1e-5
                && (fit.b_crit / g["b_crit"].as_f64().unwrap() - 1.0).abs() < 1e-5,
            "{fit:?}"
        );
    }

    #[test]
    fn data_without_a_bend_has_no_critical_batch() {
        assert_eq!(hyperbola(&SIZES.map(|b| (b, 1e6 / b))), None);
        assert_eq!(hyperbola(&SIZES.map(|b| (b, 700.0))), None);
        assert_eq!(hyperbola(&[(32.0, 10.0), (64.0, 7.0)]), None);
    }

    #[test]
    fn the_corner_is_found() {
        let points = SIZES.map(|b| (b, (51_200.0 / b).max(100.0)));
        let Some(UsefulBatch::At(corner)) = useful_batch(&points) else {
            panic!("{:?}", useful_batch(&points))
        };
        assert!((corner - 512.0).abs() < 1e-6, "{corner}");
        assert_eq!(
            useful_batch(&SIZES.map(|b| (b, 1e6 / b))),
            Some(UsefulBatch::AtLeast(2048.0))
        );
        assert_eq!(
            useful_batch(&SIZES.map(|b| (b, 700.0))),
            Some(UsefulBatch::AtMost(16.0))
        );
        assert_eq!(perfect_scaling(&points, 2048.0), Some(25.0));
    }
}
