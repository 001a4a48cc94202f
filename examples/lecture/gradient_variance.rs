//! The stochastic gradient is unbiased, and its variance falls as 1/|B|: softmax regression on the digits.
//!
//! With replacement, E‖g_B − ∇f‖² = tr Σ/|B| exactly, where Σ is the covariance of the examples'
//! gradients. Without replacement, it is smaller by the factor (N − |B|)/(N − 1), and 0 at |B| = N.

mod program;

use anyhow::ensure;
use burn::module::{Module, ModuleVisitor, Param};
use burn::optim::GradientsParams;
use burn::tensor::Tensor;
use largebatch::Lab;
use largebatch::data::{Order, Position, Sampling, Search};
use largebatch::plot::{Plot, Scale};
use largebatch::train::{Controls, Experiment, RunConfig, StepKeys, train};
use program::{Program, agree, mean, short};

const SEED: u64 = 0;

/// A gradient as one vector.
struct Flat<'a> {
    gradients: &'a GradientsParams,
    values: Vec<f64>,
}

impl ModuleVisitor for Flat<'_> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        if let Some(g) = self.gradients.get::<D>(param.id) {
            self.values.extend(g.into_data().iter::<f64>());
        }
    }
}

/// ‖g_B − ∇f‖² for many batches, and the norm of the mean of g_B − ∇f.
fn draws(
    rows: &[Vec<f64>],
    batch: usize,
    sampling: Sampling,
    count: u64,
    experiment: &Experiment,
) -> anyhow::Result<(Vec<f64>, f64)> {
    let (n, d) = (rows.len(), rows[0].len());
    let mut order = Order::new(
        (0..n as u32).collect(),
        sampling,
        false,
        experiment.key("variance").number(batch as u64),
    )?;
    let (mut squares, mut sum) = (Vec::new(), vec![0.0; d]);
    for draw in 0..count {
        // The first batch of a separate epoch, so that the batches are independent even without
        // replacement.
        order.seek(Position {
            epoch: draw,
            offset: 0,
        });
        let mut g = vec![0.0; d];
        for i in order.next(batch).1 {
            g.iter_mut()
                .zip(&rows[i as usize])
                .for_each(|(g, r)| *g += r / batch as f64);
        }
        squares.push(g.iter().map(|g| g * g).sum());
        sum.iter_mut()
            .zip(&g)
            .for_each(|(s, g)| *s += g / count as f64);
    }
    Ok((squares, sum.iter().map(|s| s * s).sum::<f64>().sqrt()))
}

fn main() -> anyhow::Result<()> {
    let program = Program::start("gradient_variance")?;
    let count = program.size(2000, 200) as u64;
    let text = format!(
        "dataset = 'digits'\nmodel = 'softmax'\noptimizer = 'sgd'\nlr = 0.1\nbatch_size = 32\nepochs = 1\nseed = {SEED}"
    );
    let config = RunConfig::layered(Some(("softmax".as_ref(), &text)), &[])?;
    let experiment = Experiment::open(config, &Lab::standard(), &Search::default())?;
    let (_, network) = train(&experiment, Controls::default())?;
    let keys = StepKeys {
        augment: experiment.key("augment"),
        dropout: experiment.key("dropout"),
    };
    let gradient = |indices: &[u32]| -> anyhow::Result<Vec<f64>> {
        let gradients = experiment.gradient(&network, indices, keys)?.gradients;
        let mut flat = Flat {
            gradients: &gradients,
            values: Vec::new(),
        };
        network.visit(&mut flat);
        Ok(flat.values)
    };
    let indices = &experiment.holdout.train;
    let (n, full) = (indices.len(), gradient(indices)?);
    // Each example's gradient minus the full gradient.
    let mut rows = Vec::new();
    for i in indices {
        rows.push(
            gradient(&[*i])?
                .iter()
                .zip(&full)
                .map(|(g, f)| g - f)
                .collect::<Vec<f64>>(),
        );
    }
    let trace = mean(
        &rows
            .iter()
            .map(|r| r.iter().map(|x| x * x).sum())
            .collect::<Vec<f64>>(),
    );
    let norm = full.iter().map(|g| g * g).sum::<f64>().sqrt();

    println!(
        "softmax regression on digits after one epoch, N = {n}, {} parameters, {count} batches of each size, seed {SEED}",
        full.len()
    );
    println!(
        "‖∇f‖ = {}, tr Σ = {}; the simple noise scale tr Σ/‖∇f‖² is {}",
        short(norm),
        short(trace),
        short(trace / (norm * norm))
    );
    let batches = [1, 4, 16, 64, 256, 512, 1024];
    let mut series: Vec<Vec<(f64, f64)>> = Vec::new();
    for (sampling, name) in [
        (Sampling::Replacement, "with replacement"),
        (Sampling::Shuffled, "without replacement"),
    ] {
        let mut points = Vec::new();
        for batch in batches.into_iter().filter(|b| *b <= n) {
            let (squares, bias) = draws(&rows, batch, sampling, count, &experiment)?;
            let shrink = if sampling == Sampling::Shuffled {
                (n - batch) as f64 / (n as f64 - 1.0)
            } else {
                1.0
            };
            let theory = trace / batch as f64 * shrink;
            agree(
                &format!("{name}, |B| = {batch}: variance"),
                mean(&squares),
                theory,
                0.25,
            )?;
            if batch == 16 {
                // For `count` unbiased draws, the mean squared distance of their mean from ∇f is
                // variance/count. It fluctuates, because a few directions dominate.
                let expected = (theory / count as f64).sqrt();
                println!(
                    "{name}, |B| = {batch}: the distance of the mean of all batches from ∇f is {}, expected {}",
                    short(bias),
                    short(expected)
                );
                ensure!(
                    bias < 2.0 * expected,
                    "the stochastic gradient should be unbiased"
                );
            }
            points.push((batch as f64, mean(&squares)));
        }
        series.push(points);
    }
    let (first, last) = (series[0][0], series[0][series[0].len() - 1]);
    agree(
        "with replacement: exponent of |B|",
        (last.1 / first.1).ln() / (last.0 / first.0).ln(),
        -1.0,
        0.03,
    )?;
    let theory = |shrunk: bool| {
        let at = (0..=60).map(|k| (n as f64 - 1.0).powf(f64::from(k) / 60.0));
        at.map(move |b| {
            (
                b,
                trace / b
                    * if shrunk {
                        (n as f64 - b) / (n as f64 - 1.0)
                    } else {
                        1.0
                    },
            )
        })
        .collect::<Vec<_>>()
    };
    let floor = 0.3 * series[1].iter().map(|p| p.1).fold(f64::INFINITY, f64::min);
    let plot = Plot::new("gradient_variance", "Variance of the mini-batch gradient")
        .x("batch size", Scale::Log)
        .y("E‖g_B − ∇f‖²", Scale::Log)
        .y_range(floor, 1.6 * trace)
        .x_ticks(batches.map(|b| b as f64))
        .points("with replacement", series[0].clone())
        .dashed("with replacement", theory(false))
        .points("without replacement", series[1].clone())
        .dashed("without replacement", theory(true))
        .guide_x("N", n as f64)
        .caption(&format!(
            "Softmax regression on digits, N = {n}, {count} batches per mark, seed {SEED}. Dashed: tr Σ/|B|, and times (N − |B|)/(N − 1)."
        ));
    program.finish(plot)
}
