//! The report as an HTML page.

use largebatch_plot::{Section, Table, duration, whole};
use maud::{DOCTYPE, Markup, PreEscaped, html};

use crate::analysis::Analysis;
use crate::context::PaperTable;
use crate::report::Report;
use crate::summary::Summary;
use crate::{data, time, trials};
use largebatch_plot::capital;

const STYLE: &str = include_str!("page.css");
const SCRIPT: &str = include_str!("page.js");

impl Report<'_> {
    /// The report as one HTML file that loads nothing from the network.
    pub fn html(&self) -> String {
        self.page(None, &html! {})
    }

    /// The page, with a section before the others and a script after its own.
    pub(crate) fn page(&self, first: Option<&Markup>, script: &Markup) -> String {
        let (r, a) = (self, &self.analysis);
        let name = &a.results.plan.study.name;
        let about = Some(r.context.about.trim())
            .filter(|about| !about.is_empty())
            .unwrap_or(a.results.plan.study.about.trim());
        let part = |id: &str, title: &str, body: Option<Markup>| {
            body.map(|body| (id.to_string(), title.to_string(), body))
        };
        let sections = r.sections.iter().enumerate();
        let sections =
            sections.map(|(i, s)| part(&format!("figures-{i}"), &s.title, Some(section(s))));
        let papers = html! { @for table in &r.papers { (paper(table)) } };
        let parts: Vec<_> = [
            part("findings", "Findings", findings(r)),
            part("summary", "Summary", Some(summary(a, &r.summary))),
        ]
        .into_iter()
        .chain(sections)
        .chain([
            part(
                "paper",
                "Compared with the paper",
                (!r.papers.is_empty()).then_some(papers),
            ),
            part("trials", "Trials", trials::trials(a)),
            part("repeat", "Repeat it", Some(repeat(r))),
        ])
        .flatten()
        .collect();
        let body = html! {
            header {
                p.kind { "largebatch study" }
                h1 { (name) }
                @if !about.is_empty() { p.about { (code(about)) } }
                (facts(a))
                nav { @for (id, title, _) in &parts { a href={ "#" (id) } { (title) } } }
            }
            (warnings(a))
            main {
                @if let Some(first) = first { (first) }
                @for (id, title, body) in &parts { section id=(id) { h2 { (title) } (body) } }
            }
            (end(&data::data(a)))
            (script)
        };
        document(&format!("{name}: report"), &body)
    }
}

/// A page of sections in a report's style, whose figures answer. `names` are those by which a series
/// is hidden in all figures.
pub fn page(title: &str, names: &[&str], sections: &[Section]) -> String {
    let body = html! {
        header { p.kind { "largebatch" } h1 { (title) } }
        main { @for s in sections { section { h2 { (s.title) } (section(s)) } } }
        (end(&data::names(names)))
    };
    document(&format!("{title}: report"), &body)
}

/// A whole page in a report's style.
pub(crate) fn document(title: &str, body: &Markup) -> String {
    let page = html! {
        (DOCTYPE) "\n"
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width,initial-scale=1";
                meta name="color-scheme" content="light dark";
                title { (title) }
                style { (PreEscaped(STYLE)) }
                style id="figures" { (PreEscaped(largebatch_plot::style())) }
            }
            body { (body) }
        }
        "\n"
    };
    page.into_string()
}

/// The end of a page: who made it, and the script by which its figures answer, with its data.
pub(crate) fn end(data: &str) -> Markup {
    html! {
        footer {
            "Made by largebatch " (env!("CARGO_PKG_VERSION"))
            ". This page loads nothing from the network."
        }
        script type="application/json" id="data" { (PreEscaped(data)) }
        script { (PreEscaped(SCRIPT)) }
    }
}

