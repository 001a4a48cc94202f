//! Checks that serde cannot make: contradictions within a study file, each reported with its line.

use largebatch_schedule::Scaling;
use toml::Value;

use crate::axis::Axes;
use crate::error::StudyError;
use crate::file::{Budget, Overlay, Rate, Study};
use crate::rules::StopRules;
use crate::sequence::{MAX_DIMENSIONS, Method};
use crate::trial::key;
use largebatch_component::settings::{flatten, is_below, number};
use largebatch_component::suggestion;

/// The most threads of a trial; no machine has more.
const MAX_THREADS: u32 = 4096;

impl Study {
    pub(crate) fn check(&self) -> Result<(), StudyError> {
        let fail = |path: &str, message: String| Err(self.places.error(path, message));
        if self.name.is_empty() || self.name.chars().any(char::is_control) {
            return fail("name", "a study needs a name on one line".into());
        }
        if self.threads == 0 {
            return fail(
                "threads",
                "threads = 0: a trial needs at least one thread".into(),
            );
        }
        if self.threads > MAX_THREADS {
            return fail(
                "threads",
                format!(
                    "threads = {}: a trial has at most {MAX_THREADS}",
                    self.threads
                ),
            );
        }
        let parts = self.parts();
        for (path, part) in &parts {
            check_part(part)
                .map_err(|(key, message)| self.places.error(&format!("{path}{key}"), message))?;
        }
        for (i, arm) in self.arms.iter().enumerate() {
            let path = format!("arm.{i}");
            let Some(name) = arm.name.as_ref().filter(|n| !n.is_empty()) else {
                return fail(&path, "an arm needs a `name`".into());
            };
            if arm.condition.is_some() {
                return fail(
                    &format!("{path}.if"),
                    "an arm has no `if`; conditions are [[when]] tables".into(),
                );
            }
            if self.arms[..i].iter().any(|a| a.name.as_ref() == Some(name)) {
                return fail(
                    &format!("{path}.name"),
                    format!("two arms are named \"{name}\""),
                );
            }
        }
        let arms: Vec<&str> = self.arms.iter().filter_map(|a| a.name.as_deref()).collect();
        for (path, part) in &parts {
            if let Some(from) = part.rate.as_ref().and_then(|r| r.from.as_deref()) {
                let at = format!("{path}rate.from");
                match self.arms.iter().find(|a| a.name.as_deref() == Some(from)) {
                    None => {
                        return fail(
                            &at,
                            format!(
                                "there is no arm `{from}`{}",
                                suggestion(from, arms.iter().copied())
                            ),
                        );
                    }
                    Some(arm) if arm.rate.as_ref().is_some_and(|r| r.from.is_some()) => {
                        return fail(
                            &at,
                            format!(
                                "arm \"{from}\" takes its own rate from another arm; name the arm whose rate is tuned or set"
                            ),
                        );
                    }
                    Some(_) => {}
                }
            }
        }
        self.check_conditions(&parts, &arms)?;
        self.check_stages(&parts)
    }

    fn check_stages(&self, parts: &[(String, Overlay)]) -> Result<(), StudyError> {
        let fail = |path: &str, message: String| Err(self.places.error(path, message));
        let searched = parts.iter().any(|(_, p)| !p.search.0.is_empty());
        if !searched && self.tune != Default::default() {
            return fail(
                "tune",
                "nothing is tuned: name the settings and their values under `search`".into(),
            );
        }
        if !searched && self.confirm.is_none() {
            return fail(
                "confirm",
                "nothing to run: give `confirm.seeds`, or settings to tune under `search`".into(),
            );
        }
        if let Some(Confirm { seeds, .. }) = &self.confirm.as_ref().map(|c| Confirm {
            seeds: c.seeds.all(0),
        }) && searched
            && let seeds = seeds.iter().collect::<std::collections::HashSet<_>>()
            && let Some(shared) = self.tune_seeds().iter().find(|s| seeds.contains(s))
        {
            return fail(
                "confirm.seeds",
                format!("seed {shared} is also a tuning seed; reported trials need fresh seeds"),
            );
        }
        match (self.tune.method, self.tune.trials) {
            (Method::Grid, Some(_)) => fail(
                "tune.trials",
                "a grid runs every combination; `trials` belongs to method = \"random\", \"halton\" or \"sobol\"".into(),
            ),
            (Method::Grid, None) => Ok(()),
            (_, None) if searched => fail("tune.method", "this method needs `trials`, the number of points".into()),
            (_, Some(n)) if !(1..=1_000_000).contains(&n) => fail("tune.trials", format!("trials = {n}: must be from 1 to 1,000,000")),
            (Method::Halton | Method::Sobol, _) if parts.iter().map(|(_, p)| p.search.0.len()).sum::<usize>() > MAX_DIMENSIONS => {
                fail("search", format!("Halton and Sobol search at most {MAX_DIMENSIONS} settings; use method = \"random\""))
            }
            _ => Ok(()),
        }
    }
}

