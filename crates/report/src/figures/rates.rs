use largebatch_study::statistics::power_law;

use crate::analysis::{Analysis, series_label};
use crate::figure::{Figure, Frame, Key};
use crate::number::significant;
use crate::scale::Scale;

/// The chosen rate against batch size, for the series that tune it, with the fitted exponent.
pub(super) fn chart(a: &Analysis) -> Option<Figure> {
    let tuned = |s: &&largebatch_study::Series| -> Vec<(f64, f64)> {
        let own = s.groups.iter().filter(|(_, g)| a.results.plan.tuned_by(*g) == Some(*g));
        own.filter_map(|(batch, g)| Some((*batch, a.groups[*g].rate?))).collect()
    };
    let (curves, _) = a.curves_and_rest();
    let series: Vec<(String, Vec<(f64, f64)>)> = curves.iter().map(|s| (series_label(s), tuned(s))).filter(|s| s.1.len() > 1).collect();
    let first = *series.first()?.1.first()?;
    let mut keys: Vec<Key> = series.iter().enumerate().map(|(i, s)| Key::Series(i, s.0.clone())).collect();
    keys.push(Key::Guide("exponent ½ and 1".into()));
    let mut frame = Frame::new("rate-batch", "Chosen learning rate against batch size", &keys, 54.0, 220.0);
    let mut batches: Vec<f64> = series.iter().flat_map(|s| s.1.iter().map(|p| p.0)).collect();
    batches.sort_by(f64::total_cmp);
    batches.dedup();
    let x = Scale::log(batches.iter().copied(), 0.07, frame.left, frame.right);
    let y = Scale::log(series.iter().flat_map(|s| s.1.iter().map(|p| p.1)), 0.12, frame.bottom, frame.top);
    let ticks = y.ticks(5);
    frame.y_axis(&y, &ticks, &ticks.iter().map(|t| significant(*t, 3)).collect::<Vec<_>>(), "learning rate");
    frame.x_axis(&x, &batches, &batches.iter().map(|b| significant(*b, 7)).collect::<Vec<_>>(), "batch size");
    frame.clip();
    let last = batches.last().copied().unwrap_or(first.0);
    for exponent in [0.5, 1.0] {
        frame.svg.polyline("gd", "", [first.0, last].map(|b| (x.at(b), y.at(first.1 * (b / first.0).powf(exponent)))));
    }
    let mut said = Vec::new();
    for (i, (label, points)) in series.iter().enumerate() {
        frame.series(i);
        frame.svg.polyline(&format!("ln s{}", i % crate::svg::COLOURS), "", points.iter().map(|(b, r)| (x.at(*b), y.at(*r))));
        for (b, r) in points {
            frame.svg.mark(i, false, x.at(*b), y.at(*r), 4.6, &format!("{label}, batch {b}: rate {}", significant(*r, 4)));
        }
        frame.end();
        if let Some(fit) = power_law(points) {
            let ends = fit.interval.map_or(String::new(), |(p, q)| format!(" [{p:.2}, {q:.2}]").replace('-', "−"));
            said.push(format!("{label} {:.2}{ends}", fit.exponent));
        }
    }
    frame.end();
    Some(frame.finish(format!(
        "Fitted exponent with its 95 % interval: {}. The square-root rule has ½, the linear rule 1. The grid’s spacing bounds what can be told. {}.",
        said.join("; "),
        a.tune_print()
    )))
}
