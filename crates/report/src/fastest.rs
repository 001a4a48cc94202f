//! Which arm reaches the target first.

use largebatch_plot::{duration, significant};
use largebatch_study::statistics::Censored;

use crate::analysis::{Analysis, distinct};
use crate::facts::Facts;

type Of = fn(&Facts) -> Option<Censored>;

/// The two arms that need the fewest steps, and the two that need the least time, at the smallest
/// and the largest batch of two arms or more.
pub(crate) fn headline(a: &Analysis) -> Option<String> {
    let target = a.groups.iter().find_map(|g| g.target)?;
    let at = |batch: f64| a.groups.iter().filter(move |g| g.batch == Some(batch));
    let mut ends = distinct(a.groups.iter().filter_map(|g| g.batch));
    ends.retain(|batch| at(*batch).count() > 1);
    if ends.len() > 2 {
        ends.drain(1..ends.len() - 1);
    }
    let sentence = |head: &str, written: &dyn Fn(f64) -> String, of: Of| {
        let told = |(median, g, c): &(f64, &Facts, Censored)| {
            let ends = c.interval.map_or(String::new(), |(low, high)| {
                let high = match high.is_finite() {
                    true => written(high),
                    false => "∞".into(),
                };
                format!(" [{}, {high}]", written(low))
            });
            format!("{}, {}{ends}", g.short, written(*median))
        };
        let said = ends.iter().filter_map(|batch| {
            let with = at(*batch).filter_map(|g| Some((g, of(g)?)));
            let mut ranked: Vec<_> = with.filter_map(|(g, c)| Some((c.median?, g, c))).collect();
            ranked.sort_by(|p, q| p.0.total_cmp(&q.0));
            let first = told(ranked.first()?);
            let then = ranked.get(1).map_or("and no other".into(), |second| {
                format!("then {}", told(second))
            });
            let batch = significant(*batch, 7);
            Some(format!("at batch {batch} {first}, {then}"))
        });
        let said: Vec<String> = said.collect();
        (!said.is_empty()).then(|| format!("{head}: {}.", said.join("; ")))
    };
    let target = format!("{} {}", a.validation.words, a.validation.value(target));
    let steps = sentence(
        &format!("Fewest steps to {target}"),
        &|steps| significant(steps, 4),
        |g| g.steps,
    )?;
    let least = sentence("Least time of training", &time, |g| g.training);
    Some(
        format!("{steps} {}", least.unwrap_or_default())
            .trim_end()
            .into(),
    )
}

/// A time to the target: with three digits, as arms differ by less than a second.
pub(crate) fn time(seconds: f64) -> String {
    match seconds {
        1.0..60.0 => format!("{} s", significant(seconds, 3)),
        _ => duration(seconds),
    }
}
