//! Contradictions that appear only when parts, axes and overrides are combined: a study that would
//! run, but could not do what it says.

use toml::Value;

use crate::error::StudyError;
use crate::file::{Overlay, Study};
use crate::group::{Group, in_group};
use crate::trial::{key, named};
use largebatch_component::settings::{get, number};

/// Refuses groups that readers could not tell apart, and stop rules that no trial of a group could
/// ever meet.
pub(crate) fn contradictions(study: &Study, groups: &[Group]) -> Result<(), StudyError> {
    study.twins()?;
    groups
        .iter()
        .try_for_each(|group| study.contradiction(group))
}

impl Study {
    fn contradiction(&self, group: &Group) -> Result<(), StudyError> {
        let fail = |paths: &[String], message: String| {
            Err(self
                .places
                .error_among(paths, format!("{message}{}", in_group(&group.labels))))
        };
        let stop = |rule: &str, has: &dyn Fn(&Overlay) -> bool| {
            format!(
                "{}stop.{rule}",
                self.last_part(group, has).unwrap_or_default()
            )
        };
        let target = || stop("target", &|p| p.stop.target.is_some());
        if get(&group.config, key::VALIDATION).and_then(number) == Some(0.0) {
            let held = self.place(group, key::VALIDATION);
            if group.stop.target.is_some() {
                let message = "`stop.target` is a value of the validation metric, but `data.validation = 0` holds nothing out: hold examples out, or drop the target";
                return fail(&[held, target()], message.into());
            }
            if !group.points.is_empty() {
                let message = "settings are tuned on held-out examples, but `data.validation = 0` holds none out: hold some out, or fix the settings of `search`";
                let search = format!(
                    "{}search",
                    self.last_part(group, &|p| !p.search.0.is_empty())
                        .unwrap_or_default()
                );
                return fail(&[held, search], message.into());
            }
        }
        // For real targets the metric is an error in the targets' own unit. A study without a data
        // set belongs to another program and may have any metric.
        let dataset = get(&group.config, key::DATASET);
        let real = dataset.is_some_and(|d| {
            named(d).as_str() == Some(REAL)
                || d.get("labels").and_then(Value::as_str) == Some("real")
        });
        let fractions = dataset.is_some() && !real;
        if let Some(t) = group
            .stop
            .target
            .filter(|t| fractions && !(*t > 0.0 && *t <= 1.0))
        {
            let hint = if t > 1.0 && t <= 100.0 {
                t / 100.0
            } else {
                0.97
            };
            return fail(
                &[target()],
                format!("target = {t}: accuracies are fractions, such as {hint}"),
            );
        }
        let setting = |k: &str| get(&group.config, k).and_then(number);
        let equal =
            || Some(setting(key::EQUAL_EPOCHS)? * setting(key::BATCH)? / setting(key::AT_BATCH)?);
        if let (Some(plateau), Some(epochs)) =
            (group.stop.plateau, setting(key::EPOCHS).or_else(equal))
            && plateau.epochs >= epochs
        {
            let message = format!(
                "a plateau of {} epochs cannot be detected within a budget of {epochs} epochs: give a longer budget, or a shorter `stop.plateau.epochs`",
                plateau.epochs
            );
            let length = self.place(group, key::EPOCHS);
            let length = if length.ends_with("budget") {
                format!("{length}.epochs")
            } else {
                length
            };
            return fail(
                &[
                    stop("plateau.epochs", &|p| p.stop.plateau.is_some()),
                    length,
                ],
                message,
            );
        }
        Ok(())
    }
}

/// The built-in data set with real targets.
const REAL: &str = "diabetes";

impl Study {
    /// Refuses groups that readers could not tell apart: arms whose names look the same, and a
    /// value that an axis lists in two spellings.
    fn twins(&self) -> Result<(), StudyError> {
        let look = |arm: &Overlay| {
            arm.name
                .iter()
                .flat_map(|n| n.split_whitespace())
                .map(str::to_string)
                .collect::<Vec<_>>()
        };
        for (i, arm) in self.arms.iter().enumerate() {
            let (name, fail) = (arm.name.as_deref().unwrap_or_default(), |m: String| {
                Err(self.error(&format!("arm.{i}.name"), m))
            });
            if name.chars().any(char::is_control) || look(arm).is_empty() {
                return fail(format!("an arm needs a name on one line, not {name:?}"));
            }
            if let Some(other) = self.arms[..i].iter().find(|other| look(other) == look(arm)) {
                let other = other.name.as_deref().unwrap_or_default();
                return fail(format!(
                    "the names {other:?} and {name:?} differ only in spaces: give this arm another name"
                ));
            }
        }
        for (path, part) in self.parts() {
            for (k, axis) in &part.axes.0 {
                let mut seen = std::collections::BTreeMap::new();
                for value in axis.values() {
                    if let Some(other) = seen.insert(plain(value).to_string(), value) {
                        let message = format!("{other} and {value} are the same value: drop one");
                        return Err(self.error(&format!("{path}axes.{k}"), message));
                    }
                }
            }
        }
        Ok(())
    }
}

/// A setting in its plainest spelling: `1` for `1.0`, and `"sgd"` for `{ name = "sgd" }`.
fn plain(value: &Value) -> Value {
    match value {
        Value::Float(x) if *x == x.trunc() && x.abs() < 1e15 => Value::Integer(*x as i64),
        Value::Array(items) => Value::Array(items.iter().map(plain).collect()),
        Value::Table(t) if t.len() == 1 && t.get("name").is_some_and(Value::is_str) => {
            t["name"].clone()
        }
        Value::Table(t) => Value::Table(t.iter().map(|(k, v)| (k.clone(), plain(v))).collect()),
        value => value.clone(),
    }
}
