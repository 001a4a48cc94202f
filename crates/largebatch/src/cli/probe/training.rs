//! `train --probe NAME:every=N`: instruments that look at a training on its way.

use std::fs;
use std::io::Write as _;
use std::path::PathBuf;

use anyhow::Result;
use largebatch_models::Network;
use largebatch_probe::curvature::{CurvatureOptions, Edge, bound, curvature, decay, is_preconditioned};
use largebatch_probe::layers::{Update, layer_table};
use largebatch_probe::noise::{NoiseOptions, noise};
use largebatch_probe::{Objective, ProbeError, Record, Subject, Subset, unwatched};
use largebatch_report::plot::{Plot, Scale};
use largebatch_train::{Experiment, Observer, Outcome, RunFolder, Start, Step, TrainError, Which, write_whole};
use serde_json::Value;

use super::say;

/// The instruments that training offers.
const NAMES: [&str; 3] = ["layers", "noise", "curvature"];

/// One instrument during a training. Its findings are lines of `RUN/probe/NAME.jsonl`, and at the end a chart, `RUN/probe/NAME-course.svg`. It changes
/// nothing in the training: the weights come out to the same bits.
pub(crate) struct Probing<'a> {
    name: &'static str,
    every: u64,
    subset: usize,
    experiment: &'a Experiment,
    folder: PathBuf,
    /// The network before the step that is looked at, for ‖Δw‖.
    before: Option<Network>,
    /// What went wrong: it is said once, and the training goes on.
    failed: bool,
}

/// Reads `NAME:every=N` or `NAME:every=N,subset=M`.
fn parse(text: &str) -> Result<(&'static str, u64, usize), TrainError> {
    let wrong = |why: String| TrainError::Value { key: "probe".into(), value: text.into(), why };
    let (name, options) = text.split_once(':').unwrap_or((text, ""));
    let Some(name) = NAMES.into_iter().find(|n| *n == name) else {
        return Err(TrainError::unknown("probe", name, NAMES.into_iter()));
    };
    let (mut every, mut subset) = (None, 500);
    for option in options.split(',').filter(|o| !o.is_empty()) {
        let number = |text: &str| text.parse::<u64>().ok().filter(|&n| n > 0);
        match option.split_once('=').map(|(key, value)| (key, number(value))) {
            Some(("every", Some(n))) => every = Some(n),
            Some(("subset", Some(n))) => subset = n as usize,
            _ => return Err(wrong(format!("'{option}' is not an option; write {name}:every=100 or {name}:every=100,subset=500"))),
        }
    }
    let every = every.ok_or_else(|| wrong(format!("say after how many steps, as in {name}:every=100")))?;
    Ok((name, every, subset))
}

impl<'a> Probing<'a> {
    /// The instruments of the command line, for a run.
    ///
    /// # Errors
    /// An unknown name or option; a device without double precision for curvature.
    pub(crate) fn all(texts: &[String], experiment: &'a Experiment, folder: &RunFolder) -> Result<Vec<Self>> {
        let mut all = Vec::new();
        for text in texts {
            let (name, every, subset) = parse(text)?;
            let probing = Probing { name, every, subset, experiment, folder: folder.path().join("probe"), before: None, failed: false };
            if name == "curvature" {
                probing.subject(&experiment.initial_model()?.network)?.need_double()?;
            }
            all.push(probing);
        }
        Ok(all)
    }

    /// Reads them without a run, so that a typing error is told before a folder is made.
    ///
    /// # Errors
    /// An unknown name or option.
    pub(crate) fn check(texts: &[String]) -> Result<(), TrainError> {
        texts.iter().try_for_each(|text| parse(text).map(|_| ()))
    }

