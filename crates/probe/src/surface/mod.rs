//! The loss over a plane of the parameters.

mod probe;

use largebatch_plot::{Figure, Plot, Scale};
use serde::{Deserialize, Serialize};

use crate::landscape::{Height, Statistics};
use crate::plane::{Mark, Plane};
use crate::vector::extent;
use crate::{ProbeError, Watch};

pub use probe::SurfaceOptions;

/// A sampled plane, from which a figure is drawn.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Surface {
    /// The kind of plane: `random`, `three points` or `path`.
    pub plane: String,
    /// Model, data set and runs, for titles.
    pub what: String,
    /// Where batch norm's statistics come from; `null` without batch norm.
    pub batch_norm: Option<Statistics>,
    /// Number of training examples over which the loss is computed.
    pub examples: usize,
    /// The seed of the random directions.
    pub seed: Option<u64>,
    /// The first coordinate of each column.
    pub a: Vec<f64>,
    /// The second coordinate of each row.
    pub b: Vec<f64>,
    /// The mean loss, with a list for each value of `b`; `null` if it is not finite or was not
    /// measured.
    pub loss: Vec<Vec<Option<f64>>>,
    /// The accuracy, in the same form.
    pub accuracy: Vec<Vec<Option<f64>>>,
    /// The center, the three points, or the path.
    pub marks: Vec<Mark>,
    /// The fractions of the path's variance along the two directions.
    pub explained: Option<[f64; 2]>,
}

/// Equally spaced values over a range, both ends included.
///
/// # Errors
/// Fewer than two or more than a thousand values, or a range that is empty or not finite.
pub fn spaced((from, to): (f64, f64), count: usize) -> Result<Vec<f64>, ProbeError> {
    if count > 1000 {
        let why = "a surface can have at most 1,000 points in each direction";
        return Err(ProbeError::value("points", count, why));
    }
    crate::line::alphas(from, to, count)
}

/// Samples loss and accuracy at every point of a grid over a plane.
///
/// `height` returns both for a vector of parameters. `watch` is called before each point; if it
/// returns `false`, the remaining points stay `None`.
///
/// Cost: a·b evaluations of `height`.
///
/// # Errors
/// Errors of `height`.
#[allow(clippy::type_complexity)] // both layers of the surface
pub fn sample(
    plane: &Plane,
    a: &[f64],
    b: &[f64],
    mut height: impl FnMut(f64, f64, Vec<f64>) -> Result<Height, ProbeError>,
    watch: Watch<'_>,
) -> Result<(Vec<Vec<Option<f64>>>, Vec<Vec<Option<f64>>>), ProbeError> {
    let mut loss = vec![vec![None; a.len()]; b.len()];
    let mut accuracy = loss.clone();
    for (j, &y) in b.iter().enumerate() {
        for (i, &x) in a.iter().enumerate() {
            if !watch((j * a.len() + i) as u64, (a.len() * b.len()) as u64) {
                return Ok((loss, accuracy));
            }
            let at = height(x, y, plane.at(x, y))?;
            (loss[j][i], accuracy[j][i]) = (at.loss, at.accuracy);
        }
    }
    Ok((loss, accuracy))
}

impl Surface {
    /// Reads a surface that was saved as JSON.
    ///
    /// # Errors
    /// Text that is not a surface; `place` is its name in the error.
    pub fn read(text: &str, place: &str) -> Result<Self, ProbeError> {
        let bad = |why: String| {
            ProbeError::value(
                "from",
                place,
                format!("is not a surface saved by `largebatch probe surface` ({why})"),
            )
        };
        let surface: Surface = serde_json::from_str(text).map_err(|e| bad(e.to_string()))?;
        let fits = |rows: &[Vec<Option<f64>>]| {
            rows.len() == surface.b.len() && rows.iter().all(|row| row.len() == surface.a.len())
        };
        if !(fits(&surface.loss) && fits(&surface.accuracy))
            || surface.a.len() < 2
            || surface.b.len() < 2
        {
            return Err(bad(format!(
                "loss and accuracy need {} rows of {} numbers",
                surface.b.len(),
                surface.a.len()
            )));
        }
        Ok(surface)
    }
}

