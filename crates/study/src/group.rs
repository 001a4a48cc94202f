//! Groups of trials, and the parts of the file that set their settings.

use toml::{Table, Value};

use crate::axis::Axes;
use crate::conditions::holds;
use crate::file::{Overlay, Rate, Study};
use crate::rules::StopRules;
use crate::trial::{Labels, describe, key};
use largebatch_component::settings::{get, insert, is_below, number};

/// Trials that share everything but the seed and the tuned settings: one arm at one value of every
/// axis.
#[derive(Clone, Debug)]
pub struct Group {
    /// Its arm and its values on the axes. No two groups have the same [`title`](crate::title).
    pub labels: Labels,
    /// The configuration without seed and tuned settings; nested.
    pub config: Table,
    /// The points of the search, flat; empty if nothing is tuned.
    pub points: Vec<Table>,
    /// The group from which this one takes its tuned settings.
    pub derived: Option<Derived>,
    /// When its trials end early.
    pub stop: StopRules,
}

/// How a group gets its settings from another.
#[derive(Clone, Debug)]
pub struct Derived {
    /// The other group's index in the plan.
    pub from: usize,
    /// The factor on its rate.
    pub factor: f64,
    pub(crate) rate: Rate,
}

impl Study {
    /// The place in the file that sets a key of a group's configuration, or an enclosing key.
    pub(crate) fn place(&self, group: &Group, key: &str) -> String {
        let has = |axes: &Axes| axes.0.iter().any(|(k, _)| k == key || is_below(key, k));
        for (path, part) in self.parts().iter().rev().filter(|(_, p)| applies(p, group)) {
            let (length, rate) = (
                key == key::EPOCHS || key == key::STEPS || is_below(key, key::BUDGET),
                key == key::RATE || key.starts_with(key::WARMUP),
            );
            for (section, has) in [
                ("set", get(&part.set, key).is_some()),
                ("axes", has(&part.axes)),
                ("search", has(&part.search)),
            ] {
                if has {
                    return format!("{path}{section}.{key}");
                }
            }
            if length && part.budget.is_some() {
                return format!("{path}budget");
            }
            if rate && part.rate.is_some() {
                return format!("{path}rate");
            }
        }
        key.rsplit_once('.')
            .map_or(String::new(), |(parent, _)| self.place(group, parent))
    }

    /// The path of the last part of a group that satisfies `has`.
    pub(crate) fn last_part(
        &self,
        group: &Group,
        has: &dyn Fn(&Overlay) -> bool,
    ) -> Option<String> {
        self.parts()
            .into_iter()
            .rev()
            .find(|(_, p)| applies(p, group) && has(p))
            .map(|(path, _)| path)
    }
}

/// Whether a part of the file applies to a group.
fn applies(part: &Overlay, group: &Group) -> bool {
    // The axis values are in the settings; labels may have a text instead.
    let lookup = |k: &str| {
        if k == "arm" {
            group.labels.get(k)
        } else {
            get(&group.config, k)
        }
        .cloned()
    };
    part.name
        .as_ref()
        .is_none_or(|name| group.labels.get("arm").and_then(Value::as_str) == Some(name))
        && part
            .condition
            .as_ref()
            .is_none_or(|condition| holds(condition, &lookup))
}

pub(crate) fn in_group(labels: &Labels) -> String {
    if labels.is_empty() {
        String::new()
    } else {
        format!(" (in the group {})", describe(labels))
    }
}

pub(crate) fn set_rate(config: &mut Table, rate: &Rate, base: f64, factor: f64) {
    config.insert(key::RATE.into(), Value::Float(base * factor));
    if let Some(warmup) = &rate.warmup {
        let mut warmup = warmup.clone();
        if warmup.get("start").is_none_or(|s| number(s).is_none()) {
            warmup.insert("start".into(), Value::Float((1.0 / factor).min(1.0)));
        }
        insert(config, key::WARMUP, Value::Table(warmup));
    }
}
