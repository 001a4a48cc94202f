use crate::axis::Axis;
use crate::contour::Contour;
use crate::figure::Figure;
use crate::frame::{Frame, Key, Parts};
use crate::series::{Form, Series};
use crate::side::{Scale, Side};
use crate::svg::{Anchor, fit, width};

/// A chart under construction.
///
/// Series with the same label share a colour and an entry in the legend, so that a theoretical
/// curve can be drawn over its measurements. An empty label makes a separate series that is not in
/// the legend. Points that are not finite, or not above 0 on a logarithmic axis, are omitted, and a
/// line is broken there.
#[derive(Clone, Debug)]
pub struct Plot {
    name: String,
    title: String,
    caption: String,
    x: Side,
    y: Side,
    height: f64,
    series: Vec<Series>,
    contour: Option<Contour>,
}

impl Plot {
    /// A chart without data. `name` is the name of its file, without extension.
    pub fn new(name: &str, title: &str) -> Plot {
        let (x, y) = (Side::default(), Side::default());
        Plot {
            name: name.into(),
            title: title.into(),
            caption: String::new(),
            x,
            y,
            height: 240.0,
            series: Vec::new(),
            contour: None,
        }
    }

    /// Sets title and scale of the horizontal axis.
    pub fn x(mut self, title: &str, scale: Scale) -> Plot {
        (self.x.title, self.x.scale) = (title.into(), scale);
        self
    }

    /// Sets title and scale of the vertical axis.
    pub fn y(mut self, title: &str, scale: Scale) -> Plot {
        (self.y.title, self.y.scale) = (title.into(), scale);
        self
    }

    /// Sets the ends of the horizontal axis. By default they come from the data.
    pub fn x_range(mut self, low: f64, high: f64) -> Plot {
        self.x.range = Some((low, high));
        self
    }

    /// Sets the ends of the vertical axis. Lines are clipped there.
    pub fn y_range(mut self, low: f64, high: f64) -> Plot {
        self.y.range = Some((low, high));
        self
    }

    /// Sets the tick marks of the horizontal axis, such as the measured batch sizes.
    pub fn x_ticks(mut self, ticks: impl IntoIterator<Item = f64>) -> Plot {
        self.x.ticks = Some(ticks.into_iter().collect());
        self
    }

    /// Replaces the vertical axis by names, for example of layers. The first is at the top; a point
    /// with y = i is in the row of name i.
    pub fn y_names<S: Into<String>>(mut self, names: impl IntoIterator<Item = S>) -> Plot {
        self.y.names = names.into_iter().map(Into::into).collect();
        self.height = (22.0 * self.y.names.len() as f64).max(80.0);
        self
    }

    /// Sets the height of the plot area in pixels; default 240. Its width is about 410.
    pub fn height(mut self, height: f64) -> Plot {
        self.height = if height.is_finite() {
            height.clamp(40.0, 2000.0)
        } else {
            self.height
        };
        self
    }

    /// Adds a line through points.
    pub fn line(self, label: &str, points: impl IntoIterator<Item = (f64, f64)>) -> Plot {
        self.add(label, Form::Line, points.into_iter().collect())
    }

    /// Adds a dashed line through points, usually for a theory.
    pub fn dashed(self, label: &str, points: impl IntoIterator<Item = (f64, f64)>) -> Plot {
        self.add(label, Form::Dashed, points.into_iter().collect())
    }

    /// Adds a mark at each point.
    pub fn points(self, label: &str, points: impl IntoIterator<Item = (f64, f64)>) -> Plot {
        self.add(label, Form::Points, points.into_iter().collect())
    }

    /// Adds a band from `low` to `high` along `x`, given as `(x, low, high)`.
    pub fn band(self, label: &str, edges: impl IntoIterator<Item = (f64, f64, f64)>) -> Plot {
        let edges: Vec<_> = edges
            .into_iter()
            .filter(|e| self.x.shows(e.0) && self.y.shows(e.1) && self.y.shows(e.2))
            .collect();
        let points = edges
            .iter()
            .map(|e| (e.0, e.1))
            .chain(edges.iter().rev().map(|e| (e.0, e.2)))
            .collect();
        self.add(label, Form::Band, points)
    }

    fn add(mut self, label: &str, form: Form, points: Vec<(f64, f64)>) -> Plot {
        self.series.push(Series {
            label: label.into(),
            form,
            points,
        });
        self
    }

