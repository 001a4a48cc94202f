//! The page of a study that runs: the report, and what a server tells it while it is open.

use largebatch_plot::draw::Frame;
use largebatch_plot::{Figure, capital, duration};
use largebatch_study::{Results, Running};
use maud::{Markup, PreEscaped, html};
use serde_json::{Value, json};

use crate::analysis::{Analysis, stage};
use crate::data::rounded;
use crate::report::Report;

impl Report<'_> {
    /// The report as a page that follows the study: it asks its server for `state`, shows the running
    /// trials, and loads itself anew when trials have ended.
    pub fn following(&self) -> String {
        let done = self.analysis.results.progress(1).done;
        let script = html! {
            script { "const done = " (done) ";\n" (PreEscaped(include_str!("follow.js"))) }
        };
        self.page(Some(&running(&self.analysis)), &script)
    }
}

/// The section of the running trials. It is hidden until the page knows of some.
fn running(a: &Analysis) -> Markup {
    let figure = |kind: &str, words: &str| -> Figure {
        let title = format!("{}, running trials", capital(words));
        let mut frame = Frame::new(&format!("running-{kind}"), &title, &[], 54.0, 220.0);
        frame.redrawn_as(&format!("{kind} steps"));
        frame.clip();
        frame.end();
        frame.finish(String::new())
    };
    let figures = [
        figure("loss", "training loss"),
        figure("validation", &a.validation.words),
    ];
    let heads = ["rate", "seed", "done", "time", "training loss"];
    html! {
        section id="running" hidden {
            h2 { "Running now" }
            div.scroll {
                table.summary {
                    thead { tr {
                        th { "group" } th { "stage" }
                        @for head in heads { th.n { (head) } }
                        th.n { (a.validation.words) }
                    } }
                    tbody {}
                }
            }
            div.figures { @for f in &figures { figure id=(f.name) {
                (PreEscaped(f.inline()))
                figcaption { "Dashed, with a hollow end: running trials up to their last point. Faint: ended trials of the same groups." }
            } } }
        }
    }
}

/// How far a study is, as the JSON for which [`Report::following`] asks.
pub fn state(results: &Results, running: &[Running]) -> String {
    let progress = results.progress(running.len().max(1));
    let left = progress.eta().filter(|_| progress.done < progress.total);
    let left = left.map_or(String::new(), |eta| {
        format!("; about {} left", duration(eta.as_secs_f64()))
    });
    let now = match running.len() {
        0 => String::new(),
        n => format!(", {n} running"),
    };
    let text = format!(
        "{} of {} trials done{now}{left}",
        progress.done, progress.total
    );
    let rows = results.rows();
    let trials = running.iter().filter_map(|trial| {
        let row = rows.iter().find(|row| row.id == trial.id)?;
        Some(described(trial, row.group, row.point))
    });
    json!({
        "done": progress.done,
        "total": progress.total,
        "text": text,
        "running": trials.collect::<Vec<Value>>(),
    })
    .to_string()
}

/// A running trial, as the page's script knows trials.
fn described(trial: &Running, group: usize, point: Option<usize>) -> Value {
    let c = &trial.curves;
    let epoch = |i: usize| {
        let begun = trial.begun.as_ref()?;
        let by_examples = || c.examples[i] as f64 / begun.train_examples as f64;
        let epochs = begun.epochs.as_ref();
        Some(epochs.map_or_else(by_examples, |epochs| epochs.epoch(c.step[i] as f64)))
    };
    let epochs = (0..c.step.len()).map(|i| rounded(epoch(i).unwrap_or(f64::NAN), 5));
    let column = |values: &[f64]| -> Vec<Value> { values.iter().map(|v| rounded(*v, 4)).collect() };
    json!({
        "g": group,
        "p": point,
        "stage": stage(trial.stage),
        "seed": trial.seed,
        "rate": trial.rate,
        "seconds": trial.seconds(),
        "share": rounded(trial.share(), 4),
        "axis": { "steps": c.step, "examples": c.examples, "epochs": epochs.collect::<Vec<_>>() },
        "loss": column(&c.train_loss),
        "validation": column(&c.validation),
    })
}
