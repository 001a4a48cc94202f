//! A run's folder on disk.

use std::fs::{self, File, OpenOptions};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use largebatch_data::{Source, TargetScale};
use largebatch_models::Loss;
use largebatch_store::{Lock, LockError, Seal, seal_text, unseal_text};
use serde::{Deserialize, Serialize};

use crate::checkpoint::{SCHEMA, write_whole};
use crate::{Checkpoint, Choice, Outcome, RunConfig, TrainError};

/// `run.toml`: everything needed to repeat the run.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RunFile {
    /// The layout version of the folder.
    pub schema: u32,
    /// The hash of `config`.
    pub id: String,
    /// Examples of the data set, training and test part together.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub examples: Option<usize>,
    /// What may differ between two runs of one configuration.
    pub provenance: Environment,
    /// The resolved configuration. To compute with it, use [`RunFile::reopen`], which makes sure
    /// that the data are those of the run.
    pub config: RunConfig,
    /// The files that the data were read from.
    #[serde(default)]
    pub sources: Vec<Source>,
    /// Data files, since replaced, that the run was trained on before it was resumed with other
    /// data.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub earlier_sources: Vec<Source>,
}

/// What may differ between two runs of one configuration.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Environment {
    /// The version of largebatch.
    pub version: String,
    /// The device, as Burn names it.
    pub device: String,
    /// CPU threads.
    pub threads: usize,
    /// The processor and its vector instructions; see [`processor`](crate::processor).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpu: Option<String>,
    /// Operating system and processor architecture.
    pub platform: String,
    /// The folder that `--data-dir` named.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub data_dir: Option<PathBuf>,
    /// The folder that the data set's relative paths start from, if it has any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub folder: Option<PathBuf>,
}

/// A run's folder: `run.toml`, `events.jsonl`, `layers.csv`, `checkpoints/`, and at the end
/// `model.safetensors` and `result.json`.
///
/// A process that writes to it holds the lock on its file `.lock`: see [`RunFolder::locked`].
#[derive(Clone, Debug)]
pub struct RunFolder {
    path: PathBuf,
    lock: Option<Arc<Lock>>,
}

/// The lock file.
const LOCK: &str = ".lock";

impl RunFolder {
    /// Creates the folder of a new run and takes its lock.
    ///
    /// # Errors
    /// A folder that is not empty, that another process is writing to, or that cannot be created.
    pub fn create(path: &Path, run: &RunFile) -> Result<Self, TrainError> {
        // A partial file left by a program that was killed while it wrote run.toml does not count.
        let counts = |entry: std::io::Result<fs::DirEntry>| {
            entry.is_ok_and(|e| !is_lock(&e.path()) && !is_partial(&e.path()))
        };
        let empty = || {
            if !fs::read_dir(path).is_ok_and(|mut entries| entries.any(counts)) {
                return Ok(());
            }
            let message = if path.join("run.toml").exists() {
                "already holds a run: continue it with --resume, or give another --out"
            } else {
                "is not empty: give another --out"
            };
            Err(TrainError::folder(path, message))
        };
        empty()?;
        fs::create_dir_all(path).map_err(TrainError::io(path, "create the folder"))?;
        let folder = RunFolder::at(path).locked()?;
        // Another process may have created a run there in the meantime.
        empty()?;
        folder.describe(run).inspect_err(|_| {
            let _ = fs::remove_file(path.join(LOCK)).and_then(|()| fs::remove_dir(path));
        })?;
        Ok(folder)
    }

    /// A run's folder that is neither opened nor locked.
    pub(crate) fn at(path: &Path) -> Self {
        RunFolder {
            path: path.to_owned(),
            lock: None,
        }
    }

