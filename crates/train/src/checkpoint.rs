//! Files that are whole or absent, and checkpoints made of them.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::TrainError;
use crate::run::Progress;

/// The version of the layout of a run's folder.
pub const SCHEMA: u32 = 1;

/// Writes a file beside its place, flushes it to the disk, and renames it into place.
///
/// # Errors
/// The file system's, with the path; the old file, if any, is then untouched and nothing half-written stays.
pub fn write_whole(path: &Path, bytes: &[u8]) -> Result<(), TrainError> {
    let beside = path.with_extension("partial");
    let written = write_flushed(&beside, bytes).and_then(|()| fs::rename(&beside, path));
    if written.is_err() {
        let _ = fs::remove_file(&beside);
    }
    written.map_err(TrainError::io(path, "write"))
}

fn write_flushed(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let mut file = File::create(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

/// Everything that training needs to go on to the same bits.
pub struct Checkpoint {
    /// The weights and running statistics, as safetensors in PyTorch's layout.
    pub model: Vec<u8>,
    /// The optimizer's state, as safetensors.
    pub optimizer: Vec<u8>,
    /// Counters and sums.
    pub progress: Progress,
}

#[derive(Serialize, Deserialize)]
struct StateFile {
    schema: u32,
    #[serde(flatten)]
    progress: Progress,
}

impl Checkpoint {
    /// Writes the checkpoint to `folder/step-N`, whole or not at all, then deletes all but the newest `keep`.
    ///
    /// # Errors
    /// The file system's.
    pub fn save(&self, folder: &Path, keep: usize) -> Result<PathBuf, TrainError> {
        let place = folder.join(format!("step-{}", self.progress.step));
        if place.exists() {
            return Ok(place);
        }
        let beside = folder.join(format!(".step-{}.partial", self.progress.step));
        let state = serde_json::to_vec_pretty(&StateFile { schema: SCHEMA, progress: self.progress.clone() })
            .map_err(|e| TrainError::folder(&place, e.to_string()))?;
        let written = fs::remove_dir_all(&beside)
            .or_else(|e| if e.kind() == std::io::ErrorKind::NotFound { Ok(()) } else { Err(e) })
            .and_then(|()| fs::create_dir_all(&beside))
            .and_then(|()| write_flushed(&beside.join("model.safetensors"), &self.model))
            .and_then(|()| write_flushed(&beside.join("optimizer.safetensors"), &self.optimizer))
            .and_then(|()| write_flushed(&beside.join("state.json"), &state))
            .and_then(|()| fs::rename(&beside, &place))
            .and_then(|()| File::open(folder)?.sync_all());
        if let Err(source) = written {
            let _ = fs::remove_dir_all(&beside);
            return Err(TrainError::Io { path: place, action: "write the checkpoint", source });
        }
        tidy(folder, keep)?;
        Ok(place)
    }

    /// Reads one checkpoint.
    ///
    /// # Errors
    /// A file that is missing, or that another version of the program wrote.
    pub fn load(place: &Path) -> Result<Self, TrainError> {
        let read = |name: &str| {
            let path = place.join(name);
            fs::read(&path).map_err(TrainError::io(&path, "read"))
        };
        let state: StateFile = serde_json::from_slice(&read("state.json")?)
            .map_err(|e| TrainError::folder(&place.join("state.json"), format!("not a state that this version reads ({e})")))?;
        if state.schema != SCHEMA {
            let message = format!("schema {} of a checkpoint; this version reads {SCHEMA}", state.schema);
            return Err(TrainError::folder(place, message));
        }
        Ok(Checkpoint { model: read("model.safetensors")?, optimizer: read("optimizer.safetensors")?, progress: state.progress })
    }

    /// The newest checkpoint in a folder, if there is one.
    ///
    /// # Errors
    /// The file system's, and those of [`Checkpoint::load`].
    pub fn newest(folder: &Path) -> Result<Option<Self>, TrainError> {
        list(folder)?.last().map(|place| Self::load(place)).transpose()
    }
}

/// Deletes all but the newest `keep` checkpoints, and what a program left that was killed while it wrote or deleted one.
pub(crate) fn tidy(folder: &Path, keep: usize) -> Result<(), TrainError> {
    let mut old = list(folder)?;
    old.truncate(old.len().saturating_sub(keep.max(1)));
    if let Ok(entries) = fs::read_dir(folder) {
        old.extend(entries.flatten().map(|e| e.path()).filter(|path| path.extension().is_some_and(|e| e == "partial")));
    }
    old.iter().try_for_each(|old| fs::remove_dir_all(old).map_err(TrainError::io(old, "delete the old checkpoint")))
}

/// The finished checkpoints of a folder, the oldest first.
pub(crate) fn list(folder: &Path) -> Result<Vec<PathBuf>, TrainError> {
    if !folder.exists() {
        return Ok(Vec::new());
    }
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).map_err(TrainError::io(folder, "list"))? {
        let path = entry.map_err(TrainError::io(folder, "list"))?.path();
        let step = path.file_name().and_then(|n| n.to_str()).and_then(|n| n.strip_prefix("step-")).and_then(|n| n.parse::<u64>().ok());
        if let Some(step) = step {
            found.push((step, path));
        }
    }
    found.sort();
    Ok(found.into_iter().map(|(_, path)| path).collect())
}
