//! The probe `layers`.

use largebatch_plot::stems;

use super::{LayerRow, LayerTable, Update, layer_table, planned_update};
use crate::prelude::*;
use crate::vector::plus;
use crate::{Objective, OptimizerState, Subject};

/// The probe `layers`, which has no options.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Layers {}

impl Probe for Layers {
    const FACTS: Facts = Facts::new(
        "layers",
        "Measure the norms of each layer's weights, gradient and step, and find the layer that bounds the learning rate",
    )
    .paper("You, Gitman and Ginsburg 2017, arXiv 1708.03888");
    const TARGET: Target = Target::Network;
    const HELP: &'static str = "\
For each parameter: ‖w‖, ‖∇w‖ of the loss over the examples, and their ratio; and for the step that the run's optimizer makes with this gradient, \
‖Δw‖/‖w‖ and the trust ratio (You, Gitman and Ginsburg 2017, arXiv 1708.03888). From a checkpoint the step uses the optimizer's saved state; \
a finished run keeps none, so the step is the first of a fresh optimizer. Cost: one gradient evaluation.
A run trained with --trace layers also gets layers-course.svg, the ratios over its training, and with LARS or LAMB layers-trust-course.svg.";
    type Record = Record<LayerTable>;

    fn in_training() -> Option<Self> {
        Some(Layers {})
    }

    fn needs_before(&self) -> bool {
        true
    }

