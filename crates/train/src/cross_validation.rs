//! Repeated k-fold cross-validation, for data sets too small for a test part.

use std::sync::atomic::{AtomicBool, Ordering};

use crate::Lab;
use largebatch_data::{Part, Search, folds};
use serde::Serialize;

use crate::{
    Controls, Experiment, Metrics, Outcome, RunConfig, Stop, TrainError, experiment, train,
};

/// The result of a cross-validation.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct CrossValidation {
    /// How many times the data set was divided into folds.
    pub repeats: u64,
    /// The number of folds.
    pub folds: usize,
    /// For each repeat, the means over all examples, each predicted by the model that did not train
    /// on it.
    pub per_repeat: Vec<Metrics>,
    /// Trainings that diverged; all of their predictions count as wrong.
    pub diverged: u64,
    /// The mean accuracy over the repeats; absent for real targets.
    pub accuracy: Option<f64>,
    /// The standard deviation of the accuracy over the repeats (n − 1).
    pub accuracy_std: Option<f64>,
    /// The majority-class baseline: the mean accuracy of always predicting the other folds' most
    /// frequent class; absent for real targets.
    pub majority_accuracy: Option<f64>,
    /// The mean RMSE over the repeats; absent for classes.
    pub rmse: Option<f64>,
}

/// For each fold of each repeat, trains on the other folds and evaluates on this one, over ALL
/// examples of the set (training and test part together). Repeat r divides with the seed
/// `split_seed` + r and trains with the seed `seed` + r. Do not tune on the result: every example
/// serves as a test example once.
///
/// `each` is called after each training with the number done and the total.
///
/// # Errors
/// Those of [`Experiment::open`] and [`train`], and a `validation` setting, since nothing is held
/// out.
pub fn cross_validate(
    config: &RunConfig,
    (repeats, k): (u64, usize),
    lab: &Lab,
    search: &Search,
    interrupt: &AtomicBool,
    each: &mut dyn FnMut(u64, u64),
) -> Result<Option<CrossValidation>, TrainError> {
    if let Some(held) = config.data.validation.filter(|&held| held > 0) {
        return Err(TrainError::value(
            "data.validation",
            held,
            "a cross-validation holds out its own folds; leave this setting out",
        ));
    }
    let mut dataset = experiment::open(lab, &config.dataset, search)?;
    dataset.train = Part::concat(&dataset.train, &dataset.test)?;
    dataset.test = dataset.train.select(&[]);
    let (mut per_repeat, mut diverged, mut majority) = (Vec::new(), 0, 0.0);
    for repeat in 0..repeats {
        let mut config = config.clone();
        config.seed += repeat;
        config.data.validation = None;
        let mut parts = Vec::new();
        for split in folds(dataset.train.labels(), k, config.split_seed + repeat)? {
            let experiment = Experiment::with(config.clone(), dataset.clone(), split, lab)?;
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
                * experiment.holdout.validation.len() as f64;
            diverged += u64::from(outcome.stop == Stop::Diverged);
            parts.push(held_out(
                &outcome,
                experiment.holdout.validation.len() as u64,
            ));
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

/// The means over all examples of several parts.
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
