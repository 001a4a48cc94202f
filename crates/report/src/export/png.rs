//! Charts as PNG, with a typeface of our own so that the picture is the same everywhere.
//!
//! `usvg` reads the SVG and turns text into outlines, `tiny-skia` fills them. The crate `resvg` does the same, but would turn on features of crates that
//! Burn uses, and so rebuild it.

use std::io::Write;
use std::sync::Arc;

use tiny_skia::{Color, FillRule, LineCap, LineJoin, Mask, Paint, Pixmap, Stroke, StrokeDash, Transform};
use usvg::{Group, Node};

use crate::error::ReportError;
use crate::figure::Figure;

const SANS: &[u8] = include_bytes!("../../fonts/DejaVuSans.ttf");
const BOLD: &[u8] = include_bytes!("../../fonts/DejaVuSans-Bold.ttf");

/// Draws charts.
pub(crate) struct Painter(usvg::Options<'static>);

impl Painter {
    pub fn new() -> Self {
        let mut fonts = usvg::fontdb::Database::new();
        fonts.load_font_data(SANS.to_vec());
        fonts.load_font_data(BOLD.to_vec());
        Painter(usvg::Options { font_family: "DejaVu Sans".into(), fontdb: Arc::new(fonts), ..usvg::Options::default() })
    }

    /// The chart as a PNG at `scale` pixels a unit.
    ///
    /// # Errors
    /// [`ReportError::Encode`].
    pub fn png(&self, figure: &Figure, scale: f32) -> Result<Vec<u8>, ReportError> {
        let wrong = |e: &dyn std::fmt::Display| ReportError::encode(&format!("{}.png", figure.name), e);
        let tree = usvg::Tree::from_str(&figure.picture(), &self.0).map_err(|e| wrong(&e))?;
        let size = tree.size();
        let (width, height) = ((size.width() * scale).round() as u32, (size.height() * scale).round() as u32);
        let mut pixmap = Pixmap::new(width, height).ok_or_else(|| wrong(&"it has no size"))?;
        pixmap.fill(Color::WHITE);
        group(tree.root(), &mut pixmap, Transform::from_scale(scale, scale), None, 1.0);
        encode(&pixmap).map_err(|e| wrong(&e))
    }
}

/// Draws a group. Opacities multiply down to the shapes, which is exact for shapes that do not overlap within a group; the charts have no others.
fn group(g: &Group, pixmap: &mut Pixmap, base: Transform, mask: Option<&Mask>, opacity: f32) {
    let opacity = opacity * g.opacity().get();
    let own = g.clip_path().and_then(|clip| {
        let mut mask = Mask::new(pixmap.width(), pixmap.height())?;
        clip.root().children().iter().for_each(|node| {
            if let Node::Path(path) = node {
                mask.fill_path(path.data(), FillRule::Winding, true, base.pre_concat(path.abs_transform()));
            }
        });
        Some(mask)
    });
    let mask = own.as_ref().or(mask);
    for node in g.children() {
        match node {
            Node::Group(inner) => group(inner, pixmap, base, mask, opacity),
            Node::Text(text) => group(text.flattened(), pixmap, base, mask, opacity),
            Node::Path(path) if path.is_visible() => shape(path, pixmap, base.pre_concat(path.abs_transform()), mask, opacity),
            Node::Path(_) | Node::Image(_) => {}
        }
    }
}

fn shape(path: &usvg::Path, pixmap: &mut Pixmap, at: Transform, mask: Option<&Mask>, opacity: f32) {
    let paint = |p: &usvg::Paint, own: f32| {
        let usvg::Paint::Color(c) = p else { return None };
        let mut paint = Paint { anti_alias: true, ..Paint::default() };
        paint.set_color_rgba8(c.red, c.green, c.blue, (own * opacity * 255.0).round() as u8);
        Some(paint)
    };
    if let Some(fill) = path.fill()
        && let Some(paint) = paint(fill.paint(), fill.opacity().get())
    {
        let rule = if fill.rule() == usvg::FillRule::EvenOdd { FillRule::EvenOdd } else { FillRule::Winding };
        pixmap.fill_path(path.data(), &paint, rule, at, mask);
    }
    if let Some(stroke) = path.stroke()
        && let Some(paint) = paint(stroke.paint(), stroke.opacity().get())
    {
        let stroke = Stroke {
            width: stroke.width().get(),
            line_cap: LineCap::Round,
            line_join: LineJoin::Round,
            dash: stroke.dasharray().and_then(|d| StrokeDash::new(d.to_vec(), 0.0)),
            ..Stroke::default()
        };
        pixmap.stroke_path(path.data(), &paint, &stroke, at, mask);
    }
}

/// An opaque picture as a PNG of 8 bits a channel.
fn encode(pixmap: &Pixmap) -> std::io::Result<Vec<u8>> {
    let (width, height) = (pixmap.width(), pixmap.height());
    let mut out = b"\x89PNG\r\n\x1a\n".to_vec();
    let mut head = Vec::new();
    head.extend(width.to_be_bytes());
    head.extend(height.to_be_bytes());
    // 8 bits, RGB, deflate, filters by line, not interlaced.
    head.extend([8, 2, 0, 0, 0]);
    chunk(&mut out, b"IHDR", &head);
    let mut deflate = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::best());
    for row in pixmap.data().chunks(4 * width as usize) {
        let rgb: Vec<u8> = row.chunks(4).flat_map(|p| [p[0], p[1], p[2]]).collect();
        // Filter "sub": the difference to the pixel on the left; flat colours become zeros.
        let line: Vec<u8> = (0..rgb.len()).map(|i| rgb[i].wrapping_sub(if i < 3 { 0 } else { rgb[i - 3] })).collect();
        deflate.write_all(&[1])?;
        deflate.write_all(&line)?;
    }
    chunk(&mut out, b"IDAT", &deflate.finish()?);
    chunk(&mut out, b"IEND", &[]);
    Ok(out)
}

fn chunk(out: &mut Vec<u8>, kind: &[u8; 4], data: &[u8]) {
    out.extend((data.len() as u32).to_be_bytes());
    let mut crc = crc32fast::Hasher::new();
    crc.update(kind);
    crc.update(data);
    out.extend(kind);
    out.extend(data);
    out.extend(crc.finalize().to_be_bytes());
}
