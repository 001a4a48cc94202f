//! One fault: its folder, its random numbers, and what it runs.

use std::fs::{self, File};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use largebatch_random::{Key, below, unit};
use largebatch_tests::program;

use crate::child::{Ended, Process};
use crate::lab::{Lab, Subject};

/// The ways in which a fault can end well.
pub enum Verdict {
    /// The same files as those of the undisturbed run.
    Same,
    /// A clear error.
    Refused,
    /// Mutated input that the program accepted.
    Taken,
    /// This machine cannot produce the fault.
    Skipped(String),
}

/// How a fault ended; an error says what was expected and what was found.
pub type Outcome = Result<Verdict, String>;

/// The random numbers of one fault.
pub struct Dice(Key, u64);

impl Dice {
    pub fn new(key: Key) -> Self {
        Dice(key, 0)
    }

    fn key(&mut self) -> Key {
        self.1 += 1;
        self.0.number(self.1)
    }

    pub fn below(&mut self, bound: usize) -> usize {
        below(&mut self.key().rng(), bound as u32) as usize
    }

    pub fn unit(&mut self) -> f64 {
        unit(&mut self.key().rng())
    }

    pub fn chance(&mut self, probability: f64) -> bool {
        self.unit() < probability
    }

    pub fn pick<'a, T: ?Sized>(&mut self, of: &[&'a T]) -> &'a T {
        of[self.below(of.len())]
    }
}

/// A fault in its own folder: it disturbs `work`, and the programs' output is in `logs`.
pub struct Fault<'a> {
    pub lab: &'a Lab,
    pub dice: Dice,
    pub folder: PathBuf,
    pub notes: Vec<String>,
}

impl Fault<'_> {
    pub fn work(&self) -> PathBuf {
        self.folder.join("work")
    }

    /// The folder that the subject writes to.
    pub fn out(&self) -> PathBuf {
        self.work().join("out")
    }

    pub fn note(&mut self, text: impl Into<String>) {
        self.notes.push(text.into());
    }

    /// A random subject, with its file in the folder.
    pub fn subject(&mut self) -> Subject {
        let subject = if self.dice.chance(0.5) {
            Subject::Train
        } else {
            Subject::Study
        };
        self.bring(subject)
    }

    pub fn bring(&mut self, subject: Subject) -> Subject {
        self.note(subject.arguments().join(" "));
        fs::write(self.work().join("subject.toml"), subject.text())
            .expect("a folder that can be written");
        subject
    }

    /// The program with its arguments in the folder, away from the user's settings and caches.
    pub fn program(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(program());
        command.args(arguments);
        command
    }

    /// As [`Self::program`], run by another program, such as `unshare`.
    pub fn behind(&self, before: &[&str], arguments: &[&str]) -> Command {
        let mut command = Command::new(before[0]);
        command.args(&before[1..]).arg(program()).args(arguments);
        command
    }

    /// Starts a command in the folder. Its processes are recognised by the variable NEMESIS_ROOT.
    pub fn start(&mut self, mut command: Command) -> Process {
        let logs = self.folder.join("logs");
        let number = fs::read_dir(&logs).map_or(0, |entries| entries.count() / 2);
        let log = |name: &str| logs.join(format!("{number:02}.{name}"));
        let file = |path: &Path| File::create(path).expect("a log");
        let (out, err) = (log("out"), log("err"));
        command
            .current_dir(self.work())
            .env_remove("LARGEBATCH_DATA_DIR")
            .env_remove("XDG_RUNTIME_DIR");
        command
            .env("LARGEBATCH_CACHE_DIR", self.folder.join("cache"))
            .env("NEMESIS_ROOT", self.work());
        command
            .stdin(Stdio::null())
            .stdout(file(&out))
            .stderr(file(&err))
            .process_group(0);
        Process::start(command, self.work(), out, err)
    }

    /// Runs the program to its end, which must be sound.
    pub fn run(&mut self, arguments: &[&str]) -> Result<Ended, String> {
        let command = self.program(arguments);
        self.start(command).sound()
    }

    /// Runs the subject's command undisturbed to its end: it must succeed and leave the same files
    /// as the undisturbed run.
    pub fn finish(&mut self, subject: Subject) -> Outcome {
        let ended = self.run(&subject.arguments())?;
        ended.expect(&[0], "")?;
        self.same(subject)
    }

    pub fn same(&self, subject: Subject) -> Outcome {
        self.same_but(subject, &[])
    }

    /// As [`Self::same`], but files in these folders may differ.
    pub fn same_but(&self, subject: Subject, folders: &[&str]) -> Outcome {
        self.lab
            .reference(subject)
            .same(&subject.files(&self.out())?, folders)
            .map(|()| Verdict::Same)
    }

    /// A random moment of the subject's life, or shortly after it.
    pub fn moment(&mut self, subject: Subject) -> Duration {
        self.lab
            .reference(subject)
            .seconds
            .mul_f64(1.1 * self.dice.unit())
    }
}
