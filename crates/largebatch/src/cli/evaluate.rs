//! `largebatch evaluate`.

use std::io::Write as _;
use std::path::PathBuf;

use anyhow::Result;
use clap::Args;
use largebatch_optim::Registry;
use largebatch_train::{Experiment, RunFolder, TrainError, Which, load_network};
use serde_json::json;

use super::{DataDir, Done, Global, PartArg, print_json, tell_data};

/// Evaluate the model of a run on a part of its data
#[derive(Args)]
pub(super) struct EvaluateArgs {
    /// Folder of the run
    #[arg(value_name = "RUN")]
    run: PathBuf,
    /// Part of the data
    #[arg(long, value_enum, default_value = "validation")]
    part: PartArg,
    /// Weights to take instead of the run's own: a safetensors file, such as one from PyTorch
    #[arg(long, value_name = "FILE")]
    weights: Option<PathBuf>,
    /// Device to compute on instead of the run's own
    #[arg(long, value_name = "NAME")]
    device: Option<String>,
    #[command(flatten)]
    data_dir: DataDir,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: EvaluateArgs, global: &Global, registry: &Registry) -> Result<Done> {
    let (folder, file) = RunFolder::open(&args.run)?;
    let mut config = file.config;
    if let Some(device) = args.device {
        config.device = device;
    }
    let mut search = args.data_dir.search();
    search.data_dir = search.data_dir.or(file.provenance.data_dir);
    let experiment = Experiment::open(config, registry, &search)?;
    let (weights, place) = match &args.weights {
        Some(path) => (std::fs::read(path).map_err(TrainError::io(path, "read"))?, path.clone()),
        None => (folder.weights()?, args.run.clone()),
    };
    let network = load_network(&experiment, &weights, &place)?;
    let (which, name) = args.part.which();
    let Some(metrics) = experiment.evaluate(&network, which)? else {
        let message = format!("its {name} part is empty; take another --part");
        return Err(TrainError::Folder { path: args.run, message }.into());
    };
    let [validation, test] = experiment.dataset.majority_accuracy(&experiment.split);
    if args.json {
        let mut object = serde_json::to_value(metrics)?;
        object["majority_accuracy"] = match which {
            Which::Train => json!(null),
            Which::Validation => json!(validation),
            Which::Test => json!(test),
        };
        object["part"] = json!(name);
        object["run"] = json!(args.run.display().to_string());
        print_json(&object)?;
    } else {
        writeln!(std::io::stdout(), "{name}: {} of {}, loss {:.6}", metrics.headline(), metrics.n, metrics.loss)?;
    }
    tell_data(&experiment.dataset, &experiment.split, global);
    Ok(Done::Ok)
}
