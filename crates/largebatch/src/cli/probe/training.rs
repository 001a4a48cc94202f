//! Probes that measure a network during its training, `train --probe NAME:every=N`, or a live one at
//! its end.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::Result;
use largebatch_models::Network;
use largebatch_plot::duration;
use largebatch_probe::{
    Asked, OptimizerState, Point, ProbeError, Registry, Steps, Target, rate_at,
};
use largebatch_train::{
    End, Experiment, Observer, SquaredNorms, Start, Step, Stop, TrainError, Wants,
};
use serde_json::Value;
use toml::Table;

use super::{proceed, save};
use crate::cli::{say, write_whole};

/// One probe of a training. It does not affect the training: the weights end up with the same bits.
///
/// During a training it writes a line of `RUN/probe/NAME.jsonl` for each measurement, and at the end
/// the charts `RUN/probe/*-course.svg`. A probe of the end writes what `largebatch probe` does.
pub(crate) struct Probing<'a> {
    asked: Asked,
    /// The number of steps between measurements; `None` to measure at the end.
    every: Option<u64>,
    experiment: &'a Experiment,
    /// The run's folder.
    run: PathBuf,
    /// The network before the measured step.
    before: Option<Network>,
    /// The squared norms of the steps since the last line, and the number of their examples.
    norms: Vec<SquaredNorms>,
    examples: usize,
    /// The error after which the probe stopped; it is reported once, and the training continues.
    failed: Option<String>,
    /// Whether the first measurement should announce what the others will cost.
    tells_cost: bool,
}

/// Parses `NAME:every=N` or `NAME:every=N,OPTION=VALUE`.
///
/// # Errors
/// An unknown name or option.
pub(crate) fn parse(text: &str, probes: &Registry) -> Result<(Asked, u64), TrainError> {
    let wrong = |why: String| TrainError::value("probe", text, why);
    let (name, words) = text.split_once(':').unwrap_or((text, ""));
    let entry = probes.named(name)?;
    let more = match entry.configure(Table::new())?.target() {
        Target::Network => format!(" or {name}:every=100,subset=500"),
        _ => String::new(),
    };
    let (mut every, mut options) = (None, Table::new());
    for word in words.split(',').filter(|word| !word.is_empty()) {
        let pair = word.split_once('=').filter(|(key, _)| *key != "seed");
        let Some((key, value)) = pair else {
            let why = format!("'{word}' is not an option; write {name}:every=100{more}");
            return Err(wrong(why));
        };
        let parsed = format!("v = {value}").parse::<Table>();
        let parsed = parsed.ok().and_then(|mut table| table.remove("v"));
        let value: toml::Value = parsed.unwrap_or_else(|| value.into());
        let key = key.replace('-', "_");
        if options.contains_key(&key) || key == "every" && every.is_some() {
            return Err(wrong(format!("'{word}' gives {key} a second time")));
        }
        if key != "every" {
            options.insert(key, value);
            continue;
        }
        every = value.as_integer().filter(|n| *n > 0).map(|n| n as u64);
        if every.is_none() {
            let why = format!("'{word}' needs a number above 0; write {name}:every=100{more}");
            return Err(wrong(why));
        }
    }
    let none = || format!("give the number of steps between measurements, as in {name}:every=100");
    let every = every.ok_or_else(|| wrong(none()))?;
    let also = |e| wrong(format!("{e}; write {name}:every=100{more}"));
    let asked = Asked::in_training(entry, options).map_err(also)?;
    let cannot = || wrong(format!("{name} cannot measure during a training"));
    Ok((asked.ok_or_else(cannot)?, every))
}

impl<'a> Probing<'a> {
    /// The probes of the command line, for a run in the folder `run`, which need not exist yet.
    ///
    /// # Errors
    /// An unknown name or option, or a run that the probe cannot measure.
    pub(crate) fn all(
        texts: &[String],
        probes: &Registry,
        experiment: &'a Experiment,
        run: &Path,
    ) -> Result<Vec<Self>> {
        let probing = |text: &String| {
            let (asked, every) = parse(text, probes)?;
            Ok(Probing::new(asked, Some(every), experiment, run)?)
        };
        texts.iter().map(probing).collect()
    }

    /// A probe of a training, every so many steps or at the end.
    ///
    /// # Errors
    /// A run that the probe cannot measure.
    pub(crate) fn new(
        mut asked: Asked,
        every: Option<u64>,
        experiment: &'a Experiment,
        run: &Path,
    ) -> Result<Self, ProbeError> {
        asked.probe.check(experiment)?;
        if every.is_some() {
            asked.sample.seed = experiment.config.seed;
        }
        Ok(Probing {
            asked,
            every,
            experiment,
            run: run.to_owned(),
            before: None,
            norms: Vec::new(),
            examples: 0,
            failed: None,
            tells_cost: false,
        })
    }

    /// After its first measurement, announces what the others will cost if that is more than ten
    /// seconds.
    pub(crate) fn tell_cost(&mut self) {
        self.tells_cost = true;
    }

