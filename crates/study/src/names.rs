//! The names of groups: labels contain what differs between the groups of a study, so that no two
//! groups have the same title.

use std::collections::{BTreeMap, BTreeSet};

use toml::{Table, Value};

use crate::group::Group;
use crate::trial::{title, word};
use largebatch_component::settings::flatten;

/// Makes the labels of all groups distinct. Labels whose titles are already distinct stay as they
/// are.
pub(crate) fn distinguish(groups: &mut [Group]) {
    let axes: BTreeSet<String> = groups
        .iter()
        .flat_map(|g| g.labels.keys().cloned())
        .collect();
    for axis in axes {
        let mut by_word: BTreeMap<String, Vec<Value>> = BTreeMap::new();
        for value in groups.iter().filter_map(|g| g.labels.get(&axis)) {
            let values = by_word.entry(word(value)).or_default();
            if !values.contains(value) {
                values.push(value.clone());
            }
        }
        // A value that cannot be confused with another stays as it is.
        let words: BTreeSet<String> = by_word.keys().cloned().collect();
        by_word.retain(|_, values| values.len() > 1);
        for label in groups.iter_mut().filter_map(|g| g.labels.get_mut(&axis)) {
            if let Some(values) = by_word.get(&word(label)) {
                *label = Value::String(name(label, values, &words));
            }
        }
    }
    // Different axes with the same word: `model a` and `teacher a`.
    let same = alike(groups);
    if same.is_empty() {
        return;
    }
    for i in same {
        for (axis, value) in groups[i]
            .labels
            .iter_mut()
            .filter(|(_, v)| v.is_str() || v.get("name").is_some())
        {
            *value = Value::String(format!("{axis} {}", word(value)));
        }
    }
    // Conditions may give several values of an axis the same setting, and differ in another setting
    // that is not an axis.
    let same = alike(groups);
    let configs: Vec<Table> = same.iter().map(|i| flatten(&groups[*i].config)).collect();
    for (i, config) in same.iter().zip(&configs) {
        let differs =
            |(k, v): &(&String, &Value)| configs.iter().any(|other| other.get(*k) != Some(*v));
        groups[*i].labels.extend(
            config
                .iter()
                .filter(differs)
                .map(|(k, v)| (k.clone(), v.clone())),
        );
    }
    for i in alike(groups) {
        groups[i]
            .labels
            .insert("group".into(), Value::Integer(i as i64 + 1));
    }
}

/// The groups whose title is not unique.
fn alike(groups: &[Group]) -> Vec<usize> {
    let mut by_title: BTreeMap<String, Vec<usize>> = BTreeMap::new();
    for (i, group) in groups.iter().enumerate() {
        by_title.entry(title(&group.labels)).or_default().push(i);
    }
    let mut alike: Vec<usize> = by_title
        .into_values()
        .filter(|same| same.len() > 1)
        .flatten()
        .collect();
    alike.sort_unstable();
    alike
}

/// A value in words: its name, and the options in which it differs from the others with this name.
/// `taken` are all words of its axis.
fn name(value: &Value, same: &[Value], taken: &BTreeSet<String>) -> String {
    let all: Vec<Table> = same.iter().map(options).collect();
    let differs = |(k, v): &(&String, &Value)| all.iter().any(|other| other.get(*k) != Some(*v));
    let told = |options: &Table| {
        options
            .iter()
            .filter(differs)
            .fold(word(value), |text, (k, v)| {
                text + &option(&word(value), k, v)
            })
    };
    let text = told(&options(value));
    // Written as TOML, no two values are the same.
    let shared = all.iter().filter(|other| told(other) == text).count() > 1
        || (text != word(value) && taken.contains(&text));
    if shared { value.to_string() } else { text }
}

/// The options of a named choice under dotted keys.
fn options(value: &Value) -> Table {
    let mut options = value.as_table().map_or_else(Table::new, flatten);
    options.remove("name");
    options
}

/// An option in words: ` 0.5` of `momentum`, ` timm` of a preset, `, warm-up 5 epochs`.
fn option(name: &str, key: &str, value: &Value) -> String {
    let value = word(value);
    if key == name || key == "preset" {
        return format!(" {value}");
    }
    let words = key.replace("warmup", "warm-up").replace(['.', '_'], " ");
    match words.rsplit_once(' ') {
        Some((what, unit @ ("epochs" | "steps"))) => {
            let unit = if value == "1" {
                unit.trim_end_matches('s')
            } else {
                unit
            };
            format!(", {what} {value} {unit}")
        }
        _ => format!(", {words} {value}"),
    }
}
