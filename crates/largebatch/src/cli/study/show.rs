//! What `largebatch study` prints.

use std::fmt::Write as _;

use largebatch_study::statistics::{Estimate, Paired, estimate, finals, gaps, paired, steps_to_target, warnings};
use largebatch_study::{Goal, Group, Plan, Progress, Results, TrialRecord, describe, key, number};

use super::recipes::RECIPES;

/// Seconds, in a unit that suits them.
pub(super) fn time(seconds: f64) -> String {
    match seconds {
        s if s < 90.0 => format!("{s:.0} s"),
        s if s < 5400.0 => format!("{:.0} min", s / 60.0),
        s => format!("{:.1} h", s / 3600.0),
    }
}

/// Running, diverged, failed and best, for the progress bar.
pub(super) fn progress(progress: &Progress) -> String {
    let mut text = format!("· {} running", progress.running);
    for (n, what) in [(progress.diverged, "diverged"), (progress.failed, "failed")] {
        if n > 0 {
            let _ = write!(text, " · {n} {what}");
        }
    }
    if let Some(best) = &progress.best {
        let _ = write!(text, " · best {} {} ({})", best.metric.replace('_', " "), figure(&best.metric, best.value), describe(&best.labels));
    }
    text
}

/// The recipes with the first sentence about each.
pub(super) fn recipes() -> String {
    let mut text = String::new();
    for recipe in RECIPES {
        let about = recipe.text.parse::<toml::Table>().ok().and_then(|t| Some(t.get("about")?.as_str()?.trim().replace('\n', " ")));
        let about = about.unwrap_or_default();
        // A sentence ends with a point before a capital; "et al. 2017" does not.
        let sentence =
            about.match_indices(". ").find(|(i, _)| about[i + 2..].starts_with(char::is_uppercase)).map_or(&*about, |(i, _)| &about[..=i]);
        let mut column = usize::MAX;
        for word in sentence.split_whitespace() {
            let width = word.chars().count() + 1;
            if column.saturating_add(width) > 100 {
                let head = if column == usize::MAX { recipe.name } else { "" };
                let _ = write!(text, "{}{head:<11}", if text.is_empty() { "" } else { "\n" });
                column = 11;
            }
            let _ = write!(text, " {word}");
            column += width;
        }
    }
    text + "\n\nPrint one with `largebatch study list NAME`, run it with `largebatch study run NAME`."
}

/// A study's groups and the size of the whole.
pub(super) fn plan(plan: &Plan, seconds: Option<f64>, jobs: usize) -> String {
    let confirm = plan.confirm_seeds().len();
    let mut rows = vec![["group", "batch", "rate", "tune", "confirm"].map(String::from).to_vec()];
    for (index, group) in plan.groups.iter().enumerate() {
        rows.push(vec![name(group), batch(group), rates(plan, group), plan.tune_ids(index).len().to_string(), confirm.to_string()]);
    }
    let mut text = aligned(&rows);
    let (tune, confirm) = (plan.tune_count(), plan.confirm_count());
    let _ = writeln!(text, "\n{} trials: {tune} to tune, {confirm} to confirm", tune + confirm);
    if let Some(seconds) = seconds {
        let jobs = jobs as f64;
        let _ = writeln!(
            text,
            "about {} with {jobs} at a time, by the speed of a few steps here; early stops make it shorter",
            time(seconds / jobs)
        );
    }
    text
}

/// Where a group's rate comes from.
fn rates(plan: &Plan, group: &Group) -> String {
    if let Some(derived) = &group.derived {
        return format!("{} × {:.3}", name(&plan.groups[derived.from]), derived.factor);
    }
    let tried: Vec<f64> = group.points.iter().filter_map(|p| p.get(key::RATE).and_then(number)).collect();
    match tried.as_slice() {
        [] => group.config.get(key::RATE).and_then(number).map_or("default".into(), |rate| short(rate)),
        tried => {
            let (low, high) = tried.iter().fold((f64::INFINITY, 0.0f64), |(a, b), x| (a.min(*x), b.max(*x)));
            format!("{} of {} to {}", tried.len(), short(low), short(high))
        }
    }
}

