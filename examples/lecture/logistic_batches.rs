//! Logistic regression by SGD with different batch sizes, at equal numbers of examples, on the
//! breast-cancer data.
//!
//! N·epochs/|B| steps of size η go as far as a gradient flow of length η·N·epochs/|B|. At the same
//! rate, a large batch therefore falls behind, because it takes fewer steps. With a rate
//! proportional to |B|, all batch sizes go equally far, until the rate approaches 2/L. Test
//! accuracy shows the same.

mod program;

use anyhow::{Context, ensure};
use largebatch::Lab;
use largebatch::data::Search;
use largebatch::models::Network;
use largebatch::plot::{Plot, Scale};
use largebatch::train::{Controls, Experiment, RunConfig, Split, train};
use program::{Program, agree, numbers, short};

const SEED: u64 = 0;

/// A trained run's loss on the training part, and its test accuracy in percent.
fn run(
    batch: usize,
    rate: f64,
    steps: u64,
    sampling: &str,
) -> anyhow::Result<(Experiment, Network, f64, f64)> {
    let text = format!(
        "dataset = 'breast-cancer'\nmodel = {{ name = 'logistic', init = 'zero' }}\noptimizer = 'sgd'\nseed = {SEED}\n\
         batch_size = {batch}\nlr = {rate}\nsteps = {steps}\ndata.validation = 0\ndata.sampling = '{sampling}'"
    );
    let config = RunConfig::layered(Some(("logistic".as_ref(), &text)), &[])?;
    let experiment = Experiment::open(config, &Lab::standard(), &Search::default())?;
    let (outcome, network) = train(&experiment, Controls::default())?;
    let loss = experiment
        .evaluate(&network, Split::Train)?
        .context("there is a training part")?
        .loss;
    let accuracy = outcome
        .test
        .and_then(|m| m.accuracy)
        .context("training diverged")?;
    Ok((experiment, network, loss, 100.0 * accuracy))
}

/// L = λ_max(Σ x xᵀ)/(4N), with a 1 for the bias in x: an upper bound of the mean logistic loss's
/// curvature.
fn smoothness(experiment: &Experiment) -> anyhow::Result<f64> {
    let (part, indices) = experiment.indices(Split::Train);
    let (x, _) = experiment.batch(part, indices, None)?;
    let (n, d) = (x.dims()[0], x.dims()[1]);
    let x = numbers(&x);
    let rows = || x.chunks(d).map(|row| row.iter().copied().chain([1.0]));
    let (mut v, mut largest) = (vec![1.0; d + 1], 0.0);
    for _ in 0..200 {
        let mut image = vec![0.0; d + 1];
        for row in rows() {
            let along: f64 = row.clone().zip(&v).map(|(x, v)| x * v).sum();
            image
                .iter_mut()
                .zip(row)
                .for_each(|(i, x)| *i += along * x / n as f64);
        }
        largest = image.iter().map(|i| i * i).sum::<f64>().sqrt();
        v = image.into_iter().map(|i| i / largest).collect();
    }
    Ok(largest / 4.0)
}

fn main() -> anyhow::Result<()> {
    let program = Program::start("logistic_batches")?;
    let (rate, epochs) = (0.002, program.size(20, 4));
    let (experiment, ..) = run(1, rate, 1, "shuffled")?;
    let (n, bound) = (
        experiment.holdout.train.len(),
        2.0 / smoothness(&experiment)?,
    );
    println!(
        "logistic regression on breast-cancer, N = {n}, {epochs} epochs each, seed {SEED}; η = {rate}; 2/L = {}",
        short(bound)
    );
    let batches = [1, 4, 16, 64, 128, n];
    let (mut same, mut scaled, mut flow) = (Vec::new(), Vec::new(), Vec::new());
    for batch in batches {
        let steps = (n * epochs).div_ceil(batch) as u64;
        let (_, _, loss, accuracy) = run(batch, rate, steps, "shuffled")?;
        let (_, _, loss_scaled, accuracy_scaled) =
            run(batch, rate * batch as f64, steps, "shuffled")?;
        // Gradient descent in short steps approximates the flow of length η·steps.
        let parts = (rate * steps as f64 / 0.02).ceil().max(20.0);
        let (_, _, expected, _) = run(n, rate * steps as f64 / parts, parts as u64, "full")?;
        agree(
            &format!("|B| = {batch}, same rate ({steps} steps): loss compared with the flow’s"),
            loss,
            expected,
            0.05,
        )?;
        println!(
            "|B| = {batch}: test accuracy {accuracy:.1} % at the same rate; at the rate {} ~ |B|: loss {}, {accuracy_scaled:.1} %",
            short(rate * batch as f64),
            short(loss_scaled)
        );
        same.push((batch as f64, loss));
        scaled.push((batch as f64, loss_scaled));
        flow.push((batch as f64, expected));
    }
    agree(
        "rate ~ |B|: loss at |B| = 64 compared with |B| = 1",
        scaled[3].1,
        scaled[0].1,
        0.1,
    )?;
    let behind = same[5].1 / same[0].1;
    println!(
        "same rate: the loss at |B| = N is {} times that at |B| = 1",
        short(behind)
    );
    ensure!(
        behind > 2.0,
        "the full batch should fall behind at the same rate"
    );
    let plot = Plot::new("logistic_batches", "Logistic regression at equal examples")
        .x("batch size", Scale::Log)
        .y("training loss after equal examples", Scale::Log)
        .x_ticks(batches.map(|b| b as f64))
        .points("same rate", same)
        .dashed("same rate", flow)
        .points("rate ~ |B|", scaled.clone())
        .line("rate ~ |B|", scaled)
        .guide_x("2/L at η ~ |B|", bound / rate)
        .caption(&format!("breast-cancer, N = {n}, {epochs} epochs, η = {rate} at |B| = 1, seed {SEED}. Dashed: gradient flow of the same length η · steps."));
    program.finish(plot)
}
