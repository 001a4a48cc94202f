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

/// `run.toml`: everything that the run was made from.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RunFile {
    /// The version of the folder's layout.
    pub schema: u32,
    /// The hash of `config`.
    pub id: String,
    /// Examples of the data set, training and test part together.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub examples: Option<usize>,
    /// What may differ between two runs of one configuration.
    pub provenance: Provenance,
    /// The resolved configuration. To compute with it, open it by [`RunFile::reopen`], which makes sure that its data are those of the run.
    pub config: RunConfig,
    /// The files that the data came from.
    #[serde(default)]
    pub sources: Vec<Source>,
    /// Files of other content that the run was trained on before it was resumed with other data.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub earlier_sources: Vec<Source>,
}

/// What may differ between two runs of one configuration.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Provenance {
    /// The version of largebatch.
    pub version: String,
    /// The device as Burn names it.
    pub device: String,
    /// CPU threads.
    pub threads: usize,
    /// The processor and its vector instructions, see [`processor`](crate::processor).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpu: Option<String>,
    /// Operating system and processor architecture.
    pub platform: String,
    /// The folder that `--data-dir` named.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub data_dir: Option<PathBuf>,
    /// The folder that relative paths of the data set start from, where it has any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub folder: Option<PathBuf>,
}

/// A run's folder: `run.toml`, `events.jsonl`, `layers.csv`, `checkpoints/`, and at the end `model.safetensors` and `result.json`.
///
/// Whoever writes there holds the lock of its file `.lock`: see [`RunFolder::locked`].
#[derive(Clone, Debug)]
pub struct RunFolder {
    path: PathBuf,
    lock: Option<Arc<Lock>>,
}

/// The file of the lock.
const LOCK: &str = ".lock";

impl RunFolder {
    /// Makes the folder of a new run, and takes its lock.
    ///
    /// # Errors
    /// A folder that holds something already, that another process writes, or that cannot be made.
    pub fn create(path: &Path, run: &RunFile) -> Result<Self, TrainError> {
        // What a program leaves that is killed while it writes run.toml does not count.
        let counts = |entry: std::io::Result<fs::DirEntry>| {
            entry.is_ok_and(|e| !is_lock(&e.path()) && !is_partial(&e.path()))
        };
        let empty = || {
            if !fs::read_dir(path).is_ok_and(|mut entries| entries.any(counts)) {
                return Ok(());
            }
            let message = if path.join("run.toml").exists() {
                "holds a run already: go on with it by --resume, or give another --out"
            } else {
                "is not empty: give another --out"
            };
            Err(TrainError::folder(path, message))
        };
        empty()?;
        fs::create_dir_all(path).map_err(TrainError::io(path, "make the folder"))?;
        let folder = RunFolder::at(path).locked()?;
        // Another process may have made a run there meanwhile.
        empty()?;
        folder.describe(run).inspect_err(|_| {
            let _ = fs::remove_file(path.join(LOCK)).and_then(|()| fs::remove_dir(path));
        })?;
        Ok(folder)
    }

    /// The folder of a run, unopened and without its lock.
    pub(crate) fn at(path: &Path) -> Self {
        RunFolder {
            path: path.to_owned(),
            lock: None,
        }
    }

    /// The folder with its lock, which is freed when the last copy goes, or the process ends; what a killed writer has left half-written is removed.
    ///
    /// # Errors
    /// [`TrainError::Locked`] where another process writes there.
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
                // What cannot be removed does no harm.
                let _ = fs::remove_file(entry.path());
            }
        }
        Ok(RunFolder {
            lock: Some(Arc::new(lock)),
            ..self
        })
    }

    /// What to tell the user where the file system has no locks.
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
    /// A folder that is none, or of another version of the program.
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
                    None => "is not a run's folder: it holds no run.toml".to_owned(),
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
                format!("schema {schema}; this version reads {SCHEMA}"),
            ));
        }
        if unseal_text(&text) == Seal::Broken {
            let message = "has changed since it was written (its digest is another one): take a copy, or start the run again; if you changed it yourself, \
                           delete its last line";
            return Err(TrainError::folder(&file, message));
        }
        let mut run: RunFile =
            toml::from_str(&text).map_err(|e| TrainError::folder(&file, e.to_string()))?;
        // Until version 0.3 real targets were trained on as they are, and no key said so.
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

    /// The folder.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The folder of the checkpoints.
    pub fn checkpoints(&self) -> PathBuf {
        self.path.join("checkpoints")
    }

    /// The result, once the run has ended for good.
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

    /// Writes the result and the weights: the run has ended for good.
    pub(crate) fn finish(&self, outcome: &Outcome, model: &[u8]) -> Result<(), TrainError> {
        write_whole(&self.path.join("model.safetensors"), model)?;
        let json = serde_json::to_vec_pretty(outcome)
            .map_err(|e| TrainError::folder(&self.path, e.to_string()))?;
        write_whole(&self.path.join("result.json"), &json)
    }

    /// The weights: of the finished run, or else of its newest checkpoint.
    ///
    /// # Errors
    /// A run that has left neither yet.
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

    /// Opens a log for lines to be added after its first `length` bytes; what stands behind them, from a run that was killed, is cut off.
    ///
    /// # Errors
    /// A log that is shorter; the file system's.
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
                "holds {there} bytes, {length} when the checkpoint was written: lines are missing; take a copy, or start the run again"
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

/// Whether a name is that of the lock, or of what stands for one where the file system has none.
fn is_lock(path: &Path) -> bool {
    path.file_stem().is_some_and(|name| name == LOCK)
        && path.extension().is_none_or(|e| e == "held")
}

/// Whether a name is that of a file that was never finished.
fn is_partial(path: &Path) -> bool {
    path.extension().is_some_and(|e| e == "partial")
}

fn of_real_targets(model: &Choice) -> bool {
    let configured =
        largebatch_models::named(&model.name).and_then(|m| m.configure(model.options.clone()));
    configured.is_ok_and(|m| m.loss() == Loss::Squared)
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

    /// Hands all lines to the system, and returns the length of the file.
    pub(crate) fn flush(&mut self) -> Result<u64, TrainError> {
        self.file
            .flush()
            .map_err(TrainError::io(&self.path, "write"))?;
        Ok(self.length)
    }

    /// The same, and has them on the disk.
    pub(crate) fn sync(&mut self) -> Result<u64, TrainError> {
        self.flush()?;
        self.file
            .get_ref()
            .sync_data()
            .map_err(TrainError::io(&self.path, "write"))?;
        Ok(self.length)
    }
}
