//! Names of files, and sentences that begin with a name.

/// File stems for charts with these labels, all different.
pub fn stems<'l>(labels: impl IntoIterator<Item = &'l str>) -> Vec<String> {
    let mut out: Vec<String> = Vec::new();
    for label in labels {
        let stem = stem(label);
        let numbered = (out.len() + 1..).map(|n| {
            if stem.is_empty() {
                n.to_string()
            } else {
                format!("{stem}-{n}")
            }
        });
        let free = Some(stem.clone())
            .filter(|s| !s.is_empty())
            .into_iter()
            .chain(numbered)
            .find(|s| !out.contains(s));
        out.extend(free);
    }
    out
}

/// Most systems limit a file name to 255 bytes, and a stem is only a part of it.
const LONGEST_STEM: usize = 120;

/// A file stem from any text: letters and digits of any script in lower case, and hyphens. A long
/// one is cut and ends with the text's checksum.
pub fn stem(text: &str) -> String {
    let words = text
        .split(|c: char| !c.is_alphanumeric())
        .filter(|word| !word.is_empty());
    let mut out = words.map(str::to_lowercase).collect::<Vec<_>>().join("-");
    if out.len() > LONGEST_STEM {
        let end = (0..=LONGEST_STEM - 9)
            .rev()
            .find(|at| out.is_char_boundary(*at))
            .unwrap_or(0);
        out.truncate(end);
        out = format!(
            "{}-{:08x}",
            out.trim_end_matches('-'),
            crc32fast::hash(text.as_bytes())
        );
    }
    out
}

/// The text with its first letter in upper case.
pub fn capital(text: &str) -> String {
    let mut chars = text.chars();
    chars
        .next()
        .map_or(String::new(), |c| c.to_uppercase().chain(chars).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stems_are_readable_short_and_different() {
        assert_eq!(
            stem("linear, warm-up · batch 512"),
            "linear-warm-up-batch-512"
        );
        assert_eq!(stem("Скорость 0.5 · batch 16"), "скорость-0-5-batch-16");
        assert_eq!(stem("学習率/大"), "学習率-大");
        assert_eq!(
            (stem("a\u{0}/..\\b:*?\"<>|"), stem("·")),
            ("a-b".into(), String::new())
        );
        let (x, y) = ("x".repeat(300) + " one", "x".repeat(300) + " two");
        assert!(
            stem(&x).len() <= LONGEST_STEM && stem(&x) != stem(&y),
            "{}",
            stem(&x)
        );
        assert!(stem(&"大".repeat(100)).len() <= LONGEST_STEM);
        assert_eq!(
            stems(["a-3", "a", "A", "·", "·"]),
            ["a-3", "a", "a-4", "4", "5"]
        );
    }
}
