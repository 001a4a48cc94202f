//! The report as an HTML page.

use std::fmt::Write;

use largebatch_plot::draw::escape;
use largebatch_plot::{Section, Table, duration, whole};

use crate::analysis::Analysis;
use crate::context::{Context, PaperTable};
use crate::figures::{capital, sections};
use crate::summary::{notes, sentences, summary_rows};
use crate::{published, time, trials};

const STYLE: &str = include_str!("page.css");
const SCRIPT: &str = include_str!("page.js");

pub(crate) fn page(a: &Analysis, context: &Context) -> String {
    let name = escape(&a.results.plan.study.name);
    let about = if context.about.is_empty() {
        &a.results.plan.study.about
    } else {
        &context.about
    };
    let mut body = String::new();
    let mut nav: Vec<(String, String)> = Vec::new();
    let mut part = |id: &str, title: &str, html: String| {
        if !html.is_empty() {
            nav.push((id.into(), title.into()));
            // Writing to a String cannot fail.
            let _ = write!(
                body,
                "<section id=\"{id}\"><h2>{}</h2>{html}</section>",
                escape(title)
            );
        }
    };
    part("findings", "Findings", findings(a));
    part("summary", "Summary", summary(a));
    for (i, s) in sections(a).iter().enumerate() {
        part(&format!("figures-{i}"), &s.title, figures(s));
    }
    for (i, s) in context.probed.sections.iter().enumerate() {
        part(&format!("probes-{i}"), &s.title, figures(s));
    }
    part(
        "paper",
        "Compared with the paper",
        published::tables(a, &context.probed)
            .iter()
            .map(paper)
            .collect(),
    );
    part("trials", "Trials", trials::trials(a));
    part("repeat", "Repeat it", repeat(a, context));
    let nav: String = nav
        .iter()
        .map(|(id, title)| format!("<a href=\"#{id}\">{}</a>", escape(title)))
        .collect();
    format!(
        "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">\
         <meta name=\"color-scheme\" content=\"light dark\"><title>{name}: report</title><style>{STYLE}{}</style></head><body><header><p class=\"kind\">largebatch study</p>\
         <h1>{name}</h1>{}{}<nav>{nav}</nav></header>{}<main>{body}</main><footer>Made by largebatch {}. This page loads nothing from the network.</footer>\
         <script>{SCRIPT}</script></body></html>\n",
        largebatch_plot::style(),
        if about.is_empty() {
            String::new()
        } else {
            format!("<p class=\"about\">{}</p>", code(about.trim()))
        },
        facts(a),
        warnings(a),
        env!("CARGO_PKG_VERSION"),
    )
}

/// Text with `code` between back-ticks.
fn code(text: &str) -> String {
    let parts: Vec<&str> = text.split('`').collect();
    // A single back-tick without a partner is kept.
    if parts.len().is_multiple_of(2) {
        return escape(text);
    }
    parts
        .iter()
        .enumerate()
        .map(|(i, part)| {
            if i % 2 == 1 {
                format!("<code>{}</code>", escape(part))
            } else {
                escape(part)
            }
        })
        .collect()
}

fn facts(a: &Analysis) -> String {
    let s = &a.setting;
    let mut facts = vec![(
        whole(s.trials as u64),
        if s.trials == 1 {
            "trial".to_string()
        } else {
            "trials".into()
        },
    )];
    facts.push((whole(s.diverged as u64), "diverged".into()));
    if s.missing > 0 {
        facts.push((whole(s.missing as u64), "not done".into()));
    }
    let seeds = if s.confirm_seeds.is_empty() {
        &s.tune_seeds
    } else {
        &s.confirm_seeds
    };
    facts.push((seeds.clone(), "reported seeds".into()));
    facts.push((duration(s.seconds), "computing time".into()));
    facts.push((
        if s.devices.is_empty() {
            "not recorded".into()
        } else {
            s.devices.join(", ")
        },
        "device".into(),
    ));
    if let Some((_, last)) = s.started {
        facts.push((time::date(last), "last trial started".into()));
    }
    let items: String = facts
        .iter()
        .map(|(value, what)| {
            format!(
                "<div><dt>{}</dt><dd>{}</dd></div>",
                escape(what),
                escape(value)
            )
        })
        .collect();
    format!("<dl class=\"facts\">{items}</dl>")
}

