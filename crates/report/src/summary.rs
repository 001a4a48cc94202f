//! The figures of the summary in rows and in sentences: the page and the terminal show the same.

use largebatch_study::statistics::Censored;

use crate::analysis::{Analysis, Comparison, without_shared};
use crate::figures::steps;
use crate::number::{duration, significant, whole};

/// What the comparisons say, in sentences.
pub(crate) fn sentences(a: &Analysis) -> Vec<(char, String)> {
    let differences = a.comparisons.iter().filter_map(|c| sentence(a, c));
    differences.chain(steps::findings(a).into_iter().map(|text| ('→', text))).collect()
}

fn sentence(a: &Analysis, c: &Comparison) -> Option<(char, String)> {
    let end = c.end?;
    let (large, m) = (&a.groups[c.large], &a.measure);
    let beside = without_shared(&a.groups[c.small].label, &large.label);
    let e = end.difference;
    let size = |x: f64| format!("{}{}", m.bare(x.abs()), m.points());
    let (sign, verdict) = match e.interval {
        None => (
            '?',
            format!(
                "{} {} than {}, from one pair of seeds: no interval",
                size(e.mean),
                if e.mean > 0.0 { "worse" } else { "better" },
                beside
            ),
        ),
        Some((low, _)) if low > 0.0 => ('−', format!("{} worse than {}", size(e.mean), beside)),
        Some((_, high)) if high < 0.0 => ('+', format!("{} better than {}", size(e.mean), beside)),
        Some(_) => {
            let resolves = c.resolves.map_or(String::new(), |r| format!(" (it resolves {})", size(r)));
            ('=', format!("not to be told from {}{resolves}", beside))
        }
    };
    let ends = e.interval.map_or(String::new(), |(low, high)| format!(" [{}, {}]", m.bare(low), m.bare(high)));
    let budget = if c.equal_epochs { "at equal epochs" } else { "with another budget" };
    let mut text = format!("{}: {} {verdict}{ends}, {budget}, {} pair{}", large.label, m.words, e.n, if e.n == 1 { "" } else { "s" });
    if let Some((loss, p)) = c.at_loss {
        let d = &p.difference;
        text += &format!(
            "; at training loss {}: {}{}{}",
            significant(loss, 3),
            a.validation.words,
            if d.mean > 0.0 { " worse by " } else { " better by " },
            size(d.mean)
        );
        if let Some((low, high)) = d.interval {
            text += &format!(" [{}, {}]", m.bare(low), m.bare(high));
        }
    }
    Some((sign, text + "."))
}

/// The heads of the summary, and its rows: the terminal shows the same.
pub(crate) fn summary_rows(a: &Analysis) -> (Vec<String>, Vec<Vec<String>>) {
    let any = |f: &dyn Fn(&crate::analysis::Facts) -> bool| a.groups.iter().any(f);
    let (train, gap, target) = (any(&|g| g.train.is_some()), any(&|g| g.gap.is_some()), any(&|g| g.target.is_some()));
    let budget = any(&|g| g.budget.is_some());
    let mut heads = vec!["group".to_string(), "batch".into(), "rate".into(), "n".into(), a.measure.words.clone()];
    let mut head = |show: bool, text: &str| {
        if show {
            heads.push(text.into());
        }
    };
    head(any(&|g| g.binomial.is_some()), "test ±");
    head(train, &a.train_key.replace('_', " "));
    head(gap, "gap");
    head(!a.comparisons.is_empty(), "worse than small");
    head(a.comparisons.iter().any(|c| c.at_loss.is_some()), "at equal loss");
    head(target, "steps to target");
    head(budget, "epochs");
    head(budget, "steps");
    head(true, "diverged");
    head(true, "time a trial");
    let dash = || "–".to_string();
    let censored = |c: &Censored| {
        format!(
            "{}{}",
            c.median.map_or("–".into(), |m| whole(m as u64)),
            if c.reached < c.n { format!(" ({} of {})", c.reached, c.n) } else { String::new() }
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
        cell(any(&|g| g.binomial.is_some()), g.binomial.map(|b| a.measure.bare(b)));
        cell(train, g.train.map(|e| a.measure.bare(e.mean)));
        cell(gap, g.gap.map(|e| a.measure.difference(&e)));
        let end = c.and_then(|c| Some((c, c.end?)));
        cell(!a.comparisons.is_empty(), end.map(|(c, p)| a.measure.difference(&p.difference) + if c.equal_epochs { "" } else { " ‡" }));
        cell(a.comparisons.iter().any(|c| c.at_loss.is_some()), c.and_then(|c| Some(a.validation.difference(&c.at_loss?.1.difference))));
        cell(target, g.steps.as_ref().map(censored));
        cell(budget, g.epochs.map(|e| significant(e, 3)));
        let steps = |r: &&largebatch_study::TrialRecord| r.steps as f64;
        let n = g.records.len() as f64;
        cell(budget, (n > 0.0).then(|| whole((g.records.iter().map(steps).sum::<f64>() / n).round() as u64)));
        cell(true, Some(if g.lost > 0 { format!("{} + {} lost", g.diverged, g.lost) } else { g.diverged.to_string() }));
        cell(true, g.seconds.map(duration));
        row
    });
    let rows = rows.collect();
    (heads, rows)
}
