//! Two studies side by side: their arms in one figure, and what differs between their settings.

use std::collections::{BTreeMap, BTreeSet};

use largebatch_plot::{Plot, Scale};
use largebatch_study::{Results, flatten};
use maud::{PreEscaped, html};
use toml::Value;

use crate::analysis::Analysis;
use crate::html::document;

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
    let mut plot = Plot::new("both", &format!("{} of both", measure.words))
        .x(&format!("{}{unit}", measure.words), Scale::Linear)
        .y_names(
            rows.iter()
                .map(|(name, _, g)| format!("{name}: {}", g.label)),
        );
    for (name, a) in &both {
        let own = rows.iter().enumerate().filter(|(_, row)| row.0 == *name);
        let points = own.filter_map(|(i, (_, m, g))| Some((g.score?.mean * factor(m), i as f64)));
        plot = plot.points(&format!("{name}, {}", a.measure.words), points);
    }
    let figure = plot.caption("Means over the reported seeds.").figure();
    let body = html! {
        header { p.kind { "two studies" } h1 { (left.0) " and " (right.0) } }
        main {
            section {
                h2 { "Arms of both" }
                @if rows.is_empty() { p { "Neither has reported a trial yet." } }
                @else { div.figures { figure { (PreEscaped(figure.inline())) figcaption { (figure.caption) } } } }
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
                p { a href={ "/" (left.0) "/" } { (left.0) } " " a href={ "/" (right.0) "/" } { (right.0) } }
            }
        }
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