    /// Takes the folder's lock, which is released when the last clone is dropped or the process
    /// ends, and removes files that a killed writer left unfinished.
    ///
    /// # Errors
    /// [`TrainError::Locked`] if another process is writing to the folder.
    pub fn locked(self) -> Result<Self, TrainError> {
        if self.lock.is_some() {
            return Ok(self);
        }
        let path = self.path.join(LOCK);
        let lock = Lock::try_take(&path).map_err(|e| match e {
            LockError::Held { by } => TrainError::Locked {
                path: self.path.clone(),
                by,
            },
            LockError::Io(e) => TrainError::io(&path, "lock")(e),
        })?;
        for entry in fs::read_dir(&self.path)
            .map_err(TrainError::io(&self.path, "list"))?
            .flatten()
        {
            if is_partial(&entry.path()) {
                // A file that cannot be removed does no harm.
                let _ = fs::remove_file(entry.path());
            }
        }
        Ok(RunFolder {
            lock: Some(Arc::new(lock)),
            ..self
        })
    }

    /// A warning for the user if the file system does not support locks.
    pub fn weak_lock(&self) -> Option<String> {
        self.lock.as_ref()?.weak()
    }

    /// Writes run.toml.
    pub(crate) fn describe(&self, run: &RunFile) -> Result<(), TrainError> {
        let text =
            toml::to_string(run).map_err(|e| TrainError::folder(&self.path, e.to_string()))?;
        write_whole(&self.path.join("run.toml"), seal_text(&text).as_bytes())
    }

    /// Opens the folder of a run.
    ///
    /// # Errors
    /// A folder that is not a run's folder, or that another version of the program wrote.
    pub fn open(path: &Path) -> Result<(Self, RunFile), TrainError> {
        let file = path.join("run.toml");
        if !file.exists() {
            let among = path.parent().filter(|p| {
                !path.exists() && p.file_name().is_some_and(|name| name == "checkpoints")
            });
            let there: Vec<String> = among
                .and_then(|p| fs::read_dir(p).ok())
                .map(|entries| {
                    entries
                        .flatten()
                        .map(|e| e.file_name().to_string_lossy().into_owned())
                        .collect()
                })
                .unwrap_or_default();
            return Err(TrainError::folder(
                path,
                match among {
                    None if !path.exists() => "does not exist: name the folder of a run, such as runs/digits-mlp-sgd".to_owned(),
                    None => "is not a run's folder: it has no run.toml".to_owned(),
                    Some(_) if there.is_empty() => {
                        "does not exist: the run kept no checkpoints (--set checkpoint.every_steps=100)".to_owned()
                    }
                    Some(_) => format!("does not exist; there are {}", there.join(", ")),
                },
            ));
        }
        let text = fs::read_to_string(&file).map_err(TrainError::io(&file, "read"))?;
        let table: toml::Table = text
            .parse()
            .map_err(|e: toml::de::Error| TrainError::folder(&file, e.to_string()))?;
        let schema = table
            .get("schema")
            .and_then(toml::Value::as_integer)
            .unwrap_or(0);
        if schema != i64::from(SCHEMA) {
            return Err(TrainError::folder(
                &file,
                format!("has schema {schema}; this version reads {SCHEMA}"),
            ));
        }
        if unseal_text(&text) == Seal::Broken {
            let message = "has changed since it was written (its digest differs): restore a copy, or start the run again; if you changed it yourself, \
                           delete its last line";
            return Err(TrainError::folder(&file, message));
        }
        let mut run: RunFile =
            toml::from_str(&text).map_err(|e| TrainError::folder(&file, e.to_string()))?;
        // Before version 0.3 real targets were not standardised, and no key recorded that.
        let old = ["0.1.", "0.2."]
            .iter()
            .any(|old| run.provenance.version.starts_with(old));
        if let Some(preprocess) = run
            .config
            .data
            .preprocess
            .as_mut()
            .filter(|_| old && of_real_targets(&run.config.model))
        {
            preprocess.targets.get_or_insert(TargetScale::None);
        }
        Ok((RunFolder::at(path), run))
    }

    /// The folder's path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The folder with the checkpoints.
    pub fn checkpoints(&self) -> PathBuf {
        self.path.join("checkpoints")
    }

