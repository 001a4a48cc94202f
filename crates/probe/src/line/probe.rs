//! The probe `line`.

use std::collections::BTreeMap;

use largebatch_plot::{capital, stems};
use largebatch_train::Split;

use super::{Distances, Line, LinePoint, alphas, comparable, line};
use crate::Size;
use crate::landscape::{Height, Landscape, State, Statistics};
use crate::prelude::*;

/// The options of the probe `line`.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct LineOptions {
    /// First α.
    pub from: f64,
    /// Last α.
    pub to: f64,
    /// Number of points, including both ends.
    pub points: usize,
    /// Examples of the training part, or `all`.
    pub subset: Size,
    /// Also measure on the test part.
    pub test: bool,
    /// Batch norm's statistics: recompute them at each point, or interpolate the saved ones between
    /// the two runs.
    pub batch_norm: Statistics,
}

impl Default for LineOptions {
    fn default() -> Self {
        LineOptions {
            from: -1.0,
            to: 2.0,
            points: 25,
            subset: Size(None),
            test: false,
            batch_norm: Statistics::Recompute,
        }
    }
}

impl Probe for LineOptions {
    const FACTS: Facts = Facts::new(
        "line",
        "Measure loss and accuracy along the line through the weights of two runs, and how far each run moved",
    )
    .paper("Keskar et al. 2017, arXiv 1609.04836, figure 3");
    const TARGET: Target = Target::TwoRuns;
    const HELP: &'static str = "\
At α the weights are α x_L + (1 − α) x_S: α = 0 is the first run, the small batch in the paper, and α = 1 the second, the large batch \
(Keskar et al. 2017, figure 3). Each folder is that of a run, or of one of its checkpoints.";
    type Record = Record<Line>;

