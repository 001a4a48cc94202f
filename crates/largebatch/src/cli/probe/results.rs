//! What is shared by the probes that do not work on one run's gradient.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use anyhow::Result;
use clap::{Args, ValueEnum};
use largebatch_plot::Figure;
use largebatch_probe::landscape::{Landscape, State, Statistics};
use largebatch_probe::{ProbeError, Run};
use largebatch_train::{
    Experiment, Lab, RunConfig, RunFolder, TrainError, compute_here, write_whole,
};
use serde::Serialize;

use super::{AcceptData, DataDir, Done, Global, duration, least_seconds, print_json, say, whole};

/// Where to put the results.
#[derive(Args, Clone)]
pub(super) struct Results {
    /// Folder for NAME.json and NAME.svg [default: RUN/probe]
    #[arg(long, value_name = "DIR", help_heading = "Results")]
    out: Option<PathBuf>,
    /// Print the JSON object instead of a summary
    #[arg(long, help_heading = "Results")]
    json: bool,
}

impl Results {
    /// Writes NAME.json and NAME.svg, prints the object or the summary, and returns how the command
    /// ended.
    #[allow(clippy::too_many_arguments)] // what is written, where, and how it is reported
    pub(super) fn finish(
        &self,
        folder: &Path,
        name: &str,
        object: &impl Serialize,
        complete: bool,
        figures: &[Figure],
        summary: &str,
        global: &Global,
    ) -> Result<Done> {
        let folder = self.out.clone().unwrap_or_else(|| folder.to_owned());
        std::fs::create_dir_all(&folder).map_err(TrainError::io(&folder, "create the folder"))?;
        let file = folder.join(format!("{name}.json"));
        write_whole(&file, &serde_json::to_vec_pretty(object)?)?;
        let mut written = file.display().to_string();
        for figure in figures {
            let path = folder.join(format!("{}.svg", figure.name));
            write_whole(&path, figure.svg().as_bytes())?;
            written += &format!(", {}", path.display());
        }
        if self.json {
            print_json(object)?;
        } else if !global.quiet {
            writeln!(std::io::stdout(), "{summary}\nwritten: {written}")?;
        }
        if !complete {
            say("interrupted: the result covers what was measured so far");
        }
        Ok(if complete {
            Done::Ok
        } else {
            Done::Interrupted
        })
    }
}

/// Arguments of the probes on a loss landscape, line and surface.
#[derive(Args, Clone)]
pub(super) struct OnLandscape {
    /// Batch norm's statistics: recompute them at each point, or use the saved ones: on a line
    /// interpolated between the two runs, on a surface those of the first run (with --path, of the
    /// last checkpoint)
    #[arg(long, value_enum, default_value = "recompute", help_heading = "What")]
    batch_norm: BatchNormArg,
    /// Device to compute on instead of the first run's
    #[arg(long, value_name = "NAME", help_heading = "Where")]
    device: Option<String>,
    #[command(flatten)]
    data_dir: DataDir,
    #[command(flatten)]
    accept: AcceptData,
    #[command(flatten)]
    pub(super) results: Results,
}

#[derive(Clone, Copy, ValueEnum)]
enum BatchNormArg {
    Recompute,
    Given,
}

impl OnLandscape {
    pub(super) fn statistics(&self) -> Statistics {
        match self.batch_norm {
            BatchNormArg::Recompute => Statistics::Recompute,
            BatchNormArg::Given => Statistics::Given,
        }
    }

    pub(super) fn open(&self, path: &Path, lab: &Lab) -> Result<Run, ProbeError> {
        Run::open(
            path,
            None,
            self.device.as_deref(),
            lab,
            self.data_dir.search(),
            self.accept.other(),
        )
    }
}

/// The seconds that one point of a landscape over `examples` examples takes, extrapolated from at
/// most a thousand of them.
pub(super) fn point_seconds(
    landscape: &Landscape<'_>,
    experiment: &Experiment,
    examples: usize,
    state: &State,
) -> Result<f64, ProbeError> {
    let some = Landscape::new(experiment, landscape.statistics(), Some(1000))?;
    let seconds = least_seconds(|| some.train(&some.network(state)?).map(drop))?;
    Ok(seconds * examples as f64 / some.examples() as f64)
}

/// Announces the cost of a probe that takes more than ten seconds.
pub(super) fn say_cost(what: &str, seconds: f64, global: &Global) {
    if seconds > 10.0 && !global.quiet {
        say(&format!("{what}: about {}", duration(seconds)));
    }
}

/// Parses a number of examples, or `all`.
pub(super) fn examples(text: &str) -> Result<Option<usize>> {
    match text {
        "all" => Ok(None),
        text => match text.parse() {
            Ok(n) => Ok(Some(n)),
            Err(_) => Err(TrainError::Value {
                key: "subset".into(),
                value: text.into(),
                why: "must be a number of examples, or `all`".into(),
            }
            .into()),
        },
    }
}

/// The settings of a run that a probe trains again.
#[derive(Args, Clone)]
pub(super) struct Settings {
    /// Folder of a run, or a training configuration in TOML
    #[arg(value_name = "RUN|FILE")]
    source: Option<PathBuf>,
    /// Any setting, overriding the run or file, such as dataset=digits, model=mlp, optimizer=lars,
    /// batch_size=512
    #[arg(long = "set", value_name = "KEY=VALUE", help_heading = "What")]
    set: Vec<String>,
    /// Device to compute on
    #[arg(long, value_name = "NAME", help_heading = "Where")]
    device: Option<String>,
    /// CPU threads [default: all]
    #[arg(long, value_name = "N", help_heading = "Where", value_parser = whole)]
    threads: Option<u64>,
    #[command(flatten)]
    data_dir: DataDir,
    #[command(flatten)]
    accept: AcceptData,
}

impl Settings {
    /// The experiment of these settings, and the folder for the results.
    pub(super) fn open(&self, lab: &Lab) -> Result<(Experiment, PathBuf)> {
        let (mut run, mut text, mut folder, mut place) = (
            None,
            None,
            PathBuf::from("probe"),
            PathBuf::from("run.toml"),
        );
        match &self.source {
            None => {}
            Some(path) if path.is_dir() => {
                let (_, file) = RunFolder::open(path)?;
                text = Some(file.config.to_toml());
                folder = path.join("probe");
                run = Some((path, file));
            }
            Some(path) => {
                text = Some(std::fs::read_to_string(path).map_err(TrainError::io(path, "read"))?);
                place = path.clone();
            }
        }
        let mut over = self
            .set
            .iter()
            .map(|s| RunConfig::assignment(s))
            .collect::<Result<Vec<_>, _>>()?;
        over.extend(self.device.clone().map(|d| ("device".to_owned(), d.into())));
        over.extend(
            self.threads
                .map(|n| ("threads".to_owned(), toml::Value::Integer(n as i64))),
        );
        let config =
            RunConfig::layered(text.as_deref().map(|text| (place.as_path(), text)), &over)?;
        compute_here(config.threads);
        let search = self.data_dir.search();
        let experiment = match run {
            Some((path, file)) => file.reopen(path, config, lab, search, self.accept.other())?,
            None => Experiment::open(config, lab, &search)?,
        };
        Ok((experiment, folder))
    }
}
