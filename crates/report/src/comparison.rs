//! Large batches compared with small ones, paired by seed.

use largebatch_study::statistics::{
    Paired, at_train_loss, common_train_loss, paired, smallest_resolved,
};
use largebatch_study::{Results, Series, TrialRecord};

use crate::facts::{Facts, possible};
use crate::measure::Measure;

/// The comparison of a large batch with a small one, paired by seed.
pub(crate) struct Comparison {
    pub small: usize,
    pub large: usize,
    /// How much worse the large batch is at the end of its budget, in the reported quantity.
    pub end: Option<Paired>,
    /// The smallest difference that the comparison can detect.
    pub resolves: Option<f64>,
    /// Whether both have the same budget in epochs.
    pub equal_epochs: bool,
    /// How much worse the large batch is in the validation metric at an equal training loss, and
    /// that loss.
    pub at_loss: Option<(f64, Paired)>,
}

/// Compares each group with its base: the group from which its rate is derived, or, in a study that
/// derives rates, the first group from which one is derived; else the smallest batch size of its
/// series; else the first group with the smallest batch size.
pub(crate) fn comparisons(
    results: &Results,
    groups: &[Facts],
    series: &[Series],
    measure: &Measure,
    validation: &Measure,
) -> Vec<Comparison> {
    let sized = (0..groups.len()).filter_map(|g| Some((groups[g].batch?, g)));
    let smallest = sized.min_by(|p, q| p.0.total_cmp(&q.0)).map(|p| p.1);
    let from = |g: usize| results.plan.groups[g].derived.as_ref().map(|d| d.from);
    let base = (0..groups.len()).find_map(from);
    let reference = |g: usize| {
        let own = series
            .iter()
            .find(|s| s.groups.len() > 1 && s.groups.iter().any(|(_, i)| *i == g));
        from(g).or(base).or(own.map(|s| s.groups[0].1)).or(smallest)
    };
    let pair = |g: usize| {
        let r = reference(g)?;
        // Trials that end at a target reach the same quality by design; they differ in their steps.
        if groups[r].target.is_some() || groups[g].target.is_some() {
            return None;
        }
        (groups[r].batch? < groups[g].batch?).then(|| compare(groups, r, g, measure, validation))
    };
    (0..groups.len()).filter_map(pair).collect()
}

fn compare(
    groups: &[Facts],
    small: usize,
    large: usize,
    measure: &Measure,
    validation: &Measure,
) -> Comparison {
    let (s, l) = (&groups[small], &groups[large]);
    let worse = |m: &Measure, small: &[(u64, f64)], large: &[(u64, f64)]| {
        let p = if m.higher {
            paired(small, large)
        } else {
            paired(large, small)
        }?;
        Some(Paired {
            difference: possible(m, -1.0, p.difference),
            ..p
        })
    };
    let end = worse(measure, &s.values, &l.values);
    let (sr, lr) = (measured(s), measured(l));
    let level = (!sr.is_empty() && !lr.is_empty())
        .then(|| common_train_loss(sr.iter().chain(&lr).copied()))
        .flatten();
    let at = |records: &[&TrialRecord], level: f64| -> Vec<(u64, f64)> {
        records
            .iter()
            .filter_map(|r| Some((r.seed, at_train_loss(r, level)?)))
            .collect()
    };
    let at_loss =
        level.and_then(|level| Some((level, worse(validation, &at(&sr, level), &at(&lr, level))?)));
    let equal_epochs = match (s.budget, l.budget) {
        (Some((a, _)), Some((b, _))) => (a - b).abs() <= 0.01 * a.max(b),
        _ => true,
    };
    let test_examples = s.test_examples.filter(|_| measure.percent);
    Comparison {
        small,
        large,
        resolves: end
            .as_ref()
            .and_then(|p| smallest_resolved(p, test_examples)),
        end,
        equal_epochs,
        at_loss,
    }
}

fn measured<'a>(facts: &Facts<'a>) -> Vec<&'a TrialRecord> {
    facts
        .records
        .iter()
        .copied()
        .filter(|r| r.stop.is_measurement())
        .collect()
}