    fn cost(&self, at: &[Point<'_>]) -> Result<Cost, ProbeError> {
        let first = &at[0];
        let landscape = Landscape::new(first.experiment, self.batch_norm, self.subset.0)?;
        let state = State::of(first.network, first.source)?;
        let test = if self.test {
            first.experiment.indices(Split::Test).1.len()
        } else {
            0
        };
        let recomputes = landscape.has_batch_norm() && self.batch_norm == Statistics::Recompute;
        let passes = 1 + usize::from(recomputes);
        let (points, n) = (self.points, landscape.examples());
        let work = format!("{points} points, {passes} forward passes over {n} examples each");
        let seconds = points as f64 * landscape.seconds(&state, n + test)?;
        Ok(Cost::new(work, "points", seconds))
    }

    fn measure(&self, at: &[Point<'_>], watch: Watch) -> Result<(Self::Record, bool), ProbeError> {
        let alphas = alphas(self.from, self.to, self.points)?;
        let (small, large) = (&at[0], &at[1]);
        comparable(small.experiment, large.experiment)?;
        let landscape = Landscape::new(small.experiment, self.batch_norm, self.subset.0)?;
        let state = |at: &Point<'_>| State::of(at.network, at.source);
        let initial = |at: &Point<'_>| -> Result<State, ProbeError> {
            State::of(&at.experiment.initial_model()?.network, at.source)
        };
        let (s, l) = (state(small)?, state(large)?);
        let distances = Distances::of([&initial(small)?, &s], [&initial(large)?, &l]);
        let points = line(&landscape, &s, &l, &alphas, self.test, watch)?;
        let complete = points.len() == alphas.len();
        let result = Line {
            small: small.source.display().to_string(),
            large: large.source.display().to_string(),
            batch_norm: landscape.has_batch_norm().then_some(self.batch_norm),
            points,
            distances,
        };
        let (name, examples) = (Self::FACTS.name, landscape.examples());
        let record = Record::without_gradients(name, small, examples, complete, result);
        Ok((record, complete))
    }

    fn figures(&self, record: &Self::Record, _at: &[Point<'_>]) -> Vec<Figure> {
        let line = &record.result;
        let statistics = match line.batch_norm {
            None => "",
            Some(Statistics::Recompute) => " Batch norm's statistics recomputed at each point.",
            Some(Statistics::Given) => " Batch norm's statistics interpolated.",
        };
        let d = &line.distances;
        let caption = format!(
            "α = 0: {}; α = 1: {}. {} training examples.{statistics} ‖x_S − x_0‖ = {:.2}, ‖x_L − x_0‖ = {:.2}.",
            line.small, line.large, record.examples, d.small, d.large
        );
        let along = |of: fn(&Height) -> Option<f64>| {
            let curve = |part: fn(&LinePoint) -> Option<&Height>| -> Vec<(f64, f64)> {
                let points = line.points.iter();
                let heights = points.filter_map(|p| Some((p.alpha, of(part(p)?)?)));
                heights.collect()
            };
            (curve(|p| Some(&p.train)), curve(|p| p.test.as_ref()))
        };
        type Points = Vec<(f64, f64)>;
        let draw = |name: &str, title: &str, unit: &str, (train, test): (Points, Points)| {
            let positive = name == "line" && train.iter().chain(&test).all(|p| p.1 > 0.0);
            let scale = if positive { Scale::Log } else { Scale::Linear };
            let mut plot = Plot::new(name, title).x("α", Scale::Linear).y(unit, scale);
            plot = plot.line("train", train.clone()).points("train", train);
            if !test.is_empty() {
                plot = plot.line("test", test.clone()).points("test", test);
            }
            // In a chart of accuracies the labels would cover the points, which are at the top.
            let label = |text| if name == "line" { text } else { "" };
            plot.guide_x(label("first run"), 0.0)
                .guide_x(label("second run"), 1.0)
                .caption(&caption)
                .figure()
        };
        let mut figures = vec![draw(
            "line",
            "Loss on the line through two runs",
            "mean loss",
            along(|h| h.loss),
        )];
        if line.points.iter().any(|p| p.train.accuracy.is_some()) {
            let accuracy = along(|h| h.accuracy.map(|a| 100.0 * a));
            figures.push(draw(
                "line-accuracy",
                "Accuracy on the line through two runs",
                "accuracy, %",
                accuracy,
            ));
        }
        figures
    }

    fn summary(&self, record: &Self::Record, _: &[Point<'_>]) -> String {
        let (r, d, mut text) = (&record.result, &record.result.distances, String::new());
        let percent = |a: Option<f64>| a.map_or(String::new(), |a| format!("{:>8.2} %", 100.0 * a));
        let loss = |l: Option<f64>| l.map_or("  not finite".to_owned(), |l| format!("{l:>12.6}"));
        // Writing to a String cannot fail.
        let _ = writeln!(
            text,
            "{:>6} {:>12} {:>10}{}",
            "alpha",
            "train loss",
            "accuracy",
            if r.points.iter().any(|p| p.test.is_some()) {
                "    test loss   accuracy"
            } else {
                ""
            }
        );
        for p in &r.points {
            let test = p.test.map_or(String::new(), |t| {
                format!(" {} {}", loss(t.loss), percent(t.accuracy))
            });
            let _ = writeln!(
                text,
                "{:>6.3} {} {}{test}",
                p.alpha,
                loss(p.train.loss),
                percent(p.train.accuracy)
            );
        }
        let paths = d.cosine_of_paths.map_or(
            "not comparable (different initial weights)".to_owned(),
            |c| format!("cosine {c:.4}"),
        );
        let _ = writeln!(
            text,
            "‖x_S − x_0‖ = {:.4}, ‖x_L − x_0‖ = {:.4}, ratio {:.3}; their paths: {paths}",
            d.small, d.large, d.ratio
        );
        let _ = write!(
            text,
            "‖x_L − x_S‖ = {:.4}, cosine of the weights {:.4}",
            d.between, d.cosine_of_weights
        );
        text
    }

    fn section(found: &Found<'_, Self::Record>) -> Option<Section> {
        let groups = found.groups();
        let label = |g: usize| found.study.groups[g].label.as_str();
        let rows = groups.iter().map(|&g| {
            let mean = |of: fn(&Distances) -> Option<f64>| {
                found.mean(g, |run| of(&run.end.as_ref()?.result.distances))
            };
            [
                ("to", label(g).to_owned()),
                ("n", found.runs(g).len().to_string()),
                ("‖x_S − x_0‖", mean(|d| Some(d.small))),
                ("‖x_L − x_0‖", mean(|d| Some(d.large))),
                ("ratio", mean(|d| Some(d.ratio))),
                ("cosine of the paths", mean(|d| d.cosine_of_paths)),
                ("‖x_L − x_S‖", mean(|d| Some(d.between))),
            ]
        });
        let note = format!("{}.", found.small_print());
        type Measured = fn(&Height) -> Option<f64>;
        let kinds: [(&str, &str, Scale, f64, Measured); 2] = [
            ("loss", "loss", Scale::Log, 1.0, |h| h.loss),
            ("accuracy", "accuracy, %", Scale::Linear, 100.0, |h| {
                h.accuracy
            }),
        ];
        let mut figures = Vec::new();
        let stems = stems(groups.iter().map(|g| label(*g)));
        for (&g, stem) in groups.iter().zip(&stems) {
            for (kind, title, scale, factor, of) in kinds {
                let train = mean_curve(found, g, |p| of(&p.train));
                let test = mean_curve(found, g, |p| of(p.test.as_ref()?));
                // Regression has no accuracy.
                if kind == "accuracy" && train.is_empty() && test.is_empty() {
                    continue;
                }
                let from = format!(
                    "{} from the small batch’s weights to {}",
                    capital(kind),
                    label(g)
                );
                let mut plot = Plot::new(&format!("line-{kind}-{stem}"), &from)
                    .x("α", Scale::Linear)
                    .y(title, scale)
                    .guide_x("small", 0.0)
                    .guide_x("large", 1.0);
                for (part, curve) in [("train", train), ("test", test)] {
                    if !curve.is_empty() {
                        plot = plot.line(part, curve.into_iter().map(|(x, y)| (x, factor * y)));
                    }
                }
                let caption = format!("Means over the runs. {note}");
                figures.push(plot.caption(&caption).figure());
            }
        }
        Some(Section {
            title: "From the small batch to the large".into(),
            text: "The loss, and the accuracy of a classifier, at α x_L + (1 − α) x_S, from the weights x_S of the small batch (α = 0) to the weights x_L of the large batch (α = 1) with the same seed; and how \
            far each moved from its initial weights x_0 (Keskar et al. 2017, figure 3)."
                .into(),
            tables: vec![table(rows, &note)],
            figures,
        })
    }
}

/// The mean over runs of a quantity along the line, for each α that all runs have.
fn mean_curve(
    found: &Found<'_, Record<Line>>,
    group: usize,
    of: impl Fn(&LinePoint) -> Option<f64>,
) -> Vec<(f64, f64)> {
    let lines = found.runs(group).iter();
    let lines: Vec<&Line> = lines
        .filter_map(|run| Some(&run.end.as_ref()?.result))
        .collect();
    let mut sums = BTreeMap::<i64, (f64, f64, usize)>::new();
    for point in lines.iter().flat_map(|line| &line.points) {
        if let Some(height) = of(point) {
            let at = (point.alpha * 1e6).round() as i64;
            let sum = sums.entry(at).or_insert((point.alpha, 0.0, 0));
            sum.1 += height;
            sum.2 += 1;
        }
    }
    let all = sums.into_values().filter(|sum| sum.2 == lines.len());
    all.map(|(alpha, sum, n)| (alpha, sum / n as f64)).collect()
}
