//! The chart of `benches/scaling`.

use std::path::Path;

use anyhow::Context;
use largebatch::plot::{Plot, Scale};
use serde_json::Value;

/// Draws examples/s against batch size, with a line for each model and number of threads.
pub fn write(from: &Path, to: &Path) -> anyhow::Result<()> {
    let text =
        std::fs::read_to_string(from).with_context(|| format!("reading {}", from.display()))?;
    let measured: Value =
        serde_json::from_str(&text).with_context(|| format!("{} is no JSON", from.display()))?;
    let mut lines: Vec<(String, Vec<(f64, f64)>)> = Vec::new();
    for point in measured["examples_per_second"]
        .as_array()
        .context("no examples_per_second")?
    {
        let threads = &point["threads"];
        let label = format!(
            "{}, {threads} thread{}",
            point["model"].as_str().unwrap_or("?"),
            if threads == 1 { "" } else { "s" }
        );
        let at = (
            point["batch"].as_f64().unwrap_or(f64::NAN),
            point["speed"].as_f64().unwrap_or(f64::NAN),
        );
        match lines.iter_mut().find(|line| line.0 == label) {
            Some(line) => line.1.push(at),
            None => lines.push((label, vec![at])),
        }
    }
    let plot = Plot::new("scaling", "Examples a second against batch size")
        .x("batch size", Scale::Log)
        .y("examples/s", Scale::Log)
        .height(300.0);
    let plot = plot.x_ticks([1.0, 4.0, 16.0, 64.0, 256.0, 1024.0, 4096.0]);
    let plot = lines
        .into_iter()
        .fold(plot, |plot, (label, points)| plot.line(&label, points));
    let caption = format!(
        "Training steps on random images; medians of {} rounds; device flex on {}.",
        measured["rounds"],
        measured["machine"].as_str().unwrap_or("an unknown machine")
    );
    plot.caption(&caption).figure().write(to)?;
    Ok(())
}
