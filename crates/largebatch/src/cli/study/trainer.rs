//! The training side of a study: checks a trial's configuration and runs it.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use largebatch_data::{Dataset, Labels, Search, split};
use largebatch_models::Loss;
use largebatch_optim::Registry;
use largebatch_study::{Event, Outcome, Problem, Runner, Stage, Started, Trial, key};
use largebatch_train::{Controls, Evaluation, Experiment, Metrics, Observer, RunConfig, Step, Stop, TrainError, Which, open, train};
use serde_json::json;
use toml::{Table, Value};

use super::keep::Keep;

/// Trains the trials of a study.
pub(super) struct Trainer<'a> {
    registry: &'a Registry,
    search: Search,
    /// The data set opened last, since the trials of a study mostly share one.
    opened: Mutex<Option<(toml::Value, Dataset)>>,
    /// Examples a second of configurations, but for rate, seed and length.
    speeds: Mutex<BTreeMap<String, Option<f64>>>,
    /// Where reported trials leave their runs, if they do.
    keep: Option<Keep>,
}

impl<'a> Trainer<'a> {
    pub(super) fn new(registry: &'a Registry, search: Search) -> Self {
        Trainer { registry, search, opened: Mutex::default(), speeds: Mutex::default(), keep: None }
    }

    pub(super) fn keeping(self, keep: Option<Keep>) -> Self {
        Trainer { keep, ..self }
    }

    /// What a plan must satisfy: every setting is one that training knows, and the data are there.
    pub(super) fn check(&self, config: &Table) -> Result<(), Problem> {
        let reserved = [
            ("stop.target", "write it in the study's `stop`, so that the trial's record says why it ended"),
            ("stop.patience", "a study has `stop.plateau`"),
            ("threads", "write it at the top of the study: it is the same for all trials"),
        ];
        for (key, why) in reserved {
            if largebatch_study::get(config, key).is_some() {
                return Err(Problem { key: Some(key.into()), message: format!("{key} is no setting of a trial: {why}") });
            }
        }
        self.open(config).map(|_| ()).map_err(|error| problem(&error, config))
    }

    fn dataset(&self, config: &RunConfig) -> Result<Dataset, TrainError> {
        let asked = Value::Table(config.dataset.table());
        let mut opened = self.opened.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, dataset)) = opened.as_ref().filter(|(last, _)| *last == asked) {
            return Ok(dataset.clone());
        }
        let dataset = open(&config.dataset, &self.search)?;
        *opened = Some((asked, dataset.clone()));
        Ok(dataset)
    }

    fn open(&self, config: &Table) -> Result<Experiment, TrainError> {
        let mut config = config.clone();
        // Equal steps at another batch size may be no whole number of epochs: these are steps then.
        let part = match config.get(key::EPOCHS) {
            Some(&Value::Float(epochs)) if epochs == epochs.trunc() => {
                config.insert(key::EPOCHS.into(), Value::Integer(epochs as i64));
                None
            }
            Some(&Value::Float(epochs)) => {
                config.remove(key::EPOCHS);
                Some(epochs)
            }
            _ => None,
        };
        let mut flat = Vec::new();
        flatten("", &config, &mut flat);
        let mut config = RunConfig::layered(None, &flat)?;
        let dataset = self.dataset(&config)?;
        let held = config.data.validation.unwrap_or_else(|| dataset.default_validation());
        let split = split(dataset.train.labels(), held, config.split_seed)?;
        if let (Some(epochs), Some(batch)) = (part, config.batch_size) {
            config.steps = Some(((epochs * split.train.len() as f64 / batch as f64).ceil() as u64).max(1));
        }
        Experiment::with(config, dataset, split, self.registry)
    }

    /// Seconds that a trial takes, from the speed of a few steps here; `None` if it cannot be run.
    pub(super) fn seconds(&self, config: &Table) -> Option<f64> {
        let experiment = self.open(config).ok()?;
        let (batch, steps) = (experiment.config.batch_size?, experiment.total_steps);
        // Above this an example takes about as long in any batch, and one step of a large batch would take longer than a plan should.
        let timed = batch.min(TIMED_BATCH);
        let mut few = config.clone();
        few.insert(key::BATCH.into(), Value::Integer(timed as i64));
        [key::RATE, key::SEED, key::EPOCHS, key::STEPS, "schedule"].into_iter().for_each(|key| drop(few.remove(key)));
        let mut speeds = self.speeds.lock().unwrap_or_else(PoisonError::into_inner);
        let speed = *speeds.entry(few.to_string()).or_insert_with(|| speed(&self.open(&few).ok()?, 2.max(512 / timed as u64)));
        Some((steps * batch as u64) as f64 / speed?)
    }
}

