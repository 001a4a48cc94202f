//! `train --probe NAME:every=N`: probes that measure a network during its training.

mod charts;

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::time::Instant;

use anyhow::Result;
use largebatch_models::Network;
use largebatch_optim::Driver;
use largebatch_probe::curvature::{AtPoint, CurvatureOptions, curvature};
use largebatch_probe::layers::{Update, layer_table};
use largebatch_probe::noise::{NoiseOptions, Pairs, noise};
use largebatch_probe::{Objective, ProbeError, Record, SCHEMA, Subject, Subset};
use largebatch_train::{
    End, Experiment, Observer, Split, Start, Step, TrainError, Wants, write_whole,
};
use serde_json::Value;

use super::{INTERRUPT, duration, say};

/// The probes available during training.
const NAMES: [&str; 4] = ["layers", "noise", "noise-pairs", "curvature"];

/// One probe during a training. It writes a line of `RUN/probe/NAME.jsonl` for each
/// measurement, and at the end the charts `RUN/probe/NAME-course.svg` and, for layers with trust
/// ratios, `RUN/probe/layers-trust-course.svg`. It does not affect the training: the weights end up
/// with the same bits.
pub(crate) struct Probing<'a> {
    name: &'static str,
    every: u64,
    subset: usize,
    experiment: &'a Experiment,
    folder: PathBuf,
    /// The network before the measured step, for ‖Δw‖.
    before: Option<Network>,
    /// The squared norms of the steps since the last line.
    pairs: Pairs,
    /// The number of examples in these steps.
    examples: usize,
    /// The error after which the probe stopped; it is reported once, and the training
    /// continues.
    failed: Option<String>,
    /// Whether the first measurement should announce what the others will cost.
    tells_cost: bool,
}

/// A training between two steps.
struct At<'a> {
    step: u64,
    lr: f64,
    network: &'a Network,
    /// Absent before the first step.
    driver: Option<&'a Driver>,
}

/// Reads `NAME:every=N` or `NAME:every=N,subset=M`.
fn parse(text: &str) -> Result<(&'static str, u64, usize), TrainError> {
    let wrong = |why: String| TrainError::Value {
        key: "probe".into(),
        value: text.into(),
        why,
    };
    let (name, options) = text.split_once(':').unwrap_or((text, ""));
    let Some(name) = NAMES.into_iter().find(|n| *n == name) else {
        return Err(TrainError::unknown("probe", name, NAMES.into_iter()));
    };
    let (mut every, mut subset) = (None, None);
    let more = if name == "noise-pairs" {
        String::new()
    } else {
        format!(" or {name}:every=100,subset=500")
    };
    for option in options.split(',').filter(|o| !o.is_empty()) {
        let number = |text: &str| text.parse::<u64>().ok().filter(|&n| n > 0);
        match option
            .split_once('=')
            .map(|(key, value)| (key, number(value)))
        {
            Some(("every", Some(n))) => every = Some(n),
            Some(("subset", Some(n))) => subset = Some(n as usize),
            Some(("every" | "subset", None)) => {
                return Err(wrong(format!(
                    "'{option}' needs a number above 0; write {name}:every=100{more}"
                )));
            }
            _ => {
                return Err(wrong(format!(
                    "'{option}' is not an option; write {name}:every=100{more}"
                )));
            }
        }
    }
    if name == "noise-pairs" && subset.is_some() {
        return Err(wrong(
            "it uses the examples of the training steps, not a subset; write noise-pairs:every=100"
                .into(),
        ));
    }
    let every = every.ok_or_else(|| {
        wrong(format!(
            "give the number of steps between measurements, as in {name}:every=100"
        ))
    })?;
    Ok((name, every, subset.unwrap_or(500)))
}

impl<'a> Probing<'a> {
    /// Parses a probe before there is a run, so that a typing error is reported before any
    /// work starts.
    ///
    /// # Errors
    /// An unknown name or option.
    pub(crate) fn check(text: &str) -> Result<(), TrainError> {
        parse(text).map(|_| ())
    }

