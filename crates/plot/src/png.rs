//! Charts as PNG, with an embedded font, so that the picture is the same everywhere. Characters
//! that it lacks, such as Chinese ones, are drawn with the system's fonts.
//!
//! `usvg` reads the SVG and turns text into outlines, and `tiny-skia` fills them. The crate `resvg`
//! does the same, but would enable features of crates that Burn uses, and so force a rebuild of
//! Burn.

use std::collections::BTreeSet;
use std::io::Write;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use fontdb::{Database, FaceInfo, ID, Style};
use tiny_skia::{
    Color, FillRule, LineCap, LineJoin, Mask, Paint, Pixmap, Stroke, StrokeDash, Transform,
};
use usvg::{FontResolver, Group, Node};

const SANS: &[u8] = include_bytes!("../fonts/DejaVuSans.ttf");
const BOLD: &[u8] = include_bytes!("../fonts/DejaVuSans-Bold.ttf");

/// Draws charts as PNG. It loads the system's fonts at most once.
pub struct Painter {
    /// Only the embedded fonts.
    ours: usvg::Options<'static>,
    /// The embedded and the system's fonts, loaded when a chart first needs them.
    all: OnceLock<usvg::Options<'static>>,
    load: fn(&mut Database),
    /// Characters that no font has.
    undrawn: Mutex<BTreeSet<char>>,
}

impl Default for Painter {
    /// A painter with the embedded fonts.
    fn default() -> Self {
        Self::with(|fonts| {
            let mut system = Database::new();
            system.load_system_fonts();
            let called = |face: &FaceInfo, part: &str| {
                face.families.iter().any(|family| family.0.contains(part))
            };
            // Colour emoji are not outlines, and only outlines are drawn.
            let mut faces: Vec<FaceInfo> = system
                .faces()
                .filter(|face| !called(face, "Color Emoji"))
                .cloned()
                .collect();
            // The first font that has a character is used, so fonts that match ours come first.
            faces.sort_by_cached_key(|face| {
                let unlike = (
                    face.style != Style::Normal,
                    !called(face, "Sans"),
                    face.monospaced,
                    face.weight.0.abs_diff(400),
                );
                (unlike, face.post_script_name.clone(), face.index)
            });
            for face in faces {
                fonts.push_face_info(face);
            }
        })
    }
}

impl Painter {
    /// `load` loads the fonts for characters that ours lack.
    fn with(load: fn(&mut Database)) -> Self {
        let mut ours = Database::new();
        ours.load_font_data(SANS.to_vec());
        ours.load_font_data(BOLD.to_vec());
        let ours = Arc::new(ours);
        Painter {
            ours: options(ours.clone(), ours),
            all: OnceLock::new(),
            load,
            undrawn: Mutex::default(),
        }
    }

    /// The characters in the charts so far that no font has, which are drawn as `?`.
    pub fn undrawn(&self) -> String {
        self.unknown().iter().collect()
    }

    fn unknown(&self) -> MutexGuard<'_, BTreeSet<char>> {
        self.undrawn.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The picture as a PNG at `scale` pixels per unit; the error says what is wrong with it.
    pub(crate) fn png(&self, mut svg: String, scale: f32) -> Result<Vec<u8>, String> {
        let options = self.fonts(&mut svg);
        let tree = usvg::Tree::from_str(&svg, options).map_err(|e| e.to_string())?;
        let size = tree.size();
        let (width, height) = (
            (size.width() * scale).round() as u32,
            (size.height() * scale).round() as u32,
        );
        let mut pixmap = Pixmap::new(width, height).ok_or("it has no size")?;
        pixmap.fill(Color::WHITE);
        group(
            tree.root(),
            &mut pixmap,
            Transform::from_scale(scale, scale),
            None,
            1.0,
        );
        encode(&pixmap).map_err(|e| e.to_string())
    }

