//! Where a trial ran, and on which data.

use std::collections::BTreeMap;

use largebatch_study::SOURCES;
use largebatch_train::Experiment;
use serde_json::json;

/// Where and on what a trial ran.
pub(super) fn provenance(
    experiment: &Experiment,
    examples_per_second: f64,
) -> BTreeMap<String, serde_json::Value> {
    let line = |file: &str, key: &str| {
        let text = std::fs::read_to_string(file).ok()?;
        text.lines().find_map(|l| {
            Some(
                l.strip_prefix(key)?
                    .trim_start_matches([' ', '\t', ':'])
                    .trim()
                    .to_owned(),
            )
        })
    };
    // File names without their folder, so that a published record does not reveal the user's
    // folders.
    let file = |path: &str| path.rsplit(['/', '\\']).next().unwrap_or(path).to_owned();
    let sources: Vec<_> = experiment
        .dataset
        .sources
        .iter()
        .map(|s| json!({ "file": file(&s.file), "sha256": s.sha256, "known": s.known }))
        .collect();
    // The name `cpu` identifies a CPU backend's device; a GPU's adapter has its own name.
    let device = match experiment.config.device.as_str() {
        cpu @ ("flex" | "ndarray") => cpu.to_owned(),
        gpu => format!("{gpu}, {:?}", experiment.device.clone().inner()),
    };
    [
        ("version", Some(json!(env!("CARGO_PKG_VERSION")))),
        ("device", Some(json!(device))),
        (
            "platform",
            Some(json!(format!(
                "{}-{}",
                std::env::consts::OS,
                std::env::consts::ARCH
            ))),
        ),
        ("cpu", largebatch_train::processor().map(|cpu| json!(cpu))),
        (
            "host",
            line("/proc/sys/kernel/hostname", "").map(|host| json!(host)),
        ),
        (
            "peak_memory",
            line("/proc/self/status", "VmHWM").map(|memory| json!(memory)),
        ),
        (
            "examples_per_second",
            Some(json!(examples_per_second.round())),
        ),
        (SOURCES, Some(json!(sources))),
    ]
    .into_iter()
    .filter_map(|(key, value)| Some((key.to_owned(), value?)))
    .collect()
}
