//! `largebatch probe layers`.

use std::fmt::Write as _;

use anyhow::Result;
use clap::Args;
use largebatch_optim::Registry;
use largebatch_probe::layers::{LayerTable, layer_table, planned_update};
use largebatch_probe::{Objective, Record};
use largebatch_report::plot::{Plot, Scale};

use super::{Common, Done, Global};

const ABOUT: &str = "\
For each parameter ‖w‖, ‖∇w‖ of the loss over the examples, their quotient, and of the step that the run's optimizer makes with that gradient
‖Δw‖/‖w‖ and the trust ratio (You, Gitman and Ginsburg 2017, arXiv 1708.03888). From a checkpoint the step is made with the optimizer's state there;
a finished run keeps none, and the step is then the first of a fresh optimizer. One gradient evaluation.
A run that was made with --trace layers gets a second chart, layers-course.svg: the quotients over its training.";

/// Norms of weights, gradients and steps of each layer, and which layer bounds the learning rate
#[derive(Args)]
#[command(after_help = ABOUT)]
pub(super) struct LayersArgs {
    #[command(flatten)]
    common: Common,
}

pub(super) fn run(args: LayersArgs, global: &Global, registry: &Registry) -> Result<Done> {
    let run = args.common.open(registry)?;
    let mut subject = args.common.subject(&run)?;
    let w = subject.weights().to_vec();
    let (_, gradient) = subject.gradient(&w)?;
    let update = planned_update(&run.experiment, &run.network, &gradient, run.optimizer.as_deref(), run.rate())?;
    let table = layer_table(subject.layers(), &w, &gradient, Some(&update))?;
    let record = Record::new("layers", run.weights.display().to_string(), &subject, true, table);
    let caption = format!(
        "{} on {}, {} {} examples; step of {} at rate {:.3e}, {}. {} bounds the learning rate.",
        run.experiment.config.model.name,
        run.experiment.config.dataset.name,
        record.examples,
        record.part,
        run.experiment.config.optimizer.name,
        run.rate(),
        if run.optimizer.is_some() { "with its state" } else { "as its first" },
        record.result.bounding.as_deref().unwrap_or("No layer")
    );
    let mut figures = vec![("layers".to_owned(), record.result.figure(&caption).svg())];
    if let Ok(text) = std::fs::read_to_string(run.folder.join("layers.csv")) {
        figures.extend(course(&text).map(|svg| ("layers-course".to_owned(), svg)));
    }
    args.common.finish(&run, &record, &figures, &summary(&record.result), global)
}

/// The quotient ‖w‖/‖∇w‖ of each weight over the steps of `layers.csv`.
fn course(text: &str) -> Option<String> {
    let mut layers: Vec<(String, Vec<(f64, f64)>)> = Vec::new();
    for line in text.lines().skip(1) {
        let mut fields = line.split(',');
        let (step, path) = (fields.next()?.parse().ok()?, fields.next()?);
        let (weight, gradient): (f64, f64) = (fields.next()?.parse().ok()?, fields.next()?.parse().ok()?);
        if !path.ends_with("weight") {
            continue;
        }
        match layers.iter_mut().find(|l| l.0 == path) {
            Some(layer) => layer.1.push((step, weight / gradient)),
            None => layers.push((path.into(), vec![(step, weight / gradient)])),
        }
    }
    let plot = Plot::new("layers-course", "‖w‖/‖∇w‖ over training").x("step", Scale::Linear).y("‖w‖/‖∇w‖", Scale::Log);
    let plot = layers.into_iter().fold(plot, |plot, (path, points)| plot.line(&path, points));
    Some(plot.caption("Of the steps' own mini-batch gradients, as traced in layers.csv.").figure().svg())
}

fn summary(table: &LayerTable) -> String {
    let wide = table.rows.iter().map(|r| r.path.len()).max().unwrap_or(0).max(9);
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
    if let (Some(path), Some(ratio), Some(spread)) = (&table.bounding, table.smallest_ratio, table.spread) {
        let _ = write!(
            text,
            "{path} bounds the learning rate: a step of gradient descent with rate {ratio:.3e} is as long as its weights; the largest quotient is {spread:.1} times that"
        );
    }
    text.trim_end().to_owned()
}
