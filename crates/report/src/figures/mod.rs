//! The charts of a report.

mod against;
mod curves;
mod difference;
mod forest;
pub(crate) mod good_rates;
mod heat;
mod rates;
pub(crate) mod steps;

use largebatch_plot::{Figure, Section};
use largebatch_study::Goal;

use crate::analysis::Analysis;
use crate::comparison::Comparison;

/// Every section for which the results have data, in the order of the report. A figure is a file
/// next to this one, and its name here.
pub(crate) fn sections(a: &Analysis) -> Vec<Section> {
    let section = |title: String, text: String, figures: Vec<Vec<Figure>>| Section {
        title,
        text,
        tables: Vec::new(),
        figures: figures.concat(),
    };
    let mut sections = vec![
        section(
            format!("{} and the generalization gap", against::heading(a)),
            gap(a),
            vec![against::scores(a), against::gaps(a), difference::charts(a)],
        ),
        section(
            "Steps to the target".into(),
            "The median over seeds of the first point of the validation curve that reaches the target. With perfect scaling, doubling the batch halves the steps.".into(),
            vec![steps::charts(a)],
        ),
        section(
            "Tuning".into(),
            tuning(a),
            vec![heat::charts(a), rates::charts(a), good_rates::charts(a)],
        ),
        section(
            "Curves".into(),
            "On a parallel machine, time grows with the steps; the computing cost grows with the epochs.".into(),
            vec![curves::charts(a)],
        ),
    ];
    sections.retain(|s| !s.figures.is_empty());
    sections
}

/// What the gap is, and what is compared.
fn gap(a: &Analysis) -> String {
    let any = |f: fn(&Comparison) -> bool| a.comparisons.iter().any(f);
    let gap = a.groups.iter().any(|g| g.gap.is_some());
    let text = [
        gap.then(|| format!("The gap of a trial is {}.", a.gap())),
        any(|c| c.end.is_some()).then(|| "A large batch is compared with a small one, seed by seed, at the end of training. A difference there may only mean under-training.".into()),
        any(|c| c.at_loss.is_some()).then(|| "They are also compared where both first reached the same training loss, and so fitted their data equally well.".into()),
    ];
    text.into_iter().flatten().collect::<Vec<_>>().join(" ")
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
