//! Names in messages: how they are quoted, and which one was meant.

/// The known name that takes the fewest edits from `name`. Upper case and `_` for `-` count as the
/// same.
pub fn closest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    edits(name, known).map(|(_, k)| k)
}

/// The closest known name, if it is near enough to be meant: at most one edit, and one more for
/// every three letters.
pub fn nearest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    edits(name, known)
        .filter(|(edits, k)| *edits <= 1 + k.chars().count() / 3)
        .map(|(_, k)| k)
}

fn edits<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<(usize, &'a str)> {
    let plain = |text: &str| text.to_lowercase().replace('_', "-");
    let name = plain(name);
    known
        .into_iter()
        .map(|k| (strsim::damerau_levenshtein(&name, &plain(k)), k))
        .min()
}

/// `, did you mean `adam`?` for the nearest known name, or nothing.
pub fn suggestion<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> String {
    nearest(name, known)
        .map(|name| format!(", did you mean `{name}`?"))
        .unwrap_or_default()
}

/// The message about an unknown name: ``unknown optimizer `lar`, did you mean `lars`? The optimizers
/// are `adam`, `lars` ``.
pub fn unknown<'a>(kind: &str, name: &str, known: impl IntoIterator<Item = &'a str>) -> String {
    let known: Vec<&str> = known.into_iter().collect();
    let (meant, the) = match suggestion(name, known.iter().copied()) {
        none if none.is_empty() => (none, "; the"),
        meant => (meant, " The"),
    };
    format!(
        "unknown {kind} `{name}`{meant}{the} {kind}s are {}",
        backticked(known)
    )
}

/// The names in backticks, with commas between them.
pub fn backticked<'a>(names: impl IntoIterator<Item = &'a str>) -> String {
    names
        .into_iter()
        .map(|name| format!("`{name}`"))
        .collect::<Vec<_>>()
        .join(", ")
}

/// The first `most` texts with commas between them; an ellipsis stands for the others.
pub fn shortened(texts: &[impl AsRef<str>], most: usize) -> String {
    let more = if texts.len() > most { ", …" } else { "" };
    let shown: Vec<&str> = texts.iter().take(most).map(AsRef::as_ref).collect();
    shown.join(", ") + more
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_can_be_meant_is_suggested() {
        let known = ["sgd", "adam", "adamw", "weight_decay", "lars", "mnist"];
        for (name, meant) in [
            ("adma", Some("adam")),
            ("ADAM", Some("adam")),
            ("weight-decay", Some("weight_decay")),
            ("wieght_decay", Some("weight_decay")),
            ("lar", Some("lars")),
            ("quux", None),
            ("", None),
        ] {
            assert_eq!(nearest(name, known), meant, "{name}");
        }
        assert_eq!(suggestion("lar", known), ", did you mean `lars`?");
        assert_eq!(suggestion("quux", known), "");
        assert_eq!(backticked(["a", "b"]), "`a`, `b`");
    }
}
