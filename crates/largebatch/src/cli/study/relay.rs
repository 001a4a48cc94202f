//! What a study sees of a training.

use std::ops::ControlFlow;

use largebatch_study::Event;
use largebatch_train::{Evaluation, Metrics, Observer, Step, TrainError};

/// Passes evaluations on to the study, and the study's decision to stop back to the training.
pub(super) struct Relay<'e> {
    emit: &'e mut dyn FnMut(Event) -> ControlFlow<()>,
    stopped: bool,
    pub examples: u64,
    /// Step, examples so far and loss of each step since the last evaluation.
    since: Vec<(u64, u64, f64)>,
}

/// The most points recorded between a trial's last evaluation and its divergence.
const LAST_POINTS: usize = 20;

impl<'e> Relay<'e> {
    pub fn new(emit: &'e mut dyn FnMut(Event) -> ControlFlow<()>) -> Self {
        Relay {
            emit,
            stopped: false,
            examples: 0,
            since: Vec::new(),
        }
    }

    /// Reports the losses between the last evaluation and the divergence, as means over equal
    /// numbers of steps.
    pub fn diverged(&mut self) {
        for steps in self
            .since
            .chunks(self.since.len().div_ceil(LAST_POINTS).max(1))
        {
            let (step, examples, _) = steps[steps.len() - 1];
            let train_loss = steps.iter().map(|s| s.2).sum::<f64>() / steps.len() as f64;
            let _ = (self.emit)(Event::Point {
                step,
                examples,
                train_loss,
                validation: None,
                fitted_loss: None,
            });
        }
    }
}

impl Observer for Relay<'_> {
    fn on_step(&mut self, step: &Step<'_>) -> Result<(), TrainError> {
        self.examples = step.examples;
        self.since
            .extend(step.loss.map(|loss| (step.step, step.examples, loss)));
        Ok(())
    }

    fn on_evaluation(&mut self, e: &Evaluation) -> Result<(), TrainError> {
        self.since.clear();
        let validation = e.validation.map(|metrics| headline(&metrics).1);
        let fitted_loss = e.fitted.map(|metrics| metrics.loss);
        let point = Event::Point {
            step: e.step,
            examples: e.examples,
            train_loss: e.recent_loss,
            validation,
            fitted_loss,
        };
        self.stopped |= (self.emit)(point).is_break();
        Ok(())
    }

    fn stop(&self) -> bool {
        self.stopped
    }
}

/// The metric that a part is judged by: accuracy, or RMSE for real targets.
pub(super) fn headline(metrics: &Metrics) -> (&'static str, f64) {
    match (metrics.accuracy, metrics.rmse) {
        (Some(accuracy), _) => ("accuracy", accuracy),
        (None, Some(rmse)) => ("rmse", rmse),
        _ => ("loss", metrics.loss),
    }
}
