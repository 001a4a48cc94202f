//! How wide the region of good learning rates is.

/// The learning rates around the best one that do nearly as well.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct GoodRates {
    /// The best rate of those tried.
    pub best: f64,
    /// The lowest good rate.
    pub low: f64,
    /// The highest good rate.
    pub high: f64,
    /// Whether every rate tried below the best is good, so that the region may be wider.
    pub open_below: bool,
    /// The same above.
    pub open_above: bool,
}

impl GoodRates {
    /// The width of the region, log₁₀(high / low).
    pub fn decades(&self) -> f64 {
        (self.high / self.low).log10()
    }
}

/// The region of good rates, from the rates tried and how much worse each is than the best, as a
/// multiple of what is tolerated: 0 for the best, 1 at the border, `None` for a rate without a
/// result, such as one that diverged.
///
/// The region extends from the best rate to both sides, as far as no rate is worse than tolerated.
/// Between the last good rate and the next, the border is interpolated linearly in log η; next to a
/// rate without a result, it is at the last good rate. `None` if no rate has a result.
pub fn good_rates(tried: &[(f64, Option<f64>)]) -> Option<GoodRates> {
    let mut tried = tried.to_vec();
    tried.sort_by(|a, b| a.0.total_cmp(&b.0));
    let results = tried
        .iter()
        .enumerate()
        .filter_map(|(i, t)| Some((i, t.1?)));
    let best = results.min_by(|a, b| a.1.total_cmp(&b.1))?.0;
    // The border on the way from the best rate, and whether there is none.
    let border = |way: &mut dyn Iterator<Item = &(f64, Option<f64>)>| {
        let (mut rate, mut worse) = (tried[best].0, tried[best].1.unwrap_or(0.0));
        for &(next, result) in way {
            match result {
                Some(w) if w <= 1.0 => (rate, worse) = (next, w),
                Some(w) => {
                    let share = (1.0 - worse) / (w - worse);
                    return (rate * (next / rate).powf(share), false);
                }
                None => return (rate, false),
            }
        }
        (rate, true)
    };
    let (low, open_below) = border(&mut tried[..best].iter().rev());
    let (high, open_above) = border(&mut tried[best + 1..].iter());
    Some(GoodRates {
        best: tried[best].0,
        low,
        high,
        open_below,
        open_above,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_border_is_interpolated_in_the_logarithm() {
        let of = |tried: &[(f64, Option<f64>)]| good_rates(tried).unwrap();
        let g = of(&[
            (10.0, None),
            (0.01, Some(4.0)),
            (0.1, Some(0.5)),
            (1.0, Some(0.0)),
        ]);
        // From 0.5 at 0.1 to 4 at 0.01, 1 is a seventh of the way.
        assert!((g.low.log10() + 1.0 + 1.0 / 7.0).abs() < 1e-12);
        assert_eq!((g.best, g.high), (1.0, 1.0));
        assert_eq!((g.open_below, g.open_above), (false, false));
        assert!((g.decades() - 8.0 / 7.0).abs() < 1e-12);
        // A good rate beyond a bad one is not in the region.
        let g = of(&[
            (1.0, Some(0.0)),
            (2.0, Some(1.0)),
            (4.0, Some(3.0)),
            (8.0, Some(0.5)),
        ]);
        assert_eq!((g.low, g.high), (1.0, 2.0));
        assert_eq!((g.open_below, g.open_above), (true, false));
        assert_eq!(good_rates(&[(1.0, None)]), None);
        assert_eq!(of(&[(1.0, Some(0.0))]).decades(), 0.0);
    }
}