    /// Adds a dashed vertical line with its label. A value that is not finite draws nothing.
    pub fn guide_x(mut self, label: &str, value: f64) -> Plot {
        self.x.guides.push((label.into(), value));
        self
    }

    /// Adds a dashed horizontal line with its label. A value that is not finite draws nothing.
    pub fn guide_y(mut self, label: &str, value: f64) -> Plot {
        self.y.guides.push((label.into(), value));
        self
    }

    /// Adds contour lines of a surface, by marching squares: `grid[j][i]` is its value at `x[i]`,
    /// `y[j]`. Lines are labelled and coloured by level, dark for the lowest. Series are drawn over
    /// them. Cells with a corner that is not finite are omitted. `x` and `y` must increase.
    pub fn contour(
        mut self,
        x: impl IntoIterator<Item = f64>,
        y: impl IntoIterator<Item = f64>,
        grid: impl IntoIterator<Item = Vec<f64>>,
        levels: impl IntoIterator<Item = f64>,
    ) -> Plot {
        self.contour = Some(Contour {
            x: x.into_iter().collect(),
            y: y.into_iter().collect(),
            grid: grid.into_iter().collect(),
            levels: levels.into_iter().filter(|l| l.is_finite()).collect(),
        });
        self
    }

    /// Sets the caption: how to read the chart, with n, seeds, intervals and device.
    pub fn caption(mut self, caption: &str) -> Plot {
        self.caption = caption.into();
        self
    }

    /// The chart.
    pub fn figure(self) -> Figure {
        let colours = self.colours();
        let place = |side: &Side, of: fn(&(f64, f64)) -> f64, grid: &[f64]| -> Vec<f64> {
            let both = self
                .series
                .iter()
                .flat_map(|s| &s.points)
                .filter(|p| self.x.shows(p.0) && self.y.shows(p.1));
            both.map(of)
                .chain(grid.iter().copied())
                .filter(|v| side.shows(*v))
                .collect()
        };
        let (grid_x, grid_y) = self
            .contour
            .as_ref()
            .map_or((&[][..], &[][..]), |c| (&c.x, &c.y));
        let ys = place(&self.y, |p| p.1, grid_y);
        // Only the labels matter here: their width decides the room, and they do not depend on the
        // area's position.
        let trial = self
            .y
            .axis(ys.iter().copied(), self.pad(), self.height, 0.0);
        let left = self
            .y
            .ticks(&trial, 5)
            .1
            .iter()
            .map(|l| width(l, 12.0))
            .fold(38.0, f64::max)
            .min(170.0)
            * 1.06
            + 18.0;
        let mut frame = Frame::new(
            &self.name,
            &self.title,
            &self.keys(&colours),
            left,
            self.height,
        );
        let (x, y) = self.axes(&mut frame, place(&self.x, |p| p.0, grid_x), ys);
        frame.clip();
        if let Some(contour) = &self.contour {
            contour.draw(&mut frame, &x, &y);
        }
        self.guides(&mut frame, &x, &y);
        for form in [Form::Band, Form::Line, Form::Dashed, Form::Points] {
            for (s, colour) in self
                .series
                .iter()
                .zip(&colours)
                .filter(|(s, _)| s.form == form)
            {
                frame.named_series(*colour, &s.label);
                s.draw(&mut frame, *colour, (&x, &self.x), (&y, &self.y));
                frame.end();
            }
        }
        self.guide_labels(&mut frame, &x, &y);
        frame.end();
        let mut caption = self.caption.clone();
        if self.series.iter().all(|s| {
            s.points
                .iter()
                .all(|p| !self.x.shows(p.0) || !self.y.shows(p.1))
        }) && self.contour.is_none()
        {
            let (x, y) = (
                (frame.left + frame.right) / 2.0,
                (frame.top + frame.bottom) / 2.0,
            );
            frame.svg.text("m", Anchor::Middle, x, y, "no data");
            caption = format!("{caption} No point fits on these axes.")
                .trim_start()
                .into();
        }
        let of = |form| self.series.iter().filter(move |s| s.form == form);
        let mut lines = of(Form::Line).chain(of(Form::Dashed)).peekable();
        if lines.peek().is_some() {
            let lines = lines.map(|s| (s.label.as_str(), &s.points[..]));
            frame.numbers((&self.x.title, &self.y.title), lines);
        }
        frame.finish(caption)
    }

