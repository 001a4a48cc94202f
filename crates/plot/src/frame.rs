//! A chart under construction.

use std::fmt::Write as _;

use crate::axis::Axis;
use crate::figure::Figure;
use crate::number::significant;
use crate::svg::{Anchor, COLOURS, Svg, escape, fit, fits, px, width};

/// An entry of a legend.
pub enum Key {
    /// A series with its mark.
    Series(usize, String),
    /// A hollow mark of a series.
    Hollow(usize, String),
    /// A dashed line.
    Guide(String),
    /// A dotted line.
    Fit(String),
    /// A series drawn in these forms.
    Plain(usize, Parts, String),
}

/// The forms in which a series is drawn.
#[derive(Clone, Copy, Default)]
pub struct Parts {
    /// A line.
    pub line: bool,
    /// A dashed line.
    pub dashed: bool,
    /// Marks.
    pub mark: bool,
    /// A band.
    pub band: bool,
}

/// The stroke of the `i`-th line; dashes distinguish series of the same colour.
pub fn dash(i: usize) -> &'static str {
    ["", " stroke-dasharray=\"8 3\"", " stroke-dasharray=\"2 4\""][i / COLOURS % 3]
}

/// A chart under construction: title, legend, then a plot area.
pub struct Frame {
    /// The drawing.
    pub svg: Svg,
    title: String,
    name: String,
    attributes: String,
    /// The left edge of the plot area.
    pub left: f64,
    /// Its right edge.
    pub right: f64,
    /// Its upper edge.
    pub top: f64,
    /// Its lower edge; 44 pixels below it are for the axis.
    pub bottom: f64,
}

/// Width of a chart: two fit side by side in a window of 1280 pixels, and one is readable in 400.
pub const WIDTH: f64 = 480.0;

impl Frame {
    /// A frame with a plot area of height `plot`, and `left` pixels for labels.
    pub fn new(name: &str, title: &str, keys: &[Key], left: f64, plot: f64) -> Self {
        let mut svg = Svg::default();
        svg.text(
            "t tt",
            Anchor::Start,
            12.0,
            22.0,
            &fit(title, 15.0, WIDTH - 20.0),
        );
        let (mut x, mut y) = (16.0, 43.0);
        let texts = keys.iter().map(|key| match key {
            Key::Series(_, t)
            | Key::Hollow(_, t)
            | Key::Guide(t)
            | Key::Fit(t)
            | Key::Plain(_, _, t) => t.as_str(),
        });
        let texts = fits(&texts.collect::<Vec<_>>(), 12.0, WIDTH - 60.0);
        for (key, text) in keys.iter().zip(texts) {
            let room = 24.0 + width(&text, 12.0);
            if x + room > WIDTH - 8.0 && x > 16.0 {
                (x, y) = (16.0, y + 18.0);
            }
            match key {
                Key::Series(i, _) => {
                    svg.raw(format_args!("<g class=\"key\" data-s=\"{i}\">"));
                    svg.line(
                        &format!("ln s{}", i % COLOURS),
                        x - 6.0,
                        y - 4.0,
                        x + 10.0,
                        y - 4.0,
                    );
                    svg.mark(*i, false, x + 2.0, y - 4.0, 4.2, &text);
                }
                Key::Hollow(i, _) => {
                    svg.raw(format_args!("<g>"));
                    svg.mark(*i, true, x + 2.0, y - 4.0, 4.2, &text);
                }
                Key::Guide(_) | Key::Fit(_) => {
                    svg.raw(format_args!("<g>"));
                    svg.line(
                        if matches!(key, Key::Guide(_)) {
                            "gd"
                        } else {
                            "th gd"
                        },
                        x - 6.0,
                        y - 4.0,
                        x + 10.0,
                        y - 4.0,
                    );
                }
                Key::Plain(i, parts, _) => {
                    svg.raw(format_args!("<g class=\"key\" data-s=\"{i}\">"));
                    let (class, ends) = (i % COLOURS, [(x - 7.0, y - 4.0), (x + 11.0, y - 4.0)]);
                    if parts.band {
                        let corners = [
                            (x - 7.0, y - 9.0),
                            (x + 11.0, y - 9.0),
                            (x + 11.0, y + 1.0),
                            (x - 7.0, y + 1.0),
                        ];
                        svg.polyline(&format!("bn f{class}"), "", corners);
                    }
                    if parts.line {
                        svg.polyline(&format!("ln s{class}"), dash(*i), ends);
                    } else if parts.dashed {
                        svg.polyline(&format!("ln s{class}"), " stroke-dasharray=\"5 4\"", ends);
                    }
                    if parts.mark {
                        svg.mark(*i, false, x + 2.0, y - 4.0, 4.2, &text);
                    }
                }
            }
            svg.text("t", Anchor::Start, x + 15.0, y, &text);
            svg.raw(format_args!("</g>"));
            x += room + 12.0;
        }
        let top = if keys.is_empty() { 50.0 } else { y + 32.0 };
        svg.raw(format_args!("<g class=\"area\">"));
        Frame {
            svg,
            attributes: String::new(),
            title: title.into(),
            name: name.into(),
            left,
            right: WIDTH - 16.0,
            top,
            bottom: top + plot,
        }
    }

