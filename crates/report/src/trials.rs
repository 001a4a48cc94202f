//! The page's table of trials.

use std::fmt::Write;

use largebatch_plot::draw::escape;
use largebatch_plot::{duration, significant};

use crate::analysis::{Analysis, stage};

/// Maximum number of rows: more would make the page slow. The CSV contains all trials.
const MOST_ROWS: usize = 4000;

pub(crate) fn trials(a: &Analysis) -> String {
    let rows = a.results.rows();
    let done: Vec<_> = rows.iter().filter_map(|r| Some((r, r.record?))).collect();
    let metric = &a.measure.key;
    // If the study watches it, it already has a column.
    let loss = a.measure.key != "train_loss" && a.validation.key != "train_loss";
    let mut body = String::new();
    let value = |v: Option<f64>, text: String| match v {
        Some(v) if v.is_finite() => format!("<td data-v=\"{v}\">{}</td>", escape(&text)),
        _ => "<td data-v=\"\">–</td>".into(),
    };
    for (r, record) in done.iter().take(MOST_ROWS) {
        let g = &a.groups[r.group];
        let number =
            |v: Option<f64>, digits| value(v, v.map_or(String::new(), |v| significant(v, digits)));
        let score = |m: &crate::measure::Measure, v: Option<f64>| {
            value(v, v.map_or(String::new(), |v| m.value(v)))
        };
        let rate = largebatch_study::get(&record.config, largebatch_study::key::RATE)
            .and_then(largebatch_study::number);
        let (class, stop) = stop(&record.stop);
        let cells = [
            format!(
                "<td class=\"words\">{}</td><td class=\"words\">{}</td>",
                escape(&g.label),
                stage(r.stage)
            ),
            number(g.batch, 7),
            number(rate, 4),
            format!("<td data-v=\"{0}\">{0}</td>", r.seed),
            score(&a.measure, record.metrics.get(metric).copied()),
            if a.measure.key == a.validation.key {
                String::new()
            } else {
                score(&a.validation, record.validation())
            },
            if loss {
                number(record.metrics.get("train_loss").copied(), 3)
            } else {
                String::new()
            },
            number(Some(record.steps as f64), 7),
            number(record.epoch(record.steps, record.examples), 3),
            format!("<td class=\"words\">{}</td>", escape(&stop)),
            value(
                Some(record.provenance.seconds),
                duration(record.provenance.seconds),
            ),
            format!(
                "<td class=\"id\" title=\"{}\">{}</td>",
                record.id,
                &record.id.0[..record.id.0.len().min(8)]
            ),
        ];
        let _ = write!(body, "<tr{class}>{}</tr>", cells.concat());
    }
    if body.is_empty() {
        return String::new();
    }
    let validation =
        Some(a.validation.words.as_str()).filter(|_| a.measure.key != a.validation.key);
    let heads = ["group", "stage", "batch", "rate", "seed", &a.measure.words]
        .into_iter()
        .chain(validation);
    let heads = heads
        .chain(Some("train loss").filter(|_| loss))
        .chain(["steps", "epochs", "ended by", "time", "id"]);
    let head = |h: &str| {
        let class = if matches!(h, "group" | "stage" | "ended by") {
            " class=\"words\""
        } else {
            ""
        };
        format!(
            "<th{class}><button type=\"button\">{}</button></th>",
            escape(h)
        )
    };
    let head: String = heads.map(head).collect();
    let more = if done.len() > MOST_ROWS {
        format!(
            " Shown are the first {MOST_ROWS} of {}; all are in trials.csv.",
            done.len()
        )
    } else {
        String::new()
    };
    format!(
        "<p class=\"filter\"><label>Filter <input type=\"search\" placeholder=\"lars confirm, or diverged\" autocomplete=\"off\"></label> <output></output></p>\
         <div class=\"scroll tall\"><table class=\"trials\"><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div><p class=\"note\">Click a heading to sort. The filter shows the rows that contain all its words.{more}</p>"
    )
}

fn stop(reason: &largebatch_study::StopReason) -> (&'static str, String) {
    use largebatch_study::StopReason::{
        Diverged, Failed, Finished, Plateau, Pruned, TargetReached,
    };
    match reason {
        Finished => ("", "budget".into()),
        TargetReached => ("", "target".into()),
        Plateau => ("", "plateau".into()),
        Diverged => (" class=\"bad\"", "✕ diverged".into()),
        Pruned => (" class=\"bad\"", "– pruned".into()),
        Failed { message } => (" class=\"bad\"", format!("– failed: {message}")),
    }
}
