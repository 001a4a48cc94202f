//! Faults of files: torn ends, flipped bits, a full disk, failing calls, missing locks; and a
//! jumping clock.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use largebatch_tests::{program, tree};

use crate::child::Process;
use crate::fault::{Fault, Outcome, Verdict};
use crate::lab::{Subject, copy};

/// The newest checkpoint's folder.
fn newest(run: &Path) -> Option<PathBuf> {
    let step = |path: &PathBuf| {
        path.file_name()?
            .to_str()?
            .strip_prefix("step-")?
            .parse::<u64>()
            .ok()
    };
    let entries = fs::read_dir(run.join("checkpoints")).ok()?;
    entries
        .flatten()
        .map(|e| e.path())
        .filter(|path| step(path).is_some())
        .max_by_key(step)
}

/// After a kill the end of a file is missing, as after a power loss.
pub fn torn(fault: &mut Fault) -> Outcome {
    let subject = fault.subject();
    let moment = fault
        .lab
        .reference(subject)
        .seconds
        .mul_f64(0.2 + 0.8 * fault.dice.unit());
    let command = fault.program(&subject.arguments());
    let mut process = fault.start(command);
    if process.lives(moment) {
        fault.note(format!("killed after {moment:?}"));
        process.signal_all(libc::SIGKILL);
    }
    process.sound()?;
    let out = fault.out();
    let checkpoint = newest(&out);
    let path = match (subject, &checkpoint) {
        (Subject::Study, _) => out.join("trials.jsonl"),
        (Subject::Train, Some(checkpoint)) if fault.dice.chance(0.6) => {
            checkpoint.join(fault.dice.pick(&[
                "model.safetensors",
                "optimizer.safetensors",
                "state.json",
            ]))
        }
        (Subject::Train, _) => out.join(fault.dice.pick(&["events.jsonl", "layers.csv"])),
    };
    let length = fs::metadata(&path).map_or(0, |m| m.len());
    if length == 0 || out.join("result.json").exists() {
        return fault.finish(subject);
    }
    let left = (fault.dice.unit() * length as f64) as u64;
    fault.note(format!(
        "{} cut from {length} to {left} bytes",
        path.display()
    ));
    fs::OpenOptions::new()
        .write(true)
        .open(&path)
        .and_then(|f| f.set_len(left))
        .map_err(|e| e.to_string())?;
    let name = path
        .file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned();
    // A checkpoint records how long the logs were. Later lines are written again; earlier ones must
    // be there.
    let key = format!("\"{}_length\":", name.split('.').next().unwrap_or_default());
    let counted = checkpoint
        .as_ref()
        .map(|c| fs::read_to_string(c.join("state.json")).unwrap_or_default());
    let counted = counted.and_then(|state| {
        state
            .split_once(&key)?
            .1
            .split([',', '}'])
            .next()?
            .parse::<u64>()
            .ok()
    });
    match checkpoint {
        Some(checkpoint) if path.starts_with(&checkpoint) => {
            fault.run(&subject.arguments())?.expect(&[1], &name)?;
            // As the message suggests.
            fs::remove_dir_all(checkpoint).map_err(|e| e.to_string())?;
        }
        _ if counted.is_some_and(|counted| left < counted) => {
            fault.run(&subject.arguments())?.expect(&[1], &name)?;
            fs::remove_dir_all(out).map_err(|e| e.to_string())?;
        }
        _ => return fault.finish(subject),
    }
    fault.finish(subject).map(|_| Verdict::Refused)
}