    fn subject(&self, network: &Network) -> Result<Subject<'a>, ProbeError> {
        Subject::new(self.experiment, network, Which::Train, Subset { size: Some(self.subset), seed: self.experiment.config.seed })
    }

    fn lines(&self) -> PathBuf {
        self.folder.join(format!("{}.jsonl", self.name))
    }

    fn look(&mut self, step: u64, lr: f64, network: &Network) {
        let before = self.before.take();
        if self.failed {
            return;
        }
        let written = self.measure(step, lr, network, before).and_then(|line| {
            let path = self.lines();
            fs::create_dir_all(&self.folder).map_err(TrainError::io(&self.folder, "make the folder"))?;
            let mut file = fs::OpenOptions::new().create(true).append(true).open(&path).map_err(TrainError::io(&path, "open"))?;
            Ok(writeln!(file, "{line}").map_err(TrainError::io(&path, "write"))?)
        });
        if let Err(error) = written {
            self.failed = true;
            say(&format!("warning: probe {} at step {step}: {error}; it is left out from here on", self.name));
        }
    }

    fn measure(&self, step: u64, lr: f64, network: &Network, before: Option<Network>) -> Result<Value> {
        let mut subject = self.subject(network)?;
        subject.check(&self.folder)?;
        let w = subject.weights().to_vec();
        let run = format!("step {step}");
        let config = &self.experiment.config;
        let mut line = match self.name {
            "layers" => {
                let (_, gradient) = subject.gradient(&w)?;
                let update = before.map(|network| self.subject(&network)).transpose()?.map(|before| Update {
                    step: w.iter().zip(before.weights()).map(|(after, before)| after - before).collect(),
                    trust_ratios: Vec::new(),
                });
                let table = layer_table(subject.layers(), &w, &gradient, update.as_ref())?;
                serde_json::to_value(Record::new("layers", run, &subject, true, table))?
            }
            "noise" => {
                let batch = config.batch_size.unwrap_or(1).max(1);
                let options = NoiseOptions { replicates: 0, pairs: 0, batch, seed: config.seed, ..NoiseOptions::default() };
                let layers = subject.layers().to_vec();
                let (found, complete) = noise(&mut subject, &w, &layers, &options, &mut unwatched)?;
                serde_json::to_value(Record::new("noise", run, &subject, complete, found))?
            }
            _ => {
                let options = CurvatureOptions {
                    top: 2,
                    most: 40,
                    tolerance: 1e-3,
                    samples: 0,
                    probes: 0,
                    seed: config.seed,
                    ..CurvatureOptions::default()
                };
                let (mut found, complete) = curvature(&mut subject, &w, &options, &mut unwatched)?;
                let optimizer = &config.optimizer;
                // Adam's preconditioner lies in the optimizer, which an observer does not see.
                found.edge = bound(&optimizer.name, &optimizer.options)
                    .filter(|_| !is_preconditioned(&optimizer.name))
                    .map(|bound| Edge::new(&optimizer.name, lr, found.lambda_max + decay(&optimizer.options), bound));
                serde_json::to_value(Record::new("curvature", run, &subject, complete, found))?
            }
        };
        line["step"] = step.into();
        line["lr"] = lr.into();
        Ok(line)
    }

    /// The lines so far.
    fn course(&self) -> Vec<Value> {
        let text = fs::read_to_string(self.lines()).unwrap_or_default();
        text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
    }

    fn figure(&self) -> Plot {
        let course = self.course();
        let step = |line: &Value| line["step"].as_f64().unwrap_or(f64::NAN);
        let of = |path: &str| -> Vec<(f64, f64)> {
            course.iter().filter_map(|line| Some((step(line), line.pointer(path)?.as_f64()?))).collect()
        };
        let name = format!("{}-course", self.name);
        let caption = format!(
            "{} on {}, {}, {} training examples, seed {}.",
            self.experiment.config.model.name,
            self.experiment.config.dataset.name,
            self.experiment.config.optimizer.name,
            self.subset,
            self.experiment.config.seed
        );
        match self.name {
            "layers" => {
                let rows = course.first().and_then(|line| line["result"]["rows"].as_array()).cloned().unwrap_or_default();
                let plot = Plot::new(&name, "‖w‖/‖∇w‖ over training").x("step", Scale::Linear).y("‖w‖/‖∇w‖", Scale::Log).caption(&caption);
                rows.iter()
                    .enumerate()
                    .filter(|(_, row)| row["is_weight"] == true)
                    .fold(plot, |plot, (i, row)| plot.line(row["path"].as_str().unwrap_or("?"), of(&format!("/result/rows/{i}/ratio"))))
            }
            "noise" => {
                let band = course.iter().filter_map(|line| {
                    let interval = line.pointer("/result/interval")?;
                    Some((step(line), interval["low"].as_f64()?, interval["high"].as_f64()?))
                });
                let plot = Plot::new(&name, "Gradient noise scale over training").x("step", Scale::Linear).y("examples", Scale::Log);
                plot.band("B_simple of the population, 95 %", band)
                    .line("B_simple of these examples", of("/result/b_simple"))
                    .guide_y("batch", self.experiment.config.batch_size.unwrap_or(1) as f64)
                    .caption(&caption)
            }
            _ => {
                let plot = Plot::new(&name, "Towards the edge of stability").x("step", Scale::Linear).caption(&caption);
                let products = of("/result/edge/product");
                let bound = course.iter().rev().find_map(|line| line.pointer("/result/edge/bound")?.as_f64());
                match bound {
                    Some(bound) => plot.y("η λ_max", Scale::Linear).line("η λ_max", products).guide_y("edge of stability", bound),
                    None => plot.y("λ_max", Scale::Linear).line("λ_max", of("/result/lambda_max")),
                }
            }
        }
    }
}

impl Observer for Probing<'_> {
    fn on_start(&mut self, start: &Start<'_>) {
        if start.step == 0 {
            if let Ok(model) = self.experiment.initial_model() {
                self.look(0, self.experiment.schedule.lr(0), &model.network);
            }
            return;
        }
        // What a run that was killed wrote after its last checkpoint comes again.
        let kept: String = self
            .course()
            .iter()
            .filter(|line| line["step"].as_u64().is_some_and(|s| s <= start.step))
            .map(|line| format!("{line}\n"))
            .collect();
        if self.lines().exists()
            && let Err(error) = write_whole(&self.lines(), kept.as_bytes())
        {
            say(&format!("warning: probe {}: {error}", self.name));
        }
    }

    fn on_step(&mut self, step: &Step<'_>) {
        if step.step % self.every == 0 {
            self.look(step.step, step.lr, step.network);
        }
        if self.name == "layers" && (step.step + 1) % self.every == 0 {
            self.before = Some(step.network.clone());
        }
    }

    fn on_end(&mut self, _outcome: &Outcome) {
        self.before = None;
        let path = self.folder.join(format!("{}-course.svg", self.name));
        if self.lines().exists()
            && let Err(error) = write_whole(&path, self.figure().figure().svg().as_bytes())
        {
            say(&format!("warning: probe {}: {error}", self.name));
        }
    }
}
