//! The trained network that `evaluate` and `predict` use.

use std::path::PathBuf;

use clap::Args;
use largebatch_train::{Experiment, Lab, RunConfig, RunFile, RunFolder, Stop, TrainError};

use super::{AcceptData, DataDir, warn};

#[derive(Args)]
pub(super) struct NetworkArgs {
    /// Folder of the run
    #[arg(value_name = "RUN")]
    pub run: PathBuf,
    /// Weights to use instead of the run's: a safetensors file, such as one from PyTorch
    #[arg(long, value_name = "FILE")]
    pub weights: Option<PathBuf>,
    /// Device to compute on instead of the run's
    #[arg(long, value_name = "NAME")]
    device: Option<String>,
    #[command(flatten)]
    data_dir: DataDir,
    #[command(flatten)]
    accept: AcceptData,
}

/// A run, with the weights to use.
pub(super) struct Trained {
    pub folder: RunFolder,
    pub config: RunConfig,
    pub weights: Vec<u8>,
    /// Where the weights are.
    pub place: PathBuf,
    file: RunFile,
}

impl NetworkArgs {
    pub(super) fn open(&self) -> anyhow::Result<Trained> {
        let (folder, file) = RunFolder::open(&self.run)?;
        let mut config = file.config.clone();
        config.device = self.device.clone().unwrap_or(config.device);
        let weights = match &self.weights {
            Some(path) => std::fs::read(path).map_err(TrainError::io(path, "read"))?,
            None => folder.weights()?,
        };
        if self.weights.is_none() {
            warn_of_divergence(&folder)?;
        }
        Ok(Trained {
            folder,
            config,
            weights,
            place: self.weights.as_ref().unwrap_or(&self.run).clone(),
            file,
        })
    }

    /// The run's data, opened again.
    pub(super) fn experiment(&self, run: &Trained, lab: &Lab) -> Result<Experiment, TrainError> {
        let (search, other) = (self.data_dir.search(), self.accept.other());
        run.file
            .reopen(&self.run, run.config.clone(), lab, search, other)
    }
}

/// Warns of weights that a diverged training left.
fn warn_of_divergence(folder: &RunFolder) -> anyhow::Result<()> {
    if folder
        .outcome()?
        .is_some_and(|outcome| outcome.stop == Stop::Diverged)
    {
        warn(&format!(
            "the training in {} diverged: its weights are those of the step at which it stopped, and say little",
            folder.path().display()
        ));
    }
    Ok(())
}
