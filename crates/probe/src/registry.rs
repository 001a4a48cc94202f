//! The open table of probes, and probes whose type is known at run time only.

use std::fmt::Debug;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use largebatch_component::{ComponentError, Entry, Facts, Kind, read};
use largebatch_plot::Figure;
use largebatch_report::{Outline, OutlineGroup, Probed};
use largebatch_train::Experiment;
use serde_json::Value;
use toml::Table;

use crate::batch_find::BatchSearch;
use crate::curvature::CurvatureOptions;
use crate::layers::Layers;
use crate::line::LineOptions;
use crate::lr_find::RangeTest;
use crate::noise::{NoiseOptions, NoisePairs};
use crate::probe::{AtStep, Cost, Probe, Target};
use crate::sharpness::SharpnessOptions;
use crate::surface::SurfaceOptions;
use crate::{Found, Point, ProbeError, Sample, Size, Watch};

/// The open table of probes.
pub type Registry = largebatch_component::Registry<Arc<dyn DynProbe>>;

/// The probes of this crate. A new one is a file here, and its line in this list.
pub fn standard() -> Registry {
    Registry::new(Kind::Probe)
        .with(entry::<Layers>())
        .with(entry::<NoiseOptions>())
        .with(entry::<NoisePairs>())
        .with(entry::<CurvatureOptions>())
        .with(entry::<LineOptions>())
        .with(entry::<SharpnessOptions>())
        .with(entry::<SurfaceOptions>())
        .with(entry::<RangeTest>())
        .with(entry::<BatchSearch>())
}

/// What the probes measured on the runs in a study's folder; the last of the table comes first.
///
/// # Errors
/// A record that cannot be read.
pub fn probed(probes: &Registry, folder: &Path, study: &Outline) -> Result<Probed, ProbeError> {
    let folders = std::fs::read_dir(folder.join("runs")).into_iter().flatten();
    let folders: Vec<_> = folders.flatten().map(|entry| entry.path()).collect();
    let run = |id: &str| {
        let end = format!("-{}", id.get(..8).unwrap_or(id));
        let mut folders = folders.iter();
        let run = folders.find(|path| path.to_string_lossy().ends_with(&end));
        run.cloned()
    };
    on_runs(probes, &run, study)
}

/// What the probes measured on single runs, each with its label, seed and folder.
///
/// # Errors
/// As [`probed`].
pub fn probed_runs(
    probes: &Registry,
    runs: &[(String, u64, PathBuf)],
) -> Result<Probed, ProbeError> {
    let groups = runs.iter().enumerate().map(|(i, (label, seed, _))| {
        let label = label.clone();
        OutlineGroup {
            label,
            trials: vec![(*seed, i.to_string())],
            ..OutlineGroup::default()
        }
    });
    let outline = Outline {
        groups: groups.collect(),
        small_print: "n = 1 each, no intervals".into(),
        ..Outline::default()
    };
    let run = |id: &str| Some(runs.get(id.parse::<usize>().ok()?)?.2.clone());
    on_runs(probes, &run, &outline)
}

fn on_runs(
    probes: &Registry,
    folder: &dyn Fn(&str) -> Option<PathBuf>,
    study: &Outline,
) -> Result<Probed, ProbeError> {
    let mut all = Probed::default();
    let entries: Vec<_> = probes.iter().collect();
    for entry in entries.into_iter().rev() {
        let probe = entry.configure(Table::new())?;
        probe.report(folder, study, &mut all)?;
    }
    Ok(all)
}

/// The preset with the options for a training.
const IN_TRAINING: &str = "training";

/// The table's entry of a probe.
pub fn entry<P: Probe>() -> Entry<Arc<dyn DynProbe>> {
    Entry::new(
        Kind::Probe,
        P::FACTS,
        |preset| match preset {
            None => Some(P::default()),
            Some(name) => P::in_training().filter(|_| name == IN_TRAINING),
        },
        |options: P| Ok(Arc::new(options) as Arc<dyn DynProbe>),
    )
}

/// A probe with its options, and the examples to measure on.
#[derive(Clone, Debug)]
pub struct Asked {
    /// The probe.
    pub probe: Arc<dyn DynProbe>,
    /// The examples. Probes of other [targets](Target) than a network do not use them.
    pub sample: Sample,
}

impl Asked {
    /// A probe with its defaults, and the given options over them. If its target is a network, these
    /// may be options of the [`Sample`] too.
    ///
    /// # Errors
    /// An option that neither has, or a value that it does not take.
    pub fn new(entry: &Entry<Arc<dyn DynProbe>>, given: Table) -> Result<Self, ComponentError> {
        Self::over(entry, Table::new(), Sample::default(), given)
    }

    /// A probe for measurements during a training, on 500 examples unless the options say otherwise;
    /// `None` if it cannot.
    ///
    /// # Errors
    /// As [`Asked::new`].
    pub fn in_training(
        entry: &Entry<Arc<dyn DynProbe>>,
        given: Table,
    ) -> Result<Option<Self>, ComponentError> {
        let Ok(options) = entry.defaults(Some(IN_TRAINING)) else {
            return Ok(None);
        };
        let sample = Sample {
            subset: Size(Some(500)),
            ..Sample::default()
        };
        Self::over(entry, options, sample, given).map(Some)
    }

