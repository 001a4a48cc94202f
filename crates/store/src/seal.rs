//! Digests that lines and texts carry.

/// The BLAKE3 digest of some bytes, as 64 hexadecimal digits.
pub fn digest(bytes: &[u8]) -> String {
    blake3::hash(bytes).to_hex().to_string()
}

/// Digits of a line's digest: 64 bits, so that about one in 10¹⁹ damaged lines goes unnoticed.
const DIGITS: usize = 16;

/// The text in front of the digest; serde_json never writes it inside a string without escapes.
const KEY: &str = ",\"digest\":\"";

/// Adds a digest to the text of a JSON object with at least one field: `{…}` becomes `{…,"digest":"0123456789abcdef"}`.
///
/// # Panics
/// If the text does not end in a brace.
pub fn seal(object: &str) -> String {
    let open = object
        .strip_suffix('}')
        .expect("a JSON object ends in a brace");
    format!("{open}{KEY}{}\"}}", &digest(open.as_bytes())[..DIGITS])
}

/// What [`unseal`] finds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Seal {
    /// The digest is right.
    Whole,
    /// There is no digest: the line is from version 0.2 or older, or its digest was damaged.
    Absent,
    /// The digest does not match: the line has changed since it was written.
    Broken,
}

/// Checks the digest that [`seal`] added.
pub fn unseal(line: &[u8]) -> Seal {
    let tail = KEY.len() + DIGITS + 2;
    let Some(at) = line.len().checked_sub(tail) else {
        return Seal::Absent;
    };
    let (open, rest) = line.split_at(at);
    if !rest.starts_with(KEY.as_bytes()) || !rest.ends_with(b"\"}") {
        return Seal::Absent;
    }
    let found = &rest[KEY.len()..KEY.len() + DIGITS];
    if digest(open).as_bytes()[..DIGITS] == *found {
        Seal::Whole
    } else {
        Seal::Broken
    }
}

/// The start of a text's last line, a TOML comment with the digest.
const LINE: &str = "# digest of the lines above: ";

/// Adds the digest of a TOML text as a comment in its last line.
pub fn seal_text(text: &str) -> String {
    format!("{text}{LINE}{}\n", &digest(text.as_bytes())[..DIGITS])
}

/// Checks the digest that [`seal_text`] added.
pub fn unseal_text(text: &str) -> Seal {
    let Some(at) = text.rfind(LINE) else {
        return Seal::Absent;
    };
    if seal_text(&text[..at]) == text {
        Seal::Whole
    } else {
        Seal::Broken
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_flipped_bit_of_a_text_is_found_or_stands_in_the_comment() {
        let text = "seed = 5\n[model]\nname = \"mlp\"\n";
        let sealed = seal_text(text);
        assert_eq!(unseal_text(&sealed), Seal::Whole);
        assert_eq!(unseal_text(text), Seal::Absent);
        assert_eq!(unseal_text(&format!("{sealed}lr = 1\n")), Seal::Broken);
        for i in 0..sealed.len() * 8 {
            let mut flipped = sealed.clone().into_bytes();
            flipped[i / 8] ^= 1 << (i % 8);
            let Ok(flipped) = String::from_utf8(flipped) else {
                continue;
            };
            let in_the_words = (text.len()..text.len() + LINE.len()).contains(&(i / 8));
            assert_eq!(
                unseal_text(&flipped),
                if in_the_words {
                    Seal::Absent
                } else {
                    Seal::Broken
                },
                "bit {i}"
            );
        }
    }

    #[test]
    fn every_flipped_bit_is_found() {
        let line =
            seal(r#"{"schema":3,"id":"00ff","loss":0.25,"text":"ä\",\"digest\":\""}"#).into_bytes();
        assert_eq!(unseal(&line), Seal::Whole);
        for i in 0..line.len() * 8 {
            let mut flipped = line.clone();
            flipped[i / 8] ^= 1 << (i % 8);
            assert_ne!(unseal(&flipped), Seal::Whole, "bit {i}");
        }
        for cut in 1..line.len() {
            assert_ne!(unseal(&line[..cut]), Seal::Whole);
        }
        assert_eq!(unseal(br#"{"schema":2,"id":"00ff"}"#), Seal::Absent);
        assert_eq!(unseal(b"{}"), Seal::Absent);
    }

    #[test]
    fn the_digest_is_blake3() {
        // From the BLAKE3 paper's test vectors: no input.
        assert_eq!(
            digest(b""),
            "af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262"
        );
    }
}
