//! `largebatch report`: the page of one run, or of several compared.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use clap::Args;
use largebatch_plot::{Figure, Plot, Scale, Section, Table, significant};
use largebatch_probe::probed_runs;
use largebatch_report::page;
use largebatch_train::RunFolder;
use serde_json::Value;

use super::{Done, Global, print, write_whole};
use crate::Lab;

/// Draw the page of one run, or of several compared: loss, validation, rate, the norms and trust
/// ratios of each layer, and what probes found
///
/// A run may still be training. The layers need `train --trace layers`.
#[derive(Args)]
pub(super) struct ReportArgs {
    /// Folders of runs
    #[arg(value_name = "RUN", required = true)]
    runs: Vec<PathBuf>,
    /// The page to write [default: RUN/report.html of the first run]
    #[arg(long, value_name = "HTML")]
    out: Option<PathBuf>,
}

/// What a run has written, for its page.
struct Drawn {
    name: String,
    seed: u64,
    /// Lines of `events.jsonl`.
    events: Vec<Value>,
    /// Columns of `layers.csv`: layer, and step with the values in [`NORMS`]'s order.
    layers: BTreeMap<String, Vec<(f64, Vec<f64>)>>,
    /// What it trained, in its result's words.
    facts: Vec<String>,
}

/// The columns of `layers.csv` after step and path, and how a figure calls them.
const NORMS: [(&str, &str); 5] = [
    ("weights", "‖w‖"),
    ("gradients", "‖g‖"),
    ("updates", "‖Δw‖"),
    ("trust-ratios", "trust ratio"),
    ("rates", "effective rate"),
];

pub(super) fn run(args: &ReportArgs, global: &Global, lab: &Lab) -> Result<Done> {
    let runs = args.runs.iter().map(|run| open(run));
    let mut runs: Vec<Drawn> = runs.collect::<Result<_>>()?;
    // A folder's name, or its whole path where two have the same name.
    let names: Vec<String> = runs.iter().map(|run| run.name.clone()).collect();
    for (run, path) in runs.iter_mut().zip(&args.runs) {
        if names.iter().filter(|name| **name == run.name).count() > 1 {
            run.name = path.display().to_string();
        }
        if args.runs.iter().filter(|other| *other == path).count() > 1 {
            bail!("the run {} is given twice", path.display());
        }
    }
    let table = Table {
        heads: [
            "run",
            "data, model, optimizer",
            "batch",
            "rate",
            "steps",
            "train loss",
            "validation",
            "test",
        ]
        .map(str::to_owned)
        .to_vec(),
        rows: runs
            .iter()
            .map(|run| [vec![run.name.clone()], run.facts.clone()].concat())
            .collect(),
        note: "One training each: no intervals.".into(),
    };
    let training = [
        of_events(&runs, "loss", "Training loss", Scale::Log, "step", |e| {
            e["loss"].as_f64()
        }),
        of_events(
            &runs,
            "validation-loss",
            "Validation loss",
            Scale::Log,
            "evaluation",
            |e| e["validation"]["loss"].as_f64(),
        ),
        of_events(
            &runs,
            "accuracy",
            "Validation accuracy",
            Scale::Linear,
            "evaluation",
            |e| e["validation"]["accuracy"].as_f64(),
        ),
        of_events(&runs, "rate", "Learning rate", Scale::Linear, "step", |e| {
            e["lr"].as_f64()
        }),
    ];
    let mut sections = vec![Section {
        title: "Training".into(),
        text: String::new(),
        tables: vec![table],
        figures: training.into_iter().flatten().collect(),
    }];
    let layers: Vec<Figure> = runs
        .iter()
        .enumerate()
        .flat_map(|(i, run)| of_layers(i, run))
        .collect();
    if !layers.is_empty() {
        sections.push(Section {
            title: "Layers".into(),
            text: "Norms of the weights, of the gradient and of the update of each layer, and the ratio by which LARS and LAMB scale its rate.".into(),
            tables: Vec::new(),
            figures: layers,
        });
    }
    let probed = runs.iter().zip(&args.runs);
    let probed = probed.map(|(run, path)| (run.name.clone(), run.seed, path.clone()));
    sections.extend(probed_runs(&lab.probes, &probed.collect::<Vec<_>>())?.sections);
    let names: Vec<&str> = runs.iter().map(|run| run.name.as_str()).collect();
    let out = args
        .out
        .clone()
        .unwrap_or_else(|| args.runs[0].join("report.html"));
    write_whole(&out, page(&names.join(", "), &names, &sections).as_bytes())?;
    if global.quiet {
        return Ok(Done::Ok);
    }
    print(format_args!("report: {}", out.display()))
}

