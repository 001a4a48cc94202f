//! A small SVG writer. Colours come from classes (see [`theme`](crate::theme)), so that one drawing
//! works in light and dark mode.

use std::fmt::Write;

/// An SVG under construction.
#[derive(Clone, Default)]
pub struct Svg(pub String);

/// Which part of a text is at its x.
#[derive(Clone, Copy)]
pub enum Anchor {
    /// Its start.
    Start,
    /// Its middle.
    Middle,
    /// Its end.
    End,
}

/// Where an arrow points.
#[derive(Clone, Copy)]
pub enum Way {
    /// To the left.
    Left,
    /// To the right.
    Right,
    /// Downwards.
    Down,
    /// Upwards.
    Up,
}

impl Svg {
    /// Appends markup.
    pub fn raw(&mut self, markup: std::fmt::Arguments) {
        // Writing to a String cannot fail.
        let _ = self.0.write_fmt(markup);
    }

    /// A line from (`x1`, `y1`) to (`x2`, `y2`).
    pub fn line(&mut self, class: &str, x1: f64, y1: f64, x2: f64, y2: f64) {
        self.raw(format_args!(
            "<path class=\"{class}\" d=\"M{} {}L{} {}\"/>",
            px(x1),
            px(y1),
            px(x2),
            px(y2)
        ));
    }

    /// A text, escaped.
    pub fn text(&mut self, class: &str, anchor: Anchor, x: f64, y: f64, text: &str) {
        let anchor = match anchor {
            Anchor::Start => "",
            Anchor::Middle => " text-anchor=\"middle\"",
            Anchor::End => " text-anchor=\"end\"",
        };
        self.raw(format_args!(
            "<text class=\"{class}\"{anchor} x=\"{}\" y=\"{}\">{}</text>",
            px(x),
            px(y),
            escape(text)
        ));
    }

    /// A line through points, broken at points that are not finite.
    pub fn polyline(
        &mut self,
        class: &str,
        extra: &str,
        points: impl IntoIterator<Item = (f64, f64)>,
    ) {
        let (mut d, mut pen) = (String::new(), 'M');
        for (x, y) in points {
            if x.is_finite() && y.is_finite() {
                let _ = write!(d, "{pen}{} {}", px(x), px(y));
                pen = 'L';
            } else {
                pen = 'M';
            }
        }
        if !d.is_empty() {
            self.raw(format_args!("<path class=\"{class}\"{extra} d=\"{d}\"/>"));
        }
    }

    /// A mark of the `shape`-th form with a tooltip. A hollow mark flags an unusual case.
    pub fn mark(&mut self, series: usize, hollow: bool, x: f64, y: f64, r: f64, tip: &str) {
        self.outline(series, hollow, &shape(series, x, y, r), tip);
    }

    /// An arrow that points to the edge of an axis, for a mark that is beyond it.
    pub fn arrow(&mut self, series: usize, hollow: bool, (x, y): (f64, f64), way: Way, tip: &str) {
        let mut d = String::new();
        for (k, (dx, dy)) in [
            (1.0, 0.0),
            (8.0, -5.5),
            (8.0, -1.8),
            (15.0, -1.8),
            (15.0, 1.8),
            (8.0, 1.8),
            (8.0, 5.5),
        ]
        .iter()
        .enumerate()
        {
            let (ax, ay) = match way {
                Way::Left => (x + dx, y + dy),
                Way::Right => (x - dx, y + dy),
                Way::Down => (x + dy, y - dx),
                Way::Up => (x + dy, y + dx),
            };
            let _ = write!(d, "{}{} {}", if k == 0 { 'M' } else { 'L' }, px(ax), px(ay));
        }
        self.outline(series, hollow, &(d + "Z"), tip);
    }

    fn outline(&mut self, series: usize, hollow: bool, d: &str, tip: &str) {
        let (fill, tip) = (
            if hollow {
                "h".to_string()
            } else {
                format!("f{}", series % COLOURS)
            },
            escape(tip),
        );
        let class = format!("mk {fill} s{}", series % COLOURS);
        let class = if hollow {
            class
        } else {
            format!("mk {fill} o")
        };
        self.raw(format_args!(
            "<path class=\"{class}\" d=\"{d}\"><title>{tip}</title></path>"
        ));
    }