    fn name(&self) -> &'static str {
        self.asked.probe.facts().name
    }

    fn folder(&self) -> PathBuf {
        self.run.join("probe")
    }

    fn lines(&self) -> PathBuf {
        self.folder().join(format!("{}.jsonl", self.name()))
    }

    fn is_of_steps(&self) -> bool {
        self.asked.probe.target() == Target::Steps
    }

    /// Whether this step is measured.
    fn is_due(&self, step: u64) -> bool {
        self.every.is_some_and(|every| step.is_multiple_of(every))
    }

    /// Whether the network after this step is needed for the measurement of the next one.
    fn is_before(&self, step: u64) -> bool {
        self.asked.probe.needs_before() && self.is_due(step + 1)
    }

    fn look(&mut self, step: u64, rate: f64, network: &Network, optimizer: OptimizerState<'_>) {
        let (before, norms) = (self.before.take(), std::mem::take(&mut self.norms));
        let examples = std::mem::take(&mut self.examples);
        if self.failed.is_some() || (self.is_of_steps() && norms.is_empty()) {
            return;
        }
        let (source, started) = (format!("step {step}"), Instant::now());
        let point = Point {
            experiment: self.experiment,
            network,
            source: Path::new(&source),
            folder: &self.run,
            rate,
            optimizer,
            sample: self.asked.sample,
            steps: Some(Steps {
                before: before.as_ref(),
                norms: &norms,
                examples,
            }),
        };
        // An interrupt that ends the training also ends the measurement, whose line then says so.
        let measured = self.asked.probe.measure(&[point], &mut proceed);
        let every = self.every.unwrap_or(1);
        let left = (self.experiment.total_steps / every).saturating_sub(step / every);
        let seconds = started.elapsed().as_secs_f64() * left as f64;
        if std::mem::take(&mut self.tells_cost) && seconds > 10.0 {
            say(&format!(
                "probe {}: {left} more measurements take about {}",
                self.name(),
                duration(seconds)
            ));
        }
        let written = measured.map_err(anyhow::Error::from).and_then(|measured| {
            let mut line = measured.record;
            line["step"] = step.into();
            line["lr"] = rate.into();
            self.append(&line)
        });
        if let Err(error) = written {
            self.fail(format!("{} at step {step}: {error}", self.name()));
        }
    }

    fn append(&self, line: &Value) -> Result<()> {
        let (folder, path) = (self.folder(), self.lines());
        fs::create_dir_all(&folder).map_err(TrainError::io(&folder, "create the folder"))?;
        let mut file = fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(&path)
            .map_err(TrainError::io(&path, "open"))?;
        Ok(writeln!(file, "{line}").map_err(TrainError::io(&path, "write"))?)
    }

    fn fail(&mut self, what: String) {
        say(&format!(
            "warning: probe {what}; this probe is off from now on"
        ));
        self.failed = Some(what);
    }

    /// The error of this probe, once the training has ended.
    pub(crate) fn failure(&mut self) -> Option<String> {
        self.failed.take()
    }

    /// The lines written so far.
    fn written(&self) -> Vec<Value> {
        let text = fs::read_to_string(self.lines()).unwrap_or_default();
        text.lines()
            .filter_map(|line| serde_json::from_str(line).ok())
            .collect()
    }

    /// Measures the trained network.
    fn measure_end(&self, end: &End<'_>) -> Result<()> {
        let point = Point {
            experiment: self.experiment,
            network: end.network,
            source: &self.run,
            folder: &self.run,
            rate: rate_at(self.experiment, Some(end.outcome.steps)),
            optimizer: OptimizerState::Live(end.driver),
            sample: self.asked.sample,
            steps: None,
        };
        let measured = self.asked.probe.measure(&[point], &mut proceed)?;
        save(&self.folder(), &self.asked, &measured).map(drop)
    }

    fn draw_course(&self) -> Result<(), TrainError> {
        let (probe, sample) = (&self.asked.probe, &self.asked.sample);
        for figure in probe.course(&self.written(), self.experiment, sample) {
            let path = self.folder().join(format!("{}.svg", figure.name));
            write_whole(&path, figure.svg().as_bytes())?;
        }
        Ok(())
    }
}

impl Observer for Probing<'_> {
    fn wants(&self, step: u64) -> Wants {
        let norms = self.is_of_steps();
        let network = self.is_due(step) || self.is_before(step);
        Wants {
            step: norms || network,
            norms,
            network,
            ..Wants::NOTHING
        }
    }

    fn on_start(&mut self, start: &Start<'_>) -> Result<(), TrainError> {
        if self.every.is_none() {
            return Ok(());
        }
        // A killed run measures again what it wrote after its last checkpoint, or everything if it
        // had no checkpoint.
        let kept: String = self
            .written()
            .iter()
            .filter(|line| start.step > 0 && line["step"].as_u64().is_some_and(|s| s <= start.step))
            .map(|line| format!("{line}\n"))
            .collect();
        if self.lines().exists()
            && let Err(error) = write_whole(&self.lines(), kept.as_bytes())
        {
            self.fail(format!("{}: {error}", self.name()));
        }
        if start.step == 0 {
            let rate = self.experiment.schedule.lr(0);
            self.look(0, rate, start.network, OptimizerState::Absent);
        }
        self.before = self.is_before(start.step).then(|| start.network.clone());
        Ok(())
    }

    fn on_step(&mut self, step: &Step<'_>) -> Result<(), TrainError> {
        if let Some(norms) = step.norms.filter(|_| self.is_of_steps()) {
            self.norms.push(norms.clone());
            self.examples += step.batch;
        }
        let (Some(network), Some(driver)) = (step.network, step.driver) else {
            return Ok(());
        };
        if self.is_due(step.step) {
            let optimizer = OptimizerState::Live(driver);
            self.look(step.step, step.lr, network, optimizer);
        }
        if self.is_before(step.step) {
            self.before = Some(network.clone());
        }
        Ok(())
    }

    fn on_end(&mut self, end: &End<'_>) -> Result<(), TrainError> {
        self.before = None;
        let done = match self.every {
            None if end.outcome.stop == Stop::Diverged => Ok(()),
            None => self.measure_end(end),
            Some(_) if !self.lines().exists() => Ok(()),
            Some(_) => self.draw_course().map_err(anyhow::Error::from),
        };
        if let Err(error) = done {
            self.fail(format!("{}: {error}", self.name()));
        }
        Ok(())
    }
}
