//! Which data trials ran on. A runner lists them in its provenance under [`SOURCES`]; trials on
//! different data must not be compared.

use std::fmt::Write as _;
use std::path::Path;

use toml::{Table, Value};

use crate::error::StudyError;
use crate::group::Group;
use crate::meaning::{Older, is_older};
use crate::record::TrialRecord;
use crate::trial::{describe, key};

/// The key of a record's provenance under which a runner lists the files that it read: `[{ "file": …, "sha256": … }, …]`.
pub const SOURCES: &str = "sources";

/// A file that trials read.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DataFile {
    /// Its name, for messages.
    pub file: String,
    /// The SHA-256 of its content.
    pub sha256: String,
}

/// The files that a trial of this configuration would read now; `None` if that is not known.
pub type Reads<'a> = &'a dyn Fn(&Table) -> Option<Vec<DataFile>>;

/// Trials of one data set that ran on the same files.
#[derive(Clone, Debug)]
struct Made {
    dataset: Value,
    files: Vec<DataFile>,
    trials: usize,
    /// The first few of them, for messages.
    some: Vec<String>,
}

impl Made {
    fn names(&self) -> String {
        let more = self.trials - self.some.len();
        let more = if more > 0 {
            format!("; and {more} more")
        } else {
            String::new()
        };
        format!(
            "{} {}: {}{more}",
            self.trials,
            if self.trials == 1 { "trial" } else { "trials" },
            self.some.join("; ")
        )
    }
}

/// How many trials an error names.
const NAMED: usize = 3;

/// The data that the records of a folder come from. Records that do not list them (from early
/// versions, or of failed trials) are not included.
#[derive(Clone, Default, Debug)]
pub(crate) struct Data {
    made: Vec<Made>,
    /// Trials of an old version whose settings have another meaning now.
    pub older: Older,
}

impl Data {
    /// Adds a record.
    pub(crate) fn note(&mut self, record: &TrialRecord) {
        let (Some(files), Some(dataset)) =
            (files(record), record.config.get(key::DATASET).map(data_set))
        else {
            return;
        };
        let found = self
            .made
            .iter()
            .position(|made| same(&made.files, &files) && made.dataset == dataset);
        let at = found.unwrap_or_else(|| {
            self.made.push(Made {
                dataset,
                files,
                trials: 0,
                some: Vec::new(),
            });
            self.made.len() - 1
        });
        self.made[at].trials += 1;
        if self.made[at].some.len() < NAMED {
            self.made[at].some.push(name(record));
        }
    }

    /// Refuses trials of one data set that ran on different files, or whose settings have another
    /// meaning now.
    pub(crate) fn unmixed(&self, groups: &[Group], folder: &Path) -> Result<(), StudyError> {
        self.older.unmixed(folder)?;
        for dataset in data_sets(groups).into_iter().map(|(dataset, _)| dataset) {
            let made: Vec<&Made> = self
                .made
                .iter()
                .filter(|made| made.dataset == dataset)
                .collect();
            let [first, others @ ..] = made.as_slice() else {
                continue;
            };
            if others.is_empty() {
                continue;
            }
            let mut kinds = String::new();
            for made in std::iter::once(first).chain(others) {
                let differing = made.files.iter().enumerate().filter(|(i, file)| {
                    let of = |other: &&Made| other.files.get(*i).map(|f| f.sha256.clone());
                    of(first) != Some(file.sha256.clone())
                        || others.iter().any(|other| of(other) != of(first))
                });
                let files: Vec<String> = differing
                    .map(|(_, file)| format!("{} with SHA-256 {}", file.file, file.sha256))
                    .collect();
                let _ = write!(kinds, "\n  {} ({})", files.join(", "), made.names());
            }
            return Err(StudyError::MixedData {
                folder: folder.into(),
                kinds,
            });
        }
        Ok(())
    }
}

/// The data that the trials of a study read now.
#[derive(Clone, Default, Debug)]
pub(crate) struct Now(Vec<(Value, Vec<DataFile>)>);

impl Now {
    pub(crate) fn of(groups: &[Group], reads: Reads<'_>) -> Self {
        Now(data_sets(groups)
            .into_iter()
            .filter_map(|(dataset, config)| Some((dataset, reads(config)?)))
            .collect())
    }

    fn files(&self, config: &Table) -> Option<&[DataFile]> {
        let dataset = data_set(config.get(key::DATASET)?);
        self.0
            .iter()
            .find(|(other, _)| *other == dataset)
            .map(|(_, files)| files.as_slice())
    }

    /// Whether the data of a record have changed, or an old version used them in another way.
    pub(crate) fn is_stale(&self, record: &TrialRecord) -> bool {
        is_older(record)
            || self
                .files(&record.config)
                .zip(files(record))
                .is_some_and(|(now, then)| !same(now, &then))
    }

