//! `largebatch probe surface`.

use std::path::{Path, PathBuf};

use anyhow::Result;
use clap::Args;
use largebatch_probe::landscape::{Landscape, State};
use largebatch_probe::line::comparable;
use largebatch_probe::plane::Plane;
use largebatch_probe::surface::{Surface, sample, spaced};
use largebatch_probe::{ProbeError, Run};
use largebatch_train::{Lab, TrainError, load_network};

use super::results::{OnLandscape, examples, point_seconds, say_cost};
use super::{Done, Global, Watching, watch_interrupts};

const EXAMPLES: &str = "\
Examples:
  largebatch probe surface runs/a
      The loss around the weights of one run, along two random directions with the filter norms of the weights (Li et al. 2018).
  largebatch probe surface runs/small runs/large runs/other
      The plane through three runs.
  largebatch train --dataset digits --model mlp --out runs/a --set checkpoint.every_steps=20 --set checkpoint.keep=100
  largebatch probe surface runs/a --path
      The plane of a training path: the first two principal components of its checkpoints.
  largebatch probe surface --from runs/a/probe/surface.json --out figures
      Draw a saved surface again.";

/// Measure the loss over a plane of the weights, as a contour figure
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct SurfaceArgs {
    /// Folder of one run, or of three runs that share model and data; each may be a checkpoint's
    /// folder
    #[arg(value_name = "RUN", required_unless_present = "from")]
    runs: Vec<PathBuf>,
    /// Use the plane of the run's checkpoints, and draw the training path
    #[arg(long, help_heading = "What")]
    path: bool,
    /// Half the width of a random plane, in units of the weights' norms
    #[arg(
        long,
        value_name = "WIDTH",
        default_value_t = 1.0,
        allow_negative_numbers = true,
        help_heading = "What"
    )]
    range: f64,
    /// Points along each direction
    #[arg(long, value_name = "N", default_value_t = 25, help_heading = "What")]
    points: usize,
    /// Examples of the training part, or `all`
    #[arg(long, value_name = "N", default_value = "2000", help_heading = "What")]
    subset: String,
    /// Seed of the random directions
    #[arg(long, value_name = "N", default_value_t = 0, help_heading = "What")]
    seed: u64,
    /// Draw the surface saved in this file, without measuring
    #[arg(long, value_name = "FILE", conflicts_with_all = ["runs", "path"], help_heading = "What")]
    from: Option<PathBuf>,
    #[command(flatten)]
    on: OnLandscape,
}