/// Flips one bit of a file that stays: every reader names the file, or the bit makes no difference.
pub fn bit(fault: &mut Fault) -> Outcome {
    let subject = fault.subject();
    let out = fault.out();
    copy(&fault.lab.reference(subject).out, &out);
    // What to do with the file, and whether the run had ended.
    let (file, ended): (&str, bool) = match subject {
        Subject::Study => (
            fault
                .dice
                .pick(&["trials.jsonl", "trials.jsonl", "study.toml"]),
            true,
        ),
        Subject::Train => {
            let file = fault.dice.pick(&[
                "model.safetensors",
                "optimizer.safetensors",
                "state.json",
                "run.toml",
                "model",
            ]);
            (file, file == "model" || fault.dice.chance(0.2))
        }
    };
    if subject == Subject::Train && !ended {
        ["result.json", "model.safetensors"]
            .iter()
            .for_each(|name| drop(fs::remove_file(out.join(name))));
    }
    let path = match file {
        "model" => out.join("model.safetensors"),
        "model.safetensors" | "optimizer.safetensors" | "state.json" => {
            newest(&out).ok_or("no checkpoint")?.join(file)
        }
        _ => out.join(file),
    };
    let mut bytes = fs::read(&path).map_err(|e| format!("{}: {e}", path.display()))?;
    let place = fault.dice.below(bytes.len() * 8);
    bytes[place / 8] ^= 1 << (place % 8);
    fs::write(&path, &bytes).map_err(|e| e.to_string())?;
    fault.note(format!("bit {place} of {}; ended: {ended}", path.display()));

    let arguments: Vec<&str> = match (file, fault.dice.below(3)) {
        ("model" | "run.toml", 0) if ended => vec!["evaluate", "out", "--json"],
        ("trials.jsonl" | "study.toml", 0) => vec!["study", "report", "out", "--quiet"],
        ("trials.jsonl", 1) => vec!["study", "status", "out"],
        ("model", _) => vec!["evaluate", "out", "--part", "test", "--json"],
        _ => subject.arguments(),
    };
    let undisturbed = || {
        let mut command = Command::new(program());
        command
            .args(&arguments)
            .current_dir(fault.lab.reference(subject).out.parent()?)
            .stdin(std::process::Stdio::null());
        command
            .output()
            .ok()
            .map(|o| String::from_utf8_lossy(&o.stdout).into_owned())
    };
    let writes = arguments[0] == "train" || arguments[1] == "run" || arguments[1] == "report";
    let expected = if writes {
        String::new()
    } else {
        undisturbed().unwrap_or_default()
    };
    let end = fault.run(&arguments)?;
    if end.code == Some(0) {
        if !writes && end.stdout != expected {
            return Err(end.failure(&format!("what the undisturbed run says, `{expected}`")));
        }
        // If nothing has read the file, it stays as it is.
        if path.exists() {
            bytes[place / 8] ^= 1 << (place % 8);
            fs::write(&path, &bytes).map_err(|e| e.to_string())?;
        }
        return fault.same(subject);
    }
    // Weights are named by their run.
    end.expect(&[1, 2], if file == "model" { "out" } else { file })?;
    Ok(Verdict::Refused)
}

/// A small disk that fills up and then has space again.
pub fn full(fault: &mut Fault) -> Outcome {
    if let Err(why) = &fault.lab.mounts {
        return Ok(Verdict::Skipped(why.clone()));
    }
    let subject = fault.subject();
    let all: u64 = tree(&fault.lab.reference(subject).out)
        .values()
        .map(|bytes| bytes.len() as u64)
        .sum();
    let size = 8192 + (fault.dice.unit() * 1.2 * all as f64) as u64;
    fault.note(format!("a disk of {size} bytes"));
    // Copied while the name space still shows it.
    let script = format!(
        "mkdir -p disk && mount -t tmpfs -o size={size} nemesis disk && cp subject.toml disk && cd disk || exit 90
        \"$@\"; echo \"full $?\" >&2
        mount -o remount,size=256m . || exit 91
        \"$@\"; code=$?; cp -a out ../out; exit $code"
    );
    let mut command = Command::new("unshare");
    command
        .args(["-m", "sh", "-c", &script, "sh"])
        .arg(program())
        .args(subject.arguments());
    let end = fault.start(command).end()?;
    let said: Vec<&str> = end
        .stderr
        .lines()
        .filter(|line| line.starts_with("error: "))
        .collect();
    let full = end
        .stderr
        .lines()
        .find_map(|line| line.strip_prefix("full "))
        .unwrap_or_default();
    end.expect(&[0], "")?;
    match (full, said.as_slice()) {
        ("0", []) => {}
        ("1", [error]) if error.contains("free space") => {}
        _ => {
            return Err(end.failure(
                "the full disk is an error with a remedy, and with room again there is none",
            ));
        }
    }
    end.check()?;
    fault.same(subject)
}

impl Fault<'_> {
    /// Runs the subject's command with the preloaded library and its settings; without settings,
    /// without the library.
    fn shimmed(&mut self, subject: Subject, shim: &Path, settings: &[(&str, String)]) -> Process {
        self.note(
            settings
                .iter()
                .map(|(name, value)| format!("{name}={value}"))
                .collect::<Vec<_>>()
                .join(" "),
        );
        let mut command = self.program(&subject.arguments());
        command.env("LD_PRELOAD", shim).envs(
            settings
                .iter()
                .map(|(name, value)| (format!("NEMESIS_{name}"), value)),
        );
        self.start(command)
    }

    fn seed(&mut self) -> (&'static str, String) {
        ("SEED", self.dice.below(u32::MAX as usize).to_string())
    }
}

