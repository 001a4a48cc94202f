//! From a study file to its groups: combines parts, multiplies axes and links derived rates.

use std::collections::{BTreeMap, HashSet};

use largebatch_schedule::Scaling;
use toml::{Table, Value};

use crate::axis::Axis;
use crate::draft::{Draft, draft};
use crate::error::StudyError;
use crate::file::{Goal, Overlay, Rate, Study};
use crate::group::{Derived, Group, in_group, set_rate};
use crate::names::distinguish;
use crate::sequence::Method;
use crate::trial::{Labels, key};
use largebatch_component::settings::{flatten, is_below, nest, number, overlay};

/// The most trials of a study.
pub(crate) const MAX_TRIALS: usize = 1_000_000;

/// The groups of a study, in the order of its arms and axes.
pub(crate) fn expand(study: &Study) -> Result<Vec<Group>, StudyError> {
    let mut builder = Builder {
        parts: study.parts(),
        study,
        groups: Vec::new(),
        rates: Vec::new(),
        seen: HashSet::new(),
        trials: 0,
    };
    if study.arms.is_empty() {
        builder.expand(None, &mut Table::new())?;
    }
    for arm in 0..study.arms.len() {
        builder.expand(Some(arm), &mut Table::new())?;
    }
    builder.link()?;
    distinguish(&mut builder.groups);
    Ok(builder.groups)
}

struct Builder<'a> {
    study: &'a Study,
    parts: Vec<(String, Overlay)>,
    groups: Vec<Group>,
    rates: Vec<Option<Rate>>,
    seen: HashSet<String>,
    trials: usize,
}

