use toml::{Table, Value};

use crate::axis::Axes;
use crate::check::holds;
use crate::error::StudyError;
use crate::expand::expand;
use crate::file::{Overlay, Rate, Study};
use crate::rules::StopRules;
use crate::trial::{Labels, RunId, Stage, Template, Trial, describe, key};
use crate::tuned::Tuned;
use largebatch_component::settings::{get, insert, is_below, number};

/// Validates a training run's configuration: the trainer's part in planning.
pub type Check<'a> = &'a dyn Fn(&Table) -> Result<(), Problem>;

/// Why a configuration is refused.
#[derive(Clone, PartialEq, Debug)]
pub struct Problem {
    /// The dotted key at fault, if one is.
    pub key: Option<String>,
    /// What is wrong, and what would be right.
    pub message: String,
}

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

/// A study's groups, and their trials as far as the results so far determine them.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The study.
    pub study: Study,
    /// Its groups, in the order of the file's arms and axes.
    pub groups: Vec<Group>,
}

impl Plan {
    /// Expands a study into groups. `check` validates one configuration of each group and each point of its search.
    ///
    /// # Errors
    /// [`StudyError::Invalid`] with the line of the setting at fault; also if the study has more
    /// than [`Plan::MAX_TRIALS`] trials, or if rules contradict settings: a target or a search with
    /// nothing held out, an accuracy above 1, a plateau that is not shorter than the budget.
    pub fn new(study: Study, check: Check) -> Result<Plan, StudyError> {
        let plan = Plan::expand(study)?;
        plan.contradictions()?;
        plan.validate(check)?;
        Ok(plan)
    }

    /// The most trials of a study.
    pub const MAX_TRIALS: usize = 1_000_000;

    /// The plan of a study that was checked when it began.
    pub(crate) fn expand(study: Study) -> Result<Plan, StudyError> {
        Ok(Plan {
            groups: expand(&study)?,
            study,
        })
    }

    fn validate(&self, check: Check) -> Result<(), StudyError> {
        let nothing = Table::new();
        for group in &self.groups {
            // A derived rate is not known yet; the other settings are checked with the other
            // group's first point.
            let points = match &group.derived {
                Some(d) => &self.groups[d.from].points[..self.groups[d.from].points.len().min(1)],
                None => &group.points,
            };
            for point in if points.is_empty() {
                std::slice::from_ref(&nothing)
            } else {
                points
            } {
                let config = self.configure(group, point);
                check(&config).map_err(|p| {
                    let place = p
                        .key
                        .as_deref()
                        .map_or(String::new(), |k| self.place(group, k));
                    self.study
                        .places
                        .error(&place, format!("{}{}", p.message, in_group(&group.labels)))
                })?;
            }
        }
        Ok(())
    }

    /// The place in the file that sets a key of a group's configuration, or an enclosing key.
    pub(crate) fn place(&self, group: &Group, key: &str) -> String {
        let has = |axes: &Axes| axes.0.iter().any(|(k, _)| k == key || is_below(key, k));
        for (path, part) in self
            .study
            .parts()
            .iter()
            .rev()
            .filter(|(_, p)| applies(p, group))
        {
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
        self.study
            .parts()
            .into_iter()
            .rev()
            .find(|(_, p)| applies(p, group) && has(p))
            .map(|(path, _)| path)
    }

    /// The configuration of a group at a point of a search, its own or that of the group it derives from.
    pub(crate) fn configure(&self, group: &Group, point: &Table) -> Table {
        let mut config = group.config.clone();
        for (k, v) in point {
            insert(&mut config, k, v.clone());
        }
        if let Some(Derived { from, factor, rate }) = &group.derived {
            let base = point
                .get(key::RATE)
                .or_else(|| self.groups[*from].config.get(key::RATE))
                .and_then(number);
            if let Some(base) = base {
                set_rate(&mut config, rate, base, *factor);
            }
        }
        config
    }

    /// The tuning trials of a group, point by point, each with every tuning seed.
    pub fn tune_trials(&self, group: usize) -> Vec<Trial> {
        let seeds = self.study.tune_seeds();
        self.tune_templates(group)
            .flat_map(|t| seeds.iter().map(|&s| t.trial(s)).collect::<Vec<_>>())
            .collect()
    }

    /// The identities of [`Plan::tune_trials`].
    pub fn tune_ids(&self, group: usize) -> Vec<RunId> {
        let seeds = self.study.tune_seeds();
        self.tune_templates(group)
            .flat_map(|t| seeds.iter().map(|&s| t.id(s)).collect::<Vec<_>>())
            .collect()
    }

    fn tune_templates(&self, group: usize) -> impl Iterator<Item = Template> + '_ {
        let group = &self.groups[group];
        group
            .points
            .iter()
            .map(|point| self.template(Stage::Tune, group, point))
    }

