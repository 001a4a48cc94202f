//! A finished chart.

use std::path::Path;

use crate::error::PlotError;
use crate::png::Painter;
use crate::svg::{Anchor, Svg, escape, px, width};
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
    pub(crate) body: String,
    /// What the page’s script needs to draw it anew, as attributes of the inline SVG.
    pub(crate) attributes: String,
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
    /// [`PlotError::Extension`] for any other extension, [`PlotError::Io`],
    /// [`PlotError::Draw`].
    pub fn write(&self, path: impl AsRef<Path>) -> Result<(), PlotError> {
        let path = path.as_ref();
        let bytes = match path
            .extension()
            .and_then(|e| e.to_str())
            .map(str::to_ascii_lowercase)
            .as_deref()
        {
            Some("svg") => self.svg().into_bytes(),
            Some("png") => self.png(&Painter::default())?,
            _ => return Err(PlotError::Extension(path.into())),
        };
        if let Some(folder) = path.parent().filter(|p| !p.as_os_str().is_empty()) {
            std::fs::create_dir_all(folder).map_err(PlotError::io("creating", folder))?;
        }
        std::fs::write(path, bytes).map_err(PlotError::io("writing", path))
    }

    /// The chart as a PNG in light colours at twice its size, for print and slides.
    ///
    /// # Errors
    /// [`PlotError::Draw`].
    pub fn png(&self, painter: &Painter) -> Result<Vec<u8>, PlotError> {
        let picture = self.file(&theme::light());
        painter
            .png(picture, 2.0)
            .map_err(|message| PlotError::Draw {
                figure: self.name.clone(),
                message,
            })
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

    /// The chart for a page that contains the [`style`](crate::style).
    pub fn inline(&self) -> String {
        format!(
            "<svg viewBox=\"0 0 {} {}\" role=\"img\" aria-label=\"{}\"{}>{}</svg>",
            px(self.width),
            px(self.height),
            escape(&self.title),
            self.attributes,
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
