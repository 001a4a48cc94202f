use std::collections::{HashMap, HashSet};
use std::path::Path;

use crate::choice::Choice;
use crate::error::StudyError;
use crate::file::Study;
use crate::journal::{read_folder, replace, sync_folder};
use crate::plan::Plan;
use crate::record::TrialRecord;
use crate::trial::{RunId, Stage};

/// The name of a study's resolved file in its folder.
const STUDY_FILE: &str = "study.toml";

/// Begins a study in a folder, or goes on with it: writes the resolved study, or compares with the one there.
pub(crate) fn begin(folder: &Path, study: &Study) -> Result<(), StudyError> {
    std::fs::create_dir_all(folder).map_err(StudyError::io("creating", folder))?;
    let (path, here) = (folder.join(STUDY_FILE), study.resolved());
    match std::fs::read_to_string(&path) {
        Ok(there) if there == here => Ok(()),
        Ok(there) => Err(StudyError::Changed { folder: folder.into(), diff: diff(&there, &here) }),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => {
            // Shards may begin at the same moment; each writes the same bytes under a name of its own, and the last rename wins.
            replace(&path, &folder.join(format!("{STUDY_FILE}.{}", std::process::id())), here.as_bytes())?;
            sync_folder(folder)
        }
        Err(e) => Err(StudyError::io("reading", &path)(e)),
    }
}

/// The lines that differ, by the longest common subsequence, with `- ` and `+ `.
fn diff(old: &str, new: &str) -> String {
    let (a, b): (Vec<&str>, Vec<&str>) = (old.lines().collect(), new.lines().collect());
    let mut common = vec![vec![0u32; b.len() + 1]; a.len() + 1];
    for i in (0..a.len()).rev() {
        for j in (0..b.len()).rev() {
            common[i][j] = if a[i] == b[j] { common[i + 1][j + 1] + 1 } else { common[i + 1][j].max(common[i][j + 1]) };
        }
    }
    let (mut i, mut j, mut out) = (0, 0, Vec::new());
    while i < a.len() || j < b.len() {
        if i < a.len() && j < b.len() && a[i] == b[j] {
            (i, j) = (i + 1, j + 1);
        } else if j == b.len() || (i < a.len() && common[i + 1][j] >= common[i][j + 1]) {
            out.push(format!("- {}", a[i]));
            i += 1;
        } else {
            out.push(format!("+ {}", b[j]));
            j += 1;
        }
    }
    out.join("\n")
}

/// A study's folder as read: its plan, its finished trials of all shards, and what tuning chose.
#[derive(Debug)]
pub struct Results {
    /// The study, expanded.
    pub plan: Plan,
    /// What each group's tuning chose; see [`Plan::choices`].
    pub choices: Vec<Option<Choice>>,
    /// Records by trial.
    pub records: HashMap<RunId, TrialRecord>,
    /// Trials that were run twice with different results: the machines do not compute the same bits.
    pub conflicts: Vec<RunId>,
}

/// A planned trial and its record. Groups with the same configuration share the record.
#[derive(Clone, Debug)]
pub struct Row<'a> {
    /// Index of the group in the plan.
    pub group: usize,
    /// The stage.
    pub stage: Stage,
    /// Index of the point in the group's search, in stage tune.
    pub point: Option<usize>,
    /// The seed.
    pub seed: u64,
    /// The trial's identity.
    pub id: RunId,
    /// Its record, if it has ended.
    pub record: Option<&'a TrialRecord>,
}

impl Results {
    /// Opens a study's folder, finished or not, also while it is being written.
    ///
    /// # Errors
    /// [`StudyError::NoStudy`], [`StudyError::Journal`], [`StudyError::Io`].
    pub fn open(folder: &Path) -> Result<Results, StudyError> {
        let path = folder.join(STUDY_FILE);
        let text = match std::fs::read_to_string(&path) {
            Ok(text) => text,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Err(StudyError::NoStudy(folder.into())),
            Err(e) => return Err(StudyError::io("reading", &path)(e)),
        };
        // The settings were checked when the study began.
        let plan = Plan::new(Study::parse(&text, &path.display().to_string(), &[])?, &|_| Ok(()))?;
        let records = read_folder(folder)?;
        let choices = plan.choices(&records.by_id);
        Ok(Results { plan, choices, records: records.by_id, conflicts: records.conflicts })
    }

    /// Every planned trial in the plan's order, first stage tune, then stage confirm as far as it is decided.
    pub fn rows(&self) -> Vec<Row<'_>> {
        let mut rows = Vec::new();
        let tune_seeds = self.plan.study.tune_seeds();
        for group in 0..self.plan.groups.len() {
            rows.extend(self.plan.tune_ids(group).into_iter().enumerate().map(|(i, id)| Row {
                group,
                stage: Stage::Tune,
                point: Some(i / tune_seeds.len()),
                seed: tune_seeds[i % tune_seeds.len()],
                record: self.records.get(&id),
                id,
            }));
        }
        let seeds = self.plan.confirm_seeds();
        for group in 0..self.plan.groups.len() {
            rows.extend(self.plan.confirm_ids(group, &self.choices).into_iter().zip(&seeds).map(|(id, &seed)| Row {
                group,
                stage: Stage::Confirm,
                point: None,
                seed,
                record: self.records.get(&id),
                id,
            }));
        }
        rows
    }

    /// The reported records of a group: stage confirm, or the chosen point's tuning trials in a study without that stage.
    pub fn reported(&self, group: usize) -> Vec<&TrialRecord> {
        let ids = if self.plan.study.confirm.is_some() {
            self.plan.confirm_ids(group, &self.choices)
        } else {
            let Some(choice) = &self.choices[group] else { return Vec::new() };
            let seeds = self.plan.study.tune_seeds().len();
            self.plan.tune_ids(group).into_iter().skip(choice.point * seeds).take(seeds).collect()
        };
        ids.iter().filter_map(|id| self.records.get(id)).collect()
    }

    /// Records in the folder that belong to no trial of this study.
    pub fn strangers(&self) -> usize {
        let planned: HashSet<RunId> = self.rows().into_iter().map(|r| r.id).collect();
        self.records.keys().filter(|id| !planned.contains(id)).count()
    }
}