/// Training examples whose loss each evaluation of a reported trial takes, at most.
const FITTED: usize = 10_000;

/// Examples a step at which speed is measured.
const TIMED_BATCH: usize = 256;

/// Examples a second over some steps after the first, by the time that the threads compute: a machine that is busy now need not be so later.
fn speed(experiment: &Experiment, steps: u64) -> Option<f64> {
    struct Few<'a> {
        steps: u64,
        enough: &'a AtomicBool,
        begun: Option<(f64, u64)>,
        speed: Option<f64>,
    }
    impl Observer for Few<'_> {
        fn on_step(&mut self, step: &Step<'_>) {
            let now = computed();
            let (begun, seen) = *self.begun.get_or_insert((now, step.examples));
            if step.step > self.steps {
                self.speed = Some((step.examples - seen) as f64 / (now - begun)).filter(|speed| speed.is_finite() && *speed > 0.0);
                self.enough.store(true, Ordering::Relaxed);
            }
        }
    }
    let enough = AtomicBool::new(false);
    let mut few = Few { steps, enough: &enough, begun: None, speed: None };
    let controls = Controls { observers: vec![&mut few], interrupt: &enough, test: false, ..Controls::default() };
    train(experiment, controls).ok()?;
    Some(few.speed? * largebatch_train::threads() as f64)
}

/// Seconds that this process has computed, its threads together; where nobody counts them, seconds on the clock for each thread.
fn computed() -> f64 {
    #[cfg(unix)]
    {
        let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
        // SAFETY: the call writes one timespec.
        if unsafe { libc::clock_gettime(libc::CLOCK_PROCESS_CPUTIME_ID, &raw mut time) } == 0 {
            return time.tv_sec as f64 + 1e-9 * time.tv_nsec as f64;
        }
    }
    static START: std::sync::LazyLock<std::time::Instant> = std::sync::LazyLock::new(std::time::Instant::now);
    START.elapsed().as_secs_f64() * largebatch_train::threads() as f64
}

/// A nested table as dotted keys.
fn flatten(prefix: &str, table: &Table, out: &mut Vec<(String, Value)>) {
    for (key, value) in table {
        let path = if prefix.is_empty() { key.clone() } else { format!("{prefix}.{key}") };
        match value {
            Value::Table(table) => flatten(&path, table, out),
            value => out.push((path, value.clone())),
        }
    }
}

/// The key of a configuration that an error is about, and what it says.
fn problem(error: &TrainError, config: &Table) -> Problem {
    let key = match error {
        TrainError::Value { key, .. } => Some(key.clone()),
        TrainError::Unknown { kind, .. } => Some((*kind).to_owned()),
        TrainError::Data(_) => Some("dataset".into()),
        TrainError::Model(_) => Some("model".into()),
        TrainError::Optim(_) => Some("optimizer".into()),
        TrainError::Schedule(_) => Some("schedule".into()),
        TrainError::Config { message, .. } => {
            // The parser names the field and not its place.
            let quoted = message.split('`').nth(1).unwrap_or_default();
            let mut flat = Vec::new();
            flatten("", config, &mut flat);
            flat.into_iter().map(|(path, _)| path).find(|path| path.split('.').any(|part| part == quoted))
        }
        _ => None,
    };
    let message = match error {
        TrainError::Config { message, .. } => message.clone(),
        error => error.to_string(),
    };
    Problem { key, message }
}

/// The key of a record's provenance for instruments that failed.
pub(super) const UNSEEN: &str = "failed_probes";

/// Passes evaluations on, and the study's word to stop back.
struct Relay<'e> {
    emit: &'e mut dyn FnMut(Event) -> ControlFlow<()>,
    stopped: bool,
    examples: u64,
    /// Step, examples so far and loss of the steps since the last evaluation.
    since: Vec<(u64, u64, f64)>,
}

/// The most points that a trial leaves of the steps between its last evaluation and its divergence.
const LAST_POINTS: usize = 20;

impl Relay<'_> {
    /// Tells how a trial that diverged came there, which no evaluation saw: means over equal stretches of steps.
    fn diverged(&mut self) {
        for steps in self.since.chunks(self.since.len().div_ceil(LAST_POINTS).max(1)) {
            let (step, examples, _) = steps[steps.len() - 1];
            let train_loss = steps.iter().map(|s| s.2).sum::<f64>() / steps.len() as f64;
            let _ = (self.emit)(Event::Point { step, examples, train_loss, validation: None, fitted_loss: None });
        }
    }
}

