//! The output of `largebatch study`.

use std::fmt::Write as _;

use largebatch_study::{Group, Plan, Progress, Results, describe, key, number, title};

use super::recipes::RECIPES;
use crate::cli::aligned;

/// A time in seconds, minutes or hours.
pub(super) fn time(seconds: f64) -> String {
    match seconds {
        s if s < 90.0 => format!("{s:.0} s"),
        s if s < 5400.0 => format!("{:.0} min", s / 60.0),
        s => format!("{:.1} h", s / 3600.0),
    }
}

/// The numbers of running, diverged and failed trials and the best result, for the progress bar.
pub(super) fn progress(progress: &Progress) -> String {
    let mut text = format!("· {} running", progress.running);
    for (n, what) in [(progress.diverged, "diverged"), (progress.failed, "failed")] {
        if n > 0 {
            let _ = write!(text, " · {n} {what}");
        }
    }
    if let Some(best) = &progress.best {
        let _ = write!(
            text,
            " · best {} {}",
            best.metric.replace('_', " "),
            figure(&best.metric, best.value)
        );
        if !best.labels.is_empty() {
            let _ = write!(text, " ({})", describe(&best.labels));
        }
    }
    text
}

/// The recipes, each with the first sentence of its description.
pub(super) fn recipes() -> String {
    let mut text = String::new();
    for recipe in RECIPES {
        let about = recipe
            .text
            .parse::<toml::Table>()
            .ok()
            .and_then(|t| Some(t.get("about")?.as_str()?.trim().replace('\n', " ")));
        let about = about.unwrap_or_default();
        // A sentence ends with a period before a capital; "et al. 2017" does not end one.
        let sentence = about
            .match_indices(". ")
            .find(|(i, _)| about[i + 2..].starts_with(char::is_uppercase))
            .map_or(&*about, |(i, _)| &about[..=i]);
        let mut column = usize::MAX;
        for word in sentence.split_whitespace() {
            let width = word.chars().count() + 1;
            if column.saturating_add(width) > 100 {
                let head = if column == usize::MAX {
                    recipe.name
                } else {
                    ""
                };
                let _ = write!(
                    text,
                    "{}{head:<11}",
                    if text.is_empty() { "" } else { "\n" }
                );
                column = 11;
            }
            let _ = write!(text, " {word}");
            column += width;
        }
    }
    text + "\n\nPrint one with `largebatch study list NAME`, run it with `largebatch study run NAME`."
}

/// A study's groups and its total size.
pub(super) fn plan(plan: &Plan, seconds: Option<f64>, jobs: usize) -> String {
    let confirm = plan.confirm_seeds().len();
    let mut rows = vec![
        ["group", "batch", "rate", "tune", "confirm"]
            .map(String::from)
            .to_vec(),
    ];
    for (index, group) in plan.groups.iter().enumerate() {
        rows.push(vec![
            name(group),
            batch(group),
            rates(plan, group),
            plan.tune_ids(index).len().to_string(),
            confirm.to_string(),
        ]);
    }
    let mut text = aligned(&rows);
    let (tune, confirm) = (plan.tune_count(), plan.confirm_count());
    let _ = writeln!(
        text,
        "\n{} trials: {tune} to tune, {confirm} to confirm",
        tune + confirm
    );
    if let Some(seconds) = seconds {
        let jobs = jobs as f64;
        let _ = writeln!(
            text,
            "about {} with {jobs} at a time, estimated from a few steps on this machine; early stops shorten it",
            time(seconds / jobs)
        );
    }
    text
}

/// How a group gets its rate.
fn rates(plan: &Plan, group: &Group) -> String {
    if let Some(derived) = &group.derived {
        return format!(
            "{} × {:.3}",
            name(&plan.groups[derived.from]),
            derived.factor
        );
    }
    let tried: Vec<f64> = group
        .points
        .iter()
        .filter_map(|p| p.get(key::RATE).and_then(number))
        .collect();
    match tried.as_slice() {
        [] => group
            .config
            .get(key::RATE)
            .and_then(number)
            .map_or("default".into(), short),
        tried => {
            let (low, high) = tried
                .iter()
                .fold((f64::INFINITY, 0.0f64), |(a, b), x| (a.min(*x), b.max(*x)));
            format!("{} of {} to {}", tried.len(), short(low), short(high))
        }
    }
}

/// A study's progress, and what its tuning has chosen so far.
pub(super) fn status(results: &Results) -> String {
    let state = results.progress(1);
    let mut text = format!(
        "{}: {} of {} trials done {}\n",
        results.plan.study.name,
        state.done,
        state.total,
        progress(&state).replace("· 0 running ", "")
    );
    if state.failed > 0 {
        text += "`study run` with --retry runs the failed trials again\n";
    }
    if state.done < state.total
        && let Some(eta) = state.eta()
    {
        let _ = writeln!(text, "about {} of computing left", time(eta.as_secs_f64()));
    }
    for (index, group) in results
        .plan
        .groups
        .iter()
        .enumerate()
        .filter(|(_, g)| !g.points.is_empty())
    {
        let chosen = match (&results.choices[index], results.rate(index)) {
            (Some(choice), Some(rate)) => {
                format!("rate {} chosen, score {:.4}", short(rate), choice.score)
            }
            _ if results.tuned(index) => "tuned, but no rate is usable".into(),
            _ => "not tuned yet".into(),
        };
        let _ = writeln!(text, "  {}, batch {}: {chosen}", name(group), batch(group));
    }
    text
}

/// A group's name as in reports and exports, without the batch size, which has its own column.
fn name(group: &Group) -> String {
    let mut labels = group.labels.clone();
    labels.remove(key::BATCH);
    let text = title(&labels);
    if text.is_empty() { batch(group) } else { text }
}

fn batch(group: &Group) -> String {
    group
        .config
        .get(key::BATCH)
        .map_or("default".into(), ToString::to_string)
}

fn short(x: f64) -> String {
    // Three digits, without trailing zeros.
    let rounded: f64 = format!("{x:.2e}").parse().unwrap_or(x);
    rounded.to_string()
}

/// A metric with its unit: accuracies in percent.
fn figure(metric: &str, value: f64) -> String {
    if metric.ends_with("accuracy") {
        format!("{:.2} %", 100.0 * value)
    } else {
        format!("{value:.4}")
    }
}
