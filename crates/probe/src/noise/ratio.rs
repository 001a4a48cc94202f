//! Confidence intervals of ratios of means.

use largebatch_train::nullable;
use serde::{Deserialize, Serialize};
use statrs::distribution::{ContinuousCDF, StudentsT};

/// A 95 % interval of a number that cannot be negative; without an upper end if the data do not
/// bound it.
#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize)]
pub struct Interval {
    /// The lower end.
    #[serde(with = "nullable")]
    pub low: f64,
    /// The upper end.
    pub high: Option<f64>,
}

impl Interval {
    /// Whether the interval contains x.
    pub fn contains(&self, x: f64) -> bool {
        self.low <= x && self.high.is_none_or(|high| x <= high)
    }
}

/// The two-sided 95 % point of Student's t with `freedom` degrees of freedom.
pub(crate) fn t95(freedom: f64) -> f64 {
    StudentsT::new(0.0, 1.0, freedom).map_or(f64::INFINITY, |t| t.inverse_cdf(0.975))
}

/// The 95 % interval of E x / E y from pairs of samples, by Fieller's theorem (1954): the ratios r
/// at which the mean of x − r y does not differ significantly from 0.
///
/// It is exact for normal pairs with any correlation, even if the denominator is close to 0: the
/// interval is then open above, not falsely narrow. `None` with fewer than 3 pairs.
pub(crate) fn fieller(pairs: &[(f64, f64)]) -> Option<Interval> {
    let n = pairs.len() as f64;
    if pairs.len() < 3 {
        return None;
    }
    let x = pairs.iter().map(|p| p.0).sum::<f64>() / n;
    let y = pairs.iter().map(|p| p.1).sum::<f64>() / n;
    let moment = |f: &dyn Fn(&(f64, f64)) -> f64| pairs.iter().map(f).sum::<f64>() / (n - 1.0) / n;
    let vxx = moment(&|p| (p.0 - x).powi(2));
    let vyy = moment(&|p| (p.1 - y).powi(2));
    let vxy = moment(&|p| (p.0 - x) * (p.1 - y));
    let t2 = t95(n - 1.0).powi(2);
    // a r² − 2 b r + c ≤ 0.
    let (a, b, c) = (y * y - t2 * vyy, x * y - t2 * vxy, x * x - t2 * vxx);
    let root = (b * b - a * c).max(0.0).sqrt();
    if a > 0.0 && y < 0.0 {
        // The estimate of the denominator, a square, is below 0 by chance: nothing is known about
        // the ratio.
        return Some(Interval {
            low: 0.0,
            high: None,
        });
    }
    if a > 0.0 {
        return Some(Interval {
            low: ((b - root) / a).max(0.0),
            high: Some((b + root) / a),
        });
    }
    // The denominator does not differ from 0: the set is everything except the range between the
    // roots. Its part above 0 is the answer.
    let low = if a == 0.0 {
        if b > 0.0 { c / (2.0 * b) } else { 0.0 }
    } else {
        (b - root) / a
    };
    let other = if a == 0.0 { low } else { (b + root) / a };
    Some(Interval {
        low: if other > 0.0 { 0.0 } else { low.max(0.0) },
        high: None,
    })
}
