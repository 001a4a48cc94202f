//! The results of the comparisons, in sentences.

use largebatch_plot::significant;
use largebatch_study::statistics::Estimate;

use crate::analysis::{Analysis, without_shared};
use crate::comparison::Comparison;
use crate::figures::steps;
use crate::measure::Measure;

/// Every result, with its sign.
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
