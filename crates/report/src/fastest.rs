//! Which arm reaches the target first.

use largebatch_plot::{duration, significant};
use largebatch_study::Series;
use largebatch_study::statistics::Censored;

use crate::analysis::{Analysis, batches, series_label};
use crate::facts::Facts;

/// The two arms that need the fewest steps, and the two that need the least time, at the smallest
/// and the largest batch that two arms or more share.
pub(crate) fn headline(a: &Analysis) -> Option<String> {
    let group = |s: &Series, batch: f64| {
        let at = s.groups.iter().find(|(b, _)| *b == batch);
        at.map(|(_, g)| &a.groups[*g])
    };
    let shared = |batch: &f64| a.series.iter().filter_map(|s| group(s, *batch)).count() > 1;
    let mut ends: Vec<f64> = batches(&a.series).into_iter().filter(shared).collect();
    if ends.len() > 2 {
        ends.drain(1..ends.len() - 1);
    }
    let ranked = |batch: f64, of: &dyn Fn(&Facts) -> Option<Censored>| {
        let of = |s: &Series| Some((series_label(s), of(group(s, batch)?)?));
        let with = a.series.iter().filter_map(of);
        let mut with: Vec<_> = with.filter_map(|(s, c)| Some((c.median?, s, c))).collect();
        with.sort_by(|p, q| p.0.total_cmp(&q.0));
        with
    };
    let sentence =
        |head: &str, written: &dyn Fn(f64) -> String, of: &dyn Fn(&Facts) -> Option<Censored>| {
            let said = ends.iter().filter_map(|batch| {
                let ranked = ranked(*batch, of);
                let [first, second, ..] = &ranked[..] else {
                    return None;
                };
                let told = |(median, label, c): &(f64, String, Censored)| {
                    let ends = c.interval.map_or(String::new(), |(low, high)| {
                        let high = if high.is_finite() {
                            written(high)
                        } else {
                            "∞".into()
                        };
                        format!(" [{}, {high}]", written(low))
                    });
                    format!("{label}, {}{ends}", written(*median))
                };
                let batch = significant(*batch, 7);
                Some(format!(
                    "at batch {batch} {}, then {}",
                    told(first),
                    told(second)
                ))
            });
            let said: Vec<String> = said.collect();
            (!said.is_empty()).then(|| format!("{head}: {}.", said.join("; ")))
        };
    let target = a.groups.iter().find_map(|g| g.target)?;
    let target = format!("{} {}", a.validation.words, a.validation.value(target));
    let steps = sentence(
        &format!("Fewest steps to {target}"),
        &|v| significant(v, 4),
        &|g| g.steps,
    )?;
    let time = sentence("Least time of training", &duration, &|g| g.training);
    Some(
        [Some(steps), time]
            .into_iter()
            .flatten()
            .collect::<Vec<_>>()
            .join(" "),
    )
}
