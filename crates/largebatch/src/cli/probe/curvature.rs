//! `largebatch probe curvature`.

use std::fmt::Write as _;

use anyhow::Result;
use clap::Args;
use largebatch_optim::DynOptimizerConfig;
use largebatch_probe::curvature::{AtPoint, Curvature, CurvatureOptions, curvature};
use largebatch_probe::{Objective, Record};
use largebatch_train::Lab;
use largebatch_train::TrainError;

use super::{Common, Done, Global, Watching, announce, gradient_seconds, readable};

const ABOUT: &str = "\
Hessian-vector products are central differences of gradients in f64. The Lanczos method finds the largest eigenvalues; the trace comes from random
signs (Hutchinson) and Hutch++, the density from stochastic Lanczos quadrature. The edge of stability is that of the run's optimizer at its current rate:
2/λ for gradient descent, and so on. For Adam and Adagrad it is that of the preconditioned Hessian, which needs a checkpoint with their state
(RUN/checkpoints/step-N).";

/// Measure the largest eigenvalues, trace and density of the loss's Hessian, and the largest stable
/// learning rate
#[derive(Args)]
#[command(after_help = ABOUT)]
pub(super) struct CurvatureArgs {
    #[command(flatten)]
    common: Common,
    /// Number of largest eigenvalues to find
    #[arg(long, value_name = "K", default_value_t = 5, help_heading = "How")]
    top: usize,
    /// Most Lanczos iterations
    #[arg(
        long,
        alias = "most",
        value_name = "N",
        default_value_t = 60,
        help_heading = "How"
    )]
    iterations: usize,
    /// Products for each of the two trace estimates; 0 skips them
    #[arg(long, value_name = "N", default_value_t = 30, help_heading = "How")]
    samples: usize,
    /// Random vectors for the density, with 40 products each; 0 skips it
    #[arg(
        long,
        alias = "probes",
        value_name = "N",
        default_value_t = 2,
        help_heading = "How"
    )]
    vectors: usize,
}

pub(super) fn run(args: CurvatureArgs, global: &Global, lab: &Lab) -> Result<Done> {
    if args.top == 0 || args.top > args.iterations {
        let why = format!(
            "must be between 1 and the number of Lanczos iterations, --iterations {}",
            args.iterations
        );
        return Err(TrainError::Value {
            key: "top".into(),
            value: args.top.to_string(),
            why,
        }
        .into());
    }
    let run = args.common.open(lab)?;
    let mut subject = args.common.subject(&run)?;
    subject.need_double()?;
    let options = CurvatureOptions {
        top: args.top,
        iterations: args.iterations,
        samples: args.samples,
        vectors: args.vectors,
        seed: args.common.seed,
        ..CurvatureOptions::default()
    };
    let gradients = options.gradients(subject.dim());
    let w = subject.weights().to_vec();
    let n = subject.examples().len();
    let seconds = gradients as f64 * gradient_seconds(&mut subject, &w, n)?;
    announce(
        &format!("at most {gradients} gradient evaluations"),
        n,
        seconds,
        global,
    );
    let mut watching = Watching::new(global, "gradients");
    let (mut result, complete) = curvature(&mut subject, &w, &options, &mut watching.watch())?;
    if complete {
        let at = AtPoint {
            optimizer: &*run.experiment.optimizer,
            rate: run.rate(),
            state: run.optimizer.as_deref(),
        };
        result.edge = at.edge(
            &mut subject,
            &w,
            result.lambda_max,
            &options,
            &mut watching.watch(),
        )?;
    }
    drop(watching);
    let record = Record::new(
        "curvature",
        run.weights.display().to_string(),
        &subject,
        complete,
        result,
    );
    let caption = format!(
        "{} on {}, {} {} examples, {} parameters; {} Lanczos runs of {} steps, smoothed by a hundredth of the range; marks: the {} largest.",
        run.experiment.config.model.name,
        run.experiment.config.dataset.name,
        record.examples,
        record.part,
        record.parameters,
        options.vectors,
        options.steps,
        record.result.eigenvalues.len()
    );
    let figures = [("curvature".to_owned(), record.result.figure(&caption).svg())];
    args.common.finish(
        &run,
        &record,
        &figures,
        &summary(&record.result, &*run.experiment.optimizer),
        global,
    )
}

fn summary(c: &Curvature, optimizer: &dyn DynOptimizerConfig) -> String {
    let (name, stability) = (optimizer.facts().name, optimizer.stability());
    let mut text = String::new();
    let values: Vec<String> = c.eigenvalues.iter().map(|v| format!("{v:.4}")).collect();
    let _ = writeln!(
        text,
        "largest eigenvalues {}{}",
        values.join(", "),
        if c.converged {
            ""
        } else {
            " (not converged: raise --iterations; at a kink of the loss they never converge)"
        }
    );
    let _ = writeln!(text, "smallest eigenvalue at most {:.4}", c.least);
    if let Some(rate) = c.stable_rate {
        let _ = writeln!(
            text,
            "L = {:.4}: gradient descent is stable up to the rate 2/L = {}",
            c.lambda_max,
            readable(rate)
        );
    }
    for (name, trace) in [("Hutchinson", c.trace), ("Hutch++", c.trace_plus)] {
        if let Some(t) = trace {
            let error = t.error.map_or(String::new(), |e| format!(" ± {e:.2}"));
            let _ = writeln!(
                text,
                "trace {:.4}{error} ({name}, {} products)",
                t.value, t.products
            );
        }
    }
    if let Some(e) = &c.edge {
        let word = if e.product < e.bound {
            "below"
        } else {
            "above"
        };
        let _ = writeln!(
            text,
            "{} at rate {}: η λ = {:.4}, {word} the edge of stability at {:.4}{}",
            e.optimizer,
            readable(e.rate),
            e.product,
            e.bound,
            e.stable_rate.map_or(String::new(), |r| format!(
                "; stable up to rate {}",
                readable(r)
            ))
        );
    } else if stability.is_some() {
        let _ = writeln!(
            text,
            "the edge of stability of {name} needs its state: name a checkpoint, RUN/checkpoints/step-N"
        );
    } else {
        let _ = writeln!(text, "no edge of stability is known for {name}");
    }
    text.trim_end().to_owned()
}
