//! The page.

use std::fmt::Write;

use largebatch_study::statistics::Censored;

use crate::analysis::{Analysis, Comparison, stage};
use crate::context::{Context, PaperTable};
use crate::figures::{Section, sections, steps};
use crate::number::{duration, significant, whole};
use crate::svg::escape;
use crate::{published, theme, time};

const STYLE: &str = include_str!("page.css");
const SCRIPT: &str = include_str!("page.js");

/// A table of more trials would make the page slow; all of them are in the CSV.
const MOST_ROWS: usize = 4000;

pub(crate) fn page(a: &Analysis, context: &Context) -> String {
    let name = escape(&a.results.plan.study.name);
    let about = if context.about.is_empty() { &a.results.plan.study.about } else { &context.about };
    let mut body = String::new();
    let mut nav: Vec<(String, String)> = Vec::new();
    let mut part = |id: &str, title: &str, html: String| {
        if !html.is_empty() {
            nav.push((id.into(), title.into()));
            // Writing to a String cannot fail.
            let _ = write!(body, "<section id=\"{id}\"><h2>{}</h2>{html}</section>", escape(title));
        }
    };
    part("findings", "Findings", findings(a));
    part("summary", "Summary", summary(a));
    for (i, s) in sections(a).iter().enumerate() {
        part(&format!("figures-{i}"), s.title, figures(s));
    }
    let papers: Vec<PaperTable> = published(a.results).into_iter().chain(context.papers.iter().cloned()).collect();
    part("paper", "Beside the paper", papers.iter().map(paper).collect());
    for (i, panel) in context.panels.iter().enumerate() {
        part(&format!("panel-{i}"), &panel.title, panel.html.clone());
    }
    part("trials", "Trials", trials(a));
    part("repeat", "Repeat it", repeat(a, context));
    let nav: String = nav.iter().map(|(id, title)| format!("<a href=\"#{id}\">{}</a>", escape(title))).collect();
    format!(
        "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">\
         <meta name=\"color-scheme\" content=\"light dark\"><title>{name}: report</title><style>{STYLE}{}</style></head><body><header><p class=\"kind\">largebatch study</p>\
         <h1>{name}</h1>{}{}<nav>{nav}</nav></header>{}<main>{body}</main><footer>Made by largebatch {}. This page loads nothing from anywhere.</footer>\
         <script>{SCRIPT}</script></body></html>\n",
        theme::style(),
        if about.is_empty() { String::new() } else { format!("<p class=\"about\">{}</p>", code(about.trim())) },
        facts(a),
        warnings(a),
        env!("CARGO_PKG_VERSION"),
    )
}

/// Text with `code` between back-ticks.
fn code(text: &str) -> String {
    let parts: Vec<&str> = text.split('`').collect();
    // An odd one out is no pair.
    if parts.len() % 2 == 0 {
        return escape(text);
    }
    parts.iter().enumerate().map(|(i, part)| if i % 2 == 1 { format!("<code>{}</code>", escape(part)) } else { escape(part) }).collect()
}

fn facts(a: &Analysis) -> String {
    let s = &a.setting;
    let mut facts = vec![(whole(s.trials as u64), if s.trials == 1 { "trial".to_string() } else { "trials".into() })];
    facts.push((whole(s.diverged as u64), "diverged".into()));
    if s.missing > 0 {
        facts.push((whole(s.missing as u64), "not done".into()));
    }
    let seeds = if s.confirm_seeds.is_empty() { &s.tune_seeds } else { &s.confirm_seeds };
    facts.push((seeds.clone(), "reported seeds".into()));
    facts.push((duration(s.seconds), "of computing".into()));
    facts.push((if s.devices.is_empty() { "not recorded".into() } else { s.devices.join(", ") }, "device".into()));
    if let Some((_, last)) = s.started {
        facts.push((time::date(last), "last trial begun".into()));
    }
    let items: String =
        facts.iter().map(|(value, what)| format!("<div><dt>{}</dt><dd>{}</dd></div>", escape(what), escape(value))).collect();
    format!("<dl class=\"facts\">{items}</dl>")
}

fn warnings(a: &Analysis) -> String {
    if a.warnings.is_empty() {
        return "<p class=\"fine\"><b>No warnings.</b> Best rates lie inside their grids, no reported trial diverged, budgets are equal, and every group has three seeds or more.</p>".into();
    }
    let items: Vec<String> = a.warnings.iter().map(|w| format!("<li>{}</li>", escape(w))).collect();
    // Many arms may have the same kind of warning each.
    let (first, rest) = items.split_at(items.len().min(6));
    let rest = if rest.is_empty() {
        String::new()
    } else {
        format!("<details><summary>{} more</summary><ul>{}</ul></details>", rest.len(), rest.concat())
    };
    format!(
        "<aside class=\"warnings\"><h2>{} warning{}</h2><ul>{}</ul>{rest}</aside>",
        items.len(),
        if items.len() == 1 { "" } else { "s" },
        first.concat()
    )
}

