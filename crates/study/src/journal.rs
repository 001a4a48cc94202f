//! The journal that a process writes: one line for each finished trial.

use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use largebatch_store::{Lock, LockError, clear_leftovers, sync_folder, write_whole};

use crate::error::StudyError;
use crate::record::{TrialRecord, line};
use crate::records::{files, read_file};
use crate::shard::Shard;
use crate::trial::RunId;

/// The file of finished trials that one process writes: one line per trial, on disk before the
/// trial is reported.
#[derive(Debug)]
pub(crate) struct Journal {
    file: File,
    path: PathBuf,
    length: u64,
    /// The lock, held while the journal is open; the system releases it when the process ends, even
    /// by a crash.
    lock: Lock,
}

impl Journal {
    /// Opens the journal of a shard for appending, takes its lock, and cuts off a line that is
    /// incomplete because an earlier process died.
    pub(crate) fn open(folder: &Path, shard: Option<Shard>) -> Result<Self, StudyError> {
        Self::named(
            folder,
            &shard.map_or("trials".into(), |s| {
                format!("trials-{}of{}", s.index, s.count)
            }),
        )
    }

    /// Opens the journal with this name.
    fn named(folder: &Path, name: &str) -> Result<Self, StudyError> {
        let (path, lock_path) = (
            folder.join(format!("{name}.jsonl")),
            folder.join(format!("{name}.lock")),
        );
        let lock = Lock::try_take(&lock_path).map_err(|e| match e {
            LockError::Held { by } => StudyError::Locked {
                folder: folder.into(),
                lock: lock_path.clone(),
                by,
            },
            LockError::Io(e) => StudyError::io("locking", &lock_path)(e),
        })?;
        clear_leftovers(&path);
        let mut file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .read(true)
            .write(true)
            .open(&path)
            .map_err(StudyError::io("opening", &path))?;
        let length = complete_length(&mut file).map_err(StudyError::io("reading", &path))?;
        file.set_len(length)
            .and_then(|()| file.seek(SeekFrom::End(0)))
            .map_err(StudyError::io("writing", &path))?;
        sync_folder(folder).map_err(StudyError::io("syncing", folder))?;
        Ok(Journal {
            file,
            path,
            length,
            lock,
        })
    }

    /// A warning for the user if the file system does not support locks.
    pub(crate) fn weak_lock(&self) -> Option<String> {
        self.lock.weak()
    }

    /// Appends records; their lines are on disk when this returns. After an error (a full disk) the
    /// file still has exactly its earlier lines.
    pub(crate) fn append<'a>(
        &mut self,
        records: impl Iterator<Item = &'a TrialRecord>,
    ) -> Result<(), StudyError> {
        let lines: Vec<u8> = records.flat_map(line).collect();
        if lines.is_empty() {
            return Ok(());
        }
        let written = self
            .file
            .write_all(&lines)
            .and_then(|()| self.file.sync_data());
        if let Err(e) = written {
            // If this fails too, the next opening cuts off the incomplete line.
            let _ = self
                .file
                .set_len(self.length)
                .and_then(|()| self.file.seek(SeekFrom::Start(self.length)));
            return Err(StudyError::io("writing", &self.path)(e));
        }
        self.length += lines.len() as u64;
        Ok(())
    }

    /// Sorts the lines by `place`, so that the file does not depend on the order in which the
    /// trials ended: writes a copy beside it and renames it.
    pub(crate) fn sort(&mut self, place: &dyn Fn(&RunId) -> usize) -> Result<(), StudyError> {
        let mut records = Vec::new();
        read_file(&self.path, &mut |record| records.push(record))?;
        let order = |r: &TrialRecord| (place(&r.id), r.id.clone());
        if records.is_sorted_by_key(order) {
            return Ok(());
        }
        records.sort_by_cached_key(order);
        self.rewrite(&records)
    }

    /// Moves the records selected by `aside` into a file with this name and returns them: from this
    /// journal, and if `all` also from the folder's other journals. Every journal is locked before
    /// one is changed.
    pub(crate) fn set_aside(
        &mut self,
        folder: &Path,
        name: &str,
        all: bool,
        aside: &dyn Fn(&TrialRecord) -> bool,
    ) -> Result<Vec<TrialRecord>, StudyError> {
        let mut others = Vec::new();
        for path in files(folder)?
            .into_iter()
            .filter(|path| all && *path != self.path)
        {
            let mut any = false;
            read_file(&path, &mut |record| any |= aside(&record))?;
            if any {
                others.push(Journal::named(
                    folder,
                    &path.file_stem().unwrap_or_default().to_string_lossy(),
                )?);
            }
        }
        let mut away = Vec::new();
        for journal in std::iter::once(self).chain(&mut others) {
            let (mut moved, mut kept) = (Vec::new(), Vec::new());
            read_file(&journal.path, &mut |record| {
                if aside(&record) {
                    moved.push(record)
                } else {
                    kept.push(record)
                }
            })?;
            if moved.is_empty() {
                continue;
            }
            let place = folder.join(name);
            let append = |bytes: &[u8]| {
                let mut file = OpenOptions::new().create(true).append(true).open(&place)?;
                file.write_all(bytes).and_then(|()| file.sync_all())
            };
            append(&moved.iter().flat_map(line).collect::<Vec<u8>>())
                .map_err(StudyError::io("writing", &place))?;
            journal.rewrite(&kept)?;
            away.append(&mut moved);
        }
        Ok(away)
    }

    /// Replaces all lines: writes a copy beside the file and renames it.
    fn rewrite(&mut self, records: &[TrialRecord]) -> Result<(), StudyError> {
        let bytes: Vec<u8> = records.iter().flat_map(line).collect();
        write_whole(&self.path, &bytes).map_err(StudyError::io("writing", &self.path))?;
        self.file = OpenOptions::new()
            .append(true)
            .open(&self.path)
            .map_err(StudyError::io("opening", &self.path))?;
        self.length = bytes.len() as u64;
        Ok(())
    }
}

