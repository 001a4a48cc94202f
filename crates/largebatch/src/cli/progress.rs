//! A progress bar on a terminal, plain lines elsewhere.

use std::io::IsTerminal;
use std::time::{Duration, Instant};

use indicatif::{HumanBytes, ProgressBar, ProgressDrawTarget, ProgressStyle};
use largebatch_train::{End, Evaluation, Observer, Snapshot, Start, Step, TrainError, Wants};

use super::{Global, counted, say};

/// Shows a training's progress on standard error.
pub(super) struct TrainingBar {
    bar: ProgressBar,
    lines: bool,
    started: Instant,
    drawn: Instant,
    first_examples: Option<u64>,
    epochs: Option<u64>,
    loss: Option<f64>,
    shards: bool,
}

/// A bar of `length`, hidden if standard error is not a terminal or `show` is false.
pub(super) fn bar(show: bool, length: u64, unit: &str) -> ProgressBar {
    let target = if show && std::io::stderr().is_terminal() {
        ProgressDrawTarget::stderr()
    } else {
        ProgressDrawTarget::hidden()
    };
    let bar = ProgressBar::with_draw_target(Some(length), target);
    let template = format!("{{bar:30}} {{pos}}/{{len}} {unit} · {{elapsed}} · ETA {{eta}} {{msg}}");
    bar.set_style(
        ProgressStyle::with_template(&template).unwrap_or_else(|_| ProgressStyle::default_bar()),
    );
    bar.enable_steady_tick(Duration::from_millis(200));
    bar
}

impl TrainingBar {
    pub(super) fn new(global: &Global) -> Self {
        TrainingBar {
            bar: ProgressBar::hidden(),
            lines: global.verbose || !std::io::stderr().is_terminal(),
            started: Instant::now(),
            drawn: Instant::now(),
            first_examples: None,
            epochs: None,
            loss: None,
            shards: false,
        }
    }

    fn line(&self, text: &str) {
        if self.lines {
            say(text)
        } else {
            self.bar.println(text)
        }
    }
}

impl Observer for TrainingBar {
    fn wants(&self, _step: u64) -> Wants {
        match self.bar.is_hidden() {
            true => Wants::NOTHING,
            false => Wants::STEP,
        }
    }

    fn on_start(&mut self, start: &Start<'_>) -> Result<(), TrainError> {
        let config = &start.experiment.config;
        self.epochs = config.epochs;
        self.shards = config.shard_optimizer;
        self.started = Instant::now();
        self.bar = bar(true, start.experiment.total_steps, "steps");
        self.bar.set_position(start.step);
        let resumed = if start.step > 0 {
            format!(", resuming at step {}", start.step)
        } else {
            String::new()
        };
        let experiment = start.experiment;
        let (first, batches) = (config.batch_size.unwrap_or_default(), &experiment.batches);
        let last = experiment.total_steps.saturating_sub(1);
        let last = batches.at_step(last, config.data.last_batch());
        let seen = last.epoch * experiment.holdout.train.len() + last.start;
        let grows = match batches.size(seen as u64) {
            size if size > first => format!(" to {size}"),
            _ => String::new(),
        };
        let engine = match start.graph {
            Some(why) => format!("on a graph ({why})"),
            None => "without a graph".into(),
        };
        let text = format!(
            "{} on {}: {} parameters, {} training examples, {} of {first}{grows} {engine}{resumed}",
            config.model.name,
            config.dataset.name,
            start.parameters,
            start.experiment.holdout.train.len(),
            counted(start.experiment.total_steps, "step"),
        );
        let dataset = &start.experiment.dataset;
        let read = dataset.summary(&start.experiment.holdout);
        let warnings = dataset.warnings.iter();
        let warnings = warnings.map(|warning| format!("warning: {warning}"));
        for text in [read].into_iter().chain(warnings).chain([text]) {
            self.line(&text);
        }
        Ok(())
    }

    fn on_step(&mut self, step: &Step<'_>) -> Result<(), TrainError> {
        let before = *self
            .first_examples
            .get_or_insert(step.examples - step.batch as u64);
        if let Some(loss) = step.loss {
            self.loss = Some(self.loss.map_or(loss, |old| 0.9 * old + 0.1 * loss));
        }
        // Drawing takes longer than a step of a small model.
        if self.drawn.elapsed() < Duration::from_millis(50) {
            return Ok(());
        }
        self.drawn = Instant::now();
        self.bar.set_position(step.step);
        let rate = (step.examples - before) as f64 / self.started.elapsed().as_secs_f64();
        let of = self.epochs.map_or(String::new(), |n| format!("/{n}"));
        let loss = self
            .loss
            .map_or(String::new(), |loss| format!(" · loss {loss:.4}"));
        self.bar.set_message(format!(
            "· epoch {}{of}{loss} · lr {:.3e} · {rate:.0} examples/s",
            step.epoch + 1,
            step.lr
        ));
        Ok(())
    }

    fn on_evaluation(&mut self, e: &Evaluation) -> Result<(), TrainError> {
        let train = e
            .train_accuracy
            .map_or(String::new(), |a| format!(" ({:.2} %)", 100.0 * a));
        let validation = e.validation.map_or(String::new(), |m| {
            format!(" · validation {} (loss {:.4})", m.headline(), m.loss)
        });
        let text = format!(
            "epoch {:>3} · step {:>6} · train loss {:.4}{train}{validation}",
            e.epoch, e.step, e.train_loss
        );
        self.line(&text);
        Ok(())
    }

    fn on_checkpoint(&mut self, at: &Snapshot<'_>) -> Result<(), TrainError> {
        if self.lines {
            say(&format!("checkpoint at step {}", at.counters.step));
        }
        Ok(())
    }

    fn on_end(&mut self, end: &End<'_>) -> Result<(), TrainError> {
        self.bar.finish_and_clear();
        let states = &end.state_bytes;
        let most = states.iter().max().copied().unwrap_or(0);
        if self.shards && states.len() > 1 && most > 0 {
            say(&format!(
                "optimizer state: {}, of which a process keeps at most {}",
                HumanBytes(states.iter().sum()),
                HumanBytes(most)
            ));
        }
        Ok(())
    }
}
