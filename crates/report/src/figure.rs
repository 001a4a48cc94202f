//! A chart with its title, legend and axes.

use std::path::Path;

use crate::error::ReportError;
use crate::export::png::Painter;
use crate::scale::Scale;
use crate::svg::{Anchor, COLOURS, Svg, escape, fit, fits, px, width};
use crate::theme;

/// A chart.
#[derive(Clone, PartialEq, Debug)]
pub struct Figure {
    /// The name of its file, without extension.
    pub name: String,
    /// The title.
    pub title: String,
    /// How to read it, with n, intervals, seeds and device.
    pub caption: String,
    pub(crate) width: f64,
    pub(crate) height: f64,
    body: String,
}

impl Figure {
    /// The chart as an SVG file for light and dark mode, with the caption below.
    pub fn svg(&self) -> String {
        self.file(&theme::style())
    }

    /// Writes the chart to a file: `.svg`, or `.png` in light colours at twice the size. Missing
    /// folders are created. In a `.png`, `?` replaces a character that no font on this machine has.
    ///
    /// # Errors
    /// [`ReportError::Extension`] for any other extension, [`ReportError::Io`],
    /// [`ReportError::Encode`].
    pub fn write(&self, path: impl AsRef<Path>) -> Result<(), ReportError> {
        let path = path.as_ref();
        let bytes = match path
            .extension()
            .and_then(|e| e.to_str())
            .map(str::to_ascii_lowercase)
            .as_deref()
        {
            Some("svg") => self.svg().into_bytes(),
            Some("png") => Painter::new().png(self, 2.0)?,
            _ => return Err(ReportError::Extension(path.into())),
        };
        if let Some(folder) = path.parent().filter(|p| !p.as_os_str().is_empty()) {
            std::fs::create_dir_all(folder).map_err(ReportError::io("creating", folder))?;
        }
        std::fs::write(path, bytes).map_err(ReportError::io("writing", path))
    }

    /// The chart as an SVG file in light colours only, for renderers without media queries.
    pub(crate) fn picture(&self) -> String {
        self.file(&theme::light())
    }

    fn file(&self, style: &str) -> String {
        let mut svg = Svg::default();
        let lines = wrap(&self.caption, 11.8, self.width - 24.0);
        for (i, line) in lines.iter().enumerate() {
            svg.text(
                "m sm",
                Anchor::Start,
                12.0,
                self.height + 14.0 * (i as f64 + 1.0),
                line,
            );
        }
        let (w, h) = (
            px(self.width),
            px(self.height + 14.0 * lines.len() as f64 + 12.0),
        );
        format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{w}\" height=\"{h}\" viewBox=\"0 0 {w} {h}\" role=\"img\"><title>{}</title><style>{style}</style>\
             <rect class=\"bg\" width=\"{w}\" height=\"{h}\"/>{}{}</svg>\n",
            escape(&self.title),
            self.body,
            svg.0
        )
    }

    /// The chart for a page that contains the theme's style.
    pub(crate) fn inline(&self) -> String {
        format!(
            "<svg viewBox=\"0 0 {} {}\" role=\"img\" aria-label=\"{}\">{}</svg>",
            px(self.width),
            px(self.height),
            escape(&self.title),
            self.body
        )
    }
}

fn wrap(text: &str, size: f64, room: f64) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split(' ') {
        let line = lines.last().map_or("", String::as_str);
        if !line.is_empty() && width(line, size) + width(word, size) + size * 0.4 > room {
            lines.push(String::new());
        }
        if let Some(line) = lines.last_mut() {
            if !line.is_empty() {
                line.push(' ');
            }
            line.push_str(word);
        }
    }
    lines
}

/// An entry of a legend.
pub(crate) enum Key {
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
pub(crate) struct Parts {
    pub line: bool,
    pub dashed: bool,
    pub mark: bool,
    pub band: bool,
}

/// The stroke of the `i`-th line; dashes distinguish series of the same colour.
pub(crate) fn dash(i: usize) -> &'static str {
    ["", " stroke-dasharray=\"8 3\"", " stroke-dasharray=\"2 4\""][i / COLOURS % 3]
}

/// A chart under construction: title, legend, then a plot area.
pub(crate) struct Frame {
    pub svg: Svg,
    title: String,
    name: String,
    width: f64,
    height: f64,
    /// The plot area.
    pub left: f64,
    pub right: f64,
    pub top: f64,
    pub bottom: f64,
}

/// Width of a chart: two fit side by side in a window of 1280 pixels, and one is readable in 400.
pub(crate) const WIDTH: f64 = 480.0;

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
        Frame {
            svg,
            title: title.into(),
            name: name.into(),
            width: WIDTH,
            height: top + plot + 44.0,
            left,
            right: WIDTH - 16.0,
            top,
            bottom: top + plot,
        }
    }

    /// Draws the horizontal axis. Labels that would touch the previous one are omitted.
    pub fn x_axis(&mut self, scale: &Scale, ticks: &[f64], labels: &[String], title: &str) {
        let mut free = f64::NEG_INFINITY;
        for (tick, label) in ticks.iter().zip(labels) {
            let (x, half) = (scale.at(*tick), width(label, 12.0) / 2.0);
            if x < self.left - 1.0 || x > self.right + 1.0 {
                continue;
            }
            self.svg.line("gr", x, self.top, x, self.bottom);
            if x - half > free {
                self.svg
                    .text("m", Anchor::Middle, x, self.bottom + 16.0, label);
                free = x + half + 5.0;
            }
        }
        self.svg
            .line("ax", self.left, self.bottom, self.right, self.bottom);
        self.svg
            .text("m", Anchor::End, self.right, self.bottom + 34.0, title);
    }

    /// Draws the vertical axis, with its title above.
    pub fn y_axis(&mut self, scale: &Scale, ticks: &[f64], labels: &[String], title: &str) {
        for (tick, label) in ticks.iter().zip(labels) {
            let y = scale.at(*tick);
            self.svg.line("gr", self.left, y, self.right, y);
            self.svg
                .text("m", Anchor::End, self.left - 7.0, y + 4.0, label);
        }
        self.svg
            .text("m", Anchor::Start, 12.0, self.top - 9.0, title);
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

    /// Ends a group.
    pub fn end(&mut self) {
        self.svg.raw(format_args!("</g>"));
    }

    pub fn finish(self, caption: String) -> Figure {
        Figure {
            name: self.name,
            title: self.title,
            caption,
            width: self.width,
            height: self.height,
            body: self.svg.0,
        }
    }
}
