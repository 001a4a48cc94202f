//! Combining the parts of a study file that hold for one group.

use toml::{Table, Value};

use crate::axis::{Axes, Axis};
use crate::conditions::holds;
use crate::file::{Budget, Overlay, Rate, Study};
use crate::rules::StopRules;
use crate::trial::key;
use largebatch_component::settings::{flatten, is_below, overlay};

/// Combines the parts that hold for an arm and the axis values assigned so far.
pub(crate) fn draft(
    study: &Study,
    parts: &[(String, Overlay)],
    arm: Option<usize>,
    assigned: &Table,
) -> Draft {
    let mut draft = Draft::default();
    let arms = study.arms.len();
    let name = arm.and_then(|a| study.arms[a].name.clone());
    for (i, (_, part)) in parts.iter().enumerate() {
        let applies = match i {
            0 => true,
            i if i <= arms => arm == Some(i - 1),
            _ => part.condition.as_ref().is_some_and(|condition| {
                holds(condition, &|k| {
                    if k == "arm" {
                        return name.clone().map(Value::String);
                    }
                    let compared = |k: &str| {
                        draft
                            .axes
                            .iter()
                            .any(|a| a.0 == k)
                            .then(|| assigned.get(k))
                            .flatten()
                    };
                    if let Some(value) = compared(k).or_else(|| draft.set.get(k)) {
                        return Some(value.clone());
                    }
                    // `optimizer.name` when the axis `optimizer` has tables as values;
                    // `optimizer` when the settings have `optimizer.name`.
                    let (parent, child) = k.rsplit_once('.').unwrap_or((k, ""));
                    let inside = |v: &Value| {
                        if child == "name" && v.is_str() {
                            Some(v.clone())
                        } else {
                            v.get(child).cloned()
                        }
                    };
                    compared(parent)
                        .or_else(|| draft.set.get(parent))
                        .and_then(inside)
                        .or_else(|| draft.set.get(&format!("{k}.name")).cloned())
                })
            }),
        };
        if applies {
            draft.apply(part);
        }
    }
    draft
}

fn has(axes: &Axes, key: &str) -> bool {
    axes.0.iter().any(|a| a.0 == key)
}

/// The combined parts of a file for one group.
#[derive(Debug, Default)]
pub(crate) struct Draft {
    pub set: Table,
    pub axes: Vec<(String, Axis)>,
    pub search: Vec<(String, Axis)>,
    pub rate: Option<Rate>,
    pub budget: Option<Budget>,
    pub stop: StopRules,
}

impl Draft {
    fn apply(&mut self, part: &Overlay) {
        let clear = |list: &mut Vec<(String, Axis)>, path: &str| {
            list.retain(|(k, _)| k != path && !is_below(k, path))
        };
        let set = flatten(&part.set);
        // First remove everything that this part replaces, then add what it brings; so its own
        // plain names and options can be combined.
        for path in set.keys() {
            clear(&mut self.axes, path);
            clear(&mut self.search, path);
        }
        if part.rate.as_ref().is_some_and(|r| r.from.is_some()) {
            self.search.clear();
        }
        for (path, _) in &part.axes.0 {
            let choice = path.strip_suffix(".name").unwrap_or(path);
            self.set.retain(|k, _| k != choice && !is_below(k, choice));
            clear(&mut self.search, path);
        }
        for (path, _) in &part.search.0 {
            self.set.retain(|k, _| k != path && !is_below(k, path));
            clear(&mut self.axes, path);
        }
        for (list, own) in [
            (&mut self.axes, &part.axes),
            (&mut self.search, &part.search),
        ] {
            for (path, axis) in &own.0 {
                match list.iter_mut().find(|(k, _)| k == path) {
                    Some(slot) => slot.1 = axis.clone(),
                    None => list.push((path.clone(), axis.clone())),
                }
            }
        }
        overlay(&mut self.set, &set);
        let sets = |k: &str| set.contains_key(k) || has(&part.axes, k);
        if sets(key::RATE) || has(&part.search, key::RATE) {
            self.rate = None;
        }
        if let Some(rate) = &part.rate {
            self.set.remove(key::RATE);
            clear(&mut self.axes, key::RATE);
            clear(&mut self.search, key::RATE);
            self.rate = Some(rate.clone());
        }
        if sets(key::EPOCHS) || sets(key::STEPS) {
            self.budget = None;
        }
        if let Some(budget) = &part.budget {
            for k in [key::EPOCHS, key::STEPS] {
                self.set.remove(k);
                clear(&mut self.axes, k);
            }
            self.budget = Some(budget.clone());
        }
        self.stop.target = part.stop.target.or(self.stop.target);
        self.stop.plateau = part.stop.plateau.or(self.stop.plateau);
        self.stop.prune = part.stop.prune.or(self.stop.prune);
    }
}
