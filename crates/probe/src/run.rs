//! A run, opened for probing.

use std::path::{Path, PathBuf};

use largebatch_data::Search;
use largebatch_models::Network;
use largebatch_train::Lab;
use largebatch_train::{
    Checkpoint, Experiment, OtherData, RunFolder, TrainError, load_network, model_data,
};

use crate::{OptimizerState, Point, ProbeError, Sample};

/// A run, opened for probing: its data, model and weights.
pub struct Run {
    /// The run's experiment: data, model and configuration.
    pub experiment: Experiment,
    /// The network at the run's weights.
    pub network: Network,
    /// The run's folder.
    pub folder: PathBuf,
    /// The source of the weights.
    pub weights: PathBuf,
    /// The number of optimizer steps that produced these weights, if known.
    pub step: Option<u64>,
    /// The optimizer's state at these weights, as [`largebatch_optim::Driver::save`] writes it.
    /// Only checkpoints store it; a finished run does not.
    pub optimizer: Option<Vec<u8>>,
}

impl Run {
    /// Opens a run's folder, or one checkpoint in it (`RUN/checkpoints/step-N`). `weights` names
    /// another safetensors file and `device` another device; `other` decides what to do if the data
    /// differ from the run's.
    ///
    /// # Errors
    /// A folder that is not a run, weights of another model, data that cannot be read.
    pub fn open(
        path: &Path,
        weights: Option<&Path>,
        device: Option<&str>,
        lab: &Lab,
        search: Search,
        other: OtherData<'_>,
    ) -> Result<Self, ProbeError> {
        let is_checkpoint = !path.join("run.toml").exists() && path.join("state.json").exists();
        let root = match path
            .canonicalize()
            .ok()
            .as_deref()
            .and_then(|p| p.ancestors().nth(2))
        {
            Some(root) if is_checkpoint => root.to_owned(),
            _ => path.to_owned(),
        };
        let (folder, file) = RunFolder::open(&root)?;
        let mut config = file.config.clone();
        if let Some(device) = device {
            config.device = device.into();
        }
        let mut experiment = file.reopen(&root, config, lab, search, other)?;
        let mut optimizer = None;
        let (bytes, place, step) = match weights {
            Some(path) => (
                std::fs::read(path).map_err(TrainError::io(path, "read"))?,
                path.to_owned(),
                None,
            ),
            None => match folder.outcome()?.filter(|_| !is_checkpoint) {
                Some(outcome) => (folder.weights()?, path.to_owned(), Some(outcome.steps)),
                None => {
                    let checkpoint = if is_checkpoint {
                        Some(Checkpoint::load(path)?)
                    } else {
                        Checkpoint::newest(&folder.checkpoints())?
                    };
                    let Some(checkpoint) = checkpoint else {
                        let why = "has no weights yet: it has not finished or written a checkpoint";
                        return Err(TrainError::folder(&root, why).into());
                    };
                    optimizer = Some(checkpoint.optimizer);
                    (
                        checkpoint.model,
                        path.to_owned(),
                        Some(checkpoint.progress.step),
                    )
                }
            },
        };
        // Weights of another run may have been trained on data with another scaling.
        if let (Some(_), Some(data)) = (weights, model_data(&bytes, &place)?) {
            experiment.adopt(&data, &place)?;
        }
        let network = load_network(&experiment, &bytes, &place)?;
        Ok(Run {
            experiment,
            network,
            folder: root,
            weights: place,
            step,
            optimizer,
        })
    }

    /// The run's weights as a point to measure.
    pub fn point(&self, sample: Sample) -> Point<'_> {
        Point {
            experiment: &self.experiment,
            network: &self.network,
            source: &self.weights,
            folder: &self.folder,
            rate: rate_at(&self.experiment, self.step),
            optimizer: match &self.optimizer {
                Some(state) => OptimizerState::Saved(state),
                None => OptimizerState::Absent,
            },
            sample,
            steps: None,
        }
    }
}

/// The learning rate of an experiment after `step` steps: that of the next step, or of the last one
/// at the end or if the step is unknown.
pub fn rate_at(experiment: &Experiment, step: Option<u64>) -> f64 {
    let last = experiment.total_steps.saturating_sub(1);
    let step = step.unwrap_or(last).min(last);
    let batches = &experiment.batches;
    experiment.lr(
        step,
        &batches.at_step(step, experiment.config.data.last_batch()),
    )
}
