//! Signs of mistakes in a readable table: leaked labels and accidental classes.

use crate::table::{Encoding, Rows};
use crate::{Labels, Part};
use largebatch_component::shortened;
use std::collections::{BTreeMap, HashMap};

/// With fewer rows a column may count the rows, or determine the classes, by chance.
const ROWS: usize = 10;

/// Warnings about the rows of a training file.
pub(crate) fn of_rows(rows: &Rows, labels: &Labels, encoding: &Encoding) -> Vec<String> {
    let (n, path) = (labels.len(), rows.path.display());
    let mut warnings = Vec::new();
    for column in (0..rows.size).filter(|_| n >= ROWS) {
        let name = match rows.names.get(column) {
            Some(name) => format!("column `{name}`"),
            None => format!("feature {column} (counted from 0)"),
        };
        let values = || (0..n).map(|row| rows.values[row * rows.size + column]);
        let first = rows.values[column];
        if (first == 0.0 || first == 1.0)
            && values().enumerate().all(|(i, x)| x == first + i as f64)
        {
            warnings.push(format!(
                "{path}: {name} numbers the rows; if the rows are sorted it reveals the label, so remove it unless it was measured"
            ));
        }
        if tells(values(), labels) {
            warnings.push(format!("{path}: {name} alone determines the label of every row; is it the label under another name?"));
        }
    }
    if let Encoding::Classes(classes) = encoding {
        let mut first: BTreeMap<u32, (usize, u64)> = BTreeMap::new();
        if let Labels::Classes(labels) = labels {
            labels
                .iter()
                .zip(&rows.labels)
                .for_each(|(&c, (at, _))| first.entry(c).or_insert((0, *at)).0 += 1);
        }
        let single: Vec<_> = first.iter().filter(|(_, (count, _))| *count == 1).collect();
        if let Some((class, (_, at))) = single.first() {
            let others = if single.len() > 1 {
                format!(", and so do {} other classes", single.len() - 1)
            } else {
                String::new()
            };
            let name = &classes[**class as usize].1;
            warnings.push(format!("{path}, line {at}: class `{name}` has a single example{others}: it cannot be both trained and tested"));
        }
        if classes[0].0.is_none() {
            warnings.extend(words(rows, classes));
        }
    }
    warnings
}

/// Whether each value occurs with only one label, and each label with only one value.
fn tells(values: impl Iterator<Item = f64>, labels: &Labels) -> bool {
    match labels {
        Labels::Targets(targets) => values
            .zip(targets)
            .all(|(x, &y)| (x - y).abs() <= 1e-6 * x.abs()),
        Labels::Classes(classes) => {
            let (mut class_of, mut value_of) = (HashMap::new(), HashMap::new());
            // Adding 0 turns -0 into 0.
            values
                .map(|x| (x + 0.0).to_bits())
                .zip(classes)
                .all(|(x, &c)| {
                    *class_of.entry(x).or_insert(c) == c && *value_of.entry(c).or_insert(x) == x
                })
                && 2 * value_of.len() <= classes.len()
        }
    }
}

/// Warnings about class names that differ only in case, or that may stand for a missing label.
fn words(rows: &Rows, classes: &[(Option<i64>, String)]) -> Vec<String> {
    let path = rows.path.display();
    let mut warnings = Vec::new();
    let mut seen: BTreeMap<String, &str> = BTreeMap::new();
    for (_, name) in classes {
        if let Some(other) = seen.insert(name.to_lowercase(), name) {
            warnings
                .push(format!("{path}: the classes `{other}` and `{name}` differ only in upper and lower case; if they are the same class, spell them alike"));
            break;
        }
    }
    let is_number = |word: &str| word.parse::<f64>().is_ok();
    if let (Some((at, word)), true) = (
        rows.labels.iter().find(|(_, l)| !is_number(l)),
        rows.labels.iter().any(|(_, l)| is_number(l)),
    ) {
        warnings.push(format!(
            "{path}, line {at}: the label `{word}` is a word, and others are numbers; it counts as a class: if it stands for a missing label, correct or remove the line"
        ));
    }
    warnings
}

/// Warnings about classes that are absent from a part.
pub(crate) fn of_parts(train: &Part, test: &Part, names: &[String]) -> Vec<String> {
    let count = |part: &Part| {
        let mut counts = vec![0; names.len()];
        if let Labels::Classes(labels) = part.labels() {
            labels.iter().for_each(|&c| counts[c as usize] += 1);
        }
        counts
    };
    let (train, test) = (count(train), count(test));
    let mut warnings = Vec::new();
    let mut lacks = |part: &str, counts: &[usize]| {
        let absent: Vec<String> = counts
            .iter()
            .zip(names)
            .filter(|(n, _)| **n == 0)
            .map(|(_, name)| format!("`{name}`"))
            .collect();
        if !absent.is_empty() {
            let which = shortened(&absent, 5);
            let noun = if absent.len() == 1 {
                "class"
            } else {
                "classes"
            };
            warnings.push(format!("the {part} part has no example of {noun} {which}"));
        }
    };
    lacks("training", &train);
    lacks("test", &test);
    warnings
}
