use largebatch_plot::draw::{Anchor, Axis, COLOURS, Frame, Key};
use largebatch_plot::{Figure, significant, whole};
use largebatch_study::statistics::{
    Censored, UsefulBatch, hyperbola, perfect_scaling, useful_batch,
};

use crate::analysis::{Analysis, batches, series_label};
use crate::facts::Facts;

type Of = fn(&Facts<'_>) -> Option<Censored>;

/// Steps and examples to the target against batch size, on logarithmic axes.
pub(super) fn charts(a: &Analysis) -> Vec<Figure> {
    let steps: Of = |f| f.steps;
    let both = [
        ("steps", "Steps", steps),
        ("examples", "Examples", |f| f.examples),
    ];
    let both = both.into_iter();
    both.filter_map(|(what, title, of)| {
        let title = format!("{title} to the target");
        chart(a, &format!("{what}-target"), &title, what, of)
    })
    .collect()
}

/// The fits to each series, in words.
pub(crate) fn findings(a: &Analysis) -> Vec<String> {
    a.curves_and_rest()
        .0
        .into_iter()
        .filter_map(|s| finding(a, s))
        .collect()
}

fn finding(a: &Analysis, s: &largebatch_study::Series) -> Option<String> {
    let points = reached(a, s, |f| f.steps);
    let (first, last) = (points.first()?, points.last()?);
    let target = s
        .groups
        .iter()
        .find_map(|(_, g)| a.groups[*g].target)
        .map_or(String::new(), |t| a.validation.value(t));
    let mut said = vec![format!(
        "{} steps to {} {target} at batch {}",
        whole(first.1 as u64),
        a.validation.words,
        first.0,
    )];
    if points.len() > 1 {
        said[0] += &format!(
            ", {} at batch {} ({} times {}; {} times fewer with perfect scaling)",
            whole(last.1 as u64),
            last.0,
            significant((first.1 / last.1).max(last.1 / first.1), 3),
            if last.1 > first.1 { "more" } else { "fewer" },
            significant(last.0 / first.0, 4)
        );
    }
    said.extend(useful_batch(&points).map(|u| match u {
        UsefulBatch::At(b) => format!("maximum useful batch {}", significant(b, 2)),
        UsefulBatch::AtLeast(b) => format!("scales perfectly up to {b}, the largest batch"),
        UsefulBatch::AtMost(b) => format!("no batch beyond {b}, the smallest, saves steps"),
    }));
    said.extend(hyperbola(&points).map(|h| {
        let at = |v: f64| significant(v, 2);
        format!(
            "B_crit {} with S_min {} steps and E_min {} examples",
            at(h.b_crit),
            at(h.s_min),
            at(h.e_min)
        )
    }));
    let missing = s.groups.len() - points.len();
    if missing > 0 {
        said.push(format!(
            "no median at {missing} of {} batch sizes, where fewer than half of the seeds reached it",
            s.groups.len()
        ));
    }
    Some(format!("{}: {}.", series_label(s), said.join("; ")))
}

/// How far larger batches save steps, in one sentence.
pub(crate) fn headline(a: &Analysis) -> Option<String> {
    let (curves, _) = a.curves_and_rest();
    let useful = curves.iter().filter_map(|s| {
        let points = reached(a, s, |f| f.steps);
        let useful = match useful_batch(&points)? {
            UsefulBatch::At(b) => format!("about {}", significant(b, 2)),
            UsefulBatch::AtLeast(b) => format!("at least {b}, the largest tried"),
            UsefulBatch::AtMost(b) => format!("at most {b}, the smallest tried"),
        };
        Some(match curves.len() {
            1 => useful,
            _ => format!("{useful} ({})", series_label(s)),
        })
    });
    let useful: Vec<String> = useful.collect();
    (!useful.is_empty()).then(|| {
        format!(
            "Larger batches save steps up to the maximum useful batch: {}.",
            useful.join("; ")
        )
    })
}

fn reached(a: &Analysis, s: &largebatch_study::Series, of: Of) -> Vec<(f64, f64)> {
    s.groups
        .iter()
        .filter_map(|(b, g)| Some((*b, of(&a.groups[*g])?.median?)))
        .collect()
}

fn chart(a: &Analysis, name: &str, title: &str, what: &str, of: Of) -> Option<Figure> {
    let guides = what == "steps";
    let (series, _) = a.curves_and_rest();
    let with: Vec<_> = series
        .iter()
        .filter(|s| {
            s.groups
                .iter()
                .any(|(_, g)| of(&a.groups[*g]).is_some_and(|c| c.median.is_some()))
        })
        .collect();
    if with.is_empty() {
        return None;
    }
    let mut keys: Vec<Key> = series
        .iter()
        .enumerate()
        .map(|(i, s)| Key::Series(i, series_label(s)))
        .collect();
    if guides {
        keys.push(Key::Guide("perfect scaling".into()));
        keys.push(Key::Fit("S_min (1 + B_crit/B)".into()));
    }
    let targets: std::collections::BTreeSet<String> = series
        .iter()
        .flat_map(|s| &s.groups)
        .filter_map(|(_, g)| a.groups[*g].target)
        .map(|t| a.validation.value(t))
        .collect();
    let target = targets.into_iter().collect::<Vec<_>>().join(", ");
    let title = format!("{title} ({} {target})", a.validation.words);
    let mut frame = Frame::new(name, &title, &keys, 62.0, 240.0);
    let batches = batches(series.iter().copied());
    let x = Axis::log(batches.iter().copied(), 0.06, frame.left, frame.right);
    let values: Vec<f64> = series
        .iter()
        .flat_map(|s| reached(a, s, of))
        .map(|p| p.1)
        .collect();
    // Room below, so that the line of perfect scaling is visible.
    let below = if guides {
        values.iter().copied().reduce(f64::min).map(|v| v / 2.0)
    } else {
        None
    };
    let y = Axis::log(
        values.into_iter().chain(below),
        0.1,
        frame.bottom,
        frame.top + 16.0,
    );
    let ticks = y.ticks(6);
    let labels: Vec<String> = ticks
        .iter()
        .map(|t| {
            if *t < 1e6 {
                whole(*t as u64)
            } else {
                significant(*t, 2)
            }
        })
        .collect();
    frame.y_axis(&y, &ticks, &labels, what);
    frame.x_values(&x, &batches, "batch size");
    frame.clip();
    for (i, s) in series.iter().enumerate() {
        let points = reached(a, s, of);
        frame.series(i);
        let class = format!(" s{}", i % COLOURS);
        if guides && !points.is_empty() {
            let ends = [points[0].0, batches.last().copied().unwrap_or(1.0)];
            let ideal = ends
                .into_iter()
                .filter_map(|b| Some((x.at(b), y.at(perfect_scaling(&points, b)?))));
            frame
                .svg
                .polyline(&format!("gd{class}"), "", ideal.collect::<Vec<_>>());
            if let Some(fit) = hyperbola(&points) {
                let (low, high) = (points[0].0.ln(), points[points.len() - 1].0.ln());
                let curve = (0..=40).map(|k| (low + (high - low) * f64::from(k) / 40.0).exp());
                frame.svg.polyline(
                    &format!("th{class}"),
                    "",
                    curve.map(|b| (x.at(b), y.at(fit.steps(b)))),
                );
            }
        }
        frame.svg.polyline(
            &format!("ln{class}"),
            "",
            points.iter().map(|(b, v)| (x.at(*b), y.at(*v))),
        );
        for (batch, g) in &s.groups {
            let Some(c) = of(&a.groups[*g]) else { continue };
            frame.of_group(g);
            let tip = format!(
                "{}, batch {batch}: {} of {} reached the target",
                series_label(s),
                c.reached,
                c.n
            );
            match c.median {
                Some(median) => {
                    let tip = format!("{tip}, median {} {what}", whole(median as u64));
                    frame
                        .svg
                        .mark(i, c.reached < c.n, x.at(*batch), y.at(median), 4.8, &tip);
                }
                None if c.n > 0 => {
                    // Those without a median stand side by side above their batch size.
                    let missing = |s: &&largebatch_study::Series| {
                        s.groups.iter().any(|(b, g)| {
                            b == batch && of(&a.groups[*g]).is_some_and(|c| c.median.is_none())
                        })
                    };
                    let [before, all] = [&series[..i], &series[..]]
                        .map(|s| s.iter().copied().filter(missing).count() as f64);
                    let (at, top) = (
                        x.at(*batch) + (before - (all - 1.0) / 2.0) * 36.0,
                        frame.top + 8.0,
                    );
                    frame.svg.mark(i, true, at, top, 4.2, &tip);
                    frame.svg.text(
                        "m sm",
                        Anchor::Middle,
                        at,
                        top + 15.0,
                        &format!("{} of {}", c.reached, c.n),
                    );
                }
                None => {}
            }
            frame.end();
        }
        frame.end();
    }
    frame.end();
    let caption = format!(
        "Medians over seeds. Hollow mark: not every seed reached the target. Hollow mark at the top: fewer than half did, so there is no median. {}.",
        a.small_print()
    );
    Some(frame.finish(caption))
}
