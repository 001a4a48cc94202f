//! The folder of a new run, and its `run.toml`.

use std::path::{Path, PathBuf};

use largebatch_data::DataSpec;
use largebatch_train::{Choice, Environment, Experiment, RunConfig, RunFile, SCHEMA, TrainError};

/// Creates a new folder in `runs`, in one step, so that two trainings that start together never
/// share one.
pub(super) fn fresh_folder(config: &RunConfig) -> Result<PathBuf, TrainError> {
    let runs = Path::new("runs");
    std::fs::create_dir_all(runs).map_err(TrainError::io(runs, "create the folder"))?;
    let name = format!(
        "{}-{}-{}",
        config.dataset.name, config.model.name, config.optimizer.name
    );
    let mut path = runs.join(&name);
    for i in 2u64.. {
        match std::fs::create_dir(&path) {
            Err(e) if e.kind() == std::io::ErrorKind::AlreadyExists => {
                path = runs.join(format!("{name}-{i}"))
            }
            made => {
                return made
                    .map(|()| path.clone())
                    .map_err(TrainError::io(&path, "create the folder"));
            }
        }
    }
    Ok(path)
}

pub(in crate::cli) fn run_file(experiment: &Experiment, data_dir: Option<PathBuf>) -> RunFile {
    RunFile {
        schema: SCHEMA,
        id: experiment.config.id(),
        examples: Some(experiment.dataset.train.len() + experiment.dataset.test.len()),
        provenance: Environment {
            version: env!("CARGO_PKG_VERSION").into(),
            device: format!("{:?}", experiment.device.clone().inner()),
            threads: largebatch_train::threads(),
            cpu: largebatch_train::processor(),
            platform: format!("{}-{}", std::env::consts::OS, std::env::consts::ARCH),
            data_dir,
            folder: std::env::current_dir()
                .ok()
                .filter(|_| has_relative_files(&experiment.config.dataset)),
        },
        config: experiment.config.clone(),
        sources: experiment.dataset.sources.clone(),
        earlier_sources: Vec::new(),
    }
}

fn has_relative_files(dataset: &Choice) -> bool {
    let files = DataSpec::FILES
        .iter()
        .filter_map(|key| dataset.options.get(*key)?.as_str());
    files.into_iter().any(|file| Path::new(file).is_relative())
}
