use largebatch_plot::Figure;
use largebatch_plot::draw::{
    Anchor, Axis, COLOURS, Frame, Key, Svg, WIDTH, Way, bulk, fit, fits, px, tick_labels,
};
use largebatch_study::statistics::Estimate;

use super::{Shown, Values};
use crate::analysis::{Analysis, Comparison, Facts, second, without_shared};
use crate::measure::Measure;

/// A single seed's value.
pub(super) fn dot(svg: &mut Svg, series: usize, x: f64, y: f64) {
    svg.raw(format_args!(
        "<circle class=\"dot f{}\" cx=\"{}\" cy=\"{}\" r=\"1.8\"/>",
        series % COLOURS,
        px(x),
        px(y)
    ));
}

/// The tooltip of a mark.
pub(super) fn tip(f: &Facts, e: &Estimate, measure: &Measure) -> String {
    let lost = if f.diverged + f.lost > 0 {
        format!(", {} diverged, {} lost", f.diverged, f.lost)
    } else {
        String::new()
    };
    format!("{}: {} (n = {}{lost})", f.label, measure.estimate(e), e.n)
}

/// A mean and everything drawn with it, from which an axis chooses its ends.
pub(super) fn drawn((estimate, seeds): Values) -> Option<(f64, Vec<f64>)> {
    estimate.map(|e| (e.mean, ends(e).into_iter().chain(second(&seeds)).collect()))
}

const ROW: f64 = 30.0;
const LABELS: f64 = 172.0;

/// A row for each group: its mean with interval, and its single seeds.
pub(super) fn groups(
    a: &Analysis,
    shown: &Shown,
    groups: &[usize],
    name: &str,
    title: &str,
) -> Option<Figure> {
    let of = |g: usize| (shown.of)(&a.groups[g]);
    let rows: Vec<(f64, Vec<f64>)> = groups.iter().filter_map(|g| drawn(of(*g))).collect();
    if rows.is_empty() {
        return None;
    }
    let values = bulk(&rows, if shown.zero { &[0.0] } else { &[] });
    let mut frame = Frame::new(name, title, &[], LABELS, ROW * groups.len() as f64 + 8.0);
    let room = 52.0;
    let x = Axis::linear(values, 0.05, frame.left, frame.right - room);
    axis(&mut frame, &x, shown.measure, &shown.words, room);
    // The smallest batch is the reference for the others.
    let reference = groups
        .iter()
        .filter(|g| a.groups[**g].batch.is_some())
        .min_by(|p, q| {
            a.groups[**p]
                .batch
                .partial_cmp(&a.groups[**q].batch)
                .unwrap_or(std::cmp::Ordering::Equal)
        })
        .filter(|g| of(**g).0.is_some_and(|e| x.shows(e.mean)));
    let marked = if shown.zero {
        Some(0.0)
    } else {
        reference.and_then(|g| of(*g).0).map(|e| e.mean)
    };
    if let Some(at) = marked.map(|v| x.at(v)) {
        let (top, bottom) = (frame.top, frame.bottom);
        frame.svg.line("gd", at, top, at, bottom);
    }
    let mut beyond = false;
    let labels = fits(
        &groups
            .iter()
            .map(|g| a.groups[*g].label.as_str())
            .collect::<Vec<_>>(),
        12.0,
        LABELS - 20.0,
    );
    for (row, g) in groups.iter().enumerate() {
        let y = frame.top + 4.0 + ROW * (row as f64 + 0.5);
        let f = &a.groups[*g];
        label(&mut frame.svg, f, &labels[row], y);
        let (estimate, seeds) = of(*g);
        frame.series(row);
        if seeds.len() <= 40 {
            seeds
                .iter()
                .filter(|s| x.shows(s.1))
                .for_each(|(_, v)| dot(&mut frame.svg, row, x.at(*v), y + 9.0));
        }
        match estimate {
            Some(e) => {
                let hollow = f.diverged + f.lost > 0;
                beyond |= mean(
                    &mut frame.svg,
                    &x,
                    (row, hollow, y, 5.0),
                    &e,
                    &tip(f, &e, shown.measure),
                );
                frame.svg.text(
                    "t",
                    Anchor::End,
                    WIDTH - 14.0,
                    y + 4.0,
                    &shown.measure.bare(e.mean),
                );
            }
            None => {
                let text = nothing(f);
                let at = frame.left + 6.0;
                frame.svg.text("m", Anchor::Start, at, y + 4.0, text);
            }
        }
        frame.end();
    }
    let hollow = if groups
        .iter()
        .any(|g| a.groups[*g].diverged + a.groups[*g].lost > 0)
    {
        " Hollow: some trials diverged or were lost, and the mean is over the others."
    } else {
        ""
    };
    let dashed = match (shown.zero, reference) {
        (false, Some(g)) => format!(" Dashed: the mean of {}.", a.groups[*g].label),
        _ => String::new(),
    };
    Some(frame.finish(format!(
        "Mean over seeds with its interval; faint dots are single seeds.{dashed}{hollow}{} {}.",
        arrows(beyond),
        a.small_print()
    )))
}

