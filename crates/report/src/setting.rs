use std::collections::BTreeSet;

use largebatch_study::{Results, Stage, StopReason};

/// Where and with what the trials ran.
#[derive(Default)]
pub(crate) struct Setting {
    pub devices: Vec<String>,
    /// Other keys of the provenance with all their values.
    pub environment: Vec<(String, String)>,
    /// How many seeds each point of a search has.
    pub tune_count: usize,
    pub tune_seeds: String,
    pub confirm_seeds: String,
    /// Wall-clock seconds of all trials together.
    pub seconds: f64,
    pub trials: usize,
    pub diverged: usize,
    pub missing: usize,
    /// Seconds since 1970 of the first and the last trial's begin.
    pub started: Option<(u64, u64)>,
}

impl Setting {
    pub fn new(results: &Results) -> Setting {
        let rows = results.rows();
        let first = rows.iter().find(|r| r.stage == Stage::Tune).map(|r| r.group);
        let tune: Vec<u64> = rows.iter().filter(|r| r.point == Some(0) && Some(r.group) == first).map(|r| r.seed).collect();
        let progress = results.progress(1);
        let mut setting = Setting {
            tune_count: tune.len(),
            tune_seeds: ranges(&tune),
            confirm_seeds: ranges(&results.plan.confirm_seeds()),
            missing: progress.total - progress.done,
            ..Setting::default()
        };
        let mut seen = BTreeSet::new();
        let mut other: std::collections::BTreeMap<String, BTreeSet<String>> = Default::default();
        for record in rows.iter().filter_map(|r| r.record).filter(|r| seen.insert(&r.id)) {
            setting.trials += 1;
            setting.seconds += record.provenance.seconds;
            setting.diverged += usize::from(record.stop == StopReason::Diverged);
            let at = record.provenance.started;
            setting.started = Some(setting.started.map_or((at, at), |(a, b)| (a.min(at), b.max(at))));
            for (k, v) in &record.provenance.other {
                other.entry(k.clone()).or_default().insert(v.as_str().map_or_else(|| v.to_string(), str::to_string));
            }
            other.entry("threads a trial".into()).or_default().insert(record.threads.to_string());
        }
        if let Some(devices) = other.get("device") {
            setting.devices = devices.iter().cloned().collect();
            // One kind of processor: it belongs to the device's name.
            if let (Some(cpu), [device]) = (other.get("cpu").filter(|c| c.len() == 1).and_then(|c| c.first()), &mut setting.devices[..]) {
                *device = format!("{device} on {cpu}");
            }
        }
        // What is different in every trial, such as its memory, is no environment.
        let few = |v: BTreeSet<String>| match v.len() {
            0..=8 => Some(v.into_iter().collect::<Vec<_>>().join(", ")),
            _ => None,
        };
        setting.environment = other.into_iter().filter_map(|(k, v)| Some((k, few(v)?))).collect();
        setting
    }
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
