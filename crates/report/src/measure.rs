//! Measured quantities as text.

use largebatch_plot::significant;
use largebatch_study::statistics::{Estimate, estimate, paired};

/// A measured quantity, and how it is written.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Measure {
    /// Its key in a record's metrics.
    pub key: String,
    /// Its readable name: `test accuracy`.
    pub words: String,
    /// Whether it is a fraction, written in percent, with differences in points.
    pub percent: bool,
    /// Whether higher is better.
    pub higher: bool,
}

impl Measure {
    /// The factor from the value to the written number.
    pub fn factor(&self) -> f64 {
        if self.percent { 100.0 } else { 1.0 }
    }

    /// The number without a unit.
    pub fn bare(&self, x: f64) -> String {
        if !self.percent {
            return significant(x, 4);
        }
        let text = format!("{:.2}", x * 100.0).replacen('-', "−", 1);
        // Zero is written without a sign.
        text.strip_prefix("−0.00")
            .map_or(text.clone(), |_| "0.00".into())
    }

    /// The number with its unit.
    pub fn value(&self, x: f64) -> String {
        if self.percent {
            format!("{} %", self.bare(x))
        } else {
            self.bare(x)
        }
    }

    /// Mean and interval: `97.81 % [97.74, 97.88]`.
    pub fn estimate(&self, e: &Estimate) -> String {
        format!("{}{}", self.value(e.mean), self.ends(e))
    }

    fn ends(&self, e: &Estimate) -> String {
        e.interval.map_or(String::new(), |(low, high)| {
            format!(" [{}, {}]", self.bare(low), self.bare(high))
        })
    }

    /// A signed difference with its interval, without a unit.
    pub fn difference(&self, e: &Estimate) -> String {
        let mean = self.bare(e.mean);
        format!(
            "{}{mean}{}",
            if e.mean > 0.0 && mean != "0.00" {
                "+"
            } else {
                ""
            },
            self.ends(e)
        )
    }

    /// The unit of differences: ` points` or nothing.
    pub fn points(&self) -> &'static str {
        if self.percent { " points" } else { "" }
    }
}

/// Mean and 95 % interval of some values, as text: `4 [−0.97, 8.97]`.
pub fn estimated(values: &[f64]) -> String {
    let plain = Measure {
        key: String::new(),
        words: String::new(),
        percent: false,
        higher: false,
    };
    estimate(values).map_or("–".into(), |e| plain.estimate(&e))
}

/// How many times larger one quantity is than another, as text: the geometric mean of the ratios,
/// paired by seed, with its 95 % interval. Both are given as seed and value; values of 0 and below
/// are left out.
pub fn times(large: &[(u64, f64)], small: &[(u64, f64)]) -> String {
    let logs = |values: &[(u64, f64)]| -> Vec<(u64, f64)> {
        let positive = values.iter().filter(|v| v.1 > 0.0);
        positive.map(|(seed, x)| (*seed, x.ln())).collect()
    };
    paired(&logs(large), &logs(small)).map_or("–".into(), |p| {
        let times = |x: f64| significant(x.exp(), 3);
        let ends = p.difference.interval.map_or(String::new(), |(low, high)| {
            format!(" [{}, {}]", times(low), times(high))
        });
        format!("× {}{ends}", times(p.difference.mean))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_rounds_to_zero_has_no_sign() {
        let measure = Measure {
            key: "test_accuracy".into(),
            words: "test accuracy".into(),
            percent: true,
            higher: true,
        };
        assert_eq!(
            [-1e-5, 1e-5, -1e-4].map(|x| measure.bare(x)),
            ["0.00", "0.00", "−0.01"]
        );
        let estimate = |mean| largebatch_study::statistics::estimate(&[mean]).unwrap();
        assert_eq!(
            [-1e-5, 1e-5, 1e-4].map(|x| measure.difference(&estimate(x))),
            ["0.00", "0.00", "+0.01"]
        );
    }
}