/// Text with `code` between back-ticks.
fn code(text: &str) -> Markup {
    let parts: Vec<&str> = text.split('`').collect();
    // A single back-tick without a partner is kept.
    if parts.len().is_multiple_of(2) {
        return html! { (text) };
    }
    html! {
        @for (i, part) in parts.iter().enumerate() {
            @if i % 2 == 1 { code { (part) } } @else { (part) }
        }
    }
}

fn facts(a: &Analysis) -> Markup {
    let s = &a.setting;
    let trials = if s.trials == 1 { "trial" } else { "trials" };
    let seeds = Some(&s.confirm_seeds).filter(|seeds| !seeds.is_empty());
    let devices = if s.devices.is_empty() {
        "not recorded".into()
    } else {
        s.devices.join(", ")
    };
    let facts = [
        Some((trials, whole(s.trials as u64))),
        Some(("diverged", whole(s.diverged as u64))),
        (s.missing > 0).then(|| ("not done", whole(s.missing as u64))),
        Some(("reported seeds", seeds.unwrap_or(&s.tune_seeds).clone())),
        Some(("computing time", duration(s.seconds))),
        Some(("device", devices)),
        s.started
            .map(|(_, last)| ("last trial started", time::date(last))),
    ];
    html! {
        dl.facts {
            @for (what, value) in facts.iter().flatten() {
                div { dt { (what) } dd { (value) } }
            }
        }
    }
}

fn warnings(a: &Analysis) -> Markup {
    if a.warnings.is_empty() {
        let tuned = a.results.plan.groups.iter().any(|g| !g.points.is_empty());
        let said = [
            (tuned, "best rates are inside their grids"),
            (true, "no reported trial diverged"),
            (a.groups.len() > 1, "budgets are equal"),
        ];
        let said: Vec<&str> = said.into_iter().filter(|s| s.0).map(|s| s.1).collect();
        return html! {
            p.fine {
                b { "No warnings." }
                " " (capital(&said.join(", "))) ", and every group has at least three seeds."
            }
        };
    }
    // A study with many arms may have the same warning for each.
    let (first, rest) = a.warnings.split_at(a.warnings.len().min(6));
    let list = |warnings: &[String]| html! { ul { @for w in warnings { li { (w) } } } };
    html! {
        aside.warnings {
            h2 { (a.warnings.len()) " warning" @if a.warnings.len() != 1 { "s" } }
            (list(first))
            @if !rest.is_empty() {
                details { summary { (rest.len()) " more" } (list(rest)) }
            }
        }
    }
}

fn findings(r: &Report) -> Option<Markup> {
    let (a, all) = (&r.analysis, &r.summary.sentences);
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
    let item = |(sign, text): &(char, String)| {
        let (label, rest) = text.split_once(": ").unwrap_or(("", text));
        let class = match sign {
            '−' => "worse",
            '+' => "better",
            _ => "same",
        };
        html! {
            li class=(class) { span.sign { (sign) } span { b { (label) } ": " (rest) } }
        }
    };
    let list = |items: &[&(char, String)]| html! { ul.findings { @for i in items { (item(i)) } } };
    (!all.is_empty() || r.summary.headline.is_some()).then(|| {
        html! {
            @if let Some(text) = &r.summary.headline { p.headline { b { (text) } } }
            (list(&first))
            @if !rest.is_empty() {
                details { summary { (rest.len()) " more, of smaller batches" } (list(&rest)) }
            }
            @if !a.comparisons.is_empty() {
                p.note {
                    "Differences are paired by seed. Brackets show the 95 % interval of each, not corrected for the number of comparisons ("
                    (a.comparisons.len())
                    "). If two batches are indistinguishable, values above 0 mean that the larger batch is worse."
                }
            }
        }
    })
}