    /// The probes of the command line, for a run in `folder`, which need not exist yet.
    ///
    /// # Errors
    /// An unknown name or option, curvature on a device without double precision, or pairs in a run
    /// whose batch is in one piece.
    pub(crate) fn all(
        texts: &[String],
        experiment: &'a Experiment,
        folder: &Path,
    ) -> Result<Vec<Self>> {
        let mut all = Vec::new();
        for text in texts {
            let (name, every, subset) = parse(text)?;
            let folder = folder.join("probe");
            let probing = Probing {
                name,
                every,
                subset,
                experiment,
                folder,
                before: None,
                pairs: Pairs::default(),
                examples: 0,
                failed: None,
                tells_cost: false,
            };
            let config = &experiment.config;
            match name {
                "curvature" => probing
                    .subject(&experiment.initial_model()?.network)?
                    .need_double()?,
                "noise-pairs" if config.accumulate * config.workers == 1 => {
                    let why = "it compares the gradients of a batch and of its micro-batches, and this run does not cut its batch: add \
                               --set accumulate=4, or use the probe noise, which needs no micro-batches";
                    return Err(TrainError::Value {
                        key: "probe".into(),
                        value: text.clone(),
                        why: why.into(),
                    }
                    .into());
                }
                _ => {}
            }
            all.push(probing);
        }
        Ok(all)
    }

    /// After its first measurement, announces what the others will cost if that is more than ten
    /// seconds.
    pub(crate) fn tell_cost(&mut self) {
        self.tells_cost = true;
    }

    fn subject(&self, network: &Network) -> Result<Subject<'a>, ProbeError> {
        Subject::new(
            self.experiment,
            network,
            Split::Train,
            Subset {
                size: Some(self.subset),
                seed: self.experiment.config.seed,
            },
        )
    }

    fn lines(&self) -> PathBuf {
        self.folder.join(format!("{}.jsonl", self.name))
    }

    fn look(&mut self, at: &At<'_>) {
        let before = self.before.take();
        if self.failed.is_some() {
            return;
        }
        let started = Instant::now();
        let measured = self.measure(at, before);
        let left = (self.experiment.total_steps / self.every).saturating_sub(at.step / self.every);
        let seconds = started.elapsed().as_secs_f64() * left as f64;
        if std::mem::take(&mut self.tells_cost) && seconds > 10.0 {
            say(&format!(
                "probe {}: {left} more measurements take about {}",
                self.name,
                duration(seconds)
            ));
        }
        let written = measured.and_then(|line| {
            let Some(line) = line else { return Ok(()) };
            let path = self.lines();
            fs::create_dir_all(&self.folder)
                .map_err(TrainError::io(&self.folder, "create the folder"))?;
            let mut file = fs::OpenOptions::new()
                .create(true)
                .append(true)
                .open(&path)
                .map_err(TrainError::io(&path, "open"))?;
            Ok(writeln!(file, "{line}").map_err(TrainError::io(&path, "write"))?)
        });
        if let Err(error) = written {
            self.fail(format!("{} at step {}: {error}", self.name, at.step));
        }
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

    fn measure(&mut self, at: &At<'_>, before: Option<Network>) -> Result<Option<Value>> {
        let run = format!("step {}", at.step);
        let mut line = if self.name == "noise-pairs" {
            let examples = std::mem::take(&mut self.examples);
            let Some(result) = std::mem::take(&mut self.pairs).noise() else {
                return Ok(None);
            };
            serde_json::to_value(Record {
                schema: SCHEMA,
                probe: self.name.into(),
                run,
                part: "train".into(),
                examples,
                parameters: at.network.parameter_count(),
                precision: "f32".into(),
                gradient_evaluations: 0,
                example_gradients: 0,
                complete: true,
                result,
            })?
        } else {
            self.question(at, before, run)?
        };
        line["step"] = at.step.into();
        line["lr"] = at.lr.into();
        Ok(Some(line))
    }

    /// Measures the network with separate gradients.
    fn question(&self, at: &At<'_>, before: Option<Network>, run: String) -> Result<Value> {
        let mut subject = self.subject(at.network)?;
        subject.check(&self.folder)?;
        let w = subject.weights().to_vec();
        let config = &self.experiment.config;
        // The interrupt that ends the training also ends the measurement, whose line is then marked
        // as incomplete.
        let mut proceed = |_: u64, _: u64| !INTERRUPT.load(Ordering::Relaxed);
        Ok(match self.name {
            "layers" => {
                let (_, gradient) = subject.gradient(&w)?;
                let ratios = at.driver.map(Driver::trust_ratios).unwrap_or_default();
                let update = before
                    .map(|network| self.subject(&network))
                    .transpose()?
                    .map(|before| Update {
                        step: w
                            .iter()
                            .zip(before.weights())
                            .map(|(after, before)| after - before)
                            .collect(),
                        trust_ratios: subject
                            .layers()
                            .iter()
                            .map(|layer| ratios.get(&layer.path).copied())
                            .collect(),
                    });
                let table = layer_table(subject.layers(), &w, &gradient, update.as_ref())?;
                serde_json::to_value(Record::new("layers", run, &subject, true, table))?
            }
            "noise" => {
                let batch = config.batch_size.unwrap_or(1).max(1);
                let options = NoiseOptions {
                    replicates: 0,
                    pairs: 0,
                    batch,
                    seed: config.seed,
                    ..NoiseOptions::default()
                };
                let layers = subject.layers().to_vec();
                let (found, complete) = noise(&mut subject, &w, &layers, &options, &mut proceed)?;
                serde_json::to_value(Record::new("noise", run, &subject, complete, found))?
            }
            _ => {
                let options = CurvatureOptions {
                    top: 2,
                    iterations: 40,
                    tolerance: 1e-3,
                    samples: 0,
                    vectors: 0,
                    seed: config.seed,
                    ..CurvatureOptions::default()
                };
                let (mut found, complete) = curvature(&mut subject, &w, &options, &mut proceed)?;
                // The optimizer's state is copied here only, and only for rules that divide by it.
                let optimizer = &*self.experiment.optimizer;
                let stability = optimizer.stability();
                let divides = stability.is_some_and(|s| s.preconditioner.is_some());
                let state = at.driver.filter(|_| divides).map(Driver::save);
                let here = AtPoint {
                    optimizer,
                    rate: at.lr,
                    state: state.as_deref(),
                };
                found.edge =
                    here.edge(&mut subject, &w, found.lambda_max, &options, &mut proceed)?;
                let complete = complete && proceed(0, 0);
                serde_json::to_value(Record::new("curvature", run, &subject, complete, found))?
            }
        })
    }

    /// The lines written so far.
    fn written(&self) -> Vec<Value> {
        let text = fs::read_to_string(self.lines()).unwrap_or_default();
        text.lines()
            .filter_map(|line| serde_json::from_str(line).ok())
            .collect()
    }
}