    fn cost(&self, at: &[Point<'_>]) -> Result<Cost, ProbeError> {
        cost::of_gradients(&mut at[0].subject()?, 1, 1.0)
    }

    fn measure(&self, at: &[Point<'_>], _: Watch) -> Result<(Self::Record, bool), ProbeError> {
        let at = &at[0];
        let mut subject = at.subject()?;
        let w = subject.weights().to_vec();
        let (_, gradient) = subject.gradient(&w)?;
        let update = match at.steps {
            Some(steps) => steps
                .before
                .map(|before| last_update(at, before, &subject))
                .transpose()?,
            None => Some(planned_update(
                at.experiment,
                at.network,
                &gradient,
                at.state().as_deref(),
                at.rate,
            )?),
        };
        let table = layer_table(subject.layers(), &w, &gradient, update.as_ref())?;
        Ok((
            Record::new(Self::FACTS.name, at, &subject, true, table),
            true,
        ))
    }

    fn figures(&self, record: &Self::Record, at: &[Point<'_>]) -> Vec<Figure> {
        let at = &at[0];
        let state = match at.optimizer {
            OptimizerState::Absent => "as its first step",
            OptimizerState::Saved(_) | OptimizerState::Live(_) => "with its saved state",
        };
        let caption = format!(
            "{}, {} {} examples; step of {} at rate {}, {state}. {} bounds the learning rate.",
            at.what(),
            record.examples,
            record.part,
            at.experiment.config.optimizer.name,
            significant(at.rate, 4),
            record.result.bounding.as_deref().unwrap_or("No layer")
        );
        let column = |f: &dyn Fn(&LayerRow) -> Option<f64>| -> Vec<(f64, f64)> {
            record
                .result
                .rows
                .iter()
                .enumerate()
                .filter_map(|(i, r)| Some((f(r)?, i as f64)))
                .collect()
        };
        let plot = Plot::new("layers", "Weights, gradients and steps of each layer")
            .x("l2 norm or ratio", Scale::Log)
            .y_names(record.result.rows.iter().map(|r| r.path.clone()))
            .points("‖w‖", column(&|r| Some(r.weight)))
            .points("‖∇w‖", column(&|r| Some(r.gradient)))
            .points("‖w‖/‖∇w‖", column(&|r| r.ratio))
            .points("‖Δw‖/‖w‖", column(&|r| r.relative_update))
            .caption(&caption);
        let mut figures = vec![plot.figure()];
        if let Ok(text) = std::fs::read_to_string(at.folder.join("layers.csv")) {
            figures.extend(traced(&text).into_iter().map(|plot| plot.figure()));
        }
        figures
    }

    fn summary(&self, record: &Self::Record, _: &[Point<'_>]) -> String {
        let table = &record.result;
        let paths = table.rows.iter().map(|layer| layer.path.len());
        let wide = paths.fold(9, usize::max);
        let mut text = format!(
            "{:<wide$} {:>9} {:>10} {:>10} {:>10} {:>10} {:>10}\n",
            "parameter", "numbers", "‖w‖", "‖∇w‖", "‖w‖/‖∇w‖", "‖Δw‖/‖w‖", "trust"
        );
        let number = |x: Option<f64>| x.map_or("–".to_owned(), |x| format!("{x:.3e}"));
        for r in &table.rows {
            let _ = writeln!(
                text,
                "{:<wide$} {:>9} {:>10} {:>10} {:>10} {:>10} {:>10}",
                r.path,
                r.parameters,
                number(Some(r.weight)),
                number(Some(r.gradient)),
                number(r.ratio),
                number(r.relative_update),
                number(r.trust_ratio)
            );
        }
        if let (Some(path), Some(ratio), Some(spread)) =
            (&table.bounding, table.smallest_ratio, table.spread)
        {
            let _ = write!(
                text,
                "{path} bounds the learning rate: at rate {} a step of gradient descent is as long as its weights; the largest ratio is {spread:.1} times that",
                significant(ratio, 4)
            );
        }
        text.trim_end().to_owned()
    }

    fn course(records: &[AtStep<Self::Record>], _config: &RunConfig) -> Vec<Plot> {
        let of = |value: fn(&LayerRow) -> Option<f64>| {
            let rows = records.iter().flat_map(move |at| {
                let weights = at.record.result.rows.iter().filter(|row| row.is_weight);
                weights
                    .filter_map(move |row| Some((row.path.as_str(), at.step as f64, value(row)?)))
            });
            rows.collect::<Vec<_>>()
        };
        charts(of(|row| row.ratio), of(|row| row.trust_ratio))
    }

    fn section(found: &Found<'_, Self::Record>) -> Option<Section> {
        let groups = found.groups();
        let label = |g: usize| found.study.groups[g].label.as_str();
        let rows = groups.iter().map(|&g| {
            let of = |value: fn(&LayerTable) -> Option<f64>| {
                or_dash(found.median(g, |run| value(&run.last()?.result)))
            };
            let runs = found.runs(g);
            let tables = runs.iter().filter_map(|run| Some(&run.last()?.result));
            let mut layers: Vec<&str> = tables.filter_map(|t| t.bounding.as_deref()).collect();
            layers.sort_unstable();
            layers.dedup();
            let layers = match layers.is_empty() {
                true => "–".into(),
                false => layers.join(", "),
            };
            [
                ("", label(g).to_owned()),
                ("n", runs.len().to_string()),
                ("layer that bounds the rate", layers),
                (
                    "its ‖w‖/‖∇w‖",
                    of(|table| table.smallest_ratio) + &found.last_step(g),
                ),
                ("largest ÷ smallest", of(|table| table.spread)),
            ]
        });
        let note = format!("Medians over the runs. {}.", found.small_print());
        let table = table(rows, &note);

        let all = found.first()?.result.rows.iter().enumerate();
        let weights: Vec<(usize, &str)> = all
            .filter(|(_, row)| row.is_weight)
            .map(|(i, row)| (i, row.path.as_str()))
            .collect();
        let ratio = |table: &LayerTable, i: usize| table.rows.get(i)?.ratio;
        let title = if groups.iter().all(|g| found.last_step(*g).is_empty()) {
            "‖w‖/‖∇w‖ of each layer at the end"
        } else {
            "‖w‖/‖∇w‖ of each layer, last measurement"
        };
        let mut ends = Plot::new("layers", title)
            .x("‖w‖/‖∇w‖", Scale::Log)
            .y_names(weights.iter().map(|w| w.1.to_owned()));
        for &g in &groups {
            let points = weights.iter().enumerate().filter_map(|(row, (i, _))| {
                let x = found.median(g, |run| ratio(&run.last()?.result, *i))?;
                Some((x, row as f64))
            });
            ends = ends.points(label(g), points);
        }
        let mut figures = vec![ends.caption(&note).figure()];
        let with_lines: Vec<usize> = groups
            .into_iter()
            .filter(|g| found.during(*g, |_| Some(0.0)).len() > 1)
            .collect();
        let stems = stems(with_lines.iter().map(|g| label(*g)));
        for (&g, stem) in with_lines.iter().zip(&stems).take(CHARTS) {
            let title = format!("‖w‖/‖∇w‖ over training · {}", label(g));
            let plot = Plot::new(&format!("layers-{stem}"), &title)
                .x("step", Scale::Linear)
                .y("‖w‖/‖∇w‖", Scale::Log);
            let plot = weights.iter().fold(plot, |plot, (i, name)| {
                plot.line(name, found.during(g, |record| ratio(&record.result, *i)))
            });
            figures.push(plot.caption(&note).figure());
        }
        Some(Section {
            title: "Layers".into(),
            text: "With one rate for all layers, the layer with the smallest ‖w‖/‖∇w‖ limits it: in a step, its weights change most in proportion. LARS and LAMB give each \
            layer a rate in proportion to its ratio."
                .into(),
            tables: vec![table],
            figures,
        })
    }
}

/// The step that the training has just done.
fn last_update(
    at: &Point<'_>,
    before: &largebatch_models::Network,
    subject: &Subject<'_>,
) -> Result<Update, ProbeError> {
    let before = Point {
        network: before,
        ..*at
    }
    .subject()?;
    let ratios = match at.optimizer {
        OptimizerState::Live(driver) => driver.trust_ratios(),
        OptimizerState::Absent | OptimizerState::Saved(_) => Default::default(),
    };
    let layers = subject.layers().iter();
    Ok(Update {
        step: plus(subject.weights(), -1.0, before.weights()),
        trust_ratios: layers
            .map(|layer| ratios.get(&layer.path).copied())
            .collect(),
    })
}

/// The charts of a run's `layers.csv`.
fn traced(text: &str) -> Vec<Plot> {
    let number = |field: Option<&&str>| field.and_then(|f| f.parse::<f64>().ok());
    let lines: Vec<Vec<&str>> = text
        .lines()
        .skip(1)
        .map(|line| line.split(',').collect())
        .filter(|line: &Vec<&str>| line.get(1).is_some_and(|path| path.ends_with("weight")))
        .collect();
    let of = |value: &dyn Fn(&[&str]) -> Option<f64>| {
        let values = lines
            .iter()
            .filter_map(|line| Some((line[1], number(line.first())?, value(line)?)));
        values.collect::<Vec<_>>()
    };
    let ratios = of(&|line| Some(number(line.get(2))? / number(line.get(3))?));
    let caption = "From the mini-batch gradients of the training steps, as traced in layers.csv.";
    charts(ratios, of(&|line| number(line.get(5))))
        .into_iter()
        .map(|plot| plot.caption(caption))
        .collect()
}

/// Layer, step and value of each ratio ‖w‖/‖∇w‖, and of each trust ratio, as charts; none for a
/// quantity without values.
fn charts(ratios: Vec<(&str, f64, f64)>, trust: Vec<(&str, f64, f64)>) -> Vec<Plot> {
    let draw = |name: &str, title: &str, unit: &str, values: Vec<(&str, f64, f64)>| {
        let mut layers: Vec<(&str, Vec<(f64, f64)>)> = Vec::new();
        for (path, step, value) in values {
            match layers.iter_mut().find(|layer| layer.0 == path) {
                Some(layer) => layer.1.push((step, value)),
                None => layers.push((path, vec![(step, value)])),
            }
        }
        let plot = Plot::new(name, title)
            .x("step", Scale::Linear)
            .y(unit, Scale::Log);
        (!layers.is_empty()).then(|| {
            layers
                .into_iter()
                .fold(plot, |plot, (path, points)| plot.line(path, points))
        })
    };
    let trust_title = "Trust ratio of each layer over training";
    [
        draw(
            "layers-course",
            "‖w‖/‖∇w‖ over training",
            "‖w‖/‖∇w‖",
            ratios,
        ),
        draw("layers-trust-course", trust_title, "trust ratio", trust),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// Most groups with a chart over training.
const CHARTS: usize = 4;
