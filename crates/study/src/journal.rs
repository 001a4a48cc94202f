use std::collections::{HashMap, VecDeque};
use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;

use largebatch_store::{
    Lock, LockError, Seal, clear_leftovers, seal, sync_folder, unseal, write_whole,
};
use toml::Table;

use crate::data::Data;
use crate::error::StudyError;
use crate::record::{SCHEMA, SEALED, TrialRecord};
use crate::trial::{RunId, without_seed};

/// The file in a study's folder for the records of trials whose data have changed.
pub(crate) const ASIDE: &str = "other-data.jsonl";

/// The file in a study's folder for the records of failed trials that ran again.
pub(crate) const FAILED: &str = "failed.jsonl";

/// The part of a study that one machine runs: `2/8` is the second of eight.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Shard {
    /// The shard's number, from 1.
    pub index: usize,
    /// The number of shards.
    pub count: usize,
}

impl FromStr for Shard {
    type Err = StudyError;
    fn from_str(text: &str) -> Result<Self, StudyError> {
        let parts = text
            .split_once('/')
            .and_then(|(i, n)| Some((i.parse().ok()?, n.parse().ok()?)));
        match parts {
            Some((index, count)) if 1 <= index && index <= count && count <= 10_000 => {
                Ok(Shard { index, count })
            }
            _ => Err(StudyError::Argument(format!(
                "shard {text}: write i/n with 1 ≤ i ≤ n ≤ 10000, such as 2/8"
            ))),
        }
    }
}

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

/// A record's line, with a digest; see [`unseal`].
fn line(record: &TrialRecord) -> Vec<u8> {
    let json = serde_json::to_string(&TrialRecord {
        schema: SCHEMA,
        ..record.clone()
    });
    let mut line =
        seal(&json.expect("a record has string keys and no number that JSON lacks")).into_bytes();
    line.push(b'\n');
    line
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

/// All finished trials of a folder.
#[derive(Debug, Default)]
pub(crate) struct Records {
    pub by_id: HashMap<RunId, TrialRecord>,
    /// Trials with two records that differ in more than their provenance.
    pub conflicts: Vec<RunId>,
    /// The data that all of them ran on.
    pub data: Data,
}

impl Records {
    /// Adds a record; if a trial has two, the first one stays.
    pub(crate) fn add(&mut self, record: TrialRecord) {
        self.data.note(&record);
        match self.by_id.get(&record.id) {
            None => {
                self.by_id.insert(record.id.clone(), record);
            }
            Some(first) => {
                let same = |a: &TrialRecord| {
                    let a = TrialRecord {
                        schema: SCHEMA,
                        labels: Default::default(),
                        provenance: Default::default(),
                        epochs: None,
                        ..a.clone()
                    };
                    serde_json::to_string(&a).ok()
                };
                if same(first) != same(&record) && !self.conflicts.contains(&record.id) {
                    self.conflicts.push(record.id);
                }
            }
        }
    }
}

/// Reads every `trials*.jsonl` of a folder, in the order of their names, even while other processes
/// write to them.
pub(crate) fn read_folder(folder: &Path) -> Result<Records, StudyError> {
    let mut records = Records::default();
    for file in files(folder)? {
        read_file(&file, &mut |record| records.add(record))?;
    }
    Ok(records)
}

/// The journals of a folder, in the order of their names.
fn files(folder: &Path) -> Result<Vec<PathBuf>, StudyError> {
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder)
        .and_then(|entries| {
            entries
                .map(|e| e.map(|e| e.path()))
                .collect::<std::io::Result<_>>()
        })
        .map_err(StudyError::io("reading", folder))?;
    files.retain(|p| {
        p.file_name()
            .and_then(|n| n.to_str())
            .is_some_and(|n| n.starts_with("trials") && n.ends_with(".jsonl"))
    });
    files.sort();
    Ok(files)
}

/// The number of bytes that one thread parses at a time.
const BLOCK: usize = 4 << 20;

/// Reads the complete lines of a journal in order, parsing on all processors.
///
/// What a writer adds in the meantime is not read: the end of a line would otherwise be taken for a
/// line if its beginning was the last that there was.
fn read_file(path: &Path, add: &mut dyn FnMut(TrialRecord)) -> Result<(), StudyError> {
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let opened = File::open(path).and_then(|file| Ok((file.metadata()?.len(), file)));
    let (length, file) = opened.map_err(StudyError::io("reading", path))?;
    let mut reader = BufReader::with_capacity(1 << 20, file).take(length);
    let mut first = 1;
    loop {
        let mut blocks: Vec<(usize, Vec<u8>)> = Vec::new();
        for _ in 0..threads {
            let mut block = Vec::with_capacity(BLOCK);
            // Unlike `read`, this continues after an interruption by a signal.
            reader
                .by_ref()
                .take(BLOCK as u64)
                .read_to_end(&mut block)
                .map_err(StudyError::io("reading", path))?;
            reader
                .read_until(b'\n', &mut block)
                .map_err(StudyError::io("reading", path))?;
            if block.is_empty() {
                break;
            }
            let lines = block.iter().filter(|b| **b == b'\n').count();
            blocks.push((first, block));
            first += lines;
        }
        if blocks.is_empty() {
            return Ok(());
        }
        let parsed: Vec<_> = std::thread::scope(|scope| {
            let handles: Vec<_> = blocks
                .iter()
                .map(|(first, block)| scope.spawn(move || parse(path, *first, block)))
                .collect();
            handles
                .into_iter()
                .map(|h| h.join().expect("parsing does not panic"))
                .collect()
        });
        for records in parsed {
            records?.into_iter().for_each(&mut *add);
        }
    }
}