/// Writes, renames and other calls that fail, are interrupted, or do half of the work; then the
/// same command again, undisturbed.
pub fn calls(fault: &mut Fault) -> Outcome {
    let shim = match &fault.lab.shim {
        Ok(shim) => shim.clone(),
        Err(why) => return Ok(Verdict::Skipped(why.clone())),
    };
    let subject = fault.subject();
    for _ in 0..=fault.dice.below(3) {
        let calls: String = "wsiroynmtu"
            .chars()
            .filter(|_| fault.dice.chance(0.35))
            .collect();
        let every = [2, 5, 15, 50][fault.dice.below(4)].to_string();
        let settings = [("CALLS", calls), ("EVERY", every), fault.seed()];
        // Interrupted and short calls are not errors.
        let harmless = settings[0].1.chars().all(|c| "si".contains(c));
        let end = fault.shimmed(subject, &shim, &settings).sound()?;
        end.expect(if harmless { &[0] } else { &[0, 1, 2] }, "")?;
    }
    fault.finish(subject)
}

/// A wall clock that jumps, by up to an hour, a month or a century.
pub fn clock(fault: &mut Fault) -> Outcome {
    let shim = match &fault.lab.shim {
        Ok(shim) => shim.clone(),
        Err(why) => return Ok(Verdict::Skipped(why.clone())),
    };
    let subject = fault.subject();
    let jump = [3_600, 2_600_000, 3_200_000_000u64][fault.dice.below(3)].to_string();
    let settings = [("CLOCK", jump), fault.seed()];
    let moment = fault.moment(subject);
    let mut process = fault.shimmed(subject, &shim, &settings);
    if fault.dice.chance(0.3) && process.lives(moment) {
        fault.note(format!("killed after {moment:?}"));
        process.signal_all(libc::SIGKILL);
        process.sound()?;
        process = fault.shimmed(subject, &shim, &settings);
    }
    process.sound()?.expect(&[0], "")?;
    fault.same(subject)
}

/// A file system without locks: the program says so and uses a heartbeat instead; of two writers
/// one works.
pub fn no_locks(fault: &mut Fault) -> Outcome {
    without_locks(fault, false)
}

/// As [`no_locks`], but the holder was killed: the next start waits until it counts as dead.
pub fn dead_holder(fault: &mut Fault) -> Outcome {
    without_locks(fault, true)
}

fn without_locks(fault: &mut Fault, killed: bool) -> Outcome {
    let shim = match &fault.lab.shim {
        Ok(shim) => shim.clone(),
        Err(why) => return Ok(Verdict::Skipped(why.clone())),
    };
    let subject = fault.subject();
    // ENOLCK, ENOSYS, EOPNOTSUPP.
    let settings = [("FLOCK", [37, 38, 95][fault.dice.below(3)].to_string())];
    let mut first = fault.shimmed(subject, &shim, &settings);
    if killed {
        let held = [
            fault.out().join(".lock.held"),
            fault.out().join("trials.held"),
        ];
        while !held.iter().any(|path| path.exists()) && first.lives(Duration::from_millis(2)) {}
        let moment = fault.moment(subject).mul_f64(0.5);
        if first.lives(moment) {
            fault.note(format!("killed after {moment:?}"));
            first.signal_all(libc::SIGKILL);
        }
        first.sound()?;
        first = fault.shimmed(subject, &shim, &settings);
    }
    let second = fault.shimmed(subject, &shim, &settings);
    let mut ends = Vec::new();
    for mut process in [first, second] {
        process.limit = Duration::from_secs(120);
        ends.push(process.sound()?);
    }
    for end in &ends {
        end.expect(&[0, 1], "")?;
        // A run that had already ended takes no lock.
        if end.code == Some(0) && !end.stderr.contains("has no locks") && subject == Subject::Study
        {
            return Err(end.failure("a warning that there are no locks"));
        }
    }
    if !ends
        .iter()
        .any(|end| end.code == Some(0) && end.stderr.contains("has no locks"))
    {
        return Err(ends[0].failure("a writer that works and warns that there are no locks"));
    }
    fault.same(subject)
}