/// How far a study is, and what its tuning has chosen so far.
pub(super) fn status(results: &Results) -> String {
    let state = results.progress(1);
    let mut text = format!(
        "{}: {} of {} trials done {}\n",
        results.plan.study.name,
        state.done,
        state.total,
        progress(&state).replace("· 0 running ", "")
    );
    if state.done < state.total
        && let Some(eta) = state.eta()
    {
        let _ = writeln!(text, "about {} of computing to go", time(eta.as_secs_f64()));
    }
    for (index, group) in results.plan.groups.iter().enumerate().filter(|(_, g)| !g.points.is_empty()) {
        let chosen = match (&results.choices[index], results.rate(index)) {
            (Some(choice), Some(rate)) => format!("rate {} chosen, score {:.4}", short(rate), choice.score),
            _ if results.tuned(index) => "tuned, and no rate is usable".into(),
            _ => "not tuned yet".into(),
        };
        let _ = writeln!(text, "  {}, batch {}: {chosen}", name(group), batch(group));
    }
    text
}

/// The results: a row a group, with its difference to the first group, and every warning.
pub(super) fn table(results: &Results) -> String {
    let plan = &results.plan;
    let groups: Vec<Vec<&TrialRecord>> = (0..plan.groups.len()).map(|g| results.reported(g)).collect();
    let Some(any) = groups.iter().flatten().find(|r| r.stop.is_measurement()) else {
        return format!("{}: no trial to report yet\n{}", plan.study.name, cautions(results));
    };
    let metric =
        ["test_accuracy", "test_rmse", "test_loss"].into_iter().find(|m| any.metrics.contains_key(*m)).unwrap_or(&any.metric).to_owned();
    let train = metric.replacen("test", "train", 1).replacen("validation", "train", 1);
    let to_target = plan.study.tune.goal == Goal::FewestSteps;
    let mut head = vec!["group".into(), "batch".into(), "rate".into(), "n".into(), "steps".into()];
    if to_target {
        head.extend(["steps to target".into(), "reached".into()]);
    } else {
        let minus = format!("minus {}", name(&plan.groups[0]));
        head.extend([metric.replace('_', " "), train.replace('_', " "), "gap".into(), minus]);
    }
    let first = finals(groups[0].iter().copied(), &metric);
    let mut rows = vec![head];
    for (index, group) in plan.groups.iter().enumerate() {
        let records = &groups[index];
        let values = finals(records.iter().copied(), &metric);
        let of = if values.len() < records.len() { format!("{} of {}", values.len(), records.len()) } else { values.len().to_string() };
        let steps = middle(records.iter().filter(|r| r.stop.is_measurement()).map(|r| r.steps).collect());
        let mut row = vec![name(group), batch(group), results.rate(index).map_or(String::new(), short), of, steps];
        if to_target {
            let bound = group.stop.target.unwrap_or(f64::INFINITY);
            let censored = steps_to_target(records.iter().copied(), bound);
            row.push(censored.median.map_or("-".into(), |m| format!("{m:.0}")));
            row.push(format!("{} of {}", censored.reached, censored.n));
        } else {
            let of = |values: Vec<(u64, f64)>| estimate(&values.iter().map(|v| v.1).collect::<Vec<_>>());
            row.push(of(values.clone()).map_or("-".into(), |e| interval(&metric, &e, false)));
            row.push(of(finals(records.iter().copied(), &train)).map_or("-".into(), |e| figure(&train, e.mean)));
            let gap = (train != metric).then(|| of(gaps(records.iter().copied(), &train, &metric))).flatten();
            row.push(gap.map_or("-".into(), |e| points(&metric, e.mean)));
            row.push(if index == 0 { String::new() } else { paired(&values, &first).map_or("-".into(), |p| difference(&metric, &p)) });
        }
        rows.push(row);
    }
    let mut text = format!("{}: {}\n\n{}", plan.study.name, setting(any), aligned(&rows));
    if !to_target {
        let _ = writeln!(
            text,
            "\nMeans over seeds with their 95 % interval; gap is train − test. \"minus {0}\" is the mean difference to {0}, seed by seed; one whose interval\nholds 0 cannot be told from none with so many seeds.",
            name(&plan.groups[0])
        );
    }
    text + &cautions(results)
}

