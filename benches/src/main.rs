//! Repeats a piece of work and reports how long it took: largebatch's side of `benches/compare`.
//!
//! `largebatch-benches THREADS WORK …` prints `ready`. Then it reads lines with a number of
//! seconds; for each it repeats the work for about that time and prints the median number of
//! seconds per unit. Works: `step MODEL BATCH [graph]` (a step of `largebatch train` with momentum on
//! a batch of random images, on Burn's graph if asked), `optimizer NAME[:SIDE] [DEVICE]` (a step over
//! 25 million parameters in 53 tensors, or over a square matrix, with given gradients), `train
//! DATASET MODEL BATCH [graph]` (a step of a training with SGD), `logistic BATCH` (that of logistic
//! regression on the breast-cancer data), `stream` (a ← a + b/2 in memory, 1.5
//! GiB of traffic, on all threads) and `product` (a matrix product of 2,048³ multiplications). `largebatch-benches 1 chart FILE.json FILE.svg` draws
//! the measurements of `benches/scaling`.

mod chart;
mod work;

use std::io::{BufRead, Write};
use std::time::Instant;

use anyhow::{Context, bail};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> anyhow::Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [threads, what, options @ ..] = &args[..] else {
        bail!("usage: largebatch-benches THREADS WORK [OPTION …]")
    };
    largebatch::train::compute_here(Some(threads.parse().context("THREADS")?));
    if let ("chart", [from, to]) = (what.as_str(), options) {
        return chart::write(from.as_ref(), to.as_ref());
    }
    let on_graph = |rest: &[String]| rest.first().is_some_and(|word| word == "graph");
    let mut unit: Box<dyn FnMut() -> f64> = match what.as_str() {
        "step" => {
            let [model, batch, rest @ ..] = options else {
                bail!("step needs MODEL and BATCH, and takes graph")
            };
            work::step(model, batch.parse().context("BATCH")?, on_graph(rest))?
        }
        "optimizer" => work::optimizer(
            options.first().context("optimizer needs a NAME")?,
            options.get(1).map_or("flex", String::as_str),
        )?,
        "logistic" => {
            let batch = options.first().context("logistic needs BATCH")?;
            work::train_step("breast-cancer", "logistic", batch.parse()?, false)?
        }
        "train" => {
            let [dataset, model, batch, rest @ ..] = options else {
                bail!("train needs DATASET, MODEL and BATCH, and takes graph")
            };
            let batch = batch.parse().context("BATCH")?;
            work::train_step(dataset, model, batch, on_graph(rest))?
        }
        "stream" => work::stream(),
        "product" => work::product(),
        other => bail!("unknown work {other}"),
    };
    unit();
    println!("ready");
    for line in std::io::stdin().lock().lines() {
        let budget: f64 = line?.trim().parse().context("a line says seconds")?;
        let (begin, mut times) = (Instant::now(), Vec::new());
        while times.is_empty() || begin.elapsed().as_secs_f64() < budget {
            times.push(unit());
        }
        times.sort_by(f64::total_cmp);
        println!("{:.9}", times[times.len() / 2]);
        std::io::stdout().flush()?;
    }
    Ok(())
}
