use largebatch_plot::draw::{Anchor, Axis, Frame, WIDTH, fits};
use largebatch_plot::{Figure, significant};
use largebatch_study::statistics::{GoodRates, good_rates};
use largebatch_study::{Goal, key, number};

use super::forest::{LABELS, ROW, label};
use super::heat::score;
use crate::analysis::{Analysis, at_points, distinct};

/// Fewer rates say little about a region.
const LEAST: usize = 5;

/// What is tolerated below the best metric: a point of a percentage, or this share of the best of
/// another metric.
const POINT: f64 = 0.01;
const SHARE: f64 = 0.05;

/// The region of good rates of a group that tunes its rate. If its search has other settings too, a
/// rate counts with the best of them. A rate at which a trial was lost has no result.
pub(crate) fn region(a: &Analysis, group: usize) -> Option<GoodRates> {
    let steps = a.results.plan.study.tune.goal == Goal::FewestSteps;
    // Lower is better.
    let value = |s: f64| match a.validation.higher {
        _ if steps => s.log2(),
        true => -s,
        false => s,
    };
    let records = at_points(a.results, group);
    let points = a.results.plan.groups[group].points.iter().zip(&records);
    let tried: Vec<(f64, Option<f64>)> = points
        .filter_map(|(point, records)| {
            let whole = records.iter().all(|r| r.stop.is_measurement());
            let result = score(a, records).filter(|s| whole && s.is_finite());
            Some((point.get(key::RATE).and_then(number)?, result.map(value)))
        })
        .collect();
    let least = |results: &mut dyn Iterator<Item = f64>| results.reduce(f64::min);
    let best = least(&mut tried.iter().filter_map(|t| t.1))?;
    let tolerated = match a.validation.percent {
        _ if steps => 1.0,
        true => POINT,
        false => SHARE * best.abs().max(f64::MIN_POSITIVE),
    };
    let rates = distinct(tried.iter().map(|t| t.0)).into_iter();
    let tried: Vec<(f64, Option<f64>)> = rates
        .map(|rate| {
            let mut at = tried.iter().filter(|t| t.0 == rate).filter_map(|t| t.1);
            (rate, least(&mut at).map(|v| (v - best) / tolerated))
        })
        .collect();
    good_rates(&tried).filter(|_| tried.len() >= LEAST)
}

/// The width of a region in decades, as text.
pub(crate) fn decades(g: &GoodRates) -> String {
    let open = if g.open_below || g.open_above {
        "≥ "
    } else {
        ""
    };
    format!("{open}{:.1}", g.decades())
}

/// A row for each group that tunes its rate: the region of good rates.
pub(super) fn charts(a: &Analysis) -> Vec<Figure> {
    chart(a).into_iter().collect()
}

fn chart(a: &Analysis) -> Option<Figure> {
    let rows: Vec<(usize, GoodRates)> = (0..a.groups.len())
        .filter_map(|g| Some((g, region(a, g)?)))
        .collect();
    if rows.len() < 2 {
        return None;
    }
    let mut frame = Frame::new(
        "good-rates",
        "Width of the region of good learning rates",
        &[],
        LABELS,
        ROW * rows.len() as f64 + 8.0,
    );
    let right = frame.right;
    frame.right -= 52.0;
    let ends = rows.iter().flat_map(|(_, g)| [g.low, g.high]);
    let x = Axis::log(ends, 0.05, frame.left, frame.right);
    let ticks = x.ticks(6);
    let names: Vec<String> = ticks.iter().map(|t| significant(*t, 3)).collect();
    frame.x_axis(&x, &ticks, &names, "learning rate");
    frame.right = right;
    let labels: Vec<&str> = rows.iter().map(|r| a.groups[r.0].label.as_str()).collect();
    let labels = fits(&labels, 12.0, LABELS - 20.0);
    for (row, (group, g)) in rows.iter().enumerate() {
        let y = frame.top + 4.0 + ROW * (row as f64 + 0.5);
        let facts = &a.groups[*group];
        label(&mut frame.svg, facts, &labels[row], y);
        frame.series(row);
        frame.of_group(*group);
        let tip = format!(
            "{}: rates from {} to {} ({} decades), best {}",
            facts.label,
            significant(g.low, 3),
            significant(g.high, 3),
            decades(g),
            significant(g.best, 3)
        );
        let svg = &mut frame.svg;
        svg.interval(row, true, y, x.at(g.low), x.at(g.high));
        svg.mark(
            row,
            g.open_below || g.open_above,
            x.at(g.best),
            y,
            5.0,
            &tip,
        );
        svg.text("t", Anchor::End, WIDTH - 14.0, y + 4.0, &decades(g));
        frame.end();
        frame.end();
    }
    let within = match a.results.plan.study.tune.goal {
        Goal::FewestSteps => "that reach the target in at most twice the fewest steps".into(),
        Goal::BestValidation if a.validation.percent => {
            format!("whose {} is within a point of the best", a.validation.words)
        }
        Goal::BestValidation => {
            format!("whose {} is within 5 % of the best", a.validation.words)
        }
    };
    let open = if rows.iter().any(|(_, g)| g.open_below || g.open_above) {
        " Hollow and ≥: the region reaches the edge of the rates tried, so that it may be wider."
    } else {
        ""
    };
    Some(frame.finish(format!(
        "Rates around the best one {within}, interpolated in the logarithm; at the right the width in decades.{open} {}.",
        a.tune_print()
    )))
}
