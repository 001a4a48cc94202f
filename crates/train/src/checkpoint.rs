//! Files that are written whole or not at all, and checkpoints made of such files.

use std::fs;
use std::path::{Path, PathBuf};

use largebatch_store::{Folder, Seal, digest, seal, unseal};
use serde::{Deserialize, Serialize};

use crate::TrainError;
use crate::counters::Counters;

/// The layout version of a run's folder.
pub const SCHEMA: u32 = 1;

/// The layout version of a checkpoint's state. Version 1, from largebatch 0.2 and older, has no
/// digests.
const SEALED: u32 = 2;

/// Writes a file whole or not at all; see [`largebatch_store::write_whole`].
///
/// # Errors
/// File system errors, with the path.
pub(crate) fn write_whole(path: &Path, bytes: &[u8]) -> Result<(), TrainError> {
    largebatch_store::write_whole(path, bytes).map_err(TrainError::io(path, "write"))
}

/// Everything needed to resume training and end with the same bits.
pub struct Checkpoint {
    /// The weights and running statistics, as safetensors in PyTorch's layout.
    pub model: Vec<u8>,
    /// The optimizer's state, as safetensors.
    pub optimizer: Vec<u8>,
    /// Counters and running sums.
    pub progress: Counters,
}

#[derive(Serialize, Deserialize)]
struct StateFile {
    schema: u32,
    /// The digest of the weights file.
    #[serde(default)]
    model: String,
    /// The digest of the optimizer file.
    #[serde(default)]
    optimizer: String,
    #[serde(flatten)]
    progress: Counters,
}

impl Checkpoint {
    /// Writes the checkpoint to `folder/step-N`, whole or not at all, then deletes all but the
    /// newest `keep` checkpoints.
    ///
    /// # Errors
    /// File system errors.
    pub fn save(&self, folder: &Path, keep: usize) -> Result<PathBuf, TrainError> {
        let place = folder.join(format!("step-{}", self.progress.step));
        if place.exists() {
            return Ok(place);
        }
        let state = StateFile {
            schema: SEALED,
            model: digest(&self.model),
            optimizer: digest(&self.optimizer),
            progress: self.progress.clone(),
        };
        let state = seal(
            &serde_json::to_string(&state)
                .map_err(|e| TrainError::folder(&place, e.to_string()))?,
        );
        Folder::beside(&place)
            .and_then(|new| {
                new.write("model.safetensors", &self.model)?;
                new.write("optimizer.safetensors", &self.optimizer)?;
                new.write("state.json", state.as_bytes())?;
                new.place()
            })
            .map_err(TrainError::io(&place, "write the checkpoint"))?;
        tidy(folder, keep)?;
        Ok(place)
    }

    /// Reads one checkpoint and checks its digests.
    ///
    /// # Errors
    /// A file that is missing, has changed since it was written, or was written by another version
    /// of the program.
    pub fn load(place: &Path) -> Result<Self, TrainError> {
        let read = |name: &str| {
            let path = place.join(name);
            fs::read(&path).map_err(TrainError::io(&path, "read"))
        };
        let changed = |name: &str| {
            let message = "has changed since it was written (its digest differs): delete this checkpoint's folder to resume from the one before, \
                           or start the run again";
            TrainError::folder(&place.join(name), message)
        };
        let bytes = read("state.json")?;
        let seal = unseal(&bytes);
        if seal == Seal::Broken {
            return Err(changed("state.json"));
        }
        let state: StateFile = serde_json::from_slice(&bytes).map_err(|e| {
            TrainError::folder(
                &place.join("state.json"),
                format!("not a checkpoint state that this version can read ({e})"),
            )
        })?;
        if !(1..=SEALED).contains(&state.schema) {
            let message = format!(
                "has schema {}; this version reads 1 to {SEALED}",
                state.schema
            );
            return Err(TrainError::folder(place, message));
        }
        if state.schema == SEALED && seal == Seal::Absent {
            return Err(changed("state.json"));
        }
        let checked = |name: &str, wanted: &str| {
            let bytes = read(name)?;
            if state.schema == SEALED && digest(&bytes) != wanted {
                Err(changed(name))
            } else {
                Ok(bytes)
            }
        };
        Ok(Checkpoint {
            model: checked("model.safetensors", &state.model)?,
            optimizer: checked("optimizer.safetensors", &state.optimizer)?,
            progress: state.progress,
        })
    }