pub(super) fn run(args: SurfaceArgs, global: &Global, lab: &Lab) -> Result<Done> {
    if let Some(file) = &args.from {
        let text = std::fs::read_to_string(file).map_err(TrainError::io(file, "read"))?;
        let surface = Surface::read(&text, &file.display().to_string())?;
        let folder = file.parent().unwrap_or(Path::new(".")).to_owned();
        return args.on.results.finish(
            &folder,
            "surface",
            &surface,
            true,
            &[surface.figure()],
            &summary(&surface),
            global,
        );
    }
    watch_interrupts()?;
    let runs = args
        .runs
        .iter()
        .map(|path| args.on.open(path, lab))
        .collect::<Result<Vec<Run>, _>>()?;
    let first = &runs[0];
    for other in &runs[1..] {
        comparable(&first.experiment, &other.experiment)?;
    }
    let statistics = args.on.statistics();
    let landscape = Landscape::new(&first.experiment, statistics, examples(&args.subset)?)?;
    let states = runs
        .iter()
        .map(|run| State::of(&run.network, &run.weights))
        .collect::<Result<Vec<State>, _>>()?;
    let (plane, name) = match (states.as_slice(), args.path) {
        ([_], true) => (Plane::principal(&path(first)?)?, "path"),
        ([one], false) => (
            Plane::random(&one.parameters, &landscape.shapes(), args.seed)?,
            "random",
        ),
        ([a, b, c], false) => {
            let label = |i: usize| args.runs[i].display().to_string();
            let labels = [label(0), label(1), label(2)];
            (
                Plane::through([
                    (&labels[0], &a.parameters),
                    (&labels[1], &b.parameters),
                    (&labels[2], &c.parameters),
                ])?,
                "three points",
            )
        }
        (some, path) => {
            let why = if path {
                "--path needs exactly one run, whose checkpoints form the path"
            } else {
                "name one run or three"
            };
            return Err(TrainError::Value {
                key: "RUN".into(),
                value: format!("{} folders", some.len()),
                why: why.into(),
            }
            .into());
        }
    };
    let [range_a, range_b] = if name == "random" {
        [(-args.range, args.range); 2]
    } else {
        plane.window(0.25)
    };
    if !(args.range > 0.0 && args.range.is_finite()) {
        let why =
            "half the width must be a positive number; 1 moves each filter by its own norm".into();
        return Err(TrainError::Value {
            key: "range".into(),
            value: args.range.to_string(),
            why,
        }
        .into());
    }
    let (a, b) = (spaced(range_a, args.points)?, spaced(range_b, args.points)?);

    let height = |_: f64, _: f64, parameters: Vec<f64>| {
        let network = landscape.network(&State {
            parameters,
            buffers: states[0].buffers.clone(),
        })?;
        landscape.train(&network)
    };
    let all = a.len() * b.len();
    let what = format!("{all} points over {} examples", landscape.examples());
    let point = point_seconds(
        &landscape,
        &first.experiment,
        landscape.examples(),
        &states[0],
    )?;
    say_cost(&what, point * all as f64, global);
    let mut watching = Watching::new(global, "points");
    let mut done = 0;
    let mut watch = watching.watch();
    let (loss, accuracy) = sample(&plane, &a, &b, height, &mut |i, n| {
        done = i;
        watch(i, n)
    })?;
    drop(watch);
    drop(watching);
    let complete = done + 1 >= all as u64;
    let config = &first.experiment.config;
    let surface = Surface {
        plane: name.into(),
        what: format!("{} on {}", config.model.name, config.dataset.name),
        batch_norm: landscape.has_batch_norm().then_some(statistics),
        examples: landscape.examples(),
        seed: (name == "random").then_some(args.seed),
        a,
        b,
        loss,
        accuracy,
        marks: plane.marks,
        explained: plane.explained,
    };
    args.on.results.finish(
        &first.folder.join("probe"),
        "surface",
        &surface,
        complete,
        &[surface.figure()],
        &summary(&surface),
        global,
    )
}

/// The initial weights, the checkpoints and the final weights of a run.
fn path(run: &Run) -> Result<Vec<(String, Vec<f64>)>, ProbeError> {
    let folder = run.folder.join("checkpoints");
    let mut steps: Vec<(u64, PathBuf)> = std::fs::read_dir(&folder)
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|e| {
            Some((
                e.file_name()
                    .to_str()?
                    .strip_prefix("step-")?
                    .parse()
                    .ok()?,
                e.path(),
            ))
        })
        .collect();
    steps.sort();
    if steps.len() < 3 {
        let why = "the plane of a path needs at least three: train with --set checkpoint.every_steps=N --set checkpoint.keep=100";
        return Err(TrainError::Folder {
            path: folder,
            message: format!("has {} checkpoints; {why}", steps.len()),
        }
        .into());
    }
    let mut points = vec![(
        "start".to_owned(),
        State::of(&run.experiment.initial_model()?.network, &run.folder)?.parameters,
    )];
    for (step, place) in steps {
        let file = place.join("model.safetensors");
        let bytes = std::fs::read(&file).map_err(TrainError::io(&file, "read"))?;
        let network = load_network(&run.experiment, &bytes, &file)?;
        points.push((
            format!("step {step}"),
            State::of(&network, &file)?.parameters,
        ));
    }
    let end = State::of(&run.network, &run.weights)?.parameters;
    if points.last().is_some_and(|(_, p)| *p != end) {
        points.push(("end".into(), end));
    }
    Ok(points)
}

fn summary(surface: &Surface) -> String {
    let all: Vec<f64> = surface.loss.iter().flatten().flatten().copied().collect();
    let (low, high) = all
        .iter()
        .fold((f64::INFINITY, f64::NEG_INFINITY), |(l, h), v| {
            (l.min(*v), h.max(*v))
        });
    let explained = surface.explained.map_or(String::new(), |[a, b]| {
        format!(
            "; its directions explain {:.1} % and {:.1} % of the variance",
            100.0 * a,
            100.0 * b
        )
    });
    format!(
        "{}, plane: {}{explained}\n{} of {} points, loss {low:.6} to {high:.6} over {} examples",
        surface.what,
        surface.plane,
        all.len(),
        surface.a.len() * surface.b.len(),
        surface.examples
    )
}