    /// Whether a record says nothing about its data and is no measurement: a failure, which the
    /// data may have caused.
    pub(crate) fn is_doubtful(&self, record: &TrialRecord) -> bool {
        record.stop.is_failed() && files(record).is_none() && self.files(&record.config).is_some()
    }

    /// Refuses records whose data have changed, records on different data if the present data are
    /// unknown, and records that must not be compared with the remaining trials.
    pub(crate) fn check_all(
        &self,
        data: &Data,
        groups: &[Group],
        folder: &Path,
    ) -> Result<(), StudyError> {
        data.older.complete(folder)?;
        let mut differs = String::new();
        for made in &data.made {
            let Some((_, now)) = self
                .0
                .iter()
                .find(|(dataset, now)| *dataset == made.dataset && !same(now, &made.files))
            else {
                continue;
            };
            let _ = write!(
                differs,
                "\n  {} ({})",
                changes(&made.files, now),
                made.names()
            );
        }
        if differs.is_empty() {
            data.unmixed(groups, folder)
        } else {
            Err(StudyError::OtherData {
                folder: folder.into(),
                differs,
            })
        }
    }

    /// If the record lacks its data because the worker died, adds them. Returns the differences if
    /// the data have changed.
    pub(crate) fn note(&self, record: &mut TrialRecord) -> Option<String> {
        let now = self.files(&record.config)?;
        match files(record) {
            None => {
                let list: Vec<_> = now
                    .iter()
                    .map(|f| serde_json::json!({ "file": f.file, "sha256": f.sha256 }))
                    .collect();
                record.provenance.other.insert(SOURCES.into(), list.into());
                None
            }
            Some(then) => (!same(&then, now)).then(|| changes(now, &then)),
        }
    }
}

/// The data sets of a study, each with the configuration of a group that uses it.
fn data_sets(groups: &[Group]) -> Vec<(Value, &Table)> {
    let mut all: Vec<(Value, &Table)> = Vec::new();
    for group in groups {
        if let Some(dataset) = group.config.get(key::DATASET).map(data_set)
            && all.iter().all(|(other, _)| *other != dataset)
        {
            all.push((dataset, &group.config));
        }
    }
    all
}

/// The part of a data set's setting that decides which files are read: its name, or the paths.
fn data_set(setting: &Value) -> Value {
    let Value::Table(table) = setting else {
        return setting.clone();
    };
    let files: Table = table
        .iter()
        .filter(|(k, _)| key::DATA_FILES.contains(&k.as_str()))
        .map(|(k, v)| (k.clone(), v.clone()))
        .collect();
    if files.is_empty() {
        setting.clone()
    } else {
        Value::Table(files)
    }
}

/// The files that a record ran on, if it lists them.
fn files(record: &TrialRecord) -> Option<Vec<DataFile>> {
    let list = record.provenance.other.get(SOURCES)?.as_array()?;
    let file = |entry: &serde_json::Value| {
        Some(DataFile {
            file: entry["file"].as_str().unwrap_or("a file").to_owned(),
            sha256: entry["sha256"].as_str()?.to_owned(),
        })
    };
    list.iter()
        .map(file)
        .collect::<Option<Vec<_>>>()
        .filter(|files| !files.is_empty())
}

/// A trial's name for messages.
fn name(record: &TrialRecord) -> String {
    format!("{} seed {}", describe(&record.labels), record.seed)
        .trim_start()
        .to_owned()
}

/// Compares by content, not by name: another machine may store the same content elsewhere.
fn same(a: &[DataFile], b: &[DataFile]) -> bool {
    a.iter().map(|f| &f.sha256).eq(b.iter().map(|f| &f.sha256))
}

fn changes(then: &[DataFile], now: &[DataFile]) -> String {
    let hash = |file: Option<&DataFile>| file.map_or("none".to_owned(), |f| f.sha256.clone());
    let pairs = (0..then.len().max(now.len())).map(|i| (then.get(i), now.get(i)));
    let changed = pairs.filter(|(a, b)| a.map(|f| &f.sha256) != b.map(|f| &f.sha256));
    let text = changed.map(|(then, now)| {
        format!(
            "{}: SHA-256 was {} and is {}",
            now.or(then).map_or("", |f| &f.file),
            hash(then),
            hash(now)
        )
    });
    text.collect::<Vec<_>>().join(", ")
}

/// The error for a trial that ran on other data than the study began with.
pub(crate) fn changed(record: &TrialRecord, differs: String) -> StudyError {
    StudyError::DataChanged {
        trial: name(record),
        differs,
    }
}