impl Surface {
    /// Plots contour lines of the loss at round levels, with the center, the three points or the
    /// path.
    pub fn figure(&self) -> Figure {
        let (x, y, what) = match self.plane.as_str() {
            "random" => (
                "first direction, in units of the filters' norms",
                "second direction",
                "Loss around the weights",
            ),
            "path" => (
                "first principal component",
                "second principal component",
                "Loss around the training path",
            ),
            _ => (
                "distance along the line through the first two",
                "distance across",
                "Loss through three runs",
            ),
        };
        let title = format!("{what}: {}", self.what);
        let grid = self.loss.iter().map(|row| {
            let row = row.iter().map(|v| v.unwrap_or(f64::NAN));
            row.collect::<Vec<f64>>()
        });
        let mut plot = Plot::new("surface", &title)
            .x(x, Scale::Linear)
            .y(y, Scale::Linear)
            .height(360.0)
            .contour(
                self.a.iter().copied(),
                self.b.iter().copied(),
                grid,
                self.levels(),
            );
        let ends = |v: &[f64]| {
            (
                v.first().copied().unwrap_or(0.0),
                v.last().copied().unwrap_or(1.0),
            )
        };
        let (a, b) = (ends(&self.a), ends(&self.b));
        plot = plot.x_range(a.0, a.1).y_range(b.0, b.1);
        let at = |m: &Mark| (m.a, m.b);
        if self.plane == "path" {
            plot = plot
                .line("training", self.marks.iter().map(at))
                .points("training", self.marks.iter().map(at));
        }
        let ends = [0, self.marks.len().saturating_sub(1)];
        for (i, mark) in self.marks.iter().enumerate() {
            if self.plane != "path" || ends.contains(&i) {
                plot = plot.points(&mark.label, [at(mark)]);
            }
        }
        let statistics = match self.batch_norm {
            None => "",
            Some(Statistics::Recompute) => " Batch norm's statistics recomputed at each point.",
            Some(Statistics::Given) => " Batch norm's statistics kept.",
        };
        let seed = self
            .seed
            .map(|s| format!(" Random directions of seed {s}, filter-normalized."))
            .unwrap_or_default();
        let shares = self.explained.map(|[a, b]| {
            format!(
                " The directions explain {:.1} % and {:.1} % of the path's variance.",
                100.0 * a,
                100.0 * b
            )
        });
        plot.caption(&format!(
            "Mean loss over {} training examples, {} × {} points.{seed}{}{statistics}",
            self.examples,
            self.a.len(),
            self.b.len(),
            shares.unwrap_or_default()
        ))
        .figure()
    }

    /// About a dozen round levels. If the loss is positive, they have about equal ratios: several
    /// per decade (such as 1, 2 and 5, or 1 and 3), or whole decades.
    fn levels(&self) -> Vec<f64> {
        let (low, high) = extent(self.loss.iter().flatten().flatten().copied());
        if !(low < high) {
            return Vec::new();
        }
        // Within a decade and below 0, levels with equal differences are more useful.
        if low <= 0.0 || high < 10.0 * low {
            return (0..12)
                .map(|k| low + (high - low) * (f64::from(k) + 0.5) / 12.0)
                .collect();
        }
        let decades = low.log10().floor() as i32..=high.log10().ceil() as i32;
        let set = |marks: &[f64]| -> Vec<f64> {
            let every = decades
                .clone()
                .flat_map(|e| marks.iter().map(move |m| m * 10f64.powi(e)));
            every.filter(|level| (low..high).contains(level)).collect()
        };
        let sets = [
            set(&[1.0, 1.5, 2.0, 3.0, 5.0, 7.0]),
            set(&[1.0, 2.0, 5.0]),
            set(&[1.0, 3.0]),
            set(&[1.0]),
        ];
        sets.into_iter()
            .find(|levels| levels.len() <= 14)
            .unwrap_or_else(|| set(&[1.0]))
    }
}