impl Observer for Probing<'_> {
    fn wants(&self, step: u64) -> Wants {
        // The probe `layers` also needs the network before the step.
        let due = |step: u64| step.is_multiple_of(self.every);
        Wants {
            network: due(step) || (self.name == "layers" && due(step + 1)),
            norms: self.name == "noise-pairs",
            ..Wants::STEP
        }
    }

    fn on_start(&mut self, start: &Start<'_>) -> Result<(), TrainError> {
        if self.name == "layers" && (start.step + 1).is_multiple_of(self.every) {
            self.before = Some(start.network.clone());
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
            self.fail(format!("{}: {error}", self.name));
        }
        if start.step == 0 {
            let before = self.before.take();
            self.look(&At {
                step: 0,
                lr: self.experiment.schedule.lr(0),
                network: start.network,
                driver: None,
            });
            self.before = before;
        }
        Ok(())
    }

    fn on_step(&mut self, step: &Step<'_>) -> Result<(), TrainError> {
        if let Some(norms) = step.norms.filter(|_| self.name == "noise-pairs") {
            self.pairs.add(norms);
            self.examples += step.batch;
        }
        let Some(network) = step.network else {
            return Ok(());
        };
        if step.step.is_multiple_of(self.every) {
            self.look(&At {
                step: step.step,
                lr: step.lr,
                network,
                driver: step.driver,
            });
        }
        if self.name == "layers" && (step.step + 1).is_multiple_of(self.every) {
            self.before = Some(network.clone());
        }
        Ok(())
    }

    fn on_end(&mut self, _end: &End<'_>) -> Result<(), TrainError> {
        self.before = None;
        if !self.lines().exists() {
            return Ok(());
        }
        for plot in charts::plots(
            self.name,
            &self.written(),
            &self.experiment.config,
            self.subset,
        ) {
            let figure = plot.figure();
            if let Err(error) = write_whole(
                &self.folder.join(format!("{}.svg", figure.name)),
                figure.svg().as_bytes(),
            ) {
                self.fail(format!("{}: {error}", self.name));
            }
        }
        Ok(())
    }
}