struct Confirm {
    seeds: Vec<u64>,
}

/// Contradictions within one part: the key and the error.
fn check_part(part: &Overlay) -> Result<(), (String, String)> {
    let set = flatten(&part.set);
    let mut seen: Vec<(&str, &str)> = Vec::new();
    let lists: [(&str, Vec<&str>); 3] = [
        ("axes", names(&part.axes)),
        ("search", names(&part.search)),
        ("set", set.keys().map(String::as_str).collect()),
    ];
    for (section, keys) in &lists {
        for k in keys {
            let at = format!("{section}.{k}");
            match *k {
                key::SEED => {
                    return Err((
                        at,
                        "seeds belong in `confirm.seeds` and `tune.seeds`".into(),
                    ));
                }
                key::SPLIT_SEED if *section == "set" => {
                    return Err((at, "`split_seed` belongs at the top of the file".into()));
                }
                key::SPLIT_SEED => {
                    return Err((
                        at,
                        "`split_seed` is the same for all trials of a study".into(),
                    ));
                }
                "threads" => return Err((at, "`threads` belongs at the top of the file".into())),
                "arm" => return Err((at, "`arm` names the arms and cannot be a setting".into())),
                k if k == key::BUDGET || is_below(k, key::BUDGET) => {
                    return Err((
                        at,
                        "`budget` belongs beside `set`, `axes` and `search`: at the top of the file, in an arm or in a condition".into(),
                    ));
                }
                _ => {}
            }
            // A choice's options may be given beside its name, `optimizer.momentum` beside
            // `optimizer`.
            let choice = |k: &str| k.strip_suffix(".name").unwrap_or(k).to_string();
            if let Some((other, _)) = seen.iter().find(|(_, o)| choice(o) == choice(k)) {
                let message = format!(
                    "`{k}` is under both `{other}` and `{section}`, but a setting is either fixed, compared or tuned; the values tried are those of `{other}.{k}`"
                );
                return Err((at, message));
            }
            if *k == key::RATE && part.rate.is_some() {
                return Err((
                    at,
                    format!("`{k}` is given beside `rate`, which derives it: keep one"),
                ));
            }
            if (*k == key::EPOCHS || *k == key::STEPS) && part.budget.is_some() {
                return Err((
                    at,
                    format!("`{k}` is given beside `budget`, which sets it: keep one"),
                ));
            }
        }
        seen.extend(keys.iter().map(|k| (*section, *k)));
    }
    if let Some((k, v)) = set.iter().find(|(_, v)| !plain(v)) {
        return Err((
            format!("set.{k}"),
            format!(
                "{k} = {v}: settings must be finite numbers, strings, booleans, or lists of these"
            ),
        ));
    }
    for (section, axes) in [("axes", &part.axes), ("search", &part.search)] {
        for (k, axis) in &axes.0 {
            if let crate::axis::Axis::List(values) = axis
                && let Some(v) = values.iter().find(|v| !plain(v))
            {
                return Err((
                    format!("{section}.{k}"),
                    format!(
                        "{k} = {v}: settings must be finite numbers, strings, booleans, or lists of these"
                    ),
                ));
            }
        }
    }
    if let Some(rate) = &part.rate {
        check_rate(rate)?;
        if rate.from.is_some() && !part.search.0.is_empty() {
            return Err((
                "search".into(),
                "this case takes its settings from another arm, so it cannot also tune some: drop `search` or `rate.from`".into(),
            ));
        }
    }
    part.budget.as_ref().map_or(Ok(()), check_budget)?;
    check_stop(&part.stop)
}

fn names(axes: &Axes) -> Vec<&str> {
    axes.0.iter().map(|a| a.0.as_str()).collect()
}

