//! What a reader of the results should know first.

use std::collections::BTreeSet;

use crate::results::Results;
use crate::trial::{Labels, title};
use largebatch_component::settings::number;

/// What a reader must know before trusting a study's results, the most serious first; each sentence
/// says what to do.
///
/// Versions are compared by the provenance key `version` of the runner.
pub fn warnings(results: &Results) -> Vec<String> {
    let mut out = Vec::new();
    let conflicts = results.conflicts.len();
    if conflicts > 0 {
        out.push(format!(
            "{conflicts} trials ran twice with different results: the machines do not compute the same bits, and the first result counts"
        ));
    }
    let rows = results.rows();
    let progress = results.progress(1);
    if progress.done < progress.total {
        let (missing, of) = (progress.total - progress.done, progress.total);
        out.push(format!(
            "{missing} of {of} trials are not done; the same command continues the study"
        ));
    }
    let mut budgets: Vec<f64> = Vec::new();
    let mut few = [Vec::new(), Vec::new()];
    for (index, group) in results.plan.groups.iter().enumerate() {
        let name = name(&group.labels);
        if !group.points.is_empty() && results.choices[index].is_none() && results.tuned(index) {
            let ids = results.plan.tune_ids(index);
            let of: Vec<_> = ids
                .iter()
                .filter_map(|id| results.records.get(id))
                .collect();
            let diverged = of.iter().filter(|r| r.stop.is_diverged()).count();
            let lost = of.iter().filter(|r| !r.stop.is_measurement()).count() - diverged;
            let kinds = [
                (diverged, "diverged"),
                (lost, "failed or were pruned"),
                (of.len() - diverged - lost, "missed the target"),
            ];
            let kinds = kinds.iter().filter(|(n, _)| *n > 0);
            let kinds: Vec<String> = kinds.map(|(n, what)| format!("{n} {what}")).collect();
            out.push(format!(
                "{name}: nothing could be chosen, as of {} tuning trials {}; change the search or the budget",
                of.len(),
                kinds.join(", ")
            ));
        }
        let reported = results.reported(index);
        if reported.is_empty() {
            continue;
        }
        let of = reported.len();
        let diverged = reported.iter().filter(|r| r.stop.is_diverged()).count();
        let lost = reported.iter().filter(|r| !r.stop.is_measurement()).count() - diverged;
        if diverged + lost > 0 {
            let kinds = [(diverged, "diverged"), (lost, "failed or were pruned")];
            let kinds = kinds.iter().filter(|(n, _)| *n > 0);
            let kinds: Vec<String> = kinds
                .map(|(n, what)| format!("{n} of {of} trials {what}"))
                .collect();
            let left = match diverged + lost < of {
                true => "the figures cover only the others",
                false => "there are no figures",
            };
            out.push(format!("{name}: {}; {left}", kinds.join(" and ")));
        }
        if let Some(choice) = &results.choices[index] {
            for (k, value) in &group.points[choice.point] {
                let tried = group.points.iter().map(|p| p.get(k).and_then(number));
                let tried: Option<Vec<f64>> = tried.collect();
                let (Some(tried), Some(value)) = (tried, number(value)) else {
                    continue;
                };
                let (least, greatest) = extent(&tried);
                if least < greatest && (value == least || value == greatest) {
                    let (end, way) = match value == greatest {
                        true => ("largest", "above"),
                        false => ("smallest", "below"),
                    };
                    out.push(format!(
                        "{name}: the best {k} = {value} is the {end} one tried; a better one may be {way} it: widen the search"
                    ));
                }
            }
        }
        if of < 3 {
            few[of - 1].push(name);
        }
        budgets.extend(reported.iter().filter_map(|r| r.budget_epochs()));
    }
    let few = (1..).zip(few).filter(|(_, groups)| !groups.is_empty());
    out.extend(few.map(|(seeds, groups)| few_seeds(&groups, seeds)));
    let (least, greatest) = extent(&budgets);
    if greatest > 1.01 * least {
        let [least, greatest] = [least, greatest].map(|x| (x * 100.0).round() / 100.0);
        out.push(format!(
            "budgets differ, from {least} to {greatest} epochs: compare groups with equal budgets, or at equal training loss"
        ));
    }
    let text = |v: &serde_json::Value| v.as_str().map_or_else(|| v.to_string(), str::to_string);
    for (what, key) in [("versions", "version"), ("processors", "cpu")] {
        let values: BTreeSet<String> = rows
            .iter()
            .filter_map(|r| r.record?.provenance.other.get(key).map(text))
            .collect();
        if values.len() > 1 {
            let values = values.into_iter().collect::<Vec<_>>().join("; ");
            out.push(format!("trials of different {what} are mixed: {values}"));
        }
    }
    let unplanned = results.unplanned();
    if unplanned > 0 {
        out.push(format!(
            "{unplanned} records in the folder belong to no trial of this study and are ignored"
        ));
    }
    out
}

fn name(labels: &Labels) -> String {
    match labels.is_empty() {
        true => "the group".into(),
        false => title(labels),
    }
}

/// The smallest and the largest of some numbers.
fn extent(values: &[f64]) -> (f64, f64) {
    let ends = (f64::INFINITY, f64::NEG_INFINITY);
    values.iter().fold(ends, |(a, b), x| (a.min(*x), b.max(*x)))
}

fn few_seeds(groups: &[String], seeds: usize) -> String {
    let who = match groups {
        [one] => one.clone(),
        many => format!("{} groups", many.len()),
    };
    let tell = match seeds {
        1 => "1 seed says".into(),
        n => format!("{n} seeds say"),
    };
    format!("{who}: {tell} little about the spread: use at least 3")
}

#[cfg(test)]
mod tests {
    use super::few_seeds;

    #[test]
    fn one_group_with_one_seed_is_named() {
        assert_eq!(
            few_seeds(&["edge".to_owned()], 1),
            "edge: 1 seed says little about the spread: use at least 3"
        );
    }
}