/// What the comparisons say, in sentences.
pub(crate) fn sentences(a: &Analysis) -> Vec<(char, String)> {
    let differences = a.comparisons.iter().filter_map(|c| sentence(a, c));
    differences.chain(steps::findings(a).into_iter().map(|text| ('→', text))).collect()
}

fn sentence(a: &Analysis, c: &Comparison) -> Option<(char, String)> {
    let end = c.end?;
    let (small, large, m) = (&a.groups[c.small], &a.groups[c.large], &a.measure);
    let e = end.difference;
    let size = |x: f64| format!("{}{}", m.bare(x.abs()), m.points());
    let (sign, verdict) = match e.interval {
        None => (
            '?',
            format!(
                "{} {} than {}, from one pair of seeds: no interval",
                size(e.mean),
                if e.mean > 0.0 { "worse" } else { "better" },
                small.label
            ),
        ),
        Some((low, _)) if low > 0.0 => ('−', format!("{} worse than {}", size(e.mean), small.label)),
        Some((_, high)) if high < 0.0 => ('+', format!("{} better than {}", size(e.mean), small.label)),
        Some(_) => {
            let resolves = c.resolves.map_or(String::new(), |r| format!(" (it resolves {})", size(r)));
            ('=', format!("not to be told from {}{resolves}", small.label))
        }
    };
    let ends = e.interval.map_or(String::new(), |(low, high)| format!(" [{}, {}]", m.bare(low), m.bare(high)));
    let budget = if c.equal_epochs { "at equal epochs" } else { "with another budget" };
    let mut text = format!("{}: {} {verdict}{ends}, {budget}, {} pairs", large.label, m.words, e.n);
    if let Some((loss, p)) = c.at_loss {
        let d = &p.difference;
        text += &format!(
            "; at training loss {}: {}{}{}",
            significant(loss, 3),
            a.validation.words,
            if d.mean > 0.0 { " worse by " } else { " better by " },
            size(d.mean)
        );
        if let Some((low, high)) = d.interval {
            text += &format!(" [{}, {}]", m.bare(low), m.bare(high));
        }
    }
    Some((sign, text + "."))
}

fn findings(a: &Analysis) -> String {
    let all = sentences(a);
    if all.is_empty() {
        return String::new();
    }
    let items: String = all
        .iter()
        .map(|(sign, text)| {
            let (label, rest) = text.split_once(": ").unwrap_or(("", text));
            let class = match sign {
                '−' => "worse",
                '+' => "better",
                _ => "same",
            };
            format!("<li class=\"{class}\"><span class=\"sign\">{sign}</span><span><b>{}</b>: {}</span></li>", escape(label), escape(rest))
        })
        .collect();
    format!(
        "<ul class=\"findings\">{items}</ul>{}",
        if a.comparisons.is_empty() {
            String::new()
        } else {
            format!(
                "<p class=\"note\">Differences are paired by seed; in brackets each one’s 95 % interval, not corrected for the number of comparisons ({}).</p>",
                a.comparisons.len()
            )
        }
    )
}

