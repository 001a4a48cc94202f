//! Readable numbers.

use largebatch_study::statistics::Estimate;

/// `x` with `digits` significant digits and no trailing zeros: 0.0316, 512, 1.2e-7.
pub(crate) fn significant(x: f64, digits: usize) -> String {
    if x == 0.0 || !x.is_finite() {
        return if x == 0.0 { "0".into() } else { "–".into() };
    }
    let magnitude = x.abs().log10().floor() as i32;
    if !(-4..7).contains(&magnitude) {
        let text = format!("{x:.*e}", digits - 1);
        // 1.0e-7 is written as 1e-7.
        return match text.split_once('e') {
            Some((m, e)) if m.contains('.') => {
                format!("{}e{e}", m.trim_end_matches('0').trim_end_matches('.'))
            }
            _ => text,
        };
    }
    let decimals = (digits as i32 - 1 - magnitude).max(0) as usize;
    let text = format!("{x:.decimals$}");
    let text = if text.contains('.') {
        text.trim_end_matches('0').trim_end_matches('.').to_string()
    } else {
        text
    };
    text.replacen('-', "−", 1)
}

/// An integer, with thin spaces between thousands if it has five digits or more: 60 000, 4096.
pub(crate) fn whole(n: u64) -> String {
    let digits = n.to_string();
    if digits.len() < 5 {
        return digits;
    }
    let mut out = String::new();
    for (i, c) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push('\u{202f}');
        }
        out.push(c);
    }
    out
}

/// Seconds as a duration: `850 ms`, `12 s`, `3 min 20 s`, `5 h 12 min`.
pub(crate) fn duration(seconds: f64) -> String {
    let s = seconds.round() as u64;
    match s {
        _ if seconds < 1.0 => format!("{:.0} ms", seconds * 1000.0),
        0..60 => format!("{s} s"),
        60..3600 => format!("{} min {} s", s / 60, s % 60),
        _ => format!("{} h {} min", s / 3600, s % 3600 / 60),
    }
}

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short() {
        for (x, text) in [
            (0.031_622_7, "0.0316"),
            (512.0, "512"),
            (0.1, "0.1"),
            (1.25e-7, "1.25e-7"),
            (1e-7, "1e-7"),
            (1000.0, "1000"),
            (-0.5, "−0.5"),
            (0.0, "0"),
            (f64::NAN, "–"),
        ] {
            assert_eq!(significant(x, 3), text);
        }
        assert_eq!(
            (whole(4096), whole(60_000), whole(1_234_567)),
            (
                "4096".into(),
                "60\u{202f}000".into(),
                "1\u{202f}234\u{202f}567".into()
            )
        );
        assert_eq!(
            (duration(0.85), duration(200.0), duration(18_730.0)),
            ("850 ms".into(), "3 min 20 s".into(), "5 h 12 min".into())
        );
    }

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
