//! The configuration that a command line asks for.

use std::path::Path;

use largebatch_train::{RunConfig, TrainError};
use toml::Value;

use super::TrainArgs;

/// The configuration from file, --set and flags; without a file it starts from `under`, the run to
/// be resumed.
pub(super) fn configuration(
    args: &TrainArgs,
    under: Option<&RunConfig>,
) -> Result<RunConfig, TrainError> {
    let text = match &args.file {
        Some(path) if path.is_dir() => {
            let message = format!(
                "is a folder, not a configuration; to continue a run write --resume {}",
                path.display()
            );
            return Err(TrainError::folder(path, message));
        }
        Some(path) => Some(std::fs::read_to_string(path).map_err(TrainError::io(path, "read"))?),
        None => under.map(RunConfig::to_toml),
    };
    let place = args.file.as_deref().unwrap_or(Path::new("run.toml"));
    let number = |n: Option<u64>| n.map(|n| Value::Integer(n as i64));
    let word = |text: &Option<String>| text.clone().map(Value::String);
    // Names come first, because a new name discards the old one's options, and --set gives options
    // of the new one; then once more, because flags win.
    let names = [
        ("dataset", &args.dataset),
        ("model", &args.model),
        ("optimizer", &args.optimizer),
        ("optimizer.preset", &args.preset),
        ("schedule", &args.schedule),
    ];
    let names: Vec<(String, Value)> = names
        .iter()
        .filter_map(|(key, text)| Some(((*key).to_owned(), word(text)?)))
        .collect();
    let mut over = names.clone();
    over.extend(
        args.set
            .iter()
            .map(|s| RunConfig::assignment(s))
            .collect::<Result<Vec<_>, _>>()?,
    );
    over.extend(names);
    let mut flag =
        |key: &str, value: Option<Value>| over.extend(value.map(|v| (key.to_owned(), v)));
    match args.batch_size.as_deref() {
        None => {}
        Some("full") => flag("data.sampling", Some("full".into())),
        Some(text) => match text.parse::<i64>() {
            Ok(n) if n > 0 => flag("batch_size", Some(n.into())),
            _ => {
                let why = "must be at least 1, or `full`";
                return Err(TrainError::value("batch_size", text, why));
            }
        },
    }
    flag("lr", args.lr.map(Value::Float));
    flag("epochs", number(args.epochs));
    flag("steps", number(args.steps));
    flag("scaling", word(&args.scaling));
    flag("seed", number(args.seed));
    flag("device", word(&args.device));
    flag("threads", number(args.threads));
    flag("workers", number(args.workers));
    let traced = traced(args.trace.as_deref())?;
    flag("log.layers_every_steps", number(traced));
    let mut config = RunConfig::layered(text.as_deref().map(|text| (place, text)), &over)?;
    // A budget from the command line replaces the file's.
    if args.steps.is_some() {
        config.epochs = None;
    } else if args.epochs.is_some() {
        config.steps = None;
    }
    Ok(config)
}

/// `layers` or `layers:every=50`.
fn traced(text: Option<&str>) -> Result<Option<u64>, TrainError> {
    let Some(text) = text else { return Ok(None) };
    let every = match text {
        "layers" => Some(1),
        _ => text
            .strip_prefix("layers:every=")
            .and_then(|n| n.parse().ok())
            .filter(|&n| n > 0 && i64::try_from(n).is_ok()),
    };
    let wrong = || TrainError::value("trace", text, "write layers or layers:every=50");
    every.map(Some).ok_or_else(wrong)
}
