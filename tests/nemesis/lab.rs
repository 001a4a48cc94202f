//! What all faults share: undisturbed runs to compare with, input files, and the abilities of this
//! machine.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use largebatch_random::Key;
use largebatch_tests::tree;
use serde_json::Value;
use tempfile::TempDir;

use crate::fault::{Dice, Fault};
use crate::input;

/// What a fault disturbs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Subject {
    Train,
    Study,
}

/// Dropout, batch norm, shifts, LAMB's moments, a growing batch, a trace, a checkpoint every few hundredths of a second.
const TRAIN: &str = r#"
dataset = "digits"
model = { name = "mlp", widths = [32, 16], dropout = 0.2, batch_norm = true }
optimizer = "lamb"
epochs = 25
schedule = { name = "cosine", warmup = { epochs = 2 } }
batch_schedule = { name = "multi-step", factor = 2, at = { fraction = [0.5] } }
seed = 5
threads = 1
parts = 4
checkpoint = { every_steps = 25 }
[data.preprocess]
normalise = "channel"
translate = 1
[log]
every_steps = 7
layers_every_steps = 40
"#;

/// Two groups that are tuned and confirmed.
const STUDY: &str = r#"
name = "nemesis"
[set]
dataset = "digits"
model = "softmax"
[axes]
batch_size = [32, 256]
[search]
lr = [0.1, 0.5]
[budget]
epochs = 2
[tune]
seeds = 1
[confirm]
seeds = 3
"#;

impl Subject {
    pub fn text(self) -> &'static str {
        match self {
            Subject::Train => TRAIN,
            Subject::Study => STUDY,
        }
    }

    /// The command, which begins the subject or continues it.
    pub fn arguments(self) -> Vec<&'static str> {
        match self {
            Subject::Train => vec![
                "train",
                "subject.toml",
                "--resume",
                "--out",
                "out",
                "--quiet",
            ],
            Subject::Study => vec![
                "study",
                "run",
                "subject.toml",
                "--out",
                "out",
                "--jobs",
                "2",
                "--quiet",
            ],
        }
    }

    /// Every file that it left, without what depends on time; of a report only the names.
    pub fn files(self, out: &Path) -> Result<BTreeMap<PathBuf, Vec<u8>>, String> {
        let mut files = tree(out);
        files.retain(|path, _| path.extension().is_none_or(|e| e != "lock"));
        for (path, content) in &mut files {
            let name = path
                .file_name()
                .and_then(|n| n.to_str())
                .unwrap_or_default();
            if path.starts_with("report") {
                content.clear();
            } else if matches!(name, "result.json" | "state.json") {
                *content = without(
                    content,
                    &["seconds", "examples_per_second", "out", "digest"],
                )
                .map_err(|e| format!("{name}: {e}"))?;
            } else if name == "trials.jsonl" {
                *content = trials(content)
                    .map_err(|e| format!("{name}: {e}"))?
                    .join("\n")
                    .into_bytes();
            }
        }
        Ok(files)
    }
}

/// The lines of a journal, without the parts that may differ between two runs.
pub fn trials(journal: &[u8]) -> Result<Vec<String>, String> {
    let lines = journal
        .split(|b| *b == b'\n')
        .filter(|line| !line.is_empty());
    lines
        .map(|line| {
            without(line, &["provenance", "digest"])
                .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
        })
        .collect()
}

fn without(json: &[u8], keys: &[&str]) -> Result<Vec<u8>, String> {
    let mut value: Value = serde_json::from_slice(json).map_err(|e| e.to_string())?;
    let object = value.as_object_mut().ok_or("no object")?;
    keys.iter().for_each(|key| drop(object.remove(*key)));
    Ok(value.to_string().into_bytes())
}

/// An undisturbed run.
pub struct Reference {
    /// Its complete folder.
    pub out: PathBuf,
    pub files: BTreeMap<PathBuf, Vec<u8>>,
    pub seconds: Duration,
}