fn cautions(results: &Results) -> String {
    warnings(results).iter().map(|w| format!("warning: {w}\n")).collect()
}

/// Data, model and size of the test part of the reported trials.
fn setting(record: &TrialRecord) -> String {
    let word = |key: &str| {
        let value = record.config.get(key);
        value.and_then(|v| v.as_str().or_else(|| v.get("name")?.as_str())).unwrap_or_default().to_owned()
    };
    let test = record.metrics.get("test_examples").map_or(String::new(), |n| format!(", {n} test"));
    format!("{} on {}, {} training examples{test}", word("model"), word("dataset"), record.train_examples)
}

/// A group in a word: its arm and its values on the axes, the batch size apart, which has a column.
fn name(group: &Group) -> String {
    let mut labels = group.labels.clone();
    labels.remove(key::BATCH);
    let arm = labels.remove("arm").and_then(|arm| Some(arm.as_str()?.to_owned()));
    let rest = describe(&labels);
    match (arm, rest.is_empty(), labels.len()) {
        (Some(arm), true, _) => arm,
        (Some(arm), false, _) => format!("{arm}, {rest}"),
        (None, true, _) => batch(group),
        (None, false, 1) => rest.split_once('=').map_or(rest.clone(), |(_, value)| value.to_owned()),
        (None, false, _) => rest,
    }
}

fn batch(group: &Group) -> String {
    group.config.get(key::BATCH).map_or("default".into(), ToString::to_string)
}

fn short(x: f64) -> String {
    // Three digits, without a tail of zeros.
    let rounded: f64 = format!("{x:.2e}").parse().unwrap_or(x);
    rounded.to_string()
}

fn middle(mut steps: Vec<u64>) -> String {
    steps.sort_unstable();
    steps.get(steps.len() / 2).map_or("-".into(), u64::to_string)
}

/// A figure with its unit: accuracies in percent.
fn figure(metric: &str, value: f64) -> String {
    if metric.ends_with("accuracy") { format!("{:.2} %", 100.0 * value) } else { format!("{value:.4}") }
}

/// A difference of figures: of accuracies in points of percent.
fn points(metric: &str, value: f64) -> String {
    if metric.ends_with("accuracy") { format!("{:+.2}", 100.0 * value) } else { format!("{value:+.4}") }
}

fn interval(metric: &str, e: &Estimate, signed: bool) -> String {
    let show = |v: f64| match (signed, metric.ends_with("accuracy")) {
        (true, _) => points(metric, v),
        (false, true) => format!("{:.2}", 100.0 * v),
        (false, false) => format!("{v:.4}"),
    };
    let ends = e.interval.map_or(String::new(), |(low, high)| format!(" [{}, {}]", show(low), show(high)));
    format!("{}{ends}", show(e.mean))
}

fn difference(metric: &str, p: &Paired) -> String {
    interval(metric, &p.difference, true)
}

/// Columns under each other: the first to the left, the others to the right.
fn aligned(rows: &[Vec<String>]) -> String {
    let width = |column: usize| rows.iter().map(|r| r[column].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..rows[0].len()).map(width).collect();
    let mut text = String::new();
    for row in rows {
        let cells: Vec<String> = row
            .iter()
            .enumerate()
            .map(|(i, cell)| {
                let space = " ".repeat(widths[i] - cell.chars().count());
                if i == 0 { format!("{cell}{space}") } else { format!("{space}{cell}") }
            })
            .collect();
        let _ = writeln!(text, "{}", cells.join("  ").trim_end());
    }
    text
}
