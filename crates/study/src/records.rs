//! Reading the journals of a folder.

use std::collections::{HashMap, VecDeque};
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use largebatch_store::{Seal, unseal};
use toml::Table;

use crate::data::Data;
use crate::error::StudyError;
use crate::record::{SCHEMA, SEALED, TrialRecord};
use crate::trial::{RunId, without_seed};

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
pub(crate) fn files(folder: &Path) -> Result<Vec<PathBuf>, StudyError> {
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
pub(crate) fn read_file(path: &Path, add: &mut dyn FnMut(TrialRecord)) -> Result<(), StudyError> {
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
    use crate::event::StopReason;
    use crate::fixture::numbered;
    use crate::record::line;

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
}
