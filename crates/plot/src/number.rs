//! Readable numbers.

/// `x` with `digits` significant digits and no trailing zeros: 0.0316, 512, 1.2e-7.
pub fn significant(x: f64, digits: usize) -> String {
    if x == 0.0 || !x.is_finite() {
        return if x == 0.0 { "0".into() } else { "–".into() };
    }
    let magnitude = x.abs().log10().floor() as i32;
    if !(-4..7).contains(&magnitude) {
        let text = format!("{x:.*e}", digits - 1);
        // 1.0e-7 is written as 1e-7.
        let text = text.replacen('-', if x < 0.0 { "−" } else { "-" }, 1);
        return match text.split_once('e') {
            Some((m, e)) if m.contains('.') => {
                format!("{}e{e}", m.trim_end_matches('0').trim_end_matches('.'))
            }
            _ => text,
        };
    }
    let decimals = (digits as i32 - 1 - magnitude).max(0) as usize;
    let text = format!("{x:.decimals$}");
    let text = if text.contains('.') {
        text.trim_end_matches('0').trim_end_matches('.').to_string()
    } else {
        text
    };
    text.replacen('-', "−", 1)
}

/// `x` with `digits` significant digits, for a column of a table: 12.40, 0.5000, 1234, 56789.
pub fn fixed(x: f64, digits: usize) -> String {
    if !x.is_finite() {
        return "–".into();
    }
    // The exponent after rounding: 9.9996 is 10.00.
    let text = format!("{x:.*e}", digits.saturating_sub(1));
    let exponent = text.split_once('e').and_then(|(_, e)| e.parse().ok());
    let decimals = (digits as i32 - 1 - exponent.unwrap_or(0)).max(0) as usize;
    format!("{x:.decimals$}").replacen('-', "−", 1)
}

/// An integer, with thin spaces between thousands if it has five digits or more: 60 000, 4096.
pub fn whole(n: u64) -> String {
    let digits = n.to_string();
    if digits.len() < 5 {
        return digits;
    }
    let mut out = String::new();
    for (i, c) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push('\u{202f}');
        }
        out.push(c);
    }
    out
}

/// Seconds as a duration: `850 ms`, `12 s`, `3 min 20 s`, `5 h 12 min`.
pub fn duration(seconds: f64) -> String {
    let s = seconds.round() as u64;
    match s {
        _ if seconds < 1.0 => format!("{:.0} ms", seconds * 1000.0),
        0..60 => format!("{s} s"),
        60..3600 => format!("{} min {} s", s / 60, s % 60),
        _ => format!("{} h {} min", s / 3600, s % 3600 / 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short() {
        for (x, text) in [
            (0.031_622_7, "0.0316"),
            (512.0, "512"),
            (0.1, "0.1"),
            (1.25e-7, "1.25e-7"),
            (1e-7, "1e-7"),
            (-1e-7, "−1e-7"),
            (1000.0, "1000"),
            (-0.5, "−0.5"),
            (0.0, "0"),
            (f64::NAN, "–"),
        ] {
            assert_eq!(significant(x, 3), text);
        }
        for (x, text) in [
            (12.4, "12.40"),
            (9.9996, "10.00"),
            (-0.5, "−0.5000"),
            (56_789.4, "56789"),
            (0.0, "0.000"),
            (f64::INFINITY, "–"),
        ] {
            assert_eq!(fixed(x, 4), text);
        }
        assert_eq!(
            (whole(4096), whole(60_000), whole(1_234_567)),
            (
                "4096".into(),
                "60\u{202f}000".into(),
                "1\u{202f}234\u{202f}567".into()
            )
        );
        assert_eq!(
            (duration(0.85), duration(200.0), duration(18_730.0)),
            ("850 ms".into(), "3 min 20 s".into(), "5 h 12 min".into())
        );
    }
}
