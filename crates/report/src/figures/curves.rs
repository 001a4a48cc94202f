use largebatch_plot::draw::{Axis, COLOURS, Frame, Key, extent, tick_labels};
use largebatch_plot::{Figure, significant, stems};
use largebatch_study::TrialRecord;

use super::against::few;
use crate::analysis::{Analysis, batches, series_label};
use largebatch_plot::capital;

/// A group's curve: position, and mean, minimum and maximum over seeds.
#[derive(Default)]
struct Curve {
    steps: Vec<f64>,
    epochs: Vec<f64>,
    mean: Vec<f64>,
    low: Vec<f64>,
    high: Vec<f64>,
}

/// Training loss and validation metric, against steps and epochs, for each series and for the
/// single groups.
pub(super) fn charts(a: &Analysis) -> Vec<Figure> {
    let (curves, rest) = a.curves_and_rest();
    let few = few(a, &rest);
    let batches = batches(curves.iter().copied());
    let base = || {
        rest.iter()
            .filter(|_| few)
            .map(|g| (*g, a.groups[*g].label.clone()))
    };
    let batch = |b: f64| format!("batch {}", significant(b, 7));
    // Whichever needs fewer panels: all batch sizes of a series, or all series at a batch size.
    let mut panels: Vec<(String, Vec<(usize, String)>)> = if curves.len() > batches.len() {
        let at = |b: f64| {
            curves.iter().flat_map(move |s| {
                s.groups
                    .iter()
                    .filter(move |g| g.0 == b)
                    .map(|g| (g.1, series_label(s)))
            })
        };
        batches
            .iter()
            .map(|b| (batch(*b), at(*b).chain(base()).collect()))
            .collect()
    } else {
        let of = |s: &largebatch_study::Series| {
            s.groups
                .iter()
                .map(|(b, g)| (*g, batch(*b)))
                .chain(base())
                .collect()
        };
        curves.iter().map(|s| (series_label(s), of(s))).collect()
    };
    if !rest.is_empty() && !few {
        panels.push((
            "arms".into(),
            rest.iter()
                .map(|g| (*g, a.groups[*g].label.clone()))
                .collect(),
        ));
    }
    let mut figures = Vec::new();
    let stems = stems(panels.iter().map(|p| p.0.as_str()));
    for ((label, groups), stem) in panels.iter().zip(&stems) {
        for loss in [true, false] {
            for steps in [true, false] {
                figures.extend(chart(a, (label, stem), groups, loss, steps));
            }
        }
    }
    figures
}

fn curve(records: &[&TrialRecord], loss: bool) -> Option<Curve> {
    let done: Vec<&&TrialRecord> = records
        .iter()
        .filter(|r| r.stop.is_measurement() && !r.curves.step.is_empty())
        .collect();
    let longest = done.iter().max_by_key(|r| r.curves.step.len())?;
    let column = |r: &TrialRecord, i: usize| {
        let column = if loss {
            &r.curves.train_loss
        } else {
            &r.curves.validation
        };
        column.get(i).copied().filter(|v| v.is_finite())
    };
    let mut out = Curve::default();
    for i in 0..longest.curves.step.len() {
        let values: Vec<f64> = done.iter().filter_map(|r| column(r, i)).collect();
        // The seeds that train longest are not a representative sample.
        if 2 * values.len() < done.len() {
            continue;
        }
        let Some((low, high)) = extent(values.iter().copied()) else {
            continue;
        };
        out.steps.push(longest.curves.step[i] as f64);
        out.epochs.push(
            longest
                .epoch(longest.curves.step[i], longest.curves.examples[i])
                .unwrap_or(0.0),
        );
        out.mean
            .push(values.iter().sum::<f64>() / values.len() as f64);
        out.low.push(low);
        out.high.push(high);
    }
    (!out.mean.is_empty()).then_some(out)
}

