//! What is wrong with the settings of a trial.

use largebatch_component::ComponentError;
use largebatch_component::settings::flatten;
use largebatch_study::Problem;
use largebatch_train::TrainError;
use toml::Table;

/// The configuration key that an error is about, and its message.
pub(super) fn problem(error: &TrainError, config: &Table) -> Problem {
    let key = match error {
        TrainError::Value { key, .. } => Some(key.clone()),
        TrainError::Unknown { kind, .. } => Some((*kind).to_owned()),
        TrainError::Component(ComponentError::UnknownName { kind, .. }) => Some(kind.to_string()),
        TrainError::Data(_) => Some("dataset".into()),
        TrainError::Model(_) => Some("model".into()),
        TrainError::Optim(_) => Some("optimizer".into()),
        TrainError::Schedule(_) => Some("schedule".into()),
        TrainError::Config { message, .. } => {
            // The parser names the field but not its place.
            let quoted = message.split('`').nth(1).unwrap_or_default();
            let mut paths = flatten(config).into_iter().map(|(path, _)| path);
            paths.find(|path| path.split('.').any(|part| part == quoted))
        }
        _ => None,
    };
    let message = match error {
        TrainError::Config { message, .. } => message.clone(),
        error => error.to_string(),
    };
    Problem { key, message }
}