fn warnings(a: &Analysis) -> String {
    if a.warnings.is_empty() {
        let tuned = a.results.plan.groups.iter().any(|g| !g.points.is_empty());
        let said = [
            (tuned, "best rates are inside their grids"),
            (true, "no reported trial diverged"),
            (a.groups.len() > 1, "budgets are equal"),
        ];
        let said: Vec<&str> = said.into_iter().filter(|s| s.0).map(|s| s.1).collect();
        return format!(
            "<p class=\"fine\"><b>No warnings.</b> {}, and every group has at least three seeds.</p>",
            capital(&said.join(", "))
        );
    }
    let items: Vec<String> = a
        .warnings
        .iter()
        .map(|w| format!("<li>{}</li>", escape(w)))
        .collect();
    // A study with many arms may have the same warning for each.
    let (first, rest) = items.split_at(items.len().min(6));
    let rest = if rest.is_empty() {
        String::new()
    } else {
        format!(
            "<details><summary>{} more</summary><ul>{}</ul></details>",
            rest.len(),
            rest.concat()
        )
    };
    format!(
        "<aside class=\"warnings\"><h2>{} warning{}</h2><ul>{}</ul>{rest}</aside>",
        items.len(),
        if items.len() == 1 { "" } else { "s" },
        first.concat()
    )
}

fn findings(a: &Analysis) -> String {
    let all = sentences(a);
    if all.is_empty() {
        return String::new();
    }
    let item = |(sign, text): &(char, String)| {
        let (label, rest) = text.split_once(": ").unwrap_or(("", text));
        let class = match sign {
            '−' => "worse",
            '+' => "better",
            _ => "same",
        };
        format!(
            "<li class=\"{class}\"><span class=\"sign\">{sign}</span><span><b>{}</b>: {}</span></li>",
            escape(label),
            escape(rest)
        )
    };
    // The results of the largest batches come first, as the most informative.
    let most = a.groups.iter().filter_map(|g| g.batch).fold(0.0, f64::max);
    let largest = format!("batch {most}: ");
    let (first, rest): (Vec<_>, Vec<_>) = all
        .iter()
        .partition(|(_, text)| all.len() <= 10 || text.contains(&largest));
    let (first, rest) = if first.is_empty() {
        (rest, first)
    } else {
        (first, rest)
    };
    let list = |items: &[&(char, String)]| {
        format!(
            "<ul class=\"findings\">{}</ul>",
            items.iter().map(|i| item(i)).collect::<String>()
        )
    };
    let more = if rest.is_empty() {
        String::new()
    } else {
        format!(
            "<details><summary>{} more, of smaller batches</summary>{}</details>",
            rest.len(),
            list(&rest)
        )
    };
    let note = if a.comparisons.is_empty() {
        String::new()
    } else {
        format!(
            "<p class=\"note\">Differences are paired by seed. Brackets show the 95 % interval of each, not corrected for the number of comparisons ({}). If two batches are indistinguishable, values above 0 mean that the larger batch is worse.</p>",
            a.comparisons.len()
        )
    };
    list(&first) + &more + &note
}

fn summary(a: &Analysis) -> String {
    let (heads, rows) = summary_rows(a);
    let head: String = heads
        .iter()
        .enumerate()
        .map(|(i, h)| {
            format!(
                "<th{}>{}</th>",
                if i == 0 { "" } else { " class=\"n\"" },
                escape(h)
            )
        })
        .collect();
    let row = |r: &Vec<String>| {
        let cells: String = r
            .iter()
            .enumerate()
            .map(|(i, c)| {
                // A narrow window shows each row as a block, with the heads next to the values.
                if i == 0 {
                    format!("<th scope=\"row\">{}</th>", escape(c))
                } else {
                    format!("<td data-h=\"{}\">{}</td>", escape(&heads[i]), interval(c))
                }
            })
            .collect();
        format!("<tr>{cells}</tr>")
    };
    let body: String = rows.iter().map(row).collect();
    let notes: String = notes(a).iter().map(|n| format!(" {}", escape(n))).collect();
    format!(
        "<div class=\"scroll\"><table class=\"summary stack\"><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div><p class=\"note\">{}.{notes}</p>",
        escape(&a.small_print())
    )
}

