//! A row for each group: the mean of a quantity, its interval and its single seeds.

use largebatch_plot::draw::{
    Anchor, Axis, COLOURS, Frame, Svg, WIDTH, Way, bulk, escape, fits, px, tick_labels,
};
use largebatch_plot::{Figure, significant};
use largebatch_study::statistics::Estimate;

use crate::analysis::Analysis;
use crate::facts::{Facts, second};
use crate::measure::Measure;

/// A group's estimate, and the values it was computed from.
pub(super) type Values = (Option<Estimate>, Vec<(u64, f64)>);

/// A quantity of each group that charts can show: its estimate, and the values by seed.
pub(super) struct Shown<'a> {
    pub measure: &'a Measure,
    /// The axis title.
    pub words: String,
    pub of: fn(&Facts) -> Values,
    /// Whether 0 means "none" and is marked.
    pub zero: bool,
}

/// A single seed's value, with its tooltip.
pub(super) fn dot(svg: &mut Svg, series: usize, x: f64, y: f64, tip: &str) {
    svg.raw(format_args!(
        "<circle class=\"dot f{}\" cx=\"{}\" cy=\"{}\" r=\"1.8\"><title>{}</title></circle>",
        series % COLOURS,
        px(x),
        px(y),
        escape(tip)
    ));
}

/// The tooltip of a mark.
pub(super) fn tip(f: &Facts, e: &Estimate, shown: &Shown) -> String {
    let lost = if f.diverged + f.lost > 0 {
        format!(", {} diverged, {} failed or pruned", f.diverged, f.lost)
    } else {
        String::new()
    };
    let m = shown.measure;
    // A quantity with a meaningful 0 is a difference, and so in points.
    let value = if shown.zero {
        m.difference(e) + m.points()
    } else {
        m.estimate(e)
    };
    format!("{}: {value} (n = {}{lost}{})", f.label, e.n, rate(f))
}

fn rate(f: &Facts) -> String {
    f.rate.map_or(String::new(), |rate| {
        format!(", rate {}", significant(rate, 3))
    })
}

/// The tooltip of a single seed's value.
pub(super) fn seed_tip(f: &Facts, (seed, value): (u64, f64), shown: &Shown) -> String {
    let m = shown.measure;
    let value = if shown.zero {
        m.bare(value) + m.points()
    } else {
        m.value(value)
    };
    format!("{}, seed {seed}: {value}{}", f.label, rate(f))
}

/// A mean and everything drawn with it, from which an axis chooses its ends.
pub(super) fn drawn((estimate, seeds): Values) -> Option<(f64, Vec<f64>)> {
    estimate.map(|e| (e.mean, ends(e).into_iter().chain(second(&seeds)).collect()))
}

pub(super) const ROW: f64 = 30.0;
pub(super) const LABELS: f64 = 172.0;

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
    let smallest = groups
        .iter()
        .filter_map(|g| Some((a.groups[*g].batch?, *g)));
    let reference = smallest
        .min_by(|p, q| p.0.total_cmp(&q.0))
        .map(|p| p.1)
        .filter(|g| of(*g).0.is_some_and(|e| x.shows(e.mean)));
    let marked = if shown.zero {
        Some(0.0)
    } else {
        reference.and_then(|g| of(g).0).map(|e| e.mean)
    };
    if let Some(at) = marked.map(|v| x.at(v)) {
        frame.down("gd", at);
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
        frame.of_group(g);
        if seeds.len() <= 40 {
            seeds.iter().filter(|s| x.shows(s.1)).for_each(|s| {
                dot(
                    &mut frame.svg,
                    row,
                    x.at(s.1),
                    y + 9.0,
                    &seed_tip(f, *s, shown),
                );
            });
        }
        match estimate {
            Some(e) => {
                let hollow = f.diverged + f.lost > 0;
                beyond |= mean(
                    &mut frame.svg,
                    &x,
                    (row, hollow, y, 5.0),
                    &e,
                    &tip(f, &e, shown),
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
        frame.end();
    }
    let hollow = hollow(a, groups);
    let dashed = match (shown.zero, reference) {
        (false, Some(g)) => format!(" Dashed: the mean of {}.", a.groups[g].label),
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
pub(super) fn mean(
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

/// The caption's text about hollow marks.
pub(super) fn hollow(a: &Analysis, groups: &[usize]) -> &'static str {
    let unusual = |g: &usize| a.groups[*g].diverged + a.groups[*g].lost > 0;
    if groups.iter().any(unusual) {
        " Hollow: some trials diverged, failed or were pruned, and the mean is over the others."
    } else {
        ""
    }
}

/// The caption's text about arrows.
pub(super) fn arrows(beyond: bool) -> &'static str {
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
        () if f.diverged + f.lost == f.records.len() => "✕ no trial has a result",
        () => "not measured",
    }
}

/// The name of a group's row, with its batch size if the name does not have it.
pub(super) fn label(svg: &mut Svg, f: &Facts, text: &str, y: f64) {
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

pub(super) fn ends(e: Estimate) -> [f64; 3] {
    let (low, high) = e.interval.unwrap_or((e.mean, e.mean));
    [low, e.mean, high]
}

pub(super) fn axis(frame: &mut Frame, x: &Axis, measure: &Measure, words: &str, room: f64) {
    let ticks = x.ticks(5);
    let right = frame.right;
    frame.right -= room;
    frame.x_axis(x, &ticks, &tick_labels(&ticks, measure.factor()), words);
    frame.right = right;
}
