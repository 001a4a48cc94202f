//! The summary in rows and in sentences, the same for the page and the terminal.

use largebatch_plot::{duration, significant, whole};
use largebatch_study::statistics::{Censored, Estimate};

use crate::analysis::{Analysis, Comparison, without_shared, words};
use crate::figures::steps;
use crate::measure::Measure;

/// The results of the comparisons, in sentences.
pub(crate) fn sentences(a: &Analysis) -> Vec<(char, String)> {
    let differences = a.comparisons.iter().filter_map(|c| sentence(a, c));
    differences
        .chain(steps::findings(a).into_iter().map(|text| ('→', text)))
        .collect()
}

fn sentence(a: &Analysis, c: &Comparison) -> Option<(char, String)> {
    let end = c.end?;
    let (large, m) = (&a.groups[c.large], &a.measure);
    let beside = without_shared(&a.groups[c.small].label, &large.label);
    let (sign, told, ends) = told(m, &end.difference);
    let than = if sign == '=' { "from" } else { "than" };
    let note = match (sign, c.resolves) {
        ('?', _) => ", from one pair of seeds: no interval".to_string(),
        ('=', Some(r)) if m.percent && r > 1.0 => " (no difference is detectable)".into(),
        ('=', Some(r)) => format!(
            " (smallest detectable difference: {}{})",
            m.bare(r),
            m.points()
        ),
        // The interval covers the variation over seeds, which share the test part.
        (_, Some(r)) if m.percent && end.difference.mean.abs() < r => {
            format!(
                " (on this test part, where differences below {}{} may be chance)",
                m.bare(r),
                m.points()
            )
        }
        _ => String::new(),
    };
    let budget = if c.equal_epochs {
        "at equal epochs"
    } else {
        "with another budget"
    };
    let n = end.difference.n;
    let pairs = if n == 1 {
        "1 pair".to_string()
    } else {
        format!("{n} pairs")
    };
    let mut text = format!(
        "{}: {} {told} {than} {beside}{note}{ends}, {budget}, {pairs}",
        large.label, m.words
    );
    if let Some((loss, p)) = c.at_loss {
        let (sign, told, ends) = self::told(&a.validation, &p.difference);
        let apart = if sign == '=' { " between the two" } else { "" };
        text += &format!(
            "; at training loss {}: {} {told}{apart}{ends}",
            significant(loss, 3),
            a.validation.words
        );
    }
    Some((sign, text + "."))
}

/// A difference in words: its sign, its description, and its interval, with the signs that match
/// the description. Above 0 means worse.
fn told(m: &Measure, e: &Estimate) -> (char, String, String) {
    let size = |word| format!("{}{} {word}", m.bare(e.mean.abs()), m.points());
    let better = e.mean < 0.0;
    let (sign, text) = match e.interval {
        None => ('?', size(if better { "better" } else { "worse" })),
        Some((low, _)) if low > 0.0 => ('−', size("worse")),
        Some((_, high)) if high < 0.0 => ('+', size("better")),
        Some(_) => ('=', "indistinguishable".into()),
    };
    let ends = e.interval.map_or(String::new(), |(low, high)| {
        let (low, high) = if sign == '+' {
            (-high, -low)
        } else {
            (low, high)
        };
        format!(" [{}, {}]", m.bare(low), m.bare(high))
    });
    (sign, text, ends)
}

/// Sentences that explain the summary's columns, where the heads are not enough.
pub(crate) fn notes(a: &Analysis) -> Vec<String> {
    let mut notes = Vec::new();
    let mut note = |show: bool, text: String| notes.extend(show.then_some(text));
    let points = if a.measure.percent { ", in points" } else { "" };
    note(
        a.groups.iter().any(|g| g.binomial.is_some()),
        format!("test ±: binomial standard error of the test part{points}."),
    );
    let (train, measure) = (words(&a.train_key), &a.measure.words);
    let gap = if a.measure.higher {
        format!("{train} − {measure}")
    } else {
        format!("{measure} − {train}")
    };
    note(
        a.groups.iter().any(|g| g.gap.is_some()),
        format!("gap: {gap}{points}."),
    );
    note(
        a.comparisons.iter().any(|c| c.end.is_some()),
        format!("worse than small: above 0 if the larger batch is worse{points}."),
    );
    // McNemar's test needs a test part of known size.
    let part = if a.measure.percent && a.groups.iter().any(|g| g.test_examples.is_some()) {
        " and test part (six examples, McNemar)"
    } else {
        ""
    };
    note(
        a.comparisons.iter().any(|c| c.resolves.is_some()),
        format!(
            "resolves: the smallest difference that seeds (Student’s t){part} can detect{points}."
        ),
    );
    note(
        a.comparisons.iter().any(|c| c.at_loss.is_some()),
        format!(
            "at equal loss: {} where both first reached the lowest training loss that all their trials reached.",
            a.validation.words
        ),
    );
    note(
        a.groups
            .iter()
            .any(|g| g.records.is_empty() && g.steps.is_some_and(|s| s.n > 0)),
        "0 of n: no rate reached the target; n are the trials of its search.".into(),
    );
    let baseline = baseline(a);
    note(baseline.is_some(), baseline.unwrap_or_default());
    note(
        a.comparisons
            .iter()
            .any(|c| c.end.is_some() && !c.equal_epochs),
        "‡: the two have different budgets in epochs.".into(),
    );
    notes
}

