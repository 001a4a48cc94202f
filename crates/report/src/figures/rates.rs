use largebatch_plot::draw::{Axis, COLOURS, Frame, Key, extent};
use largebatch_plot::{Figure, significant};
use largebatch_study::statistics::power_law;
use largebatch_study::{key, number};

use crate::analysis::{Analysis, distinct, series_label};

/// A learning rate that tuning chose.
struct Chosen {
    group: usize,
    batch: f64,
    rate: f64,
    /// Whether it is the lowest or the highest rate tried.
    edge: bool,
}

fn edge(a: &Analysis, group: usize, rate: f64) -> bool {
    let tried = a.results.plan.groups[group]
        .points
        .iter()
        .filter_map(|p| p.get(key::RATE).and_then(number));
    extent(tried).is_some_and(|(least, greatest)| rate == least || rate == greatest)
}

/// The chosen rate against the batch size, for the series that tune it, with the fitted exponent.
pub(super) fn charts(a: &Analysis) -> Vec<Figure> {
    chart(a).into_iter().collect()
}

fn chart(a: &Analysis) -> Option<Figure> {
    let tuned = |s: &&largebatch_study::Series| -> Vec<Chosen> {
        let own = s
            .groups
            .iter()
            .filter(|(_, g)| a.results.plan.tuned_by(*g) == Some(*g));
        own.filter_map(|(batch, g)| {
            a.groups[*g].rate.map(|rate| Chosen {
                group: *g,
                batch: *batch,
                rate,
                edge: edge(a, *g, rate),
            })
        })
        .collect()
    };
    let (curves, _) = a.curves_and_rest();
    let series: Vec<(String, Vec<Chosen>)> = curves
        .iter()
        .map(|s| (series_label(s), tuned(s)))
        .filter(|s| s.1.len() > 1)
        .collect();
    let first = series.first()?.1.first().map(|c| (c.batch, c.rate))?;
    let mut keys: Vec<Key> = series
        .iter()
        .enumerate()
        .map(|(i, s)| Key::Series(i, s.0.clone()))
        .collect();
    keys.push(Key::Guide("exponent ½ and 1".into()));
    let mut frame = Frame::new(
        "rate-batch",
        "Chosen learning rate against batch size",
        &keys,
        54.0,
        220.0,
    );
    let batches = distinct(series.iter().flat_map(|s| s.1.iter().map(|p| p.batch)));
    let x = Axis::log(batches.iter().copied(), 0.07, frame.left, frame.right);
    let y = Axis::log(
        series.iter().flat_map(|s| s.1.iter().map(|p| p.rate)),
        0.12,
        frame.bottom,
        frame.top,
    );
    let ticks = y.ticks(5);
    frame.y_axis(
        &y,
        &ticks,
        &ticks.iter().map(|t| significant(*t, 3)).collect::<Vec<_>>(),
        "learning rate",
    );
    frame.x_values(&x, &batches, "batch size");
    frame.clip();
    let last = batches.last().copied().unwrap_or(first.0);
    for exponent in [0.5, 1.0] {
        frame.svg.polyline(
            "gd",
            "",
            [first.0, last].map(|b| (x.at(b), y.at(first.1 * (b / first.0).powf(exponent)))),
        );
    }
    let mut said = Vec::new();
    for (i, (label, points)) in series.iter().enumerate() {
        frame.series(i);
        frame.svg.polyline(
            &format!("ln s{}", i % COLOURS),
            "",
            points.iter().map(|p| (x.at(p.batch), y.at(p.rate))),
        );
        for p in points {
            let edge = if p.edge {
                ", at the edge of its grid"
            } else {
                ""
            };
            let tip = format!(
                "{label}, batch {}: rate {}{edge}",
                p.batch,
                significant(p.rate, 4)
            );
            frame.of_group(p.group);
            frame
                .svg
                .mark(i, p.edge, x.at(p.batch), y.at(p.rate), 4.6, &tip);
            frame.end();
        }
        frame.end();
        let inside: Vec<(f64, f64)> = points
            .iter()
            .filter(|p| !p.edge)
            .map(|p| (p.batch, p.rate))
            .collect();
        if let Some(fit) = power_law(&inside) {
            let ends = fit.interval.map_or(String::new(), |(p, q)| {
                format!(" [{p:.2}, {q:.2}]").replace('-', "−")
            });
            said.push(format!("{label} {:.2}{ends}", fit.exponent));
        } else {
            said.push(format!("{label} not fitted (fewer than two rates)"));
        }
    }
    frame.end();
    let edges = if series.iter().any(|s| s.1.iter().any(|p| p.edge)) {
        " Hollow: at the edge of its grid, so that a better rate may be outside; left out of the fit."
    } else {
        ""
    };
    Some(frame.finish(format!(
        "Fitted exponent with its 95 % interval: {}. The square-root rule has ½, the linear rule 1. The grid’s spacing limits the precision.{edges} {}.",
        said.join("; "),
        a.tune_print()
    )))
}
