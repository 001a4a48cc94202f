//! Conversion from values to pixels, and round ticks.

use crate::number::significant;
use crate::svg::px;

/// An axis, which maps values from `low` to `high` to pixels from `from` to `to`.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Axis {
    low: f64,
    high: f64,
    from: f64,
    to: f64,
    log: bool,
}

impl Axis {
    /// A linear axis over the values, with a margin of `pad` times their range. A single value is
    /// in the middle.
    pub fn linear(values: impl IntoIterator<Item = f64>, pad: f64, from: f64, to: f64) -> Self {
        let ends = extent(values).unwrap_or((0.0, 1.0));
        Axis::over(ends, pad, 0.02 * ends.0.abs().max(1e-3), from, to, false)
    }

    /// A logarithmic axis over the values above 0, with a margin of `pad` times their range.
    pub fn log(values: impl IntoIterator<Item = f64>, pad: f64, from: f64, to: f64) -> Self {
        let logs = values.into_iter().filter(|v| *v > 0.0).map(f64::ln);
        Axis::over(extent(logs).unwrap_or((0.0, 1.0)), pad, 0.7, from, to, true)
    }

    /// `alone` is the margin around a single value.
    fn over((low, high): (f64, f64), pad: f64, alone: f64, from: f64, to: f64, log: bool) -> Self {
        let room = if high > low {
            (high - low) * pad
        } else {
            alone
        };
        Axis {
            low: low - room,
            high: high + room,
            from,
            to,
            log,
        }
    }

    /// The pixel of a value.
    pub fn at(&self, value: f64) -> f64 {
        let v = if self.log {
            value.max(f64::MIN_POSITIVE).ln()
        } else {
            value
        };
        self.from + (v - self.low) / (self.high - self.low) * (self.to - self.from)
    }

    /// Whether a value is on the axis.
    pub fn shows(&self, value: f64) -> bool {
        let (low, high) = self.ends();
        (low..=high).contains(&value)
    }

    /// The ends, as values.
    pub fn ends(&self) -> (f64, f64) {
        if self.log {
            (self.low.exp(), self.high.exp())
        } else {
            (self.low, self.high)
        }
    }

    /// What a page needs to draw a logarithmic axis as a linear one: its ends as pixels and as values.
    pub(crate) fn logarithmic(&self) -> Option<String> {
        let (low, high) = self.ends();
        let (from, to) = (px(self.from), px(self.to));
        self.log
            .then(|| format!("{from} {to} {low:.5e} {high:.5e}"))
    }

    /// About `count` round values on the axis.
    pub fn ticks(&self, count: usize) -> Vec<f64> {
        let (low, high) = self.ends();
        if self.log {
            let decades = (self.high - self.low) / std::f64::consts::LN_10;
            let marks: &[f64] = match decades / count as f64 {
                d if d > 0.75 => &[1.0],
                d if d > 0.3 => &[1.0, 3.0],
                d if d > 0.12 => &[1.0, 2.0, 5.0],
                _ => return linear_ticks(low, high, count),
            };
            let every = (decades / count as f64).ceil().max(1.0) as i32;
            let (first, last) = (low.log10().floor() as i32, high.log10().ceil() as i32);
            let all = (first..=last)
                .filter(|e| e.rem_euclid(every) == 0)
                .flat_map(|e| marks.iter().map(move |m| m * 10f64.powi(e)));
            return all
                .filter(|v| *v >= low * 0.999 && *v <= high * 1.001)
                .collect();
        }
        linear_ticks(low, high, count)
    }
}

fn linear_ticks(low: f64, high: f64, count: usize) -> Vec<f64> {
    let raw = (high - low) / count.max(1) as f64;
    let unit = 10f64.powf(raw.log10().floor());
    let step = [1.0, 2.0, 2.5, 5.0, 10.0]
        .into_iter()
        .map(|m| m * unit)
        .find(|s| *s >= raw * 0.999)
        .unwrap_or(10.0 * unit);
    let first = (low / step - 1e-9).ceil() as i64;
    let last = (high / step + 1e-9).floor() as i64;
    (first..=last).take(100).map(|i| i as f64 * step).collect()
}

/// Labels of ticks, with enough decimals to distinguish them.
pub fn tick_labels(ticks: &[f64], factor: f64) -> Vec<String> {
    let values: Vec<f64> = ticks.iter().map(|t| t * factor).collect();
    let step = values
        .windows(2)
        .map(|w| (w[1] - w[0]).abs())
        .fold(f64::INFINITY, f64::min);
    let largest = values.iter().fold(0.0f64, |a, v| a.max(v.abs()));
    let digits = if step.is_finite() && step > 0.0 && largest > 0.0 {
        ((largest / step).log10().floor() + 2.0).clamp(2.0, 7.0)
    } else {
        3.0
    };
    values
        .iter()
        .map(|v| {
            if step.is_finite() && v.abs() < step * 1e-6 {
                "0".into()
            } else {
                significant(*v, digits as usize)
            }
        })
        .collect()
}