/// The accuracy of always predicting the training part's most frequent class, on the reported part.
fn baseline(a: &Analysis) -> Option<String> {
    let key = a.measure.key.replace("_accuracy", "_majority_accuracy");
    let shares = a
        .results
        .records
        .values()
        .filter_map(|r| r.metrics.get(&key).filter(|_| key != a.measure.key));
    let (low, high) = shares.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), &s| {
        (low.min(s), high.max(s))
    });
    let range = if low == high {
        a.measure.value(low)
    } else {
        format!("{} to {}", a.measure.bare(low), a.measure.value(high))
    };
    (low <= high).then(|| {
        format!(
            "majority-class baseline, which always predicts the most frequent class: {} {range}.",
            a.measure.words
        )
    })
}

/// The heads and the rows of the summary.
pub(crate) fn summary_rows(a: &Analysis) -> (Vec<String>, Vec<Vec<String>>) {
    let any = |f: &dyn Fn(&crate::analysis::Facts) -> bool| a.groups.iter().any(f);
    let (train, gap, target) = (
        any(&|g| g.train.is_some()),
        any(&|g| g.gap.is_some()),
        any(&|g| g.target.is_some()),
    );
    let budget = any(&|g| g.budget.is_some());
    let mut heads = vec![
        "group".to_string(),
        "batch".into(),
        "rate".into(),
        "n".into(),
        a.measure.words.clone(),
    ];
    let mut head = |show: bool, text: &str| {
        if show {
            heads.push(text.into());
        }
    };
    head(any(&|g| g.binomial.is_some()), "test ±");
    head(train, &words(&a.train_key));
    head(gap, "gap");
    head(!a.comparisons.is_empty(), "worse than small");
    head(
        a.comparisons.iter().any(|c| c.resolves.is_some()),
        "resolves",
    );
    head(
        a.comparisons.iter().any(|c| c.at_loss.is_some()),
        "at equal loss",
    );
    head(target, "steps to target");
    head(budget, "epochs");
    head(budget, "steps");
    head(true, "diverged");
    head(true, "time per trial");
    let dash = || "–".to_string();
    let censored = |c: &Censored| {
        if c.reached == 0 {
            return format!("0 of {}", c.n);
        }
        format!(
            "{}{}",
            c.median.map_or("–".into(), |m| whole(m as u64)),
            if c.reached < c.n {
                format!(" ({} of {})", c.reached, c.n)
            } else {
                String::new()
            }
        )
    };
    let rows = a.groups.iter().enumerate().map(|(i, g)| {
        let c = a.comparisons.iter().find(|c| c.large == i);
        let mut row = vec![
            g.short.clone(),
            g.batch.map_or_else(dash, |b| significant(b, 7)),
            g.rate.map_or_else(dash, |r| significant(r, 3)),
            format!("{}", g.values.len()),
            g.score.map_or_else(dash, |e| a.measure.estimate(&e)),
        ];
        let mut cell = |show: bool, text: Option<String>| {
            if show {
                row.push(text.unwrap_or_else(dash));
            }
        };
        cell(
            any(&|g| g.binomial.is_some()),
            g.binomial.map(|b| a.measure.bare(b)),
        );
        cell(train, g.train.map(|e| a.measure.bare(e.mean)));
        cell(gap, g.gap.map(|e| a.measure.difference(&e)));
        let end = c.and_then(|c| Some((c, c.end?)));
        cell(
            !a.comparisons.is_empty(),
            end.map(|(c, p)| {
                a.measure.difference(&p.difference) + if c.equal_epochs { "" } else { " ‡" }
            }),
        );
        cell(
            a.comparisons.iter().any(|c| c.resolves.is_some()),
            c.and_then(|c| c.resolves).map(|r| {
                if a.measure.percent && r > 1.0 {
                    "> 100".into()
                } else {
                    a.measure.bare(r)
                }
            }),
        );
        cell(
            a.comparisons.iter().any(|c| c.at_loss.is_some()),
            c.and_then(|c| Some(a.validation.difference(&c.at_loss?.1.difference))),
        );
        cell(target, g.steps.as_ref().map(censored));
        cell(budget, g.epochs.map(|e| significant(e, 3)));
        let steps = |r: &&largebatch_study::TrialRecord| r.steps as f64;
        let n = g.records.len() as f64;
        cell(
            budget,
            (n > 0.0).then(|| whole((g.records.iter().map(steps).sum::<f64>() / n).round() as u64)),
        );
        cell(
            true,
            Some(if g.lost > 0 {
                format!("{} + {} lost", g.diverged, g.lost)
            } else {
                g.diverged.to_string()
            }),
        );
        cell(true, g.seconds.map(duration));
        row
    });
    let rows = rows.collect();
    (heads, rows)
}

#[cfg(test)]
mod tests {
    use super::*;
    use largebatch_study::statistics::estimate;

    #[test]
    fn an_interval_has_the_sense_of_its_word() {
        let m = Measure {
            key: "test_accuracy".into(),
            words: "test accuracy".into(),
            percent: true,
            higher: true,
        };
        let of = |values: &[f64]| told(&m, &estimate(values).unwrap());
        let text = |sign, text: &str, ends: &str| (sign, text.to_string(), ends.to_string());
        // t(0.975, 1) = 12.7062: 0.02 ± 12.7062 · 0.001.
        assert_eq!(
            of(&[0.019, 0.021]),
            text('−', "2.00 points worse", " [0.73, 3.27]")
        );
        assert_eq!(
            of(&[-0.019, -0.021]),
            text('+', "2.00 points better", " [0.73, 3.27]")
        );
        assert_eq!(
            of(&[-0.01, 0.0]),
            text('=', "indistinguishable", " [−6.85, 5.85]")
        );
        assert_eq!(of(&[-0.01]), text('?', "1.00 points better", ""));
    }
}