    fn over(
        entry: &Entry<Arc<dyn DynProbe>>,
        mut options: Table,
        sample: Sample,
        given: Table,
    ) -> Result<Self, ComponentError> {
        let base = Table::try_from(sample).unwrap_or_default();
        let takes_sample = entry.configure(Table::new())?.target() == Target::Network;
        let (of_sample, given): (Table, Table) = given
            .into_iter()
            .partition(|(key, _)| takes_sample && base.contains_key(key));
        options.extend(given);
        Ok(Asked {
            probe: entry.configure(options)?,
            sample: read(Kind::Probe, entry.facts().name, base, of_sample)?,
        })
    }
}

/// What a probe measured.
#[derive(Clone, PartialEq, Debug)]
pub struct Measured {
    /// The record, as it is saved.
    pub record: Value,
    /// Whether the measurement was not interrupted.
    pub complete: bool,
    /// Its figures; none during a training.
    pub figures: Vec<Figure>,
    /// The record in a few lines of text; empty during a training.
    pub summary: String,
}

/// A [`Probe`] whose type is known at run time only. Errors are those of its methods there.
pub trait DynProbe: Debug + Send + Sync {
    /// See [`Probe::FACTS`].
    fn facts(&self) -> Facts;
    /// See [`Probe::TARGET`].
    fn target(&self) -> Target;
    /// See [`Probe::HELP`].
    fn help(&self) -> &'static str;
    /// See [`Probe::needs_before`].
    fn needs_before(&self) -> bool;
    /// See [`Probe::check`].
    fn check(&self, experiment: &Experiment) -> Result<(), ProbeError>;
    /// See [`Probe::cost`].
    fn cost(&self, at: &[Point<'_>]) -> Result<Cost, ProbeError>;
    /// Checks, measures and draws: see [`Probe::measure`].
    fn measure(&self, at: &[Point<'_>], watch: Watch) -> Result<Measured, ProbeError>;
    /// The charts of the records of a training: see [`Probe::course`]. Lines of another version that
    /// cannot be read are left out.
    fn course(&self, lines: &[Value], experiment: &Experiment, sample: &Sample) -> Vec<Figure>;
    /// Adds what it measured on runs, found by the identities of their trials, to what a report
    /// shows: see [`Probe::section`].
    fn report(
        &self,
        folder: &dyn Fn(&str) -> Option<PathBuf>,
        study: &Outline,
        to: &mut Probed,
    ) -> Result<(), ProbeError>;
}

impl<P: Probe> DynProbe for P {
    fn facts(&self) -> Facts {
        P::FACTS
    }

    fn target(&self) -> Target {
        P::TARGET
    }

    fn help(&self) -> &'static str {
        P::HELP
    }

    fn needs_before(&self) -> bool {
        Probe::needs_before(self)
    }

    fn check(&self, experiment: &Experiment) -> Result<(), ProbeError> {
        Probe::check(self, experiment)
    }

    fn cost(&self, at: &[Point<'_>]) -> Result<Cost, ProbeError> {
        check_all(self, at)?;
        Probe::cost(self, at)
    }

    fn measure(&self, at: &[Point<'_>], watch: Watch) -> Result<Measured, ProbeError> {
        check_all(self, at)?;
        let (record, complete) = Probe::measure(self, at, watch)?;
        // A training draws its course.
        let is_training = at.iter().any(|point| point.steps.is_some());
        let (figures, summary) = if is_training {
            (Vec::new(), String::new())
        } else {
            (self.figures(&record, at), self.summary(&record, at))
        };
        Ok(Measured {
            figures,
            summary: summary.trim_end().to_owned(),
            record: serde_json::to_value(record)
                .map_err(|e| ProbeError::value("record", P::FACTS.name, e.to_string()))?,
            complete,
        })
    }

    fn course(&self, lines: &[Value], experiment: &Experiment, sample: &Sample) -> Vec<Figure> {
        let records: Vec<AtStep<P::Record>> = lines
            .iter()
            .filter_map(|line| serde_json::from_value(line.clone()).ok())
            .collect();
        let config = &experiment.config;
        let examples = match (P::TARGET, sample.subset.0) {
            (Target::Steps, _) => "micro-batches of the training steps".to_owned(),
            (_, Some(n)) => format!("{n} training examples"),
            (_, None) => "all training examples".to_owned(),
        };
        let caption = format!(
            "{} on {}, {}, {examples}, seed {}.",
            config.model.name, config.dataset.name, config.optimizer.name, config.seed
        );
        let plots = P::course(&records, config).into_iter();
        plots.map(|plot| plot.caption(&caption).figure()).collect()
    }

    fn report(
        &self,
        folder: &dyn Fn(&str) -> Option<PathBuf>,
        study: &Outline,
        to: &mut Probed,
    ) -> Result<(), ProbeError> {
        let found = Found::<P::Record>::read(folder, study, P::FACTS.name)?;
        if found.groups().is_empty() {
            return Ok(());
        }
        to.sections.extend(P::section(&found));
        to.numbers.resize_with(study.groups.len(), Default::default);
        for (group, numbers) in to.numbers.iter_mut().enumerate() {
            let records = found.runs(group).iter().filter_map(|run| run.end.as_ref());
            for (name, value) in records.flat_map(P::numbers) {
                numbers.entry(name).or_default().push(value);
            }
        }
        Ok(())
    }
}

fn check_all(probe: &impl Probe, at: &[Point<'_>]) -> Result<(), ProbeError> {
    at.iter()
        .try_for_each(|point| Probe::check(probe, point.experiment))
}
