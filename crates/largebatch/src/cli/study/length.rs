//! The length of a trial, which a study may give by budgets and fractions of epochs.

use largebatch_schedule::Epochs;
use largebatch_study::{key, number};
use largebatch_train::{RunConfig, TrainError, batch_schedule};
use toml::{Table, Value};

/// A length that becomes a number of steps only with the data.
pub(super) enum Length {
    /// A number of epochs, counted in steps of this batch size if it differs from the trial's.
    Epochs(f64, Option<usize>),
    /// The least number of steps that train on this many examples.
    Examples(u64),
}

impl Length {
    /// Takes the length out of a trial's configuration.
    pub fn take(config: &mut Table) -> Option<Length> {
        let budget = config.remove(key::BUDGET);
        let setting = |key: &str| budget.as_ref().and_then(|b| b.get(key.rsplit('.').next()?));
        let whole = |value: &Value| value.as_integer().and_then(|n| u64::try_from(n).ok());
        if let Some(examples) = setting(key::EXAMPLES).and_then(whole) {
            return Some(Length::Examples(examples));
        }
        if let Some(epochs) = setting(key::EQUAL_EPOCHS).and_then(number) {
            return Some(Length::Epochs(
                epochs,
                setting(key::AT_BATCH).and_then(whole).map(|n| n as usize),
            ));
        }
        match config.get(key::EPOCHS) {
            Some(&Value::Float(epochs))
                if epochs == epochs.trunc() && epochs < Epochs::MOST_STEPS as f64 =>
            {
                config.insert(key::EPOCHS.into(), Value::Integer(epochs as i64));
                None
            }
            Some(&Value::Float(epochs)) => {
                config.remove(key::EPOCHS);
                Some(Length::Epochs(epochs, None))
            }
            _ => None,
        }
    }

    /// The number of steps, for a training on `examples` examples.
    pub fn steps(&self, config: &RunConfig, examples: usize) -> Result<u64, TrainError> {
        let wrong = |key: &str, length: f64, why: String| Err(TrainError::value(key, length, why));
        let last = config.data.last_batch();
        let batch = config.clone().resolve(examples)?.batch_size.unwrap_or(1);
        let (key, length, steps) = match *self {
            Length::Epochs(epochs, Some(at)) if at > examples => {
                return wrong(
                    "epochs",
                    epochs,
                    format!("its at_batch, {at}, is larger than the {examples} training examples"),
                );
            }
            Length::Epochs(epochs, at) => {
                let schedule = batch_schedule(config, at.unwrap_or(batch), examples)?;
                ("epochs", epochs, schedule.epochs(last).step(epochs).ceil())
            }
            Length::Examples(n) => (
                key::EXAMPLES,
                n as f64,
                batch_schedule(config, batch, examples)?.steps_for(n, last) as f64,
            ),
        };
        if steps > Epochs::MOST_STEPS as f64 {
            return wrong(
                key,
                length,
                format!("a training has at most {} steps", Epochs::MOST_STEPS),
            );
        }
        Ok((steps as u64).max(1))
    }
}
