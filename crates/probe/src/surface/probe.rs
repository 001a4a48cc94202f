//! The probe `surface`.

use std::path::PathBuf;

use largebatch_train::{Checkpoint, TrainError, load_network};

use super::{Surface, sample, spaced};
use crate::Size;
use crate::landscape::{Landscape, State, Statistics};
use crate::line::comparable;
use crate::plane::Plane;
use crate::prelude::*;
use crate::vector::extent;

/// The options of the probe `surface`.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct SurfaceOptions {
    /// Use the plane of the run's checkpoints, and draw the training path.
    pub path: bool,
    /// Half the width of a random plane, in units of the weights' norms.
    #[schemars(extend("exclusiveMinimum" = 0.0, "why" = "1 moves each filter by its own norm"))]
    pub range: f64,
    /// Points along each direction.
    pub points: usize,
    /// Examples of the training part, or `all`.
    pub subset: Size,
    /// Seed of the random directions.
    pub seed: u64,
    /// Draw the surface saved in this file, without runs and without measuring.
    pub from: Option<PathBuf>,
    /// Batch norm's statistics: recompute them at each point, or use the saved ones of the first run
    /// or, with --path, of the last checkpoint.
    pub batch_norm: Statistics,
}

impl Default for SurfaceOptions {
    fn default() -> Self {
        SurfaceOptions {
            path: false,
            range: 1.0,
            points: 25,
            subset: Size(Some(2000)),
            seed: 0,
            from: None,
            batch_norm: Statistics::Recompute,
        }
    }
}

impl Probe for SurfaceOptions {
    const FACTS: Facts = Facts::new(
        "surface",
        "Measure the loss over a plane of the weights, as a contour figure",
    )
    .paper("Li et al. 2018, arXiv 1712.09913");
    const TARGET: Target = Target::Runs;
    const HELP: &'static str = "\
Examples:
  largebatch probe surface runs/a
      The loss around the weights of one run, along two random directions with the filter norms of the weights (Li et al. 2018).
  largebatch probe surface runs/small runs/large runs/other
      The plane through three runs that share model and data.
  largebatch train --dataset digits --model mlp --out runs/a --set checkpoint.every_steps=20 --set checkpoint.keep=100
  largebatch probe surface runs/a --path
      The plane of a training path: the first two principal components of its checkpoints.
  largebatch probe surface --from runs/a/probe/surface.json --out figures
      Draw a saved surface again.";
    type Record = Surface;

    fn cost(&self, at: &[Point<'_>]) -> Result<Cost, ProbeError> {
        let points = self.points * self.points;
        let (Some(first), None) = (at.first(), &self.from) else {
            return Ok(Cost::new("no points", "points", 0.0));
        };
        let landscape = Landscape::new(first.experiment, self.batch_norm, self.subset.0)?;
        let (state, n) = (
            State::of(first.network, first.source)?,
            landscape.examples(),
        );
        let seconds = points as f64 * landscape.seconds(&state, n)?;
        let work = format!("{points} points over {n} examples");
        Ok(Cost::new(work, "points", seconds))
    }

    fn measure(&self, at: &[Point<'_>], watch: Watch) -> Result<(Self::Record, bool), ProbeError> {
        if let Some(file) = &self.from {
            let text = std::fs::read_to_string(file).map_err(TrainError::io(file, "read"))?;
            return Ok((Surface::read(&text, &file.display().to_string())?, true));
        }
        let states = at
            .iter()
            .map(|at| State::of(at.network, at.source))
            .collect::<Result<Vec<State>, _>>()?;
        let (true, [first, others @ ..]) = ([1, 3].contains(&at.len()), at) else {
            let folders = format!("{} folders", at.len());
            return Err(ProbeError::value("RUN", folders, "name one run or three"));
        };
        for other in others {
            comparable(first.experiment, other.experiment)?;
        }
        let landscape = Landscape::new(first.experiment, self.batch_norm, self.subset.0)?;
        let (plane, name) = match (states.as_slice(), self.path) {
            ([_], true) => (Plane::principal(&path(first)?)?, "path"),
            ([one], false) => (
                Plane::random(&one.parameters, &landscape.shapes(), self.seed)?,
                "random",
            ),
            (several, _) => (through(at, several, self.path)?, "three points"),
        };
        let [range_a, range_b] = match name {
            "random" => [(-self.range, self.range); 2],
            _ => plane.window(0.25),
        };
        let (a, b) = (spaced(range_a, self.points)?, spaced(range_b, self.points)?);
        let height = |_: f64, _: f64, parameters: Vec<f64>| {
            let buffers = states[0].buffers.clone();
            landscape.train(&landscape.network(&State {
                parameters,
                buffers,
            })?)
        };
        let mut complete = true;
        let (loss, accuracy) = sample(&plane, &a, &b, height, &mut |done, all| {
            complete = watch(done, all);
            complete
        })?;
        let surface = Surface {
            plane: name.into(),
            what: first.what(),
            batch_norm: landscape.has_batch_norm().then_some(self.batch_norm),
            examples: landscape.examples(),
            seed: (name == "random").then_some(self.seed),
            a,
            b,
            loss,
            accuracy,
            marks: plane.marks,
            explained: plane.explained,
        };
        Ok((surface, complete))
    }

    fn figures(&self, record: &Surface, _at: &[Point<'_>]) -> Vec<Figure> {
        vec![record.figure()]
    }

    fn summary(&self, surface: &Surface, _: &[Point<'_>]) -> String {
        let all: Vec<f64> = surface.loss.iter().flatten().flatten().copied().collect();
        let (low, high) = extent(all.iter().copied());
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
}

/// The plane through three runs, which have no path.
fn through(at: &[Point<'_>], states: &[State], path: bool) -> Result<Plane, ProbeError> {
    let labels: Vec<String> = at
        .iter()
        .map(|at| at.source.display().to_string())
        .collect();
    match (labels.as_slice(), states) {
        ([x, y, z], [a, b, c]) if !path => {
            Plane::through([(x, &a.parameters), (y, &b.parameters), (z, &c.parameters)])
        }
        _ => Err(ProbeError::value(
            "RUN",
            format!("{} folders", at.len()),
            "--path needs exactly one run, whose checkpoints form the path",
        )),
    }
}

/// The initial weights, the checkpoints and the final weights of a run.
fn path(run: &Point<'_>) -> Result<Vec<(String, Vec<f64>)>, ProbeError> {
    let folder = run.folder.join("checkpoints");
    let places = Checkpoint::places(&folder)?;
    if places.len() < 3 {
        let why = "the plane of a path needs at least three: train with --set checkpoint.every_steps=N --set checkpoint.keep=100";
        let message = format!("has {} checkpoints; {why}", places.len());
        return Err(TrainError::folder(&folder, message).into());
    }
    let mut points = vec![(
        "start".to_owned(),
        State::of(&run.experiment.initial_model()?.network, run.folder)?.parameters,
    )];
    for place in places {
        let checkpoint = Checkpoint::load(&place)?;
        let network = load_network(run.experiment, &checkpoint.model, &place)?;
        let name = format!("step {}", checkpoint.progress.step);
        points.push((name, State::of(&network, &place)?.parameters));
    }
    let end = State::of(run.network, run.source)?.parameters;
    if points.last().is_some_and(|(_, p)| *p != end) {
        points.push(("end".into(), end));
    }
    Ok(points)
}
