//! The plan of a study: its groups and their trials.

use toml::Table;

use crate::contradictions::contradictions;
use crate::error::StudyError;
use crate::expand::{MAX_TRIALS, expand};
use crate::file::Study;
use crate::group::{Derived, Group, in_group, set_rate};
use crate::trial::{RunId, Stage, Template, Trial, key};
use largebatch_component::settings::{insert, number};

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

/// A study's groups, and their trials as far as the results so far determine them.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The study.
    pub study: Study,
    /// Its groups, in the order of the file's arms and axes.
    pub groups: Vec<Group>,
}

/// The point that a group's tuning chose, using only the validation part.
#[derive(Clone, PartialEq, Debug)]
pub struct Tuned {
    /// Its index among the group's points.
    pub point: usize,
    /// Its score: the mean final validation metric, or the median steps to the target.
    pub score: f64,
    /// The number of seeds that the score is based on.
    pub seeds: usize,
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
        contradictions(&plan.study, &plan.groups)?;
        plan.validate(check)?;
        Ok(plan)
    }

    /// The most trials of a study.
    pub const MAX_TRIALS: usize = MAX_TRIALS;

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
                        .map_or(String::new(), |k| self.study.place(group, k));
                    self.study
                        .error(&place, format!("{}{}", p.message, in_group(&group.labels)))
                })?;
            }
        }
        Ok(())
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
        self.tuning(group, Template::trial)
    }

    /// The identities of [`Plan::tune_trials`].
    pub fn tune_ids(&self, group: usize) -> Vec<RunId> {
        self.tuning(group, Template::id)
    }

    fn tuning<T>(&self, group: usize, of: fn(&Template, u64) -> T) -> Vec<T> {
        let (group, seeds) = (&self.groups[group], self.study.tune_seeds());
        let points = group.points.iter();
        points
            .map(|point| self.template(Stage::Tune, group, point))
            .flat_map(|t| seeds.iter().map(move |&seed| of(&t, seed)))
            .collect()
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
        self.confirming(group, choices, Template::trial)
    }

    /// The identities of [`Plan::confirm_trials`].
    pub fn confirm_ids(&self, group: usize, choices: &[Option<Tuned>]) -> Vec<RunId> {
        self.confirming(group, choices, Template::id)
    }

    fn confirming<T>(
        &self,
        group: usize,
        choices: &[Option<Tuned>],
        of: fn(&Template, u64) -> T,
    ) -> Vec<T> {
        let Some(point) = self.chosen(group, choices) else {
            return Vec::new();
        };
        let template = self.template(Stage::Confirm, &self.groups[group], &point);
        let seeds = self.confirm_seeds().into_iter();
        seeds.map(|seed| of(&template, seed)).collect()
    }

    /// The tuned settings of a group, which may be none; absent until they are chosen.
    pub(crate) fn chosen(&self, group: usize, choices: &[Option<Tuned>]) -> Option<Table> {
        Some(match self.tuned_by(group) {
            None => Table::new(),
            Some(decider) => self.groups[decider].points[choices[decider].as_ref()?.point].clone(),
        })
    }

    /// The computing time of the whole study in seconds, from an estimate per configuration; `None`
    /// if an estimate is missing. Divide it by the number of jobs. A group whose settings are not
    /// chosen yet counts with the first point of its search.
    pub fn seconds(&self, estimate: &dyn Fn(&Table) -> Option<f64>) -> Option<f64> {
        let (tune, confirm) = (
            self.study.tune_seed_count() as f64,
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
        self.groups.iter().map(|g| g.points.len()).sum::<usize>() * self.study.tune_seed_count()
    }

    /// Number of confirming trials.
    pub fn confirm_count(&self) -> usize {
        self.confirm_seeds().len() * self.groups.len()
    }
}
