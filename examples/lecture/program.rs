//! Shared by the lecture's programs: two options, f64 tensors, a check against theory, and the
//! figure.
#![allow(dead_code)]

use std::path::PathBuf;

use anyhow::{bail, ensure};
use burn::tensor::{DType, Device, Tensor, TensorData};
use largebatch::plot::Plot;

/// The options: `--small` (fewer runs and steps, for tests) and `--out FILE` (the figure's file,
/// .svg or .png).
pub struct Program {
    pub small: bool,
    out: PathBuf,
}

impl Program {
    pub fn start(name: &str) -> anyhow::Result<Program> {
        let mut program = Program {
            small: false,
            out: format!("{name}.svg").into(),
        };
        let mut args = std::env::args().skip(1);
        while let Some(arg) = args.next() {
            match (arg.as_str(), args.len()) {
                ("--small", _) => program.small = true,
                ("--out", 1..) => program.out = args.next().unwrap_or_default().into(),
                _ => bail!(
                    "unknown argument `{arg}`; usage: {name} [--small] [--out FILE.svg|FILE.png]"
                ),
            }
        }
        Ok(program)
    }

    /// The first number, or with `--small` the second.
    pub fn size(&self, full: usize, small: usize) -> usize {
        if self.small { small } else { full }
    }

    pub fn finish(&self, plot: Plot) -> anyhow::Result<()> {
        plot.figure().write(&self.out)?;
        println!("figure: {}", self.out.display());
        Ok(())
    }
}

/// Prints the measured and the theoretical value. An error if their relative difference exceeds
/// `tolerance`.
pub fn agree(what: &str, measured: f64, theory: f64, tolerance: f64) -> anyhow::Result<()> {
    let ratio = measured / theory;
    println!(
        "{what}: measured {}, theory {}, ratio {ratio:.3}",
        short(measured),
        short(theory)
    );
    ensure!(
        (ratio - 1.0).abs() <= tolerance,
        "{what}: measured {measured}, but theory gives {theory}; the relative tolerance is {tolerance}"
    );
    Ok(())
}

/// The number with three significant digits.
pub fn short(x: f64) -> String {
    let rounded = format!("{x:.2e}");
    let magnitude = rounded
        .split_once('e')
        .and_then(|(_, e)| e.parse().ok())
        .unwrap_or(0);
    match magnitude {
        -3..=5 => format!("{x:.*}", (2 - magnitude).max(0) as usize),
        _ => rounded,
    }
}

pub fn tensor<const D: usize>(values: Vec<f64>, shape: [usize; D]) -> Tensor<D> {
    Tensor::from_data(
        TensorData::new(values, shape),
        (&Device::flex(), DType::F64),
    )
}

pub fn numbers<const D: usize>(x: &Tensor<D>) -> Vec<f64> {
    x.clone().into_data().iter::<f64>().collect()
}

pub fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}