fn parse(path: &Path, first: usize, block: &[u8]) -> Result<Vec<TrialRecord>, StudyError> {
    let (mut records, mut configs, mut labels) = (Vec::new(), Recent::default(), Recent::default());
    for (i, line) in block.split_inclusive(|b| *b == b'\n').enumerate() {
        // A line without an end is torn, or is being written.
        let Some(line) = line.strip_suffix(b"\n") else {
            continue;
        };
        let fail = |message: String| StudyError::Journal {
            file: path.into(),
            line: first + i,
            message,
        };
        let mut record: TrialRecord = serde_json::from_slice(line).map_err(|e| {
            match serde_json::from_slice::<Version>(line) {
                Ok(Version { schema }) if schema > SCHEMA => fail(newer(schema)),
                _ => fail(format!("not a trial record ({e})")),
            }
        })?;
        if record.schema > SCHEMA {
            return Err(fail(newer(record.schema)));
        }
        if unseal(line) == Seal::Broken || record.schema >= SEALED && unseal(line) == Seal::Absent {
            return Err(fail("its digest does not match its content".into()));
        }
        if record.schema == 1 {
            record.config = Arc::new(without_seed(&record.config));
        }
        record.config = configs.share(record.config);
        record.labels = labels.share(record.labels);
        records.push(record);
    }
    Ok(records)
}

/// The most recent distinct tables. Trials that differ only in their seed are close to each other
/// in a journal, and so share a table in memory.
#[derive(Default)]
struct Recent(VecDeque<Arc<Table>>);

impl Recent {
    fn share(&mut self, table: Arc<Table>) -> Arc<Table> {
        if let Some(equal) = self.0.iter().find(|t| **t == table) {
            return Arc::clone(equal);
        }
        self.0.truncate(7);
        self.0.push_front(Arc::clone(&table));
        table
    }
}

#[derive(serde::Deserialize)]
struct Version {
    schema: u32,
}

fn newer(schema: u32) -> String {
    format!(
        "schema version {schema} is newer than {SCHEMA}, the newest that this program can read; use a newer version"
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::record;
    use crate::record::StopReason;

    fn numbered(i: u64) -> TrialRecord {
        TrialRecord {
            id: RunId(format!("{i:032}")),
            seed: i,
            ..record(&[(10, 2.0, 0.5), (20, f64::NAN, 0.7)])
        }
    }

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
    fn broken_and_newer_lines_are_named() {
        let dir = tempfile::tempdir().unwrap();
        let good = String::from_utf8(line(&numbered(0))).unwrap();
        for (bad, part) in [
            ("{}\n", "not a trial record"),
            ("\0\0\n", "not a trial record"),
            ("{\"schema\": 99}\n", "schema version 99 is newer"),
        ] {
            std::fs::write(
                dir.path().join("trials.jsonl"),
                format!("{good}{bad}{good}"),
            )
            .unwrap();
            let error = read_folder(dir.path()).unwrap_err().to_string();
            assert!(
                error.contains(part) && error.contains("line 2") && error.contains("trials.jsonl"),
                "{error}"
            );
        }
    }

    /// A flipped bit never yields another record or a silent loss, except in the last line's end,
    /// which then counts as torn.
    #[test]
    fn a_flipped_bit_is_named_with_its_file_and_line() {
        let dir = tempfile::tempdir().unwrap();
        let (path, lines) = (
            dir.path().join("trials.jsonl"),
            [line(&numbered(0)), line(&numbered(1)), line(&numbered(2))],
        );
        let whole = lines.concat();
        for bit in (lines[0].len() * 8..(lines[0].len() + lines[1].len()) * 8).step_by(7) {
            let mut flipped = whole.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            std::fs::write(&path, &flipped).unwrap();
            let error = read_folder(dir.path()).unwrap_err().to_string();
            assert!(
                error.contains("trials.jsonl, line 2:")
                    && error.contains("its trial then runs again"),
                "bit {bit}: {error}"
            );
        }
    }

    /// A line of schema version 1, as the first commit of this crate wrote it.
    #[test]
    fn version_1_still_loads() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(
            dir.path().join("trials.jsonl"),
            include_bytes!("../tests/schema-1.jsonl"),
        )
        .unwrap();
        let records = read_folder(dir.path()).unwrap();
        let record = records.by_id.values().next().unwrap();
        assert_eq!(
            (record.schema, record.steps, record.curves.step.len()),
            (1, 20, 2)
        );
        assert_eq!(record.config.to_string(), "batch_size = 32\nlr = 0.1\n");
        assert!(record.labels.is_empty() && record.curves.train_loss[1].is_nan());
    }

    #[test]
    fn the_older_word_for_pruned_still_loads() {
        let dir = tempfile::tempdir().unwrap();
        let old = include_str!("../tests/schema-1.jsonl").replace("diverged", "hopeless");
        std::fs::write(dir.path().join("trials.jsonl"), old).unwrap();
        let records = read_folder(dir.path()).unwrap();
        let record = records.by_id.values().next().unwrap();
        assert_eq!(record.stop, StopReason::Pruned);
        let now = String::from_utf8(line(record)).unwrap();
        assert!(now.contains(r#""stop":"pruned""#), "{now}");
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
