use std::collections::{BTreeMap, BTreeSet};

use largebatch_plot::draw::extent;
use largebatch_plot::whole;
use largebatch_study::{Results, Stage, StopReason};
use serde_json::Value;

/// The environment of the trials.
#[derive(Default)]
pub(crate) struct Setting {
    pub devices: Vec<String>,
    /// Other keys of the provenance, with all their values.
    pub environment: Vec<(String, String)>,
    /// Number of seeds for each point of a search.
    pub tune_count: usize,
    pub tune_seeds: String,
    pub confirm_seeds: String,
    /// Total wall-clock time of all trials, in seconds.
    pub seconds: f64,
    pub trials: usize,
    pub diverged: usize,
    pub missing: usize,
    /// Start of the first and of the last trial, in seconds since 1970.
    pub started: Option<(u64, u64)>,
}

impl Setting {
    pub fn new(results: &Results) -> Setting {
        let rows = results.rows();
        let first = rows
            .iter()
            .find(|r| r.stage == Stage::Tune)
            .map(|r| r.group);
        let tune: Vec<u64> = rows
            .iter()
            .filter(|r| r.point == Some(0) && Some(r.group) == first)
            .map(|r| r.seed)
            .collect();
        let progress = results.progress(1);
        let mut setting = Setting {
            tune_count: tune.len(),
            tune_seeds: ranges(&tune),
            confirm_seeds: ranges(&results.plan.confirm_seeds()),
            missing: progress.total - progress.done,
            ..Setting::default()
        };
        let mut seen = BTreeSet::new();
        let mut other: BTreeMap<String, Vec<Value>> = BTreeMap::new();
        for record in rows
            .iter()
            .filter_map(|r| r.record)
            .filter(|r| seen.insert(&r.id))
        {
            setting.trials += 1;
            setting.seconds += record.provenance.seconds;
            setting.diverged += usize::from(record.stop == StopReason::Diverged);
            let at = record.provenance.started;
            setting.started = Some(
                setting
                    .started
                    .map_or((at, at), |(a, b)| (a.min(at), b.max(at))),
            );
            for (k, v) in &record.provenance.other {
                other.entry(k.clone()).or_default().push(v.clone());
            }
            other
                .entry("threads per trial".into())
                .or_default()
                .push(record.threads.into());
        }
        let all = |key: &str| other.get(key).map_or(Vec::new(), |values| texts(values));
        setting.devices = all("device");
        // If all processors are the same, the device's name includes it.
        if let ([cpu], [device]) = (&all("cpu")[..], &mut setting.devices[..]) {
            *device = format!("{device} on {cpu}");
        }
        setting.environment = other
            .iter()
            .filter_map(|(key, values)| readable(key, values))
            .collect();
        setting
    }
}

/// A key of the trials' provenance with all its values, in readable form.
fn readable(key: &str, values: &[Value]) -> Option<(String, String)> {
    match key {
        "peak_memory" => {
            let megabytes =
                |v: &Value| Some(v.as_str()?.strip_suffix(" kB")?.parse::<f64>().ok()? * 1.024e-3);
            Some((
                "peak memory per trial".into(),
                format!("{} MB", range(values.iter().filter_map(megabytes))?),
            ))
        }
        "examples_per_second" => Some((
            "examples per second".into(),
            range(values.iter().filter_map(Value::as_f64))?,
        )),
        "sources" => {
            let file = |v: &Value| {
                let hash: String = v["sha256"].as_str()?.chars().take(12).collect();
                let known = if v["known"] == false {
                    ", unknown to this program"
                } else {
                    ""
                };
                Some(format!("{} (sha256 {hash}…{known})", v["file"].as_str()?))
            };
            let files: BTreeSet<String> = values
                .iter()
                .flat_map(|v| v.as_array().into_iter().flatten())
                .filter_map(file)
                .collect();
            Some((
                "data".into(),
                files.into_iter().collect::<Vec<_>>().join("; "),
            ))
        }
        key => {
            let texts = texts(values);
            // A value that differs in every trial does not describe the environment.
            (texts.len() <= 8).then(|| (key.replace('_', " "), texts.join(", ")))
        }
    }
}

/// The distinct values as texts.
fn texts(values: &[Value]) -> Vec<String> {
    let all: BTreeSet<String> = values
        .iter()
        .map(|v| v.as_str().map_or_else(|| v.to_string(), str::to_string))
        .collect();
    all.into_iter().collect()
}

/// The smallest and largest value: `48 to 55`.
fn range(values: impl Iterator<Item = f64>) -> Option<String> {
    let (low, high) = extent(values)?;
    let (low, high) = (whole(low.round() as u64), whole(high.round() as u64));
    Some(if low == high {
        low
    } else {
        format!("{low} to {high}")
    })
}

/// Seeds as ranges: `0–9`, `3, 5, 9`.
fn ranges(seeds: &[u64]) -> String {
    let mut sorted = seeds.to_vec();
    sorted.sort_unstable();
    let mut runs: Vec<(u64, u64)> = Vec::new();
    for s in sorted {
        match runs.last_mut() {
            Some((_, end)) if *end + 1 == s => *end = s,
            _ => runs.push((s, s)),
        }
    }
    let text = |(a, b): &(u64, u64)| match b - a {
        0 => a.to_string(),
        1 => format!("{a}, {b}"),
        _ => format!("{a}–{b}"),
    };
    runs.iter().map(text).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_environment_is_written_for_people() {
        let of = |key, values: &[Value]| readable(key, values).unwrap();
        let row = |key: &str, text: &str| (key.to_string(), text.to_string());
        assert_eq!(
            of("peak_memory", &[json!("48556 kB"), json!("54700 kB")]),
            row("peak memory per trial", "50 to 56 MB")
        );
        assert_eq!(
            of("examples_per_second", &[json!(381162.0)]),
            row("examples per second", "381\u{202f}162")
        );
        let digits =
            json!([{ "file": "built in: digits", "sha256": "d8121ca7764eccfa", "known": true }]);
        let mine = json!([{ "file": "mine.npz", "sha256": "0123456789abcdef", "known": false }]);
        assert_eq!(
            of("sources", &[digits.clone(), digits.clone()]),
            row("data", "built in: digits (sha256 d8121ca7764e…)")
        );
        assert!(
            of("sources", &[digits, mine])
                .1
                .ends_with("; mine.npz (sha256 0123456789ab…, unknown to this program)")
        );
        assert_eq!(
            of("some_key", &[json!("b"), json!(1), json!("b")]),
            row("some key", "1, b")
        );
        assert_eq!(
            readable("trial", &(0..9).map(Value::from).collect::<Vec<_>>()),
            None
        );
    }
}
