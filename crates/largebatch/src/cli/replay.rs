//! `largebatch replay`.

use std::path::PathBuf;

use anyhow::Result;
use burn::tensor::DType;
use clap::Args;
use largebatch_optim::replay;
use largebatch_train::{Lab, RunConfig, TrainError, device};

use super::{Done, print, print_json};

const FORMAT: &str = "\
The input is a safetensors file with PARAM/init and PARAM/grad/0, PARAM/grad/1, … for each parameter, and with lr/0, lr/1, … of one element each.
The output holds PARAM/0, PARAM/1, …: the weights after each step.

Example:
  largebatch replay --input steps.safetensors --optimizer lars --preset timm --set weight_decay=1e-4 --output weights.safetensors";

/// Run an optimizer on given gradients, to compare it with another program's optimizer
#[derive(Args)]
#[command(after_help = FORMAT)]
pub(super) struct ReplayArgs {
    /// File with initial weights, gradients and rates
    #[arg(long, value_name = "FILE")]
    input: PathBuf,
    /// Optimizer; `largebatch optimizers` lists them
    #[arg(long, value_name = "NAME")]
    optimizer: String,
    /// Variant of the optimizer [default: `torch` if it has one, else `paper`]
    #[arg(long, value_name = "NAME")]
    preset: Option<String>,
    /// An option of the optimizer, such as momentum=0.9
    #[arg(long = "set", value_name = "KEY=VALUE")]
    set: Vec<String>,
    /// File to write the weights to, after each step
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Print norms, trust ratio and effective rate of each layer at each step as JSON
    #[arg(long)]
    json: bool,
    /// Type of the numbers
    #[arg(long, value_parser = ["f32", "f64"], default_value = "f32")]
    dtype: String,
    /// Device to compute on
    #[arg(long, value_name = "NAME", default_value = "flex")]
    device: String,
}

pub(super) fn run(args: ReplayArgs, lab: &Lab) -> Result<Done> {
    let entry = lab
        .optimizers
        .named(&args.optimizer)
        .map_err(TrainError::from)?;
    let has = |name: &str| entry.facts().presets.iter().any(|(p, _)| *p == name);
    let usual = ["torch", "paper"].into_iter().find(|name| has(name));
    let options = args
        .set
        .iter()
        .map(|s| RunConfig::assignment(s))
        .collect::<Result<toml::Table, _>>()?;
    let recipe = match args.preset.as_deref().or(usual) {
        Some(preset) => entry.preset(preset, options),
        None => entry.configure(options),
    };
    let recipe = recipe.map_err(TrainError::from)?;
    let dtype = match args.dtype.as_str() {
        "f64" => DType::F64,
        _ => DType::F32,
    };
    let replayed =
        replay(&args.input, &*recipe, dtype, &device(&args.device)?).map_err(TrainError::from)?;
    if let Some(output) = &args.output {
        replayed.save(output).map_err(TrainError::from)?;
    }
    if args.json {
        return print_json(&replayed);
    }
    let last = args
        .output
        .map(|path| format!(", weights in {}", path.display()));
    let (n, last) = (replayed.steps.len(), last.unwrap_or_default());
    print(format_args!("{n} steps of {}{last}", args.optimizer))
}
