//! The results of the comparisons, in sentences.

use largebatch_plot::{capital, significant};
use largebatch_study::statistics::Estimate;

use crate::analysis::{Analysis, without_shared};
use crate::comparison::Comparison;
use crate::fastest;
use crate::figures::steps;
use crate::measure::Measure;

/// Every result, with its sign.
pub(crate) fn sentences(a: &Analysis) -> Vec<(char, String)> {
    let differences = a.comparisons.iter().filter_map(|c| sentence(a, c));
    differences
        .chain(steps::findings(a).into_iter().map(|text| ('→', text)))
        .collect()
}

/// The answer to the study's question: what its largest batch costs, or which arm is the first at
/// the target and how far larger batches save steps.
pub(crate) fn headline(a: &Analysis) -> Option<String> {
    let batch = |c: &&Comparison| a.groups[c.large].batch.unwrap_or(0.0);
    let with = a.comparisons.iter().filter(|c| c.end.is_some());
    let largest = with.clone().map(|c| batch(&c)).fold(0.0, f64::max);
    let arms: Vec<&Comparison> = with.filter(|c| batch(c) == largest).collect();
    let Some(first) = arms.first() else {
        let both = [fastest::headline(a), steps::headline(a)];
        let both: Vec<String> = both.into_iter().flatten().collect();
        return (!both.is_empty()).then(|| both.join(" "));
    };
    let m = &a.measure;
    let end = |c: &Comparison| c.end.map(|p| p.difference);
    let signs = arms
        .iter()
        .filter_map(|c| Some((end(c)?, told(m, &end(c)?).0)));
    let signs: Vec<(Estimate, char)> = signs.collect();
    let of = |sign| signs.iter().filter(move |s| s.1 == sign);
    let small = &a.groups[first.small];
    let base = match small.batch {
        Some(b) if arms.iter().any(|c| a.groups[c.small].label != small.label) => {
            format!("batch {}", significant(b, 7))
        }
        _ => small.label.clone(),
    };
    let large = format!("batch {}", significant(largest, 7));
    if let [(e, _)] = &signs[..] {
        let (sign, told, ends) = told(m, e);
        let than = if sign == '=' { "from" } else { "than" };
        let label = &a.groups[first.large].label;
        let label = if label.contains(&large) {
            label.clone()
        } else {
            format!("{label} ({large})")
        };
        return Some(format!(
            "{}: {} {told} {than} {base}{ends}.",
            capital(&label),
            m.words
        ));
    }
    let range = |sign| {
        let sizes = of(sign).map(|s| s.0.mean.abs());
        let (low, high) = sizes.fold((f64::INFINITY, 0.0f64), |(l, h), x| (l.min(x), h.max(x)));
        if m.bare(low) == m.bare(high) {
            format!("by {}{}", m.bare(low), m.points())
        } else {
            format!("by {} to {}{}", m.bare(low), m.bare(high), m.points())
        }
    };
    let counted = [
        ('−', "worse"),
        ('=', "indistinguishable"),
        ('+', "better"),
        ('?', "measured on one seed only"),
    ];
    let counted = counted
        .into_iter()
        .filter(|(sign, _)| of(*sign).count() > 0);
    let counted = counted.map(|(sign, word)| match sign {
        '−' | '+' => format!("{} {word} {}", of(sign).count(), range(sign)),
        _ => format!("{} {word}", of(sign).count()),
    });
    let counted: Vec<String> = counted.collect();
    let best = arms.iter().filter_map(|c| Some((end(c)?, *c)));
    let best = best.min_by(|p, q| p.0.mean.total_cmp(&q.0.mean));
    let best = best.map_or(String::new(), |(e, c)| {
        let label = &a.groups[c.large].label;
        let budget = if c.equal_epochs {
            ""
        } else {
            ", with another budget"
        };
        let (_, told, ends) = told(m, &e);
        format!(". Best: {label}, {told}{ends}{budget}")
    });
    Some(format!(
        "{} against {base}, {}: of {} arms, {}{best}.",
        capital(&large),
        m.words,
        signs.len(),
        counted.join(", ")
    ))
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
        let (at_loss, told, ends) = self::told(&a.validation, &p.difference);
        let apart = if at_loss == '=' {
            " between the two"
        } else {
            ""
        };
        text += &format!(
            "; at training loss {}: {} {told}{apart}{ends}",
            significant(loss, 3),
            a.validation.words
        );
        text += match (sign, at_loss) {
            ('−', '−') => ", so a gap remains that under-training does not explain",
            ('−', '+') => ", so under-training explains what it lost",
            ('−', '=') => ", so nothing beyond under-training is shown",
            _ => "",
        };
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