    /// Draws the horizontal axis. Labels that would touch the previous one are omitted.
    pub fn x_axis(&mut self, scale: &Axis, ticks: &[f64], labels: &[String], title: &str) {
        self.axis('x', scale, title);
        let mut free = f64::NEG_INFINITY;
        for (tick, label) in ticks.iter().zip(labels) {
            let (x, half) = (scale.at(*tick), width(label, 12.0) / 2.0);
            if x < self.left - 1.0 || x > self.right + 1.0 {
                continue;
            }
            self.down("gr", x);
            if x - half > free {
                self.svg
                    .text("m", Anchor::Middle, x, self.bottom + 16.0, label);
                free = x + half + 5.0;
            }
        }
        self.across("ax", self.bottom);
        self.svg
            .text("m", Anchor::End, self.right, self.bottom + 34.0, title);
        self.end();
    }

    /// Begins the drawing of an axis. The page can draw a logarithmic one as a linear one.
    fn axis(&mut self, way: char, scale: &Axis, title: &str) {
        self.svg.raw(format_args!("<g class=\"{way}a\">"));
        if let Some(ends) = scale.logarithmic() {
            self.attributes += &format!(" data-log{way}=\"{ends} {}\"", escape(title));
        }
    }

    /// Draws the horizontal axis with a tick at each of these values.
    pub fn x_values(&mut self, scale: &Axis, values: &[f64], title: &str) {
        let labels: Vec<String> = values.iter().map(|v| significant(*v, 7)).collect();
        self.x_axis(scale, values, &labels, title);
    }

    /// Draws the vertical axis, with its title above.
    pub fn y_axis(&mut self, scale: &Axis, ticks: &[f64], labels: &[String], title: &str) {
        self.axis('y', scale, title);
        for (tick, label) in ticks.iter().zip(labels) {
            let y = scale.at(*tick);
            self.across("gr", y);
            self.svg
                .text("m", Anchor::End, self.left - 7.0, y + 4.0, label);
        }
        self.svg
            .text("m", Anchor::Start, 12.0, self.top - 9.0, title);
        self.end();
    }

    /// A vertical line through the plot area.
    pub fn down(&mut self, class: &str, x: f64) {
        self.svg.line(class, x, self.top, x, self.bottom);
    }

    /// A horizontal line through the plot area.
    pub fn across(&mut self, class: &str, y: f64) {
        self.svg.line(class, self.left, y, self.right, y);
    }

    /// Begins a group that is clipped to the plot area.
    pub fn clip(&mut self) {
        let (x, y, w, h) = (
            px(self.left),
            px(self.top),
            px(self.right - self.left),
            px(self.bottom - self.top),
        );
        let name = escape(&self.name);
        self.svg.raw(format_args!(
            "<clipPath id=\"c-{name}\"><rect x=\"{x}\" y=\"{y}\" width=\"{w}\" height=\"{h}\"/></clipPath><g clip-path=\"url(#c-{name})\">"
        ));
    }

    /// Begins the drawing of a series, which the page can highlight.
    pub fn series(&mut self, i: usize) {
        self.svg
            .raw(format_args!("<g class=\"ser\" data-s=\"{i}\">"));
    }

    /// The same for a series with a name, by which the page finds it in other figures.
    pub fn named_series(&mut self, i: usize, name: &str) {
        let name = escape(name);
        self.svg.raw(format_args!(
            "<g class=\"ser\" data-s=\"{i}\" data-n=\"{name}\">"
        ));
    }

    /// Begins what shows the results of a group of trials, or of several.
    pub fn of_group(&mut self, group: impl std::fmt::Display) {
        self.svg.raw(format_args!("<g data-g=\"{group}\">"));
    }

    /// Lets a page draw the plot area anew, as `kind`.
    pub fn redrawn_as(&mut self, kind: &str) {
        self.attributes += &format!(" data-kind=\"{}\"", escape(kind));
    }

    /// Gives the page the numbers behind lines: the titles of the axes, then each line's label and
    /// points.
    pub(crate) fn numbers<'l>(
        &mut self,
        (x, y): (&str, &str),
        lines: impl Iterator<Item = (&'l str, &'l [(f64, f64)])>,
    ) {
        let short = |v: f64| format!("{v:.4e}").parse().unwrap_or(v);
        let mut text = format!("{x}\t{y}");
        for (label, points) in lines {
            // A label with a tab or a line end would be read as points.
            let label = label.replace(|c: char| c.is_control(), " ");
            let _ = write!(text, "\n{label}\t");
            for (i, (x, y)) in points.iter().enumerate() {
                let between = if i > 0 { " " } else { "" };
                let _ = write!(text, "{between}{} {}", short(*x), short(*y));
            }
        }
        self.attributes += &format!(" data-lines=\"{}\"", escape(&text));
    }

    /// Ends a group.
    pub fn end(&mut self) {
        self.svg.raw(format_args!("</g>"));
    }

    /// The chart with its caption.
    pub fn finish(mut self, caption: String) -> Figure {
        self.end();
        let (left, right) = (px(self.left), px(self.right));
        let (top, bottom) = (px(self.top), px(self.bottom));
        self.attributes += &format!(" data-frame=\"{left} {right} {top} {bottom}\"");
        Figure {
            name: self.name,
            title: self.title,
            caption,
            width: WIDTH,
            height: self.bottom + 44.0,
            body: self.svg.0,
            attributes: self.attributes,
        }
    }
}
