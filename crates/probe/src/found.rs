//! What a probe found on the runs of a study.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use largebatch_plot::{Table, significant};
use largebatch_report::{Outline, estimated};
use largebatch_train::TrainError;
use serde::de::DeserializeOwned;

use crate::{AtStep, ProbeError, Record};

/// The records of a probe on the runs that a study kept, by group.
pub struct Found<'a, R> {
    /// The study.
    pub study: &'a Outline,
    groups: Vec<Vec<FoundRun<R>>>,
}

/// The records of a probe on one run.
#[derive(Clone, PartialEq, Debug)]
pub struct FoundRun<R> {
    /// The run's seed.
    pub seed: u64,
    /// Of the trained network: the file `probe/NAME.json`.
    pub end: Option<R>,
    /// During the training: the lines of `probe/NAME.jsonl`.
    pub during: Vec<AtStep<R>>,
}

impl<R> FoundRun<R> {
    /// The record of the trained network, or else the last one of the training.
    pub fn last(&self) -> Option<&R> {
        let during = self.during.last().map(|at| &at.record);
        self.end.as_ref().or(during)
    }
}

impl<'a, R: DeserializeOwned> Found<'a, R> {
    /// Reads them from the folders of the runs, which `folder` finds by the identities of the trials.
    pub(crate) fn read(
        folder: &dyn Fn(&str) -> Option<PathBuf>,
        study: &'a Outline,
        name: &str,
    ) -> Result<Self, ProbeError> {
        let run = |(seed, id): &(u64, String)| -> Result<Option<FoundRun<R>>, ProbeError> {
            let Some(probe) = folder(id).map(|path| path.join("probe")) else {
                return Ok(None);
            };
            let record = read(&probe.join(format!("{name}.json")), |text| {
                serde_json::from_str(text)
            })?;
            let during = read(&probe.join(format!("{name}.jsonl")), |text| {
                // A line without an end is torn, or is being written.
                let (whole, _) = text.rsplit_once('\n').unwrap_or_default();
                whole.lines().map(serde_json::from_str).collect()
            })?;
            Ok(Some(FoundRun {
                seed: *seed,
                end: record,
                during: during.unwrap_or_default(),
            })
            .filter(|run| run.last().is_some()))
        };
        let groups = study.groups.iter();
        let groups = groups.map(|group| group.trials.iter().filter_map(|t| run(t).transpose()));
        Ok(Found {
            study,
            groups: groups.map(Iterator::collect).collect::<Result<_, _>>()?,
        })
    }
}

/// What a file holds; `None` if there is no file.
fn read<T>(
    path: &Path,
    parse: impl FnOnce(&str) -> Result<T, serde_json::Error>,
) -> Result<Option<T>, ProbeError> {
    if !path.exists() {
        return Ok(None);
    }
    let text = std::fs::read_to_string(path).map_err(TrainError::io(path, "read"))?;
    let wrong = |e: serde_json::Error| {
        ProbeError::value("record", path.display(), format!("it cannot be read: {e}"))
    };
    parse(&text).map(Some).map_err(wrong)
}

impl<R> Found<'_, R> {
    /// The indices of the groups with records.
    pub fn groups(&self) -> Vec<usize> {
        let all = 0..self.groups.len();
        all.filter(|g| !self.groups[*g].is_empty()).collect()
    }

    /// The runs of a group with records.
    pub fn runs(&self, group: usize) -> &[FoundRun<R>] {
        &self.groups[group]
    }

    /// A finite quantity of each run of a group, by seed.
    pub fn values(
        &self,
        group: usize,
        of: impl Fn(&FoundRun<R>) -> Option<f64>,
    ) -> Vec<(u64, f64)> {
        let runs = self.groups[group].iter();
        runs.filter_map(|run| Some((run.seed, of(run).filter(|x| x.is_finite())?)))
            .collect()
    }

    /// Mean and 95 % interval of a quantity over the runs of a group, as text.
    pub fn mean(&self, group: usize, of: impl Fn(&FoundRun<R>) -> Option<f64>) -> String {
        let values = self.values(group, of).into_iter();
        estimated(&values.map(|v| v.1).collect::<Vec<_>>())
    }

    /// The median of a quantity over the runs of a group.
    pub fn median(&self, group: usize, of: impl Fn(&FoundRun<R>) -> Option<f64>) -> Option<f64> {
        let values = self.values(group, of).into_iter();
        median(values.map(|v| v.1).collect())
    }

    /// A quantity over training: each step, with the median over the runs of a group.
    pub fn during(&self, group: usize, of: impl Fn(&R) -> Option<f64>) -> Vec<(f64, f64)> {
        let mut steps = BTreeMap::<u64, Vec<f64>>::new();
        for at in self.groups[group].iter().flat_map(|run| &run.during) {
            if let Some(value) = of(&at.record).filter(|x| x.is_finite()) {
                steps.entry(at.step).or_default().push(value);
            }
        }
        let steps = steps.into_iter();
        steps
            .filter_map(|(step, values)| Some((step as f64, median(values)?)))
            .collect()
    }

    /// Which step [`FoundRun::last`] shows, if it was measured before the end: ` (step 50)`.
    pub fn last_step(&self, group: usize) -> String {
        let runs = self.groups[group].iter().filter(|run| run.end.is_none());
        let mut steps: Vec<u64> = runs
            .filter_map(|run| Some(run.during.last()?.step))
            .collect();
        steps.sort_unstable();
        match (steps.first(), steps.last()) {
            (Some(a), Some(b)) if a == b => format!(" (step {a})"),
            (Some(a), Some(b)) => format!(" (steps {a} to {b})"),
            _ => String::new(),
        }
    }

    /// The groups of the study that are not among these, as a sentence.
    pub fn without(&self, groups: &[usize]) -> String {
        let all = self.study.groups.iter().enumerate();
        let missing = all.filter(|(g, _)| !groups.contains(g));
        let missing: Vec<&str> = missing.map(|(_, group)| group.label.as_str()).collect();
        if missing.is_empty() {
            return String::new();
        }
        format!(" No measurement of: {}.", missing.join("; "))
    }

    /// The first record.
    pub fn first(&self) -> Option<&R> {
        let mut runs = self.groups.iter().flatten();
        let run = runs.next()?;
        run.end.as_ref().or(run.during.first().map(|at| &at.record))
    }
}

impl<T> Found<'_, Record<T>> {
    /// How many runs there are, and how they were measured.
    pub fn small_print(&self) -> String {
        let on = self.first().map_or(String::new(), |record| {
            let Record {
                examples,
                part,
                precision,
                ..
            } = record;
            format!("; on {examples} examples of the {part} part, in {precision}")
        });
        format!("{}{on}", self.study.small_print)
    }
}

/// The median; `None` of no values.
pub(crate) fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    let n = values.len();
    Some((values.get(n.checked_sub(1)? / 2)? + values[n / 2]) / 2.0)
}

/// A table; each cell comes with the head of its column.
pub(crate) fn table<const N: usize>(
    rows: impl IntoIterator<Item = [(&'static str, String); N]>,
    note: &str,
) -> Table {
    let mut heads = Vec::new();
    let rows = rows.into_iter().map(|row| {
        heads = row.iter().map(|(head, _)| (*head).to_owned()).collect();
        row.into_iter().map(|(_, cell)| cell).collect()
    });
    Table {
        rows: rows.collect(),
        heads,
        note: note.into(),
    }
}

/// A number for a table; a dash for none.
pub(crate) fn or_dash(value: Option<f64>) -> String {
    value.map_or("–".into(), |x| significant(x, 3))
}