impl Builder<'_> {
    fn expand(&mut self, arm: Option<usize>, assigned: &mut Table) -> Result<(), StudyError> {
        let draft = draft(self.study, &self.parts, arm, assigned);
        let seeds = self.study.confirm_seed_count().max(1);
        few_enough(&draft.axes, &[("seeds", seeds)]).map_err(|m| {
            let own = arm.filter(|a| !self.study.arms[*a].axes.0.is_empty());
            self.study
                .error(&own.map_or("axes".into(), |a| format!("arm.{a}.axes")), m)
        })?;
        // Axes that conditions ask about come first, because the values of the others may depend on
        // them.
        let asked = |path: &str| {
            self.study
                .whens
                .iter()
                .filter_map(|w| w.condition.as_ref())
                .any(|c| flatten(c).keys().any(|k| k == path || is_below(k, path)))
        };
        let open = || draft.axes.iter().filter(|(k, _)| !assigned.contains_key(k));
        let Some((path, axis)) = open()
            .find(|(k, _)| asked(k))
            .or_else(|| open().next())
            .cloned()
        else {
            return self.close(arm, assigned, draft);
        };
        let values = axis.grid().map_err(|e| {
            self.study
                .error(&format!("axes.{path}"), format!("{path}: {e}"))
        })?;
        for value in values {
            assigned.insert(path.clone(), value);
            self.expand(arm, assigned)?;
        }
        assigned.remove(&path);
        Ok(())
    }

    fn close(
        &mut self,
        arm: Option<usize>,
        assigned: &Table,
        mut draft: Draft,
    ) -> Result<(), StudyError> {
        let mut labels = Labels::new();
        if let Some(arm) = arm {
            let name = self.study.arms[arm].name.clone();
            labels.insert("arm".into(), name.unwrap_or_default().into());
        }
        for (path, _) in &draft.axes {
            labels.insert(path.clone(), assigned[path].clone());
            let value = Table::from_iter([(path.clone(), assigned[path].clone())]);
            overlay(&mut draft.set, &flatten(&value));
        }
        // A condition may fix a setting that is an axis elsewhere; then several values of the axis
        // give one group, unless something else differs.
        let d = &draft;
        let others = (&d.set, &d.search, &d.rate, &d.budget, &d.stop);
        if !self.seen.insert(format!("{labels:?}{others:?}")) {
            return Ok(());
        }
        let place = arm.map_or(String::new(), |a| format!("arm.{a}"));
        let error = |path: &str, message: String| {
            self.study.error(
                format!("{place}{path}").trim_start_matches('.'),
                format!("{message}{}", in_group(&labels)),
            )
        };
        self.apply_budget(&mut draft)
            .map_err(|m| error(".budget", m))?;
        let split_seed = Value::Integer(self.study.split_seed.into());
        draft.set.insert(key::SPLIT_SEED.into(), split_seed);
        if self.study.tune.goal == Goal::FewestSteps
            && draft.stop.target.is_none()
            && !draft.search.is_empty()
        {
            return Err(self
                .study
                .error("tune.goal", "goal = \"fewest_steps\" needs `stop.target`"));
        }
        let points = self
            .points(&draft.search)
            .map_err(|m| error(".search", m))?;
        let (tune, confirm) = (
            self.study.tune_seed_count(),
            self.study.confirm_seed_count(),
        );
        self.trials += points.len() * tune + confirm;
        if self.trials > MAX_TRIALS {
            let message = format!(
                "the axes, searches and seeds make more than {} trials: give fewer values",
                grouped(MAX_TRIALS)
            );
            return Err(self
                .study
                .error(if labels.is_empty() { "search" } else { "axes" }, message));
        }
        let mut config = nest(&draft.set);
        if let Some(rate) = &draft.rate
            && let (Some(base), Some(base_batch)) = (rate.base_rate, rate.base_batch)
        {
            let batch = batch(&draft.set).map_err(|m| error(".rate", m))?;
            let factor = rate.scaling.factor(batch as usize, base_batch as usize);
            set_rate(&mut config, rate, base, factor);
        }
        self.rates.push(draft.rate.filter(|r| r.from.is_some()));
        self.groups.push(Group {
            labels,
            config,
            points,
            derived: None,
            stop: draft.stop,
        });
        Ok(())
    }

    fn apply_budget(&self, draft: &mut Draft) -> Result<(), String> {
        let Some(budget) = &draft.budget else {
            return Ok(());
        };
        // The whole numbers of a study file are TOML's, so they fit.
        let integer = |n: u64| Value::Integer(n as i64);
        let length = if let Some(epochs) = budget.epochs {
            let whole = epochs == epochs.trunc() && epochs < 1e15;
            let epochs = if whole {
                Value::Integer(epochs as i64)
            } else {
                Value::Float(epochs)
            };
            match budget.at_batch {
                Some(at) if batch(&draft.set)? != at as f64 => {
                    vec![(key::EQUAL_EPOCHS, epochs), (key::AT_BATCH, integer(at))]
                }
                _ => vec![(key::EPOCHS, epochs)],
            }
        } else if let Some(steps) = budget.steps {
            vec![(key::STEPS, integer(steps))]
        } else {
            vec![(key::EXAMPLES, integer(budget.examples.unwrap_or(0)))]
        };
        draft
            .set
            .extend(length.into_iter().map(|(k, value)| (k.to_owned(), value)));
        Ok(())
    }

    fn points(&self, search: &[(String, Axis)]) -> Result<Vec<Table>, String> {
        if search.is_empty() {
            return Ok(Vec::new());
        }
        let tune = &self.study.tune;
        let seeds = self.study.tune_seed_count();
        if tune.method != Method::Grid {
            let n = tune.trials.unwrap_or(0);
            few_enough(&[], &[("points", n), ("seeds", seeds)])?;
            let point = |u: &Vec<f64>| {
                let each = search.iter().zip(u);
                each.map(|((k, axis), &u)| (k.clone(), axis.at(u)))
                    .collect()
            };
            let cube = tune.method.points(n, search.len(), tune.search_seed.into());
            return Ok(cube.iter().map(point).collect());
        }
        few_enough(search, &[("seeds", seeds)])?;
        let mut points = vec![Table::new()];
        for (path, axis) in search {
            let values = axis.grid().map_err(|e| format!("{path}: {e}"))?;
            let with = |point: &Table, value: &Value| {
                let mut point = point.clone();
                point.insert(path.clone(), value.clone());
                point
            };
            let of = |point| values.iter().map(move |value| with(point, value));
            points = points.iter().flat_map(of).collect();
        }
        Ok(points)
    }

    /// Finds the group from which each deriving group takes its settings: the group of the named
    /// arm with the same values on the axes that both have, except the batch size.
    fn link(&mut self) -> Result<(), StudyError> {
        let arm_of = |labels: &Labels| labels.get("arm").and_then(Value::as_str).map(str::to_owned);
        let mut by_arm: BTreeMap<Option<String>, Vec<usize>> = BTreeMap::new();
        for (i, group) in self.groups.iter().enumerate() {
            by_arm.entry(arm_of(&group.labels)).or_default().push(i);
        }
        for i in 0..self.groups.len() {
            let Some(rate) = self.rates[i].clone() else {
                continue;
            };
            let arm = rate.from.clone().unwrap_or_default();
            let labels = &self.groups[i].labels;
            let agrees = |other: &Labels| {
                other.iter().all(|(k, v)| {
                    k == "arm" || k == key::BATCH || labels.get(k).is_none_or(|mine| mine == v)
                })
            };
            let candidates: Vec<usize> = by_arm
                .get(&rate.from)
                .into_iter()
                .flatten()
                .copied()
                .filter(|&j| agrees(&self.groups[j].labels))
                .collect();
            let place = self
                .study
                .arms
                .iter()
                .position(|a| a.name == arm_of(labels))
                .map_or(String::new(), |i| format!("arm.{i}."));
            let error = |m: String| {
                self.study.error(
                    &format!("{place}rate.from"),
                    format!("{m}{}", in_group(labels)),
                )
            };
            let [from] = candidates[..] else {
                return Err(error(format!(
                    "{} groups of arm \"{arm}\" could give the rate; there must be exactly one with the same values on the shared axes",
                    candidates.len()
                )));
            };
            if from == i || self.rates[from].is_some() {
                return Err(error(format!(
                    "arm \"{arm}\" cannot take its rate from itself or from an arm that derives its own"
                )));
            }
            let base = &self.groups[from];
            let tuned = base
                .points
                .first()
                .is_some_and(|p| p.contains_key(key::RATE));
            if !tuned && !base.config.contains_key(key::RATE) {
                return Err(error(format!(
                    "arm \"{arm}\" neither tunes nor sets `{}`",
                    key::RATE
                )));
            }
            let size = |g: &Group| {
                g.config
                    .get(key::BATCH)
                    .and_then(number)
                    .filter(|b| *b > 0.0)
            };
            let factor = match (rate.scaling, size(&self.groups[i]), size(base)) {
                (Scaling::None, ..) => 1.0,
                (scaling, Some(batch), Some(base)) => scaling.factor(batch as usize, base as usize),
                _ => {
                    return Err(error(format!(
                        "scaling needs a fixed `{}` in both arms",
                        key::BATCH
                    )));
                }
            };
            self.groups[i].derived = Some(Derived { from, factor, rate });
        }
        Ok(())
    }
}