impl Reference {
    /// Checks that these files are those of the undisturbed run, except in some folders.
    pub fn same(&self, files: &BTreeMap<PathBuf, Vec<u8>>, but: &[&str]) -> Result<(), String> {
        let compared = |path: &PathBuf| !but.iter().any(|folder| path.starts_with(folder));
        let names =
            |a: &BTreeMap<PathBuf, Vec<u8>>, b: &BTreeMap<PathBuf, Vec<u8>>| -> Vec<PathBuf> {
                a.keys()
                    .filter(|path| compared(path) && !b.contains_key(*path))
                    .cloned()
                    .collect()
            };
        let (missing, more) = (names(&self.files, files), names(files, &self.files));
        let mut differ: Vec<&PathBuf> = files
            .keys()
            .filter(|path| self.files.contains_key(*path) && self.files[*path] != files[*path])
            .collect();
        differ.retain(|path| compared(path));
        if missing.is_empty() && more.is_empty() && differ.is_empty() {
            return Ok(());
        }
        Err(format!(
            "expected: the undisturbed run's files\nfound: missing {missing:?}, more {more:?}, differing {differ:?}"
        ))
    }
}

/// What all faults share.
pub struct Lab {
    pub folder: TempDir,
    train: Reference,
    study: Reference,
    /// The preloaded library, or why it is missing.
    pub shim: Result<PathBuf, String>,
    /// Whether this process may make mount name spaces, or why not.
    pub mounts: Result<(), String>,
    /// The same for process-number name spaces.
    pub processes: Result<(), String>,
}

impl Lab {
    /// Runs the subjects undisturbed, twice each, and makes the input files.
    pub fn new() -> Result<Lab, String> {
        let folder = TempDir::with_prefix("nemesis-").map_err(|e| e.to_string())?;
        let nothing = || Reference {
            out: PathBuf::new(),
            files: BTreeMap::new(),
            seconds: Duration::ZERO,
        };
        let shim = compile(folder.path());
        let try_unshare = |flags: &[&str]| answer(Command::new("unshare").args(flags).arg("true"));
        let (mounts, processes) = (
            try_unshare(&["-m"]),
            try_unshare(&["-p", "-f", "--mount-proc"]),
        );
        let mut lab = Lab {
            folder,
            train: nothing(),
            study: nothing(),
            shim,
            mounts,
            processes,
        };
        lab.train = lab.undisturbed(Subject::Train)?;
        lab.study = lab.undisturbed(Subject::Study)?;
        input::prepare(&lab)?;
        Ok(lab)
    }

    pub fn reference(&self, subject: Subject) -> &Reference {
        match subject {
            Subject::Train => &self.train,
            Subject::Study => &self.study,
        }
    }

    /// A fault in its own folder.
    pub fn fault(&self, name: &str, key: Key) -> Fault<'_> {
        let folder = self.folder.path().join(name);
        ["work", "logs"].iter().for_each(|below| {
            fs::create_dir_all(folder.join(below)).expect("a folder for the fault")
        });
        Fault {
            lab: self,
            dice: Dice::new(key),
            folder,
            notes: Vec::new(),
        }
    }

    fn undisturbed(&self, subject: Subject) -> Result<Reference, String> {
        let mut references = Vec::new();
        for i in 0..2 {
            let mut fault = self.fault(&format!("{subject:?}-{i}"), Key::new(0));
            fault.bring(subject);
            let begun = Instant::now();
            fault.run(&subject.arguments())?.expect(&[0], "")?;
            references.push(Reference {
                files: subject.files(&fault.out())?,
                out: fault.out(),
                seconds: begun.elapsed(),
            });
        }
        let second = references.swap_remove(1);
        references[0]
            .same(&second.files, &[])
            .map_err(|e| format!("two undisturbed runs differ\n{e}"))?;
        Ok(second)
    }
}

/// Compiles the preloaded library.
fn compile(folder: &Path) -> Result<PathBuf, String> {
    let (source, library) = (
        Path::new(env!("CARGO_MANIFEST_DIR")).join("nemesis/shim.c"),
        folder.join("shim.so"),
    );
    answer(
        Command::new("cc")
            .args(["-shared", "-fPIC", "-O1", "-o"])
            .arg(&library)
            .arg(source)
            .arg("-ldl"),
    )
    .map(|()| library)
}

/// Runs a command to its end; returns its error output if it fails.
fn answer(command: &mut Command) -> Result<(), String> {
    let name = command.get_program().to_string_lossy().into_owned();
    let output = command.output().map_err(|e| format!("{name}: {e}"))?;
    if output.status.success() {
        Ok(())
    } else {
        Err(format!(
            "{name}: {}",
            String::from_utf8_lossy(&output.stderr).trim()
        ))
    }
}

/// Copies a file, or a folder with its content.
pub fn copy(from: &Path, to: &Path) {
    let copied = Command::new("cp").arg("-a").args([from, to]).status();
    assert!(
        copied.is_ok_and(|status| status.success()),
        "cp -a {} {}",
        from.display(),
        to.display()
    );
}