    /// An interval with end caps, horizontal if `across`, else vertical.
    pub fn interval(&mut self, series: usize, across: bool, at: f64, a: f64, b: f64) {
        let class = format!("iv s{}", series % COLOURS);
        let p = |along: f64, side: f64| {
            if across {
                (along, at + side)
            } else {
                (at + side, along)
            }
        };
        let mut d = String::new();
        for ((x1, y1), (x2, y2)) in [
            (p(a, 0.0), p(b, 0.0)),
            (p(a, -4.0), p(a, 4.0)),
            (p(b, -4.0), p(b, 4.0)),
        ] {
            let _ = write!(d, "M{} {}L{} {}", px(x1), px(y1), px(x2), px(y2));
        }
        self.raw(format_args!("<path class=\"{class}\" d=\"{d}\"/>"));
    }
}

/// Number of colours in the theme.
pub const COLOURS: usize = 10;
/// Seven and ten have no common factor, so 70 series look different.
const SHAPES: usize = 7;

/// The outline of the `i`-th form of mark. All have about the same area.
fn shape(i: usize, x: f64, y: f64, r: f64) -> String {
    let polygon = |points: &[(f64, f64)]| {
        let mut d = String::new();
        for (k, (dx, dy)) in points.iter().enumerate() {
            let _ = write!(
                d,
                "{}{} {}",
                if k == 0 { 'M' } else { 'L' },
                px(x + dx * r),
                px(y + dy * r)
            );
        }
        d + "Z"
    };
    match i % SHAPES {
        0 => format!(
            "M{} {}a{r} {r} 0 1 0 {} 0a{r} {r} 0 1 0 {} 0Z",
            px(x - r),
            px(y),
            px(2.0 * r),
            px(-2.0 * r)
        ),
        1 => polygon(&[(-0.88, -0.88), (0.88, -0.88), (0.88, 0.88), (-0.88, 0.88)]),
        2 => polygon(&[(0.0, -1.25), (1.15, 0.8), (-1.15, 0.8)]),
        3 => polygon(&[(0.0, -1.3), (1.1, 0.0), (0.0, 1.3), (-1.1, 0.0)]),
        4 => polygon(&[(0.0, 1.25), (1.15, -0.8), (-1.15, -0.8)]),
        5 => {
            let (a, b) = (0.42, 1.2);
            polygon(&[
                (-a, -b),
                (a, -b),
                (a, -a),
                (b, -a),
                (b, a),
                (a, a),
                (a, b),
                (-a, b),
                (-a, a),
                (-b, a),
                (-b, -a),
                (-a, -a),
            ])
        }
        _ => {
            let star: Vec<(f64, f64)> = (0..10)
                .map(|k| {
                    let (angle, r) = (
                        std::f64::consts::PI * (f64::from(k) / 5.0 - 0.5),
                        if k % 2 == 0 { 1.4 } else { 0.62 },
                    );
                    (r * angle.cos(), r * angle.sin())
                })
                .collect();
            polygon(&star)
        }
    }
}

/// A coordinate, rounded to a tenth of a pixel.
pub fn px(x: f64) -> String {
    let text = format!("{:.1}", x.clamp(-1e5, 1e5));
    match text.strip_suffix(".0") {
        Some("-0") => "0".into(),
        Some(whole) => whole.into(),
        None => text,
    }
}

/// Escapes text for HTML and SVG. Control characters, which XML forbids, are removed.
pub fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c if c.is_control() && !matches!(c, '\n' | '\t') => {}
            c => out.push(c),
        }
    }
    out
}