/// The heads of the summary, and its rows: the terminal shows the same.
pub(crate) fn summary_rows(a: &Analysis) -> (Vec<String>, Vec<Vec<String>>) {
    let any = |f: &dyn Fn(&crate::analysis::Facts) -> bool| a.groups.iter().any(f);
    let (train, gap, target) = (any(&|g| g.train.is_some()), any(&|g| g.gap.is_some()), any(&|g| g.target.is_some()));
    let budget = any(&|g| g.budget.is_some());
    let mut heads = vec!["group".to_string(), "batch".into(), "rate".into(), "n".into(), a.measure.words.clone()];
    let mut head = |show: bool, text: &str| {
        if show {
            heads.push(text.into());
        }
    };
    head(any(&|g| g.binomial.is_some()), "test ±");
    head(train, &a.train_key.replace('_', " "));
    head(gap, "gap");
    head(!a.comparisons.is_empty(), "worse than small");
    head(a.comparisons.iter().any(|c| c.at_loss.is_some()), "at equal loss");
    head(target, "steps to target");
    head(budget, "epochs");
    head(budget, "steps");
    head(true, "diverged");
    head(true, "time a trial");
    let dash = || "–".to_string();
    let censored = |c: &Censored| {
        format!(
            "{}{}",
            c.median.map_or("–".into(), |m| whole(m as u64)),
            if c.reached < c.n { format!(" ({} of {})", c.reached, c.n) } else { String::new() }
        )
    };
    let rows = a.groups.iter().enumerate().map(|(i, g)| {
        let c = a.comparisons.iter().find(|c| c.large == i);
        let mut row = vec![
            g.label.clone(),
            g.batch.map_or_else(dash, |b| significant(b, 7)),
            g.rate.map_or_else(dash, |r| significant(r, 3)),
            format!("{}", g.values.len()),
            g.score.map_or_else(dash, |e| a.measure.estimate(&e)),
        ];
        let mut cell = |show: bool, text: Option<String>| {
            if show {
                row.push(text.unwrap_or_else(dash));
            }
        };
        cell(any(&|g| g.binomial.is_some()), g.binomial.map(|b| a.measure.bare(b)));
        cell(train, g.train.map(|e| a.measure.bare(e.mean)));
        cell(gap, g.gap.map(|e| a.measure.difference(&e)));
        let end = c.and_then(|c| Some((c, c.end?)));
        cell(!a.comparisons.is_empty(), end.map(|(c, p)| a.measure.difference(&p.difference) + if c.equal_epochs { "" } else { " ‡" }));
        cell(a.comparisons.iter().any(|c| c.at_loss.is_some()), c.and_then(|c| Some(a.validation.difference(&c.at_loss?.1.difference))));
        cell(target, g.steps.as_ref().map(censored));
        cell(budget, g.epochs.map(|e| significant(e, 3)));
        let steps = |r: &&largebatch_study::TrialRecord| r.steps as f64;
        let n = g.records.len() as f64;
        cell(budget, (n > 0.0).then(|| whole((g.records.iter().map(steps).sum::<f64>() / n).round() as u64)));
        cell(true, Some(if g.lost > 0 { format!("{} + {} lost", g.diverged, g.lost) } else { g.diverged.to_string() }));
        cell(true, g.seconds.map(duration));
        row
    });
    let rows = rows.collect();
    (heads, rows)
}

fn summary(a: &Analysis) -> String {
    let (heads, rows) = summary_rows(a);
    let head: String =
        heads.iter().enumerate().map(|(i, h)| format!("<th{}>{}</th>", if i == 0 { "" } else { " class=\"n\"" }, escape(h))).collect();
    let row = |r: &Vec<String>| {
        let cells: String = r
            .iter()
            .enumerate()
            .map(|(i, c)| if i == 0 { format!("<th scope=\"row\">{}</th>", escape(c)) } else { format!("<td>{}</td>", interval(c)) })
            .collect();
        format!("<tr>{cells}</tr>")
    };
    let body: String = rows.iter().map(row).collect();
    let unit = if a.measure.percent {
        " Gaps and differences are in points; “worse than small” is above 0 where the larger batch is worse."
    } else {
        ""
    };
    let other = if a.comparisons.iter().any(|c| !c.equal_epochs) { " ‡: the two have different budgets in epochs." } else { "" };
    let at = if a.comparisons.iter().any(|c| c.at_loss.is_some()) {
        format!(
            " “At equal loss” compares the {} where both had first reached the lowest training loss that all their trials reached.",
            a.validation.words
        )
    } else {
        String::new()
    };
    format!(
        "<div class=\"scroll\"><table class=\"summary\"><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div><p class=\"note\">{}.{unit}{at}{other}</p>",
        escape(&a.small_print())
    )
}

/// A figure with its interval in small print.
fn interval(cell: &str) -> String {
    match cell.split_once(" [") {
        Some((value, rest)) => format!("{} <span class=\"ci\">[{}</span>", escape(value), escape(rest)),
        None => escape(cell),
    }
}

fn figures(s: &Section) -> String {
    let text = if s.text.is_empty() { String::new() } else { format!("<p>{}</p>", escape(&s.text)) };
    let figures: String = s
        .figures
        .iter()
        .map(|f| format!("<figure id=\"{}\">{}<figcaption>{}</figcaption></figure>", escape(&f.name), f.inline(), escape(&f.caption)))
        .collect();
    format!("{text}<div class=\"figures\">{figures}</div>")
}

fn paper(t: &PaperTable) -> String {
    let rows: String = t
        .rows
        .iter()
        .map(|r| {
            format!(
                "<tr><th scope=\"row\">{}</th><td>{}</td><td>{}</td></tr>",
                escape(&r.what),
                escape(&r.paper),
                if r.ours.is_empty() { "not measured".into() } else { interval(&r.ours) }
            )
        })
        .collect();
    format!(
        "<h3>{}</h3><div class=\"scroll\"><table class=\"paper\"><thead><tr><th></th><th class=\"n\">paper</th><th class=\"n\">here</th></tr></thead><tbody>{rows}</tbody></table></div><p class=\"note\">{}</p>",
        escape(&t.title),
        escape(&t.note)
    )
}