fn summary(a: &Analysis, s: &Summary) -> Markup {
    html! {
        div.scroll {
            table.summary.stack {
                (head(&s.heads, &s.notes))
                tbody {
                    @for (g, row) in s.rows.iter().enumerate() {
                        tr data-g=(g) {
                            th scope="row" {
                                (row[0])
                                @if let Some(rest) = a.groups[g].label.strip_prefix(&row[0])
                                    && !rest.is_empty() {
                                    span.rest { (rest) }
                                }
                            }
                            // A narrow window shows each row as a block, with the heads next to the
                            // values.
                            @for (cell, head) in row.iter().zip(&s.heads).skip(1) {
                                td data-h=(head) { (interval(cell)) }
                            }
                        }
                    }
                }
            }
        }
        p.note { (a.small_print()) "." @for note in &s.notes { " " (note) } }
    }
}

/// The heads of a table whose first column names the rows.
///
/// A note that begins with a head explains it, also where the pointer rests.
fn head(heads: &[String], notes: &[String]) -> Markup {
    let about = |head: &String| {
        notes
            .iter()
            .find(|note| note.starts_with(&format!("{head}: ")))
    };
    html! {
        thead {
            tr {
                @for (i, head) in heads.iter().enumerate() {
                    th class=[(i > 0).then_some("n")] title=[about(head)] { (head) }
                }
            }
        }
    }
}

/// A value with its interval in small print.
fn interval(cell: &str) -> Markup {
    match cell.split_once(" [") {
        Some((value, rest)) => html! { (value) " " span.ci { "[" (rest) } },
        None => html! { (cell) },
    }
}

fn section(s: &Section) -> Markup {
    html! {
        @if !s.text.is_empty() { p { (s.text) } }
        @for t in &s.tables { (table(t)) }
        @if !s.figures.is_empty() {
            div.figures {
                @for f in &s.figures {
                    figure id=(f.name) {
                        (PreEscaped(f.inline()))
                        figcaption { (f.caption) }
                    }
                }
            }
        }
    }
}

fn table(t: &Table) -> Markup {
    html! {
        div.scroll {
            table.summary {
                (head(&t.heads, &[]))
                tbody {
                    @for row in &t.rows {
                        tr {
                            th scope="row" { (row[0]) }
                            @for cell in &row[1..] { td { (interval(cell)) } }
                        }
                    }
                }
            }
        }
        p.note { (t.note) }
    }
}

fn paper(t: &PaperTable) -> Markup {
    html! {
        h3 { (t.title) }
        @if !t.rows.is_empty() {
            div.scroll {
                table.paper {
                    thead { tr { th {} th.n { "paper" } th.n { "here" } } }
                    tbody {
                        @for r in &t.rows {
                            tr {
                                th scope="row" { (r.what) }
                                td { (r.paper) }
                                td {
                                    @if r.ours.is_empty() { "not measured" }
                                    @else { (interval(&r.ours)) }
                                }
                            }
                        }
                    }
                }
            }
        }
        p.note { (t.note) }
    }
}

fn repeat(r: &Report) -> Markup {
    let s = &r.analysis.setting;
    let started = s.started.map(|(first, last)| {
        let (first, last) = (time::date(first), time::date(last));
        let ends = if first == last {
            first
        } else {
            format!("{first} to {last}")
        };
        ("trials started".to_string(), ends)
    });
    let seeds = [("tune", &s.tune_seeds), ("confirm", &s.confirm_seeds)].map(|(stage, seeds)| {
        let none = "none".to_string();
        let seeds = Some(seeds).filter(|s| !s.is_empty()).unwrap_or(&none);
        (format!("seeds of stage {stage}"), seeds.clone())
    });
    let rows = r.context.environment.iter().chain(&s.environment);
    let rows = rows.chain(&started).chain(&seeds);
    html! {
        @if !r.context.command.is_empty() { h3 { "Command" } pre { (r.context.command) } }
        h3 { "Environment" }
        div.scroll {
            table.plain {
                tbody { @for (k, v) in rows { tr { th scope="row" { (k) } td { (v) } } } }
            }
        }
        details {
            summary { "The study’s file, with overrides applied" }
            pre { (r.analysis.results.plan.study.resolved()) }
        }
    }
}