    /// The result, or `None` if the run has not ended.
    ///
    /// # Errors
    /// A file that is not a result.
    pub fn outcome(&self) -> Result<Option<Outcome>, TrainError> {
        let path = self.path.join("result.json");
        if !path.exists() {
            return Ok(None);
        }
        let bytes = fs::read(&path).map_err(TrainError::io(&path, "read"))?;
        serde_json::from_slice(&bytes)
            .map(Some)
            .map_err(|e| TrainError::folder(&path, format!("not a result ({e})")))
    }

    /// Writes the result and the weights, which marks the run as ended.
    pub(crate) fn finish(&self, outcome: &Outcome, model: &[u8]) -> Result<(), TrainError> {
        write_whole(&self.path.join("model.safetensors"), model)?;
        let json = serde_json::to_vec_pretty(outcome)
            .map_err(|e| TrainError::folder(&self.path, e.to_string()))?;
        write_whole(&self.path.join("result.json"), &json)
    }

    /// The weights of the finished run, or else of its newest checkpoint.
    ///
    /// # Errors
    /// A run that has neither yet.
    pub fn weights(&self) -> Result<Vec<u8>, TrainError> {
        let path = self.path.join("model.safetensors");
        if path.exists() {
            return fs::read(&path).map_err(TrainError::io(&path, "read"));
        }
        match Checkpoint::newest(&self.checkpoints())? {
            Some(checkpoint) => Ok(checkpoint.model),
            None => Err(TrainError::folder(
                &self.path,
                "has no weights yet: it has neither ended nor written a checkpoint",
            )),
        }
    }

    /// Opens a log to append lines after its first `length` bytes; anything after them, from a run
    /// that was killed, is cut off.
    ///
    /// # Errors
    /// A log that is shorter than `length`, and file system errors.
    pub(crate) fn log(&self, name: &str, length: u64) -> Result<Log, TrainError> {
        let path = self.path.join(name);
        let file = OpenOptions::new()
            .create(true)
            .append(true)
            .open(&path)
            .map_err(TrainError::io(&path, "open"))?;
        let there = file
            .metadata()
            .map_err(TrainError::io(&path, "open"))?
            .len();
        if there < length {
            let message = format!(
                "has {there} bytes, but had {length} when the checkpoint was written: lines are missing; restore a copy, or start the run again"
            );
            return Err(TrainError::folder(&path, message));
        }
        file.set_len(length)
            .map_err(TrainError::io(&path, "write"))?;
        Ok(Log {
            file: BufWriter::new(file),
            length,
            path,
        })
    }
}

/// Whether a file is the lock, or its substitute on a file system without locks.
fn is_lock(path: &Path) -> bool {
    path.file_stem().is_some_and(|name| name == LOCK)
        && path.extension().is_none_or(|e| e == "held")
}

/// Whether a file was never finished.
fn is_partial(path: &Path) -> bool {
    path.extension().is_some_and(|e| e == "partial")
}

fn of_real_targets(model: &Choice) -> bool {
    // Runs that leave it open are of versions that knew these models only.
    largebatch_models::standard()
        .configure(&model.name, model.options.clone())
        .is_ok_and(|m| m.loss() == Loss::Squared)
}

/// A file of lines that grows.
pub(crate) struct Log {
    path: PathBuf,
    file: BufWriter<File>,
    length: u64,
}

impl Log {
    pub(crate) fn line(&mut self, text: &str) -> Result<(), TrainError> {
        self.length += text.len() as u64 + 1;
        writeln!(self.file, "{text}").map_err(TrainError::io(&self.path, "write"))
    }

    /// Hands all lines to the operating system, and returns the length of the file.
    pub(crate) fn flush(&mut self) -> Result<u64, TrainError> {
        self.file
            .flush()
            .map_err(TrainError::io(&self.path, "write"))?;
        Ok(self.length)
    }

    /// As [`Log::flush`], and waits until the lines are on the disk.
    pub(crate) fn sync(&mut self) -> Result<u64, TrainError> {
        self.flush()?;
        self.file
            .get_ref()
            .sync_data()
            .map_err(TrainError::io(&self.path, "write"))?;
        Ok(self.length)
    }
}