    /// The fonts for a chart. Characters that none of them has become `?`.
    fn fonts(&self, svg: &mut String) -> &usvg::Options<'static> {
        let find = FontResolver::default_fallback_selector();
        let mut fonts = self.ours.fontdb.clone();
        let ids: Vec<ID> = fonts.faces().map(|face| face.id).collect();
        // usvg asks for a font as a fallback of one that it already has.
        let foreign: BTreeSet<char> = svg
            .chars()
            .filter(|c| !c.is_ascii() && find(*c, &ids[1..], &mut fonts).is_none())
            .collect();
        if foreign.is_empty() {
            return &self.ours;
        }
        let all = self.all.get_or_init(|| {
            let mut fonts = Database::clone(&self.ours.fontdb);
            (self.load)(&mut fonts);
            options(self.ours.fontdb.clone(), Arc::new(fonts))
        });
        let mut fonts = all.fontdb.clone();
        let undrawn: Vec<char> = foreign
            .into_iter()
            .filter(|c| find(*c, &ids, &mut fonts).is_none())
            .collect();
        *svg = svg.replace(&undrawn[..], "?");
        self.unknown().extend(undrawn);
        all
    }
}

/// Text uses our fonts; another font of `all` replaces them for characters that they lack.
fn options(ours: Arc<Database>, all: Arc<Database>) -> usvg::Options<'static> {
    let select = FontResolver::default_font_selector();
    let select_font =
        Box::new(move |font: &usvg::Font, _: &mut Arc<Database>| select(font, &mut ours.clone()));
    let font_resolver = FontResolver {
        select_font,
        ..FontResolver::default()
    };
    usvg::Options {
        font_family: "DejaVu Sans".into(),
        fontdb: all,
        font_resolver,
        ..usvg::Options::default()
    }
}

/// Draws a group. Opacities multiply down to the shapes, which is exact if shapes do not overlap
/// within a group; in our charts they never do.
fn group(g: &Group, pixmap: &mut Pixmap, base: Transform, mask: Option<&Mask>, opacity: f32) {
    let opacity = opacity * g.opacity().get();
    let own = g.clip_path().and_then(|clip| {
        let mut mask = Mask::new(pixmap.width(), pixmap.height())?;
        clip.root().children().iter().for_each(|node| {
            if let Node::Path(path) = node {
                mask.fill_path(
                    path.data(),
                    FillRule::Winding,
                    true,
                    base.pre_concat(path.abs_transform()),
                );
            }
        });
        Some(mask)
    });
    let mask = own.as_ref().or(mask);
    for node in g.children() {
        match node {
            Node::Group(inner) => group(inner, pixmap, base, mask, opacity),
            Node::Text(text) => group(text.flattened(), pixmap, base, mask, opacity),
            Node::Path(path) if path.is_visible() => shape(
                path,
                pixmap,
                base.pre_concat(path.abs_transform()),
                mask,
                opacity,
            ),
            Node::Path(_) | Node::Image(_) => {}
        }
    }
}

fn shape(path: &usvg::Path, pixmap: &mut Pixmap, at: Transform, mask: Option<&Mask>, opacity: f32) {
    let paint = |p: &usvg::Paint, own: f32| {
        let usvg::Paint::Color(c) = p else {
            return None;
        };
        let mut paint = Paint {
            anti_alias: true,
            ..Paint::default()
        };
        paint.set_color_rgba8(
            c.red,
            c.green,
            c.blue,
            (own * opacity * 255.0).round() as u8,
        );
        Some(paint)
    };
    let fill = |pixmap: &mut Pixmap| {
        if let Some(fill) = path.fill()
            && let Some(paint) = paint(fill.paint(), fill.opacity().get())
        {
            let rule = match fill.rule() {
                usvg::FillRule::EvenOdd => FillRule::EvenOdd,
                usvg::FillRule::NonZero => FillRule::Winding,
            };
            pixmap.fill_path(path.data(), &paint, rule, at, mask);
        }
    };
    let stroke = |pixmap: &mut Pixmap| {
        if let Some(stroke) = path.stroke()
            && let Some(paint) = paint(stroke.paint(), stroke.opacity().get())
        {
            let stroke = Stroke {
                width: stroke.width().get(),
                line_cap: LineCap::Round,
                line_join: LineJoin::Round,
                dash: stroke
                    .dasharray()
                    .and_then(|d| StrokeDash::new(d.to_vec(), 0.0)),
                ..Stroke::default()
            };
            pixmap.stroke_path(path.data(), &paint, &stroke, at, mask);
        }
    };
    // A label's halo is a stroke below its letters.
    match path.paint_order() {
        usvg::PaintOrder::FillAndStroke => {
            fill(pixmap);
            stroke(pixmap);
        }
        usvg::PaintOrder::StrokeAndFill => {
            stroke(pixmap);
            fill(pixmap);
        }
    }
}