fn trials(a: &Analysis) -> String {
    let rows = a.results.rows();
    let done: Vec<_> = rows.iter().filter_map(|r| Some((r, r.record?))).collect();
    let metric = &a.measure.key;
    let mut body = String::new();
    let value = |v: Option<f64>, text: String| match v {
        Some(v) if v.is_finite() => format!("<td data-v=\"{v}\">{}</td>", escape(&text)),
        _ => "<td data-v=\"\">–</td>".into(),
    };
    for (r, record) in done.iter().take(MOST_ROWS) {
        let g = &a.groups[r.group];
        let number = |v: Option<f64>, digits| value(v, v.map_or(String::new(), |v| significant(v, digits)));
        let score = |m: &crate::number::Measure, v: Option<f64>| value(v, v.map_or(String::new(), |v| m.value(v)));
        let rate = largebatch_study::get(&record.config, largebatch_study::key::RATE).and_then(largebatch_study::number);
        let (class, stop) = stop(&record.stop);
        let cells = [
            format!("<td>{}</td><td>{}</td>", escape(&g.label), stage(r.stage)),
            number(g.batch, 7),
            number(rate, 4),
            format!("<td data-v=\"{0}\">{0}</td>", r.seed),
            score(&a.measure, record.metrics.get(metric).copied()),
            if a.measure.key == a.validation.key { String::new() } else { score(&a.validation, record.validation()) },
            number(record.metrics.get("train_loss").copied(), 3),
            number(Some(record.steps as f64), 7),
            number((record.train_examples > 0).then(|| record.examples as f64 / record.train_examples as f64), 3),
            format!("<td>{}</td>", escape(&stop)),
            value(Some(record.provenance.seconds), duration(record.provenance.seconds)),
            format!("<td class=\"id\" title=\"{}\">{}</td>", record.id, &record.id.0[..record.id.0.len().min(8)]),
        ];
        let _ = write!(body, "<tr{class}>{}</tr>", cells.concat());
    }
    if body.is_empty() {
        return String::new();
    }
    let validation = Some(a.validation.words.as_str()).filter(|_| a.measure.key != a.validation.key);
    let heads = ["group", "stage", "batch", "rate", "seed", &a.measure.words].into_iter().chain(validation);
    let heads = heads.chain(["train loss", "steps", "epochs", "ended by", "time", "id"]);
    let head: String = heads.map(|h| format!("<th><button type=\"button\">{}</button></th>", escape(h))).collect();
    let more =
        if done.len() > MOST_ROWS { format!(" The first {MOST_ROWS} of {}; all are in trials.csv.", done.len()) } else { String::new() };
    format!(
        "<p class=\"filter\"><label>Filter <input type=\"search\" placeholder=\"lars confirm, or diverged\" autocomplete=\"off\"></label> <output></output></p>\
         <div class=\"scroll tall\"><table class=\"trials\"><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div><p class=\"note\">Click a heading to sort; a row has to contain every word of the filter.{more}</p>"
    )
}

fn stop(reason: &largebatch_study::StopReason) -> (&'static str, String) {
    use largebatch_study::StopReason::{Diverged, Failed, Finished, Hopeless, Plateau, TargetReached};
    match reason {
        Finished => ("", "budget".into()),
        TargetReached => ("", "target".into()),
        Plateau => ("", "plateau".into()),
        Diverged => (" class=\"bad\"", "✕ diverged".into()),
        Hopeless => (" class=\"bad\"", "– hopeless".into()),
        Failed { message } => (" class=\"bad\"", format!("– failed: {message}")),
    }
}

fn repeat(a: &Analysis, context: &Context) -> String {
    let mut out = String::new();
    if !context.command.is_empty() {
        out += &format!("<h3>Command</h3><pre>{}</pre>", escape(&context.command));
    }
    let s = &a.setting;
    let mut rows: Vec<(String, String)> = context.environment.clone();
    rows.extend(s.environment.iter().cloned());
    if let Some((first, last)) = s.started {
        rows.push((
            "trials begun".into(),
            if first == last { time::date(first) } else { format!("{} to {}", time::date(first), time::date(last)) },
        ));
    }
    rows.push(("seeds of stage tune".into(), if s.tune_seeds.is_empty() { "none".into() } else { s.tune_seeds.clone() }));
    rows.push(("seeds of stage confirm".into(), if s.confirm_seeds.is_empty() { "none".into() } else { s.confirm_seeds.clone() }));
    let rows: String = rows.iter().map(|(k, v)| format!("<tr><th scope=\"row\">{}</th><td>{}</td></tr>", escape(k), escape(v))).collect();
    out += &format!("<h3>Environment</h3><div class=\"scroll\"><table class=\"plain\"><tbody>{rows}</tbody></table></div>");
    out + &format!(
        "<details><summary>The study’s file, with its overrides</summary><pre>{}</pre></details>",
        escape(&a.results.plan.study.resolved())
    )
}