    fn template(&self, stage: Stage, group: &Group, point: &Table) -> Template {
        Template::new(
            stage,
            group.labels.clone(),
            self.study.threads,
            group.stop,
            self.configure(group, point),
        )
    }

    /// The group whose tuning decides the settings of this one: itself, the group it derives from,
    /// or none.
    pub fn tuned_by(&self, group: usize) -> Option<usize> {
        let decider = self.groups[group]
            .derived
            .as_ref()
            .map_or(group, |d| d.from);
        (!self.groups[decider].points.is_empty()).then_some(decider)
    }

    /// The seeds of stage confirm; none if the study has no such stage.
    pub fn confirm_seeds(&self) -> Vec<u64> {
        self.study
            .confirm
            .as_ref()
            .map_or(Vec::new(), |c| c.seeds.all(0))
    }

    /// The confirming trials of a group, seed by seed; none until its settings are chosen.
    pub fn confirm_trials(&self, group: usize, choices: &[Option<Tuned>]) -> Vec<Trial> {
        self.confirm_template(group, choices)
            .map_or(Vec::new(), |t| {
                self.confirm_seeds()
                    .into_iter()
                    .map(|s| t.trial(s))
                    .collect()
            })
    }

    /// The identities of [`Plan::confirm_trials`].
    pub fn confirm_ids(&self, group: usize, choices: &[Option<Tuned>]) -> Vec<RunId> {
        self.confirm_template(group, choices)
            .map_or(Vec::new(), |t| {
                self.confirm_seeds().into_iter().map(|s| t.id(s)).collect()
            })
    }

    fn confirm_template(&self, group: usize, choices: &[Option<Tuned>]) -> Option<Template> {
        let nothing = Table::new();
        let point = match self.tuned_by(group) {
            None => &nothing,
            Some(decider) => &self.groups[decider].points[choices[decider].as_ref()?.point],
        };
        Some(self.template(Stage::Confirm, &self.groups[group], point))
    }

    /// The computing time of the whole study in seconds, from an estimate per configuration; `None`
    /// if an estimate is missing. Divide it by the number of jobs. A group whose settings are not
    /// chosen yet counts with the first point of its search.
    pub fn seconds(&self, estimate: &dyn Fn(&Table) -> Option<f64>) -> Option<f64> {
        let (tune, confirm) = (
            self.study.tune_seeds().len() as f64,
            self.confirm_seeds().len() as f64,
        );
        let nothing = Table::new();
        let mut sum = 0.0;
        for group in &self.groups {
            for point in &group.points {
                sum += tune * estimate(&self.configure(group, point))?;
            }
            let decider = group
                .derived
                .as_ref()
                .map_or(group, |d| &self.groups[d.from]);
            sum += confirm
                * estimate(&self.configure(group, decider.points.first().unwrap_or(&nothing)))?;
        }
        Some(sum)
    }

    /// Number of tuning trials.
    pub fn tune_count(&self) -> usize {
        self.groups.iter().map(|g| g.points.len()).sum::<usize>() * self.study.tune_seeds().len()
    }

    /// Number of confirming trials.
    pub fn confirm_count(&self) -> usize {
        self.confirm_seeds().len() * self.groups.len()
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
