//! `largebatch probe layers`.

use std::fmt::Write as _;

use anyhow::Result;
use clap::Args;
use largebatch_plot::{Plot, Scale};
use largebatch_probe::layers::{LayerTable, layer_table, planned_update};
use largebatch_probe::{Objective, Record};
use largebatch_train::Lab;

use super::{Common, Done, Global, announce, gradient_seconds, readable};

const ABOUT: &str = "\
For each parameter: ‖w‖, ‖∇w‖ of the loss over the examples, and their ratio; and for the step that the run's optimizer makes with this gradient,
‖Δw‖/‖w‖ and the trust ratio (You, Gitman and Ginsburg 2017, arXiv 1708.03888). From a checkpoint the step uses the optimizer's saved state;
a finished run keeps none, so the step is the first of a fresh optimizer. Cost: one gradient evaluation.
A run trained with --trace layers also gets layers-course.svg, the ratios over its training, and with LARS or LAMB layers-trust-course.svg.";

/// Measure the norms of each layer's weights, gradient and step, and find the layer that bounds the
/// learning rate
#[derive(Args)]
#[command(after_help = ABOUT)]
pub(super) struct LayersArgs {
    #[command(flatten)]
    common: Common,
}

pub(super) fn run(args: LayersArgs, global: &Global, lab: &Lab) -> Result<Done> {
    let run = args.common.open(lab)?;
    let mut subject = args.common.subject(&run)?;
    let w = subject.weights().to_vec();
    let n = subject.examples().len();
    announce(
        "one gradient",
        n,
        gradient_seconds(&mut subject, &w, n)?,
        global,
    );
    let (_, gradient) = subject.gradient(&w)?;
    let update = planned_update(
        &run.experiment,
        &run.network,
        &gradient,
        run.optimizer.as_deref(),
        run.rate(),
    )?;
    let table = layer_table(subject.layers(), &w, &gradient, Some(&update))?;
    let record = Record::new(
        "layers",
        run.weights.display().to_string(),
        &subject,
        true,
        table,
    );
    let caption = format!(
        "{} on {}, {} {} examples; step of {} at rate {}, {}. {} bounds the learning rate.",
        run.experiment.config.model.name,
        run.experiment.config.dataset.name,
        record.examples,
        record.part,
        run.experiment.config.optimizer.name,
        readable(run.rate()),
        if run.optimizer.is_some() {
            "with its saved state"
        } else {
            "as its first step"
        },
        record.result.bounding.as_deref().unwrap_or("No layer")
    );
    let mut figures = vec![("layers".to_owned(), record.result.figure(&caption).svg())];
    if let Ok(text) = std::fs::read_to_string(run.folder.join("layers.csv")) {
        figures.extend(
            over_training(&text)
                .map(|plot| plot.figure())
                .map(|figure| (figure.name.clone(), figure.svg())),
        );
    }
    args.common
        .finish(&run, &record, &figures, &summary(&record.result), global)
}

/// The ratio ‖w‖/‖∇w‖ and the trust ratio of each weight over the steps of `layers.csv`, if it has
/// any.
fn over_training(text: &str) -> impl Iterator<Item = Plot> {
    let number = |field: Option<&&str>| field.and_then(|f| f.parse::<f64>().ok());
    let lines: Vec<Vec<&str>> = text
        .lines()
        .skip(1)
        .map(|line| line.split(',').collect())
        .collect();
    let draw = |plot: Plot, value: &dyn Fn(&[&str]) -> Option<f64>| -> Option<Plot> {
        let mut layers: Vec<(&str, Vec<(f64, f64)>)> = Vec::new();
        for line in lines
            .iter()
            .filter(|line| line.get(1).is_some_and(|path| path.ends_with("weight")))
        {
            let (Some(step), Some(y)) = (number(line.first()), value(line)) else {
                continue;
            };
            match layers.iter_mut().find(|l| l.0 == line[1]) {
                Some(layer) => layer.1.push((step, y)),
                None => layers.push((line[1], vec![(step, y)])),
            }
        }
        let plot = plot.x("step", Scale::Linear).caption(
            "From the mini-batch gradients of the training steps, as traced in layers.csv.",
        );
        (!layers.is_empty()).then(|| {
            layers
                .into_iter()
                .fold(plot, |plot, (path, points)| plot.line(path, points))
        })
    };
    let ratio = Plot::new("layers-course", "‖w‖/‖∇w‖ over training").y("‖w‖/‖∇w‖", Scale::Log);
    let trust = Plot::new(
        "layers-trust-course",
        "Trust ratio of each layer over training",
    )
    .y("trust ratio", Scale::Log);
    let ratio = draw(ratio, &|line| {
        Some(number(line.get(2))? / number(line.get(3))?)
    });
    let trust = draw(trust, &|line| number(line.get(5)));
    [ratio, trust].into_iter().flatten()
}

fn summary(table: &LayerTable) -> String {
    let wide = table
        .rows
        .iter()
        .map(|r| r.path.len())
        .max()
        .unwrap_or(0)
        .max(9);
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
            readable(ratio)
        );
    }
    text.trim_end().to_owned()
}
