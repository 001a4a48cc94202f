use largebatch_plot::Figure;
use largebatch_plot::draw::{Anchor, Axis, Frame, Key, WIDTH, bulk, fit, fits};

use super::forest::{LABELS, arrows, axis, ends, mean};
use crate::analysis::{Analysis, distinct, without_shared};
use crate::comparison::Comparison;

/// How much worse each large batch is than its small one, at the end and at equal training loss.
/// Many comparisons are split by batch size.
pub(super) fn charts(a: &Analysis) -> Vec<Figure> {
    let rows: Vec<&Comparison> = a
        .comparisons
        .iter()
        .filter(|c| c.end.is_some() || c.at_loss.is_some())
        .collect();
    let title = if a.measure.higher {
        "How much worse the large batch is: small − large"
    } else {
        "How much worse the large batch is: large − small"
    };
    let batch = |c: &Comparison| a.groups[c.large].batch.unwrap_or(0.0);
    let batches = distinct(rows.iter().map(|c| batch(c)));
    if rows.len() <= 8 || batches.len() == 1 {
        return differences(a, "difference", title, &rows, false)
            .into_iter()
            .collect();
    }
    let of = |b: f64| {
        let rows: Vec<&Comparison> = rows.iter().copied().filter(|c| batch(c) == b).collect();
        differences(
            a,
            &format!("difference-{b}"),
            &format!("{title} · batch {b}"),
            &rows,
            true,
        )
    };
    batches.into_iter().filter_map(of).collect()
}

fn differences(
    a: &Analysis,
    name: &str,
    title: &str,
    rows: &[&Comparison],
    short: bool,
) -> Option<Figure> {
    let estimates = rows
        .iter()
        .flat_map(|c| [c.end, c.at_loss.map(|l| l.1)])
        .flatten()
        .map(|p| p.difference);
    let estimates: Vec<(f64, Vec<f64>)> = estimates.map(|e| (e.mean, ends(e).to_vec())).collect();
    if estimates.is_empty() {
        return None;
    }
    let values = bulk(&estimates, &[0.0]);
    let mut keys = Vec::new();
    if rows.iter().any(|c| c.end.is_some()) {
        keys.push(Key::Series(0, format!("{}, at the end", a.measure.words)));
    }
    if rows.iter().any(|c| c.at_loss.is_some()) {
        keys.push(Key::Hollow(
            1,
            format!("{}, at equal training loss", a.validation.words),
        ));
    }
    let mut frame = Frame::new(name, title, &keys, LABELS, 36.0 * rows.len() as f64 + 8.0);
    let room = 52.0;
    let x = Axis::linear(values, 0.06, frame.left, frame.right - room);
    axis(
        &mut frame,
        &x,
        &a.measure,
        if a.measure.percent {
            "points; right of 0, the large batch is worse"
        } else {
            "right of 0, the large batch is worse"
        },
        room,
    );
    frame.down("ax", x.at(0.0));
    let mut beyond = false;
    let name = |c: &&Comparison| {
        if short {
            a.groups[c.large].short.as_str()
        } else {
            a.groups[c.large].label.as_str()
        }
    };
    let labels = fits(
        &rows.iter().map(name).collect::<Vec<_>>(),
        12.0,
        LABELS - 20.0,
    );
    for (row, c) in rows.iter().enumerate() {
        let y = frame.top + 4.0 + 36.0 * (row as f64 + 0.5);
        let (small, large) = (&a.groups[c.small], &a.groups[c.large]);
        frame.of_group(c.large);
        frame
            .svg
            .text("t", Anchor::End, LABELS - 12.0, y - 3.0, &labels[row]);
        let budget = if c.equal_epochs { "" } else { " ‡" };
        frame.svg.text(
            "m sm",
            Anchor::End,
            LABELS - 12.0,
            y + 10.0,
            &fit(
                &format!(
                    "against {}{budget}",
                    without_shared(&small.label, &large.label)
                ),
                11.0,
                LABELS - 20.0,
            ),
        );
        for (i, p, dy) in [(0, c.end, -6.0), (1, c.at_loss.map(|l| l.1), 7.0)] {
            let Some(p) = p else { continue };
            let e = p.difference;
            let tip = format!(
                "{} against {}: {}{} (n = {} pairs)",
                large.label,
                small.label,
                a.measure.difference(&e),
                a.measure.points(),
                e.n
            );
            beyond |= mean(&mut frame.svg, &x, (i, i == 1, y + dy, 4.4), &e, &tip);
            let class = if i == 0 { "t sm" } else { "m sm" };
            let sign = if e.mean > 0.0 { "+" } else { "" };
            frame.svg.text(
                class,
                Anchor::End,
                WIDTH - 14.0,
                y + dy + 4.0,
                &format!("{sign}{}", a.measure.bare(e.mean)),
            );
        }
        frame.end();
    }
    let budgets = match rows.iter().filter(|c| c.equal_epochs).count() {
        0 => "‡: budgets differ in epochs.",
        n if n == rows.len() => "Equal epochs.",
        _ => "Equal epochs, except ‡: another budget.",
    };
    Some(frame.finish(format!(
        "{budgets} Mean of the differences, paired by seed, with its interval.{} {}.",
        arrows(beyond),
        a.small_print()
    )))
}