/// A mean with its interval, clipped to the axis. If the mean is beyond it, draws an arrow at the
/// edge and returns `true`.
fn mean(
    svg: &mut Svg,
    x: &Axis,
    (series, hollow, y, size): (usize, bool, f64, f64),
    e: &Estimate,
    tip: &str,
) -> bool {
    let (least, most) = x.ends();
    if let Some((low, high)) = e
        .interval
        .filter(|(low, high)| *low <= most && *high >= least)
    {
        svg.interval(series, true, y, x.at(low.max(least)), x.at(high.min(most)));
    }
    let beyond = !x.shows(e.mean);
    if beyond {
        let left = e.mean < least;
        svg.arrow(
            series,
            hollow,
            (x.at(if left { least } else { most }), y),
            if left { Way::Left } else { Way::Right },
            tip,
        );
    } else {
        svg.mark(series, hollow, x.at(e.mean), y, size, tip);
    }
    beyond
}

/// The caption's text about arrows.
fn arrows(beyond: bool) -> &'static str {
    if beyond {
        " Arrow: far outside the axis range, which fits the others; the value is at the right."
    } else {
        ""
    }
}

fn nothing(f: &Facts) -> &'static str {
    match () {
        () if f.records.is_empty() => "not run",
        () if f.diverged == f.records.len() => "✕ all diverged",
        () if f.diverged + f.lost == f.records.len() => "✕ all lost",
        () => "not measured",
    }
}

fn label(svg: &mut Svg, f: &Facts, text: &str, y: f64) {
    let named_batch = f.label.contains("batch ");
    let second_line = f
        .batch
        .filter(|_| !named_batch)
        .map(|b| format!("batch {b}"));
    let shift = if second_line.is_some() { -3.0 } else { 4.0 };
    svg.text("t", Anchor::End, LABELS - 12.0, y + shift, text);
    if let Some(text) = second_line {
        svg.text("m sm", Anchor::End, LABELS - 12.0, y + 10.0, &text);
    }
}

fn ends(e: Estimate) -> [f64; 3] {
    let (low, high) = e.interval.unwrap_or((e.mean, e.mean));
    [low, e.mean, high]
}

fn axis(frame: &mut Frame, x: &Axis, measure: &Measure, words: &str, room: f64) {
    let ticks = x.ticks(5);
    let right = frame.right;
    frame.right -= room;
    frame.x_axis(x, &ticks, &tick_labels(&ticks, measure.factor()), words);
    frame.right = right;
}

/// How much worse each large batch is than its small one, at the end and at equal training loss.
/// Many comparisons are split by batch size.
pub(super) fn comparisons(a: &Analysis) -> Vec<Figure> {
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
    let mut batches: Vec<f64> = rows.iter().map(|c| batch(c)).collect();
    batches.sort_by(f64::total_cmp);
    batches.dedup();
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
    let (top, bottom, zero) = (frame.top, frame.bottom, x.at(0.0));
    frame.svg.line("ax", zero, top, zero, bottom);
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
