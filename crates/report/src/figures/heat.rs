use largebatch_plot::draw::{
    Anchor, Axis, Frame, Svg, WIDTH, escape, fits, heat, px, tick_labels, width,
};
use largebatch_plot::{Figure, significant, stems};
use largebatch_study::statistics::Censored;
use largebatch_study::{Goal, StopReason, TrialRecord, key, number};

use crate::analysis::{Analysis, at_points, series_label};
use crate::measure::Measure;

/// A point of a search.
struct Cell {
    /// Its index in the search.
    point: usize,
    rate: f64,
    score: Option<f64>,
    diverged: usize,
    lost: usize,
    of: usize,
    best: bool,
}

struct Row {
    group: usize,
    label: String,
    cells: Vec<Cell>,
}

/// Rate × batch size for each series, and rate × arm for the single groups.
pub(super) fn charts(a: &Analysis) -> Vec<Figure> {
    let (curves, rest) = a.curves_and_rest();
    let mut figures = Vec::new();
    let labels: Vec<String> = curves.iter().map(|s| series_label(s)).collect();
    let stems = stems(labels.iter().map(String::as_str).chain(["arms"]));
    for ((s, label), stem) in curves.iter().zip(&labels).zip(&stems) {
        let rows = s
            .groups
            .iter()
            .filter_map(|(batch, g)| row(a, *g, significant(*batch, 7)))
            .collect();
        let title = if label == "all" {
            "Learning rate × batch size".to_string()
        } else {
            format!("Learning rate × batch size · {label}")
        };
        figures.extend(chart(a, &format!("heat-{stem}"), &title, "batch", rows));
    }
    let rows = rest
        .iter()
        .filter_map(|g| row(a, *g, a.groups[*g].label.clone()))
        .collect();
    figures.extend(chart(
        a,
        &format!("heat-{}", stems[labels.len()]),
        "Learning rate × arm",
        "",
        rows,
    ));
    figures
}

fn row(a: &Analysis, group: usize, label: String) -> Option<Row> {
    let points = &a.results.plan.groups[group].points;
    let best = a.results.choices[group].as_ref().map(|c| c.point);
    let records = at_points(a.results, group);
    let cell = |(i, point): (usize, &toml::Table)| {
        let records = &records[i];
        let diverged = records
            .iter()
            .filter(|r| r.stop == StopReason::Diverged)
            .count();
        Some(Cell {
            point: i,
            rate: point.get(key::RATE).and_then(number)?,
            score: score(a, records),
            diverged,
            lost: records.iter().filter(|r| !r.stop.is_measurement()).count() - diverged,
            of: records.len(),
            best: best == Some(i),
        })
    };
    let cells: Vec<Cell> = points.iter().enumerate().filter_map(cell).collect();
    (!cells.is_empty()).then_some(Row {
        group,
        label,
        cells,
    })
}