/// An opaque picture as a PNG with 8 bits per channel.
fn encode(pixmap: &Pixmap) -> std::io::Result<Vec<u8>> {
    let (width, height) = (pixmap.width(), pixmap.height());
    let mut out = b"\x89PNG\r\n\x1a\n".to_vec();
    let mut head = Vec::new();
    head.extend(width.to_be_bytes());
    head.extend(height.to_be_bytes());
    // 8 bits, RGB, deflate, filters by line, not interlaced.
    head.extend([8, 2, 0, 0, 0]);
    chunk(&mut out, b"IHDR", &head);
    let mut deflate = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::new(4));
    for row in pixmap.data().chunks(4 * width as usize) {
        let rgb: Vec<u8> = row.chunks(4).flat_map(|p| [p[0], p[1], p[2]]).collect();
        // Filter "sub": the difference to the pixel on the left; flat colours become zeros.
        let line: Vec<u8> = (0..rgb.len())
            .map(|i| rgb[i].wrapping_sub(if i < 3 { 0 } else { rgb[i - 3] }))
            .collect();
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

#[cfg(test)]
mod tests {
    use super::*;

    fn picture(title: &str) -> String {
        let style = crate::theme::light();
        format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"300\" height=\"40\"><style>{style}</style>\
             <text class=\"t tt\" x=\"10\" y=\"20\">{title}</text></svg>"
        )
    }

    /// A picture with only characters of our fonts does not depend on the system's fonts, and
    /// characters that no font has are reported.
    #[test]
    fn other_fonts_are_for_other_characters() {
        const PLAIN: &str = "Test accuracy, λ ≤ ½ · −3 %";
        let bare = Painter::with(|_| {});
        let plain = bare.png(picture(PLAIN), 1.0).unwrap();
        assert_eq!(bare.undrawn(), "");
        let painter = Painter::with(|_| panic!("nothing is missing"));
        assert_eq!(painter.png(picture(PLAIN), 1.0).unwrap(), plain);
        let boxes = bare.png(picture("模型 a 模"), 1.0).unwrap();
        assert_eq!(
            (bare.undrawn().as_str(), boxes),
            ("型模", painter.png(picture("?? a ?"), 1.0).unwrap())
        );
        // Afterwards, plain text is drawn as before.
        assert_eq!(bare.png(picture(PLAIN), 1.0).unwrap(), plain);
    }

    /// The halo of a label is below its letters: on white ground it changes nothing.
    #[test]
    fn a_halo_leaves_the_letters() {
        let painter = Painter::with(|_| {});
        let plain = picture("network binds");
        let halo = plain.replace("class=\"t tt\"", "class=\"t tt hl\"");
        let [plain, halo] = [plain, halo].map(|svg| painter.png(svg, 1.0).unwrap());
        assert_eq!(plain, halo);
    }

    /// Another font draws characters that ours lack, also next to characters that no font has, and
    /// the rest of the chart does not change.
    #[test]
    fn the_systems_fonts_step_in() {
        let painter = Painter::default();
        let drawn = painter.png(picture("Ж"), 1.0).unwrap();
        let same = drawn == painter.png(picture("?"), 1.0).unwrap();
        assert_eq!(same, painter.undrawn().contains('Ж'), "drawn or reported");
    }
}
