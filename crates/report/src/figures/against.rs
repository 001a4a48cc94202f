use largebatch_plot::Figure;
use largebatch_plot::draw::{Anchor, Axis, COLOURS, Frame, Key, Way, bulk, tick_labels};
use largebatch_study::Series;

use super::forest::{self, Shown};
use crate::analysis::{Analysis, batches, series_label};
use largebatch_plot::capital;

/// The name of the reported quantity, as a heading.
pub(super) fn heading(a: &Analysis) -> String {
    if a.measure.percent {
        "Accuracy".into()
    } else {
        capital(&a.measure.words)
    }
}

/// The reported quantity.
pub(super) fn scores(a: &Analysis) -> Vec<Figure> {
    let unit = if a.measure.percent { ", %" } else { "" };
    let score = Shown {
        measure: &a.measure,
        words: format!("{}{unit}", a.measure.words),
        of: |f| (f.score, f.values.clone()),
        zero: false,
    };
    let name = if a.measure.percent {
        "accuracy"
    } else {
        a.measure.key.rsplit('_').next().unwrap_or("score")
    };
    both(a, &score, name, &capital(&a.measure.words))
}

/// The generalization gap.
pub(super) fn gaps(a: &Analysis) -> Vec<Figure> {
    let unit = if a.measure.percent { ", points" } else { "" };
    let gap = Shown {
        measure: &a.measure,
        words: format!("gap{unit}"),
        of: |f| (f.gap, f.gaps.clone()),
        zero: true,
    };
    both(a, &gap, "gap", "Generalization gap")
}

/// A quantity against the batch size for series with several batch sizes, and as rows for single
/// groups.
fn both(a: &Analysis, shown: &Shown, name: &str, title: &str) -> Vec<Figure> {
    let (curves, rest) = a.curves_and_rest();
    let mut figures = Vec::new();
    if !curves.is_empty() {
        figures.extend(lines(
            a,
            shown,
            &format!("{name}-batch"),
            &format!("{title} against batch size"),
        ));
    }
    if !rest.is_empty() && !few(a, &rest) {
        figures.extend(forest::groups(
            a,
            shown,
            &rest,
            &format!("{name}-arms"),
            &format!("{title} by arm"),
        ));
    }
    figures
}

/// Whether the single groups are so few that they are drawn with the lines of the others, like the
/// base of scaled arms.
pub(super) fn few(a: &Analysis, rest: &[usize]) -> bool {
    rest.len() <= 2
        && rest.len() < a.groups.len()
        && rest.iter().all(|g| a.groups[*g].batch.is_some())
}

fn lines(a: &Analysis, shown: &Shown, name: &str, title: &str) -> Option<Figure> {
    let (curves, rest) = a.curves_and_rest();
    let alone = if few(a, &rest) { &rest[..] } else { &[] };
    let mut series: Vec<Series> = curves.into_iter().cloned().collect();
    series.extend(alone.iter().filter_map(|g| {
        Some(Series {
            labels: a.results.plan.groups[*g].labels.clone(),
            groups: vec![(a.groups[*g].batch?, *g)],
        })
    }));
    let of = |g: usize| (shown.of)(&a.groups[g]);
    let all = || series.iter().flat_map(|s| &s.groups).map(|(_, g)| *g);
    let rows: Vec<(f64, Vec<f64>)> = all().filter_map(|g| forest::drawn(of(g))).collect();
    if rows.is_empty() {
        return None;
    }
    let values = bulk(&rows, if shown.zero { &[0.0] } else { &[] });
    let keys: Vec<Key> = series
        .iter()
        .enumerate()
        .map(|(i, s)| Key::Series(i, series_label(s)))
        .collect();
    let mut frame = Frame::new(
        name,
        title,
        if series.len() > 1 { &keys } else { &[] },
        54.0,
        230.0,
    );
    let batches = batches(&series);
    let x = Axis::log(batches.iter().copied(), 0.07, frame.left, frame.right);
    let y = Axis::linear(values, 0.06, frame.bottom, frame.top);
    let ticks = y.ticks(5);
    frame.y_axis(
        &y,
        &ticks,
        &tick_labels(&ticks, shown.measure.factor()),
        &shown.words,
    );
    frame.x_values(&x, &batches, "batch size");
    if shown.zero {
        frame.across("ax", y.at(0.0));
    } else {
        for mean in alone
            .iter()
            .filter_map(|g| of(*g).0)
            .filter(|e| y.shows(e.mean))
            .map(|e| y.at(e.mean))
        {
            frame.across("gd", mean);
        }
    }
    let (least, most) = y.ends();
    let (mut gone, mut beyond) = ("", false);
    for (i, s) in series.iter().enumerate() {
        let shift =
            (i as f64 - (series.len() - 1) as f64 / 2.0) * (24.0 / series.len() as f64).min(7.0);
        frame.series(i);
        let points = s
            .groups
            .iter()
            .filter_map(|(b, g)| Some((x.at(*b) + shift, y.at(of(*g).0?.mean))));
        let points: Vec<(f64, f64)> = points.collect();
        // Only lines are clipped: marks may extend over the edge.
        frame.clip();
        frame
            .svg
            .polyline(&format!("ln s{}", i % COLOURS), "", points);
        frame.end();
        for (batch, g) in &s.groups {
            let (estimate, seeds) = of(*g);
            let f = &a.groups[*g];
            let at = x.at(*batch) + shift;
            frame.of_group(g);
            let Some(e) = estimate else {
                if !f.records.is_empty() && f.diverged + f.lost == f.records.len() {
                    let low = frame.bottom - 5.0;
                    frame
                        .svg
                        .text(&format!("b f{}", i % COLOURS), Anchor::Middle, at, low, "✕");
                    gone = " ✕ at the bottom: every trial diverged, failed or was pruned.";
                }
                frame.end();
                continue;
            };
            if seeds.len() <= 40 {
                seeds.iter().filter(|s| y.shows(s.1)).for_each(|s| {
                    let tip = forest::seed_tip(f, *s, shown);
                    forest::dot(&mut frame.svg, i, at, y.at(s.1), &tip);
                });
            }
            if let Some((low, high)) = e
                .interval
                .filter(|(low, high)| *low <= most && *high >= least)
            {
                frame
                    .svg
                    .interval(i, false, at, y.at(low.max(least)), y.at(high.min(most)));
            }
            let (hollow, tip) = (f.diverged + f.lost > 0, forest::tip(f, &e, shown));
            if y.shows(e.mean) {
                frame.svg.mark(i, hollow, at, y.at(e.mean), 4.6, &tip);
            } else {
                beyond = true;
                let (edge, way) = if e.mean < least {
                    (frame.bottom, Way::Down)
                } else {
                    (frame.top, Way::Up)
                };
                frame.svg.arrow(i, hollow, (at, edge), way, &tip);
            }
            frame.end();
        }
        frame.end();
    }
    let hollow = forest::hollow(a, &all().collect::<Vec<_>>());
    let names: Vec<&str> = alone.iter().map(|g| &*a.groups[*g].label).collect();
    let dashed = if alone.is_empty() || shown.zero {
        String::new()
    } else {
        format!(" Dashed: {}.", names.join(", "))
    };
    let beyond = if beyond {
        " Arrow: far outside the axis range, which fits the others; the summary has the value."
    } else {
        ""
    };
    Some(frame.finish(format!(
        "Mean over seeds with its interval; faint dots are single seeds.{dashed}{hollow}{gone}{beyond} {}.",
        a.small_print()
    )))
}
