//! Checks that serde cannot make: contradictions within a study file, each reported with its line.

use std::collections::HashSet;

use largebatch_schedule::Scaling;
use toml::Value;

use crate::axis::Axes;
use crate::conditions::same_choice;
use crate::error::StudyError;
use crate::file::{Budget, Overlay, Rate, Study};
use crate::rules::{Plateau, Prune, StopRules};
use crate::sequence::{MAX_DIMENSIONS, Method};
use crate::trial::key;
use largebatch_component::settings::{flatten, is_below, number};
use largebatch_component::suggestion;

/// The most threads of a trial; no machine has more.
const MAX_THREADS: u32 = 4096;

impl Study {
    pub(crate) fn check(&self) -> Result<(), StudyError> {
        if self.name.is_empty() || self.name.chars().any(char::is_control) {
            return Err(self.error("name", "a study needs a name on one line"));
        }
        let threads = match self.threads {
            0 => "threads = 0: a trial needs at least one thread".into(),
            n if n > MAX_THREADS => format!("threads = {n}: a trial has at most {MAX_THREADS}"),
            _ => String::new(),
        };
        if !threads.is_empty() {
            return Err(self.error("threads", threads));
        }
        let parts = self.parts();
        for (path, part) in &parts {
            check_part(part)
                .map_err(|(key, message)| self.error(&format!("{path}{key}"), message))?;
        }
        for (i, arm) in self.arms.iter().enumerate() {
            let fail =
                |key: &str, message: &str| Err(self.error(&format!("arm.{i}{key}"), message));
            let Some(name) = arm.name.as_ref().filter(|n| !n.is_empty()) else {
                return fail("", "an arm needs a `name`");
            };
            if arm.condition.is_some() {
                return fail(".if", "an arm has no `if`; conditions are [[when]] tables");
            }
            if self.arms[..i].iter().any(|a| a.name.as_ref() == Some(name)) {
                return fail(".name", &format!("two arms are named \"{name}\""));
            }
        }
        let arms: Vec<&str> = self.arms.iter().filter_map(|a| a.name.as_deref()).collect();
        for (path, part) in &parts {
            let Some(from) = part.rate.as_ref().and_then(|r| r.from.as_deref()) else {
                continue;
            };
            let derives = |arm: &Overlay| arm.rate.as_ref().is_some_and(|r| r.from.is_some());
            let message = match self.arms.iter().find(|a| a.name.as_deref() == Some(from)) {
                None => {
                    let meant = suggestion(from, arms.iter().copied());
                    format!("there is no arm `{from}`{meant}")
                }
                Some(arm) if derives(arm) => format!(
                    "arm \"{from}\" takes its own rate from another arm; name the arm whose rate is tuned or set"
                ),
                Some(_) => continue,
            };
            return Err(self.error(&format!("{path}rate.from"), message));
        }
        self.check_conditions(&parts, &arms)?;
        self.check_stages(&parts)
    }

    fn check_stages(&self, parts: &[(String, Overlay)]) -> Result<(), StudyError> {
        let searched = parts.iter().any(|(_, p)| !p.search.0.is_empty());
        if !searched && self.tune != Default::default() {
            let why = "nothing is tuned: name the settings and their values under `search`";
            return Err(self.error("tune", why));
        }
        if !searched && self.confirm.is_none() {
            let why = "nothing to run: give `confirm.seeds`, or settings to tune under `search`";
            return Err(self.error("confirm", why));
        }
        if let Some(confirm) = self.confirm.as_ref().filter(|_| searched)
            && let seeds = HashSet::<u64>::from_iter(confirm.seeds.all(0))
            && let Some(shared) = self.tune_seeds().iter().find(|s| seeds.contains(s))
        {
            let why =
                format!("seed {shared} is also a tuning seed; reported trials need fresh seeds");
            return Err(self.error("confirm.seeds", why));
        }
        match (self.tune.method, self.tune.trials) {
            (Method::Grid, Some(_)) => Err(self.error(
                "tune.trials",
                "a grid runs every combination; `trials` belongs to method = \"random\", \"halton\" or \"sobol\"",
            )),
            (Method::Grid, None) => Ok(()),
            (_, None) if searched => Err(self.error("tune.method", "this method needs `trials`, the number of points")),
            (_, Some(n)) if !(1..=1_000_000).contains(&n) => Err(self.error("tune.trials", format!("trials = {n}: must be from 1 to 1,000,000"))),
            (Method::Halton | Method::Sobol, _) if parts.iter().map(|(_, p)| p.search.0.len()).sum::<usize>() > MAX_DIMENSIONS => {
                Err(self.error("search", format!("Halton and Sobol search at most {MAX_DIMENSIONS} settings; use method = \"random\"")))
            }
            _ => Ok(()),
        }
    }
}

/// A key of a part, and what is wrong with it.
type Wrong = (String, String);

fn wrong(key: impl Into<String>, message: impl Into<String>) -> Result<(), Wrong> {
    Err((key.into(), message.into()))
}

fn require(good: bool, key: &str, message: impl Into<String>) -> Result<(), Wrong> {
    if good { Ok(()) } else { wrong(key, message) }
}