/// The score by which the study chooses a point.
pub(super) fn score(a: &Analysis, records: &[&TrialRecord]) -> Option<f64> {
    match a.results.plan.study.tune.goal {
        Goal::BestValidation => {
            let values: Vec<f64> = records
                .iter()
                .filter(|r| r.stop.is_measurement())
                .filter_map(|r| r.validation())
                .collect();
            (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
        }
        Goal::FewestSteps => {
            let steps: Vec<Option<f64>> = records
                .iter()
                .map(|r| (r.stop == StopReason::TargetReached).then_some(r.steps as f64))
                .collect();
            Censored::new(&steps).median
        }
    }
}

fn chart(a: &Analysis, name: &str, title: &str, axis: &str, rows: Vec<Row>) -> Option<Figure> {
    let cells = || rows.iter().flat_map(|r| &r.cells);
    if cells().all(|c| c.of == 0) {
        return None;
    }
    let steps = a.results.plan.study.tune.goal == Goal::FewestSteps;
    let measure = if steps {
        Measure {
            key: "steps".into(),
            words: "steps to the target".into(),
            percent: false,
            higher: false,
        }
    } else {
        a.validation.clone()
    };
    let better = if measure.higher { 1.0 } else { -1.0 };
    let grade = |s: f64| better * if steps { s.max(1.0).ln() } else { s };
    let mut grades: Vec<f64> = cells().filter_map(|c| c.score).map(grade).collect();
    grades.sort_by(f64::total_cmp);
    // Rates that learn almost nothing would take the whole range of colours.
    let median = grades.get(grades.len() / 2);
    let worst = match (grades.first(), median, grades.last()) {
        (Some(min), Some(median), Some(max)) if max > median => {
            min.max(median - 2.0 * (max - median))
        }
        (min, ..) => min.copied().unwrap_or(0.0),
    };
    let top = grades.last().copied().unwrap_or(1.0);
    let shade = |s: f64| {
        if top > worst {
            (grade(s) - worst) / (top - worst)
        } else {
            1.0
        }
    };

    let left = rows
        .iter()
        .map(|r| width(&r.label, 12.0))
        .fold(40.0, f64::max)
        .min(140.0)
        * 1.1
        + 18.0;
    let high = if rows.len() > 14 { 22.0 } else { 28.0 };
    let mut frame = Frame::new(name, title, &[], left, high * rows.len() as f64 + 4.0);
    let lift = 22.0;
    frame.top += lift;
    frame.bottom += lift;
    let rates: Vec<f64> = cells().map(|c| c.rate).collect();
    let mut sorted = rates.clone();
    sorted.sort_by(f64::total_cmp);
    sorted.dedup_by(|x, y| (*x / *y - 1.0).abs() < 1e-6);
    let plain = Axis::log(rates.iter().copied(), 0.0, frame.left, frame.right);
    let gap = sorted
        .windows(2)
        .map(|w| plain.at(w[1]) - plain.at(w[0]))
        .fold(f64::INFINITY, f64::min);
    // The cells of a grid touch; the points of a random search are separate marks.
    let span = frame.right - frame.left;
    let grid = gap >= 13.0;
    let side = if grid {
        (span / (span / gap + 1.0)).min(60.0)
    } else {
        13.0
    };
    let x = Axis::log(
        rates.iter().copied(),
        0.0,
        frame.left + side / 2.0 + 2.0,
        frame.right - side / 2.0 - 2.0,
    );
    let side = if grid {
        sorted
            .windows(2)
            .map(|w| x.at(w[1]) - x.at(w[0]))
            .fold(60.0, f64::min)
            - 2.0
    } else {
        side
    };
    let ticks = if grid && sorted.len() <= 9 {
        sorted.clone()
    } else {
        x.ticks(6)
    };
    let digits = if ticks.len() == sorted.len() { 2 } else { 3 };
    let labels: Vec<String> = ticks.iter().map(|t| significant(*t, digits)).collect();
    frame.x_axis(&x, &ticks, &labels, "learning rate");
    if !axis.is_empty() {
        let y = frame.top - 7.0;
        frame.svg.text("m", Anchor::End, left - 8.0, y, axis);
    }
    // The largest font size at which every number fits in its cell; readers' fonts may be wider by
    // a seventh.
    let widest = |size| {
        cells()
            .filter_map(|c| c.score)
            .map(|s| 1.15 * width(&figure(&measure, s), size))
            .fold(0.0, f64::max)
    };
    let size = [10.5, 9.0]
        .into_iter()
        .find(|size| widest(*size) < side - 1.0);
    let labels = fits(
        &rows.iter().map(|r| r.label.as_str()).collect::<Vec<_>>(),
        12.0,
        left - 12.0,
    );
    for (i, row) in rows.iter().enumerate() {
        let y = frame.top + 2.0 + high * i as f64;
        frame.svg.text(
            "t",
            Anchor::End,
            left - 8.0,
            y + high / 2.0 + 4.0,
            &labels[i],
        );
        frame.of_group(row.group);
        // The best cell's ring is drawn over its neighbours.
        let (best, others): (Vec<&Cell>, Vec<&Cell>) = row.cells.iter().partition(|c| c.best);
        for c in others.into_iter().chain(best) {
            draw(
                &mut frame,
                c,
                (x.at(c.rate), y + 1.0, side, high - 2.0),
                (&measure, size),
                &shade,
                &row.label,
            );
        }
        frame.end();
    }
    legend(&mut frame, left, lift, &measure, (worst, top), steps);
    let kind = if steps {
        "Colour: median steps to the target"
    } else {
        "Colour: mean validation metric at the end"
    };
    Some(frame.finish(format!(
        "{kind}; ✕: every seed diverged, smaller: some did; –: failed, pruned, or target not reached; ring: the chosen rate. {}.",
        a.tune_print()
    )))
}

/// A score as written in its cell.
fn figure(measure: &Measure, score: f64) -> String {
    if measure.percent {
        format!("{:.1}", score * 100.0).replace("100.0", "100")
    } else {
        measure.bare(score)
    }
}

fn draw(
    frame: &mut Frame,
    c: &Cell,
    (x, y, w, h): (f64, f64, f64, f64),
    (measure, size): (&Measure, Option<f64>),
    shade: &dyn Fn(f64) -> f64,
    row: &str,
) {
    let svg = &mut frame.svg;
    let mut tip = format!("{row}, rate {}: ", significant(c.rate, 3));
    tip += &c
        .score
        .map_or_else(|| "no result".into(), |s| measure.value(s));
    if c.diverged > 0 {
        tip += &format!(", {} of {} diverged", c.diverged, c.of);
    }
    if c.lost > 0 {
        tip += &format!(", {} of {} failed or pruned", c.lost, c.of);
    }
    let (left, middle) = (x - w / 2.0, y + h / 2.0);
    let cell = format!(
        "x=\"{}\" y=\"{}\" width=\"{}\" height=\"{}\" rx=\"3\"",
        px(left),
        px(y),
        px(w),
        px(h)
    );
    let tip = escape(&tip);
    match c.score {
        Some(score) => {
            let [r, g, b] = heat(shade(score));
            svg.raw(format_args!(
                "<rect {cell} data-p=\"{}\" fill=\"#{r:02x}{g:02x}{b:02x}\"><title>{tip}</title></rect>",
                c.point
            ));
            if let Some(size) = size {
                let text = figure(measure, score);
                let ink = if shade(score) > 0.55 {
                    "#1b2430"
                } else {
                    "#ffffff"
                };
                svg.raw(format_args!(
                    "<text style=\"font-size:{size}px\" text-anchor=\"middle\" fill=\"{ink}\" x=\"{}\" y=\"{}\" pointer-events=\"none\">{text}</text>",
                    px(x),
                    px(middle + 4.0)
                ));
            }
            if c.diverged > 0 {
                cross(svg, left + w - 5.0, y + 5.0, 2.5);
            }
        }
        None => {
            svg.raw(format_args!(
                "<rect {cell} data-p=\"{}\" class=\"no\"><title>{tip}</title></rect>",
                c.point
            ));
            if c.diverged > 0 && c.diverged >= c.lost {
                cross(svg, x, middle, 4.5);
            } else if c.of > 0 {
                svg.raw(format_args!(
                    "<path class=\"rg\" d=\"M{} {}h8\"/>",
                    px(x - 4.0),
                    px(middle)
                ));
            }
        }
    }
    if c.best {
        svg.raw(format_args!(
            "<rect {cell} class=\"rg\" pointer-events=\"none\"/>"
        ));
    }
}

fn cross(svg: &mut Svg, x: f64, y: f64, r: f64) {
    let (d, r) = (px(2.0 * r), r);
    svg.raw(format_args!(
        "<path class=\"xx\" d=\"M{} {}l{d} {d}m0 -{d}l-{d} {d}\"/>",
        px(x - r),
        px(y - r)
    ));
}

/// The colour scale with its ends, above the plot.
fn legend(
    frame: &mut Frame,
    left: f64,
    lift: f64,
    measure: &Measure,
    (worst, best): (f64, f64),
    steps: bool,
) {
    let y = frame.top - lift - 12.0;
    let value = |grade: f64| {
        let v = if measure.higher { grade } else { -grade };
        let v = if steps { v.exp() } else { v };
        tick_labels(&[v], measure.factor()).remove(0)
    };
    let (from, to) = (value(worst), value(best));
    let unit = if measure.percent { ", %" } else { "" };
    frame.svg.text(
        "m",
        Anchor::Start,
        12.0,
        y + 9.0,
        &format!("{}{unit}", measure.words),
    );
    let sign = if steps || !measure.higher {
        "≥"
    } else {
        "≤"
    };
    let (x0, wide) = ((left + 60.0).max(210.0), 120.0);
    frame.svg.text(
        "m",
        Anchor::End,
        x0 - 6.0,
        y + 9.0,
        &format!("{sign} {from}"),
    );
    for i in 0..24 {
        let [r, g, b] = heat(f64::from(i) / 23.0);
        let (x, w) = (px(x0 + wide / 24.0 * f64::from(i)), px(wide / 24.0 + 0.4));
        frame.svg.raw(format_args!("<rect x=\"{x}\" y=\"{}\" width=\"{w}\" height=\"11\" fill=\"#{r:02x}{g:02x}{b:02x}\"/>", px(y)));
    }
    frame.svg.text(
        "m",
        Anchor::Start,
        (x0 + wide + 6.0).min(WIDTH - 60.0),
        y + 9.0,
        &to,
    );
}