fn open(run: &Path) -> Result<Drawn> {
    let (folder, file) = RunFolder::open(run)?;
    let path = run.join("events.jsonl");
    let text =
        std::fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))?;
    // The last line may be being written.
    let events = text
        .lines()
        .filter_map(|line| serde_json::from_str(line).ok());
    let mut layers = BTreeMap::<String, Vec<(f64, Vec<f64>)>>::new();
    let rows = std::fs::read_to_string(run.join("layers.csv")).unwrap_or_default();
    for row in rows.lines().skip(1) {
        let cells: Vec<&str> = row.split(',').collect();
        if let [step, path, values @ ..] = &cells[..]
            && let (Ok(step), true) = (step.parse(), values.len() == NORMS.len())
        {
            let values = values
                .iter()
                .map(|v| v.parse().unwrap_or(f64::NAN))
                .collect();
            layers
                .entry((*path).to_owned())
                .or_default()
                .push((step, values));
        }
    }
    let facts = match folder.outcome()? {
        Some(o) => vec![
            format!("{}, {}, {}", o.dataset, o.model, o.optimizer),
            o.batch_size.to_string(),
            significant(if o.peak_lr > 0.0 { o.peak_lr } else { o.lr }, 3),
            o.steps.to_string(),
            o.train_loss.map_or("–".into(), |loss| significant(loss, 4)),
            o.validation.map_or("–".into(), |m| m.headline()),
            o.test.map_or("–".into(), |m| m.headline()),
        ],
        None => [vec!["not finished".into()], vec!["–".into(); 6]].concat(),
    };
    let name = run.file_name().map_or_else(
        || run.display().to_string(),
        |n| n.to_string_lossy().into_owned(),
    );
    Ok(Drawn {
        name,
        seed: file.config.seed,
        events: events.collect(),
        layers,
        facts,
    })
}

/// A quantity of an event against the steps, with a line for each run that has it.
fn of_events(
    runs: &[Drawn],
    name: &str,
    title: &str,
    scale: Scale,
    event: &str,
    of: impl Fn(&Value) -> Option<f64>,
) -> Option<Figure> {
    let mut plot = Plot::new(name, title)
        .x("step", Scale::Linear)
        .y(&title.to_lowercase(), scale);
    let (mut any, mut every) = (false, 1);
    for run in runs {
        let events = run.events.iter().filter(|e| e["event"] == event);
        let points = events.filter_map(|e| Some((e["step"].as_f64()?, of(e)?)));
        let points = thinned(points.collect(), &mut every);
        any |= !points.is_empty();
        plot = plot.line(&run.name, points);
    }
    any.then(|| plot.caption(&of_how_many(every)).figure())
}

fn of_layers(i: usize, run: &Drawn) -> Vec<Figure> {
    let chart = |(k, (name, title)): (usize, &(&str, &str))| {
        let title = format!("{title} of each layer · {}", run.name);
        let mut plot = Plot::new(&format!("{name}-{i}"), &title)
            .x("step", Scale::Linear)
            .y(NORMS[k].1, Scale::Log);
        let (mut any, mut every) = (false, 1);
        for (layer, rows) in &run.layers {
            let points = rows.iter().map(|(step, values)| (*step, values[k]));
            let points = thinned(points.filter(|p| p.1 > 0.0).collect(), &mut every);
            any |= !points.is_empty();
            plot = plot.line(layer, points);
        }
        any.then(|| plot.caption(&of_how_many(every)).figure())
    };
    NORMS.iter().enumerate().filter_map(chart).collect()
}

/// At most about 400 of the points, evenly, and the last one. `most` becomes the largest number of
/// points of which one is kept.
fn thinned(points: Vec<(f64, f64)>, most: &mut usize) -> Vec<(f64, f64)> {
    let every = points.len().div_ceil(400).max(1);
    *most = every.max(*most);
    let last = points.len().saturating_sub(1);
    let points = points.into_iter().enumerate();
    let kept = points.filter(|(i, _)| i % every == 0 || *i == last);
    kept.map(|(_, point)| point).collect()
}

/// The sentence about thinned points; empty if none is left out.
fn of_how_many(every: usize) -> String {
    match every {
        1 => String::new(),
        n => format!("Of {n} points, one is drawn."),
    }
}
