//! The series of a plot and the forms in which they are drawn.

use crate::axis::Axis;
use crate::frame::{Frame, dash};
use crate::number::significant;
use crate::side::Side;
use crate::svg::COLOURS;

/// The form in which a series is drawn.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Form {
    Line,
    Dashed,
    Points,
    Band,
}

/// Points with a label.
#[derive(Clone, Debug)]
pub struct Series {
    pub label: String,
    pub form: Form,
    /// For a band: forward along the lower edge, back along the upper one.
    pub points: Vec<(f64, f64)>,
}

impl Series {
    /// Draws the points that both axes can show.
    pub fn draw(
        &self,
        frame: &mut Frame,
        colour: usize,
        (x, of_x): (&Axis, &Side),
        (y, of_y): (&Axis, &Side),
    ) {
        let at = |p: &(f64, f64)| {
            if of_x.shows(p.0) && of_y.shows(p.1) {
                (x.at(p.0), y.at(p.1))
            } else {
                (f64::NAN, f64::NAN)
            }
        };
        let class = colour % COLOURS;
        match self.form {
            Form::Line => frame.svg.polyline(
                &format!("ln s{class}"),
                dash(colour),
                self.points.iter().map(at),
            ),
            Form::Dashed => frame.svg.polyline(
                &format!("ln s{class}"),
                " stroke-dasharray=\"5 5\"",
                self.points.iter().map(at),
            ),
            Form::Band => {
                frame
                    .svg
                    .polyline(&format!("bn f{class}"), "", self.points.iter().map(at))
            }
            Form::Points => {
                let radius = if self.points.len() > 60 { 2.4 } else { 4.2 };
                for (p, (px, py)) in self
                    .points
                    .iter()
                    .map(|p| (p, at(p)))
                    .filter(|(_, q)| q.0.is_finite() && q.1.is_finite())
                {
                    let row = of_y
                        .names
                        .get(p.1.round().max(0.0) as usize)
                        .cloned()
                        .unwrap_or_else(|| significant(p.1, 4));
                    frame.svg.mark(
                        colour,
                        false,
                        px,
                        py,
                        radius,
                        &format!("{}: {}, {row}", self.label, significant(p.0, 4)),
                    );
                }
            }
        }
    }
}
