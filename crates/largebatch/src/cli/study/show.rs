//! The output of `largebatch study`.

use std::fmt::Write as _;

use largebatch_study::{Arm, Group, Plan, Progress, Results, key, number, title};

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

/// The numbers of running, diverged and failed trials.
fn counts(progress: &Progress) -> String {
    let mut text = format!("· {} running", progress.running.len());
    for (n, what) in [(progress.diverged, "diverged"), (progress.failed, "failed")] {
        if n > 0 {
            let _ = write!(text, " · {n} {what}");
        }
    }
    text
}

/// The time that is left.
fn left(progress: &Progress) -> String {
    let eta = progress.eta().filter(|_| progress.done < progress.total);
    eta.map_or(String::new(), |eta| {
        format!("· about {} left ", time(eta.as_secs_f64()))
    })
}

/// The numbers of trials and the best result, for a line.
pub(super) fn progress(progress: &Progress) -> String {
    let mut text = counts(progress);
    if let Some(best) = &progress.best {
        let _ = write!(
            text,
            " · best {} {}",
            best.metric.replace('_', " "),
            figure(&best.metric, best.value)
        );
        if !best.labels.is_empty() {
            let _ = write!(text, " ({})", title(&best.labels));
        }
    }
    text
}

/// The width and height of the terminal, if there is one.
pub(super) fn terminal() -> (usize, usize) {
    let size = terminal_size::terminal_size_of(std::io::stderr());
    size.map_or((100, 40), |(w, h)| (w.0.into(), h.0.into()))
}

/// Lines on a terminal that are drawn again in place. The cursor stays below them, so that what a
/// terminal shows of a pressed Ctrl-C does not move them.
#[derive(Default)]
pub(super) struct InPlace(usize);

impl InPlace {
    /// What draws these lines over the last ones.
    pub(super) fn draw(&mut self, text: &str) -> String {
        let mut out = self.back();
        self.0 = text.lines().count();
        for line in text.lines() {
            let _ = writeln!(out, "{line}\x1b[K");
        }
        out + "\x1b[J"
    }

    /// What removes the lines.
    pub(super) fn clear(&mut self) -> String {
        match std::mem::take(self).0 {
            0 => String::new(),
            n => InPlace(n).back() + "\x1b[J",
        }
    }

    fn back(&self) -> String {
        match self.0 {
            0 => String::new(),
            n => format!("\r\x1b[{n}A"),
        }
    }
}

/// A line for the study, and a table of its arms: trials done, best result, and the rates that run
/// now with the part of the budget that they have done. It fits into a terminal.
pub(super) fn table(progress: &Progress, (width, height): (usize, usize)) -> String {
    let running = |arm: &Arm| {
        let trials = progress.running.iter().filter(|r| r.labels == arm.labels);
        let words = trials.map(|r| {
            let rate = r.rate.map_or("default".into(), short);
            format!("{rate} ({:.0} %)", 100.0 * r.share())
        });
        words.collect::<Vec<_>>().join(", ")
    };
    let metric = progress.best.as_ref().map_or("", |best| &best.metric);
    let row = |arm: &Arm| {
        let label = title(&arm.labels);
        [
            if label.is_empty() {
                "all".into()
            } else {
                label
            },
            format!("{}/{}", arm.ended, arm.total()),
            arm.best.map_or("–".into(), |value| figure(metric, value)),
            running(arm),
        ]
    };
    let rows: Vec<(&Arm, [String; 4])> = progress.arms.iter().map(|arm| (arm, row(arm))).collect();
    // If not all arms fit, those that run stay, then those that are not done.
    let room = height.saturating_sub(6).max(3);
    let mut order: Vec<usize> = (0..rows.len()).collect();
    order.sort_by_key(|i| {
        let (arm, row) = &rows[*i];
        (row[3].is_empty(), arm.ended == arm.total())
    });
    let mut shown = order[..room.min(rows.len())].to_vec();
    shown.sort_unstable();
    let hidden: Vec<&Arm> = order[shown.len()..].iter().map(|i| rows[*i].0).collect();
    let head = ["arm", "done", "best", "running now: rate (done)"].map(String::from);
    let lines: Vec<&[String; 4]> = std::iter::once(&head)
        .chain(shown.iter().map(|i| &rows[*i].1))
        .collect();
    let wide = |column: usize| lines.iter().map(|l| l[column].chars().count()).max();
    let [name, ended, best] = [0, 1, 2].map(|column| wide(column).unwrap_or(0));
    let name = name.min((width / 2).max(12));
    let full = 20 * progress.done / progress.total.max(1);
    let bar = "█".repeat(full) + &"░".repeat(20usize.saturating_sub(full));
    let (done, total) = (progress.done, progress.total);
    let counts = format!("{}{}", left(progress), counts(progress));
    let first = format!("{bar} {done}/{total} trials {counts}");
    let mut text = cut(&first, width.saturating_sub(1));
    for [label, of, value, now] in lines {
        let label = cut(label, name);
        let line = format!("{label:<name$}  {of:>ended$}  {value:>best$}  {now}");
        let _ = write!(text, "\n{}", cut(line.trim_end(), width.saturating_sub(1)));
    }
    if !hidden.is_empty() {
        let done = hidden.iter().filter(|arm| arm.ended == arm.total()).count();
        let _ = write!(text, "\n… and {} more, {done} of them done", hidden.len());
    }
    text
}

/// The beginning of a text that is too long.
fn cut(text: &str, width: usize) -> String {
    if text.chars().count() <= width {
        return text.to_owned();
    }
    let begin: String = text.chars().take(width.saturating_sub(1)).collect();
    begin + "…"
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
pub(super) fn status(results: &Results, state: &Progress) -> String {
    let mut text = format!(
        "{}: {} of {} trials done {}\n",
        results.plan.study.name,
        state.done,
        state.total,
        progress(state).replace("· 0 running ", "")
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

#[cfg(test)]
mod tests {
    use largebatch_study::{Curves, RunId, Running, Stage};

    use super::*;

    #[test]
    fn a_table_fits_and_keeps_the_arms_that_run() {
        let labels = |i: usize| toml::Table::from_iter([("arm".into(), format!("arm {i}").into())]);
        let arms = (0..30).map(|i| {
            let mut arm = Arm::default();
            (arm.labels, arm.ended) = (labels(i), 3);
            arm
        });
        let mut progress = Progress::default();
        (progress.done, progress.total, progress.arms) = (90, 100, arms.collect());
        progress.running.push(Running {
            id: RunId(String::new()),
            labels: labels(29),
            stage: Stage::Tune,
            seed: 0,
            rate: Some(0.1),
            since: 0,
            begun: None,
            curves: Curves::default(),
        });
        let text = table(&progress, (40, 12));
        assert!(text.lines().count() < 12, "{text}");
        assert!(text.lines().all(|l| l.chars().count() < 40), "{text}");
        for part in [
            "90/100",
            "arm 29",
            "0.1 (0 %)",
            "… and 24 more, 24 of them done",
        ] {
            assert!(text.contains(part), "{part}: {text}");
        }
    }

    #[test]
    fn lines_are_drawn_in_place() {
        let mut lines = InPlace::default();
        assert_eq!(lines.clear(), "");
        assert_eq!(lines.draw("a\nb"), "a\x1b[K\nb\x1b[K\n\x1b[J");
        assert!(lines.draw("c").starts_with("\r\x1b[2Ac"));
        assert_eq!(lines.clear(), "\r\x1b[1A\x1b[J");
    }
}