/// Contradictions within one part.
fn check_part(part: &Overlay) -> Result<(), Wrong> {
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
            let elsewhere = match *k {
                key::SEED => "seeds belong in `confirm.seeds` and `tune.seeds`",
                key::SPLIT_SEED if *section == "set" => {
                    "`split_seed` belongs at the top of the file"
                }
                key::SPLIT_SEED => "`split_seed` is the same for all trials of a study",
                "threads" => "`threads` belongs at the top of the file",
                "arm" => "`arm` names the arms and cannot be a setting",
                k if k == key::BUDGET || is_below(k, key::BUDGET) => {
                    "`budget` belongs beside `set`, `axes` and `search`: at the top of the file, in an arm or in a condition"
                }
                _ => "",
            };
            if !elsewhere.is_empty() {
                return wrong(at, elsewhere);
            }
            // A choice's options may be given beside its name, `optimizer.momentum` beside
            // `optimizer`.
            if let Some((other, _)) = seen.iter().find(|(_, o)| same_choice(o, k)) {
                let message = format!(
                    "`{k}` is under both `{other}` and `{section}`, but a setting is either fixed, compared or tuned; the values tried are those of `{other}.{k}`"
                );
                return wrong(at, message);
            }
            if *k == key::RATE && part.rate.is_some() {
                return wrong(
                    at,
                    format!("`{k}` is given beside `rate`, which derives it: keep one"),
                );
            }
            if (*k == key::EPOCHS || *k == key::STEPS) && part.budget.is_some() {
                return wrong(
                    at,
                    format!("`{k}` is given beside `budget`, which sets it: keep one"),
                );
            }
        }
        seen.extend(keys.iter().map(|k| (*section, *k)));
    }
    let fixed = set.iter().map(|(k, v)| ("set", k, std::slice::from_ref(v)));
    let listed = [("axes", &part.axes), ("search", &part.search)];
    let listed = listed.into_iter().flat_map(|(section, axes)| {
        axes.0
            .iter()
            .map(move |(k, axis)| (section, k, axis.values()))
    });
    for (section, k, values) in fixed.chain(listed) {
        if let Some(v) = values.iter().find(|v| !plain(v)) {
            return wrong(
                format!("{section}.{k}"),
                format!(
                    "{k} = {v}: settings must be finite numbers, strings, booleans, or lists of these"
                ),
            );
        }
    }
    if let Some(rate) = &part.rate {
        check_rate(rate)?;
        if rate.from.is_some() && !part.search.0.is_empty() {
            return wrong(
                "search",
                "this case takes its settings from another arm, so it cannot also tune some: drop `search` or `rate.from`",
            );
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

fn check_rate(rate: &Rate) -> Result<(), Wrong> {
    let one_source = match (&rate.from, rate.base_rate, rate.base_batch) {
        (Some(_), None, None) | (None, Some(_), Some(_)) => "",
        (Some(_), ..) => {
            "a rate comes `from` an arm or from `base_rate` and `base_batch`, not both"
        }
        _ => "a rate needs `from = \"arm\"`, or `base_rate` and `base_batch`",
    };
    require(one_source.is_empty(), "rate", one_source)?;
    if let Some(r) = rate.base_rate {
        let message = format!("base_rate = {r}: must be a finite number above 0");
        require(r.is_finite() && r > 0.0, "rate.base_rate", message)?;
    }
    let message = "base_batch = 0: must be at least one example";
    require(rate.base_batch != Some(0), "rate.base_batch", message)?;
    if let Some(warmup) = &rate.warmup {
        let start = warmup.get("start");
        let is_base = start.is_none_or(|s| s.as_str() == Some("base"));
        let fraction = |s: &Value| number(s).is_some_and(|x| (0.0..=1.0).contains(&x));
        if let Some(v) = start.filter(|s| !is_base && !fraction(s)) {
            let message =
                format!("start = {v}: must be \"base\", or a fraction of the peak from 0 to 1");
            return wrong("rate.warmup.start", message);
        }
        let message = "a warm-up from the base rate to the same rate has no effect: give `scaling`, or `start = 0`";
        let rises = rate.scaling != Scaling::None || !is_base;
        require(rises, "rate.warmup", message)?;
    }
    Ok(())
}

fn check_budget(budget: &Budget) -> Result<(), Wrong> {
    let given = usize::from(budget.epochs.is_some())
        + usize::from(budget.steps.is_some())
        + usize::from(budget.examples.is_some());
    let message = "a budget must have one of `epochs`, `steps` and `examples`";
    require(given == 1, "budget", message)?;
    if let Some(e) = budget.epochs {
        let message = format!("epochs = {e}: must be a finite number above 0");
        require(e.is_finite() && e > 0.0, "budget.epochs", message)?;
    }
    let none = budget.steps == Some(0) || budget.examples == Some(0);
    require(!none, "budget", "a budget of 0 trains nothing")?;
    let message = "at_batch = 0: must be at least one example";
    require(budget.at_batch != Some(0), "budget.at_batch", message)?;
    require(
        budget.at_batch.is_none() || budget.epochs.is_some(),
        "budget.at_batch",
        "`at_batch` converts `epochs` to equal steps; `steps` are already equal",
    )
}

fn check_stop(stop: &StopRules) -> Result<(), Wrong> {
    let inside = |x: f64| x > 0.0 && x < 1.0;
    if let Some(t) = stop.target {
        let message = format!("target = {t}: must be a finite number");
        require(t.is_finite(), "stop.target", message)?;
    }
    if let Some(Prune { after, loss_above }) = stop.prune {
        let message =
            format!("after = {after}: must be a fraction of the budget, above 0 and below 1");
        require(inside(after), "stop.prune.after", message)?;
        let finite = loss_above.is_none_or(f64::is_finite);
        let message = "loss_above must be a finite number";
        require(finite, "stop.prune.loss_above", message)?;
    }
    if let Some(Plateau {
        epochs,
        improvement,
    }) = stop.plateau
    {
        let message = format!("epochs = {epochs}: must be above 0");
        let positive = epochs.is_finite() && epochs > 0.0;
        require(positive, "stop.plateau.epochs", message)?;
        let message =
            format!("improvement = {improvement}: must be a fraction, above 0 and below 1");
        require(inside(improvement), "stop.plateau.improvement", message)?;
    }
    Ok(())
}