/// The approximate width of a text at a font size. Readers' fonts differ by about a tenth.
pub fn width(text: &str, size: f64) -> f64 {
    let unit = |c: char| match c {
        'i' | 'j' | 'l' | '.' | ',' | ':' | ';' | '|' | '\'' | 'I' | '·' | '\u{202f}' => 0.3,
        'f' | 't' | 'r' | ' ' | '(' | ')' | '[' | ']' | '-' => 0.38,
        'm' | 'w' | 'M' | 'W' | '%' | '=' | '+' | '−' | '<' | '>' | '≤' | '≥' | '~' | '^' | '∝' => {
            0.88
        }
        // Chinese, Japanese and Korean, full-width forms, emoji.
        '\u{1100}'..='\u{115f}'
        | '\u{2e80}'..='\u{a4cf}'
        | '\u{ac00}'..='\u{d7a3}'
        | '\u{f900}'..='\u{faff}' => 1.0,
        '\u{fe30}'..='\u{fe6f}'
        | '\u{ff00}'..='\u{ff60}'
        | '\u{1f300}'..='\u{1faff}'
        | '\u{20000}'..='\u{3fffd}' => 1.0,
        c if c.is_uppercase() => 0.68,
        _ => 0.56,
    };
    text.chars().map(unit).sum::<f64>() * size
}

/// Shortens a text to a width: a text that is too long keeps its beginning and its end, where names
/// differ most, with an ellipsis between.
pub fn fit(text: &str, size: f64, room: f64) -> String {
    if width(text, size) <= room {
        return text.into();
    }
    let taken = |chars: &mut dyn Iterator<Item = char>, room: f64| {
        let mut used = 0.0;
        let fits = |c: &char| {
            used += width(c.encode_utf8(&mut [0; 4]), size);
            used <= room
        };
        chars.take_while(fits).collect::<String>()
    };
    let room = room - size;
    let end: String = taken(&mut text.chars().rev(), 0.4 * room)
        .chars()
        .rev()
        .collect();
    let beginning = taken(&mut text.chars(), room - width(&end, size));
    format!("{}…{}", beginning.trim_end(), end.trim_start())
}

/// [`fit`] for several texts: those that would look the same are numbered.
pub fn fits(texts: &[&str], size: f64, room: f64) -> Vec<String> {
    let short: Vec<String> = texts.iter().map(|text| fit(text, size, room)).collect();
    let alike = |i: usize| (0..texts.len()).any(|j| short[j] == short[i] && texts[j] != texts[i]);
    (0..texts.len())
        .map(|i| {
            if alike(i) {
                fit(&format!("{}. {}", i + 1, texts[i]), size, room)
            } else {
                short[i].clone()
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_escaped() {
        assert_eq!(
            escape("<a href=\"x\">&'\u{7}"),
            "&lt;a href=&quot;x&quot;&gt;&amp;&#39;"
        );
        assert_eq!(
            (px(-0.01), px(2.0), px(1.26)),
            ("0".into(), "2".into(), "1.3".into())
        );
        let (short, wide) = (
            fit("momentum, weight decay 0.0001", 12.0, 100.0),
            fit(&"大".repeat(30), 12.0, 100.0),
        );
        assert!(
            short.starts_with("momen") && short.contains('…') && short.ends_with("0001"),
            "{short}"
        );
        assert_ne!(short, fit("momentum, weight decay 0.0005", 12.0, 100.0));
        let (a, b) = (
            "x".repeat(99) + "a · batch 128",
            "x".repeat(99) + "b · batch 128",
        );
        let alike = fits(&[&a, &b, "c", &a], 12.0, 100.0);
        assert!(
            alike[0].starts_with("1. x") && alike[1].starts_with("2. x") && alike[2] == "c",
            "{alike:?}"
        );
        assert!(
            width(&short, 12.0) <= 100.0 && width(&wide, 12.0) <= 100.0 && wide.chars().count() < 9,
            "{wide}"
        );
    }

    #[test]
    fn marks_of_seventy_series_differ() {
        let mut seen: Vec<String> = (0..70)
            .map(|i| format!("{} {}", i % COLOURS, shape(i, 0.0, 0.0, 4.0)))
            .collect();
        seen.sort();
        seen.dedup();
        assert_eq!(seen.len(), 70);
    }
}
