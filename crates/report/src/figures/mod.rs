//! The charts of a report.

mod against;
mod curves;
mod forest;
mod heat;
mod rates;
pub(crate) mod steps;

use largebatch_study::Goal;
use largebatch_study::statistics::Estimate;

use crate::analysis::{Analysis, Facts, words as metric_words};
use crate::figure::Figure;
use crate::number::Measure;

/// Tables and charts under one heading.
pub(crate) struct Section {
    pub title: String,
    pub text: String,
    pub tables: Vec<Table>,
    pub figures: Vec<Figure>,
}

/// A table whose first column names the rows.
pub(crate) struct Table {
    pub heads: Vec<String>,
    pub rows: Vec<Vec<String>>,
    pub note: String,
}

/// A group's estimate, and the values it was computed from.
pub(crate) type Values = (Option<Estimate>, Vec<(u64, f64)>);

/// A quantity of each group that charts can show: its estimate, and the values by seed.
pub(crate) struct Shown<'a> {
    pub measure: &'a Measure,
    /// The axis title.
    pub words: String,
    pub of: fn(&Facts) -> Values,
    /// Whether 0 means "none" and is marked.
    pub zero: bool,
}

/// Every chart for which the results have data, in the order of the report.
pub(crate) fn sections(a: &Analysis) -> Vec<Section> {
    let unit = if a.measure.percent { ", %" } else { "" };
    let mut sections = Vec::new();
    let score = Shown {
        measure: &a.measure,
        words: format!("{}{unit}", a.measure.words),
        of: |f| (f.score, f.values.clone()),
        zero: false,
    };
    let words = capital(&a.measure.words);
    let (stem, heading) = if a.measure.percent {
        ("accuracy", "Accuracy")
    } else {
        (a.measure.key.rsplit('_').next().unwrap_or("score"), &*words)
    };
    let mut figures = against::both(a, &score, stem, &words);
    let gap = Shown {
        measure: &a.measure,
        words: if a.measure.percent {
            "gap, points".into()
        } else {
            "gap".into()
        },
        of: |f| (f.gap, f.gaps.clone()),
        zero: true,
    };
    figures.extend(against::both(a, &gap, "gap", "Generalization gap"));
    figures.extend(forest::comparisons(a));
    let (train, test) = (metric_words(&a.train_key), &a.measure.words);
    let formula = if a.measure.higher {
        format!("{train} − {test}")
    } else {
        format!("{test} − {train}")
    };
    let mut text = Vec::new();
    if a.groups.iter().any(|g| g.gap.is_some()) {
        text.push(format!("The gap of a trial is {formula}."));
    }
    if a.comparisons.iter().any(|c| c.end.is_some()) {
        text.push("A large batch is compared with a small one, seed by seed, at the end of training. A difference there may only mean under-training.".into());
    }
    if a.comparisons.iter().any(|c| c.at_loss.is_some()) {
        text.push(
            "They are also compared where both first reached the same training loss, and so fitted their data equally well.".into(),
        );
    }
    sections.push(Section {
        title: format!("{heading} and the generalization gap"),
        text: text.join(" "),
        tables: Vec::new(),
        figures,
    });
    sections.push(Section {
        title: "Steps to the target".into(),
        text: steps::text(),
        tables: Vec::new(),
        figures: steps::charts(a),
    });
    let mut figures = heat::charts(a);
    figures.extend(rates::chart(a));
    sections.push(Section {
        title: "Tuning".into(),
        text: tuning(a),
        tables: Vec::new(),
        figures,
    });
    sections.push(Section {
        title: "Curves".into(),
        text: "On a parallel machine, time grows with the steps; the computing cost grows with the epochs."
            .into(),
        tables: Vec::new(),
        figures: curves::charts(a),
    });
    sections.retain(|s| !s.figures.is_empty());
    sections
}

/// By which quantity tuning chose, and with which seeds.
fn tuning(a: &Analysis) -> String {
    let by = match a.results.plan.study.tune.goal {
        Goal::BestValidation => format!("by {}", a.validation.words),
        Goal::FewestSteps => "by the fewest steps to the target".into(),
    };
    let seeds = if a.results.plan.study.confirm.is_some() {
        "with separate seeds"
    } else {
        "with the reported seeds"
    };
    format!("Chosen {by}, {seeds}.")
}

/// The text with its first letter in upper case.
pub(crate) fn capital(text: &str) -> String {
    let mut chars = text.chars();
    chars
        .next()
        .map_or(String::new(), |c| c.to_uppercase().chain(chars).collect())
}

/// File stems for charts with these labels, all different.
pub(crate) fn stems<'l>(labels: impl IntoIterator<Item = &'l str>) -> Vec<String> {
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
pub(crate) fn stem(text: &str) -> String {
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