impl Observer for Relay<'_> {
    fn on_step(&mut self, step: &Step<'_>) {
        self.examples = step.examples;
        self.since.extend(step.loss.map(|loss| (step.step, step.examples, loss)));
    }

    fn on_evaluation(&mut self, e: &Evaluation) {
        self.since.clear();
        let validation = e.validation.map(|metrics| headline(&metrics).1);
        let fitted_loss = e.fitted.map(|metrics| metrics.loss);
        let point = Event::Point { step: e.step, examples: e.examples, train_loss: e.recent_loss, validation, fitted_loss };
        self.stopped |= (self.emit)(point).is_break();
    }

    fn stop(&self) -> bool {
        self.stopped
    }
}

/// The figure that a part is judged by: accuracy, or for real targets the root of the mean squared error.
fn headline(metrics: &Metrics) -> (&'static str, f64) {
    match (metrics.accuracy, metrics.rmse) {
        (Some(accuracy), _) => ("accuracy", accuracy),
        (None, Some(rmse)) => ("rmse", rmse),
        _ => ("loss", metrics.loss),
    }
}

impl Runner for Trainer<'_> {
    fn run(&self, trial: &Trial, emit: &mut dyn FnMut(Event) -> ControlFlow<()>) -> Result<Outcome, String> {
        largebatch_train::set_threads(trial.threads as usize);
        let experiment = self.open(&trial.config).map_err(|e| e.to_string())?;
        let classes = matches!(experiment.dataset.train.labels(), Labels::Classes(_));
        let metric = match (experiment.split.validation.is_empty(), classes) {
            // Nothing is held out: the training loss is all that may be looked at.
            (true, _) => "train_loss",
            (false, true) => "validation_accuracy",
            (false, false) => "validation_rmse",
        };
        let _ = emit(Event::Started(Started {
            train_examples: experiment.split.train.len() as u64,
            budget_steps: experiment.total_steps,
            metric: metric.into(),
            higher_is_better: metric == "validation_accuracy",
            constant_loss: constant_loss(&experiment),
        }));
        let kept = self.keep.as_ref().map(|keep| keep.begin(trial, &experiment)).transpose().map_err(|e| e.to_string())?.flatten();
        let mut probes = match (&self.keep, &kept) {
            (Some(keep), Some(folder)) => keep.on_the_way(&experiment, folder).map_err(|e| e.to_string())?,
            _ => Vec::new(),
        };
        let mut relay = Relay { emit, stopped: false, examples: 0, since: Vec::new() };
        let mut observers: Vec<&mut dyn Observer> = vec![&mut relay];
        observers.extend(probes.iter_mut().map(|probe| probe as &mut dyn Observer));
        // Groups are compared at equal training loss where they are reported, by their validation.
        let reported = trial.stage == Stage::Confirm;
        let fitted = if reported && !experiment.split.validation.is_empty() { FITTED } else { 0 };
        let controls = Controls { observers, folder: kept.as_ref(), test: reported, fitted, ..Controls::default() };
        let (end, network) = train(&experiment, controls).map_err(|e| e.to_string())?;
        let diverged = end.stop == Stop::Diverged;
        if diverged {
            relay.diverged();
        }
        let unseen = match (&self.keep, &kept) {
            (Some(keep), Some(folder)) if !diverged => keep.at_the_end(folder, self.registry),
            _ => Vec::new(),
        };
        let mut metrics = BTreeMap::new();
        // The trained weights on the data that they saw, which the running means of an epoch are not.
        let seen = if diverged { None } else { experiment.evaluate(&network, Which::Train).map_err(|e| e.to_string())? };
        for (part, means) in [("train", seen), ("validation", end.validation), ("test", end.test)] {
            let Some(means) = means else { continue };
            let (name, value) = headline(&means);
            metrics.insert(format!("{part}_{name}"), value);
            metrics.insert(format!("{part}_loss"), means.loss);
            if part == "test" {
                metrics.insert("test_examples".into(), means.n as f64);
            }
        }
        let mut provenance = self.provenance(&experiment, end.examples_per_second);
        if !unseen.is_empty() {
            provenance.insert(UNSEEN.into(), json!(unseen));
        }
        Ok(Outcome { diverged, metrics, steps: end.steps, examples: relay.examples, provenance })
    }
}