    /// The newest checkpoint in a folder, if there is one.
    ///
    /// # Errors
    /// File system errors, and those of [`Checkpoint::load`].
    pub fn newest(folder: &Path) -> Result<Option<Self>, TrainError> {
        Self::places(folder)?
            .last()
            .map(|place| Self::load(place))
            .transpose()
    }

    /// The checkpoints in a folder, the oldest first.
    ///
    /// # Errors
    /// File system errors.
    pub fn places(folder: &Path) -> Result<Vec<PathBuf>, TrainError> {
        list(folder)
    }
}

/// Deletes all but the newest `keep` checkpoints, and the remains of a program that was killed
/// while it wrote or deleted one.
pub(crate) fn tidy(folder: &Path, keep: usize) -> Result<(), TrainError> {
    let mut old = list(folder)?;
    old.truncate(old.len().saturating_sub(keep.max(1)));
    if let Ok(entries) = fs::read_dir(folder) {
        old.extend(
            entries
                .flatten()
                .map(|e| e.path())
                .filter(|path| path.extension().is_some_and(|e| e == "partial")),
        );
    }
    old.iter().try_for_each(|old| {
        fs::remove_dir_all(old).map_err(TrainError::io(old, "delete the old checkpoint"))
    })
}

/// The finished checkpoints of a folder, oldest first.
pub(crate) fn list(folder: &Path) -> Result<Vec<PathBuf>, TrainError> {
    if !folder.exists() {
        return Ok(Vec::new());
    }
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).map_err(TrainError::io(folder, "list"))? {
        let path = entry.map_err(TrainError::io(folder, "list"))?.path();
        let step = path
            .file_name()
            .and_then(|n| n.to_str())
            .and_then(|n| n.strip_prefix("step-"))
            .and_then(|n| n.parse::<u64>().ok());
        if let Some(step) = step {
            found.push((step, path));
        }
    }
    found.sort();
    Ok(found.into_iter().map(|(_, path)| path).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checkpoint() -> Checkpoint {
        Checkpoint {
            model: vec![7; 300],
            optimizer: vec![9; 200],
            progress: Counters::default(),
        }
    }

    #[test]
    fn every_flipped_bit_is_named_with_its_file() {
        let dir = tempfile::tempdir().unwrap();
        let place = checkpoint().save(dir.path(), 2).unwrap();
        assert_eq!(
            Checkpoint::load(&place).unwrap().progress,
            checkpoint().progress
        );
        for name in ["model.safetensors", "optimizer.safetensors", "state.json"] {
            let whole = fs::read(place.join(name)).unwrap();
            for bit in (0..whole.len() * 8).step_by(3) {
                let mut flipped = whole.clone();
                flipped[bit / 8] ^= 1 << (bit % 8);
                fs::write(place.join(name), &flipped).unwrap();
                let error = Checkpoint::load(&place)
                    .err()
                    .map(|e| e.to_string())
                    .unwrap_or_default();
                assert!(error.contains(name), "{name}, bit {bit}: '{error}'");
            }
            fs::write(place.join(name), &whole).unwrap();
        }
    }

    /// A checkpoint as version 0.2.0 wrote it: no digests, pretty-printed JSON.
    #[test]
    fn a_checkpoint_of_version_0_2_still_loads() {
        let dir = tempfile::tempdir().unwrap();
        let place = checkpoint().save(dir.path(), 2).unwrap();
        let text = fs::read_to_string(place.join("state.json")).unwrap();
        let mut state: serde_json::Value = serde_json::from_str(&text).unwrap();
        let object = state.as_object_mut().unwrap();
        ["digest", "model", "optimizer"]
            .iter()
            .for_each(|key| drop(object.remove(*key)));
        object.insert("schema".into(), 1.into());
        fs::write(
            place.join("state.json"),
            serde_json::to_string_pretty(&state).unwrap(),
        )
        .unwrap();
        fs::write(place.join("model.safetensors"), [8; 300]).unwrap();
        assert_eq!(Checkpoint::load(&place).unwrap().model, [8; 300]);
    }
}
