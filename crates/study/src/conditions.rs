//! Conditions (`[[when]]`): what they may ask for, and whether they hold.

use toml::{Table, Value};

use crate::axis::Axis;
use crate::error::StudyError;
use crate::file::{Overlay, Study};
use crate::places::Places;
use crate::trial::named;
use largebatch_component::settings::{flatten, number};
use largebatch_component::{shortened, suggestion};

/// An axis with more values than this is not searched for the values of conditions.
const LISTED: usize = 10_000;

impl Study {
    pub(crate) fn check_conditions(
        &self,
        parts: &[(String, Overlay)],
        arms: &[&str],
    ) -> Result<(), StudyError> {
        let mut settings: Vec<String> = vec!["arm".into()];
        for (_, part) in parts {
            settings.extend(flatten(&part.set).keys().cloned());
            settings.extend(part.axes.0.iter().map(|a| a.0.clone()));
        }
        let settings: Vec<&str> = settings.iter().map(String::as_str).collect();
        for (i, when) in self.whens.iter().enumerate() {
            let path = format!("when.{i}");
            let fail =
                |key: &str, message: String| Err(self.error(&format!("{path}.{key}"), message));
            if when.name.is_some() {
                return fail(
                    "name",
                    "a condition has no name; named cases are [[arm]] tables".into(),
                );
            }
            let Some(condition) = when.condition.as_ref().filter(|c| !c.is_empty()) else {
                return fail("if", "a condition needs `if = { setting = value }`".into());
            };
            for (k, v) in flatten(condition) {
                let is_tuned = |(_, p): &(String, Overlay)| p.search.0.iter().any(|a| a.0 == k);
                let message = if k == "arm" {
                    let asked = v.as_array().map_or(std::slice::from_ref(&v), Vec::as_slice);
                    let is_arm = |v: &Value| v.as_str().is_some_and(|v| arms.contains(&v));
                    let Some(wrong) = asked.iter().find(|v| !is_arm(v)) else {
                        continue;
                    };
                    let name = wrong.as_str().unwrap_or_default();
                    let meant = suggestion(name, arms.iter().copied());
                    format!("there is no arm {wrong}{meant}")
                } else if parts.iter().any(is_tuned) {
                    format!(
                        "`{k}` is tuned, so a condition on it would change its own search; conditions can ask for settings, axes and `arm`"
                    )
                } else if !settings.iter().any(|s| same_choice(s, &k)) {
                    let meant = suggestion(&k, settings.iter().copied());
                    format!("no setting or axis of this file is named `{k}`{meant}")
                } else {
                    continue;
                };
                return fail("if", message);
            }
        }
        Ok(())
    }

    /// Refuses a condition on a value that nothing in the file takes. `self` is the file without
    /// overrides: a condition may exist for another value of a fixed setting, which `--set` gives,
    /// and a shorter axis may leave a condition without a case.
    pub(crate) fn check_asked(&self, places: &Places) -> Result<(), StudyError> {
        let parts = self.parts();
        for (i, condition) in self
            .whens
            .iter()
            .enumerate()
            .filter_map(|(i, w)| Some((i, w.condition.as_ref()?)))
        {
            for (k, asked) in flatten(condition) {
                let Some(values) = values(&parts, &k) else {
                    continue;
                };
                let takes = |wanted: &Value| {
                    values
                        .iter()
                        .any(|v| same(wanted, named(v)) || same(wanted, v))
                };
                let wrong = match &asked {
                    Value::Array(any) if !takes(&asked) => any.iter().find(|w| !takes(w)),
                    one if !takes(one) => Some(one),
                    _ => None,
                };
                let Some(wrong) = wrong else { continue };
                let mut texts: Vec<String> = values.iter().map(|v| named(v).to_string()).collect();
                texts.dedup();
                let words = values.iter().filter_map(|v| named(v).as_str());
                let hint = match suggestion(wrong.as_str().unwrap_or_default(), words) {
                    none if none.is_empty() => format!("; it is one of {}", shortened(&texts, 8)),
                    hint => hint,
                };
                let message = format!("`{k}` is never {wrong} in this file{hint}");
                return Err(places.error(&format!("when.{i}.if"), message));
            }
        }
        Ok(())
    }
}

/// All values of a setting that is compared; `None` if it is not an axis, also has a fixed value
/// that `--set` may change, or has too many values.
fn values(parts: &[(String, Overlay)], k: &str) -> Option<Vec<Value>> {
    let mut all = Vec::new();
    let mut compared = false;
    for (i, (_, part)) in parts.iter().enumerate() {
        let axes = part.axes.0.iter();
        for (_, axis) in axes.filter(|(other, _)| same_choice(other, k)) {
            compared = true;
            let long = matches!(axis, Axis::Range(_)) && axis.len() > LISTED;
            all.extend(axis.grid().ok().filter(|_| !long)?);
        }
        let set = flatten(&part.set);
        let fixed = set.into_iter().filter(|(other, _)| same_choice(other, k));
        let before = all.len();
        all.extend(fixed.map(|(_, v)| v));
        if i == 0 && all.len() > before {
            return None;
        }
    }
    compared.then_some(all)
}

/// Whether a flat condition holds for settings, which `lookup` finds.
pub(crate) fn holds(condition: &Table, lookup: &dyn Fn(&str) -> Option<Value>) -> bool {
    flatten(condition).iter().all(|(k, wanted)| {
        let Some(actual) = lookup(k) else {
            return false;
        };
        // The value of an axis may be a whole table; then a condition on `optimizer.name` looks
        // inside it, and one on `optimizer` means its name.
        let actual = match wanted {
            Value::Table(_) => &actual,
            _ => named(&actual),
        };
        match wanted {
            Value::Array(any) if !actual.is_array() => any.iter().any(|w| same(w, actual)),
            wanted => same(wanted, actual),
        }
    })
}

/// Whether two keys are the same choice, with or without `.name`.
pub(crate) fn same_choice(a: &str, b: &str) -> bool {
    a.strip_suffix(".name").unwrap_or(a) == b.strip_suffix(".name").unwrap_or(b)
}

fn same(a: &Value, b: &Value) -> bool {
    a == b || matches!((number(a), number(b)), (Some(a), Some(b)) if a == b)
}