fn chart(
    a: &Analysis,
    (label, stem): (&str, &str),
    groups: &[(usize, String)],
    loss: bool,
    steps: bool,
) -> Option<Figure> {
    let curves: Vec<Option<Curve>> = groups
        .iter()
        .map(|(g, _)| curve(&a.groups[*g].records, loss))
        .collect();
    let drawn = || curves.iter().flatten();
    drawn().next()?;
    let keys: Vec<Key> = groups
        .iter()
        .enumerate()
        .filter(|(i, _)| curves[*i].is_some())
        .map(|(i, g)| Key::Series(i, g.1.clone()))
        .collect();
    let what = if loss {
        "Training loss".to_string()
    } else {
        capital(&a.validation.words)
    };
    let by = if steps { "steps" } else { "epochs" };
    let of = if matches!(label, "all" | "arms") {
        String::new()
    } else {
        format!(" · {label}")
    };
    let name = format!("{}-{by}-{}", if loss { "loss" } else { "validation" }, stem);
    let mut frame = Frame::new(&name, &format!("{what} in {by}{of}"), &keys, 54.0, 220.0);
    let place = |c: &Curve| {
        if steps {
            c.steps.clone()
        } else {
            c.epochs.clone()
        }
    };
    let places: Vec<f64> = drawn().flat_map(place).collect();
    let (least, most) =
        extent(drawn().filter_map(|c| place(c).last().copied())).unwrap_or((1.0, 1.0));
    // Lengths that differ by a large factor are only visible together on a logarithmic axis.
    let log = most > 6.0 * least;
    let x = if log {
        Axis::log(places, 0.02, frame.left, frame.right)
    } else {
        // Room for the mark at the end.
        Axis::linear(
            places.into_iter().chain([0.0, 1.02 * most]),
            0.0,
            frame.left,
            frame.right,
        )
    };
    let mut values: Vec<f64> = drawn().flat_map(|c| c.mean.clone()).collect();
    values.sort_by(f64::total_cmp);
    let y = if loss {
        Axis::log(values.iter().copied(), 0.04, frame.bottom, frame.top)
    } else {
        // The first points, from an untrained model, would take most of the axis.
        let cut = values.len() / 10;
        let shown = if a.validation.higher {
            &values[cut..]
        } else {
            &values[..values.len() - cut]
        };
        Axis::linear(shown.iter().copied(), 0.05, frame.bottom, frame.top)
    };
    let kind = if loss { "loss" } else { "validation" };
    frame.redrawn_as(&format!("{kind} {by}{}", if log { " log" } else { "" }));
    let ticks = y.ticks(5);
    let factor = if loss { 1.0 } else { a.validation.factor() };
    let labels = if loss {
        ticks.iter().map(|t| significant(*t, 3)).collect()
    } else {
        tick_labels(&ticks, factor)
    };
    let unit = if !loss && a.validation.percent {
        ", %"
    } else {
        ""
    };
    frame.y_axis(
        &y,
        &ticks,
        &labels,
        &format!(
            "{}{unit}",
            if loss {
                "training loss"
            } else {
                &a.validation.words
            }
        ),
    );
    let ticks = x.ticks(6);
    frame.x_axis(
        &x,
        &ticks,
        &ticks.iter().map(|t| significant(*t, 4)).collect::<Vec<_>>(),
        by,
    );
    frame.clip();
    for (i, c) in curves.iter().enumerate() {
        let Some(c) = c else { continue };
        frame.series(i);
        frame.of_group(groups[i].0);
        let keep = c.mean.len().div_ceil(160).max(1);
        let places = place(c);
        let at = |column: &[f64]| -> Vec<(f64, f64)> {
            let last = column.len() - 1;
            (0..=last)
                .filter(|k| k % keep == 0 || *k == last)
                .map(|k| (x.at(places[k]), y.at(column[k])))
                .collect()
        };
        let band: Vec<(f64, f64)> = at(&c.low)
            .into_iter()
            .chain(at(&c.high).into_iter().rev())
            .collect();
        frame
            .svg
            .polyline(&format!("bn f{}", i % COLOURS), "", band);
        let dash = ["", " stroke-dasharray=\"7 3\"", " stroke-dasharray=\"2 3\""][i / COLOURS % 3];
        let points = at(&c.mean);
        frame
            .svg
            .polyline(&format!("ln s{}", i % COLOURS), dash, points.clone());
        if let Some((px, py)) = points.last() {
            frame.svg.mark(i, false, *px, *py, 4.2, &groups[i].1);
        }
        frame.end();
        frame.end();
    }
    frame.end();
    let hidden = |c: &Curve| c.mean.iter().filter(|v| !y.shows(**v)).count();
    let gone = |(c, g): (&Option<Curve>, &(usize, String))| {
        c.as_ref()
            .filter(|c| hidden(c) == c.mean.len())
            .map(|_| g.1.clone())
    };
    let gone: Vec<String> = curves.iter().zip(groups).filter_map(gone).collect();
    let side = if a.validation.higher {
        "below"
    } else {
        "above"
    };
    let cut = match &gone[..] {
        _ if loss || drawn().all(|c| hidden(c) == 0) => String::new(),
        [] => format!(" Worse values are {side} the axis range."),
        gone => format!(
            " Worse values are {side} the axis range, among them all values of: {}.",
            gone.join("; ")
        ),
    };
    let axis = if log {
        " The horizontal axis is logarithmic."
    } else {
        ""
    };
    let loss = if loss {
        " Training loss is the mean since the previous point."
    } else {
        ""
    };
    Some(frame.finish(format!("Line: mean over the finished seeds, while at least half of them still train; band: minimum to maximum; mark: end.{loss}{axis}{cut} {}.", a.small_print())))
}
