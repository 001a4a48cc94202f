//! Colours: Okabe and Ito's, which colour-blind readers can distinguish, slightly darkened or
//! lightened to suit the background.

use std::fmt::Write;

use crate::svg::COLOURS;

struct Theme {
    ground: &'static str,
    text: &'static str,
    muted: &'static str,
    grid: &'static str,
    axis: &'static str,
    series: [&'static str; COLOURS],
}

const LIGHT: Theme = Theme {
    ground: "#ffffff",
    text: "#1b2430",
    muted: "#5a6675",
    grid: "#e6eaef",
    axis: "#9aa5b1",
    series: [
        "#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#1b2430", "#9c8f00",
        "#8516f3", "#612405",
    ],
};

const DARK: Theme = Theme {
    ground: "#161b22",
    text: "#e6edf3",
    muted: "#9ba7b4",
    grid: "#2a323c",
    axis: "#5b6673",
    series: [
        "#4aa3df", "#f0813a", "#2fbf94", "#e08fbe", "#f2b134", "#8fd0f5", "#e6edf3", "#f0e442",
        "#9a4dff", "#8a6a48",
    ],
};

fn rules(theme: &Theme, out: &mut String) {
    // Writing to a String cannot fail.
    let _ = write!(
        out,
        ".bg,.h,.wl{{fill:{}}}.t{{fill:{}}}.m{{fill:{}}}.gr{{stroke:{}}}.ax{{stroke:{}}}.o,.hl{{stroke:{}}}.gd{{stroke:{}}}.rg,.xx{{stroke:{}}}.bd{{fill:{}}}.no{{fill:{};stroke:{}}}",
        theme.ground,
        theme.text,
        theme.muted,
        theme.grid,
        theme.axis,
        theme.ground,
        theme.muted,
        theme.text,
        theme.grid,
        theme.grid,
        theme.muted
    );
    for (i, c) in theme.series.iter().enumerate() {
        let _ = write!(out, ".s{i}{{stroke:{c}}}.f{i}{{fill:{c}}}");
    }
}

/// The part of the style that is the same in light and dark mode.
const FORMS: &str = "text{font-family:system-ui,-apple-system,'Segoe UI',Roboto,'Noto Sans','DejaVu Sans',sans-serif;font-size:12px}\
.tt{font-size:14.5px;font-weight:600}.sm{font-size:11px}.b{font-weight:600}\
path{fill:none;stroke-linejoin:round;stroke-linecap:round}.gr,.ax{stroke-width:1}.gd{stroke-width:1.2;stroke-dasharray:5 4}\
.hl{paint-order:stroke;stroke-width:5px;stroke-linejoin:round}.ln{stroke-width:2}.iv{stroke-width:1.6}.mk{stroke-width:1.2}.h{stroke-width:1.8}.dot{opacity:.4}.bn{opacity:.14}.th{stroke-width:1.2;stroke-dasharray:2 3}\
.rg{fill:none;stroke-width:2.6}.no{stroke-width:.6}.xx{stroke-width:2}";

/// The style of charts: light, or dark on screen if the reader prefers it.
pub fn style() -> String {
    let mut out = String::from(FORMS);
    rules(&LIGHT, &mut out);
    // Classes are more specific than the `path` rule, so a shape's own fill wins over `fill:none`.
    out += "@media screen and (prefers-color-scheme:dark){";
    rules(&DARK, &mut out);
    out + "}"
}

/// Only the light style, for pictures.
pub fn light() -> String {
    let mut out = String::from(FORMS).replace(
        "system-ui,-apple-system,'Segoe UI',Roboto,'Noto Sans','DejaVu Sans',sans-serif",
        "'DejaVu Sans'",
    );
    rules(&LIGHT, &mut out);
    out
}

/// Cividis (Nuñez, Anderton and Renslow 2018), from dark blue to yellow, with even lightness for
/// colour-blind readers too. `t` is from 0 to 1.
pub fn heat(t: f64) -> [u8; 3] {
    const STOPS: [[f64; 3]; 7] = [
        [0.0, 34.0, 78.0],
        [36.0, 61.0, 110.0],
        [87.0, 93.0, 109.0],
        [125.0, 124.0, 120.0],
        [165.0, 156.0, 116.0],
        [210.0, 192.0, 96.0],
        [254.0, 232.0, 56.0],
    ];
    let at = t.clamp(0.0, 1.0) * (STOPS.len() - 1) as f64;
    let i = (at as usize).min(STOPS.len() - 2);
    let share = at - i as f64;
    std::array::from_fn(|k| (STOPS[i][k] + share * (STOPS[i + 1][k] - STOPS[i][k])).round() as u8)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The WCAG contrast ratio of two colours.
    fn contrast(a: &str, b: &str) -> f64 {
        let light = |c: &str| {
            let part = |i: usize| {
                let x = f64::from(u8::from_str_radix(&c[i..i + 2], 16).unwrap()) / 255.0;
                if x <= 0.04045 {
                    x / 12.92
                } else {
                    ((x + 0.055) / 1.055).powf(2.4)
                }
            };
            0.2126 * part(1) + 0.7152 * part(3) + 0.0722 * part(5)
        };
        let (a, b) = (light(a) + 0.05, light(b) + 0.05);
        a.max(b) / a.min(b)
    }

    #[test]
    fn text_can_be_read_and_lines_seen() {
        assert!((contrast("#000000", "#ffffff") - 21.0).abs() < 1e-9);
        for t in [&LIGHT, &DARK] {
            assert!(contrast(t.text, t.ground) > 12.0 && contrast(t.muted, t.ground) > 4.5);
            for c in t.series {
                assert!(contrast(c, t.ground) > 2.1, "{c}");
            }
        }
    }

    #[test]
    fn heat_grows_lighter() {
        let light = |t: f64| {
            heat(t)
                .iter()
                .zip([0.2126, 0.7152, 0.0722])
                .map(|(c, w)| f64::from(*c) * w)
                .sum::<f64>()
        };
        assert!((0..20).all(|i| light(f64::from(i) / 20.0) < light(f64::from(i + 1) / 20.0)));
    }
}
