//! What groups are called: labels hold what differs between the groups of a study, so that no two groups have the same title.

use std::collections::{BTreeMap, BTreeSet};

use toml::{Table, Value};

use crate::plan::Group;
use crate::settings::flatten;
use crate::trial::{title, word};

/// Makes the labels of all groups tell them apart. Labels whose titles do so already stay as they are.
pub(crate) fn distinguish(groups: &mut [Group]) {
    let axes: BTreeSet<String> = groups.iter().flat_map(|g| g.labels.keys().cloned()).collect();
    for axis in axes {
        let mut by_word: BTreeMap<String, Vec<Value>> = BTreeMap::new();
        for value in groups.iter().filter_map(|g| g.labels.get(&axis)) {
            let values = by_word.entry(word(value)).or_default();
            if !values.contains(value) {
                values.push(value.clone());
            }
        }
        // A value that no other is mistaken for stays as it is.
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
        for (axis, value) in groups[i].labels.iter_mut().filter(|(_, v)| v.is_str() || v.get("name").is_some()) {
            *value = Value::String(format!("{axis} {}", word(value)));
        }
    }
    // Conditions may give values of an axis one and the same setting, and another one beside it, which is no axis.
    let same = alike(groups);
    let configs: Vec<Table> = same.iter().map(|i| flatten(&groups[*i].config)).collect();
    for (i, config) in same.iter().zip(&configs) {
        let differs = |(k, v): &(&String, &Value)| configs.iter().any(|other| other.get(*k) != Some(*v));
        groups[*i].labels.extend(config.iter().filter(differs).map(|(k, v)| (k.clone(), v.clone())));
    }
    for i in alike(groups) {
        groups[i].labels.insert("group".into(), Value::Integer(i as i64 + 1));
    }
}

/// The groups whose title another one has too.
fn alike(groups: &[Group]) -> Vec<usize> {
    let mut by_title: BTreeMap<String, Vec<usize>> = BTreeMap::new();
    for (i, group) in groups.iter().enumerate() {
        by_title.entry(title(&group.labels)).or_default().push(i);
    }
    let mut alike: Vec<usize> = by_title.into_values().filter(|same| same.len() > 1).flatten().collect();
    alike.sort_unstable();
    alike
}

/// A value in words: its word, and the options in which it differs from the others with this word. `taken` are all words of its axis.
fn name(value: &Value, same: &[Value], taken: &BTreeSet<String>) -> String {
    let all: Vec<Table> = same.iter().map(options).collect();
    let differs = |(k, v): &(&String, &Value)| all.iter().any(|other| other.get(*k) != Some(*v));
    let told = |options: &Table| options.iter().filter(differs).fold(word(value), |text, (k, v)| text + &option(&word(value), k, v));
    let text = told(&options(value));
    // As TOML no two values are the same.
    let shared = all.iter().filter(|other| told(other) == text).count() > 1 || (text != word(value) && taken.contains(&text));
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
            let unit = if value == "1" { unit.trim_end_matches('s') } else { unit };
            format!(", {what} {value} {unit}")
        }
        _ => format!(", {words} {value}"),
    }
}

#[cfg(test)]
mod tests {
    use crate::file::Study;
    use crate::plan::Plan;
    use crate::trial::{describe, title};

    fn titles(text: &str) -> Vec<String> {
        let plan =
            Plan::new(Study::parse(&format!("name='x'\nset.lr=1\nconfirm.seeds=1\n{text}"), "x", &[]).unwrap(), &|_| Ok(())).unwrap();
        let titles: Vec<String> = plan.groups.iter().map(|g| title(&g.labels)).collect();
        let mut different = titles.clone();
        different.sort();
        different.dedup();
        assert_eq!(different.len(), titles.len(), "{titles:?}");
        let mut described: Vec<String> = plan.groups.iter().map(|g| describe(&g.labels)).collect();
        described.sort();
        described.dedup();
        assert_eq!(described.len(), titles.len(), "{described:?}");
        titles
    }

    #[test]
    fn names_hold_what_differs() {
        assert_eq!(
            titles(
                "axes.optimizer=['sgd', {name='momentum', momentum=0.5}, {name='momentum', momentum=0.99}, {name='lamb', preset='timm'}, {name='lamb', preset='nvlamb'}]"
            ),
            ["sgd", "momentum 0.5", "momentum 0.99", "lamb timm", "lamb nvlamb"]
        );
        assert_eq!(
            titles("axes.schedule=[{name='cosine'}, {name='cosine', warmup.epochs=5}, {name='cosine', warmup={epochs=5, start=0.1}}]"),
            ["cosine", "cosine, warm-up 5 epochs", "cosine, warm-up 5 epochs, warm-up start 0.1"]
        );
        assert_eq!(
            titles("axes={model=['mlp', {name='mlp', widths=[64]}, {name='mlp', widths=[64, 32]}], batch_size=[8]}"),
            ["mlp · batch 8", "mlp, widths [64] · batch 8", "mlp, widths [64, 32] · batch 8"]
        );
        assert_eq!(
            titles(
                "axes.batch_schedule=[{name='double', every.epochs=2}, {name='double', every.epochs=3}, {name='double', every.steps=3}]"
            ),
            ["double, every 2 epochs", "double, every 3 epochs", "double, every 3 steps"]
        );
        assert_eq!(
            titles(
                "axes.dataset=[{name='my', format='csv', train='a.csv'}, {name='my', format='csv', train='b.csv'}, {name='my', format='csv', train='b.csv', test=0.2}]"
            ),
            ["my, train a.csv", "my, train b.csv", "my, test 0.2, train b.csv"]
        );
        // Numbers that only later digits tell apart; a word and a number.
        assert_eq!(titles("axes.clip_norm=[0.1234567, 0.1234568]"), ["clip_norm 0.1234567", "clip_norm 0.1234568"]);
        assert_eq!(titles("axes.x=['0.5', 0.5, -2, 1e-9]"), ["\"0.5\"", "0.5", "x −2", "x 1e-9"]);
        // A text that is another value's name.
        assert_eq!(titles("axes.o=['m 1', {name='m', preset=1}, {name='m', preset=2}]").len(), 3);
        // Axes that not all groups have.
        let arms = "[[arm]]\nname='a'\naxes.x=['p', 'q']\n[[arm]]\nname='a · p'";
        assert_eq!(titles(arms).len(), 3);
        let folded = "axes={model=['a', 'b'], teacher=['a', 'none']}\n[[when]]\nif.model='b'\nset.model='c'\n[[when]]\nif.teacher='none'\nset.teacher='d'";
        assert_eq!(titles(folded), ["a · a", "model a", "teacher a", ""]);
        // What is plain stays as it is.
        assert_eq!(
            titles("axes={batch_size=[64, 1e9], optimizer=[{name='lars', momentum=0.5}, 'sgd']}"),
            ["lars · batch 64", "sgd · batch 64", "lars · batch 1e9", "sgd · batch 1e9"]
        );
    }

    /// Two values that conditions fold into one, with another setting each, were one group, and the second was lost.
    #[test]
    fn folded_values_that_differ_elsewhere_are_two_groups() {
        let text = "axes.a=[1, 2, 3]\n[[when]]\nif.a=[2, 3]\nset.b=5\n[[when]]\nif.a=3\nset.b=6\n[[when]]\nif.a=[2, 3]\nset.a=7";
        assert_eq!(titles(text), ["a 1", "b 5", "b 6"]);
        assert_eq!(titles("axes.a=[1, 2, 3]\n[[when]]\nif.a=[2, 3]\nset.a=7"), ["a 1", ""]);
    }
}