fn plain(value: &Value) -> bool {
    match value {
        Value::Float(x) => x.is_finite(),
        Value::Datetime(_) => false,
        Value::Array(items) => items.iter().all(plain),
        Value::Table(t) => t.values().all(plain),
        _ => true,
    }
}

fn check_rate(rate: &Rate) -> Result<(), (String, String)> {
    match (&rate.from, rate.base_rate, rate.base_batch) {
        (Some(_), None, None) | (None, Some(_), Some(_)) => {}
        (Some(_), ..) => {
            return Err((
                "rate".into(),
                "a rate comes `from` an arm or from `base_rate` and `base_batch`, not both".into(),
            ));
        }
        _ => {
            return Err((
                "rate".into(),
                "a rate needs `from = \"arm\"`, or `base_rate` and `base_batch`".into(),
            ));
        }
    }
    if let Some(r) = rate.base_rate.filter(|r| !(r.is_finite() && *r > 0.0)) {
        return Err((
            "rate.base_rate".into(),
            format!("base_rate = {r}: must be a finite number above 0"),
        ));
    }
    if rate.base_batch == Some(0) {
        return Err((
            "rate.base_batch".into(),
            "base_batch = 0: must be at least one example".into(),
        ));
    }
    if let Some(warmup) = &rate.warmup {
        match warmup.get("start") {
            None => {}
            Some(Value::String(s)) if s == "base" => {}
            Some(v) if number(v).is_some_and(|x| (0.0..=1.0).contains(&x)) => {}
            Some(v) => {
                return Err((
                    "rate.warmup.start".into(),
                    format!("start = {v}: must be \"base\", or a fraction of the peak from 0 to 1"),
                ));
            }
        }
        if rate.scaling == Scaling::None
            && matches!(warmup.get("start"), None | Some(Value::String(_)))
        {
            return Err((
                "rate.warmup".into(),
                "a warm-up from the base rate to the same rate has no effect: give `scaling`, or `start = 0`".into(),
            ));
        }
    }
    Ok(())
}

fn check_budget(budget: &Budget) -> Result<(), (String, String)> {
    let given = usize::from(budget.epochs.is_some())
        + usize::from(budget.steps.is_some())
        + usize::from(budget.examples.is_some());
    if given != 1 {
        return Err((
            "budget".into(),
            "a budget must have one of `epochs`, `steps` and `examples`".into(),
        ));
    }
    if let Some(e) = budget.epochs.filter(|e| !(e.is_finite() && *e > 0.0)) {
        return Err((
            "budget.epochs".into(),
            format!("epochs = {e}: must be a finite number above 0"),
        ));
    }
    if budget.steps == Some(0) || budget.examples == Some(0) {
        return Err(("budget".into(), "a budget of 0 trains nothing".into()));
    }
    match budget.at_batch {
        Some(0) => Err((
            "budget.at_batch".into(),
            "at_batch = 0: must be at least one example".into(),
        )),
        Some(_) if budget.epochs.is_none() => Err((
            "budget.at_batch".into(),
            "`at_batch` converts `epochs` to equal steps; `steps` are already equal".into(),
        )),
        _ => Ok(()),
    }
}

fn check_stop(stop: &StopRules) -> Result<(), (String, String)> {
    let inside = |x: f64| x > 0.0 && x < 1.0;
    match stop {
        StopRules {
            target: Some(t), ..
        } if !t.is_finite() => Err((
            "stop.target".into(),
            format!("target = {t}: must be a finite number"),
        )),
        StopRules { prune: Some(p), .. } if !inside(p.after) => Err((
            "stop.prune.after".into(),
            format!(
                "after = {}: must be a fraction of the budget, above 0 and below 1",
                p.after
            ),
        )),
        StopRules { prune: Some(p), .. } if p.loss_above.is_some_and(|x| !x.is_finite()) => Err((
            "stop.prune.loss_above".into(),
            "loss_above must be a finite number".into(),
        )),
        StopRules {
            plateau: Some(p), ..
        } if !(p.epochs.is_finite() && p.epochs > 0.0) => Err((
            "stop.plateau.epochs".into(),
            format!("epochs = {}: must be above 0", p.epochs),
        )),
        StopRules {
            plateau: Some(p), ..
        } if !inside(p.improvement) => Err((
            "stop.plateau.improvement".into(),
            format!(
                "improvement = {}: must be a fraction, above 0 and below 1",
                p.improvement
            ),
        )),
        _ => Ok(()),
    }
}