/// The values that an axis must show, from `rows` (each a mean and everything drawn with it) and
/// from `fixed`: all of them, unless some rows are far off.
///
/// Rows are far off if they are more than three times as far from the median as any other, are at
/// most half of all, and would leave less than a third of the axis to the others.
pub fn bulk(rows: &[(f64, Vec<f64>)], fixed: &[f64]) -> Vec<f64> {
    let mut means: Vec<f64> = rows.iter().map(|r| r.0).collect();
    means.sort_by(f64::total_cmp);
    let n = rows.len();
    let median = if n == 0 {
        0.0
    } else {
        (means[(n - 1) / 2] + means[n / 2]) / 2.0
    };
    let off = |row: &&(f64, Vec<f64>)| (row.0 - median).abs();
    let mut rows: Vec<_> = rows.iter().collect();
    rows.sort_by(|a, b| off(a).total_cmp(&off(b)));
    let shown = |k: usize| {
        rows[..k]
            .iter()
            .flat_map(|r| r.1.iter())
            .chain(fixed)
            .copied()
            .collect::<Vec<f64>>()
    };
    let wide =
        |values: &[f64]| extent(values.iter().copied()).map_or(0.0, |(low, high)| high - low);
    let all = shown(n);
    let apart =
        |k: &usize| off(&rows[*k]) > 3.0 * off(&rows[k - 1]) && 3.0 * wide(&shown(*k)) < wide(&all);
    (n.div_ceil(2).max(1)..n)
        .rev()
        .find(apart)
        .map_or(all.clone(), shown)
}

/// The smallest and largest finite value.
pub fn extent(values: impl IntoIterator<Item = f64>) -> Option<(f64, f64)> {
    values
        .into_iter()
        .filter(|v| v.is_finite())
        .fold(None, |e, v| {
            Some(e.map_or((v, v), |(a, b): (f64, f64)| (a.min(v), b.max(v))))
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scales_map_their_ends() {
        let s = Axis::linear([0.0, 10.0], 0.0, 100.0, 200.0);
        assert_eq!((s.at(0.0), s.at(5.0), s.at(10.0)), (100.0, 150.0, 200.0));
        let s = Axis::log([1.0, 100.0], 0.0, 200.0, 100.0);
        assert!((s.at(10.0) - 150.0).abs() < 1e-9 && s.at(0.0).is_finite());
        assert!(
            Axis::linear([3.0], 0.1, 0.0, 10.0).at(3.0) == 5.0
                && Axis::linear([], 0.1, 0.0, 10.0).at(1.0).is_finite()
        );
        assert!(
            Axis::log([f64::NAN, 0.0], 0.1, 0.0, 10.0)
                .at(2.0)
                .is_finite()
        );
    }

    #[test]
    fn rows_far_off_do_not_stretch_the_axis() {
        let row = |x: f64| (x, vec![x - 0.01, x, x + 0.01]);
        let shows = |means: &[f64], fixed: &[f64]| {
            extent(bulk(
                &means.iter().map(|x| row(*x)).collect::<Vec<_>>(),
                fixed,
            ))
            .unwrap()
        };
        let near =
            |a: (f64, f64), b: (f64, f64)| (a.0 - b.0).abs() < 1e-9 && (a.1 - b.1).abs() < 1e-9;
        assert!(near(
            shows(&[0.97, 0.11, 0.93, 0.95, 0.10, 0.96], &[]),
            (0.92, 0.98)
        ));
        // Two rows far apart, two halves far apart, a spread without a gap, and an origin that must
        // be visible: everything stays.
        assert!(near(shows(&[0.97, 0.11], &[]), (0.10, 0.98)));
        assert!(near(shows(&[0.97, 0.96, 0.11, 0.10], &[]), (0.09, 0.98)));
        assert!(near(
            shows(&[0.9, 0.8, 0.7, 0.5, 0.3, 0.1], &[]),
            (0.09, 0.91)
        ));
        assert!(near(shows(&[0.97, 0.11, 0.93, 0.95], &[0.0]), (0.0, 0.98)));
        assert!(bulk(&[], &[]).is_empty());
    }

    #[test]
    fn ticks_are_round_and_within() {
        let s = Axis::linear([0.913, 0.987], 0.0, 0.0, 1.0);
        let ticks = s.ticks(4);
        assert!(
            (3..=5).contains(&ticks.len()) && ticks.iter().all(|t| (0.913..=0.987).contains(t)),
            "{ticks:?}"
        );
        assert_eq!(tick_labels(&[0.92, 0.94, 0.96], 100.0), ["92", "94", "96"]);
        assert_eq!(
            tick_labels(&[-0.005, 0.0, 0.005], 100.0),
            ["−0.5", "0", "0.5"]
        );
        assert_eq!(
            Axis::log([0.001, 1000.0], 0.0, 0.0, 1.0).ticks(6),
            [0.001, 0.01, 0.1, 1.0, 10.0, 100.0, 1000.0]
        );
    }
}
