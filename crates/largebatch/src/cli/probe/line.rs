//! `largebatch probe line`.

use std::fmt::Write as _;
use std::path::PathBuf;

use anyhow::Result;
use clap::Args;
use largebatch_probe::landscape::{Landscape, State, Statistics};
use largebatch_probe::line::{Distances, Line, alphas, comparable, line};
use largebatch_probe::{ProbeError, Record, Run};
use largebatch_train::Lab;
use largebatch_train::Split;

use super::results::{OnLandscape, examples, point_seconds, say_cost};
use super::{Done, Global, Watching, watch_interrupts};

/// Measure loss and accuracy along the line through the weights of two runs, and how far each run
/// moved
///
/// At α the weights are α x_L + (1 − α) x_S: α = 0 is the first run, α = 1 the second (Keskar et
/// al. 2017, figure 3).
#[derive(Args)]
pub(super) struct LineArgs {
    /// Folder of the first run or of one of its checkpoints: α = 0, the small batch in the paper
    #[arg(value_name = "RUN_S")]
    small: PathBuf,
    /// Folder of the second run: α = 1, the large batch
    #[arg(value_name = "RUN_L")]
    large: PathBuf,
    /// First α
    #[arg(long, value_name = "ALPHA", default_value_t = -1.0, allow_negative_numbers = true, help_heading = "What")]
    from: f64,
    /// Last α
    #[arg(
        long,
        value_name = "ALPHA",
        default_value_t = 2.0,
        allow_negative_numbers = true,
        help_heading = "What"
    )]
    to: f64,
    /// Number of points, including both ends
    #[arg(long, value_name = "N", default_value_t = 25, help_heading = "What")]
    points: usize,
    /// Examples of the training part, or `all`
    #[arg(long, value_name = "N", default_value = "all", help_heading = "What")]
    subset: String,
    /// Also measure on the test part
    #[arg(long, help_heading = "What")]
    test: bool,
    #[command(flatten)]
    on: OnLandscape,
}

pub(super) fn run(args: LineArgs, global: &Global, lab: &Lab) -> Result<Done> {
    watch_interrupts()?;
    let alphas = alphas(args.from, args.to, args.points)?;
    let (small, large) = (
        args.on.open(&args.small, lab)?,
        args.on.open(&args.large, lab)?,
    );
    comparable(&small.experiment, &large.experiment)?;
    let statistics = args.on.statistics();
    let landscape = Landscape::new(&small.experiment, statistics, examples(&args.subset)?)?;
    let (s, l) = (
        State::of(&small.network, &small.weights)?,
        State::of(&large.network, &large.weights)?,
    );
    let initial = |run: &Run| -> Result<State, ProbeError> {
        State::of(&run.experiment.initial_model()?.network, &run.weights)
    };
    let distances = Distances::of([&initial(&small)?, &s], [&initial(&large)?, &l]);

    let passes = 1 + usize::from(landscape.has_batch_norm() && statistics == Statistics::Recompute);
    let what = format!(
        "{} points, {passes} forward passes over {} examples each",
        alphas.len(),
        landscape.examples()
    );
    let test = if args.test {
        small.experiment.indices(Split::Test).1.len()
    } else {
        0
    };
    let point = point_seconds(
        &landscape,
        &small.experiment,
        landscape.examples() + test,
        &s,
    )?;
    say_cost(&what, point * alphas.len() as f64, global);
    let mut watching = Watching::new(global, "points");
    let points = line(
        &landscape,
        &s,
        &l,
        &alphas,
        args.test,
        &mut watching.watch(),
    )?;
    drop(watching);
    let complete = points.len() == alphas.len();
    let result = Line {
        small: args.small.display().to_string(),
        large: args.large.display().to_string(),
        batch_norm: landscape.has_batch_norm().then_some(statistics),
        points,
        distances,
    };
    let record = Record {
        schema: largebatch_probe::SCHEMA,
        probe: "line".into(),
        run: result.small.clone(),
        part: "train".into(),
        examples: landscape.examples(),
        parameters: s.parameters.len(),
        precision: "f32".into(),
        gradient_evaluations: 0,
        example_gradients: 0,
        complete,
        result,
    };
    let figures = record.result.figures(record.examples);
    args.on.results.finish(
        &small.folder.join("probe"),
        "line",
        &record,
        complete,
        &figures,
        &summary(&record),
        global,
    )
}

fn summary(record: &Record<Line>) -> String {
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