/// A value with its interval in small print.
fn interval(cell: &str) -> String {
    match cell.split_once(" [") {
        Some((value, rest)) => format!(
            "{} <span class=\"ci\">[{}</span>",
            escape(value),
            escape(rest)
        ),
        None => escape(cell),
    }
}

fn figures(s: &Section) -> String {
    let text = if s.text.is_empty() {
        String::new()
    } else {
        format!("<p>{}</p>", escape(&s.text))
    };
    let figures: String = s
        .figures
        .iter()
        .map(|f| {
            format!(
                "<figure id=\"{}\">{}<figcaption>{}</figcaption></figure>",
                escape(&f.name),
                f.inline(),
                escape(&f.caption)
            )
        })
        .collect();
    let tables: String = s.tables.iter().map(table).collect();
    let figures = if figures.is_empty() {
        figures
    } else {
        format!("<div class=\"figures\">{figures}</div>")
    };
    format!("{text}{tables}{figures}")
}

fn table(t: &Table) -> String {
    let head = |(i, h): (usize, &String)| {
        format!(
            "<th{}>{}</th>",
            if i == 0 { "" } else { " class=\"n\"" },
            escape(h)
        )
    };
    let cell = |(i, c): (usize, &String)| {
        if i == 0 {
            format!("<th scope=\"row\">{}</th>", escape(c))
        } else {
            format!("<td>{}</td>", interval(c))
        }
    };
    let rows: String = t
        .rows
        .iter()
        .map(|r| {
            format!(
                "<tr>{}</tr>",
                r.iter().enumerate().map(cell).collect::<String>()
            )
        })
        .collect();
    format!(
        "<div class=\"scroll\"><table class=\"summary\"><thead><tr>{}</tr></thead><tbody>{rows}</tbody></table></div><p class=\"note\">{}</p>",
        t.heads.iter().enumerate().map(head).collect::<String>(),
        escape(&t.note)
    )
}

fn paper(t: &PaperTable) -> String {
    if t.rows.is_empty() {
        return format!(
            "<h3>{}</h3><p class=\"note\">{}</p>",
            escape(&t.title),
            escape(&t.note)
        );
    }
    let rows: String = t
        .rows
        .iter()
        .map(|r| {
            format!(
                "<tr><th scope=\"row\">{}</th><td>{}</td><td>{}</td></tr>",
                escape(&r.what),
                escape(&r.paper),
                if r.ours.is_empty() {
                    "not measured".into()
                } else {
                    interval(&r.ours)
                }
            )
        })
        .collect();
    format!(
        "<h3>{}</h3><div class=\"scroll\"><table class=\"paper\"><thead><tr><th></th><th class=\"n\">paper</th><th class=\"n\">here</th></tr></thead><tbody>{rows}</tbody></table></div><p class=\"note\">{}</p>",
        escape(&t.title),
        escape(&t.note)
    )
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
        let (first, last) = (time::date(first), time::date(last));
        rows.push((
            "trials started".into(),
            if first == last {
                first
            } else {
                format!("{first} to {last}")
            },
        ));
    }
    rows.push((
        "seeds of stage tune".into(),
        if s.tune_seeds.is_empty() {
            "none".into()
        } else {
            s.tune_seeds.clone()
        },
    ));
    rows.push((
        "seeds of stage confirm".into(),
        if s.confirm_seeds.is_empty() {
            "none".into()
        } else {
            s.confirm_seeds.clone()
        },
    ));
    let rows: String = rows
        .iter()
        .map(|(k, v)| {
            format!(
                "<tr><th scope=\"row\">{}</th><td>{}</td></tr>",
                escape(k),
                escape(v)
            )
        })
        .collect();
    out += &format!(
        "<h3>Environment</h3><div class=\"scroll\"><table class=\"plain\"><tbody>{rows}</tbody></table></div>"
    );
    out + &format!(
        "<details><summary>The study’s file, with overrides applied</summary><pre>{}</pre></details>",
        escape(&a.results.plan.study.resolved())
    )
}
