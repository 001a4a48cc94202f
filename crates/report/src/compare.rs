//! Two studies side by side: their arms in one figure, and what differs between their settings.

use std::collections::{BTreeMap, BTreeSet};

use largebatch_plot::{Plot, Scale, capital};
use largebatch_study::{Results, flatten};
use maud::{PreEscaped, html};
use toml::Value;

use crate::analysis::Analysis;
use crate::data::names;
use crate::html::{document, end};

/// A page with the arms of two studies in one figure, and the settings in which they differ. Each
/// study is given with its name.
pub fn side_by_side(left: (&str, &Results), right: (&str, &Results)) -> String {
    let both = [left, right].map(|(name, results)| (name, Analysis::new(results)));
    let differ = differences(left.1, right.1);
    let rows = both.iter().flat_map(|(name, a)| {
        let groups = a.groups.iter().filter(|g| g.score.is_some());
        groups.map(move |g| (*name, &a.measure, g))
    });
    let rows: Vec<_> = rows.collect();
    let factor = |m: &crate::measure::Measure| m.factor();
    let measure = &both[0].1.measure;
    let unit = if measure.percent { ", %" } else { "" };
    let mut plot = Plot::new("both", &capital(&format!("{} of both", measure.words)))
        .x(&format!("{}{unit}", measure.words), Scale::Linear)
        .y_names(
            rows.iter()
                .map(|(name, _, g)| format!("{name}: {}", g.label)),
        );
    let mut labels = Vec::new();
    for (name, a) in &both {
        let own = rows.iter().enumerate().filter(|(_, row)| row.0 == *name);
        let points = own.filter_map(|(i, (_, m, g))| Some((g.score?.mean * factor(m), i as f64)));
        let label = format!("{name}, {}", a.measure.words);
        plot = plot.points(&label, points);
        labels.push(label);
    }
    let figure = plot.caption("Means over the reported seeds.").figure();
    let body = html! {
        header { p.kind { "two studies" } h1 { (left.0) " and " (right.0) } }
        main {
            section {
                h2 { "Arms of both" }
                @if rows.is_empty() { p { "Neither has reported a trial yet." } }
                @else { div.figures { figure id=(figure.name) { (PreEscaped(figure.inline())) figcaption { (figure.caption) } } } }
                div.scroll { table.summary {
                    thead { tr { th { "study" } th { "group" } th { "n" } th { "result" } } }
                    tbody { @for (name, m, g) in &rows { tr {
                        th scope="row" { (name) } td { (g.label) } td { (g.values.len()) }
                        td { (m.words) " " (g.score.map_or(String::new(), |e| m.estimate(&e))) }
                    } } }
                } }
            }
            section {
                h2 { "What differs between their settings" }
                @if differ.is_empty() { p { "Nothing." } }
                @else { div.scroll { table.plain {
                    thead { tr { th { "setting" } th { (left.0) } th { (right.0) } } }
                    tbody { @for (key, [a, b]) in &differ { tr { th scope="row" { (key) } td { (a) } td { (b) } } } }
                } } }
            }
            section {
                h2 { "The reports" }
                ul { @for name in [left.0, right.0] { li { a href={ "/" (encode(name)) "/" } { (name) } } } }
            }
        }
        (end(&names(&labels.iter().map(String::as_str).collect::<Vec<_>>())))
    };
    document(&format!("{} and {}", left.0, right.0), &body)
}

/// The keys of the two study files with different values.
fn differences(left: &Results, right: &Results) -> BTreeMap<String, [String; 2]> {
    let [a, b] = [left, right].map(|results| {
        let table: toml::Table = results.plan.study.resolved().parse().unwrap_or_default();
        flatten(&table)
    });
    let keys: BTreeSet<&String> = a.keys().chain(b.keys()).collect();
    let value = |of: &toml::Table, key: &str| of.get(key).map_or("–".into(), Value::to_string);
    let pairs = keys
        .into_iter()
        .map(|key| (key.clone(), [value(&a, key), value(&b, key)]));
    pairs.filter(|(_, [a, b])| a != b).collect()
}

/// The page of a folder of studies: each with its state, and a form to open two side by side.
pub fn list(studies: &[(String, String)]) -> String {
    let choice = |name: &str, label: &str, chosen: usize| {
        html! {
            select name=(name) aria-label=(label) {
                @for (i, (study, _)) in studies.iter().enumerate() {
                    option value=(study) selected[i == chosen] { (study) }
                }
            }
        }
    };
    let body = html! {
        header { p.kind { "largebatch" } h1 { "Studies" } }
        main {
            section {
                table.plain { tbody {
                    @for (name, state) in studies { tr {
                        th scope="row" { a href={ "/" (encode(name)) "/" } { (name) } }
                        td { (state) }
                    } }
                } }
            }
            @if studies.len() > 1 {
                section {
                    h2 { "Two side by side" }
                    form action="/compare" {
                        (choice("a", "first study", 0)) " and " (choice("b", "second study", 1))
                        " " button { "Compare" }
                    }
                }
            }
        }
    };
    document("Studies", &body)
}

/// A name as a part of a URL.
fn encode(name: &str) -> String {
    let byte = |b: u8| match b {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
            char::from(b).to_string()
        }
        b => format!("%{b:02X}"),
    };
    name.bytes().map(byte).collect()
}
