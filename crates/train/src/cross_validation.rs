//! Repeated k-fold cross-validation, for sets too small for a test part.

use std::sync::atomic::{AtomicBool, Ordering};

use largebatch_data::{Part, Search, folds};
use largebatch_optim::Registry;
use serde::Serialize;

use crate::{
    Controls, Experiment, Metrics, Outcome, RunConfig, Stop, TrainError, experiment, train,
};

/// What a cross-validation came to.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct CrossValidation {
    /// How often the whole was divided anew.
    pub repeats: u64,
    /// Into how many parts.
    pub folds: usize,
    /// The mean over all examples of each repeat, each predicted by the model that did not see it.
    pub per_repeat: Vec<Metrics>,
    /// Trainings that diverged; they count as fully wrong.
    pub diverged: u64,
    /// The mean accuracy over repeats; absent for real targets.
    pub accuracy: Option<f64>,
    /// The standard deviation of the accuracy over repeats (n − 1).
    pub accuracy_std: Option<f64>,
    /// The majority-class baseline: the mean accuracy of always saying the most frequent class of the other folds; absent for real targets.
    pub majority_accuracy: Option<f64>,
    /// The mean root of the mean squared error over repeats; absent for classes.
    pub rmse: Option<f64>,
}

/// Trains on all but one fold and evaluates on it, for each fold of each repeat, on ALL examples of the set (training and test part together). Repeat r divides
/// by seed `split_seed` + r and trains by seed `seed` + r. Nothing may be tuned by the result: every example is a test example once.
///
/// `each` is told after each training: how many are done, and of how many.
///
/// # Errors
/// Those of [`Experiment::open`] and [`train`]; a `validation` setting, since nothing is held out.
pub fn cross_validate(
    config: &RunConfig,
    (repeats, k): (u64, usize),
    registry: &Registry,
    search: &Search,
    interrupt: &AtomicBool,
    each: &mut dyn FnMut(u64, u64),
) -> Result<Option<CrossValidation>, TrainError> {
    if let Some(held) = config.data.validation.filter(|&held| held > 0) {
        return Err(TrainError::value(
            "data.validation",
            held,
            "a cross-validation holds out its folds; leave it out",
        ));
    }
    let mut dataset = experiment::open(&config.dataset, search)?;
    dataset.train = Part::concat(&dataset.train, &dataset.test)?;
    dataset.test = dataset.train.select(&[]);
    let (mut per_repeat, mut diverged, mut majority) = (Vec::new(), 0, 0.0);
    for repeat in 0..repeats {
        let mut config = config.clone();
        config.seed += repeat;
        config.data.validation = None;
        let mut parts = Vec::new();
        for split in folds(dataset.train.labels(), k, config.split_seed + repeat)? {
            let experiment = Experiment::with(config.clone(), dataset.clone(), split, registry)?;
            let (outcome, _) = train(
                &experiment,
                Controls {
                    interrupt,
                    ..Controls::default()
                },
            )?;
            if interrupt.load(Ordering::Relaxed) {
                return Ok(None);
            }
            majority += outcome.validation_majority_accuracy.unwrap_or(f64::NAN)
                * experiment.split.validation.len() as f64;
            diverged += u64::from(outcome.stop == Stop::Diverged);
            parts.push(held_out(&outcome, experiment.split.validation.len() as u64));
            each(
                repeat * k as u64 + parts.len() as u64,
                repeats.saturating_mul(k as u64),
            );
        }
        per_repeat.push(pooled(&parts));
    }
    let mean = |of: fn(&Metrics) -> Option<f64>| {
        let values: Option<Vec<f64>> = per_repeat.iter().map(of).collect();
        values.map(|v| {
            let mean = v.iter().sum::<f64>() / v.len() as f64;
            let squares: f64 = v.iter().map(|x| (x - mean) * (x - mean)).sum();
            (
                mean,
                (v.len() > 1).then(|| (squares / (v.len() - 1) as f64).sqrt()),
            )
        })
    };
    let (accuracy, rmse) = (mean(|m| m.accuracy), mean(|m| m.rmse));
    let accuracy_std = accuracy.and_then(|(_, std)| std);
    let (accuracy, rmse) = (accuracy.map(|(mean, _)| mean), rmse.map(|(mean, _)| mean));
    let majority_accuracy =
        Some(majority / (repeats as f64 * dataset.train.len() as f64)).filter(|m| m.is_finite());
    Ok(Some(CrossValidation {
        repeats,
        folds: k,
        per_repeat,
        diverged,
        accuracy,
        accuracy_std,
        majority_accuracy,
        rmse,
    }))
}

fn held_out(outcome: &Outcome, n: u64) -> Metrics {
    let wrong = Metrics {
        n,
        loss: f64::INFINITY,
        accuracy: Some(0.0),
        rmse: None,
        r2: None,
    };
    outcome.validation.unwrap_or(wrong)
}

/// The mean over all examples of several parts.
fn pooled(parts: &[Metrics]) -> Metrics {
    let n: u64 = parts.iter().map(|m| m.n).sum();
    let mean = |of: &dyn Fn(&Metrics) -> Option<f64>| -> Option<f64> {
        parts
            .iter()
            .map(|m| of(m).map(|x| x * m.n as f64))
            .sum::<Option<f64>>()
            .map(|sum| sum / n as f64)
    };
    Metrics {
        n,
        loss: mean(&|m| Some(m.loss)).unwrap_or(f64::INFINITY),
        accuracy: mean(&|m| m.accuracy),
        rmse: mean(&|m| m.rmse.map(|r| r * r)).map(f64::sqrt),
        r2: None,
    }
}