/// The length up to and including the last line's end.
fn complete_length(file: &mut File) -> std::io::Result<u64> {
    let mut end = file.seek(SeekFrom::End(0))?;
    let mut block = [0u8; 1 << 16];
    while end > 0 {
        let start = end.saturating_sub(block.len() as u64);
        let part = &mut block[..(end - start) as usize];
        file.seek(SeekFrom::Start(start))?;
        file.read_exact(part)?;
        if let Some(at) = part.iter().rposition(|b| *b == b'\n') {
            return Ok(start + at as u64 + 1);
        }
        end = start;
    }
    Ok(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::numbered;
    use crate::records::read_folder;

    fn ids(folder: &Path) -> Vec<u64> {
        let mut ids: Vec<u64> = read_folder(folder)
            .unwrap()
            .by_id
            .into_values()
            .map(|r| r.seed)
            .collect();
        ids.sort_unstable();
        ids
    }

    #[test]
    fn lines_come_back_and_a_torn_one_is_cut() {
        let dir = tempfile::tempdir().unwrap();
        let mut journal = Journal::open(dir.path(), None).unwrap();
        (0..3).for_each(|i| journal.append([&numbered(i)].into_iter()).unwrap());
        drop(journal);
        let path = dir.path().join("trials.jsonl");
        let whole = std::fs::read(&path).unwrap();
        assert_eq!(
            serde_json::to_string(&read_folder(dir.path()).unwrap().by_id[&numbered(1).id])
                .unwrap(),
            serde_json::to_string(&numbered(1)).unwrap()
        );
        for cut in [1, 2, 100, whole.len() / 3 - 1] {
            std::fs::write(&path, &whole[..whole.len() - cut]).unwrap();
            assert_eq!(
                ids(dir.path()),
                [0, 1],
                "reading tolerates {cut} missing bytes"
            );
            let mut journal = Journal::open(dir.path(), None).unwrap();
            journal.append([&numbered(2)].into_iter()).unwrap();
            assert_eq!(
                std::fs::read(&path).unwrap(),
                whole,
                "and appending repairs it"
            );
        }
    }

    #[test]
    fn a_journal_is_read_while_a_line_is_being_written() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("trials.jsonl");
        let bytes = line(&numbered(0));
        std::fs::write(&path, &bytes).unwrap();
        let ended = std::sync::atomic::AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let mut file = OpenOptions::new().append(true).open(&path).unwrap();
                let until = std::time::Instant::now() + std::time::Duration::from_millis(300);
                while std::time::Instant::now() < until {
                    for piece in bytes.chunks(50) {
                        file.write_all(piece).unwrap();
                    }
                }
                ended.store(true, std::sync::atomic::Ordering::Relaxed);
            });
            while !ended.load(std::sync::atomic::Ordering::Relaxed) {
                assert_eq!(ids(dir.path()), [0]);
            }
        });
    }

    #[test]
    fn a_second_writer_is_refused_and_shards_are_apart() {
        let dir = tempfile::tempdir().unwrap();
        let mut first = Journal::open(dir.path(), None).unwrap();
        assert!(matches!(
            Journal::open(dir.path(), None),
            Err(StudyError::Locked { .. })
        ));
        let mut second = Journal::open(dir.path(), Some("2/8".parse().unwrap())).unwrap();
        first.append([&numbered(1)].into_iter()).unwrap();
        second.append([&numbered(2)].into_iter()).unwrap();
        second.append([&numbered(1)].into_iter()).unwrap();
        assert!(dir.path().join("trials-2of8.jsonl").exists());
        assert_eq!(ids(dir.path()), [1, 2]);
        assert!(read_folder(dir.path()).unwrap().conflicts.is_empty());
        second
            .append(
                [&TrialRecord {
                    steps: 999,
                    ..numbered(1)
                }]
                .into_iter(),
            )
            .unwrap();
        assert_eq!(read_folder(dir.path()).unwrap().conflicts, [numbered(1).id]);
        for wrong in ["0/8", "9/8", "1", "a/b", "-1/2", "1/0"] {
            assert!(wrong.parse::<Shard>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn sorting_forgets_the_order_of_completion() {
        let place = |id: &RunId| id.0.parse::<usize>().unwrap();
        let file = |order: &[u64]| {
            let dir = tempfile::tempdir().unwrap();
            let mut journal = Journal::open(dir.path(), None).unwrap();
            order
                .iter()
                .for_each(|&i| journal.append([&numbered(i)].into_iter()).unwrap());
            journal.sort(&place).unwrap();
            journal.append([&numbered(9)].into_iter()).unwrap();
            std::fs::read(dir.path().join("trials.jsonl")).unwrap()
        };
        let strip = |bytes: Vec<u8>| {
            String::from_utf8(bytes)
                .unwrap()
                .lines()
                .map(|l| l.split("\"provenance\"").next().unwrap().to_string())
                .collect::<Vec<_>>()
        };
        assert_eq!(strip(file(&[3, 1, 2])), strip(file(&[1, 2, 3])));
    }
}