    /// The margin of an axis, as a fraction of it. A surface extends to the edge.
    fn pad(&self) -> f64 {
        if self.contour.is_some() { 0.0 } else { 0.04 }
    }

    /// Draws the axes with their ticks.
    fn axes(&self, frame: &mut Frame, xs: Vec<f64>, ys: Vec<f64>) -> (Axis, Axis) {
        let x = self
            .x
            .axis(xs.into_iter(), self.pad(), frame.left, frame.right);
        // The first name is at the top.
        let (from, to) = if self.y.names.is_empty() {
            (frame.bottom, frame.top)
        } else {
            (frame.top, frame.bottom)
        };
        let y = self.y.axis(ys.into_iter(), self.pad(), from, to);
        let (ticks, labels) = self.y.ticks(&y, 5);
        let inside: Vec<usize> = (0..ticks.len())
            .filter(|i| (frame.top - 1.0..=frame.bottom + 1.0).contains(&y.at(ticks[*i])))
            .collect();
        // Names may not fit; numbers always do.
        let label = |i: usize| {
            if self.y.names.is_empty() {
                labels[i].clone()
            } else {
                fit(&labels[i], 12.0, frame.left - 14.0)
            }
        };
        let (ticks, labels): (Vec<f64>, Vec<String>) =
            inside.iter().map(|i| (ticks[*i], label(*i))).unzip();
        frame.y_axis(&y, &ticks, &labels, &self.y.title);
        let (ticks, labels) = self.x.ticks(&x, 6);
        frame.x_axis(&x, &ticks, &labels, &self.x.title);
        (x, y)
    }

    /// The colour of each series: that of the first series with the same label.
    fn colours(&self) -> Vec<usize> {
        let mut labels: Vec<&str> = Vec::new();
        let mut colours = Vec::new();
        for s in &self.series {
            let known = labels.iter().position(|l| *l == s.label && !l.is_empty());
            colours.push(known.unwrap_or(labels.len()));
            if known.is_none() {
                labels.push(&s.label);
            }
        }
        colours
    }

    /// The legend: an entry for each label, with all the forms in which it is drawn.
    fn keys(&self, colours: &[usize]) -> Vec<Key> {
        let mut keys: Vec<(usize, Parts, String)> = Vec::new();
        for (s, colour) in self
            .series
            .iter()
            .zip(colours)
            .filter(|(s, _)| !s.label.is_empty())
        {
            if keys.iter().all(|k| k.0 != *colour) {
                keys.push((*colour, Parts::default(), s.label.clone()));
            }
            if let Some((_, parts, _)) = keys.iter_mut().find(|k| k.0 == *colour) {
                match s.form {
                    Form::Line => parts.line = true,
                    Form::Dashed => parts.dashed = true,
                    Form::Points => parts.mark = true,
                    Form::Band => parts.band = true,
                }
            }
        }
        keys.into_iter()
            .map(|(colour, parts, text)| Key::Plain(colour, parts, text))
            .collect()
    }

    fn guides(&self, frame: &mut Frame, x: &Axis, y: &Axis) {
        for (_, at) in self.x.guides.iter().filter(|g| self.x.shows(g.1)) {
            frame.down("gd", x.at(*at));
        }
        for (_, at) in self.y.guides.iter().filter(|g| self.y.shows(g.1)) {
            frame.across("gd", y.at(*at));
        }
    }

    /// Draws the guides' labels above the curves, with an outline in the background colour, so that
    /// they stay readable.
    fn guide_labels(&self, frame: &mut Frame, x: &Axis, y: &Axis) {
        let (right, top) = (frame.right, frame.top);
        for (i, (label, value)) in self
            .x
            .guides
            .iter()
            .filter(|g| self.x.shows(g.1))
            .enumerate()
        {
            let at = x.at(*value);
            let (anchor, shift) = if at + 6.0 + width(label, 12.0) < right {
                (Anchor::Start, 5.0)
            } else {
                (Anchor::End, -5.0)
            };
            frame.svg.text(
                "m hl",
                anchor,
                at + shift,
                top + 13.0 + 15.0 * (i % 3) as f64,
                label,
            );
        }
        for (label, value) in self.y.guides.iter().filter(|g| self.y.shows(g.1)) {
            let at = y.at(*value);
            let above = if at - top > 16.0 { -5.0 } else { 14.0 };
            frame
                .svg
                .text("m hl", Anchor::End, right - 4.0, at + above, label);
        }
    }
}