impl Trainer<'_> {
    fn provenance(&self, experiment: &Experiment, examples_per_second: f64) -> BTreeMap<String, serde_json::Value> {
        let line = |file: &str, key: &str| {
            let text = std::fs::read_to_string(file).ok()?;
            text.lines().find_map(|l| Some(l.strip_prefix(key)?.trim_start_matches([' ', '\t', ':']).trim().to_owned()))
        };
        // Without their folder, so that a published record tells nobody how a home looks.
        let file = |path: &str| path.rsplit(['/', '\\']).next().unwrap_or(path).to_owned();
        let sources: Vec<_> =
            experiment.dataset.sources.iter().map(|s| json!({ "file": file(&s.file), "sha256": s.sha256, "known": s.known })).collect();
        // A CPU backend has one device, which `cpu` names; a GPU's adapter has a name of its own.
        let device = match experiment.config.device.as_str() {
            cpu @ ("flex" | "ndarray") => cpu.to_owned(),
            gpu => format!("{gpu}, {:?}", experiment.device.clone().inner()),
        };
        [
            ("version", Some(json!(env!("CARGO_PKG_VERSION")))),
            ("device", Some(json!(device))),
            ("platform", Some(json!(format!("{}-{}", std::env::consts::OS, std::env::consts::ARCH)))),
            ("cpu", largebatch_train::processor().map(|cpu| json!(cpu))),
            ("host", line("/proc/sys/kernel/hostname", "").map(|host| json!(host))),
            ("peak_memory", line("/proc/self/status", "VmHWM").map(|memory| json!(memory))),
            ("examples_per_second", Some(json!(examples_per_second.round()))),
            ("sources", Some(json!(sources))),
        ]
        .into_iter()
        .filter_map(|(key, value)| Some((key.to_owned(), value?)))
        .collect()
    }
}

/// The training loss of the best constant predictor: what a model that learned nothing has.
fn constant_loss(experiment: &Experiment) -> Option<f64> {
    let (part, indices) = experiment.indices(Which::Train);
    let n = indices.len() as f64;
    match (part.labels(), experiment.loss) {
        (Labels::Classes(labels), Loss::CrossEntropy | Loss::Logistic) => {
            let mut counts = BTreeMap::<u32, f64>::new();
            indices.iter().for_each(|&i| *counts.entry(labels[i as usize]).or_default() += 1.0);
            let classes = match experiment.dataset.task {
                largebatch_data::Task::Classes(classes) => classes as u32,
                largebatch_data::Task::Real => return None,
            };
            // The smoothed targets' own distribution is the best constant prediction, and its entropy the loss.
            let smoothing = experiment.config.label_smoothing;
            let share = |class: u32| (1.0 - smoothing) * counts.get(&class).unwrap_or(&0.0) / n + smoothing / f64::from(classes);
            Some(-(0..classes).map(share).filter(|p| *p > 0.0).map(|p| p * p.ln()).sum::<f64>())
        }
        (Labels::Targets(targets), Loss::Squared) => {
            let values = || indices.iter().map(|&i| f64::from(targets[i as usize]));
            let mean = values().sum::<f64>() / n;
            Some(values().map(|y| (y - mean).powi(2)).sum::<f64>() / n)
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trainer(registry: &Registry) -> Trainer<'_> {
        Trainer::new(registry, Search::default())
    }

    #[test]
    fn errors_name_the_key() {
        let registry = Registry::standard();
        let trainer = trainer(&registry);
        for (text, key, part) in [
            ("batch_size = 0", "batch_size", "at least 1"),
            ("batchsize = 1", "batchsize", "did you mean 'batch_size'"),
            ("data.validatio = 1", "data.validatio", "did you mean 'validation'"),
            ("optimizer = 'lasr'", "optimizer", "lars"),
            ("model = 'mpl'", "model", "mlp"),
            ("optimizer = { name = 'sgd', nesterov = true }", "optimizer", "nesterov"),
            ("stop.target = 0.9", "stop.target", "study's `stop`"),
            ("threads = 2", "threads", "top of the study"),
        ] {
            let base: Table = "dataset = 'digits'\nmodel = 'softmax'".parse().unwrap();
            let mut config = base.clone();
            config.extend(text.parse::<Table>().unwrap());
            let problem = trainer.check(&config).unwrap_err();
            assert!(problem.key.as_deref() == Some(key) && problem.message.contains(part), "{text}: {problem:?}");
            trainer.check(&base).unwrap();
        }
    }

    /// ln 10 = 2.302585 for ten equally frequent classes; the digits are nearly that.
    #[test]
    fn a_constant_predictor_of_ten_classes_loses_ln_10() {
        let registry = Registry::standard();
        let experiment = trainer(&registry).open(&"dataset = 'digits'\nmodel = 'softmax'".parse().unwrap()).unwrap();
        let loss = constant_loss(&experiment).unwrap();
        assert!(loss < 10f64.ln() && loss > 2.3024, "{loss}");
    }

    #[test]
    fn fractions_of_epochs_are_steps() {
        let registry = Registry::standard();
        let config = "dataset = 'digits'\nmodel = 'softmax'\nbatch_size = 64\nepochs = 2.5\ndata.validation = 0".parse().unwrap();
        let experiment = trainer(&registry).open(&config).unwrap();
        assert_eq!(experiment.total_steps, (2.5 * experiment.split.train.len() as f64 / 64.0).ceil() as u64);
    }
}
