//! Mutations of bytes: bits, bytes, lines and numbers that are changed, removed, doubled, or made
//! absurd.

use crate::fault::Dice;

/// Numbers that few formats accept.
const NUMBERS: &[&str] = &[
    "-1",
    "0",
    "-0",
    "1e308",
    "1e999",
    "nan",
    "NaN",
    "inf",
    "-inf",
    "99999999999999999999",
    "1e-320",
    "2147483648",
    "4294967296",
    "-9223372036854775808",
    "18446744073709551615",
    "1000000000",
    "0x10",
    "1_000",
    "٣",
    "",
    "\"1\"",
    "[]",
    "0.1.2",
];

/// Characters that have a meaning in some format, or in none.
const TEXTS: &[&str] = &[
    "\u{feff}", "\0", "é", "\u{202e}", "\r", "\r\n", "\"", "\"\"", "\t", "💥", "\n\n", "'", ",",
    "=", "[", "{", "}", "#", "\\", "\\u0000", "\u{2028}",
];

/// Absurd lengths in binary files.
const WORDS: [[u8; 4]; 4] = [[0xff; 4], [0x7f, 0xff, 0xff, 0xff], [0x80, 0, 0, 0], [0; 4]];

/// Changes some bytes in a random way, and says how.
pub fn mutate(bytes: &mut Vec<u8>, dice: &mut Dice) -> String {
    if bytes.is_empty() {
        bytes.extend(b"\0");
        return "one zero byte".into();
    }
    // Headers are short, so a third of all changes are among the first bytes.
    let most = if dice.chance(0.33) {
        bytes.len().min(64)
    } else {
        bytes.len()
    };
    let (at, more) = (dice.below(most), dice.below(most) + 1);
    let end = (at + if dice.chance(0.8) { more.min(12) } else { more }).min(bytes.len());
    let text = std::str::from_utf8(bytes).is_ok() && !bytes.contains(&0);
    // Broken text is refused at once; changed numbers get further.
    if text && dice.chance(0.5) {
        return number(bytes, at, dice);
    }
    match dice.below(12) {
        0 => {
            bytes[at] ^= 1 << dice.below(8);
            format!("a bit of byte {at}")
        }
        1 => {
            bytes.drain(at..end);
            format!("bytes {at} to {end} deleted")
        }
        2 => {
            let random: Vec<u8> = (0..1 + dice.below(8))
                .map(|_| {
                    if text {
                        32 + dice.below(95) as u8
                    } else {
                        dice.below(256) as u8
                    }
                })
                .collect();
            let what = format!("{:?} inserted at {at}", String::from_utf8_lossy(&random));
            bytes.splice(at..at, random);
            what
        }
        3 => {
            let copy = bytes[at..end].repeat(1 + dice.below(3));
            bytes.splice(at..at, copy);
            format!("bytes {at} to {end} repeated")
        }
        4 => {
            bytes.truncate(at);
            format!("cut to {at} bytes")
        }
        5 => {
            let other = dice.below(bytes.len());
            bytes.swap(at, other);
            format!("bytes {at} and {other} swapped")
        }
        6 => {
            let word = WORDS[dice.below(4)];
            bytes
                .iter_mut()
                .skip(at)
                .zip(word)
                .for_each(|(byte, new)| *byte = new);
            format!("{word:?} at {at}")
        }
        7 => {
            let new = dice.pick(TEXTS);
            bytes.splice(at..at, new.bytes());
            format!("{new:?} inserted at {at}")
        }
        8 | 9 => {
            let mut lines: Vec<Vec<u8>> = bytes
                .split_inclusive(|b| *b == b'\n')
                .map(<[u8]>::to_vec)
                .collect();
            let (a, b) = (dice.below(lines.len()), dice.below(lines.len()));
            let what = dice.below(4);
            match what {
                0 => drop(lines.remove(a)),
                1 => lines.swap(a, b),
                2 => lines.insert(b, lines[a].clone()),
                _ => lines.insert(a, lines[a].repeat(200)),
            }
            *bytes = lines.concat();
            format!(
                "line {a} {}",
                [
                    "deleted".into(),
                    format!("swapped with {b}"),
                    format!("copied to {b}"),
                    "repeated 200 times".into()
                ][what]
            )
        }
        _ => number(bytes, at, dice),
    }
}

/// Replaces the next number after `at`, or the first one, by another number.
fn number(bytes: &mut Vec<u8>, at: usize, dice: &mut Dice) -> String {
    let part = |b: &u8| b.is_ascii_digit() || b"+-.eE_".contains(b);
    let begin = (at..bytes.len())
        .chain(0..at)
        .find(|&i| bytes[i].is_ascii_digit() && (i == 0 || !part(&bytes[i - 1])))
        .unwrap_or(at);
    let end = begin + bytes[begin..].iter().take_while(|b| part(b)).count();
    let new = dice.pick(NUMBERS);
    let text = format!(
        "{:?} at {begin} becomes {new:?}",
        String::from_utf8_lossy(&bytes[begin..end])
    );
    bytes.splice(begin..end, new.bytes());
    text
}