/// Refuses a product of axes and other factors that is too large, before it is computed.
fn few_enough(axes: &[(String, Axis)], others: &[(&str, usize)]) -> Result<(), String> {
    let axes = axes.iter().map(|(k, axis)| (k.as_str(), axis.len().max(1)));
    let factors: Vec<(&str, usize)> = axes.chain(others.iter().copied()).collect();
    let product = factors
        .iter()
        .fold(1, |all: usize, (_, n)| all.saturating_mul(*n));
    if product <= MAX_TRIALS {
        return Ok(());
    }
    let texts: Vec<String> = factors
        .iter()
        .map(|(k, n)| format!("{k} ({})", grouped(*n)))
        .collect();
    Err(format!(
        "{} make {} trials: a study has at most {}",
        texts.join(" × "),
        grouped(product),
        grouped(MAX_TRIALS)
    ))
}

/// A number with commas between the thousands.
fn grouped(n: usize) -> String {
    let digits = n.to_string();
    let comma = |i: usize| i > 0 && (digits.len() - i).is_multiple_of(3);
    digits
        .char_indices()
        .flat_map(|(i, c)| comma(i).then_some(',').into_iter().chain([c]))
        .collect()
}

fn batch(set: &Table) -> Result<f64, String> {
    set.get(key::BATCH)
        .and_then(number)
        .filter(|b| *b > 0.0)
        .ok_or_else(|| format!("this needs a fixed `{}` above 0", key::BATCH))
}
