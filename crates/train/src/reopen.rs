//! Opens a run's data again. This is the only place that checks that they have not changed since
//! the run was trained.

use std::path::{Path, PathBuf};

use crate::Lab;
use largebatch_data::{DataSpec, Dataset, Search, Source, hold_out};
use toml::Value;

use crate::{Choice, Experiment, RunConfig, RunFile, RunFolder, TrainError, model_data, open};

/// What to do if a run's data have changed since it was trained.
#[derive(Clone, Copy, Default)]
pub enum OtherData<'a> {
    /// Refuse them with [`TrainError::OtherData`].
    #[default]
    Refuse,
    /// Use the data as they are now, after a warning to this function. They are scaled as for the
    /// training of the run's weights. Data whose columns or classes have other names are still
    /// refused.
    Accept(&'a dyn Fn(&str)),
}

impl RunFile {
    /// Opens the run in the folder `place`, or one with other settings in `config`, on the data
    /// that the run was trained on. Relative paths of its data set start from the same folder as
    /// when the run was made, or, if nothing is there, from the current folder.
    ///
    /// # Errors
    /// Those of [`Experiment::open`], and [`TrainError::OtherData`] if the data have changed,
    /// unless `config` names another data set.
    pub fn reopen(
        &self,
        place: &Path,
        config: RunConfig,
        lab: &Lab,
        mut search: Search,
        other: OtherData<'_>,
    ) -> Result<Experiment, TrainError> {
        search.data_dir = search.data_dir.or(self.provenance.data_dir.clone());
        if config.dataset != self.config.dataset {
            return Experiment::open(config, lab, &search);
        }
        let dataset = open(
            lab,
            &self.located(place, &config.dataset, &search)?,
            &search,
        )?;
        let mut weights = None;
        if let Some(differs) = self.differs(&dataset) {
            match other {
                OtherData::Refuse => {
                    return Err(TrainError::OtherData {
                        path: place.to_owned(),
                        differs,
                    });
                }
                OtherData::Accept(warn) => warn(&format!(
                    "{}: the data have changed since this run was trained: {differs}",
                    place.display()
                )),
            }
            // A run without weights has taken nothing from its data yet.
            weights = RunFolder::at(place).weights().ok();
        }
        let held = config
            .data
            .validation
            .unwrap_or_else(|| dataset.default_validation());
        let holdout = hold_out(dataset.train.labels(), held, config.split_seed)?;
        let mut experiment = Experiment::with(config, dataset, holdout, lab)?;
        if let Some(data) = weights
            .map(|bytes| model_data(&bytes, place))
            .transpose()?
            .flatten()
        {
            experiment.adopt(&data, place)?;
        }
        Ok(experiment)
    }

    /// The data set with its file paths as they lead to the files from the current folder.
    fn located(
        &self,
        place: &Path,
        dataset: &Choice,
        search: &Search,
    ) -> Result<Choice, TrainError> {
        let mut located = dataset.clone();
        for key in DataSpec::FILES {
            let Some(Value::String(text)) = located.options.get_mut(key) else {
                continue;
            };
            let path = PathBuf::from(&*text);
            if path.is_absolute() {
                continue;
            }
            let here = std::env::current_dir().ok();
            let mut folders: Vec<PathBuf> = [
                search.data_dir(),
                self.provenance.folder.clone(),
                here.clone(),
            ]
            .into_iter()
            .flatten()
            .collect();
            folders.dedup();
            match folders.iter().find(|folder| folder.join(&path).exists()) {
                // As the user wrote it, if it still leads to the same place.
                Some(folder)
                    if here.as_ref() == Some(folder)
                        && self
                            .provenance
                            .folder
                            .as_ref()
                            .is_none_or(|then| then == folder) => {}
                Some(folder) => {
                    *text = std::path::absolute(folder.join(&path))
                        .unwrap_or(folder.join(&path))
                        .to_string_lossy()
                        .into_owned()
                }
                None => {
                    let looked: Vec<String> = folders
                        .iter()
                        .map(|folder| folder.display().to_string())
                        .collect();
                    let message = format!(
                        "its data file {text} is missing (looked in {}); name the folder that holds it with --data-dir",
                        looked.join(", ")
                    );
                    return Err(TrainError::folder(place, message));
                }
            }
        }
        Ok(located)
    }

    /// How the data differ from those that the run was trained on, in words.
    fn differs(&self, now: &Dataset) -> Option<String> {
        let mut all = differences(&self.sources, &now.sources);
        // Each change of the data added the same number of files.
        for earlier in self.earlier_sources.chunks(self.sources.len().max(1)) {
            all.extend(
                differences(earlier, &now.sources)
                    .into_iter()
                    .map(|text| format!("before it was resumed, {text}")),
            );
        }
        if all.is_empty() {
            return None;
        }
        let examples = now.train.len() + now.test.len();
        all.extend(
            self.examples
                .filter(|n| *n != examples)
                .map(|n| format!("it had {n} examples and has {examples}")),
        );
        Some(all.join("; "))
    }
}

/// The files that differ, with both hashes. For a run that has no record of its files, no
/// difference is known.
fn differences(then: &[Source], now: &[Source]) -> Vec<String> {
    if then.is_empty() {
        return Vec::new();
    }
    let none = |file: Option<&Source>| file.map_or("none".to_owned(), |f| f.sha256.clone());
    let pairs = (0..then.len().max(now.len())).map(|i| (then.get(i), now.get(i)));
    pairs
        .filter(|(then, now)| then.map(|f| &f.sha256) != now.map(|f| &f.sha256))
        .map(|(old, new)| {
            let file = new.or(old).map_or("", |f| &f.file);
            let moved = old
                .filter(|old| old.file != file)
                .map_or(String::new(), |old| format!(" (then {})", old.file));
            format!(
                "{file}{moved}: SHA-256 was {} and is {}",
                none(old),
                none(new)
            )
        })
        .collect()
}

impl RunFolder {
    /// Records in run.toml that the run continues with these data, if they have changed since it
    /// was trained. The previous files are kept in `earlier_sources`; [`RunFile::reopen`] accepts
    /// such a run only when told to.
    ///
    /// # Errors
    /// File system errors.
    pub fn go_on_with(&self, run: &RunFile, data: &Dataset) -> Result<(), TrainError> {
        if differences(&run.sources, &data.sources).is_empty() {
            return Ok(());
        }
        let mut run = run.clone();
        run.earlier_sources.append(&mut run.sources);
        run.sources = data.sources.clone();
        run.examples = Some(data.train.len() + data.test.len());
        self.describe(&run)
    }
}
