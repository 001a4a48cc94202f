//! The page's table of trials.

use largebatch_plot::{duration, significant};
use largebatch_study::{Row, StopReason, TrialRecord, get, key, number};
use maud::{Markup, html};

use crate::analysis::{Analysis, stage};
use crate::measure::Measure;

/// Maximum number of rows: more would make the page slow. The CSV contains all trials.
const MOST_ROWS: usize = 4000;

pub(crate) fn trials(a: &Analysis) -> Option<Markup> {
    let rows = a.results.rows();
    let done: Vec<_> = rows.iter().filter_map(|r| Some((r, r.record?))).collect();
    // If the study watches it, it already has a column.
    let loss = a.measure.key != "train_loss" && a.validation.key != "train_loss";
    let validation = a.measure.key != a.validation.key;
    let heads = ["group", "stage", "batch", "rate", "seed", &a.measure.words].into_iter();
    let heads = heads
        .chain(validation.then_some(a.validation.words.as_str()))
        .chain(loss.then_some("train loss"))
        .chain(["steps", "epochs", "ended by", "time", "id"]);
    (!done.is_empty()).then(|| {
        html! {
            p.filter {
                label {
                    "Filter "
                    input type="search" placeholder="lars confirm, or diverged" autocomplete="off";
                }
                " " output {}
            }
            div.scroll.tall {
                table.trials {
                    thead {
                        tr {
                            @for h in heads {
                                @let words = matches!(h, "group" | "stage" | "ended by");
                                th class=[words.then_some("words")] {
                                    button type="button" { (h) }
                                }
                            }
                        }
                    }
                    tbody {
                        @for (r, record) in done.iter().take(MOST_ROWS) {
                            (row(a, r, record, validation, loss))
                        }
                    }
                }
            }
            p.note {
                "Click a heading to sort, a row to see its curve. The filter shows the rows that contain all its words."
                @if done.len() > MOST_ROWS {
                    " Shown are the first " (MOST_ROWS) " of " (done.len()) "; all are in trials.csv."
                }
            }
        }
    })
}

fn row(a: &Analysis, r: &Row, record: &TrialRecord, validation: bool, loss: bool) -> Markup {
    let g = &a.groups[r.group];
    let digits = |v: Option<f64>, digits| value(v, |v| significant(v, digits));
    let score = |m: &Measure, v: Option<f64>| value(v, |v| m.value(v));
    let metric = |key: &str| record.metrics.get(key).copied();
    let (bad, stop) = stop(&record.stop);
    html! {
        tr class=[bad.then_some("bad")] data-g=(r.group) data-p=[r.point] {
            td.words { (g.label) }
            td.words { (stage(r.stage)) }
            (digits(g.batch, 7))
            (digits(get(&record.config, key::RATE).and_then(number), 4))
            td data-v=(r.seed) { (r.seed) }
            (score(&a.measure, metric(&a.measure.key)))
            @if validation { (score(&a.validation, record.validation())) }
            @if loss { (digits(metric("train_loss"), 3)) }
            (digits(Some(record.steps as f64), 7))
            (digits(record.epoch(record.steps, record.examples), 3))
            td.words { (stop) }
            (value(Some(record.provenance.seconds), duration))
            td.id title=(record.id) { (record.id.0[..record.id.0.len().min(8)]) }
        }
    }
}

/// A cell with the value by which it is sorted.
fn value(v: Option<f64>, text: impl Fn(f64) -> String) -> Markup {
    match v.filter(|v| v.is_finite()) {
        Some(v) => html! { td data-v=(v) { (text(v)) } },
        None => html! { td data-v="" { "–" } },
    }
}

/// Whether a trial has no result, and how it ended.
fn stop(reason: &StopReason) -> (bool, String) {
    match reason {
        StopReason::Finished => (false, "budget".into()),
        StopReason::TargetReached => (false, "target".into()),
        StopReason::Plateau => (false, "plateau".into()),
        StopReason::Diverged => (true, "✕ diverged".into()),
        StopReason::Pruned => (true, "– pruned".into()),
        StopReason::Failed { message } => (true, format!("– failed: {message}")),
    }
}
