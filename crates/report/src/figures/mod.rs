//! The charts of a report.

mod against;
mod curves;
mod forest;
mod heat;
mod rates;
pub(crate) mod steps;

use largebatch_plot::Section;
use largebatch_study::Goal;
use largebatch_study::statistics::Estimate;

use crate::analysis::{Analysis, Facts, words as metric_words};
use crate::measure::Measure;

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
pub fn capital(text: &str) -> String {
    let mut chars = text.chars();
    chars
        .next()
        .map_or(String::new(), |c| c.to_uppercase().chain(chars).collect())
}
