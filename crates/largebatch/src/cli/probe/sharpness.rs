//! `largebatch probe sharpness`.

use std::fmt::Write as _;

use anyhow::Result;
use clap::{Args, ValueEnum};
use largebatch_probe::sharpness::{
    Ball, ITERATIONS, Keskar, Sharpness, Space, adaptive, ball, keskar,
};
use largebatch_probe::{Objective, Record};
use largebatch_train::Lab;

use super::{Common, Done, Global, Watching, announce, gradient_seconds};

const CAVEAT: &str = "\
Sharpness is 100 (max f - f(x)) / (1 + f(x)), with the maximum over the box |y_i| <= epsilon (|x_i| + 1) that L-BFGS-B finds in 10
iterations from x, in the full space and in a random subspace (Keskar et al. 2017). The balls are those of SAM (Foret et al. 2021) and ASAM
(Kwon et al. 2021), whose radius is relative to each weight.

Caveat (Dinh et al. 2017): the box and SAM's ball depend on the scale of the weights, although a ReLU network's function does not. Compare runs of
one model that were trained alike. The adaptive ball is invariant under rescaling.";

/// Measure how far the loss can rise near the weights: Keskar's box, SAM's ball, and the adaptive
/// ball
#[derive(Args)]
#[command(after_help = CAVEAT)]
pub(super) struct SharpnessArgs {
    #[command(flatten)]
    common: Common,
    /// Sizes of Keskar's box
    #[arg(
        long,
        value_name = "SIZES",
        value_delimiter = ',',
        default_value = "1e-3,5e-4",
        help_heading = "What"
    )]
    epsilon: Vec<f64>,
    /// Directions of the random subspace; 0 skips it [default: 100, or fewer for a smaller model]
    #[arg(long, value_name = "N", help_heading = "What")]
    directions: Option<usize>,
    /// Iterations of L-BFGS-B
    #[arg(long, value_name = "N", default_value_t = ITERATIONS, help_heading = "What")]
    iterations: usize,
    /// Radius of SAM's ball
    #[arg(
        long,
        value_name = "RHO",
        default_value_t = 0.05,
        help_heading = "What"
    )]
    radius: f64,
    /// Radius of the adaptive ball
    #[arg(long, value_name = "RHO", default_value_t = 0.5, help_heading = "What")]
    adaptive_radius: f64,
    /// Batch norm: frozen running statistics, or the statistics of each 250 examples, as in the
    /// training loss
    #[arg(long, value_enum, default_value = "frozen", help_heading = "What")]
    batch_norm: BatchNormArg,
    /// Ascent steps in each ball
    #[arg(long, value_name = "N", default_value_t = 10, help_heading = "What")]
    steps: usize,
}

#[derive(Clone, Copy, PartialEq, ValueEnum)]
enum BatchNormArg {
    Frozen,
    Batch,
}

pub(super) fn run(args: SharpnessArgs, global: &Global, lab: &Lab) -> Result<Done> {
    let run = args.common.open(lab)?;
    let mut subject = args.common.subject(&run)?;
    if args.batch_norm == BatchNormArg::Batch {
        subject.use_batch_statistics();
    }
    let directions = args.directions.unwrap_or(subject.dim().min(100));
    let spaces: Vec<Space> = [
        Some(Space::Full),
        (directions > 0).then_some(Space::Random { directions }),
    ]
    .into_iter()
    .flatten()
    .collect();
    // A line search takes little more than one evaluation per iteration.
    let boxes = (spaces.len() * args.epsilon.len()) as f64 * (1.0 + 1.5 * args.iterations as f64);
    let gradients = boxes + 2.0 * (args.steps as f64 + 1.0);
    let x = subject.weights().to_vec();
    let n = subject.examples().len();
    let seconds = gradients * gradient_seconds(&mut subject, &x, n)?;
    announce(
        &format!("at most {gradients:.0} gradient evaluations"),
        n,
        seconds,
        global,
    );
    let mut watching = Watching::new(global, "iterations");
    let batch_statistics = run
        .network
        .has_batch_norm()
        .then_some(args.batch_norm == BatchNormArg::Batch);
    let (mut result, mut complete) = (
        Sharpness {
            batch_statistics,
            ..Sharpness::default()
        },
        true,
    );
    for &epsilon in &args.epsilon {
        for &space in &spaces {
            if complete {
                let found = keskar(
                    &mut subject,
                    &x,
                    space,
                    epsilon,
                    args.iterations,
                    args.common.seed,
                    &mut watching.watch(),
                )?;
                complete = !found.interrupted();
                result.boxes.push(found);
            }
        }
    }
    if complete {
        let found = ball(
            &mut subject,
            &x,
            args.radius,
            args.steps,
            &mut watching.watch(),
        )?;
        complete = !found.interrupted;
        result.ball = Some(found);
    }
    if complete {
        let found = adaptive(
            &mut subject,
            &x,
            args.adaptive_radius,
            args.steps,
            &mut watching.watch(),
        )?;
        complete = !found.interrupted;
        result.adaptive = Some(found);
    }
    drop(watching);
    let record = Record::new(
        "sharpness",
        run.weights.display().to_string(),
        &subject,
        complete,
        result,
    );
    let summary = summary(&record);
    let figures = [("sharpness".to_owned(), record.result.figure().svg())];
    args.common
        .finish(&run, &record, &figures, &summary, global)
}

fn summary(record: &Record<Sharpness>) -> String {
    let (r, mut text) = (&record.result, String::new());
    let loss = r
        .boxes
        .first()
        .map(|k| k.loss)
        .or(r.ball.as_ref().map(|b| b.loss));
    // Writing to a String cannot fail.
    let _ = writeln!(
        text,
        "loss {:.6} over {} examples of the {} part",
        loss.unwrap_or(f64::NAN),
        record.examples,
        record.part
    );
    for k in &r.boxes {
        let Keskar {
            epsilon,
            sharpness,
            highest,
            iterations,
            evaluations,
            ..
        } = k;
        let space = match k.space {
            Space::Full => "full space".to_owned(),
            Space::Random { directions } => format!("{directions} random directions"),
        };
        let _ = writeln!(
            text,
            "  box {epsilon:<8} {space:<22} sharpness {sharpness:<12.5} highest loss {highest:.6} ({iterations} iterations, {evaluations} gradients)"
        );
    }
    for (name, b) in [("SAM's ball", &r.ball), ("adaptive ball", &r.adaptive)] {
        if let Some(Ball {
            radius,
            rise,
            first,
            loss,
            evaluations,
            ..
        }) = b
        {
            let one = first - loss;
            let _ = writeln!(
                text,
                "  {name} of radius {radius}: the loss rises by {rise:.6} ({one:.6} after one step; {evaluations} gradients)"
            );
        }
    }
    text.trim_end().to_owned()
}
